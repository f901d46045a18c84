"""Windows and batches by their definition, with lists: slow, the specification of `tokenmill.sampling`."""

from __future__ import annotations

from collections.abc import Sequence

IGNORE = -100


def starts(n: int, length: int, stride: int, tail: str) -> list[tuple[int, int]]:
    """(start, valid labels) of each window.

    >>> starts(11, 4, 4, "pad")
    [(0, 4), (4, 4), (8, 2)]
    """
    windows = []
    start = 0
    while start + length < n:
        windows.append((start, length))
        start += stride
    last_label = windows[-1][0] + length if windows else 0
    if last_label < n - 1:
        if tail == "pad" and start < n - 1:
            windows.append((start, n - 1 - start))
        if tail == "shift" and n > length:
            windows.append((n - 1 - length, length))
    return windows


def dropped(n: int, length: int, stride: int, tail: str) -> int:
    """Tokens after the first that are no window's label."""
    labels = {start + 1 + i for start, valid in starts(n, length, stride, tail) for i in range(valid)}
    return len(set(range(1, n)) - labels)


def window(
    tokens: Sequence[int], start: int, valid: int, length: int, pad: int
) -> tuple[list[int], list[int]]:
    """Inputs and labels of one window.

    >>> window([5, 6, 7], 0, 2, 4, 99)
    ([5, 6, 7, 99], [6, 7, -100, -100])
    """
    ids = list(tokens[start : start + valid + 1])
    inputs = (ids + [pad] * length)[:length]
    labels = (ids[1:] + [IGNORE] * length)[:length]
    return inputs, labels


def batches(order: Sequence[int], size: int, world: int, drop_last: bool) -> list[list[list[int]]]:
    """The rows of each rank in each step.

    >>> batches(range(7), 2, 2, False)
    [[[0, 1], [2, 3]], [[4, 5], [6]]]
    """
    steps = []
    for first in range(0, len(order), size * world):
        rows = list(order[first : first + size * world])
        if len(rows) == size * world:
            steps.append([rows[rank * size : (rank + 1) * size] for rank in range(world)])
        elif not drop_last:
            shares = [len(rows) // world + (rank < len(rows) % world) for rank in range(world)]
            steps.append([[rows.pop(0) for _ in range(share)] for share in shares])
    return steps
