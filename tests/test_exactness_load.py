"""The same ids under load: any number of threads, many on one object, more pieces than memory would hold."""

from __future__ import annotations

import hashlib
import os
import random
import string
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import peers
from peers import Both
from samples import MIXED, standard_library

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def cl100k(cl100k_path: Path) -> Both:
    return peers.cl100k(cl100k_path)


def run(code: str, *arguments: object, **variables: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(HERE), **variables},
        check=True,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    return done.stdout.strip()


# Threads.

THREADS = """
import sys
import tokenmill as tm
from test_exactness_load import digest, documents
tok = tm.Tokenizer.load(sys.argv[1])
batch = documents()
ids = tok.encode_batch(batch)
flat, offsets = tok.encode_batch_to_numpy(batch)
single = [tok.encode_to_numpy(text) for text in batch]
store = tm.prepare(tm.Documents.from_texts(batch), tokenizer=tok, out=sys.argv[2], add_eos=False)
print(digest(ids), digest(single), digest([flat]), digest([store[:]]), store.content_hash)
"""


def documents() -> list[str]:
    """Long ones that a splitter could cut, with and without spaces, among many short ones."""
    rng = random.Random(3)
    letters = "".join(rng.choices(string.ascii_lowercase, k=150_000))
    chinese = "".join(rng.choices("的一是不了人我在有他这中大来上国", k=50_000))
    unkind = "".join(
        rng.choices(["\r\n", "  ", "1234", "'s", ".\n//", "。\n\n", "\u0301", "word", " Word"], k=200_000)
    )
    short = MIXED.splitlines(keepends=True)
    return [
        MIXED * 150,
        "",
        *short,
        letters,
        *short * 100,
        chinese,
        unkind,
        "".join(unkind.split()),
        " " * 150_000,
        "x",
    ]


def digest(rows: list[list[int]]) -> str:
    """Of the ids in a row."""
    hashed = hashlib.sha256()
    for row in rows:
        hashed.update(np.asarray(row, dtype=np.uint32).tobytes())
    return hashed.hexdigest()


def test_the_number_of_threads_changes_nothing(cl100k: Both, cl100k_path: Path, tmp_path: Path) -> None:
    want = digest(cl100k.theirs.encode_ordinary_batch(documents(), num_threads=2))
    printed = {
        threads: run(
            THREADS, cl100k_path, tmp_path / f"{threads}.tm", TOKENMILL_NUM_THREADS=str(threads)
        ).split()
        for threads in (1, 2, 5)
    }
    for threads, (*digests, content) in printed.items():
        assert digests == [want] * 4, threads
        assert content == printed[1][4], threads


def test_sixteen_threads_share_one_tokenizer(cl100k: Both) -> None:
    ours, theirs = cl100k.ours, cl100k.theirs
    rng = random.Random(4)
    texts = [
        MIXED[number:] + "".join(rng.choices(string.ascii_letters + "  é中", k=20_000)) + text[:20_000]
        for number, text in enumerate(list(standard_library(600_000)) * 3)
    ][:48]
    want = theirs.encode_ordinary_batch(texts, num_threads=2)

    def every_way(number: int) -> list[list[int]]:
        text = texts[number]
        flat, offsets = ours.encode_batch_to_numpy([text, "a", text])
        parts = [flat[start:end].tolist() for start, end in pairwise(offsets)]
        assert ours.count(text) == len(want[number])
        located, _ = ours.encode_with_offsets(text)
        return [ours.encode(text), ours.encode_to_numpy(text).tolist(), located, parts[0], parts[2]]

    with ThreadPoolExecutor(16) as pool:
        for number, results in enumerate(pool.map(every_way, range(len(texts)))):
            assert all(ids == want[number] for ids in results), number


# Many documents.


def test_a_million_documents_of_one_byte(cl100k: Both) -> None:
    characters = [chr(code) for code in range(128)]
    single = [cl100k.theirs.encode_ordinary(character) for character in characters]
    assert {len(ids) for ids in single} == {1}
    repeats = 1_000_000 // 128 + 1
    batch = characters * repeats
    ids, offsets = cl100k.ours.encode_batch_to_numpy(batch)
    assert np.array_equal(offsets, np.arange(len(batch) + 1))
    assert np.array_equal(ids, np.tile(np.array(single).ravel(), repeats))
    assert cl100k.ours.encode_batch(batch) == single * repeats


# Memory.

MEMORY = """
import random, sys
from pathlib import Path
import numpy as np
import tokenmill as tm

def resident(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) / 1000

tok = tm.Tokenizer.load(sys.argv[1])
kind, total = sys.argv[2], int(sys.argv[3])
rng = np.random.default_rng(0)

def words(count, length):
    # A space and letters: `count` pieces, nearly all of them different from all before.
    letters = rng.integers(97, 123, (count, length + 1), dtype=np.uint8)
    letters[:, 0] = 32
    return letters.tobytes().decode()

def some(count):
    if kind == "words":
        return words(count, 8)
    if kind == "long words":
        return words(count // 5, 24) + words(count // 5, 60)
    # A few pieces of 300 kB each, others every time.
    return words(2, 300_000)

tok.encode_to_numpy(some(1000))
tok.encode_batch_to_numpy([words(100_000, 8)] * 2)
before = resident("VmRSS")
for number in range(total // 100_000):
    if number % 2:
        tok.encode_to_numpy(some(100_000))
    else:
        text = some(100_000)
        tok.encode_batch_to_numpy([text[: len(text) // 2], text[len(text) // 2 :]])
print(resident("VmHWM") - before)
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the system does not say how much memory is used"
)
@pytest.mark.parametrize("kind", ["words", "long words", "giants"])
@pytest.mark.parametrize("pieces", [600_000, pytest.param(10_000_000, marks=pytest.mark.long)])
def test_distinct_pieces_do_not_fill_the_memory(cl100k_path: Path, kind: str, pieces: int) -> None:
    # Ten million words of 9 bytes with their ids would take more than 600 MB. What is in use at once: the
    # caches of two threads, a text of 1 MB or 2 and its ids.
    grown = float(run(MEMORY, cl100k_path, kind, pieces, TOKENMILL_NUM_THREADS="2"))
    assert grown < 250
