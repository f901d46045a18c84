"""Prepares one file and prints what it took as JSON: `_prepare_worker.py CONTENDER FOLDER FORM VOCABULARY`.

Runs in the environment of the contender: imports the standard library, NumPy and the contender alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from _harness import peak_mb

END = {"gpt2": 50256, "cl100k_base": 100257}

#: The ids of all documents, without what ends them, and how many each has.
Ids = tuple[Any, Any]
#: Does the work that is timed; gives a function for the ids, which is not.
Job = Callable[[], Callable[[], Ids]]


def _tokenmill(verified: bool) -> Callable[[Path, str, str], Job]:
    def load(folder: Path, form: str, vocabulary: str) -> Job:
        import _inputs

        import tokenmill as tm

        tokenizer = tm.Tokenizer.load(_inputs.vocabulary_path(folder, vocabulary))
        out = folder / f"{os.getpid()}.tm"
        options = {"separator": "\n"} if form.endswith("txt") else {}

        def work() -> Callable[[], Ids]:
            documents = tm.Documents.from_files(folder / f"text.{form}", **options)
            store = tm.prepare(documents, tokenizer=tokenizer, out=out)
            if verified and not (report := store.verify()).ok:
                raise SystemExit(str(report))

            def ids() -> Ids:
                tokens = store[:]
                is_end = tokens == END[vocabulary]
                lengths = np.diff(np.flatnonzero(is_end), prepend=-1) - 1
                tokens = tokens[~is_end]
                shutil.rmtree(out)
                return tokens, lengths

            return ids

        return work

    return load


def _gigatoken(folder: Path, form: str, vocabulary: str) -> Job:
    import awkward as ak
    from gigatoken import JsonlFileSource, TextFileSource, Tokenizer

    path = folder / f"text.{form}"
    if vocabulary == "gpt2":
        # Without special tokens: it takes those that it knows for themselves wherever a text spells them.
        plain = json.loads((folder / "gpt2.tokenizer.json").read_text(encoding="utf-8"))
        (folder / "gpt2.plain.json").write_text(json.dumps({**plain, "added_tokens": []}), encoding="utf-8")
        tokenizer = Tokenizer(folder / "gpt2.plain.json")
    else:
        ranks = folder / f"{vocabulary}.tiktoken"
        tokenizer = Tokenizer.from_tiktoken(ranks, pretokenizer="gpt4", special_tokens={})
    source = (
        TextFileSource([path], separator="\n")
        if form.endswith("txt")
        else JsonlFileSource([path], field="text")
    )

    def work() -> Callable[[], Ids]:
        batch = tokenizer.encode_files(source, parallel=True)
        return lambda: (ak.to_numpy(ak.flatten(batch)), ak.to_numpy(ak.num(batch)))

    return work


def _tiktoken(folder: Path, form: str, vocabulary: str) -> Job:
    import _inputs

    encoding = _inputs.tiktoken_encoding(folder, vocabulary)
    with (folder / f"text.{form}").open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]

    def work() -> Callable[[], Ids]:
        batch = encoding.encode_ordinary_batch(texts, num_threads=os.cpu_count() or 1)
        return lambda: (
            np.fromiter(chain.from_iterable(batch), np.uint32),
            np.array([len(row) for row in batch]),
        )

    return work


CONTENDERS: dict[str, Callable[[Path, str, str], Job]] = {
    "tokenmill": _tokenmill(False),
    "tokenmill, then verify": _tokenmill(True),
    "gigatoken": _gigatoken,
    "tiktoken": _tiktoken,
}


def _digest(ids: Ids) -> str:
    tokens, lengths = ids
    digest = hashlib.sha256(np.asarray(lengths, dtype="<u8").tobytes())
    digest.update(np.asarray(tokens, dtype="<u4").tobytes())
    return digest.hexdigest()[:16]


def main() -> None:
    name, folder, form, vocabulary = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    job = CONTENDERS[name](folder, form, vocabulary)
    cpu, start = time.process_time(), time.perf_counter()
    ids = job()
    seconds, cpu_seconds, peak = time.perf_counter() - start, time.process_time() - cpu, peak_mb()
    result = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": peak, "digest": _digest(ids())}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
