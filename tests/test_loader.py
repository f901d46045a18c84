"""DataLoader: batches, ranks, position and resuming."""

from __future__ import annotations

import json
import os
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
from tokenmill.batch import Batch
from tokenmill.loader import DataLoader

DATA = np.arange(1000, 1103, dtype=np.uint16)  # 103 tokens: 25 windows of 4, 2 tokens left over


def loader(data: Any = DATA, **options: Any) -> DataLoader:
    return DataLoader(data, **{"max_length": 4, "batch_size": 3, **options})


def windows(batches: Any) -> list[list[int]]:
    return [batch.windows.tolist() for batch in batches]


def flat(batches: Any) -> list[int]:
    return [number for batch in batches for number in batch.windows.tolist()]


def key(batch: Batch) -> tuple[Any, ...]:
    return batch.epoch, batch.step, batch.windows.tolist(), batch.input_ids.tolist(), batch.labels.tolist()


# --- batches


@pytest.mark.parametrize(
    ("length", "stride", "size", "dropped", "kept"),
    [(4, 1, 8, 642, 643), (4, 4, 8, 160, 161), (256, 128, 4, 9, 10), (256, 256, 2, 10, 10)],
)
def test_number_of_batches_over_the_length_of_the_verdict(
    length: int, stride: int, size: int, dropped: int, kept: int
) -> None:
    ids = np.zeros(5145, np.uint16)
    for drop_last, count in ((True, dropped), (False, kept)):
        batches = DataLoader(ids, max_length=length, stride=stride, batch_size=size, drop_last=drop_last)
        assert len(batches) == len(list(batches)) == count


@pytest.mark.parametrize("dtype", ["int64", "int32"])
def test_batches_hold_the_windows_they_name(dtype: str) -> None:
    for batch in loader(dtype=dtype, epochs=2):
        assert batch.input_ids.shape == batch.labels.shape == (3, 4)
        assert batch.input_ids.dtype == batch.labels.dtype == dtype
        expected = 1000 + 4 * batch.windows[:, None].astype(dtype) + np.arange(4)
        assert (batch.input_ids == expected).all() and (batch.labels == expected + 1).all()


@given(
    st.integers(2, 80),
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from(["drop", "pad", "shift"]),
    st.integers(1, 5),
    st.integers(1, 4),
    st.booleans(),
    st.booleans(),
)
def test_equals_the_slow_twin(
    n: int, length: int, stride: int, tail: str, size: int, world: int, shuffle: bool, drop_last: bool
) -> None:
    tokens = list(range(50, 50 + n))
    places = slow.starts(n, length, stride, tail)
    options = {
        "max_length": length,
        "stride": stride,
        "tail": tail,
        "pad_id": 3,
        "batch_size": size,
        "seed": 5,
    }
    options |= {"shuffle": shuffle, "drop_last": drop_last, "world_size": world, "epochs": 2}
    if not places or (drop_last and len(places) < size * world):
        with pytest.raises(ValueError):
            loader(tokens, **options)
        return
    expected = []
    for epoch in range(2):
        order = list(range(len(places)))
        if shuffle:
            order = slow_permutation.permutation(len(places), slow_permutation.key(5, epoch))
        expected += [(epoch, step) for step in slow.batches(order, size, world, drop_last)]
    for rank in range(world):
        batches = list(loader(tokens, rank=rank, **options))
        assert len(batches) == len(expected)
        for step, (batch, (epoch, ranks)) in enumerate(zip(batches, expected, strict=True)):
            rows = [slow.window(tokens, *places[number], length, 3) for number in ranks[rank]]
            assert key(batch) == (
                epoch,
                step,
                ranks[rank],
                [row[0] for row in rows],
                [row[1] for row in rows],
            )


def test_input_ids_and_labels_share_a_buffer_that_no_other_batch_uses() -> None:
    first, second = list(loader())[:2]
    assert np.shares_memory(first.input_ids, first.labels)
    assert not np.shares_memory(first.input_ids, second.input_ids)
    assert not np.shares_memory(first.input_ids, DATA)
    assert first.input_ids.strides == first.labels.strides == (40, 8)


def test_a_padded_batch_has_labels_of_its_own() -> None:
    last = list(loader(tail="pad", pad_id=1101, shuffle=False, drop_last=False, batch_size=13))[-1]
    assert not np.shares_memory(last.input_ids, last.labels)
    assert last.input_ids[-1].tolist() == [1100, 1101, 1102, 1101]
    assert last.labels[-1].tolist() == [1101, 1102, -100, -100]


