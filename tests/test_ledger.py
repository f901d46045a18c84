"""The ledger: every token and every place of what a loader gives, counted."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenmill as tm
from reference import ledger as slow
from reference import packing
from reference.store_writer import write_store

INPUTS = [{"name": "a.txt", "position": "byte", "bytes": 0, "blake3": "e3b0c442" + "0" * 56}]
PAD = 3
RANGES = st.lists(st.tuples(st.integers(0, 90), st.integers(1, 40)), max_size=3)


def make(path: Path, lengths: list[int], first: int = 0) -> tm.TokenStore:
    """A store whose ids count up: an id says where it comes from."""
    ids = iter(range(first, first + sum(lengths)))
    documents = [([next(ids) for _ in range(length)], 0, i) for i, length in enumerate(lengths)]
    write_store(path, documents, vocab_size=5000, inputs=INPUTS, shard_tokens=11)
    return tm.TokenStore.open(path)


def stages_of(length: int, cuts: list[int], units: int) -> int | dict[int, int]:
    """max_length by stages of `units` windows each; a number where nothing is cut."""
    cuts = [cut for cut in cuts if length % cut == 0]
    if not cuts:
        return length
    cuts = [cut if cut != min(cuts) else 1 for cut in cuts]
    starts = [units * sum(cuts[:i]) for i in range(len(cuts))]
    return {start: length // cut for start, cut in zip(starts, cuts, strict=True)}


def rows_of(
    batches: Any, ids: list[int], lengths: list[int], windows: Any, length: int, mask: bool
) -> list[tuple[int, packing.Row]]:
    """(source, row) of each row of batches, which must hold what its number says."""
    found = []
    for batch in batches:
        width = batch.input_ids.shape[1]
        for number, inputs, labels in zip(batch.windows, batch.input_ids, batch.labels, strict=True):
            unit, part = divmod(int(number), length // width)
            parts = packing.cut(windows[unit], part * width, (part + 1) * width)
            row = packing.render(ids, lengths, parts, width, PAD, mask)
            assert inputs.tolist() == row.input_ids and labels.tolist() == row.labels
            found.append((0, row))
    return found


def balanced(ledger: tm.Ledger) -> bool:
    of_tokens = ledger.learned + ledger.masked + ledger.openers + ledger.dropped + ledger.left_out
    of_places = ledger.learned + ledger.repeats + ledger.masked_places + ledger.padding
    assert sum(ledger.times.values()) == ledger.learned
    return (of_tokens, of_places) == (ledger.tokens, ledger.places)


@settings(max_examples=200)
@given(
    lengths=st.lists(st.integers(0, 20), min_size=1, max_size=12),
    length=st.integers(1, 12),
    stride=st.integers(1, 14),
    kind=st.sampled_from(["concat", "document", "best_fit"]),
    tail=st.sampled_from(["drop", "pad", "shift"]),
    boundary=st.sampled_from(["keep", "mask"]),
    cuts=st.lists(st.sampled_from([1, 2, 3, 4, 6]), max_size=3),
    epochs=st.integers(1, 3),
    size=st.integers(1, 4),
    world=st.integers(1, 2),
    drop_last=st.booleans(),
    shuffle=st.booleans(),
    skip=RANGES,
)
def test_equals_looking_at_each_row_of_each_batch(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[int],
    length: int,
    stride: int,
    kind: str,
    tail: str,
    boundary: str,
    cuts: list[int],
    epochs: int,
    size: int,
    world: int,
    drop_last: bool,
    shuffle: bool,
    skip: list[tuple[int, int]],
) -> None:
    if kind == "best_fit":
        stride, tail = length, "pad"
    store = make(tmp_path_factory.mktemp("l") / "x.tm", lengths)
    windows = packing.rows(lengths, kind, length, stride, tail)
    options: dict[str, Any] = {"packing": kind, "stride": stride, "tail": tail, "boundary_labels": boundary}
    options |= {"max_length": stages_of(length, cuts, 2), "shuffle": shuffle, "drop_last": drop_last}
    options |= {"pad_id": PAD, "epochs": epochs, "batch_size": size, "world_size": world}
    options["skip"] = [(first, first + count) for first, count in skip]
    try:
        ranks = [tm.DataLoader(store, rank=rank, **options) for rank in range(world)]
    except ValueError:  # too few tokens, windows or samples: other tests look at these
        return
    ids, mask = list(range(sum(lengths))), boundary == "mask"
    rows = [row for rank in ranks for _, row in rows_of(rank, ids, lengths, windows, length, mask)]
    ledger = ranks[0].ledger()
    assert balanced(ledger)
    expected = slow.account(lengths, kind, windows, rows)
    assert {name: value for name, value in asdict(ledger).items() if "samples" not in name} == expected
    skipped = {sample for first, end in options["skip"] for sample in range(first, end)}
    assert ledger.samples_skipped == len(skipped & set(range(ledger.samples)))
    assert ledger.samples == len(rows) + ledger.samples_skipped + ledger.samples_left_out
    assert drop_last or not ledger.samples_left_out
    assert ranks[0].dropped_tokens == ledger.dropped


@given(
    sizes=st.lists(st.integers(9, 40), min_size=1, max_size=3),
    weights=st.lists(st.integers(1, 9), min_size=3, max_size=3),
    limit=st.sampled_from([None, 1, 3]),
    later=st.integers(1, 50),
    cuts=st.lists(st.sampled_from([1, 2, 4]), max_size=2),
    samples=st.integers(1, 150),
    skip=RANGES,
    seed=st.integers(0, 9),
)
def test_of_mixtures_each_source_is_counted(
    sizes: list[int],
    weights: list[int],
    limit: int | None,
    later: int,
    cuts: list[int],
    samples: int,
    skip: list[tuple[int, int]],
    seed: int,
) -> None:
    data = [np.arange(1000 * i, 1000 * i + size) for i, size in enumerate(sizes)]
    mixture = tm.Mixture(
        list(zip(data, weights, strict=False)), max_epochs=limit, stages={later: weights[::-1][: len(sizes)]}
    )
    options: dict[str, Any] = {
        "max_length": stages_of(4, cuts, 3),
        "stride": 3,
        "batch_size": 1,
        "seed": seed,
    }
    options["skip"] = [(first, first + count) for first, count in skip]
    try:
        loader = tm.DataLoader(mixture, **options)
    except ValueError:  # a stage begins after the end
        return
    end = loader.order.num_samples
    samples = samples if end is None else min(samples, end)
    skipped = {sample for first, last in options["skip"] for sample in range(first, last)}
    came = list(islice(loader, samples - len(skipped & set(range(samples)))))
    for source, size in enumerate(sizes):
        windows = packing.rows([size], "concat", 4, 3, "drop")
        rows = []
        for batch in came:
            if batch.sources[0] == source:
                [(_, row)] = rows_of([batch], data[source].tolist(), [size], windows, 4, False)
                rows.append(row)
        ledger = loader.ledger(source, samples=samples)
        expected = slow.account([size], "concat", windows, rows)
        assert {name: value for name, value in asdict(ledger).items() if "samples" not in name} == expected
        assert balanced(ledger) and ledger.samples == samples


# --- what is counted by default


def test_a_pass_is_counted_of_epochs_and_one_epoch_of_an_endless_loader() -> None:
    data = np.arange(101)
    for epochs, times in [(1, 1), (3, 3), (None, 1)]:
        ledger = tm.DataLoader(data, max_length=10, batch_size=2, epochs=epochs).ledger()
        assert (ledger.times, ledger.rows) == ({times: 100}, 10 * times)
    endless = tm.DataLoader(data, max_length=10, batch_size=2, epochs=None)
    assert endless.ledger(samples=25).times == {2: 50, 3: 50}


def test_tokens_that_drop_last_leaves_out_differ_from_epoch_to_epoch() -> None:
    loader = tm.DataLoader(np.arange(1001), max_length=10, batch_size=30, epochs=2)
    ledger = loader.ledger()
    assert (ledger.samples, ledger.samples_left_out, ledger.rows) == (200, 20, 180)
    assert ledger.times[1] + 2 * ledger.times[2] == 1800 and ledger.left_out < 100


def test_a_mixture_that_ends_is_counted_to_its_end_and_another_asks_how_far() -> None:
    web, code = np.arange(401), np.arange(101)
    ends = tm.DataLoader(tm.Mixture([(web, 3), (code, 1)], on_exhausted="stop"), max_length=4, batch_size=1)
    assert ends.ledger(1).times == {1: 100} and ends.ledger(0).left_out == 400 - ends.ledger(0).learned
    endless = tm.DataLoader(tm.Mixture([(web, 3), (code, 1)]), max_length=4, batch_size=1)
    with pytest.raises(ValueError, match=r"never ends; say how many samples to count: ledger\(samples=N\)"):
        endless.ledger()
    assert endless.ledger(1, samples=400).times == {4: 100}
    with pytest.raises(IndexError, match="source 2 does not exist; there are 2"):
        endless.ledger(2)
    for samples in (0, (ends.order.num_samples or 0) + 1):
        with pytest.raises(ValueError, match=f"samples={samples} is out of range"):
            ends.ledger(samples=samples)


def test_many_windows_are_counted_in_bounded_time_and_memory() -> None:
    ledger = tm.DataLoader(np.zeros(3_000_001, np.uint16), max_length=1, batch_size=32, epochs=None).ledger(
        samples=7 * 10**6
    )
    assert ledger.times == {2: 2 * 10**6, 3: 10**6}


def test_the_text_is_for_people(tmp_path: Path) -> None:
    store = make(tmp_path / "x.tm", [7, 0, 3, 1, 12])
    options: dict[str, Any] = {"max_length": 9, "batch_size": 1, "pad_id": 0}
    packed = tm.DataLoader(store, packing="best_fit", **options).ledger()
    assert str(packed).splitlines() == [
        "23 tokens: 19 learned, 0 masked, 4 with nothing before them, 0 dropped, 0 left out",
        "27 places in 3 rows: 19 learned, 0 repeats, 0 masked, 8 padding (29.6% teach nothing)",
        "3 samples: 0 skipped, 0 left out by drop_last",
    ]
    assert packed.waste == 8 / 27
    masked = tm.DataLoader(store, stride=3, boundary_labels="mask", skip=[(0, 1)], **options).ledger()
    assert str(masked).splitlines()[1].startswith("learned 1 times: ")
    assert "1 skipped" in str(masked) and masked.masked_places > 0
    nothing = tm.DataLoader(store, skip=[(0, 9)], **options).ledger()
    assert (nothing.rows, nothing.waste, nothing.times) == (0, 0.0, {})
