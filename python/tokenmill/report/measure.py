"""What texts come to as tokens, source by source; each text is read once, and encoded once by each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from tokenmill._core import UnknownTokenError
from tokenmill.report.difference import Comparison
from tokenmill.report.result import Difference, Texts
from tokenmill.report.words import WordCounts

if TYPE_CHECKING:
    from tokenmill.documents import Documents
    from tokenmill.tokenizer import Tokenizer


class Batch(NamedTuple):
    """Some documents of one file."""

    input: str
    texts: list[str]
    positions: list[int]


def batches(documents: Documents) -> Iterator[Batch]:
    """Documents, about a MiB at a time, or one that is larger."""
    source = documents._source()
    while (batch := source.next_batch()) is not None:
        yield Batch(*batch)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One source under several tokenizers."""

    texts: Texts
    #: For each tokenizer how often each id occurs, `int64[vocab_size]`.
    counts: tuple[npt.NDArray[np.int64], ...]
    #: For each tokenizer how the first one differs from it; `None` where words cannot be compared.
    differences: tuple[Difference | None, ...]

    def of(self, index: int) -> tuple[Texts, npt.NDArray[np.int64]]:
        """The texts, and how often each id of one of the tokenizers occurs."""
        return self.texts, self.counts[index]


def measure(
    name: str, documents: Documents, tokenizers: Sequence[Tokenizer], seen: Callable[[int], None]
) -> tuple[Measured, WordCounts]:
    """Encodes a source with each tokenizer, a batch at a time; `seen` is told the bytes of each."""
    totals = [0, 0, 0, 0]
    words = WordCounts()
    counts = [np.zeros(tokenizer.vocab_size, dtype=np.int64) for tokenizer in tokenizers]
    first = tokenizers[0]
    comparisons = [
        Comparison(other, first) if other is not first and other.model == first.model == "bpe" else None
        for other in tokenizers
    ]
    for batch in batches(documents):
        size = sum(len(text.encode()) for text in batch.texts)
        sizes = (len(batch.texts), sum(map(len, batch.texts)), add_words(batch.texts, words), size)
        totals = [total + size for total, size in zip(totals, sizes, strict=True)]
        encoded = [encode(tokenizer, batch) for tokenizer in tokenizers]
        for (ids, _), count in zip(encoded, counts, strict=True):
            count += np.bincount(ids, minlength=len(count))
        for before, comparison in zip(encoded, comparisons, strict=True):
            if comparison is not None:
                comparison.add(batch.input, batch.texts, batch.positions, before, encoded[0])
        seen(size)
    named = dict(zip(("documents", "characters", "words", "bytes"), totals, strict=True))
    measured = Measured(
        texts=Texts(name=name, **named),
        counts=tuple(counts),
        differences=tuple(None if each is None else each.result(name) for each in comparisons),
    )
    return measured, words


def add_words(texts: Sequence[str], words: WordCounts) -> int:
    """Counts the words of texts; how many there are."""
    number = 0
    for text in texts:
        found = text.split()
        number += len(found)
        words.add(found)
    return number


def encode(tokenizer: Tokenizer, batch: Batch) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """The ids of a batch; a word without a token is an error that names the place."""
    try:
        return tokenizer.encode_batch_to_numpy(batch.texts)
    except UnknownTokenError:
        for text, position in zip(batch.texts, batch.positions, strict=True):
            try:
                tokenizer.encode_to_numpy(text)
            except UnknownTokenError as error:
                raise UnknownTokenError(f"{batch.input}, record at {position:,}: {error}") from None
        raise