def test_ids_beyond_int32_are_refused_by_an_int32_loader() -> None:
    ids = np.array([1, 2**31, 3], np.uint32)
    assert next(iter(loader(ids, max_length=2, batch_size=1))).labels.tolist() == [[2**31, 3]]
    with pytest.raises(ValueError, match=r"id 2147483648.*int32 output; use int64"):
        next(iter(loader(ids, max_length=2, batch_size=1, dtype="int32")))


def test_batches_do_not_depend_on_the_number_of_threads() -> None:
    code = (
        "import hashlib, numpy as np; from tokenmill.loader import DataLoader; h = hashlib.sha256()\n"
        "ids = np.arange(300_000, dtype='<u4')\n"
        "for b in DataLoader(ids, max_length=255, batch_size=600): h.update(b.input_ids.tobytes())\n"
        "print(h.hexdigest())"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"TOKENMILL_NUM_THREADS": threads},
            capture_output=True,
            check=True,
        ).stdout
        for threads in ("1", "2", "5")
    }
    assert len(hashes) == 1


def test_a_forked_child_gathers_with_threads_of_its_own() -> None:
    code = (
        "import os, sys, numpy as np; from tokenmill.loader import DataLoader\n"
        "ids = np.arange(300_000, dtype='<u4')\n"
        "first = lambda: next(iter(DataLoader(ids, max_length=255, batch_size=600))).input_ids\n"
        "here = first(); child = os.fork()\n"
        "if child == 0: os._exit(0 if (first() == here).all() else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=300).returncode == 0


def test_block_shuffle_reads_neighbours_together_and_each_window_once() -> None:
    # Blocks of 2^20 / 2^14 = 64 windows, 64 of them a group: 3 groups, the last one short.
    data = np.zeros(10_000 * 2**14 + 1, np.uint16)
    blocks = loader(data, max_length=2**14, batch_size=8, shuffle="block", seed=1)
    order = blocks.order.draw(np.arange(10_000, dtype=np.uint64)).windows.tolist()
    assert sorted(order) == list(range(10_000))
    for start in range(0, 10_000, 4096):
        group = order[start : start + 4096]
        assert len({number // 64 for number in group}) <= 65 and group != sorted(group)
    assert blocks.order.one(777) == (0, 0, order[777])


def test_block_shuffle_is_an_order_of_its_own_in_a_state() -> None:
    blocks = loader(shuffle="block")
    next(iter(blocks))
    again = loader(shuffle="block")
    again.load_state_dict(json.loads(json.dumps(blocks.state_dict())))
    assert flat(again) == flat(loader(shuffle="block"))[3:]
    with pytest.raises(ValueError, match=r"plan\.shuffle is True here and 'block' in the state"):
        loader().load_state_dict(blocks.state_dict())


# --- ranks


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("drop_last", [True, False])
def test_ranks_together_see_an_exact_prefix_of_the_global_order(world: int, drop_last: bool) -> None:
    alone = loader(batch_size=1, drop_last=drop_last)
    order = flat(alone)
    assert sorted(order) == list(range(25))
    ranks = [
        list(loader(batch_size=2, rank=rank, world_size=world, drop_last=drop_last)) for rank in range(world)
    ]
    assert len({len(batches) for batches in ranks}) == 1
    seen = [
        number for step in zip(*ranks, strict=True) for batch in step for number in batch.windows.tolist()
    ]
    assert seen == order[: len(seen)]
    assert len(seen) == (25 // (2 * world) * 2 * world if drop_last else 25)


def test_a_rank_without_a_row_gets_an_empty_batch() -> None:
    last = list(loader(batch_size=4, rank=2, world_size=3, drop_last=False))[-1]
    assert last.input_ids.shape == (0, 4) and last.labels.shape == (0, 4) and last.windows.shape == (0,)


# --- position


def test_a_loop_left_early_is_continued() -> None:
    whole = windows(loader())
    left = loader()
    seen = []
    for batch in left:
        seen.append(batch.windows.tolist())
        if len(seen) == 3:
            break
    assert seen + windows(left) == whole


def test_passes_over_one_epoch_equal_one_pass_over_several() -> None:
    one = loader(epochs=1)
    assert [key(batch) for _ in range(3) for batch in one] == [key(batch) for batch in loader(epochs=3)]


def test_each_epoch_has_an_order_of_its_own_and_another_seed_another() -> None:
    orders = [flat(loader(batch_size=25, seed=seed, epochs=2)) for seed in (0, 1)]
    assert len({tuple(order[half : half + 25]) for order in orders for half in (0, 25)}) == 4


def test_without_an_end() -> None:
    endless = loader(epochs=None, batch_size=25)
    with pytest.raises(TypeError, match="epochs=None has no len"):
        len(endless)
    taken = [batch.epoch for batch, _ in zip(endless, range(5), strict=False)]
    assert taken == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
def test_killed_after_any_step_and_resumed_twice(drop_last: bool, shuffle: bool) -> None:
    options: dict[str, Any] = {
        "drop_last": drop_last,
        "shuffle": shuffle,
        "epochs": 2,
        "tail": "pad",
        "pad_id": 0,
    }
    uninterrupted = loader(**options)
    passes = [[key(batch) for batch in uninterrupted] for _ in range(2)]
    steps = len(uninterrupted)
    for stop in range(steps + 1):
        first = loader(**options)
        for _ in zip(range(stop), first, strict=False):
            pass
        second = loader(**options)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        third = loader(**options)
        third.load_state_dict(json.loads(json.dumps(second.state_dict())))
        # Killed after the last step of a pass: the next pass is what comes next.
        assert [key(batch) for batch in third] == (passes[0][stop:] if stop < steps else passes[1])


def test_the_state_in_a_loop_counts_the_batch_just_taken() -> None:
    running = loader()
    for batch in running:
        resumed = loader()
        resumed.load_state_dict(running.state_dict())
        assert next(iter(resumed)).step == batch.step + 1


@pytest.mark.parametrize(("size", "world"), [(6, 1), (3, 2), (2, 3), (1, 6)])
def test_the_same_global_batch_on_another_world_gives_the_same_batches(size: int, world: int) -> None:
    expected = windows(loader(batch_size=6))
    first = loader(batch_size=6)
    next(iter(first))
    ranks = [loader(batch_size=size, world_size=world, rank=rank) for rank in range(world)]
    for rank in ranks:
        rank.load_state_dict(first.state_dict())
    steps = [flat(step) for step in zip(*ranks, strict=True)]
    assert steps == expected[1:]


@pytest.mark.parametrize(("size", "world"), [(7, 1), (2, 2), (1, 8), (24, 1)])
def test_another_global_batch_goes_on_without_repeats_or_gaps(size: int, world: int) -> None:
    order = flat(loader(batch_size=1))
    first = loader(batch_size=5)
    next(iter(first))
    ranks = [loader(batch_size=size, world_size=world, rank=rank, drop_last=False) for rank in range(world)]
    for rank in ranks:
        rank.load_state_dict(first.state_dict())
    assert flat(batch for step in zip(*ranks, strict=True) for batch in step) == order[5:]


def test_a_larger_global_batch_than_the_epoch_has_left_goes_to_the_next_epoch() -> None:
    first = loader(batch_size=5)
    next(iter(first))
    large = loader(batch_size=24, epochs=2)
    large.load_state_dict(first.state_dict())
    assert [batch.epoch for batch in large] == [1]


# --- states of other loaders


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"max_length": 5}, "plan.max_length is 4 here and 5 in the state"),
        ({"stride": 3}, "plan.stride is 4 here and 3 in the state"),
        ({"seed": 1}, "plan.seed is 0 here and 1 in the state"),
        ({"shuffle": False}, "plan.shuffle is True here and False in the state"),
        ({"tail": "shift"}, "plan.tail is 'drop' here and 'shift' in the state"),
        ({"data": DATA[:-1]}, "data.num_tokens is 103 here and 102 in the state"),
        ({"data": DATA[::-1]}, "data.sha256 is '[0-9a-f]{64}' here and '"),
        ({"data": DATA.astype("i8")}, "data.dtype is 'uint16' here and 'int64' in the state"),
    ],
)
def test_a_state_of_another_plan_or_data_is_refused_saying_what_differs(
    options: dict[str, Any], difference: str
) -> None:
    here = loader()
    next(iter(here))
    before = here.state_dict()
    with pytest.raises(ValueError, match=difference):
        here.load_state_dict(loader(**options).state_dict())
    assert here.state_dict() == before


