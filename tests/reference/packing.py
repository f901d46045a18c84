"""Rows by document, with lists: slow, the specification of packing and document masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from reference import windows

IGNORE = -100

#: A window: its first token and its number of labels.
Window = tuple[int, int]


def bounds(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """First token and end of each document.

    >>> bounds([2, 0, 3])
    [(0, 2), (2, 2), (2, 5)]
    """
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    return [(end - length, end) for end, length in zip(ends, lengths, strict=True)]


def rows(lengths: Sequence[int], packing: str, length: int, stride: int, tail: str) -> list[list[Window]]:
    """The windows of each row, from left to right."""
    if packing == "concat":
        return [[window] for window in windows.starts(sum(lengths), length, stride, tail)]
    if packing == "document":
        return [
            [(start + first, valid)]
            for start, end in bounds(lengths)
            for first, valid in windows.starts(end - start, length, stride, tail)
        ]
    return best_fit(lengths, length)


def best_fit(lengths: Sequence[int], length: int) -> list[list[Window]]:
    """Each piece, longest first, into the fullest row that has room; of equally full ones, the last changed.

    >>> best_fit([4, 3, 2, 6], 5)  # 3, 2, 1 and 5 labels
    [[(0, 3), (4, 2)], [(7, 1)], [(9, 5)]]
    """
    pieces = [
        (first, min(length, end - 1 - first))
        for start, end in bounds(lengths)
        for first in range(start, end - 1, length)
    ]
    packed: list[list[Window]] = []
    changed: list[int] = []
    for time, piece in enumerate(sorted(pieces, key=lambda piece: -piece[1])):
        filled = [sum(valid for _, valid in row) for row in packed]
        fits = [i for i, used in enumerate(filled) if used + piece[1] <= length]
        if fits:
            best = max(fits, key=lambda i: (filled[i], changed[i]))
        else:
            best = len(packed)
            packed.append([])
            changed.append(0)
        packed[best].append(piece)
        changed[best] = time
    return sorted(sorted(row) for row in packed)


def cut(row: Sequence[Window], first: int, end: int) -> list[Window]:
    """What lies in the places from `first` to `end` of a row.

    >>> cut([(100, 3), (40, 1), (7, 6)], 2, 8)
    [(102, 1), (40, 1), (7, 4)]
    """
    places = [(start, i) for start, valid in row for i in range(valid)][first:end]
    starts = dict.fromkeys(start for start, _ in places)
    return [
        (start + min(i for s, i in places if s == start), sum(s == start for s, _ in places))
        for start in starts
    ]


@dataclass
class Row:
    """One row of a batch, as lists, and the token that each label is (None: no label, or masked)."""

    input_ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    position_ids: list[int] = field(default_factory=list)
    document_ids: list[int] = field(default_factory=list)
    label_tokens: list[int | None] = field(default_factory=list)
    masked_tokens: list[int] = field(default_factory=list)


def render(
    tokens: Sequence[int], lengths: Sequence[int], row: Sequence[Window], length: int, pad: int, mask: bool
) -> Row:
    """What a row of windows looks like.

    >>> row = render([5, 6, 7, 8, 9], [3, 2], [(0, 4)], 6, 0, mask=True)
    >>> row.input_ids, row.labels
    ([5, 6, 7, 8, 9, 0], [6, 7, -100, 9, -100, -100])
    >>> row.position_ids, row.document_ids
    ([0, 1, 2, 0, 1, 0], [0, 0, 0, 1, 1, -1])
    """
    document = [i for i, count in enumerate(lengths) for _ in range(count)]
    out = Row()
    number, position = -1, 0
    for start, valid in row:
        for token in range(start, start + valid):
            new = token == start or document[token] != document[token - 1]
            number, position = (number + 1, 0) if new else (number, position + 1)
            crosses = document[token + 1] != document[token]
            out.input_ids.append(tokens[token])
            out.labels.append(IGNORE if crosses and mask else tokens[token + 1])
            out.position_ids.append(position)
            out.document_ids.append(number)
            out.label_tokens.append(None if crosses and mask else token + 1)
            out.masked_tokens += [token + 1] if crosses and mask else []
    if row and len(out.input_ids) < length:  # the last label is an input, too, where there is room
        out.input_ids.append(tokens[start + valid])
        out.position_ids.append(position + 1)
        out.document_ids.append(number)
    out.input_ids += [pad] * (length - len(out.input_ids))
    out.labels += [IGNORE] * (length - len(out.labels))
    out.label_tokens += [None] * (length - len(out.label_tokens))
    out.position_ids += [0] * (length - len(out.position_ids))
    out.document_ids += [-1] * (length - len(out.document_ids))
    return out
