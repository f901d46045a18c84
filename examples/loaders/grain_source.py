"""Windows of a store as a source for Grain, shuffled, batched and resumed by it.

    python examples/loaders/grain_source.py corpus.tm

Needs grain.
"""

from __future__ import annotations

import sys
from typing import Any

import grain  # type: ignore[import-untyped]

import tokenmill as tm
from tokenmill.jax import GrainSource


def batches(store: tm.TokenStore, *, max_length: int = 16, batch_size: int = 4) -> Any:
    """Dicts of "input_ids" and "labels", [batch_size, max_length], in random order, once."""
    source = GrainSource(store, max_length=max_length)
    return (
        grain.MapDataset.source(source)
        .shuffle(seed=0)
        .batch(batch_size, drop_remainder=True)
        .to_iter_dataset()
    )


def main(store: tm.TokenStore) -> int:
    """Takes some batches, saves the state, and goes on from it; how many batches in all."""
    iterator = iter(batches(store))
    taken = sum(1 for _ in zip(range(5), iterator, strict=False))
    resumed = iter(batches(store))
    resumed.set_state(iterator.get_state())
    return taken + sum(1 for _ in resumed)


if __name__ == "__main__":
    print(f"{main(tm.TokenStore.open(sys.argv[1])):,} batches")
