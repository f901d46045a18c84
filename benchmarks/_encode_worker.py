"""One measurement of one contender in a fresh process: python _encode_worker.py JOB.json

The job names the contender, the vocabulary, the texts, the mode and the number of threads. The result lies in
the job's "result" file afterwards: the times of the first pass and of a repeat, memory, a hash of the ids of
each text, or why there is none.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
from typing import Any

import _encode_extra
import _encode_peers
import _encode_texts
from _encode_vocabularies import Vocabulary
from _harness import peak_mb, resident_mb

#: In the mode "file" so many ids share a hash.
BLOCK = 4096


def limit_to_one_cpu() -> None:
    """Threads that a contender starts in spite of its settings then share one CPU. Linux only."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """All of a job."""
    import numpy  # noqa: F401  else it is imported at a contender's first call

    peer = _encode_peers.PEERS[job["peer"]]
    vocabulary = Vocabulary.load(Path(job["vocabulary"]))
    mode, texts_path = job["mode"], Path(job["texts"])
    peer.prepare(vocabulary)
    started = time.perf_counter()
    encoder = peer.load(vocabulary, job["threads"])
    load_seconds = time.perf_counter() - started
    texts = _encode_texts.read(texts_path, whole=mode == "file")
    run = _encode_peers.calls(encoder, mode, texts, texts_path)
    gc.collect()
    result: dict[str, Any] = {"load_seconds": load_seconds, "loaded_mb": resident_mb()}
    result["lists"] = getattr(encoder, mode.replace("-", "_")) is None
    seconds, cpu_seconds, ids = _timed(run)
    result |= {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": peak_mb()}
    result["threads"] = thread_count()
    result["digests"] = digests(ids, mode)
    del ids
    if job["warm"]:
        gc.collect()
        result["warm_seconds"], _, ids = _timed(run)
        if digests(ids, mode) != result["digests"]:
            raise RuntimeError("other ids the second time")
    return result


def _timed(run: Any) -> tuple[float, float, Any]:
    cpu_started, started = time.process_time(), time.perf_counter()
    ids = run()
    return time.perf_counter() - started, time.process_time() - cpu_started, ids


def thread_count() -> int | None:
    """Of this process now, the contender's pools included; None where the system does not tell."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else None


def digests(result: Any, mode: str) -> list[str]:
    """A hash for each text; of one long text, for each block of its ids."""
    arrays = list(_encode_peers.rows(result))
    if mode == "file":
        (whole,) = arrays
        arrays = [whole[start : start + BLOCK] for start in range(0, len(whole), BLOCK)]
    return [blake2b(array.tobytes(), digest_size=8).hexdigest() for array in arrays]


def versions(name: str) -> dict[str, str]:
    """Of the contender and of NumPy here."""
    found = {}
    for package in ({"quicktok": "quicktok-v1"}.get(name, name), "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Reads the job, writes the result. What is not an Exception ends the process: the parent reports it."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if job["threads"] == 1:
        limit_to_one_cpu()
    try:
        result = _encode_extra.prepare(job) if job["mode"] == "prepare" else measure(job)
    # PyO3's panics are BaseException.
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        line = " ".join(str(error).split()) or type(error).__name__
        result = {"error": f"{type(error).__name__}: {line}"}
    result["versions"] = versions(job["peer"])
    Path(job["result"]).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
