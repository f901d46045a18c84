"""max_length by stages."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenmill as tm
from reference import curriculum as slow
from reference import permutation as slow_permutation
from reference.store_writer import write_store
from tokenmill.torch import TorchLoader

#: 60 windows of 8 and 3 tokens left over. Each id is its place.
DATA = np.arange(8 * 60 + 4, dtype=np.uint16)
STAGES = {0: 2, 48: 4, 96: 8}  # 12 windows in 4 rows each, 24 in 2, the other 24 whole


def loader(data: Any = DATA, **options: Any) -> tm.DataLoader:
    return tm.DataLoader(data, **{"max_length": STAGES, "batch_size": 8, "seed": 3, **options})


def rows(batches: Any) -> list[tuple[int, int]]:
    """(first token, length) of each row, which must be in the order of the text."""
    found = []
    for batch in batches:
        assert (batch.labels == batch.input_ids + 1).all()
        assert (np.diff(np.asarray(batch.input_ids), axis=1) == 1).all()
        found += [(int(row[0]), len(row)) for row in batch.input_ids]
    return found


def key(batch: Any) -> tuple[Any, ...]:
    return batch.step, batch.windows.tolist(), batch.input_ids.tolist(), batch.labels.tolist()


def test_rows_get_longer_and_every_token_is_a_label_once() -> None:
    batches = list(loader())
    assert [batch.input_ids.shape for batch in batches] == [(8, 2)] * 6 + [(8, 4)] * 6 + [(8, 8)] * 3
    assert len(loader()) == 15 and [batch.step for batch in batches] == list(range(15))
    labels = np.concatenate([batch.labels.ravel() for batch in batches])
    assert sorted(labels.tolist()) == list(range(1, 8 * 60 + 1))


@given(
    st.lists(st.sampled_from([1, 2, 4, 8]), min_size=1, max_size=4),
    st.lists(st.integers(1, 5), min_size=3, max_size=3),
    st.booleans(),
    st.integers(1, 3),
)
def test_equals_the_slow_twin(lengths: list[int], units: list[int], shuffle: bool, epochs: int) -> None:
    greatest, first, stages = max(lengths), 0, []
    for length, count in zip(lengths, [*units, 1], strict=False):
        stages.append((first, length))
        first += count * (greatest // length)
    windows = sum(units[: len(lengths) - 1]) // epochs + 2
    data = np.arange(windows * greatest + 1)
    batches = loader(
        data, max_length=dict(stages), shuffle=shuffle, batch_size=1, drop_last=False, epochs=epochs
    )
    orders = [
        slow_permutation.permutation(windows, slow_permutation.key(3, epoch)) if shuffle else range(windows)
        for epoch in range(epochs)
    ]
    order = [window for epoch in orders for window in epoch]
    cuts = [(first, greatest // length) for first, length in stages]
    dealt = slow.deal(cuts, len(order), 4096 if shuffle else 1)
    expected = [
        (order[unit] * greatest + part * stages[stage][1], stages[stage][1]) for stage, unit, part in dealt
    ]
    assert rows(batches) == expected


def test_rows_of_one_window_are_far_apart() -> None:
    data = np.arange(100_000 * 8 + 1, dtype=np.uint32)
    batch = next(iter(loader(data, max_length={0: 1, 8 * 50_000: 8}, batch_size=4096)))
    assert len(set((batch.input_ids[:, 0] // 8).tolist())) == 4096


@pytest.mark.parametrize(("size", "world"), [(8, 1), (4, 2), (1, 8)])
def test_ranks_and_resuming_after_each_step_give_the_same_batches(size: int, world: int) -> None:
    whole = [key(batch) for batch in loader(drop_last=False)]
    alone = loader(drop_last=False)
    states = [alone.state_dict(), *(alone.state_dict() for _ in alone)]
    for taken, state in enumerate(states):
        ranks = [loader(drop_last=False, batch_size=size, rank=r, world_size=world) for r in range(world)]
        for rank in ranks:
            rank.load_state_dict(json.loads(json.dumps(state)))
        for batches, (step, windows, inputs, labels) in zip(
            zip(*ranks, strict=True), whole[taken:], strict=True
        ):
            assert {batch.step for batch in batches} == {step}
            assert [w for batch in batches for w in batch.windows.tolist()] == windows
            assert [row for batch in batches for row in batch.input_ids.tolist()] == inputs
            assert [row for batch in batches for row in batch.labels.tolist()] == labels


@pytest.mark.parametrize(("size", "world"), [(5, 1), (3, 3), (7, 2)])
def test_a_batch_never_has_two_lengths(size: int, world: int) -> None:
    for drop_last in (True, False):
        ranks = [
            list(loader(batch_size=size, rank=rank, world_size=world, drop_last=drop_last))
            for rank in range(world)
        ]
        seen = rows(batch for step in zip(*ranks, strict=True) for batch in step)
        expected = rows(loader(batch_size=1))
        if drop_last:
            globally, kept = size * world, []
            for first, end in ((0, 48), (48, 96), (96, 120)):
                kept += expected[first : first + (end - first) // globally * globally]
            expected = kept
        assert seen == expected


def test_of_a_mixture_windows_are_mixed_before_they_are_cut() -> None:
    mixture = tm.Mixture([(DATA, 3), (DATA + 1000, 1)])
    plain = loader(mixture, max_length=8, batch_size=12)
    windows = [
        (source, window)
        for batch in islice(plain, 1)
        for source, window in zip(batch.sources, batch.windows, strict=True)
    ]
    mixed = loader(mixture, batch_size=16)
    found = []
    for batch in islice(mixed, 3):
        assert batch.input_ids.shape == (16, 2)
        assert (batch.input_ids[:, 0] // 1000 == batch.sources).all()
        found += [(source, window // 4) for source, window in zip(batch.sources, batch.windows, strict=True)]
    # The first stage has 12 windows, each in four rows.
    assert sorted(found) == sorted(windows * 4)
    with pytest.raises(TypeError, match="never ends"):
        len(mixed)


def test_without_an_end_the_last_stage_goes_on() -> None:
    batches = list(islice(loader(epochs=None, batch_size=24), 3 + 4 + 10))
    assert [batch.input_ids.shape[1] for batch in batches[-12:]] == [8] * 12
    with pytest.raises(TypeError, match="epochs=None has no len"):
        len(loader(epochs=None))


def test_places_are_explained() -> None:
    batches = list(loader())
    for step in (0, 5, 6, 14):
        batch = batches[step]
        it = loader().explain(step, 3, 1)
        assert (it.token, it.label, it.window) == (
            batch.input_ids[3, 1],
            batch.labels[3, 1],
            batch.windows[3],
        )
    with pytest.raises(IndexError, match="column 2 does not exist; this batch has 2"):
        loader().explain(0, 0, 2)
    with pytest.raises(IndexError, match="step 15 does not exist"):
        loader().explain(15, 0, 0)
    assert loader().ledger().learned == 480


def store(path: Path, lengths: list[int]) -> tm.TokenStore:
    """Documents of these lengths, whose ids count up."""
    ids = iter(range(sum(lengths)))
    documents = [([next(ids) for _ in range(length)], 0, i) for i, length in enumerate(lengths)]
    inputs = [{"name": "a.txt", "position": "byte", "bytes": 0, "blake3": "0" * 64}]
    write_store(path, documents, vocab_size=1000, inputs=inputs, shard_tokens=20)
    return tm.TokenStore.open(path)


def test_packed_rows_are_cut_and_what_is_short_is_padded(tmp_path: Path) -> None:
    packed = store(tmp_path / "x.tm", [6, 3, 11])  # rows of 8: 5 + 2 transitions; 8; the other 2
    options: dict[str, Any] = {"packing": "best_fit", "shuffle": False, "batch_size": 1, "pad_id": 99}
    batches = list(loader(packed, max_length={0: 4, 4: 8}, document_mask=True, **options))
    assert [batch.input_ids.tolist() for batch in batches] == [
        [[0, 1, 2, 3]],
        [[4, 6, 7, 8]],
        [[9, 10, 11, 12]],
        [[13, 14, 15, 16]],
        [[17, 18, 19, *[99] * 5]],
    ]
    assert batches[1].labels.tolist() == [[5, 7, 8, -100]]
    assert batches[1].document_ids.tolist() == [[0, 1, 1, 1]]
    assert batches[1].position_ids.tolist() == [[0, 0, 1, 2]]
    # The last one cut, too: its second row is nothing but padding.
    cut = loader(packed, max_length={0: 8, 2: 4}, document_mask=True, **options)
    last = list(cut)[-1]
    assert (last.input_ids == 99).all() and (last.labels == -100).all() and (last.document_ids == -1).all()
    assert last.cu_seqlens.tolist() == [0, 4] and last.position_ids.tolist() == [[0] * 4]
    padded = loader(
        np.arange(10), max_length={0: 4, 2: 2}, tail="pad", pad_id=99, batch_size=1, shuffle=False
    )
    assert [batch.input_ids.tolist() for batch in padded][-2:] == [[[8, 9]], [[99, 99]]]
    it = padded.explain(3, 0, 0)
    assert (it.token, it.label, it.why_no_label) == (None, -100, "padding")


def test_windows_of_any_stride_and_of_documents_are_cut(tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_length": {0: 2, 4: 4}, "shuffle": False, "batch_size": 1}
    strided = list(loader(np.arange(14), stride=3, **options))
    assert [batch.input_ids.tolist()[0] for batch in strided] == [
        [0, 1], [2, 3], [3, 4], [5, 6], [6, 7, 8, 9], [9, 10, 11, 12]
    ]  # fmt: skip
    within = store(tmp_path / "x.tm", [6, 3, 10])
    shifted = list(loader(within, packing="document", tail="shift", **options))
    assert [batch.input_ids.tolist()[0] for batch in shifted] == [
        [0, 1], [2, 3], [1, 2], [3, 4], [9, 10, 11, 12], [13, 14, 15, 16], [14, 15, 16, 17]
    ]  # fmt: skip
    message = r'most rows would be nothing but padding; choose packing="best_fit".*longer than 4 tokens'
    with pytest.raises(ValueError, match=message):
        loader(within, packing="document", pad_id=0, **options)


def test_tensors_come_in_each_length() -> None:
    assert rows(TorchLoader(loader())) == rows(loader())


def test_a_state_of_other_stages_is_refused() -> None:
    here = loader()
    next(iter(here))
    for other, difference in [
        (
            loader(max_length=8),
            r"plan.max_length is 8 here and \[\[0, 2\], \[48, 4\], \[96, 8\]\] in the state",
        ),
        (loader(max_length={0: 2, 48: 8}), r"plan.max_length is \[\[0, 2\], \[48, 8\]\] here"),
        (loader(epochs=2), "plan.num_samples is 180 here and 120 in the state"),
    ]:
        with pytest.raises(ValueError, match=difference):
            other.load_state_dict(json.loads(json.dumps(here.state_dict())))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_length": {}}, ValueError, "does not say what holds from sample 0 on"),
        ({"max_length": {5: 4}}, ValueError, "does not say what holds from sample 0 on"),
        (
            {"max_length": {0: 3, 8: 8}},
            ValueError,
            "max_length=3 from sample 0 on does not divide the greatest, 8",
        ),
        ({"max_length": {0: 2, 6: 8}}, ValueError, "the stage at sample 6 begins inside .* begin at 4 or 8"),
        (
            {"max_length": {0: 2, 4000: 8}},
            ValueError,
            "sample 4000 begins after the end of the data, sample 240",
        ),
        ({"max_length": {0: 2.5}}, TypeError, "max_length=2.5 is a float"),
        ({"max_length": {-1: 2}}, ValueError, "max_length=-1 is out of range"),
        ({"batch_size": 30}, ValueError, "a stage of 24 windows is smaller than one global batch of 30"),
    ],
)
def test_stages_that_cannot_be_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        loader(**options)
