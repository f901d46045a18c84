"""More tokens and windows than fit 32 bits, and a million million of them: files with holes take no room."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader as TorchsDataLoader

import tokenmill as tm
from reference.store_writer import write_sparse_store
from tokenmill.torch import TorchLoader, WindowDataset

BEYOND = 2**32
#: Linux says how much memory a process uses.
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system has no /proc")


@pytest.fixture(scope="module")
def ids(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """2^33 + 5 ids, all 0 but the last hundred and those around 2^32, which count up."""
    path = tmp_path_factory.mktemp("sparse") / "ids.bin"
    with path.open("wb") as file:
        file.truncate(2 * (2**33 + 5))
        for place in (BEYOND - 50, 2**33 + 5 - 100):
            file.seek(2 * place)
            file.write(np.arange(1, 101, dtype="<u2").tobytes())
    return np.memmap(path, "<u2", "r")


# --- more than 2^32


def test_windows_beyond_32_bits_are_where_they_should_be(ids: Any) -> None:
    windows = tm.Windows(ids, max_length=8, stride=1)
    assert len(windows) == 2**33 + 5 - 8 > BEYOND
    assert windows[-1][1].tolist() == list(range(93, 101))
    for start in (BEYOND - 50, BEYOND - 1, BEYOND, BEYOND + 30):
        assert windows[start][0].tolist() == list(range(start - BEYOND + 51, start - BEYOND + 59))
        assert windows.start(start) == start


@pytest.mark.parametrize("shuffle", [False, True, "block"])
def test_batches_of_samples_beyond_32_bits(ids: Any, shuffle: Any) -> None:
    loader = tm.DataLoader(ids, max_length=8, stride=1, batch_size=16, shuffle=shuffle, epochs=None)
    samples = len(tm.Windows(ids, max_length=8, stride=1))
    for position in (BEYOND - 40, samples - 16, 5 * samples + BEYOND + 1):
        loader.position = position
        batch = next(iter(loader))
        assert batch.epoch == position // samples
        assert (batch.windows < samples).all() and len(set(batch.windows.tolist())) == 16
        for row, label, window in zip(batch.input_ids, batch.labels, batch.windows.tolist(), strict=True):
            assert row.tolist() == ids[window : window + 8].tolist()
            assert label.tolist() == ids[window + 1 : window + 9].tolist()
        if shuffle is False:
            assert batch.windows[0] == position % samples


def test_a_store_beyond_32_bits_with_marks(tmp_path: Path) -> None:
    write_sparse_store(tmp_path / "large.tm", shard_tokens=2**31, shards=3)
    store = tm.TokenStore.open(tmp_path / "large.tm")
    loader = tm.DataLoader(
        store, max_length=64, batch_size=4, shuffle=False, document_mask=True, boundary_labels="mask"
    )
    loader.position = 2**32 // 64 - 2  # the third document begins with row 2
    batch = next(iter(loader))
    assert batch.labels[1, -1] == -100 and batch.position_ids is not None
    assert batch.position_ids[:, 0].tolist() == [0, 0, 0, 0] and (batch.labels[0] == 0).all()
    assert tm.Windows(store, max_length=50)[-1][1].tolist()[-1] < 101


# --- a million million

START = """
import sys
import numpy as np
import tokenmill as tm

def resident(field):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) / 1000

np.arange(3)
before = resident("VmHWM")
loader = tm.DataLoader(tm.TokenStore.open(sys.argv[1]), max_length=1024, stride=1, batch_size=32, epochs=None)
first = next(iter(loader))
state = loader.state_dict() | {"next_sample": 10**11}
loader.load_state_dict(state)
second = next(iter(loader))
assert (first.windows > 2**32).any() and second.step == 10**11 // 32
print(resident("VmHWM") - before)
"""


@needs_proc
def test_a_million_million_tokens_take_no_memory(tmp_path: Path) -> None:
    write_sparse_store(tmp_path / "largest.tm", shard_tokens=10**8 + 1, shards=10_000)
    store = tm.TokenStore.open(tmp_path / "largest.tm")
    assert store.num_tokens > 10**12
    command = [sys.executable, "-c", START, str(store.path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 60


EPOCH = """
import sys
import numpy as np
import tokenmill as tm

def resident():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1000

loader = tm.DataLoader(np.arange(4_000_000) % 50_000, max_length=512, batch_size=64, epochs=4)
used = []
for batch in loader:
    if batch.step % 50 == 0:
        used.append(resident())
print(max(used[2:]) - used[1])
"""


@needs_proc
def test_memory_is_flat_over_epochs() -> None:
    result = subprocess.run([sys.executable, "-c", EPOCH], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 10


# --- any number of ranks and workers

DATA = np.arange(1000, 1103, dtype=np.uint16)  # 25 windows of 4


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("prefetch", [0, 1, 7])
@pytest.mark.parametrize("drop_last", [True, False])
def test_ranks_and_batches_made_ahead_change_nothing(world: int, prefetch: int, drop_last: bool) -> None:
    options: dict[str, Any] = {"max_length": 4, "epochs": 3, "seed": 9, "drop_last": drop_last}
    alone = [(batch.step, batch.windows.tolist()) for batch in tm.DataLoader(DATA, batch_size=24, **options)]
    ranks = [
        TorchLoader(
            tm.DataLoader(DATA, batch_size=24 // world, rank=rank, world_size=world, **options),
            prefetch=prefetch,
        )
        for rank in range(world)
    ]
    steps = [
        (step[0].step, [window for batch in step for window in batch.windows.tolist()])
        for step in zip(*ranks, strict=True)
    ]
    assert steps == alone


@pytest.mark.long
@pytest.mark.parametrize("workers", [0, 1, 7])
@pytest.mark.filterwarnings("ignore")
def test_torchs_worker_processes_give_the_same_batches(workers: int) -> None:
    loader = tm.DataLoader(DATA, max_length=4, batch_size=3, seed=2, epochs=2)
    order = [batch.windows.tolist() for batch in loader]
    context = "spawn" if workers else None
    dataset = WindowDataset(DATA, max_length=4)
    batches = TorchsDataLoader(
        dataset, batch_sampler=order, num_workers=workers, multiprocessing_context=context
    )
    loader.position = 0
    for theirs, ours in zip(batches, loader, strict=False):
        assert theirs["input_ids"].tolist() == ours.input_ids.tolist()
        assert theirs["labels"].tolist() == ours.labels.tolist()
