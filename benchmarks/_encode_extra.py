"""Two more questions about ourselves: what threads bring, and how much memory a large corpus takes."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import _encode_texts
from _encode_peers import OURS
from _encode_run import Runner, threads
from _harness import aligned, digits

SCALING_MEGABYTES = 60
MEMORY_MEGABYTES = 1200
KIND = "english"


def kinds(options: argparse.Namespace) -> list[str]:
    """The first one is taken."""
    return list(options.kinds or options.corpora or [KIND])


def vocabularies(options: argparse.Namespace) -> list[str]:
    """The first one is taken."""
    return list(options.vocabularies or ["gpt2"])


def _grown(source: Path, megabytes: float, seed: int) -> list[bytes]:
    """Its documents in ever new orders, until there are that many megabytes."""
    documents = [text.encode() for text in _encode_texts.read(source, whole=False)]
    chance = random.Random(seed)
    taken, size = [], 0
    while True:
        chance.shuffle(documents)
        for document in documents:
            taken.append(document)
            size += len(document)
            if size >= megabytes * 1e6:
                return taken


def scaling(runner: Runner, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Our speed with all threads by that with one, of runs that follow each other."""
    kind, *_ = kinds(options)
    name, *_ = vocabularies(options)
    texts = _encode_texts.text_path(runner.folder, kind)
    _encode_texts.write_documents(runner.folder, "scaling", _grown(texts, SCALING_MEGABYTES, 0))
    rows = [[f"{kind}, {name}", "one thread MB/s", f"{threads()} threads MB/s", "all by one"]]
    report = []
    for mode in ("document-numpy", "batch-numpy", "batch", "file"):
        speeds: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(runner.runs):
            for one_thread in (True, False):
                result = runner.work(OURS, name, "scaling", mode, one_thread, warm=False)
                if "error" in result:
                    raise SystemExit(f"scaling, {mode}: {result['error']}")
                speeds[one_thread].append(result["MB"] / result["seconds"])
        times = median(many / one for one, many in zip(speeds[True], speeds[False], strict=True))
        rows.append([mode, digits(median(speeds[True])), digits(median(speeds[False])), f"{times:.2f} ×"])
        report.append({"mode": mode, "one": speeds[True], "all": speeds[False]})
    print(f"\n### scaling, {SCALING_MEGABYTES} MB\n\n{aligned(rows)}", flush=True)
    return report


def memory(runner: Runner, options: argparse.Namespace) -> dict[str, Any]:
    """The peak of `tokenmill.prepare` over a file that does not fit its buffers."""
    kind, *_ = kinds(options)
    name, *_ = vocabularies(options)
    corpus = runner.folder / "memory.txt"
    write_corpus(_encode_texts.text_path(runner.folder, kind), corpus)
    try:
        result = runner.work(OURS, name, "memory", "prepare", False, warm=False, limit=1800)
    finally:
        corpus.unlink()
    if "error" in result:
        raise SystemExit(f"memory: {result['error']}")
    speed = result["MB"] / result["seconds"]
    print(f"\n### memory\n\n{kind}, {name}, {result['MB']:.0f} MB of JSON lines to a store: ", end="")
    print(f"{digits(speed)} MB/s, {result['tokens']:,} tokens, peak {result['peak_mb']:.0f} MB", flush=True)
    return result


def write_corpus(source: Path, out: Path) -> None:
    """JSON lines, the documents in ever new orders. One shuffle is in memory, never the file."""
    documents = _encode_texts.read(source, whole=False)
    chance = random.Random(0)
    size = 0
    with out.open("w", encoding="utf-8", newline="\n") as file:
        while size < MEMORY_MEGABYTES * 1e6:
            chance.shuffle(documents)
            for document in documents:
                size += file.write(json.dumps({"text": document}) + "\n")


def prepare(job: dict[str, Any]) -> dict[str, Any]:
    """In the worker: encodes the corpus into a store beside it, and removes the store."""
    import shutil
    import time

    from _encode_vocabularies import Vocabulary
    from _harness import peak_mb

    import tokenmill as tm

    one = Vocabulary.load(Path(job["vocabulary"]))
    tokenizer = tm.Tokenizer.load(one.ours, pattern=one.pattern)
    source = Path(job["texts"])
    out = source.with_suffix(".tm")
    started = time.perf_counter()
    documents = tm.Documents.from_files(str(source), format="jsonl", text_field="text")
    store = tm.prepare(documents, tokenizer=tokenizer, out=out, add_eos=False)
    result = {"seconds": time.perf_counter() - started, "peak_mb": peak_mb(), "tokens": store.num_tokens}
    shutil.rmtree(out)
    return result


MODES: dict[str, Callable[[Runner, argparse.Namespace], Any]] = {"scaling": scaling, "memory": memory}
