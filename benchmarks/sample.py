"""Shuffled training batches from tokens on disk, against the loaders that people use.

    python benchmarks/sample.py [--peers NAME ...] [--tokens N] [--rows R] [--max-length L] [--runs N]

Batches of 32 x 1,024 (by default) as int64 inputs and labels, in random order, from a file of 100 million
uint16 ids: warm, with the file in the page cache and mapped, and cold, with all files dropped from it
(Linux). Peers that have a format of their own get the same ids in it; converting is not measured, nor is the
first batch, with which some open files or draw an order (sample_start.py has that). `memcpy` moves as many
bytes as any loader must (2 read, 8 written a token) in blocks that do not fit the caches. Peers with packages
of their own are installed under .bench on first use; without --peers only those are run that need none.

A time counts only if the batches are windows of the file, labels are one token ahead, and no window comes
twice (nanoGPT draws with replacement: for it only the labels are checked).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from _harness import Benchmark, Load, Section, main
from _sample_peers import FILE, PEERS, STORE_TOKENS, check, convert, memory_map

#: So many batches are checked.
CHECKED = 40
#: So many are made with a cold cache, by all alike: what one batch has read, a later one may find.
COLD_BATCHES = 100
MEMCPY = "memcpy"
#: What has read all ids before the first batch is as fast with a cold cache.
NEVER_COLD = ("torch DataLoader, windows as lists",)


def setup(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The ids, and a store of the first ones in documents of some 600."""
    import numpy as np

    random = np.random.default_rng(0)
    with (folder / FILE).open("wb") as file:
        for start in range(0, options.tokens, 10_000_000):
            count = min(10_000_000, options.tokens - start)
            random.integers(0, 50_257, count, dtype=np.uint16).tofile(file)
    ids = np.fromfile(folder / FILE, np.uint16, STORE_TOKENS)
    return {"tokens": options.tokens} | make_store(folder, ids)


def make_store(folder: Path, data: Any) -> dict[str, Any]:
    """The ids as a store, written as docs/format.md says, in one shard."""
    import sys

    import numpy as np

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    from reference.store_writer import write_store

    cuts = np.cumsum(np.random.default_rng(1).integers(1, 1200, len(data) // 600 + 1))
    ends = [*cuts[cuts < len(data)].tolist(), len(data)]
    documents = [(data[a:b].tolist(), 0, a) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    inputs = [{"name": FILE, "position": "byte", "bytes": 0, "blake3": "0" * 64}]
    write_store(
        folder / "store.tm",
        documents,
        vocab_size=50_257,
        inputs=inputs,
        shard_tokens=2**40,
        created_by="bench",
    )
    return {"documents": len(documents)}


def memcpy(folder: Path, options: argparse.Namespace) -> Section:
    import numpy as np

    tokens = 2_000 * options.rows * options.max_length
    block = np.ones(64 << 20, np.uint8)
    out = np.zeros_like(block)
    times = tokens * 10 // 2 // len(block)  # each copy reads and writes a block

    def run() -> None:
        for _ in range(times):
            np.copyto(out, block)

    return Section(run=run, digests=lambda _: {"batches": EXPECTED}, amount=times * 2 * len(block) / 10 / 1e6)


EXPECTED = "windows of the file, none twice"


def contender(name: str, cold: bool, folder: Path, options: argparse.Namespace) -> Section:
    peer = PEERS[name]
    convert(name, folder, options)
    if cold:
        for path in folder.rglob("*"):
            if path.is_file():
                drop(path)
    else:
        memory_map(folder).max()  # reads the file into the page cache, and maps its pages
    pairs = peer.open(folder, options)
    next(pairs)
    taken: list[int] = []
    ids = min(options.tokens, peer.tokens or options.tokens)
    available = (ids - 1) // (options.max_length + peer.gap) // options.rows - 2
    batches = min(COLD_BATCHES if cold else peer.batches, available)

    def run() -> None:
        for pair in islice(pairs, batches):
            taken.append(len(pair[0]))
        if sum(taken) != batches * options.rows:
            raise SystemExit(f"{name} made {sum(taken)} rows of {batches * options.rows}")

    def digests(_: None) -> dict[str, str]:
        return {"batches": check(peer.open(folder, options), folder, options, peer, CHECKED)}

    return Section(run=run, digests=digests, amount=batches * options.rows * options.max_length / 1e6)


def drop(path: Path) -> None:
    """The file's pages out of the page cache."""
    if not hasattr(os, "posix_fadvise"):
        raise SystemExit("this system has no posix_fadvise; leave out --cold")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def cases(options: argparse.Namespace) -> Mapping[str, Mapping[str, Load]]:
    names = options.peers or [name for name, peer in PEERS.items() if options.all or not peer.requirements]
    shape = f"batches of {options.rows} x {options.max_length:,}"
    warm: dict[str, Load] = {name: partial(contender, name, False) for name in names}
    found: dict[str, dict[str, Load]] = {f"{shape}, warm": warm | {MEMCPY: memcpy}}
    if options.cold:
        cold = {name: partial(contender, name, True) for name in names if name not in NEVER_COLD}
        found[f"{shape}, cold"] = dict(cold)
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--peers", nargs="+", choices=list(PEERS), metavar="NAME", help=f"of: {', '.join(PEERS)}"
    )
    parser.add_argument("--all", action="store_true", help="those too that need packages of their own")
    parser.add_argument("--cold", action="store_true", help="measure with a cold page cache, too")
    parser.add_argument(
        "--tokens", type=int, default=100_000_000, metavar="N", help="in the file (100000000)"
    )
    parser.add_argument("--rows", type=int, default=32, metavar="R", help="windows a batch (32)")
    parser.add_argument("--max-length", type=int, default=1024, metavar="L", help="tokens a window (1024)")


if __name__ == "__main__":
    main(
        Benchmark(
            description=__doc__,
            unit="M tokens/s",
            cases=cases,
            setup=setup,
            add_arguments=add_arguments,
            requirements={name: peer.requirements for name, peer in PEERS.items()},
        )
    )
