"""tokenmill.torch on a GPU, by `make test-gpu`: the batches of the NumPy loader, whatever the device does."""

from __future__ import annotations

import gc
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reference.store_writer import write_store
from tokenmill.loader import DataLoader
from tokenmill.store import TokenStore
from tokenmill.torch import TorchLoader

IDS = np.random.default_rng(0).integers(0, 50_000, 2_000_000).astype(np.uint16)
CYCLES = 2_000_000  # of a device that is kept busy: a millisecond
NAMES = ("input_ids", "labels", "position_ids", "document_ids", "cu_seqlens")


def numpy_loader(data: Any = IDS, **options: Any) -> DataLoader:
    return DataLoader(data, **{"max_length": 512, "batch_size": 32, "seed": 1, **options})


def loader(*, prefetch: int = 2, **options: Any) -> TorchLoader:
    return TorchLoader(numpy_loader(**options), device="cuda", prefetch=prefetch)


def key(batch: Any) -> tuple[int, int]:
    """Tells batches apart; on the device, after all that it has to do."""
    ids, labels = (torch.as_tensor(tensor).long() for tensor in (batch.input_ids, batch.labels))
    weights = torch.arange(1, ids.numel() + 1, device=ids.device).view(ids.shape)
    return int((ids * weights).sum()), int((labels * weights).sum())


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("tokenmill-batches")]


@pytest.mark.parametrize("dtype", ["int64", "int32"])
@pytest.mark.parametrize("prefetch", [0, 1, 2, 7])
def test_batches_are_those_of_the_numpy_loader(prefetch: int, dtype: str) -> None:
    batches = list(loader(prefetch=prefetch, dtype=dtype))
    plain = list(numpy_loader(dtype=dtype))
    assert len(batches) == len(plain) > 100
    for batch, want in zip(batches, plain, strict=True):
        for tensor, array in ((batch.input_ids, want.input_ids), (batch.labels, want.labels)):
            assert tensor.is_cuda and tensor.is_contiguous() and tensor.dtype == getattr(torch, dtype)
            assert np.array_equal(tensor.cpu().numpy(), array)
        assert batch.windows.tolist() == want.windows.tolist()


@pytest.mark.parametrize("packing", ["concat", "document", "best_fit"])
def test_document_masks_are_those_of_the_numpy_loader(tmp_path: Path, packing: str) -> None:
    random = np.random.default_rng(0)
    sizes = random.integers(1, 900, 300).tolist()
    documents = [(random.integers(0, 50_000, size).tolist(), 0, i) for i, size in enumerate(sizes)]
    inputs = [{"name": "a.txt", "position": "byte", "bytes": 0, "blake3": "0" * 64}]
    write_store(tmp_path / "x.tm", documents, vocab_size=50_000, inputs=inputs, shard_tokens=20_000)
    options: dict[str, Any] = {"packing": packing, "document_mask": True, "pad_id": 0, "batch_size": 8}
    options["data"] = TokenStore.open(tmp_path / "x.tm")
    for batch, want in zip(loader(**options), numpy_loader(**options), strict=True):
        for name in NAMES:
            tensor, array = getattr(batch, name), getattr(want, name)
            assert tensor.is_cuda and np.array_equal(tensor.cpu().numpy(), array), name


@pytest.mark.parametrize("prefetch", [1, 3])
def test_a_batch_stays_what_it_is_while_the_device_lags_behind(prefetch: int) -> None:
    """The device reads a batch long after Python has dropped it: its memory must not go to the next."""
    device, sums = torch.device("cuda"), []
    weights = torch.arange(1, 32 * 512 + 1, device=device).view(32, 512)
    for batch in loader(prefetch=prefetch):
        torch.cuda._sleep(CYCLES)
        sums.append(torch.stack([(batch.input_ids * weights).sum(), (batch.labels * weights).sum()]))
        del batch
    got = [tuple(pair) for pair in torch.stack(sums).tolist()]
    assert got == [key(batch) for batch in numpy_loader()]


def test_a_batch_can_be_used_on_another_stream() -> None:
    other = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    got = []
    with torch.cuda.stream(other):
        for batch in loader():
            torch.cuda._sleep(CYCLES // 10)
            got.append(key(batch))
    assert got == [key(batch) for batch in numpy_loader()]


def test_loops_left_early_are_continued_and_leave_no_thread_and_no_memory() -> None:
    whole = [key(batch) for batch in numpy_loader()]
    one, seen = loader(prefetch=4), []
    for _ in range(5):
        for count, batch in enumerate(one):
            seen.append(key(batch))
            if count == 6:
                break
        assert not threads()
    state = json.loads(json.dumps(one.state_dict()))
    other = loader(prefetch=0)
    other.load_state_dict(state)
    assert seen + [key(batch) for batch in other] == whole
    del batch
    gc.collect()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    for _ in range(40):
        next(iter(loader(prefetch=3)))
    gc.collect()
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() == before
    assert not threads()


def test_two_loaders_at_once_do_not_disturb_each_other() -> None:
    first, second = loader(seed=3), loader(seed=4, dtype="int32")
    got = []
    for one, two in zip(first, second, strict=True):
        torch.cuda._sleep(CYCLES // 10)
        got.append((key(one), key(two)))
    want = zip(numpy_loader(seed=3), numpy_loader(seed=4), strict=True)
    assert got == [(key(one), key(two)) for one, two in want]


def test_an_error_of_the_thread_is_raised_where_the_batch_is_taken() -> None:
    ids = np.array([1, 2, 3, 2**31, 5], np.uint32)
    batches = iter(loader(data=ids, max_length=2, batch_size=1, dtype="int32", shuffle=False))
    assert next(batches).input_ids.tolist() == [[1, 2]]
    with pytest.raises(ValueError, match="id 2147483648"):
        next(batches)
    assert not threads()


def test_a_batch_moves_to_the_device_as_a_whole() -> None:
    batch = next(iter(TorchLoader(numpy_loader())))
    moved = batch.to("cuda", non_blocking=True)
    assert moved.input_ids.is_cuda and moved.labels.is_cuda
    assert key(moved) == key(batch)
