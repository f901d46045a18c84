"""Several sources in one loader, in exact proportions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import gcd, lcm
from typing import Any, Literal

from tokenmill.layout import check_choice
from tokenmill.tokens import check_integer

OnExhausted = Literal["repeat", "stop", "error"]

#: Weights that have no smaller common denominator are rounded to fractions of this.
_PRECISION = 2**60


class Mixture:
    """Sources and their weights, to be given to a `DataLoader` in place of a store.

    >>> import numpy as np
    >>> from tokenmill import DataLoader
    >>> mixture = Mixture([(np.arange(0, 900), 3), (np.arange(1000, 1100), 1)])
    >>> loader = DataLoader(mixture, max_length=4, batch_size=4, epochs=None)
    >>> [sorted(batch.sources.tolist()) for batch, _ in zip(loader, range(3))]
    [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]]

    sources: a mapping of TokenStores to weights, or a list of (data, weight), where data is a TokenStore or
        an array. Weights are integers or floats and count *rows*; a weight of 0 is for a source that comes in
        later, by `stages`.
    max_epochs: after how many epochs of its own a source is used up: one number for all, or a mapping or list
        as `sources`. None: never, or with on_exhausted="stop" and "error" after one.
    on_exhausted: "repeat": the others go on without a source that is used up, in their proportions. "stop":
        the mixture ends. "error": it ends with an error.
    stages: other weights from a sample (a row of a global batch, counted from 0) on: {1_000_000: weights},
        each a mapping or list of weights as `sources`; sources left out of a mapping get 0. Each source goes
        on where it was: nothing is repeated.

    Each source is within one row of its share at the edge of every block of `2^k` samples, where a source has
    at least one row in a block on average; inside blocks it is spread evenly. Which row of which source a
    sample is depends on its number alone, so ranks, resuming and prefetching do not change it. A state may be
    loaded into a mixture to which stages, or sources that come in by them, have been added after the state's
    position.
    """

    def __init__(
        self,
        sources: Mapping[Any, float] | Sequence[tuple[Any, float]],
        *,
        max_epochs: Mapping[Any, int | None] | Sequence[int | None] | int | None = None,
        on_exhausted: OnExhausted = "repeat",
        stages: Mapping[int, Mapping[Any, float] | Sequence[float]] | None = None,
    ) -> None:
        pairs = list(sources.items()) if isinstance(sources, Mapping) else [_pair(item) for item in sources]
        if not pairs:
            raise ValueError("a mixture needs at least one source")
        self.data = [data for data, _ in pairs]
        self.on_exhausted: OnExhausted = check_choice("on_exhausted", on_exhausted, OnExhausted)
        limits = self._for_each("max_epochs", max_epochs, None) if not isinstance(max_epochs, int) else None
        self.max_epochs: list[int | None] = [
            None if limit is None else check_integer("max_epochs", limit, 1)
            for limit in (limits or [max_epochs] * len(pairs))
        ]
        if on_exhausted != "repeat":
            self.max_epochs = [limit or 1 for limit in self.max_epochs]
        self.stages: list[tuple[int, list[int]]] = [(0, whole_weights([weight for _, weight in pairs]))]
        for first, weights in sorted((stages or {}).items()):
            given = self._for_each("stages", weights, 0)
            self.stages.append((check_integer("stages", first, 1, 2**62 - 1), whole_weights(given)))

    def _for_each(self, name: str, given: Any, default: Any) -> list[Any]:
        """A value for each source from a mapping, a list, or None."""
        if given is None:
            return [default] * len(self.data)
        if isinstance(given, Mapping):
            unknown = [data for data in given if not any(data is known for known in self.data)]
            if unknown:
                raise ValueError(
                    f"{name} names {unknown[0]!r}, which is not a source of this mixture; give it to "
                    "`sources`, with a weight of 0 if it comes later"
                )
            return [given.get(data, default) for data in self.data]
        values = list(given)
        if len(values) != len(self.data):
            raise ValueError(
                f"{name} has {len(values)} values for {len(self.data)} sources; give one for each"
            )
        return values

    def describe(self) -> dict[str, Any]:
        """The order of the mixture, JSON-able."""
        return {
            "max_epochs": list(self.max_epochs),
            "on_exhausted": self.on_exhausted,
            "stages": [[first, list(weights)] for first, weights in self.stages],
        }

    def __repr__(self) -> str:
        weights = ", ".join(str(weight) for weight in self.stages[0][1])
        more = "" if len(self.stages) == 1 else f", {len(self.stages)} stages"
        return (
            f"Mixture({len(self.data)} sources, weights {weights}{more}, on_exhausted={self.on_exhausted!r})"
        )


def _pair(item: Any) -> tuple[Any, float]:
    if not isinstance(item, tuple) or len(item) != 2:
        raise TypeError(f"a source is a pair (data, weight), not a {type(item).__name__}")
    return item


def whole_weights(weights: Sequence[float]) -> list[int]:
    """Integers in the proportions of the weights.

    A decimal is taken as it is written: 0.7 is 7/10. Where no common denominator up to 2^60 is found, shares
    are rounded to multiples of 2^-60.

    >>> whole_weights([0.7, 0.2, 0.1]), whole_weights([2, 0, 4]), whole_weights([1e-06, 1])
    ([7, 2, 1], [1, 0, 2], [1, 1000000])
    """
    fractions = [_fraction(weight) for weight in weights]
    total = sum(fractions)
    if total == 0:
        raise ValueError(f"weights are all 0: {list(weights)}; at least one must be larger")
    common = lcm(*(fraction.denominator for fraction in fractions))
    whole = [int(fraction * common) for fraction in fractions]
    whole = [weight // gcd(*whole) for weight in whole]
    if sum(whole) > _PRECISION:
        whole = [round(fraction / total * _PRECISION) for fraction in fractions]
        for given, weight in zip(weights, whole, strict=True):
            if given and not weight:
                raise ValueError(f"the weight {given!r} is less than 2^-60 of all; raise it or leave it out")
    return whole


def _fraction(weight: object) -> Fraction:
    if isinstance(weight, bool) or not isinstance(weight, (int, float, Fraction)):
        raise TypeError(f"weight {weight!r} is a {type(weight).__name__}; give an integer or a float")
    if not 0 <= weight < float("inf"):
        raise ValueError(f"weight {weight!r} is out of range; weights are 0 or more, and finite")
    return Fraction(str(weight)) if isinstance(weight, float) else Fraction(weight)
