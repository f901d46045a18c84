"""Shuffled training batches from tokens on disk, against gathering them with NumPy.

    python benchmarks/sample.py [--tokens N] [--rows R] [--max-length L] [--runs N] [--json OUT]

One epoch of shuffled batches (32 x 1,024 by default) from a memory-mapped uint16 file of 100 million tokens
in the page cache, as int64 inputs and labels. The others are given the starts of the windows, the same as
ours, for nothing: what shuffling costs is in our time alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _inputs
from _harness import Benchmark, Load, Section, main

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ids = NDArray[np.int64]
    Tokens = NDArray[np.uint16]
    Starts = NDArray[np.int64]

#: So many batches are compared.
COMPARED = 200


def setup(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    import numpy as np

    random = np.random.default_rng(0)
    with (folder / "tokens.bin").open("wb") as file:
        for start in range(0, options.tokens, 10_000_000):
            count = min(10_000_000, options.tokens - start)
            random.integers(0, 50_257, count, dtype=np.uint16).tofile(file)
    windows = np.concatenate([batch.windows for batch in loader(tokens(folder), options)])
    np.save(folder / "starts.npy", windows.astype(np.int64) * options.max_length)
    return {"tokens": options.tokens, "windows": len(windows)}


def tokens(folder: Path) -> Tokens:
    import numpy as np

    return np.memmap(folder / "tokens.bin", np.uint16, "r")


def loader(data: Tokens, options: argparse.Namespace) -> Any:
    import tokenmill as tm

    return tm.DataLoader(data, max_length=options.max_length, batch_size=options.rows, shuffle=True, seed=0)


def numpy_gather(data: Tokens, starts: Starts, length: int) -> tuple[Ids, Ids]:
    """One indexing for all rows: the fastest that we know in NumPy."""
    import numpy as np

    rows = data[starts[:, None] + np.arange(length + 1)].astype(np.int64)
    return rows[:, :-1], rows[:, 1:]


def get_batch(data: Tokens, starts: Starts, length: int) -> tuple[Ids, Ids]:
    """As nanoGPT's: a slice, a conversion and a stack for inputs and labels each."""
    import numpy as np

    inputs = np.stack([data[start : start + length].astype(np.int64) for start in starts])
    labels = np.stack([data[start + 1 : start + 1 + length].astype(np.int64) for start in starts])
    return inputs, labels


def tokenmill(folder: Path, options: argparse.Namespace) -> Section:
    data = tokens(folder)

    def batches() -> Iterator[tuple[Ids, Ids]]:
        return ((batch.input_ids, batch.labels) for batch in loader(data, options))

    return section(data, batches, options)


def peer(
    gather: Callable[[Tokens, Starts, int], tuple[Ids, Ids]], folder: Path, options: argparse.Namespace
) -> Section:
    import numpy as np

    data, starts = tokens(folder), np.load(folder / "starts.npy")

    def batches() -> Iterator[tuple[Ids, Ids]]:
        for first in range(0, len(starts), options.rows):
            yield gather(data, starts[first : first + options.rows], options.max_length)

    return section(data, batches, options)


def section(
    data: Tokens, batches: Callable[[], Iterable[tuple[Ids, Ids]]], options: argparse.Namespace
) -> Section:
    data.max()  # reads the file into the page cache, and maps its pages

    def run() -> None:
        for _ in batches():
            pass

    def digests(_: None) -> dict[str, str]:
        parts = (part.tobytes() for pair in islice(batches(), COMPARED) for part in pair)
        return {f"the first {COMPARED} batches": _inputs.sha256(parts)}

    per_batch = options.rows * options.max_length
    windows = -(-(len(data) - options.max_length) // options.max_length)
    return Section(run=run, digests=digests, amount=windows // options.rows * per_batch / 1e6)


def cases(options: argparse.Namespace) -> Mapping[str, Mapping[str, Load]]:
    return {
        f"batches of {options.rows} x {options.max_length:,}": {
            "tokenmill.DataLoader": tokenmill,
            "NumPy, one indexing a batch": partial(peer, numpy_gather),
            "NumPy, as nanoGPT's get_batch": partial(peer, get_batch),
        }
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tokens", type=int, default=100_000_000, metavar="N", help="in the file (100000000)"
    )
    parser.add_argument("--rows", type=int, default=32, metavar="R", help="windows a batch (32)")
    parser.add_argument("--max-length", type=int, default=1024, metavar="L", help="tokens a window (1024)")


if __name__ == "__main__":
    main(
        Benchmark(
            description=__doc__, unit="M tokens/s", cases=cases, setup=setup, add_arguments=add_arguments
        )
    )
