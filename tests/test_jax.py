"""tokenmill.jax against the NumPy loader; Grain on top of its source."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import grain
import jax
import numpy as np
import pytest

from reference.store_writer import write_store
from tokenmill.jax import GrainSource, JaxLoader
from tokenmill.loader import DataLoader
from tokenmill.mixture import Mixture
from tokenmill.sampling import Windows
from tokenmill.store import TokenStore

DATA = np.arange(1000, 1103, dtype=np.uint16)  # 103 tokens: 25 windows of 4, 2 tokens left over


def numpy_loader(data: Any = DATA, **options: Any) -> DataLoader:
    return DataLoader(data, **{"max_length": 4, "batch_size": 3, "dtype": "int32", **options})


def key(batch: Any) -> tuple[Any, ...]:
    return batch.epoch, batch.step, batch.windows.tolist(), batch.input_ids.tolist(), batch.labels.tolist()


@pytest.mark.parametrize("prefetch", [0, 1, 5])
def test_batches_are_those_of_the_numpy_loader(prefetch: int) -> None:
    loader = JaxLoader(numpy_loader(epochs=2), prefetch=prefetch)
    batches = list(loader)
    assert all(isinstance(batch.input_ids, jax.Array) and batch.labels.dtype == "int32" for batch in batches)
    assert [key(batch) for batch in batches] == [key(batch) for batch in numpy_loader(epochs=2)]
    assert len(loader) == len(batches) == 16


def test_document_masks_and_sources_come_along(tmp_path: Path) -> None:
    documents = [(range(start, start + 7), 0, start) for start in range(0, 70, 7)]
    inputs = [{"name": "a.txt", "position": "byte", "bytes": 0, "blake3": "0" * 64}]
    write_store(tmp_path / "x.tm", documents, vocab_size=100, inputs=inputs, shard_tokens=30)
    store = TokenStore.open(tmp_path / "x.tm")
    options: dict[str, Any] = {"data": Mixture({store: 1}, max_epochs=1), "document_mask": True}
    for batch, expected in zip(JaxLoader(numpy_loader(**options)), numpy_loader(**options), strict=True):
        for name in ("position_ids", "document_ids", "sources"):
            assert getattr(batch, name).tolist() == getattr(expected, name).tolist()


def test_a_state_in_the_middle_is_gone_on_from() -> None:
    whole = [key(batch) for batch in numpy_loader()]
    first = JaxLoader(numpy_loader())
    seen = [key(batch) for _, batch in zip(range(3), first, strict=False)]
    second = JaxLoader(numpy_loader())
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert seen + [key(batch) for batch in second] == whole


def test_rows_are_sharded_over_devices() -> None:
    code = (
        "import jax, numpy as np, tokenmill as tm; from tokenmill.jax import JaxLoader\n"
        "from jax.sharding import NamedSharding, PartitionSpec as P\n"
        "sharding = NamedSharding(jax.make_mesh((4,), ('data',)), P('data'))\n"
        "make = lambda: tm.DataLoader(np.arange(500), max_length=4, batch_size=8, dtype='int32')\n"
        "for batch, plain in zip(JaxLoader(make(), sharding=sharding), make(), strict=True):\n"
        "    assert batch.input_ids.sharding == sharding and len(batch.labels.addressable_shards) == 4\n"
        "    assert batch.labels.addressable_shards[1].data.shape == (2, 4)\n"
        "    assert (np.asarray(batch.input_ids) == plain.input_ids).all()\n"
        "print('sharded')"
    )
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert result.stdout == "sharded\n", result.stderr


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r'cut to 32 bits; give the DataLoader dtype="int32"'):
        JaxLoader(numpy_loader(dtype="int64"))
    with pytest.raises(ValueError, match="rank 1 of 2; give the sharding"):
        JaxLoader(numpy_loader(rank=1, world_size=2))
    with pytest.raises(ValueError, match="prefetch=-1"):
        JaxLoader(numpy_loader(), prefetch=-1)


def test_grain_shuffles_batches_and_resumes() -> None:
    source = GrainSource(DATA, max_length=4)
    dataset = grain.MapDataset.source(source).shuffle(seed=1).batch(5).to_iter_dataset()
    whole = list(dataset)
    inputs = np.concatenate([batch["input_ids"] for batch in whole])
    labels = np.concatenate([batch["labels"] for batch in whole])
    assert (labels == inputs + 1).all()
    assert sorted(inputs.tolist()) == [window[0].tolist() for window in Windows(DATA, max_length=4)]
    iterator = iter(dataset)
    next(iterator)
    state = iterator.get_state()
    resumed = iter(dataset)
    resumed.set_state(state)
    assert [batch["labels"].tolist() for batch in resumed] == [
        batch["labels"].tolist() for batch in whole[1:]
    ]


def test_a_source_for_grain_can_be_pickled() -> None:
    again = pickle.loads(pickle.dumps(GrainSource(DATA, max_length=4)))
    assert type(again) is GrainSource and again[3]["labels"].tolist() == [1013, 1014, 1015, 1016]
