"""Which texts two tokenizers cut differently: what an extension changed, or what another vocabulary would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tokenmill.report.result import Change, Difference, Place

if TYPE_CHECKING:
    from tokenmill.tokenizer import Tokenizer

# Of the documents that differ, so many are looked at closely, and so many tokens of them: a second of work.
EXAMINED_DOCUMENTS, EXAMINED_TOKENS = 1000, 1 << 20
# Places and changes that are shown.
SHOWN = 20

Int64s = npt.NDArray[np.int64]
Encoded = tuple[npt.NDArray[np.uint32], Int64s]


class Comparison:
    """Compares where the tokens of one tokenizer end with where those of another do, text by text."""

    def __init__(self, before: Tokenizer, after: Tokenizer) -> None:
        self._lengths = [token_lengths(tokenizer) for tokenizer in (before, after)]
        self._documents = self._changed = self._examined = 0
        self._tokens = [0, 0]
        self._places: list[Place] = []
        self._changes: Counter[tuple[tuple[bytes, ...], tuple[bytes, ...]]] = Counter()

    def add(
        self, name: str, texts: Sequence[str], positions: Sequence[int], before: Encoded, after: Encoded
    ) -> None:
        """Compares the texts of one file, which both have encoded."""
        self._documents += len(texts)
        for index, (ids, _) in enumerate((before, after)):
            self._tokens[index] += len(ids)
        ends = [
            ends_of(ids, offsets, lengths)
            for (ids, offsets), lengths in zip((before, after), self._lengths, strict=True)
        ]
        for text, position, old, new in zip(texts, positions, *ends, strict=True):
            if not np.array_equal(old, new):
                self._differs(Place(input=name, position=position), text, old, new)

    def _differs(self, place: Place, text: str, old: Int64s, new: Int64s) -> None:
        self._changed += 1
        if len(self._places) < SHOWN:
            self._places.append(place)
        room = EXAMINED_TOKENS - self._examined
        if self._changed <= EXAMINED_DOCUMENTS and room > 0:
            self._examined += len(old)
            self._changes.update(changed_stretches(text.encode(), old, new, room))

    def result(self, source: str) -> Difference:
        """What was found."""
        ranked = sorted(self._changes.items(), key=lambda item: (-item[1], item[0]))
        return Difference(
            source=source,
            documents=self._documents,
            changed_documents=self._changed,
            tokens_before=self._tokens[0],
            tokens_after=self._tokens[1],
            places=tuple(self._places),
            changes=tuple(
                Change(before=old, after=new, occurrences=times) for (old, new), times in ranked[:SHOWN]
            ),
        )


def token_lengths(tokenizer: Tokenizer) -> Int64s:
    """Bytes of each token, by id."""
    tokens = (tokenizer.id_to_token(i) for i in range(tokenizer.vocab_size))
    return np.array([0 if token is None else len(token) for token in tokens], dtype=np.int64)


def ends_of(ids: npt.NDArray[np.uint32], offsets: Int64s, lengths: Int64s) -> Iterator[Int64s]:
    """For each text where its tokens end, in bytes."""
    ends = np.cumsum(lengths[ids])
    for start, end in pairwise(offsets.tolist()):
        yield ends[start:end] - (ends[start - 1] if start else 0)


def changed_stretches(
    text: bytes, old: Int64s, new: Int64s, most: int
) -> Iterator[tuple[tuple[bytes, ...], tuple[bytes, ...]]]:
    """What lies between two places where both end a token, if they do not agree in between."""
    # No more than `most` of them.
    common = np.concatenate(([0], np.intersect1d(old, new, assume_unique=True)))
    cuts = [np.searchsorted(ends, common, side="right") for ends in (old, new)]
    # Of what lies between two common ends, the last is a common end itself.
    several = (np.diff(cuts[0]) > 1) | (np.diff(cuts[1]) > 1)
    for index in np.flatnonzero(several)[:most].tolist():
        start = int(common[index])
        yield (
            pieces(text, start, old[cuts[0][index] : cuts[0][index + 1]]),
            pieces(text, start, new[cuts[1][index] : cuts[1][index + 1]]),
        )


def pieces(text: bytes, start: int, ends: Int64s) -> tuple[bytes, ...]:
    """The text from `start` on, cut at the ends."""
    bounds = [start, *ends.tolist()]
    return tuple(text[begin:end] for begin, end in pairwise(bounds))
