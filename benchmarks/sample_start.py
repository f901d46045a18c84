"""From nothing to the first shuffled batch, and from a saved state to the next one, of any amount of data.

    python benchmarks/sample_start.py [--all] [--runs N] [--json OUT]

Of 2 x 10^8 ids, and of 10^12: sparse files of uint16 zeros (2 TB that take no room; ext4, xfs and btrfs can),
and stores of such shards. Measured is from opening the files to the first batch of 32 x 1,024, or from a
state to the batch after it. Each contender first makes a batch of a small file, so that imports and what a
process does once are not counted; nor is converting to a format of its own. Memory is "peak MB" less "loaded
MB".

torch's DataLoader draws its order beforehand, 8 bytes a window, and gets a tenth of the windows of 10^12 ids.
Windows as lists get the first 4 x 10^6 ids, tokbin the first 10^7. What has a format of its own (litdata,
mosaicml-streaming, tokbin) would have to write 2 TB first. nanoGPT and tokbin draw with replacement.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from _harness import Benchmark, Load, Section, main
from _sample_peers import FILE, PEERS, MappedWindows, NumpyWindows, convert, litdata_loader, mosaic_loader

#: Ids of the folders; the first is the one that a process begins with.
FIRST, SMALL, LARGE = 400_000, 200_000_000, 10**12
#: Tokens of a shard, as `prepare` makes them, or about so many.
SHARD = 10**8
#: Of a store of its own.
PACKED = "tokenmill, with document masks"
#: Batches before a state of the small data; the sample where a state of the large data stands.
BATCHES, SAMPLE = 1000, 10**11


def setup(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    from reference.store_writer import write_sparse_store

    for tokens in (FIRST, SMALL, LARGE):
        (folder / str(tokens)).mkdir()
        with (folder / str(tokens) / FILE).open("wb") as file:
            file.truncate(2 * tokens)
    for tokens in (SMALL, LARGE):
        write_sparse_store(folder / f"{tokens}.tm", shard_tokens=SHARD, shards=tokens // SHARD)
    return {"ids": f"{SMALL:,} and {LARGE:,}, sparse"}


def first(name: str, tokens: int, folder: Path, options: argparse.Namespace) -> Section:
    """From opening the file to the first batch."""
    for some in (FIRST, tokens):
        convert(name, folder / str(some), options)
    next(PEERS[name].open(folder / str(FIRST), options))
    return section(lambda: next(PEERS[name].open(folder / str(tokens), options)))


def first_of_store(tokens: int, folder: Path, options: argparse.Namespace) -> Section:
    next(iter(store_loader(folder / f"{SMALL}.tm", options)))
    return section(lambda: next(iter(store_loader(folder / f"{tokens}.tm", options))))


def store_loader(store: Any, options: argparse.Namespace, **others: Any) -> Any:
    import tokenmill as tm

    opened = tm.TokenStore.open(store) if isinstance(store, Path) else store
    return tm.DataLoader(opened, max_length=options.max_length, batch_size=options.rows, **others)


def first_of_a_tenth(folder: Path, options: argparse.Namespace) -> Section:
    from torch.utils.data import DataLoader, Subset

    def run() -> Any:
        windows = MappedWindows(folder / str(LARGE), options.max_length)
        part: Any = Subset(windows, range(len(windows) // 10))  # type: ignore[arg-type]
        return next(iter(DataLoader(part, options.rows, shuffle=True)))

    return section(run)


# --- from a state, which has been through JSON where it may


def resumed(make: Callable[[], Any], state: Any) -> Section:
    def run() -> Any:
        loader = make()
        loader.load_state_dict(state)
        return next(iter(loader))

    return section(run)


def resume_store(tokens: int, sample: int, folder: Path, options: argparse.Namespace) -> Section:
    """The store is open, as it is where a run goes on after an evaluation; opening it is above."""
    import tokenmill as tm

    store = tm.TokenStore.open(folder / f"{tokens}.tm")
    make = partial(store_loader, store, options, epochs=None, stride=1 if tokens == LARGE else None)
    next(iter(make()))
    return resumed(make, json.loads(json.dumps(make().state_dict() | {"next_sample": sample})))


def resume_torchdata(folder: Path, options: argparse.Namespace) -> Section:
    from torchdata.stateful_dataloader import StatefulDataLoader

    windows = MappedWindows(folder / str(SMALL), options.max_length)
    return resume_after(partial(StatefulDataLoader, windows, options.rows, shuffle=True))


def resume_litdata(folder: Path, options: argparse.Namespace) -> Section:
    convert("litdata", folder / str(SMALL), options)
    return resume_after(partial(litdata_loader, folder / str(SMALL), options))


def resume_mosaic(folder: Path, options: argparse.Namespace) -> Section:
    convert("mosaicml-streaming", folder / str(SMALL), options)
    return resume_after(partial(mosaic_loader, folder / str(SMALL), options))


def resume_after(make: Callable[[], Any]) -> Section:
    """Its state after some batches."""
    loader = make()
    for number, _ in enumerate(loader, 1):
        if number == BATCHES:
            break
    return resumed(make, loader.state_dict())


def resume_grain(
    tokens: int, stride: int | None, batch: int, folder: Path, options: argparse.Namespace
) -> Section:
    """Its batches are found by their number."""
    import grain

    def run() -> Any:
        windows = NumpyWindows(folder / str(tokens), options.max_length, stride)
        return grain.MapDataset.source(windows).shuffle(seed=0).batch(options.rows)[batch]

    return section(run)


def section(run: Callable[[], Any]) -> Section:
    # All ids are 0, and so of any order the same.
    def digests(batch: Any) -> dict[str, str]:
        import numpy as np

        pair = getattr(batch, "input_ids", batch)
        inputs = np.asarray(pair[0] if isinstance(pair, (list, tuple)) else pair)
        return {"batch": f"{len(inputs)} rows of {sorted(set(inputs.ravel().tolist()))}"}

    return Section(run=run, digests=digests, amount=1)


def cases(options: argparse.Namespace) -> Mapping[str, Mapping[str, Load]]:
    store = f"tokenmill, a store of {LARGE // SHARD:,} shards"
    found: dict[str, dict[str, Load]] = {
        "first batch of 2 x 10^8 ids": {
            name: partial(first, name, SMALL) for name in PEERS if name != PACKED
        },
        "first batch of 10^12 ids": {
            "tokenmill.DataLoader": partial(first, "tokenmill.DataLoader", LARGE),
            store: partial(first_of_store, LARGE),
            "nanoGPT's get_batch": partial(first, "nanoGPT's get_batch", LARGE),
            "torch DataLoader, a tenth": first_of_a_tenth,
            "grain": partial(first, "grain", LARGE),
        },
        f"the batch after {BATCHES:,} of 2 x 10^8 ids": {
            "tokenmill.DataLoader": partial(resume_store, SMALL, BATCHES * options.rows),
            "torchdata StatefulDataLoader": resume_torchdata,
            "litdata": resume_litdata,
            "mosaicml-streaming": resume_mosaic,
            "grain": partial(resume_grain, SMALL, None, BATCHES),
        },
        "the batch at sample 10^11 of 10^12 (stride 1)": {
            "tokenmill.DataLoader": partial(resume_store, LARGE, SAMPLE),
            "grain": partial(resume_grain, LARGE, 1, SAMPLE // options.rows),
        },
    }
    if options.all:
        return found
    return {
        title: {name: load for name, load in contenders.items() if not requirements().get(name)}
        for title, contenders in found.items()
    }


def requirements() -> dict[str, Sequence[str]]:
    return {name: peer.requirements for name, peer in PEERS.items()}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(rows=32, max_length=1024)
    parser.add_argument("--all", action="store_true", help="peers too that need packages of their own")


if __name__ == "__main__":
    main(
        Benchmark(
            description=__doc__,
            unit="starts/s",
            cases=cases,
            setup=setup,
            add_arguments=add_arguments,
            requirements=requirements(),
        )
    )
