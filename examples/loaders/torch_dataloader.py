"""Windows of a store in torch's own DataLoader, and in torchdata's StatefulDataLoader, which resumes.

    python examples/loaders/torch_dataloader.py corpus.tm

`tokenmill.torch.TorchLoader` does without worker processes, and resumes on another number of ranks; this is
for code that insists on building the loader itself. Needs torchdata.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader  # type: ignore[import-untyped]

import tokenmill as tm
from tokenmill.torch import WindowDataset


def shuffled(store: tm.TokenStore, *, max_length: int, batch_size: int, workers: int = 0) -> DataLoader[Any]:
    """Batches {"input_ids": [rows, max_length], "labels": ...} in random order."""
    dataset = WindowDataset(store, max_length=max_length)
    return DataLoader(dataset, batch_size, shuffle=True, num_workers=workers, drop_last=True)


def resumable(store: tm.TokenStore, *, max_length: int, batch_size: int) -> StatefulDataLoader[Any]:
    """The same, with a state_dict() that goes on in the middle of an epoch."""
    dataset = WindowDataset(store, max_length=max_length)
    generator = torch.Generator().manual_seed(0)
    return StatefulDataLoader(dataset, batch_size, shuffle=True, generator=generator, drop_last=True)


def main(path: Path) -> None:
    """Takes half an epoch, saves the state, and goes on from it."""
    store = tm.TokenStore.open(path)
    options = {"max_length": 8, "batch_size": 4}
    print(f"torch: {sum(1 for _ in shuffled(store, **options)):,} batches an epoch")
    first = resumable(store, **options)
    half = len(first) // 2
    for _, _batch in zip(range(half), first, strict=False):
        pass
    second = resumable(store, **options)
    second.load_state_dict(first.state_dict())
    print(f"torchdata: {half:,} batches, then {sum(1 for _ in second):,} of {len(first):,} after resuming")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
