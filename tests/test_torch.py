"""tokenmill.torch against the NumPy loader, torch's DataLoader and torchdata's StatefulDataLoader."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader as TorchsDataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from reference.store_writer import write_store
from tokenmill.loader import DataLoader
from tokenmill.sampling import Windows
from tokenmill.store import TokenStore
from tokenmill.torch import TorchBatch, TorchLoader, WindowDataset

DATA = np.arange(1000, 1103, dtype=np.uint16)  # 103 tokens: 25 windows of 4, 2 tokens left over


def numpy_loader(data: Any = DATA, **options: Any) -> DataLoader:
    return DataLoader(data, **{"max_length": 4, "batch_size": 3, **options})


def loader(*, prefetch: int = 2, **options: Any) -> TorchLoader:
    return TorchLoader(numpy_loader(**options), prefetch=prefetch)


def key(batch: Any) -> tuple[Any, ...]:
    return batch.epoch, batch.step, batch.windows.tolist(), batch.input_ids.tolist(), batch.labels.tolist()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("tokenmill-batches")]


# --- TorchLoader


@pytest.mark.parametrize("prefetch", [0, 1, 2, 7, 50])
@pytest.mark.parametrize("tail", ["drop", "pad"])
def test_batches_are_those_of_the_numpy_loader(prefetch: int, tail: str) -> None:
    options: dict[str, Any] = {"tail": tail, "pad_id": 9, "drop_last": False, "epochs": 2}
    batches = list(loader(prefetch=prefetch, **options))
    assert [key(batch) for batch in batches] == [key(batch) for batch in numpy_loader(**options)]
    assert len(batches) == len(loader(**options)) == 18


@pytest.mark.parametrize("dtype", ["int64", "int32"])
def test_tensors_are_contiguous_and_share_no_memory(dtype: str) -> None:
    batches = list(loader(dtype=dtype, tail="pad", pad_id=0, drop_last=False))
    pointers = set()
    for batch in batches:
        for tensor in (batch.input_ids, batch.labels):
            assert tensor.dtype == getattr(torch, dtype) and tensor.is_contiguous()
            assert tensor.view(-1).shape == (tensor.numel(),)
            pointers.add(tensor.data_ptr())
    assert len(pointers) == 2 * len(batches)
    first = batches[0].labels.clone()
    batches[0].input_ids.fill_(0)
    assert batches[0].labels.equal(first)


@pytest.mark.parametrize("prefetch", [0, 1, 5])
def test_the_state_counts_batches_taken_not_those_made_ahead(prefetch: int) -> None:
    whole = [key(batch) for batch in loader(epochs=2)]
    for stop in range(len(whole)):
        first = loader(prefetch=prefetch, epochs=2)
        taken = [key(batch) for _, batch in zip(range(stop), first, strict=False)]
        second = loader(prefetch=prefetch, epochs=2)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert taken + [key(batch) for batch in second] == whole


@pytest.mark.parametrize("packing", ["concat", "document", "best_fit"])
def test_document_masks_come_as_tensors(tmp_path: Path, packing: str) -> None:
    documents = [(range(start, start + 7), 0, start) for start in range(0, 70, 7)]
    inputs = [{"name": "a.txt", "position": "byte", "bytes": 0, "blake3": "0" * 64}]
    write_store(tmp_path / "x.tm", documents, vocab_size=100, inputs=inputs, shard_tokens=30)
    options: dict[str, Any] = {"packing": packing, "document_mask": True, "max_length": 10, "pad_id": 99}
    options["data"] = TokenStore.open(tmp_path / "x.tm")
    plain = list(numpy_loader(**options))
    for batch, expected in zip(loader(**options), plain, strict=True):
        for name in ("input_ids", "labels", "position_ids", "document_ids", "cu_seqlens"):
            tensor, array = getattr(batch, name), getattr(expected, name)
            assert tensor.tolist() == array.tolist() and tensor.is_contiguous(), name
            assert str(tensor.dtype) == f"torch.{array.dtype}"
        assert batch.max_seqlen == expected.max_seqlen
        assert batch.for_transformers()["position_ids"] is batch.position_ids


def test_a_state_goes_between_the_two_loaders() -> None:
    whole = [key(batch) for batch in numpy_loader()]
    torch_loader, plain = loader(), numpy_loader()
    next(iter(torch_loader))
    plain.load_state_dict(torch_loader.state_dict())
    assert [key(batch) for batch in plain] == whole[1:]


def test_a_loop_left_early_is_continued_and_leaves_no_thread() -> None:
    whole = [key(batch) for batch in loader()]
    left, seen = loader(prefetch=4), []
    for batch in left:
        seen.append(key(batch))
        if len(seen) == 3:
            assert threads()
            break
    assert not threads()
    assert seen + [key(batch) for batch in left] == whole
    assert not threads()


def test_passes_follow_each_other_as_with_the_numpy_loader() -> None:
    one = loader()
    assert [key(batch) for _ in range(3) for batch in one] == [key(batch) for batch in loader(epochs=3)]


def test_an_error_of_the_thread_is_raised_where_the_batch_is_taken() -> None:
    ids = np.array([1, 2, 3, 2**31, 5], np.uint32)
    batches = iter(loader(data=ids, max_length=2, batch_size=1, dtype="int32", shuffle=False))
    assert next(batches).input_ids.tolist() == [[1, 2]]
    with pytest.raises(ValueError, match="id 2147483648"):
        next(batches)
    assert not threads()


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="prefetch=-1"):
        TorchLoader(numpy_loader(), prefetch=-1)
    with pytest.raises(RuntimeError, match="toaster"):
        TorchLoader(numpy_loader(), device="toaster")


def test_a_batch_names_its_tensors_for_transformers() -> None:
    batch = next(iter(loader()))
    assert isinstance(batch, TorchBatch)
    arguments = batch.for_transformers()
    assert arguments["input_ids"] is batch.input_ids
    assert arguments["labels"] is arguments["shift_labels"] is batch.labels


def test_a_batch_moves_as_a_whole() -> None:
    batch = next(iter(loader()))
    assert batch.to("cpu") is batch
    moved = batch.to(torch.device("meta"), non_blocking=True)
    assert moved.input_ids.is_meta and moved.labels.is_meta and moved.labels.shape == (3, 4)
    assert moved.windows is batch.windows and moved.position_ids is None and moved.step == batch.step


# --- WindowDataset


def test_torchs_dataloader_reads_the_windows() -> None:
    windows = Windows(DATA, max_length=4, tail="pad", pad_id=7)
    dataset = WindowDataset(DATA, max_length=4, tail="pad", pad_id=7)
    batches = list(TorchsDataLoader(dataset, batch_size=8))
    for name, part in (("input_ids", 0), ("labels", 1)):
        together = torch.cat([batch[name] for batch in batches])
        assert together.dtype == torch.int64
        assert together.tolist() == [window[part].tolist() for window in windows]


def test_plain_windows_work_in_torchs_dataloader_as_pairs() -> None:
    inputs, labels = next(iter(TorchsDataLoader(Windows(DATA, max_length=4), batch_size=5)))  # type: ignore[arg-type]
    assert inputs.tolist()[1] == [1004, 1005, 1006, 1007] and labels.tolist()[1] == [1005, 1006, 1007, 1008]


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata 0.11 calls it
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_dataloader_resumes_in_the_middle(workers: int) -> None:
    def batches() -> StatefulDataLoader[Any]:
        dataset = WindowDataset(DATA, max_length=4)
        # Not forked: other tests start JAX in this process, and its threads do not live on in a child.
        context = "spawn" if workers else None
        return StatefulDataLoader(dataset, batch_size=3, num_workers=workers, multiprocessing_context=context)

    whole = [batch["input_ids"].tolist() for batch in batches()]
    first = batches()
    running = iter(first)
    seen = [next(running)["input_ids"].tolist() for _ in range(4)]
    second = batches()
    second.load_state_dict(first.state_dict())
    assert seen + [batch["input_ids"].tolist() for batch in second] == whole


def test_items_tell_transformers_that_labels_are_ahead_already() -> None:
    item = WindowDataset(DATA, max_length=4, transformers=True)[-1]
    assert list(item) == ["input_ids", "labels", "shift_labels"]
    assert item["labels"].equal(item["shift_labels"]) and item["labels"].equal(item["input_ids"] + 1)
    with pytest.raises(TypeError, match="transformers=1 is a int"):
        WindowDataset(DATA, max_length=4, transformers=1)  # type: ignore[arg-type]


def test_without_torch_the_error_says_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None\nimport tokenmill.torch"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'tokenmill[torch]'" in result.stderr.splitlines()[-1]
