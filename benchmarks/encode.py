"""Encoding against gigatoken, tiktoken and Hugging Face tokenizers: one vocabulary, one text, the same ids.

    python benchmarks/encode.py [--data PATH ...] [--megabytes MB] [--runs N] [--json OUT]

The first pass over text that the process has not seen: what a corpus, which is encoded once, costs. "Calls"
are one a document, in one thread; "batch" is one for all of them, with all threads. The results are lists of
int unless the row says NumPy; gigatoken's calls give NumPy too. tokenizers is so much slower that it gets the
first megabytes only, as its row says.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import _inputs
from _harness import Benchmark, Load, Section, main


class Encoder(NamedTuple):
    """One library's two ways to encode."""

    one: Callable[[str], Any]
    batch: Callable[[list[str]], Any]


def tokenmill(folder: Path, vocabulary: str) -> Encoder:
    import tokenmill as tm

    tokenizer = tm.Tokenizer.load(_inputs.vocabulary_path(folder, vocabulary))
    return Encoder(tokenizer.encode, tokenizer.encode_batch)


def tokenmill_numpy(folder: Path, vocabulary: str) -> Encoder:
    import numpy  # noqa: F401  else it is imported at the first call

    import tokenmill as tm

    tokenizer = tm.Tokenizer.load(_inputs.vocabulary_path(folder, vocabulary))
    return Encoder(tokenizer.encode_to_numpy, tokenizer.encode_batch_to_numpy)


def tiktoken(folder: Path, vocabulary: str) -> Encoder:
    encoding = _inputs.tiktoken_encoding(folder, vocabulary)
    return Encoder(
        encoding.encode_ordinary, partial(encoding.encode_ordinary_batch, num_threads=os.cpu_count() or 1)
    )


def tokenizers(folder: Path, vocabulary: str) -> Encoder:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(_inputs.hugging_face_path(folder, vocabulary)))
    # The fast one computes no offsets.
    return Encoder(
        lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
        lambda texts: [one.ids for one in tokenizer.encode_batch_fast(texts, add_special_tokens=False)],
    )


def gigatoken(folder: Path, vocabulary: str) -> Encoder:
    from gigatoken import Tokenizer

    path = _inputs.vocabulary_path(folder, vocabulary)
    if path.suffix == ".tiktoken":
        tokenizer = Tokenizer.from_tiktoken(path)
    else:
        tokenizer = Tokenizer(_inputs.hugging_face_path(folder, vocabulary))
    return Encoder(tokenizer.encode, tokenizer.encode_batch_list)


def load(
    make: Callable[[Path, str], Encoder],
    vocabulary: str,
    in_batch: bool,
    limited: bool,
    folder: Path,
    options: argparse.Namespace,
) -> Section:
    """`limited`: the contender gets only the first part of the texts."""
    texts = _inputs.read_corpus(folder)
    part = first_part(texts, options.tokenizers_megabytes)
    if limited:
        del texts[part:]
    encoder = make(folder, vocabulary)
    return Section(
        run=(lambda: encoder.batch(texts)) if in_batch else (lambda: [encoder.one(text) for text in texts]),
        digests=partial(digests, part=part, limited=limited),
        amount=_inputs.megabytes(texts),
    )


def first_part(texts: Sequence[str], megabytes: float) -> int:
    """How many of the first texts are that much text."""
    left = megabytes * 1e6
    for count, text in enumerate(texts):
        left -= len(text.encode())
        if left < 0:
            return max(1, count)
    return len(texts)


def digests(batch: Any, part: int, limited: bool) -> dict[str, str]:
    """Of all ids and where each text ends, and of the first part's."""
    import numpy as np

    if isinstance(batch, tuple):
        ids, offsets = batch
        batch = [ids[start:stop] for start, stop in pairwise(offsets)]
    rows = [np.array([len(ids), *ids], dtype=np.uint32).tobytes() for ids in batch]
    hashes = {"the ids of the first part": _inputs.sha256(rows[:part])}
    return hashes if limited else hashes | {"the ids": _inputs.sha256(rows)}


def cases(options: argparse.Namespace) -> Mapping[str, Mapping[str, Load]]:
    slow = f"tokenizers (first {options.tokenizers_megabytes:g} MB)"
    contenders = {
        "tokenmill": (tokenmill, False),
        "tokenmill, NumPy": (tokenmill_numpy, False),
        "gigatoken": (gigatoken, False),
        "tiktoken": (tiktoken, False),
        slow: (tokenizers, True),
    }
    return {
        f"{vocabulary}, {'batch, all threads' if in_batch else 'calls, one thread'}": {
            name: partial(load, make, vocabulary, in_batch, limited)
            for name, (make, limited) in contenders.items()
        }
        for vocabulary in _inputs.VOCABULARIES
        for in_batch in (False, True)
    }


def setup(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    _inputs.write_vocabularies(folder)
    return _inputs.write_corpus(folder, options)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _inputs.add_corpus_arguments(parser)
    parser.add_argument(
        "--tokenizers-megabytes", type=float, default=4, metavar="MB", help="tokenizers gets these (4)"
    )


if __name__ == "__main__":
    main(Benchmark(description=__doc__, unit="MB/s", cases=cases, setup=setup, add_arguments=add_arguments))
