"""A model trained by JAX, each batch sharded over all devices.

    python examples/loaders/jax_sharded.py corpus.tm

On several hosts the same code runs on each: the loader's rank is the process's.
"""

from __future__ import annotations

import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import tokenmill as tm
from tokenmill.jax import JaxLoader


def loss(weights: jax.Array, input_ids: jax.Array, labels: jax.Array) -> jax.Array:
    """Cross-entropy of the next token, predicted from this one."""
    logits = jax.nn.log_softmax(weights[input_ids])
    return -jnp.take_along_axis(logits, labels[..., None], axis=-1).mean()


def train(store: tm.TokenStore, *, steps: int = 20) -> list[float]:
    """The loss of each step of gradient descent on a table of bigrams."""
    mesh = Mesh(np.array(jax.devices()), ("data",))
    loader = tm.DataLoader(
        store,
        max_length=16,
        batch_size=4 * jax.local_device_count(),
        rank=jax.process_index(),
        world_size=jax.process_count(),
        dtype="int32",
        epochs=None,
    )
    rows = PartitionSpec("data")  # type: ignore[no-untyped-call]
    batches = JaxLoader(loader, sharding=NamedSharding(mesh, rows))
    weights = jnp.zeros((store.vocab_size, store.vocab_size))
    step = jax.jit(jax.value_and_grad(loss))
    losses = []
    for _, batch in zip(range(steps), batches, strict=False):
        value, gradient = step(weights, batch.input_ids, batch.labels)
        weights = weights - 20 * gradient
        losses.append(float(value))
    return losses


if __name__ == "__main__":
    print(train(tm.TokenStore.open(sys.argv[1])))
