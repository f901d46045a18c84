"""tokenmill.jax on a GPU: `make test-gpu`."""

from __future__ import annotations

import os

import numpy as np

# JAX takes three quarters of the memory otherwise, and PyTorch has to live beside it.
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"

import jax

from tokenmill.jax import JaxLoader
from tokenmill.loader import DataLoader


def test_batches_are_those_of_the_numpy_loader() -> None:
    ids = np.random.default_rng(0).integers(0, 50_000, 300_000).astype(np.uint16)
    assert jax.devices()[0].platform == "gpu"

    def loader() -> DataLoader:
        return DataLoader(ids, max_length=512, batch_size=32, dtype="int32", seed=1)

    for batch, want in zip(JaxLoader(loader()), loader(), strict=True):
        assert batch.input_ids.devices() == {jax.devices()[0]}
        assert np.array_equal(np.asarray(batch.input_ids), want.input_ids)
        assert np.array_equal(np.asarray(batch.labels), want.labels)
