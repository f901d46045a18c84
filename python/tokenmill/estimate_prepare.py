"""What a preparation will come to, told from samples of the corpus.

Samples are the beginnings of files, chosen so that each byte of the corpus has the same chance: with 32
draws one falls into each 32nd of all bytes. Each says how many tokens come of a byte of its file; their mean
is the estimate (Cochran, Sampling Techniques, chapter 9A: draws in proportion to size), and how much they
differ tells how far off it may be.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tokenmill.documents import Documents
from tokenmill.prepare import marker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenmill.documents import Data
    from tokenmill.tokenizer import Tokenizer

# Bytes of input, as they lie on the disk, that are encoded: a second or less.
SAMPLE = 32 << 20
# Files to sample; of fewer files longer beginnings are read.
SAMPLES = 32
# Memory that does not depend on the corpus: Python and blocks on their way, and what each thread caches.
FIXED, PER_THREAD = 200 << 20, 100 << 20
# Bytes on disk for each document: where it ends, and where it comes from.
PER_DOCUMENT = 8 + 16
# Bytes that are read from the disk at once.
READ = 256 << 10
# Two standard errors: 95 of 100 estimates are not further off.
ERRORS = 2


@dataclass(frozen=True, kw_only=True)
class PreparationEstimate:
    """What `tokenmill.prepare` will come to.

    sampled_bytes, total_bytes: bytes of input that were encoded to tell, and in all, as they lie on the disk.
    documents, tokens: how many there will be; tokens with the marks that are added.
    error: how far off `tokens` may be, as a share of it: 0 where all was read, None where a single sample
        leaves nothing to compare. It knows nothing of what is different behind the beginnings of files.
    store_bytes: the size of the store.
    seconds: how long it will take on this machine, about.
    memory_bytes: how much memory it will take at most, whatever the size of a document.
    """

    sampled_bytes: int
    total_bytes: int
    documents: int
    tokens: int
    error: float | None
    store_bytes: int
    seconds: float
    memory_bytes: int

    def windows(self, max_length: int, stride: int | None = None) -> int:
        """How many windows of ``max_length`` the tokens come to, as `tokenmill.Windows` counts them."""
        return max(0, math.ceil((self.tokens - max_length) / (stride or max_length)))


@dataclass
class _Sample:
    """What the beginning of a file came to: bytes on disk, tokens, documents."""

    bytes: int = 0
    tokens: int = 0
    documents: int = 0


def estimate_preparation(
    data: Data,
    *,
    tokenizer: Tokenizer,
    add_bos: bool = False,
    add_eos: bool = True,
    workers: int | None = None,
    sample_bytes: int = SAMPLE,
) -> PreparationEstimate:
    """Tell what `tokenmill.prepare` would make of files, from about ``sample_bytes`` of them.

    Documents that ``dedup`` or ``on_error`` would leave out are counted.

    Raises:
        ValueError: ``data`` is not made of files that can be read twice (a pipe, an iterable, URLs).
        DocumentError: a document of the samples cannot be read.

    >>> import pathlib, tempfile
    >>> import tokenmill as tm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "pets.txt")
    ...     _ = path.write_text("a cat and a dog")
    ...     tok = tm.train_word(path, split="whitespace")
    ...     told = estimate_preparation(path, tokenizer=tok, add_eos=False)
    ...     (told.tokens, told.error, told.windows(2))
    (5, 0.0, 2)
    """
    documents = Documents.of(data)
    if documents.files is None:
        raise ValueError(f"{documents!r} cannot be read twice; an estimate needs files")
    marks = (
        marker(tokenizer, "bos", add=add_bos, token=None),
        marker(tokenizer, "eos", add=add_eos, token=None),
    )
    added = sum(mark is not None for mark in marks)
    sizes = {file: Path(file).stat().st_size for file in documents.files}
    total = sum(sizes.values())
    # Of a small corpus every file is read.
    chosen = _chosen(sizes, total) if total > sample_bytes else Counter(dict.fromkeys(sizes, SAMPLES))
    start = time.perf_counter()
    draws: list[tuple[int, _Sample]] = []
    for file, times in chosen.items():
        limit = sample_bytes * times // SAMPLES
        blocks = _read(documents.part([file]), sizes[file], tokenizer, added, limit)
        draws.append((times, _together(blocks)))
    seconds = time.perf_counter() - start
    told = _together([sample for _, sample in draws])
    if len(draws) == 1:
        draws = [(block.bytes, block) for block in blocks]
    error: float | None = 0.0
    if told.bytes >= total:
        tokens, documents_told = told.tokens, told.documents
    else:
        share, error = _mean([(weight, sample.tokens / sample.bytes) for weight, sample in draws])
        tokens = round(share * total)
        documents_told = round(
            _mean([(w, sample.documents / sample.bytes) for w, sample in draws])[0] * total
        )
    width = 2 if tokenizer.vocab_size <= 1 << 16 else 4
    return PreparationEstimate(
        sampled_bytes=told.bytes,
        total_bytes=total,
        documents=documents_told,
        tokens=tokens,
        error=error,
        store_bytes=tokens * width + documents_told * PER_DOCUMENT,
        seconds=seconds * (total / told.bytes if told.bytes else 1),
        memory_bytes=FIXED + (workers or os.cpu_count() or 1) * PER_THREAD,
    )


def _chosen(sizes: dict[str, int], total: int) -> Counter[str]:
    """The files in which the middles of equal shares of all bytes lie, and how many middles each has."""
    chosen: Counter[str] = Counter()
    ends, end = [], 0
    for size in sizes.values():
        ends.append(end := end + size)
    files = iter(zip(sizes, ends, strict=True))
    file, end = next(files)
    for number in range(SAMPLES):
        while end <= (number + 0.5) / SAMPLES * total and end < total:
            file, end = next(files)
        chosen[file] += 1
    return chosen


def _read(documents: Documents, size: int, tokenizer: Tokenizer, added: int, limit: int) -> list[_Sample]:
    """The blocks of a file of ``size`` bytes until ``limit`` of them are read."""
    source, before = documents._source(), 0
    blocks: list[_Sample] = []
    while (batch := source.next_batch()) is not None:
        texts = batch[1]
        ids, _ = tokenizer.encode_batch_to_numpy(texts)
        read = source.bytes_read()
        block = _Sample(read - before, len(ids) + added * len(texts), len(texts))
        if read > before or not blocks:
            blocks.append(block)
        else:  # of the same read as the one before
            blocks[-1] = _together([blocks[-1], block])
        before = read
        if limit < read < size:
            # Of what was read from the disk last, anything between nothing and all has become text.
            blocks[-1].bytes = max(1, blocks[-1].bytes - READ // 2)
            break
    return blocks


def _together(samples: Sequence[_Sample]) -> _Sample:
    return _Sample(
        sum(sample.bytes for sample in samples),
        sum(sample.tokens for sample in samples),
        sum(sample.documents for sample in samples),
    )


def _mean(draws: Sequence[tuple[int, float]]) -> tuple[float, float | None]:
    """The mean of some shares by weight, and twice its standard error as a part of it."""
    weights = sum(weight for weight, _ in draws)
    mean = sum(weight * share for weight, share in draws) / weights
    count = len(draws)
    if count < 2 or mean == 0:
        return mean, None
    squares = sum((weight * (share - mean)) ** 2 for weight, share in draws)
    return mean, ERRORS * math.sqrt(squares * count / (count - 1)) / weights / mean
