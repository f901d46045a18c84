"""The same windows through every interface, with values that are known from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grain
import numpy as np
import pytest
from torch.utils.data import DataLoader as TorchsDataLoader

import tokenmill as tm
from tokenmill.jax import GrainSource, JaxLoader
from tokenmill.torch import TorchLoader, WindowDataset

LOREM = "Lorem ipsum dolor sit amet, consectetur adipiscing elit,"
#: The pairs of the founding document, window by window.
PAIRS = [
    ("Lorem ipsum dolor sit", "ipsum dolor sit amet,"),
    ("ipsum dolor sit amet,", "dolor sit amet, consectetur"),
    ("dolor sit amet, consectetur", "sit amet, consectetur adipiscing"),
    ("sit amet, consectetur adipiscing", "amet, consectetur adipiscing elit,"),
]
#: max_length, stride, batch size; windows; batches with and without drop_last. Of The Verdict through GPT-2.
TABLE = [
    (4, 1, 8, 5141, 642, 643),
    (4, 4, 8, 1286, 160, 161),
    (256, 128, 4, 39, 9, 10),
    (256, 256, 2, 20, 10, 10),
]


def loader(store: tm.TokenStore, drop_last: bool, options: dict[str, Any]) -> tm.DataLoader:
    return tm.DataLoader(store, shuffle=False, drop_last=drop_last, dtype="int32", **options)


def numpy_batches(store: tm.TokenStore, drop_last: bool, options: dict[str, Any]) -> Any:
    return loader(store, drop_last, options)


def torch_batches(store: tm.TokenStore, drop_last: bool, options: dict[str, Any]) -> Any:
    return TorchLoader(loader(store, drop_last, options))


def jax_batches(store: tm.TokenStore, drop_last: bool, options: dict[str, Any]) -> Any:
    return JaxLoader(loader(store, drop_last, options))


def torchs_batches(store: tm.TokenStore, drop_last: bool, options: dict[str, Any]) -> Any:
    size = options["batch_size"]
    dataset = WindowDataset(store, max_length=options["max_length"], stride=options["stride"])
    return TorchsDataLoader(dataset, batch_size=size, drop_last=drop_last)


def grain_batches(store: tm.TokenStore, drop_last: bool, options: dict[str, Any]) -> Any:
    source = GrainSource(store, max_length=options["max_length"], stride=options["stride"])
    return grain.MapDataset.source(source).batch(options["batch_size"], drop_remainder=drop_last)


INTERFACES = [numpy_batches, torch_batches, jax_batches, torchs_batches, grain_batches]
Interface = Callable[[tm.TokenStore, bool, dict[str, Any]], Any]


def pairs(batches: Any) -> list[tuple[list[int], list[int]]]:
    """The rows of all batches."""
    found = []
    for batch in batches:
        columns = batch if isinstance(batch, dict) else vars(batch)
        inputs, labels = (np.asarray(columns[name]).tolist() for name in ("input_ids", "labels"))
        found += list(zip(inputs, labels, strict=True))
    return found


@pytest.fixture(scope="module")
def verdict_store(
    gpt2_path: Path, verdict_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> tm.TokenStore:
    out = tmp_path_factory.mktemp("verdict") / "verdict.tm"
    return tm.prepare(verdict_path, tokenizer=tm.Tokenizer.load(gpt2_path), out=out, add_eos=False)


@pytest.mark.parametrize("batches", INTERFACES)
@pytest.mark.parametrize("stride", [1, 2])
def test_the_windows_of_the_founding_document(batches: Interface, stride: int, tmp_path: Path) -> None:
    documents = tm.Documents.from_texts([LOREM])
    words = tm.train_word(documents, split="whitespace")
    store = tm.prepare(documents, tokenizer=words, out=tmp_path / "lorem.tm", add_eos=False)
    rows = pairs(batches(store, False, {"max_length": 4, "stride": stride, "batch_size": 3}))
    names = [
        tuple(" ".join((words.id_to_token(i) or b"").decode() for i in side) for side in row) for row in rows
    ]
    assert names == PAIRS[::stride]


@pytest.mark.parametrize("batches", INTERFACES)
@pytest.mark.parametrize(("max_length", "stride", "batch_size", "windows", "dropped", "kept"), TABLE)
def test_the_table_of_the_verdict(
    batches: Interface,
    verdict_store: tm.TokenStore,
    max_length: int,
    stride: int,
    batch_size: int,
    windows: int,
    dropped: int,
    kept: int,
) -> None:
    options = {"max_length": max_length, "stride": stride, "batch_size": batch_size}
    all_batches = list(batches(verdict_store, False, options))
    assert len(all_batches) == kept
    assert len(list(batches(verdict_store, True, options))) == dropped
    rows = pairs(all_batches)
    assert len(rows) == windows
    ids = verdict_store[:].tolist()
    assert rows == [
        (ids[s : s + max_length], ids[s + 1 : s + max_length + 1]) for s in range(0, windows * stride, stride)
    ]
    if (max_length, stride) == (4, 4):
        assert rows[0] == ([40, 367, 2885, 1464], [367, 2885, 1464, 1807])
        assert rows[7] == ([284, 3285, 326, 11], [3285, 326, 11, 287])
        assert rows[-1] == ([674, 1611, 286, 1242], [1611, 286, 1242, 526])
