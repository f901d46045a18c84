"""From a file of texts to a token store on disk, against tiktoken's batch encoding in memory.

    python benchmarks/prepare.py [--data PATH ...] [--megabytes MB] [--runs N] [--json OUT]

Ours reads and parses a JSON Lines file, encodes with all threads, ends each document with <|endoftext|>, and
writes ids, document ends, origins and hashes to disk (fsync included); one row reads all of it again to
verify it. tiktoken's texts are in memory before its time begins, and its lists stay there.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import _inputs
from _harness import Benchmark, Load, Section, main


def tokenmill(vocabulary: str, verified: bool, folder: Path, options: argparse.Namespace) -> Section:
    import numpy as np

    import tokenmill as tm

    tokenizer = tm.Tokenizer.load(_inputs.vocabulary_path(folder, vocabulary))
    out = folder / f"{os.getpid()}.tm"
    corpus = str(folder / _inputs.CORPUS)

    def run() -> Any:
        store = tm.prepare(corpus, tokenizer=tokenizer, out=out, add_eos=True)
        if verified and not (report := store.verify()).ok:
            raise SystemExit(str(report))
        return store

    def digests(store: Any) -> dict[str, str]:
        documents = (store.document(i).astype(np.uint32).tobytes() for i in range(store.num_documents))
        return {"the ids": _inputs.sha256(documents)}

    return Section(run=run, digests=digests, amount=_inputs.megabytes(_inputs.stream_corpus(folder)))


def tiktoken(vocabulary: str, folder: Path, options: argparse.Namespace) -> Section:
    texts = _inputs.read_corpus(folder)
    encoding = _inputs.tiktoken_encoding(folder, vocabulary)
    end = {"gpt2": 50256, "cl100k_base": 100257}[vocabulary]

    def digests(batch: list[list[int]]) -> dict[str, str]:
        import numpy as np

        return {"the ids": _inputs.sha256(np.array([*ids, end], dtype=np.uint32).tobytes() for ids in batch)}

    return Section(
        run=lambda: encoding.encode_ordinary_batch(texts, num_threads=os.cpu_count() or 1),
        digests=digests,
        amount=_inputs.megabytes(texts),
    )


def cases(options: argparse.Namespace) -> Mapping[str, Mapping[str, Load]]:
    return {
        vocabulary: {
            "tokenmill.prepare": partial(tokenmill, vocabulary, False),
            "tokenmill.prepare, then verify": partial(tokenmill, vocabulary, True),
            "tiktoken, in memory": partial(tiktoken, vocabulary),
        }
        for vocabulary in _inputs.VOCABULARIES
    }


def setup(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    _inputs.write_vocabularies(folder)
    return _inputs.write_corpus(folder, options)


if __name__ == "__main__":
    main(
        Benchmark(
            description=__doc__,
            unit="MB/s",
            cases=cases,
            setup=setup,
            add_arguments=_inputs.add_corpus_arguments,
        )
    )
