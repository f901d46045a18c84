"""Which row of which source a sample is, and what a state must agree with: of one source, or of a mixture.

Samples are numbered through, epoch after epoch. An order knows what each is; not how they become batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tokenmill import _core
from tokenmill.layout import CoreShuffle, Layout

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tokenmill.mixture import Mixture

#: As DataLoader takes it.
Shuffle: TypeAlias = "bool | Literal['block']"

#: Samples of a mixture that never ends.
ENDLESS = 2**62

#: A state's parts but its version and position.
Description = dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Drawn:
    """Rows: their windows, and in a mixture their sources."""

    windows: NDArray[np.uint64]
    sources: NDArray[np.uint32] | None = None


class SingleOrder:
    """Epochs over one source, shuffled or not."""

    #: Where stages begin, which no batch crosses; None: epochs are what no batch crosses.
    starts: list[int] | None = None

    def __init__(self, layout: Layout, *, shuffle: Shuffle, seed: int) -> None:
        self.layouts = [layout]
        self.plan = layout.describe() | {"shuffle": shuffle, "seed": seed}
        self._identity: dict[str, Any] | None = None

    @property
    def num_samples(self) -> int | None:
        """Samples of an epoch."""
        return self.layouts[0].plan.num_windows

    def layouts_of(self, section: int) -> list[Layout]:
        """The layouts of an epoch."""
        return self.layouts

    def counting(self) -> dict[str, Any]:
        """What a ledger needs to know of the order."""
        return {"cuts": [1]}

    def draw(self, samples: NDArray[np.uint64]) -> Drawn:
        """The rows that samples are."""
        return Drawn(self.layouts[0].plan.at(samples))

    def one(self, sample: int) -> tuple[int, int, int]:
        """(source, epoch, window) of a sample."""
        plan = self.layouts[0].plan
        epoch, inside = divmod(sample, plan.num_windows)
        return 0, epoch, plan.window(epoch, inside)

    def check_end(self) -> None:
        """Nothing to say at the end."""

    def describe(self) -> Description:
        """What a position is a position in. The first call hashes an array."""
        if self._identity is None:
            self._identity = self.layouts[0].source.identity()
        return {"plan": dict(self.plan), "data": dict(self._identity)}

    def differences(self, state: Mapping[str, Any]) -> list[str]:
        """What a state says otherwise."""
        here = self.describe()
        return differ("plan", here["plan"], state) + differ("data", here["data"], state)


class MixtureOrder:
    """One sequence over several sources."""

    starts: list[int] | None

    def __init__(self, mixture: Mixture, layouts: Sequence[Layout], *, shuffle: Shuffle, seed: int) -> None:
        self.mixture = mixture
        self.starts = [0]
        self.layouts = list(layouts)
        self.plan = layouts[0].describe() | {"shuffle": shuffle, "seed": seed}
        del self.plan["num_windows"]  # of the first source; `sources` has all
        self._core = _core.Mixture(
            rows=[layout.plan.num_windows for layout in layouts],
            max_epochs=mixture.max_epochs,
            stages=mixture.stages,
            stop=mixture.on_exhausted != "repeat",
            shuffle=core_shuffle(shuffle),
            stride=layouts[0].stride,
            seed=seed,
        )
        self._identities: list[dict[str, Any]] | None = None

    @property
    def num_samples(self) -> int | None:
        """Samples in all; None: there is no end."""
        return self._core.num_samples

    def taken(self, sample: int) -> list[int]:
        """How many of the samples before `sample` each source has."""
        return self._core.taken(sample)

    def layouts_of(self, section: int) -> list[Layout]:
        """One for each source."""
        return self.layouts

    def counting(self) -> dict[str, Any]:
        """What a ledger needs to know of the order."""
        return {"cuts": [1], "mixture": self._core}

    def draw(self, samples: NDArray[np.uint64]) -> Drawn:
        """The rows that samples are."""
        sources, _, windows = self._core.at(samples)
        return Drawn(windows, sources)

    def one(self, sample: int) -> tuple[int, int, int]:
        """(source, epoch of that source, window) of a sample."""
        import numpy as np

        sources, epochs, windows = self._core.at(np.array([sample], np.uint64))
        return int(sources[0]), int(epochs[0]), int(windows[0])

    def check_end(self) -> None:
        """Raises where the end is an error."""
        ended_by = self._core.ended_by
        if self.mixture.on_exhausted == "error" and ended_by is not None:
            raise ValueError(
                f"source {ended_by} of the mixture ({self.mixture.data[ended_by]!r}) is used up after "
                f"{self.num_samples} samples; give it a larger max_epochs or less weight, or choose "
                'on_exhausted="repeat" or "stop"'
            )

    def describe(self) -> Description:
        """What a position is a position in. The first call hashes arrays."""
        if self._identities is None:
            self._identities = [
                layout.source.identity() | {"num_windows": layout.plan.num_windows} for layout in self.layouts
            ]
        sources = {str(number): dict(identity) for number, identity in enumerate(self._identities)}
        return {"plan": dict(self.plan), "mixture": self.mixture.describe(), "sources": sources}

    def differences(self, state: Mapping[str, Any]) -> list[str]:
        """What a state says otherwise about the samples before its position."""
        here, position = self.describe(), int(state.get("next_sample") or 0)
        found = differ("plan", here["plan"], state)
        there = state.get("sources") or {}
        for number, source in here["sources"].items():
            if number in there:
                found += differ(f"source {number}", source, {f"source {number}": there[number]})
        extra = sorted(set(there) - set(here["sources"]), key=int)
        found += [f"source {number} of the state is not in this mixture" for number in extra]
        mixture = state.get("mixture") or {}
        theirs = [weights for weights in mixture.get("stages", []) if weights[0] < max(position, 1)]
        ours = [[first, weights] for first, weights in self.mixture.stages if first < max(position, 1)]
        # A source that is not in the state must have come in after its position.
        theirs = [[first, weights + [0] * (len(self.layouts) - len(weights))] for first, weights in theirs]
        if theirs != ours:
            found.append(f"mixture.stages before sample {position} are {ours} here and {theirs} in the state")
        known = mixture.get("max_epochs", [])
        if known != self.mixture.max_epochs[: len(known)]:
            found.append(f"mixture.max_epochs is {self.mixture.max_epochs} here and {known} in the state")
        return found


def core_shuffle(shuffle: Shuffle) -> CoreShuffle:
    """The core's name of DataLoader's `shuffle`."""
    return shuffle if shuffle == "block" else "full" if shuffle else "off"


def differ(part: str, here: Mapping[str, Any], state: Mapping[str, Any]) -> list[str]:
    """The keys of one part whose values differ."""
    theirs = state.get(part) or {}
    return [
        f"{part}.{key} is {here.get(key)!r} here and {theirs.get(key)!r} in the state"
        for key in dict(here) | dict(theirs)
        if here.get(key) != theirs.get(key)
    ]
