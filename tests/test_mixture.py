"""Mixture: proportions, stages, ends, ranks, states."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenmill as tm
from reference import mixture as slow
from reference import permutation as slow_permutation
from reference.store_writer import write_store
from tokenmill.mixture import Mixture, whole_weights
from tokenmill.store import TokenStore

INPUTS = [{"name": "a.txt", "position": "byte", "bytes": 0, "blake3": "e3b0c442" + "0" * 56}]
#: Ids say which source and which place a token is from.
WEB, CODE, BOOKS = (np.arange(start, start + size) for start, size in ((0, 401), (1000, 101), (2000, 41)))


def mixture(**options: Any) -> Mixture:
    return Mixture([(WEB, 7), (CODE, 2), (BOOKS, 1)], **options)


def loader(data: Mixture | None = None, **options: Any) -> tm.DataLoader:
    data = mixture() if data is None else data
    return tm.DataLoader(data, **{"max_length": 4, "batch_size": 5, "seed": 3, **options})


def drawn(batches: Any, steps: int) -> list[tuple[int, int]]:
    """(source, window) of each row."""
    return [
        pair
        for batch in islice(batches, steps)
        for pair in zip(batch.sources.tolist(), batch.windows.tolist(), strict=True)
    ]


# --- order and proportions


def test_batches_hold_the_rows_they_name() -> None:
    for batch in islice(loader(), 40):
        assert batch.sources.dtype == np.uint32 and batch.epoch == 0
        expected = 1000 * batch.sources[:, None].astype(np.int64)
        expected = expected + 4 * batch.windows[:, None].astype(np.int64) + np.arange(4)
        assert (batch.input_ids == expected).all() and (batch.labels == expected + 1).all()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(any), st.integers(0, 2**64 - 1))
def test_the_order_equals_the_slow_twin(weights: list[int], seed: int) -> None:
    sizes = [9 + 4 * i for i in range(len(weights))]
    data = Mixture([(np.arange(size), weight) for size, weight in zip(sizes, weights, strict=True)])
    batches = loader(data, batch_size=50, seed=seed)
    expected, taken = [], [0] * len(weights)
    for source in slow.sources(data.stages[0][1], 200, seed):
        rows = -(-(sizes[source] - 4) // 4)
        epoch, row = divmod(taken[source], rows)
        order = slow_permutation.permutation(rows, slow_permutation.key(seed, epoch, source))
        expected.append((source, order[row]))
        taken[source] += 1
    assert drawn(batches, 4) == expected


def test_each_source_is_within_one_row_of_its_share_at_the_edge_of_each_block() -> None:
    seen: Counter[int] = Counter()
    for number, (source, _) in enumerate(drawn(loader(), 200)):
        if number % 16 == 0:
            for other, weight in enumerate((7, 2, 1)):
                assert abs(seen[other] - Fraction(number * weight, 10)) < 1
        seen[source] += 1


def test_a_thousand_sources_with_weights_down_to_a_millionth() -> None:
    weights = [1e-6, 0.5, *(0.4 / 998 for _ in range(998))]
    data = Mixture([(np.arange(i, i + 90), weight) for i, weight in enumerate(weights)])
    batches = loader(data, batch_size=64)
    order = batches.order
    assert isinstance(order, tm.order.MixtureOrder)
    whole = data.stages[0][1]  # the weights to 2^-60, which is far below a row in a billion
    anywhere = np.random.default_rng(5).integers(0, 2**41, 200).tolist()
    for block in (*range(1, 100), 10**6 + 1, *anywhere, 2**41):
        samples = block * 2**20
        taken = order.taken(samples)
        assert sum(taken) == samples
        for count, weight in zip(taken, whole, strict=True):
            assert abs(count * sum(whole) - samples * weight) < sum(whole)
    rows = next(iter(batches))
    assert (rows.input_ids[:, 0] == 4 * rows.windows.astype(np.int64) + rows.sources).all()


def test_without_shuffle_each_source_is_read_in_order() -> None:
    rows = drawn(loader(shuffle=False), 20)
    for source in range(3):
        assert [window for s, window in rows if s == source] == [
            i % (100, 25, 10)[source] for i in range(sum(s == source for s, _ in rows))
        ]


# --- ends


def test_by_default_sources_repeat_in_epochs_of_their_own_without_end() -> None:
    batches = loader()
    with pytest.raises(TypeError, match="never ends"):
        len(batches)
    books = [window for source, window in drawn(batches, 100) if source == 2]
    assert abs(len(books) - 50) <= 1
    epochs = [books[i : i + 10] for i in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs) and epochs[0] != epochs[1]


@pytest.mark.parametrize("ending", ["stop", "error"])
def test_the_end_of_a_source_is_the_end(ending: str) -> None:
    batches = loader(mixture(on_exhausted=ending), batch_size=1)
    rows = []
    try:
        for batch in batches:
            rows += drawn([batch], 1)
        assert ending == "stop"
    except ValueError as error:
        assert ending == "error"
        assert "source 2 of the mixture (array([2000" in str(error) and "used up after" in str(error)
    assert len(rows) == len(batches) == len(set(rows))
    assert sum(source == 2 for source, _ in rows) == 10
    assert ending == "error" or not list(batches)


def test_a_source_that_is_used_up_leaves_the_others_their_proportions() -> None:
    batches = loader(mixture(max_epochs=[None, None, 2]), batch_size=1)
    rows = drawn(batches, 2000)
    assert Counter(source for source, _ in rows)[2] == 20
    last = max(i for i, (source, _) in enumerate(rows) if source == 2)
    after = Counter(source for source, _ in rows[last + 2 :])
    assert abs(after[0] - sum(after.values()) * 7 / 9) < 2


def test_when_all_are_used_up_every_row_has_been_seen() -> None:
    batches = loader(mixture(max_epochs=1), batch_size=9, drop_last=False)
    rows = drawn(batches, 10**6)
    assert sorted(rows) == [(s, w) for s, n in enumerate((100, 25, 10)) for w in range(n)]
    assert len(batches) == 15


# --- stages


def test_a_stage_changes_the_proportions_from_its_sample_on_without_repeats() -> None:
    data = mixture(stages={23: [1, 1, 1]}, on_exhausted="stop")
    rows, before = drawn(loader(data), 8), drawn(loader(), 4)
    assert rows[:20] == before and len(set(rows)) == 40
    after = Counter(source for source, _ in rows[23:])
    assert max(after.values()) - min(after.values()) <= 2


def stores(tmp_path: Path, *fingerprints: str) -> list[TokenStore]:
    for number, fingerprint in enumerate(fingerprints):
        documents = [([number * 500 + i * 5 + k for k in range(5)], 0, i) for i in range(40)]
        write_store(
            tmp_path / f"{number}.tm",
            documents,
            vocab_size=5000,
            inputs=INPUTS,
            shard_tokens=50,
            fingerprint=fingerprint,
        )
    return [TokenStore.open(tmp_path / f"{number}.tm") for number in range(len(fingerprints))]


def test_a_source_and_a_stage_added_later_go_on_from_an_older_state(tmp_path: Path) -> None:
    a, b, c = stores(tmp_path, "t", "t", "t")
    old = loader(Mixture({a: 1, b: 1}), max_length=3)
    before = drawn(old, 4)
    state = json.loads(json.dumps(old.state_dict()))
    longer = Mixture({a: 1, b: 1, c: 0}, stages={20: {a: 1, c: 1}})
    new = loader(longer, max_length=3)
    new.load_state_dict(state)
    after = drawn(new, 6)
    assert drawn(loader(longer, max_length=3), 10) == before + after
    assert {source for source, _ in after} == {0, 2} and not set(before) & set(after)
    early = loader(Mixture({a: 1, b: 1, c: 0}, stages={19: {a: 1, c: 1}}), max_length=3)
    with pytest.raises(ValueError, match="stages before sample 20"):
        early.load_state_dict(state)


# --- ranks, states, packing


@pytest.mark.parametrize(("size", "world"), [(12, 1), (6, 2), (4, 3), (1, 12)])
def test_ranks_and_resuming_give_the_same_rows(size: int, world: int) -> None:
    alone = drawn(loader(batch_size=12), 20)
    first = loader(batch_size=12)
    next(iter(first))
    ranks = [loader(batch_size=size, world_size=world, rank=rank) for rank in range(world)]
    for rank in ranks:
        rank.load_state_dict(json.loads(json.dumps(first.state_dict())))
    together = [drawn([batch], 1) for step in islice(zip(*ranks, strict=True), 19) for batch in step]
    assert [row for rows in together for row in rows] == alone[12:]


@pytest.mark.parametrize(
    ("data", "difference"),
    [
        (
            Mixture([(WEB, 7), (CODE, 2), (BOOKS, 2)]),
            r"stages before sample 5 are \[\[0, \[7, 2, 1\]\]\] here",
        ),
        (Mixture([(WEB, 7), (CODE[:-1], 2), (BOOKS, 1)]), "source 1.num_tokens is 101 here and 100"),
        (Mixture([(WEB, 7), (CODE, 2), (BOOKS, 1)], max_epochs=3), "mixture.max_epochs is"),
        (
            Mixture([(WEB, 7), (CODE, 2), (BOOKS, 1), (WEB, 0)]),
            "source 3 of the state is not in this mixture",
        ),
    ],
)
def test_a_state_of_another_mixture_is_refused_saying_what_differs(data: Mixture, difference: str) -> None:
    other = loader(data)
    next(iter(other))
    with pytest.raises(ValueError, match=difference):
        loader().load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match=r"plan\.num_windows is 100 here and None"):
        tm.DataLoader(WEB, max_length=4, batch_size=5, seed=3).load_state_dict(other.state_dict())


@pytest.mark.parametrize("packing", ["concat", "document", "best_fit"])
def test_rows_of_packed_sources_are_those_of_each_alone(tmp_path: Path, packing: str) -> None:
    a, b = stores(tmp_path, "t", "t")
    options: dict[str, Any] = {"max_length": 9, "packing": packing, "document_mask": True, "pad_id": 4999}
    options |= {"shuffle": False, "drop_last": False, "boundary_labels": "mask"}
    alone = [next(iter(tm.DataLoader(data, batch_size=10**4, **options))) for data in (a, b)]
    for batch in islice(loader(Mixture({a: 3, b: 1}), **options), 9):
        for row, (source, window) in enumerate(zip(batch.sources, batch.windows, strict=True)):
            for name in ("input_ids", "labels", "position_ids", "document_ids"):
                expected = getattr(alone[source], name)[int(window)]
                assert (getattr(batch, name)[row] == expected).all()


def test_explanations_are_of_each_source() -> None:
    batches = loader(batch_size=16)
    batch = list(islice(batches, 3))[-1]
    for row in range(16):
        it = batches.explain(2, row, 3)
        assert (it.source, it.window) == (batch.sources[row], batch.windows[row])
        assert (it.input_id, it.label) == (batch.input_ids[row, 3], batch.labels[row, 3])


# --- arguments


def test_stores_of_different_tokenizers_are_not_mixed(tmp_path: Path) -> None:
    a, b, c = stores(tmp_path, "same", "same", "other")
    loader(Mixture({a: 1, b: 1}))
    with pytest.raises(ValueError, match=r"sources 0 .*tokenizer same\) and 2 .*different tokenizers"):
        loader(Mixture({a: 1, b: 1, c: 1}))


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([0.7, 0.2, 0.1], [7, 2, 1]),
        ([1, 1], [1, 1]),
        ([0, 6, 4], [0, 3, 2]),
        ([1e-6, 1], [1, 10**6]),
        ([Fraction(1, 3), Fraction(1, 7)], [7, 3]),
        ([2**70, 2**70], [1, 1]),
    ],
)
def test_weights_are_taken_as_they_are_written(weights: list[float], expected: list[int]) -> None:
    assert whole_weights(weights) == expected


def test_weights_without_a_small_common_denominator_are_rounded() -> None:
    weights = [np.pi, np.e, 1 / 3]
    whole = whole_weights([float(weight) for weight in weights])
    for weight, integer in zip(weights, whole, strict=True):
        assert abs(weight / sum(weights) - integer / sum(whole)) < 1e-15


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Mixture([]), ValueError, "at least one source"),
        (lambda: Mixture([WEB]), TypeError, r"a pair \(data, weight\), not a ndarray"),
        (lambda: Mixture([(WEB, 0)]), ValueError, r"weights are all 0: \[0\]"),
        (lambda: Mixture([(WEB, -1)]), ValueError, "weight -1 is out of range"),
        (lambda: Mixture([(WEB, float("nan"))]), ValueError, "weight nan"),
        (lambda: Mixture([(WEB, "1")]), TypeError, "weight '1' is a str"),
        (lambda: Mixture([(WEB, True)]), TypeError, "weight True is a bool"),
        (lambda: Mixture([(WEB, 1e-30), (CODE, 1)]), ValueError, "less than 2"),
        (lambda: mixture(on_exhausted="cry"), ValueError, 'on_exhausted="cry" is unknown; choose "repeat"'),
        (lambda: mixture(max_epochs=0), ValueError, "max_epochs=0"),
        (lambda: mixture(max_epochs=[1]), ValueError, "max_epochs has 1 values for 3 sources"),
        (lambda: mixture(stages={5: [1]}), ValueError, "stages has 1 values for 3 sources"),
        (lambda: mixture(stages={0: [1, 1, 1]}), ValueError, "stages=0 is out of range"),
        (lambda: mixture(stages={4: {"x": 1}}), ValueError, "stages names 'x', which is not a source"),
        (lambda: loader(epochs=2), ValueError, "epochs=2 means nothing for a mixture"),
        (lambda: loader(Mixture([(WEB, 1e-13), (CODE, 1)])), ValueError, "source 0 is 1 of 1000"),
        (lambda: loader(max_length=41), ValueError, "source 2 of the mixture: 41 tokens .*max_length=41"),
    ],
)
def test_wrong_arguments_are_named(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
