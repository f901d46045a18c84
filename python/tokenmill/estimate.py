"""What a training will take, told from the beginning of the corpus.

The beginning is counted twice, half of it and all of it: how much the distinct pieces grow from one to the
other tells how many there will be in the end (Heaps' law: a power of the size of the text).
"""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tokenmill import _core
from tokenmill.counts import Counts
from tokenmill.documents import Documents

if TYPE_CHECKING:
    from tokenmill.documents import Data

# Bytes of input that are counted: a second or less.
SAMPLE = 64 << 20
# Memory that does not depend on the corpus: Python, blocks on their way, tables of each thread.
FIXED = 150 << 20
# Bytes a distinct piece takes while merging: its place in a table (24, and at most 2/3 full after growing
# by half), in the arena (2 a byte), places of its pairs (4 each, and as much again for those that come).
PER_PIECE = 55
PER_PIECE_BYTE = 10


@dataclass(frozen=True, kw_only=True)
class TrainingEstimate:
    """What training on a corpus will take.

    sampled_bytes: bytes of input, as they lie on the disk, that were counted to tell.
    total_bytes: bytes of input in all; None where it cannot be known (a pipe, an iterable).
    distinct_pieces: how many distinct pieces the whole corpus will have.
    seconds: how long counting and merging will take on this machine.
    memory_bytes: how much memory, if nothing is written to disk.

    The last three are None where `total_bytes` is.
    """

    sampled_bytes: int
    total_bytes: int | None
    distinct_pieces: int | None
    seconds: float | None
    memory_bytes: int | None


def estimate_training(
    data: Data, *, vocab_size: int, pattern: str = "gpt4", sample_bytes: int = SAMPLE
) -> TrainingEstimate:
    """Tell what `train_bpe` would take, from the first `sample_bytes` of the documents.

    >>> import tokenmill as tm
    >>> estimate_training(tm.Documents.from_texts(["low low lower"]), vocab_size=300).total_bytes is None
    True
    """
    documents = Documents.of(data)
    with tempfile.TemporaryDirectory() as folder:
        _, half_read, half, _ = _count(documents, Path(folder) / "half.tmc", pattern, sample_bytes // 2)
        total, read, pieces, counting = _count(documents, Path(folder) / "all.tmc", pattern, sample_bytes)
        start = time.perf_counter()
        counts = Counts.open(Path(folder) / "all.tmc")
        _core.train_bpe(
            counts._core,
            vocab_sizes=[vocab_size],
            pattern=pattern,
            special_tokens=[],
            min_frequency=2,
            hugging_face=False,
            max_token_bytes=None,
            base=None,
            max_bytes=None,
            folder=folder,
            progress=None,
        )
        merging = time.perf_counter() - start
        piece_bytes = (Path(folder) / "all.tmc").stat().st_size / max(pieces, 1)
    if total is None:
        return TrainingEstimate(
            sampled_bytes=read, total_bytes=None, distinct_pieces=None, seconds=None, memory_bytes=None
        )
    growth = total / read if read else 1.0
    heaps = (
        math.log(pieces / half) / math.log(read / half_read)
        if 0 < half < pieces and half_read < read
        else 1.0
    )
    more = growth ** min(heaps, 1.0)
    return TrainingEstimate(
        sampled_bytes=read,
        total_bytes=total,
        distinct_pieces=round(pieces * more),
        seconds=counting * growth + merging * more,
        memory_bytes=FIXED + round(pieces * more * (PER_PIECE + PER_PIECE_BYTE * piece_bytes)),
    )


def _count(documents: Documents, path: Path, pattern: str, limit: int) -> tuple[int | None, int, int, float]:
    """Bytes in all, bytes read, distinct pieces, seconds."""
    start = time.perf_counter()
    read, total = _core.count_pieces(
        documents._source(),
        str(path),
        pattern=pattern,
        name="",
        max_bytes=None,
        folder=str(path.parent),
        limit=limit,
        progress=None,
    )
    seconds = time.perf_counter() - start
    return total, read, Counts.open(path).totals().pieces, seconds
