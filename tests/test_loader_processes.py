"""Loaders in processes, threads and loops that end early: what they share, and what they leave behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tokenmill as tm
from reference.store_writer import write_store
from tokenmill.torch import TorchLoader

DATA = np.arange(1000, 1103, dtype=np.uint16)  # 25 windows of 4
INPUTS = [{"name": "a.txt", "position": "byte", "bytes": 0, "blake3": "e3b0c442" + "0" * 56}]


def loader(data: Any = DATA, **options: Any) -> tm.DataLoader:
    return tm.DataLoader(data, **{"max_length": 4, "batch_size": 3, "seed": 5, **options})


def rows(batches: Any) -> list[list[int]]:
    return [row for batch in batches for row in batch.input_ids.tolist()]


# --- killed, and gone on from with another number of ranks


class Run:
    """A training that is stopped and gone on from, each time on another number of ranks."""

    def __init__(self, **options: Any) -> None:
        self.options, self.state, self.seen = options, None, []

    def take(self, global_batch: int, world: int, steps: int) -> int:
        """Goes on for so many steps at most; returns how many there were."""
        ranks = [
            loader(batch_size=global_batch // world, world_size=world, rank=rank, **self.options)
            for rank in range(world)
        ]
        for rank in ranks:
            if self.state is not None:
                rank.load_state_dict(json.loads(self.state))
        taken = 0
        for batches in zip(*(iter(rank) for rank in ranks), strict=True):
            self.seen.append([row for batch in batches for row in batch.input_ids.tolist()])
            states = {json.dumps(rank.state_dict()) for rank in ranks}
            assert len(states) == 1  # any rank's state will do
            taken += 1
            if taken == steps:
                break
        self.state = json.dumps(ranks[0].state_dict())
        return taken


@pytest.mark.parametrize("drop_last", [True, False])
def test_killed_after_any_two_steps_and_gone_on_with_fewer_and_with_more_ranks(drop_last: bool) -> None:
    options = {"drop_last": drop_last, "epochs": 2}
    whole = Run(**options)
    steps = whole.take(12, 1, 100)
    for first, second in product(range(1, steps + 1), range(1, steps + 1)):
        for one, two, three in [(4, 1, 12), (1, 3, 2)]:
            run = Run(**options)
            done = run.take(12, one, first)
            if done < steps:  # at a pass's end the next one begins another pass
                done += run.take(12, two, min(second, steps - done))
            if done < steps:
                done += run.take(12, three, steps - done)
            assert done == steps and run.seen == whole.seen


def test_at_the_end_of_a_pass_another_world_begins_the_next() -> None:
    whole = loader(batch_size=6)
    expected = rows(whole) + rows(whole) + rows(whole)
    run = Run()
    assert run.take(6, 3, 100) == run.take(6, 1, 100) == run.take(6, 6, 100) == 4
    assert [row for step in run.seen for row in step] == expected


def test_other_global_batches_repeat_and_leave_out_nothing() -> None:
    order = rows(loader(batch_size=1, epochs=2))
    for first, second in product(range(1, 9), range(1, 4)):
        run = Run(drop_last=False, epochs=2)
        run.take(4, 2, first)
        if len([row for step in run.seen for row in step]) < 50:
            run.take(9, 3, second)
        if len([row for step in run.seen for row in step]) < 50:
            run.take(5, 1, 100)
        assert [row for step in run.seen for row in step] == order


# --- several at once


def test_two_loaders_in_turn_and_in_threads_are_each_as_alone() -> None:
    data = np.arange(300_000, dtype=np.uint32)
    options: dict[str, Any] = {"max_length": 255, "batch_size": 600}  # large enough for several threads
    alone = [[batch.input_ids for batch in loader(data, seed=seed, **options)] for seed in range(4)]
    turns = zip(*(loader(data, seed=seed, **options) for seed in range(4)), strict=True)
    for step, batches in enumerate(turns):
        assert all((batch.input_ids == alone[seed][step]).all() for seed, batch in enumerate(batches))
    found: dict[int, bool] = {}

    def work(seed: int) -> None:
        batches = TorchLoader(loader(data, seed=seed, **options))
        same = [
            np.array_equal(batch.input_ids.numpy(), ids)
            for batch, ids in zip(batches, alone[seed], strict=True)
        ]
        found[seed] = all(same)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(4), True)


def test_batches_stay_when_the_data_changes_and_when_it_is_gone(tmp_path: Path) -> None:
    np.arange(100, dtype="<u2").tofile(tmp_path / "ids.bin")
    ids = np.memmap(tmp_path / "ids.bin", "<u2", "r+")
    options: dict[str, Any] = {"shuffle": False, "batch_size": 2}
    documents = [(range(start, start + 7), 0, start) for start in range(0, 70, 7)]
    write_store(tmp_path / "x.tm", documents, vocab_size=100, inputs=INPUTS, shard_tokens=30)
    store = tm.TokenStore.open(tmp_path / "x.tm")
    of_map = next(iter(loader(ids, **options)))
    of_store = next(iter(loader(store, tail="pad", pad_id=0, document_mask=True, **options)))
    ids[:] = 7
    ids.flush()
    for path in store.path.iterdir():
        path.unlink()
    del ids, store
    for batch in (of_map, of_store):
        assert batch.input_ids.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
        assert batch.labels.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


CHILDREN = """
import multiprocessing, sys
import numpy as np, tokenmill as tm

def first(store, seed):
    loader = tm.DataLoader(store, max_length=255, batch_size=600, seed=seed)
    return next(iter(loader)).input_ids.sum().item()

if __name__ == "__main__":
    store = tm.TokenStore.open(sys.argv[1])
    expected = [first(store, seed) for seed in range(3)]
    with multiprocessing.get_context(sys.argv[2]).Pool(3) as pool:
        assert pool.starmap(first, [(store, seed) for seed in range(3)]) == expected
    print("equal")
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_open_store_goes_to_processes(tmp_path: Path, method: str) -> None:
    if method == "fork" and not hasattr(os, "fork"):
        return
    write_store(
        tmp_path / "x.tm", [(range(200_000), 0, 0)], vocab_size=200_000, inputs=INPUTS, shard_tokens=70_000
    )
    (tmp_path / "children.py").write_text(CHILDREN, encoding="utf-8")
    command = [sys.executable, "-W", "ignore", "children.py", str(tmp_path / "x.tm"), method]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert result.stdout == "equal\n", result.stderr


# --- Ctrl-C

INTERRUPTED = """
import sys, threading
import numpy as np, tokenmill as tm
from tokenmill.torch import TorchLoader

ids = np.zeros(50_000_001, np.uint16)
def numpy_loop():
    return tm.DataLoader(ids, max_length=8, batch_size=64, epochs=None)
def torch_loop():
    return TorchLoader(numpy_loop())
def ledger():
    yield from range(3)
    numpy_loop().ledger(samples=2**40 + 1)  # hours
try:
    for number, _ in enumerate(globals()[sys.argv[1]]()):
        if number == 2:
            print("running", flush=True)
except KeyboardInterrupt:
    left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    print("interrupted", left, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("what", ["numpy_loop", "torch_loop", "ledger"])
def test_ctrl_c_ends_a_loop_and_leaves_no_thread(what: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    assert (process.returncode, output) == (0, "interrupted []\n")
