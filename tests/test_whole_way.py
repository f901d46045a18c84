"""The Verdict through GPT-2 into a store and out as windows, with exact values that are known elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tokenmill as tm


@pytest.fixture(scope="module")
def gpt2(gpt2_path: Path) -> tm.Tokenizer:
    return tm.Tokenizer.load(gpt2_path)


@pytest.fixture(scope="module")
def store(gpt2: tm.Tokenizer, verdict_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tm.TokenStore:
    out = tmp_path_factory.mktemp("store") / "verdict.tm"
    return tm.prepare(verdict_path, tokenizer=gpt2, out=out, add_eos=False)


def test_the_store_holds_the_ids_of_the_text(store: tm.TokenStore, gpt2: tm.Tokenizer, verdict: str) -> None:
    assert (len(store), len(np.unique(store[:]))) == (5145, 1416)
    assert store[:].dtype == np.uint16
    assert store[:].tolist() == gpt2.encode(verdict)
    assert store.document(0).tolist() == store[:].tolist()
    assert store.verify().ok


@pytest.mark.parametrize(
    ("max_length", "stride", "batch_size", "windows", "batches"),
    [
        (4, 1, 8, 5141, (642, 643)),
        (4, 4, 8, 1286, (160, 161)),
        (256, 128, 4, 39, (9, 10)),
        (256, 256, 2, 20, (10, 10)),
    ],
)
def test_as_many_windows_and_batches_as_pytorch_courses_count(
    store: tm.TokenStore,
    max_length: int,
    stride: int,
    batch_size: int,
    windows: int,
    batches: tuple[int, int],
) -> None:
    assert len(tm.Windows(store, max_length=max_length, stride=stride)) == windows
    for drop_last, expected in zip((True, False), batches, strict=True):
        loader = tm.DataLoader(
            store,
            max_length=max_length,
            stride=stride,
            batch_size=batch_size,
            shuffle=False,
            drop_last=drop_last,
        )
        assert len(loader) == len(list(loader)) == expected


def test_tokens_after_the_last_window_are_reported(store: tm.TokenStore) -> None:
    assert tm.Windows(store, max_length=256).dropped_tokens == 24


def test_the_first_the_eighth_and_the_last_window(store: tm.TokenStore) -> None:
    windows = tm.Windows(store, max_length=4, stride=4)
    pairs = {index: [side.tolist() for side in windows[index]] for index in (0, 7, -1)}
    assert pairs[0] == [[40, 367, 2885, 1464], [367, 2885, 1464, 1807]]
    assert pairs[7] == [[284, 3285, 326, 11], [3285, 326, 11, 287]]
    assert pairs[-1] == [[674, 1611, 286, 1242], [1611, 286, 1242, 526]]


def test_a_cut_by_characters_splits_a_token(gpt2: tm.Tokenizer, verdict: str) -> None:
    cut = int(0.9 * len(verdict))
    assert [gpt2.count(part) for part in (verdict[:cut], verdict[cut:], verdict)] == [4612, 534, 5145]


def test_a_window_knows_its_place_in_the_file(store: tm.TokenStore, gpt2: tm.Tokenizer, verdict: str) -> None:
    windows = tm.Windows(store, max_length=8, stride=8)
    for index in (0, 1, 100, len(windows) - 1):
        origin = store.origin(windows.start(index))
        text = gpt2.decode_bytes(windows[index][0])
        assert origin.input.endswith("the-verdict.txt")
        start = origin.position + origin.byte
        assert verdict.encode()[start : start + len(text)] == text
