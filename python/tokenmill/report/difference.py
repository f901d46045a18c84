"""Which texts two tokenizers cut differently: what an extension changed, or what another vocabulary would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tokenmill.report.measure import batches
from tokenmill.report.result import Change, Difference

if TYPE_CHECKING:
    from tokenmill.documents import Documents
    from tokenmill.tokenizer import Tokenizer

# Documents whose differences are looked at one by one: the most frequent of them are shown.
EXAMINED = 1000

Int64s = npt.NDArray[np.int64]


def differ(
    source: str, documents: Documents, before: Tokenizer, after: Tokenizer, *, show: int = 20
) -> Difference:
    """Encodes with both, and compares where tokens end."""
    lengths = [token_lengths(tokenizer) for tokenizer in (before, after)]
    number = changed = 0
    tokens = [0, 0]
    changes: Counter[tuple[tuple[bytes, ...], tuple[bytes, ...]]] = Counter()
    for texts in batches(documents):
        encoded = [tokenizer.encode_batch_to_numpy(texts) for tokenizer in (before, after)]
        number += len(texts)
        for index, (ids, _) in enumerate(encoded):
            tokens[index] += len(ids)
        ends = [
            ends_of(ids, offsets, length) for (ids, offsets), length in zip(encoded, lengths, strict=True)
        ]
        for text, old, new in zip(texts, *ends, strict=True):
            if np.array_equal(old, new):
                continue
            changed += 1
            if changed <= EXAMINED:
                changes.update(changed_stretches(text.encode(), old, new))
    return Difference(
        source=source,
        documents=number,
        changed_documents=changed,
        tokens_before=tokens[0],
        tokens_after=tokens[1],
        changes=tuple(
            Change(before=old, after=new, occurrences=times)
            for (old, new), times in sorted(changes.items(), key=lambda item: (-item[1], item[0]))[:show]
        ),
    )


def token_lengths(tokenizer: Tokenizer) -> Int64s:
    """Bytes of each token, by id."""
    tokens = (tokenizer.id_to_token(i) for i in range(tokenizer.vocab_size))
    return np.array([0 if token is None else len(token) for token in tokens], dtype=np.int64)


def ends_of(ids: npt.NDArray[np.uint32], offsets: Int64s, lengths: Int64s) -> Iterator[Int64s]:
    """For each text where its tokens end, in bytes."""
    ends = np.cumsum(lengths[ids])
    for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        yield ends[start:end] - (ends[start - 1] if start else 0)


def changed_stretches(
    text: bytes, old: Int64s, new: Int64s
) -> Iterator[tuple[tuple[bytes, ...], tuple[bytes, ...]]]:
    """What lies between two places where both end a token, if they do not agree in between."""
    common = np.concatenate(([0], np.intersect1d(old, new, assume_unique=True)))
    cuts = [np.searchsorted(ends, common, side="right") for ends in (old, new)]
    # Of what lies between two common ends, the last is a common end itself.
    several = (np.diff(cuts[0]) > 1) | (np.diff(cuts[1]) > 1)
    for index in np.flatnonzero(several).tolist():
        start = int(common[index])
        yield (
            pieces(text, start, old[cuts[0][index] : cuts[0][index + 1]]),
            pieces(text, start, new[cuts[1][index] : cuts[1][index + 1]]),
        )


def pieces(text: bytes, start: int, ends: Int64s) -> tuple[bytes, ...]:
    """The text from `start` on, cut at the ends."""
    bounds = [start, *ends.tolist()]
    return tuple(text[begin:end] for begin, end in pairwise(bounds))
