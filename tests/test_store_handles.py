"""Open stores as things: many at once, closed, pickled, and in other processes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tokenmill as tm
from tokenmill.documents import Documents

TEXTS = [f"document number {i}" for i in range(200)]


@pytest.fixture(scope="module")
def tokenizer() -> tm.Tokenizer:
    return tm.train_bpe(Documents.from_texts(TEXTS), vocab_size=270, special_tokens=["<|endoftext|>"])


@pytest.fixture
def path(tmp_path: Path, tokenizer: tm.Tokenizer) -> Path:
    out = tmp_path / "s.tm"
    tm.prepare(Documents.from_texts(TEXTS), tokenizer=tokenizer, out=out, val_fraction=0.2, shard_tokens=100)
    return out


def test_many_stores_and_many_handles_of_one_are_open_at_once(
    tmp_path: Path, tokenizer: tm.Tokenizer, path: Path
):
    for i in range(20):
        documents = Documents.from_texts([f"store {i}", "and more"])
        tm.prepare(documents, tokenizer=tokenizer, out=tmp_path / f"{i}.tm")
    stores = [tm.TokenStore.open(tmp_path / f"{i}.tm") for i in range(20)]
    handles = [tm.TokenStore.open(path, split) for split in ("train", "validation") for _ in range(5)]
    for i, store in enumerate(stores):
        assert tokenizer.decode(store.document(0)[:-1].tolist()) == f"store {i}"
    for handle in handles[:5]:
        np.testing.assert_array_equal(handle[:], handles[0][:], strict=True)
    for handle in handles[5:]:
        np.testing.assert_array_equal(handle[:], handles[5][:], strict=True)
    stores[3].close()
    handles[0].close()
    assert len(stores[4]) > 0 and handles[1][0] >= 0


def test_a_closed_store_says_so_whatever_it_is_asked(path: Path):
    store = tm.TokenStore.open(path)
    validation = store.validation
    assert validation is not None
    store.close()
    store.close()
    assert repr(store) == f"TokenStore({str(path)!r}: closed)"
    for handle in (store, validation):
        asked = [
            lambda handle: handle[0],
            lambda handle: handle[:2],
            len,
            lambda handle: handle.document(0),
            lambda handle: handle.origin(0),
            lambda handle: handle.where(0),
            lambda handle: handle.manifest,
            lambda handle: handle.validation,
            lambda handle: handle.verify(),
            pickle.dumps,
            lambda handle: tm.DataLoader(handle, max_length=4, batch_size=2),
        ]
        for ask in asked:
            with pytest.raises(ValueError, match=r"s\.tm was closed; open it again with TokenStore.open"):
                ask(handle)  # type: ignore[no-untyped-call]


def test_a_with_block_closes_and_a_loader_keeps_its_own_hold(path: Path):
    with tm.TokenStore.open(path) as store:
        ids = store[:5].tolist()
        loader = tm.DataLoader(store, max_length=4, batch_size=1, shuffle=False)
    with pytest.raises(ValueError, match="was closed"):
        store[0]
    batch = next(iter(loader))
    assert batch.input_ids[0].tolist() == ids[:4] and batch.labels[0].tolist() == ids[1:]


CHILDREN = """
import multiprocessing, sys
import tokenmill as tm

def read(store):
    validation = store.validation
    return store[:].sum().item(), store.split, None if validation is None else validation[:].sum().item()

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        train = tm.TokenStore.open(sys.argv[2])
        stores = [train, train.validation] * 3
        here = [read(store) for store in stores]
        assert pool.map(read, stores) == here, here
        print("same")
"""


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(
            "fork", marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
        ),
        "spawn",
    ],
)
def test_a_store_is_opened_anew_in_the_children_it_is_sent_to(tmp_path: Path, path: Path, method: str):
    script = tmp_path / "children.py"
    script.write_text(CHILDREN)
    done = subprocess.run(
        [sys.executable, str(script), method, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "same\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_store_that_was_open_before_a_fork_is_read_in_the_child(path: Path):
    script = (
        "import os, sys, tokenmill as tm\n"
        "store = tm.TokenStore.open(sys.argv[1])\n"
        "here = store[:].tolist()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if store[:].tolist() == here and store.verify().ok else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "0\n"


def test_a_pickled_store_that_moved_says_where_it_was(tmp_path: Path, path: Path):
    pickled = pickle.dumps(tm.TokenStore.open(path))
    path.rename(tmp_path / "elsewhere.tm")
    with pytest.raises(FileNotFoundError, match=r"s\.tm"):
        pickle.loads(pickled)
