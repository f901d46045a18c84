"""Rows of growing length, dealt by hand: the specification of `crates/tokenmill/src/sample/curriculum.rs`."""

from __future__ import annotations

from collections.abc import Sequence


def deal(stages: Sequence[tuple[int, int]], units: int, hand: int = 4096) -> list[tuple[int, int, int]]:
    """(stage, unit, part) of each sample; stages are (first sample, rows that a unit is cut into).

    >>> deal([(0, 2), (4, 1)], 3, hand=2)
    [(0, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (1, 2, 0)]
    """
    dealt: list[tuple[int, int, int]] = []
    left = list(range(units))
    for stage, (_, cut) in enumerate(stages):
        last = stage + 1 == len(stages)
        count = len(left) if last else (stages[stage + 1][0] - len(dealt)) // cut
        mine, left = left[:count], left[count:]
        for first in range(0, count, hand):
            dealt += [(stage, unit, part) for part in range(cut) for unit in mine[first : first + hand]]
    return dealt
