"""From nothing to the first shuffled batch, and to the batch after sample 10^11, of any amount of data.

    python benchmarks/sample_start.py [--runs N] [--json OUT]

A sparse file of 10^12 uint16 ids (2 TB that take no room; ext4, xfs and btrfs can) and one of 2 x 10^8.
Measured is from opening the file to the first batch of 32 x 1,024, and from a saved state to the next batch;
imports come before. torch's DataLoader draws its order beforehand, 8 bytes a window, and again to resume: of
10^12 ids that is done for a tenth of the windows only, and is named so. grain has an environment of its own;
what has a format of its own (litdata, mosaicml-streaming, tokbin) would have to write 2 TB first.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import _inputs
from _harness import Benchmark, Load, Section, main
from _sample_peers import PEERS

ROWS, LENGTH = 32, 1024
SMALL, LARGE = 200_000_000, 10**12
SAMPLE = 10**11


def path(folder: Path, tokens: int) -> Path:
    return folder / f"{tokens}.bin"


def setup(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    for tokens in (SMALL, LARGE):
        with path(folder, tokens).open("wb") as file:
            file.truncate(2 * tokens)
    return {"ids": f"{SMALL:,} and {LARGE:,}, sparse"}


def tokenmill(tokens: int, sample: int, folder: Path, options: argparse.Namespace) -> Section:
    import numpy as np

    import tokenmill as tm

    def run() -> Any:
        data = np.memmap(path(folder, tokens), np.uint16, "r")
        loader = tm.DataLoader(
            data, max_length=LENGTH, batch_size=ROWS, epochs=None, stride=1 if sample else None
        )
        loader.position = sample
        return next(iter(loader)).input_ids

    return section(run)


def torch_dataloader(tokens: int, share: int, folder: Path, options: argparse.Namespace) -> Section:
    from _sample_peers import MappedWindows
    from torch.utils.data import DataLoader, Subset

    def run() -> Any:
        windows = MappedWindows(folder, LENGTH, path(folder, tokens).name)
        part: Any = Subset(windows, range(len(windows) // share))  # type: ignore[arg-type]
        return next(iter(DataLoader(part, ROWS, shuffle=True)))[0].numpy()

    return section(run)


def grain(tokens: int, sample: int, folder: Path, options: argparse.Namespace) -> Section:
    import grain as google_grain
    from _sample_peers import NumpyWindows

    def run() -> Any:
        windows = NumpyWindows(folder, LENGTH, path(folder, tokens).name, stride=1 if sample else LENGTH)
        # Its batches are found by their number: that is how it resumes.
        rows = google_grain.MapDataset.source(windows).shuffle(seed=0).batch(ROWS)[sample // ROWS]
        return rows[:, :-1]

    return section(run)


def section(run: Callable[[], Any]) -> Section:
    # All ids are 0, and so of any order the same.
    return Section(run=run, digests=lambda batch: {"batch": _inputs.sha256([batch.tobytes()])}, amount=1)


def cases(options: argparse.Namespace) -> Mapping[str, Mapping[str, Load]]:
    return {
        "first batch of 2 x 10^8 ids": {
            "tokenmill": partial(tokenmill, SMALL, 0),
            "torch DataLoader": partial(torch_dataloader, SMALL, 1),
            "grain": partial(grain, SMALL, 0),
        },
        "first batch of 10^12 ids": {
            "tokenmill": partial(tokenmill, LARGE, 0),
            "torch DataLoader, a tenth": partial(torch_dataloader, LARGE, 10),
            "grain": partial(grain, LARGE, 0),
        },
        "the batch at sample 10^11 (stride 1)": {
            "tokenmill": partial(tokenmill, LARGE, SAMPLE),
            "grain": partial(grain, LARGE, SAMPLE),
        },
    }


if __name__ == "__main__":
    requirements = {"grain": PEERS["grain"].requirements}
    main(Benchmark(description=__doc__, unit="starts/s", cases=cases, setup=setup, requirements=requirements))
