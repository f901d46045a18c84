"""Windows: their definition, tails, data of every kind, and the order of an epoch."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenmill as tm
from reference import permutation as slow_permutation
from reference import windows as slow
from tokenmill import _core
from tokenmill.sampling import Windows
from tokenmill.tokens import as_tokens

LOREM = ["Lorem", "ipsum", "dolor", "sit", "amet,", "consectetur", "adipiscing", "elit,"]
TAILS = st.sampled_from(["drop", "pad", "shift"])


def pairs(windows: Windows) -> list[tuple[list[int], list[int]]]:
    return [(inputs.tolist(), labels.tolist()) for inputs, labels in windows]  # type: ignore[attr-defined]


def plan(num_windows: int, *, shuffle: bool = True, seed: int = 0) -> _core.Plan:
    return _core.Plan.concat(
        num_tokens=num_windows + 1,
        max_length=1,
        stride=1,
        tail="drop",
        shuffle="full" if shuffle else "off",
        seed=seed,
    )


# --- the definition


@pytest.mark.parametrize(
    ("stride", "expected"),
    [
        (
            1,
            [
                "Lorem ipsum dolor sit -> ipsum dolor sit amet,",
                "ipsum dolor sit amet, -> dolor sit amet, consectetur",
                "dolor sit amet, consectetur -> sit amet, consectetur adipiscing",
                "sit amet, consectetur adipiscing -> amet, consectetur adipiscing elit,",
            ],
        ),
        (
            2,
            [
                "Lorem ipsum dolor sit -> ipsum dolor sit amet,",
                "dolor sit amet, consectetur -> sit amet, consectetur adipiscing",
            ],
        ),
    ],
)
def test_lorem_ipsum_as_words(stride: int, expected: list[str]) -> None:
    windows = Windows(range(len(LOREM)), max_length=4, stride=stride)
    shown = [" -> ".join(" ".join(LOREM[i] for i in ids) for ids in pair) for pair in pairs(windows)]
    assert shown == expected


@pytest.mark.parametrize(
    ("length", "stride", "count", "dropped"),
    [(4, 1, 5141, 0), (4, 4, 1286, 0), (256, 128, 39, 24), (256, 256, 20, 24)],
)
def test_counts_over_the_length_of_the_verdict(length: int, stride: int, count: int, dropped: int) -> None:
    windows = Windows(np.zeros(5145, np.uint16), max_length=length, stride=stride)
    assert (len(windows), windows.dropped_tokens) == (count, dropped)


def test_last_window_of_the_integers_to_1000() -> None:
    inputs, labels = Windows(range(1001), max_length=4, stride=1)[-1]
    assert (inputs.tolist(), labels.tolist()) == ([996, 997, 998, 999], [997, 998, 999, 1000])


@given(
    st.integers(2, 60),
    st.integers(1, 20),
    st.integers(1, 25),
    TAILS,
    st.sampled_from(["u2", "u4", "i4", "i8"]),
)
def test_windows_equal_the_slow_twin(n: int, length: int, stride: int, tail: Any, dtype: str) -> None:
    tokens = np.arange(7, n + 7).astype(dtype)
    expected = slow.starts(n, length, stride, tail)
    if not expected:
        with pytest.raises(ValueError, match=f"^{n} tokens cannot make a window of max_length={length}"):
            Windows(tokens, max_length=length, stride=stride, tail=tail, pad_id=0)
        return
    windows = Windows(tokens, max_length=length, stride=stride, tail=tail, pad_id=0)
    assert pairs(windows) == [slow.window(tokens.tolist(), *where, length, 0) for where in expected]
    assert [windows.start(i) for i in range(len(windows))] == [start for start, _ in expected]
    assert windows.dropped_tokens == slow.dropped(n, length, stride, tail)


# --- tails and short data


@pytest.mark.parametrize("tail", ["drop", "shift"])
def test_data_of_max_length_tokens_is_too_short(tail: Any) -> None:
    with pytest.raises(
        ValueError, match=r'4 tokens cannot make a window of max_length=4: .*max_length <= 3.*tail="pad"'
    ):
        Windows(range(4), max_length=4, tail=tail)


def test_one_and_two_tokens_more_than_max_length() -> None:
    assert pairs(Windows(range(5), max_length=4)) == [([0, 1, 2, 3], [1, 2, 3, 4])]
    assert len(Windows(range(6), max_length=4)) == 1
    assert pairs(Windows(range(6), max_length=4, tail="shift"))[1] == ([1, 2, 3, 4], [2, 3, 4, 5])


def test_padding_is_masked_by_position_and_a_genuine_pad_id_is_kept() -> None:
    windows = Windows([0, 9, 9, 3, 4, 9, 6], max_length=4, tail="pad", pad_id=9)
    assert pairs(windows) == [([0, 9, 9, 3], [9, 9, 3, 4]), ([4, 9, 6, 9], [9, 6, -100, -100])]
    assert windows.dropped_tokens == 0


def test_padding_makes_a_window_of_short_data() -> None:
    assert pairs(Windows([5, 6], max_length=3, tail="pad", pad_id=0)) == [([5, 6, 0], [6, -100, -100])]
    with pytest.raises(ValueError, match=r"1 token cannot make a window.*at least 2 tokens"):
        Windows([5], max_length=3, tail="pad", pad_id=0)


def test_padding_an_array_needs_a_pad_id() -> None:
    with pytest.raises(ValueError, match="give pad_id="):
        Windows(range(9), max_length=3, tail="pad")


# --- a dataset


def test_is_a_sequence_with_negative_indices_and_an_end() -> None:
    windows = Windows(range(9), max_length=2)
    assert windows[-1][0].tolist() == windows[np.int64(3)][0].tolist() == [6, 7]
    assert len(list(windows)) == len(windows) == 4  # type: ignore[call-overload]
    for index in (4, -5, 10**30):
        with pytest.raises(IndexError, match=f"window {index} does not exist; there are 4"):
            windows[index]
    with pytest.raises(TypeError, match=r"windows\[a:b\] is not supported"):
        windows[1:2]  # type: ignore[index]
    with pytest.raises(TypeError, match=r"index=1\.0 is a float"):
        windows[1.0]  # type: ignore[index]


def test_several_windows_in_one_call_equal_single_ones() -> None:
    windows = Windows(range(30), max_length=4, stride=3, tail="pad", pad_id=0)
    several = windows.__getitems__([8, 0, -1, 0])
    for (inputs, labels), index in zip(several, [8, 0, -1, 0], strict=True):
        assert inputs.tolist() == windows[index][0].tolist()
        assert labels.tolist() == windows[index][1].tolist()
    assert windows.__getitems__([]) == []


def test_items_are_writable_int64_and_independent_of_the_data_and_of_each_other() -> None:
    data = np.arange(9)
    inputs, labels = Windows(data, max_length=4)[0]
    assert inputs.dtype == labels.dtype == np.int64
    inputs[:] = -1
    assert labels.tolist() == [1, 2, 3, 4]
    labels[:] = -2
    assert data.tolist() == list(range(9))


def test_can_be_pickled_for_worker_processes() -> None:
    windows = Windows(np.arange(20, dtype=np.uint16), max_length=4, stride=3, tail="pad", pad_id=7)
    assert pairs(pickle.loads(pickle.dumps(windows))) == pairs(windows)


# --- data


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64", ">u2", ">i8"]
)
def test_every_integer_dtype_gives_the_same_windows(dtype: str) -> None:
    assert pairs(Windows(np.arange(12).astype(dtype), max_length=3)) == pairs(
        Windows(range(12), max_length=3)
    )


def test_arrays_with_gaps_and_odd_addresses_are_copied() -> None:
    gaps = np.arange(24)[::2]
    odd = np.frombuffer(b"\0" + np.arange(0, 24, 2, dtype="<u4").tobytes(), "<u4", offset=1)
    assert (
        pairs(Windows(gaps, max_length=3))
        == pairs(Windows(odd, max_length=3))
        == pairs(Windows(range(0, 24, 2), max_length=3))
    )


def test_a_memmap_is_borrowed(tmp_path: Path) -> None:
    np.arange(100, dtype="<u2").tofile(tmp_path / "ids.bin")
    ids = np.memmap(tmp_path / "ids.bin", dtype="<u2", mode="r")
    assert np.shares_memory(as_tokens(ids).core, ids)
    assert Windows(ids, max_length=9)[-1][0].tolist() == list(range(90, 99))


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([0.5, 1.0], TypeError, "dtype float64; token ids are integers"),
        ([True, False], TypeError, "dtype bool"),
        (np.zeros((2, 3), int), ValueError, r"shape \(2, 3\); give a 1-d array"),
        ([[1], [2, 3]], ValueError, "not a 1-d array"),
        (5, ValueError, r"shape \(\)"),
        ("text", TypeError, "encode it first"),
        ([1, 2**64], TypeError, "dtype object"),
        (np.array([1, 2**63], np.uint64), ValueError, "ids from 1 to 9223372036854775808"),
        (np.array([1, -2], np.int16), ValueError, "ids from -2 to 1; .* Is int16 its dtype?"),
        ([1, -2, 3], ValueError, "ids from -2 to 3"),
        ([], ValueError, "0 tokens cannot make a window"),
    ],
)
def test_what_is_no_run_of_ids_is_refused(data: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Windows(data, max_length=1)


@pytest.mark.parametrize(
    ("specials", "pad"), [(["<|endoftext|>", "<|pad|>"], "<|pad|>"), (["<|endoftext|>"], "<|endoftext|>")]
)
def test_a_store_pads_with_its_tokenizers_pad_token_else_its_end_token(
    tmp_path: Path, specials: list[str], pad: str
) -> None:
    docs = tm.Documents.from_texts(["abcdef"])
    tokenizer = tm.train_bpe(docs, vocab_size=256 + len(specials), special_tokens=specials)
    store = tm.prepare(docs, tokenizer=tokenizer, out=tmp_path / "s", add_eos=False)
    fill = tokenizer.special_tokens[pad]
    assert Windows(store, max_length=3, tail="pad")[1][0].tolist() == [*b"def"]
    assert Windows(store, max_length=4, tail="pad")[1][0].tolist() == [*b"ef", fill, fill]


def test_a_store_without_an_id_to_pad_with_asks_for_one(tmp_path: Path) -> None:
    docs = tm.Documents.from_texts(["abcdef"])
    tokenizer = tm.train_bpe(docs, vocab_size=256, special_tokens=[])
    store = tm.prepare(docs, tokenizer=tokenizer, out=tmp_path / "s", add_eos=False)
    with pytest.raises(ValueError, match="give pad_id="):
        Windows(store, max_length=4, tail="pad")


# --- arguments


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"max_length": 0}, ValueError, "max_length=0 is out of range; it must be between 1 and"),
        ({"max_length": True}, TypeError, "max_length=True is a bool"),
        ({"max_length": 2.0}, TypeError, "max_length=2.0 is a float"),
        ({"max_length": 2**63}, ValueError, "out of range"),
        ({"max_length": 2, "stride": 0}, ValueError, "stride=0 is out of range"),
        ({"max_length": 2, "stride": -1}, ValueError, "stride=-1"),
        (
            {"max_length": 2, "tail": "keep"},
            ValueError,
            'tail="keep" is unknown; choose "drop", "pad" or "shift"',
        ),
        ({"max_length": 2, "tail": 3}, TypeError, "tail=3 is a int"),
        ({"max_length": 2, "pad_id": -1}, ValueError, "pad_id=-1 is out of range"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Windows(range(9), **arguments)


def test_importing_does_not_import_numpy() -> None:
    code = "import sys, tokenmill.sampling, tokenmill.loader; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# --- the order of an epoch


@given(st.integers(1, 700), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_order_equals_the_slow_twin(n: int, seed: int, epoch: int) -> None:
    order = plan(n, seed=seed).windows(epoch, 0, n).tolist()
    assert order == slow_permutation.permutation(n, slow_permutation.key(seed, epoch))
    assert plan(n, seed=seed).window(epoch, n // 2) == order[n // 2]


@given(st.integers(1, 700), st.integers(0, 2), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_order_of_blocks_equals_the_slow_twin(n: int, rows: int, seed: int, epoch: int) -> None:
    rows = (1, 2, 5)[rows]  # of a block of 2^20 tokens
    stride = 2**20 // rows
    options: dict[str, Any] = {"max_length": 1, "stride": stride, "tail": "drop", "shuffle": "block"}
    order = _core.Plan.concat(num_tokens=(n - 1) * stride + 2, seed=seed, **options)
    expected = slow_permutation.blocks(n, rows, slow_permutation.key(seed, epoch))
    assert order.windows(epoch, 0, n).tolist() == expected
    assert order.windows(epoch, n // 3, n // 2).tolist() == expected[n // 3 :][: n // 2]
    assert order.window(epoch, n // 2) == expected[n // 2]


def test_order_of_an_epoch_is_the_same_for_ever() -> None:
    assert plan(10, seed=0).windows(0, 0, 10).tolist() == slow_permutation.permutation(
        10, slow_permutation.key(0, 0)
    )
    assert plan(2**62, seed=1).window(2, 3) < 2**62


@pytest.mark.parametrize("n", [2**16 - 1, 2**16, 2**16 + 1, 2**16 + 2])
def test_order_around_65536_has_every_window_once(n: int) -> None:
    assert (np.sort(plan(n).windows(3, 0, n)) == np.arange(n)).all()


def test_seed_and_epoch_are_not_interchangeable() -> None:
    assert plan(100, seed=0).windows(1, 0, 100).tolist() != plan(100, seed=1).windows(0, 0, 100).tolist()


# --- the binding refuses what would be unsafe


def test_gather_refuses_buffers_that_do_not_fit() -> None:
    data, order = np.arange(9), plan(8)
    read_only = np.empty((2, 2), np.int64)
    read_only.flags.writeable = False
    for out in (
        np.empty((3, 2), np.int64),
        np.empty((2, 3), np.int64),
        np.empty((2, 2), np.int64, order="F"),
        np.empty((2, 4), np.int64)[:, ::2],
        np.empty((2, 2), np.float64),
        np.empty(4, np.int64),
        read_only,
    ):
        with pytest.raises((ValueError, TypeError)):
            _core.gather(data, order, [(0, 2)], out)


def test_gather_refuses_data_of_another_plan() -> None:
    out = np.empty((8, 2), np.int64)
    with pytest.raises(ValueError, match="which has 4"):
        _core.gather(np.arange(4), plan(8), [(0, 8)], out)
    for samples in ([(0, 7)], [(0, 9)], [(0, 8), (3, 1)], [(0, 2**64 - 1)], [(5, 2**64 - 1)], []):
        with pytest.raises(ValueError, match=r"shape \(\d, 2\)"):
            _core.gather(np.arange(9), plan(8), samples, out)
    assert _core.gather(np.arange(9), plan(8, shuffle=False), [(5, 2), (0, 6)], out).tolist()[:3] == [5, 6, 0]
