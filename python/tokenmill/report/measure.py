"""What texts come to as tokens of one tokenizer, source by source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tokenmill.report.result import Encoded, Texts

if TYPE_CHECKING:
    from tokenmill.documents import Documents
    from tokenmill.tokenizer import Tokenizer


def batches(documents: Documents) -> Iterator[list[str]]:
    """The texts of documents, about a MiB at a time."""
    source = documents._source()
    while (batch := source.next_batch()) is not None:
        yield batch[1]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One source under several tokenizers."""

    texts: Texts
    #: For each tokenizer.
    encoded: tuple[Encoded, ...]
    #: For each tokenizer how often each id occurs, `int64[vocab_size]`.
    counts: tuple[npt.NDArray[np.int64], ...]


def measure(name: str, documents: Documents, tokenizers: Sequence[Tokenizer]) -> Measured:
    """Encodes a source with each tokenizer; it is read once, and held in memory a batch at a time."""
    totals = np.zeros(4, dtype=np.int64)
    counts = [np.zeros(tokenizer.vocab_size, dtype=np.int64) for tokenizer in tokenizers]
    for texts in batches(documents):
        totals += (
            len(texts),
            sum(map(len, texts)),
            sum(len(text.split()) for text in texts),
            sum(len(text.encode()) for text in texts),
        )
        for tokenizer, count in zip(tokenizers, counts, strict=True):
            ids, _ = tokenizer.encode_batch_to_numpy(texts)
            count += np.bincount(ids, minlength=len(count))
    size = dict(zip(("documents", "characters", "words", "bytes"), totals.tolist(), strict=True))
    texts_of = Texts(name=name, **size)
    return Measured(
        texts=texts_of,
        encoded=tuple(Encoded(texts=texts_of, tokens=int(count.sum())) for count in counts),
        counts=tuple(counts),
    )
