"""One tokenizer in many threads and processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import peers
from peers import Both
from samples import MIXED, standard_library

HAS_FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


@pytest.fixture(scope="module")
def cl100k(cl100k_path: Path) -> Both:
    return peers.cl100k(cl100k_path)


def run(code: str, *arguments: str, **environment: str) -> None:
    """Runs `code` in a process of its own. One that waits for ever fails the test."""
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), **environment}
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    subprocess.run(command, env=variables, check=True, timeout=240)


def test_sixteen_threads_share_one_tokenizer(cl100k: Both) -> None:
    short = [MIXED, *MIXED.splitlines(), "", "a"]
    long = ["\n".join(standard_library(300_000)), MIXED * 50]
    want = [cl100k.theirs.encode_ordinary(text) for text in short + long]

    def work(_: int) -> bool:
        return (
            [cl100k.ours.encode(text) for text in short + long] == want
            and cl100k.ours.encode_batch(short + long) == want
            and [cl100k.ours.count(text) for text in short + long] == list(map(len, want))
        )

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(48)))


@pytest.mark.parametrize("call", ["encode_to_numpy", "encode_batch", "encode_batch_to_numpy"])
def test_other_threads_run_while_much_text_is_encoded(cl100k: Both, call: str) -> None:
    texts = [text + "é" for text in standard_library(4_000_000)] * 3
    text = "\n".join(texts)
    encoding, steps = threading.Event(), 0
    done = threading.Event()

    def encode() -> None:
        encoding.set()
        getattr(cl100k.ours, call)(texts if "batch" in call else text)
        done.set()

    # With the GIL held from call to return, at most one switch would happen before `done` is set.
    thread = threading.Thread(target=encode)
    thread.start()
    encoding.wait()
    while not done.is_set():
        steps += 1
    thread.join()
    assert steps > 1000


BUSY = """
import os, sys, threading
import tokenmill as tm
from samples import MIXED
tok = tm.Tokenizer.load(sys.argv[1])
short, long = MIXED[:300], MIXED * 100
want = [tok.encode(short), tok.encode(long), tok.encode_batch([long] * 3)]
stop = threading.Event()
def busy(text):
    while not stop.is_set():
        tok.encode(text)
threads = [threading.Thread(target=busy, args=(text,), daemon=True) for text in (MIXED, MIXED, long, long)]
for thread in threads:
    thread.start()
bad = 0
for i in range(40):
    child = os.fork()
    if child == 0:
        got = [tok.encode(short)]
        if i % 4 == 0:
            got += [tok.encode(long), tok.encode_batch([long] * 3)]
        os._exit(0 if got == want[:len(got)] else 1)
    bad += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
stop.set()
sys.exit(bad)
"""


@HAS_FORK
def test_children_forked_while_other_threads_encode(cl100k_path: Path) -> None:
    run(BUSY, str(cl100k_path))


PROCESSES = """
import multiprocessing, sys
import tokenmill as tm
from samples import MIXED
tok = tm.Tokenizer.load(sys.argv[1])
batch = [MIXED * 20] * 8
want, count = tok.encode_batch(batch), tok.count(batch[0] * 10)
def work(_):
    return tok.encode_batch(batch) == want and tok.count(batch[0] * 10) == count
with multiprocessing.get_context("fork").Pool(3) as pool:
    ok = all(pool.map(work, range(9)))
sys.exit(not (ok and tok.encode_batch(batch) == want))
"""


@HAS_FORK
def test_a_pool_of_forked_processes_after_use(cl100k_path: Path) -> None:
    run(PROCESSES, str(cl100k_path))
    run(PROCESSES, str(cl100k_path), TOKENMILL_NUM_THREADS="1")


CACHE = """
import sys
import tokenmill as tm, peers
from pathlib import Path
from samples import standard_library

both = peers.cl100k(Path(sys.argv[1]))
# 400,000 different words, of which one MiB holds 16,384: nearly all are thrown out and come again.
words = " ".join(f"w{number * 7919 % 400_000}x" for number in range(400_000))
for text in [words, words[::-1], "\\n".join(standard_library(500_000))]:
    assert both.ours.encode(text) == both.theirs.encode_ordinary(text)
"""


def test_a_small_cache_changes_no_id(cl100k_path: Path) -> None:
    run(CACHE, str(cl100k_path), TOKENMILL_CACHE_MIB="1")


@pytest.mark.parametrize("size", ["0", "-1", "many", "99999999999999999999"])
def test_a_cache_size_that_is_none_is_refused(size: str) -> None:
    code = "import tokenmill as tm; tm.train_bpe(tm.Documents.from_texts(['a']), vocab_size=257)"
    with pytest.raises(subprocess.CalledProcessError) as failed:
        command = [sys.executable, "-c", code]
        variables = {**os.environ, "TOKENMILL_CACHE_MIB": size}
        subprocess.run(command, env=variables, check=True, timeout=240, capture_output=True, text=True)
    assert f'TOKENMILL_CACHE_MIB="{size}" is not a size in MiB' in failed.value.stderr