def test_a_state_of_another_store_is_refused_saying_what_differs(tmp_path: Path) -> None:
    one, other = (
        tm.prepare(
            tm.Documents.from_texts([text]),
            tokenizer=tm.train_bpe(
                tm.Documents.from_texts(["x"]), vocab_size=257, special_tokens=["<|eos|>"]
            ),
            out=tmp_path / f"{name}.tm",
            add_eos=False,
        )
        for name, text in (("one", "the cat in the hat"), ("other", "the cat in the bat"))
    )
    state = json.loads(json.dumps(loader(one).state_dict()))
    message = f"data.content_hash is '{other.content_hash}' here and '{one.content_hash}' in the state"
    with pytest.raises(ValueError, match=message):
        loader(other).load_state_dict(state)
    with pytest.raises(ValueError, match=r"data\.kind is 'array' here and 'store' in the state"):
        loader(one[:]).load_state_dict(state)


def test_a_state_that_is_none_is_refused() -> None:
    good = loader().state_dict()
    for state, message in [
        ({}, "version None"),
        (good | {"version": 2}, "version 2"),
        (good | {"plan": None}, "num_windows is 25 here and None"),
        (good | {"next_sample": -1}, "next_sample=-1"),
        (good | {"next_sample": 25 * 2**64}, "out of range"),
    ]:
        with pytest.raises(ValueError, match=message):
            loader().load_state_dict(state)
    with pytest.raises(TypeError, match="next_sample='3'"):
        loader().load_state_dict(good | {"next_sample": "3"})


