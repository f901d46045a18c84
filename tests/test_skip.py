"""Samples that are left out."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenmill as tm

DATA = np.arange(1000, 1103, dtype=np.uint16)  # 25 windows of 4
SKIP = [(7, 9), (20, 33), (60, 61)]


def loader(data: Any = DATA, **options: Any) -> tm.DataLoader:
    return tm.DataLoader(data, **{"max_length": 4, "batch_size": 6, "epochs": 4, "skip": SKIP, **options})


def flat(batches: Any) -> list[int]:
    return [number for batch in batches for number in batch.windows.tolist()]


def key(batch: Any) -> tuple[Any, ...]:
    return batch.epoch, batch.step, batch.windows.tolist(), batch.input_ids.tolist(), batch.labels.tolist()


def together(ranks: list[tm.DataLoader]) -> list[list[int]]:
    return [flat(step) for step in zip(*ranks, strict=True)]


#: All samples of four epochs, without skipping.
ORDER = flat(loader(skip=[], batch_size=1))


def kept(skip: Any, end: int = 100) -> list[int]:
    return [sample for sample in range(end) if not any(first <= sample < end for first, end in skip)]


@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(1, 60)), max_size=5),
    st.integers(1, 7),
    st.integers(1, 3),
    st.booleans(),
)
def test_batches_are_cut_from_what_is_kept(
    ranges: list[tuple[int, int]], size: int, world: int, drop_last: bool
) -> None:
    skip = [(first, first + count) for first, count in ranges]
    options: dict[str, Any] = {"skip": skip, "batch_size": size, "world_size": world, "drop_last": drop_last}
    ranks = [loader(rank=rank, **options) for rank in range(world)]
    expected, per_epoch = [], []
    for epoch in range(4):
        samples = [sample for sample in kept(skip) if sample // 25 == epoch]
        chunks = [samples[i : i + size * world] for i in range(0, len(samples), size * world)]
        per_epoch.append([c for c in chunks if len(c) == size * world or not drop_last])
        expected += [[ORDER[sample] for sample in chunk] for chunk in per_epoch[-1]]
    assert len(ranks[0]) == len(expected)
    first = list(ranks[0])
    assert [(batch.epoch, batch.step) for batch in first] == [
        (epoch, step)
        for step, epoch in enumerate(epoch for epoch, chunks in enumerate(per_epoch) for _ in chunks)
    ]
    assert together([loader(rank=rank, **options) for rank in range(world)]) == expected


@pytest.mark.parametrize(("size", "world"), [(6, 1), (3, 2), (2, 3)])
@pytest.mark.parametrize("data", [DATA, tm.Mixture([(DATA, 3), (DATA + 7, 1)], on_exhausted="stop")])
def test_resumed_after_each_step_on_other_ranks(size: int, world: int, data: Any) -> None:
    epochs = 1 if isinstance(data, tm.Mixture) else 4
    whole = [batch.windows.tolist() for batch in loader(data, epochs=epochs)]
    first = loader(data, epochs=epochs)
    states = [first.state_dict(), *(first.state_dict() for _ in first)][:-1]
    for taken, state in enumerate(states):
        ranks = [
            loader(data, epochs=epochs, batch_size=size, world_size=world, rank=rank) for rank in range(world)
        ]
        for rank in ranks:
            rank.load_state_dict(json.loads(json.dumps(state)))
        assert together(ranks) == whole[taken:]


def test_what_lies_ahead_may_be_skipped_when_going_on_and_what_lies_behind_may_not_change() -> None:
    spiked = loader(skip=[])
    list(islice(spiked, 2))
    state = json.loads(json.dumps(spiked.state_dict()))
    on = loader(skip=[(12, 18)])
    on.load_state_dict(state)
    assert flat(on)[:6] == ORDER[18:24]
    assert on.state_dict()["skip"] == [[12, 18]]
    with pytest.raises(
        ValueError, match=r"skip before sample 12 is \[\[11, 12\]\] here and \[\] in the state"
    ):
        loader(skip=[(11, 18)]).load_state_dict(state)
    other = loader(skip=[(3, 9)])
    next(iter(other))
    with pytest.raises(ValueError, match=r"skip before sample 12 is \[\] here and \[\[3, 9\]\] in the state"):
        loader(skip=[]).load_state_dict(other.state_dict())


def test_places_are_explained_by_the_numbers_of_steps_without_what_is_skipped() -> None:
    batches = list(loader())
    for batch in batches:
        it = loader().explain(batch.step, 5, 2)
        assert (it.window, it.epoch) == (batch.windows[5], batch.epoch)
        assert (it.input_id, it.label) == (batch.input_ids[5, 2], batch.labels[5, 2])


def test_of_a_curriculum_samples_are_skipped_like_any() -> None:
    stages = {0: 2, 24: 4}
    whole = [
        row for batch in loader(max_length=stages, skip=[], batch_size=1) for row in batch.input_ids.tolist()
    ]
    skipping = loader(max_length=stages, skip=[(5, 30)], batch_size=5)
    assert [row for batch in skipping for row in batch.input_ids.tolist()][:10] == whole[:5] + whole[30:35]


def test_skipping_very_much_costs_nothing() -> None:
    far = loader(epochs=None, skip=[(10, 2**62)])
    assert next(iter(far)).epoch == 0
    assert next(iter(far)).epoch == 2**62 // 25 + (2**62 % 25 > 19)


def test_ranges_may_overlap_and_come_in_any_order() -> None:
    assert loader(skip=[(5, 9), (1, 3), (3, 4), (7, 12)]).skip == [(1, 4), (5, 12)]


def test_when_all_is_skipped_there_is_no_batch() -> None:
    nothing = loader(skip=[(0, 100)])
    assert len(nothing) == 0 and list(nothing) == []


@pytest.mark.parametrize(
    ("skip", "error", "message"),
    [
        ([(3, 3)], ValueError, r"skip has \(3, 3\), which is no sample"),
        ([(-1, 3)], ValueError, "skip=-1 is out of range"),
        ([(1, 2.5)], TypeError, r"skip=2\.5 is a float"),
        ([5], TypeError, "not a list of pairs"),
        (5, TypeError, "not a list of pairs"),
    ],
)
def test_what_is_no_range_is_refused(skip: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        loader(skip=skip)
