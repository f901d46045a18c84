"""Rows whose length changes at given samples, over one source or a mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tokenmill import _core
from tokenmill.layout import Layout
from tokenmill.order import ENDLESS, Description, Drawn, MixtureOrder, SingleOrder
from tokenmill.tokens import check_integer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Windows that are dealt together, first the first row of each, then the second, and so on: rows that follow
#: each other in the text are as many samples apart.
_HAND = 4096


def check_layout(layout: Layout) -> None:
    """Refuses rows that cannot be cut."""
    if layout.packing == "document" and layout.tail == "pad":
        raise ValueError(
            'max_length by stages cuts each window into equal rows, and with packing="document" most windows '
            'are short, so that most rows would be nothing but padding; choose packing="best_fit", whose '
            'rows are full, packing="concat", or tail="drop" or "shift", which leave out documents that are '
            f"not longer than {layout.max_length} tokens"
        )


def stages_of(max_length: Mapping[Any, Any]) -> list[tuple[int, int]]:
    """(first sample, max_length) of each stage, checked.

    >>> stages_of({1000: 8, 0: 4})
    [(0, 4), (1000, 8)]
    """
    stages = sorted(
        (check_integer("max_length", first, 0, ENDLESS - 1), check_integer("max_length", length, 1))
        for first, length in max_length.items()
    )
    if not stages or stages[0][0] != 0:
        raise ValueError(f"max_length={dict(max_length)!r} does not say what holds from sample 0 on")
    greatest = max(length for _, length in stages)
    for first, length in stages:
        if greatest % length:
            raise ValueError(
                f"max_length={length} from sample {first} on does not divide the greatest, {greatest}, into "
                "equal rows"
            )
    return stages


class CurriculumOrder:
    """An order over windows of the greatest length, each cut into rows of its stage's length."""

    def __init__(
        self,
        inner: SingleOrder | MixtureOrder,
        stages: Sequence[tuple[int, int]],
        *,
        epochs: int | None,
        shuffled: bool,
    ) -> None:
        self.inner = inner
        self.layouts = inner.layouts
        self.starts: list[int] | None = [first for first, _ in stages]
        self._stages = list(stages)
        greatest = inner.layouts[0].max_length
        self._cuts = [greatest // length for _, length in stages]
        by_cut = {cut: [layout.cut(cut) for layout in inner.layouts] for cut in set(self._cuts)}
        self._stage_layouts = [by_cut[cut] for cut in self._cuts]
        units = inner.num_samples
        if isinstance(inner, SingleOrder):
            units = None if epochs is None or units is None else units * epochs
        self._core = _core.Curriculum(
            stages=list(zip(self.starts, self._cuts, strict=True)), units=units, hand=_HAND if shuffled else 1
        )
        self.num_samples: int | None = None if units is None else self._core.end
        # Where a stage ends decides how its last windows are dealt: a state must agree in all stages.
        inner.plan |= {
            "max_length": [list(stage) for stage in stages],
            "num_samples": self.num_samples,
        }

    def layouts_of(self, section: int) -> list[Layout]:
        """The layouts of a stage, one for each source."""
        return self._stage_layouts[section]

    def counting(self) -> dict[str, Any]:
        """What a ledger needs to know of the order."""
        return self.inner.counting() | {"cuts": self._cuts, "curriculum": self._core}

    def draw(self, samples: NDArray[np.uint64]) -> Drawn:
        """The rows that samples of one stage are."""
        units, parts = self._core.at(samples)
        drawn = self.inner.draw(units)
        cut = self._cuts[self._stage(int(samples[0]))] if len(samples) else 1
        return Drawn(drawn.windows * drawn.windows.dtype.type(cut) + parts, drawn.sources)

    def one(self, sample: int) -> tuple[int, int, int]:
        """(source, epoch of that source, window of the stage's length) of a sample."""
        import numpy as np

        units, parts = self._core.at(np.array([sample], np.uint64))
        source, epoch, window = self.inner.one(int(units[0]))
        return source, epoch, window * self._cuts[self._stage(sample)] + int(parts[0])

    def _stage(self, sample: int) -> int:
        return sum(first <= sample for first, _ in self._stages) - 1

    def check_end(self) -> None:
        """Raises where the end is an error."""
        self.inner.check_end()

    def describe(self) -> Description:
        """What a position is a position in. The first call hashes arrays."""
        return self.inner.describe()

    def differences(self, state: Mapping[str, Any]) -> list[str]:
        """What a state says otherwise."""
        return self.inner.differences(dict(state) | {"next_sample": ENDLESS})