def test_the_state_is_small_and_says_what_it_is() -> None:
    state = json.loads(json.dumps(loader().state_dict()))
    assert list(state) == ["version", "next_sample", "plan", "data", "skip"]
    assert state["data"]["kind"] == "array" and len(json.dumps(state)) < 500


# --- models


def test_a_model_with_too_few_ids_is_refused() -> None:
    loader().check_model(vocab_size=1103)
    with pytest.raises(ValueError, match=r"the data has id 1102, the model has 1102 ids .*vocab_size=1103"):
        loader().check_model(vocab_size=1102)
    with pytest.raises(ValueError, match="vocab_size=0"):
        loader().check_model(vocab_size=0)
    with pytest.raises(ValueError, match="the data has id -100; ids are 0 or more"):
        loader(np.array([1, 2, -100, 3, 4]), batch_size=1).check_model(vocab_size=50)
    with pytest.raises(TypeError, match="check_model compares nothing"):
        loader().check_model()
    with pytest.raises(TypeError, match=r"tokenizer='gpt2' is a str; give a tokenmill\.Tokenizer"):
        loader().check_model(tokenizer="gpt2")  # type: ignore[arg-type]


def test_a_model_for_another_tokenizer_is_refused(tmp_path: Path) -> None:
    texts = ["the cat in the hat", "the cat sat on the mat"]
    one, other = (tm.train_bpe(tm.Documents.from_texts(texts), vocab_size=size) for size in (260, 261))
    store = tm.prepare(tm.Documents.from_texts(texts), tokenizer=one, out=tmp_path / "x.tm", add_eos=False)
    batches = tm.DataLoader(store, max_length=4, batch_size=1)
    batches.check_model(vocab_size=260, tokenizer=one)
    with pytest.raises(
        ValueError, match=f"tokenizer {one.fingerprint[:16]}, .* {other.fingerprint[:16]}: the same"
    ):
        batches.check_model(tokenizer=other)
    with pytest.raises(ValueError, match=r"ids up to 259 by its tokenizer, the model has 100 ids"):
        batches.check_model(vocab_size=100)
    mixed = tm.DataLoader(tm.Mixture([(store, 1), (DATA, 1)]), max_length=4, batch_size=1)
    with pytest.raises(ValueError, match="source 1 of the mixture has id 1102"):
        mixed.check_model(vocab_size=260, tokenizer=one)


# --- arguments


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size=0 is out of range; it must be between 1"),
        ({"batch_size": True}, TypeError, "batch_size=True is a bool"),
        (
            {"batch_size": 26},
            ValueError,
            "25 windows is smaller than one global batch of 26 .*drop_last=False",
        ),
        ({"batch_size": 2**62, "world_size": 8}, ValueError, "larger than 2"),
        ({"rank": 2, "world_size": 2}, ValueError, "rank=2 is not below world_size=2; ranks are 0 to 1"),
        ({"rank": -1}, ValueError, "rank=-1"),
        ({"world_size": 0}, ValueError, "world_size=0"),
        ({"epochs": 0}, ValueError, "epochs=0"),
        ({"seed": -1}, ValueError, "seed=-1"),
        ({"seed": 2**64}, ValueError, "seed=18446744073709551616"),
        ({"shuffle": 1}, TypeError, 'shuffle=1 is unknown; choose True, False or "block"'),
        ({"shuffle": "blocks"}, ValueError, "shuffle='blocks' is unknown"),
        ({"drop_last": "no"}, TypeError, "drop_last='no'"),
        ({"dtype": "int16"}, ValueError, 'dtype=\'int16\' is not supported; choose "int64" or "int32"'),
    ],
)
def test_wrong_arguments_are_named(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        loader(**options)


@pytest.mark.parametrize("dtype", [np.int32, np.dtype("int32"), "int32"])
def test_dtype_is_a_name_or_numpys(dtype: Any) -> None:
    assert next(iter(loader(dtype=dtype))).input_ids.dtype == np.int32
