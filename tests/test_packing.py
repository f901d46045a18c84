"""Packing by documents, document masks, the ledger and explanations."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenmill as tm
from reference import packing as slow
from reference.store_writer import write_store
from tokenmill.loader import DataLoader
from tokenmill.sampling import Windows
from tokenmill.store import TokenStore

LENGTHS = [7, 0, 3, 1, 12, 2, 0, 5, 30, 4, 4, 1]
PACKINGS = ["concat", "document", "best_fit"]
INPUTS = [{"name": "a.txt", "position": "byte", "bytes": 0, "blake3": "e3b0c442" + "0" * 56}]


def make(path: Path, lengths: list[int] = LENGTHS, *, shard_tokens: int = 9) -> TokenStore:
    """A store whose tokens are 0, 1, 2, ..., so that an id says where it comes from."""
    ids = iter(range(sum(lengths)))
    documents = [([next(ids) for _ in range(length)], 0, i) for i, length in enumerate(lengths)]
    write_store(path, documents, vocab_size=max(1000, sum(lengths)), inputs=INPUTS, shard_tokens=shard_tokens)
    return TokenStore.open(path)


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return make(tmp_path / "corpus.tm")


def loader(store: TokenStore, **options: Any) -> DataLoader:
    return DataLoader(store, **{"max_length": 8, "batch_size": 3, "pad_id": 999, **options})


def words(tmp_path: Path) -> tuple[TokenStore, list[str]]:
    """A store of real text with a tokenizer."""
    texts = ["the cat sat on the mat", "a dog", "", "the end of the long long story of a cat", "x"]
    documents = tm.Documents.from_texts(texts)
    tokenizer = tm.train_word(
        tm.Documents.from_texts(texts), split="whitespace", special_tokens=["[EOS]", "[UNK]"]
    )
    return tm.prepare(documents, tokenizer=tokenizer, out=tmp_path / "words.tm"), texts


# --- rows


@settings(max_examples=150)
@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=12),
    st.integers(1, 9),
    st.integers(1, 11),
    st.sampled_from(PACKINGS),
    st.sampled_from(["drop", "pad", "shift"]),
    st.booleans(),
    st.sampled_from(["keep", "mask"]),
    st.sampled_from(["int64", "int32"]),
    st.integers(1, 5),
)
def test_batches_equal_the_slow_twin(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[int],
    length: int,
    stride: int,
    packing: str,
    tail: str,
    mask: bool,
    boundary: str,
    dtype: str,
    size: int,
) -> None:
    store = make(tmp_path_factory.mktemp("p") / "x.tm", lengths, shard_tokens=6)
    tokens = list(range(sum(lengths)))
    if packing == "best_fit":
        stride, tail = length, "pad"
    options: dict[str, Any] = {"packing": packing, "document_mask": mask, "boundary_labels": boundary}
    options |= {"max_length": length, "stride": stride, "tail": tail, "pad_id": 3, "dtype": dtype}
    rows = slow.rows(lengths, packing, length, stride, tail)
    if not rows:
        with pytest.raises(ValueError, match=r"max_length|2 tokens"):
            DataLoader(store, batch_size=1, **options)
        return
    expected = [slow.render(tokens, lengths, row, length, 3, boundary == "mask") for row in rows]
    batches = list(DataLoader(store, batch_size=size, shuffle=False, drop_last=False, **options))
    names = ["input_ids", "labels"] + (["position_ids", "document_ids"] if mask else [])
    for name in names:
        arrays = [getattr(batch, name) for batch in batches]
        assert all(array.dtype == ("int32" if name == "document_ids" else dtype) for array in arrays)
        assert np.concatenate(arrays).tolist() == [getattr(row, name) for row in expected], name
    for batch in batches if mask else []:
        assert batch.cu_seqlens is not None and batch.document_ids is not None
        # A sequence begins where a row begins or the document changes.
        changes = np.ones(batch.document_ids.shape, bool)
        changes[:, 1:] = batch.document_ids[:, 1:] != batch.document_ids[:, :-1]
        starts = [*np.flatnonzero(changes).tolist(), changes.size]
        assert batch.cu_seqlens.dtype == np.int32 and batch.cu_seqlens.tolist() == starts
        assert batch.max_seqlen == max(np.diff(starts))
    if not mask:
        assert all(batch.position_ids is batch.cu_seqlens is batch.max_seqlen is None for batch in batches)
    # Map-style, the same rows.
    by_number = Windows(store, **{k: v for k, v in options.items() if k not in ("document_mask", "dtype")})
    assert [item[1].tolist() for item in by_number] == [row.labels for row in expected]


@pytest.mark.parametrize("packing", ["document", "best_fit"])
def test_no_row_learns_across_documents_and_every_transition_is_learned_once(
    store: TokenStore, packing: str
) -> None:
    learned = []
    for batch in loader(store, packing=packing, drop_last=False):
        rows, columns = np.nonzero(batch.labels != -100)
        inputs, labels = batch.input_ids[rows, columns], batch.labels[rows, columns]
        assert (labels == inputs + 1).all()  # ids are places
        learned += labels.tolist()
    openers = {start for start, _ in slow.bounds(LENGTHS)}
    assert sorted(learned) == [token for token in range(sum(LENGTHS)) if token not in openers]


def test_a_pad_id_that_is_in_the_text_stays_a_label(store: TokenStore) -> None:
    for batch in loader(store, packing="document", pad_id=1, shuffle=False):
        assert batch.labels[0, 0] == 1 and (batch.input_ids == 1).sum() > 1
        break
    assert sum(int((batch.labels == 1).sum()) for batch in loader(store, packing="document", pad_id=1)) == 1


def test_sequences_padded_with_their_own_end_token(tmp_path: Path) -> None:
    """The end of each is a label; the padding behind it, of the same id, is not."""
    end = 50_256
    documents = [([*ids, end], 0, 0) for ids in ([0, 1, 2, 3, 4], [5, 6], [7, 8, 9])]
    write_store(tmp_path / "x.tm", documents, vocab_size=50_257, inputs=INPUTS, shard_tokens=9, eos=end)
    store = TokenStore.open(tmp_path / "x.tm")
    [batch] = loader(store, max_length=5, packing="document", pad_id=end, shuffle=False)
    assert batch.input_ids.tolist() == [[0, 1, 2, 3, 4], [5, 6, end, end, end], [7, 8, 9, end, end]]
    assert batch.labels.tolist() == [
        [1, 2, 3, 4, end],
        [6, end, -100, -100, -100],
        [8, 9, end, -100, -100],
    ]


def test_large_batches_are_the_same_for_any_number_of_threads() -> None:
    code = (
        "import hashlib, pathlib, sys, tempfile; sys.path.insert(0, 'tests'); import test_packing as t\n"
        "lengths = [(i * 37) % 400 for i in range(800)]; h = hashlib.sha256()\n"
        "store = t.make(pathlib.Path(tempfile.mkdtemp()) / 'x.tm', lengths, shard_tokens=50_000)\n"
        "for packing in t.PACKINGS:\n"
        "    options = dict(packing=packing, document_mask=True, boundary_labels='mask', max_length=256)\n"
        "    for b in t.loader(store, batch_size=400, drop_last=False, **options):\n"
        "        for a in (b.input_ids, b.labels, b.position_ids, b.document_ids): h.update(a.tobytes())\n"
        "print(h.hexdigest())"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"TOKENMILL_NUM_THREADS": threads},
            capture_output=True,
            check=True,
        ).stdout
        for threads in ("1", "3")
    }
    assert len(hashes) == 1


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("world", [1, 2, 4, 8])
def test_ranks_and_resuming_do_not_change_the_rows(store: TokenStore, packing: str, world: int) -> None:
    options: dict[str, Any] = {"packing": packing, "document_mask": True, "max_length": 4, "epochs": 2}
    alone = [batch.input_ids.tolist() for batch in loader(store, batch_size=8, **options)]
    first = loader(store, batch_size=8, **options)
    next(iter(first))
    ranks = [
        loader(store, batch_size=8 // world, rank=rank, world_size=world, **options) for rank in range(world)
    ]
    for rank in ranks:
        rank.load_state_dict(json.loads(json.dumps(first.state_dict())))
    together = [
        [row for batch in step for row in batch.input_ids.tolist()] for step in zip(*ranks, strict=True)
    ]
    assert together == alone[1:]


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_rank_without_a_row_gets_an_empty_batch(store: TokenStore, packing: str) -> None:
    options: dict[str, Any] = {"packing": packing, "document_mask": True, "max_length": 70, "tail": "pad"}
    options |= {"batch_size": 50, "drop_last": False, "world_size": 80, "rank": 79}
    [batch] = loader(store, **options)
    assert batch.input_ids.shape == batch.position_ids.shape == (0, 70)
    assert batch.cu_seqlens.tolist() == [0] and batch.max_seqlen == 0


# --- the index of packed rows


def test_packed_rows_are_kept_beside_the_store_and_read_again(store: TokenStore) -> None:
    first = loader(store, packing="best_fit", shuffle=False)
    [index] = store.path.parent.glob("*.index")
    assert index.name == f"corpus.tm.best_fit-8-{store.content_hash[:8]}.index"
    before = index.stat()
    second = loader(store, packing="best_fit", shuffle=False)
    assert index.stat().st_mtime_ns == before.st_mtime_ns and index.stat().st_ino == before.st_ino
    assert [b.input_ids.tolist() for b in first] == [b.input_ids.tolist() for b in second]


def test_a_damaged_index_is_made_anew_with_a_warning(store: TokenStore) -> None:
    expected = [batch.input_ids.tolist() for batch in loader(store, packing="best_fit")]
    [index] = store.path.parent.glob("*.index")
    good = index.read_bytes()
    for damaged, reason in [
        (good[:-1] + bytes([good[-1] ^ 1]), "its checksum is wrong"),
        (good[:100], "it is too short"),
        (b"of another program" + good[18:], "it is not an index of this version"),
    ]:
        index.write_bytes(damaged)
        with pytest.warns(RuntimeWarning, match=rf"best_fit-8-.*of no use, {reason}: it has been made anew"):
            again = loader(store, packing="best_fit")
        assert index.read_bytes() == good
        assert [batch.input_ids.tolist() for batch in again] == expected


def test_an_index_of_a_read_only_folder_is_read(store: TokenStore) -> None:
    expected = [batch.input_ids.tolist() for batch in loader(store, packing="best_fit")]
    folder = store.path.parent
    folder.chmod(0o555)
    try:
        again = [batch.input_ids.tolist() for batch in loader(store, packing="best_fit")]
    finally:
        folder.chmod(0o755)
    assert again == expected


def test_where_nothing_can_be_written_rows_are_packed_in_memory_with_a_warning(store: TokenStore) -> None:
    expected = [batch.input_ids.tolist() for batch in loader(store, packing="best_fit")]
    [index] = store.path.parent.glob("*.index")
    index.unlink()
    index.mkdir()  # whoever runs the tests cannot write a file there
    with pytest.warns(RuntimeWarning, match=r"cannot be written .*packs the documents anew.*best_fit-8-"):
        unsaved = loader(store, packing="best_fit")
    assert [batch.input_ids.tolist() for batch in unsaved] == expected
    assert not list(index.iterdir()) and not list(store.path.parent.glob("*.partial"))


def test_processes_that_pack_at_once_leave_one_index(tmp_path: Path) -> None:
    make(tmp_path / "x.tm", [i * 37 % 90 for i in range(3000)], shard_tokens=40_000)
    code = (
        "import sys, tokenmill as tm; sys.stdin.readline()\n"
        "store = tm.TokenStore.open(sys.argv[1])\n"
        "tm.DataLoader(store, max_length=64, batch_size=4, packing='best_fit', pad_id=0)"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "x.tm")]
    ranks = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(4)]
    for rank in ranks:
        assert rank.stdin is not None
        rank.stdin.write("\n")
        rank.stdin.flush()
    for rank in ranks:
        rank.communicate(timeout=120)
    assert [rank.returncode for rank in ranks] == [0] * 4
    assert len(list(tmp_path.iterdir())) == 2


def test_windows_of_packed_rows_can_be_pickled(store: TokenStore) -> None:
    rows = Windows(store, max_length=8, packing="best_fit", pad_id=5, boundary_labels="mask")
    again = pickle.loads(pickle.dumps(rows))
    assert repr(again) == repr(rows) and "packing='best_fit'" in repr(rows)
    assert [item[0].tolist() for item in again] == [item[0].tolist() for item in rows]
    assert rows.start(0) == 0


# --- states, the ledger, explanations


def test_a_state_of_another_packing_is_refused(store: TokenStore) -> None:
    state = loader(store, packing="document").state_dict()
    with pytest.raises(ValueError, match=r"plan\.packing is 'best_fit' here and 'document' in the state"):
        loader(store, packing="best_fit").load_state_dict(state)


def test_masks_do_not_change_the_order_so_a_state_may_go_between_them(store: TokenStore) -> None:
    masked = loader(store, document_mask=True, boundary_labels="mask")
    masked.load_state_dict(loader(store).state_dict())


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("boundary", ["keep", "mask"])
def test_explanations_say_what_stands_at_each_place(tmp_path: Path, packing: str, boundary: str) -> None:
    store, texts = words(tmp_path)
    options: dict[str, Any] = {
        "packing": packing,
        "boundary_labels": boundary,
        "tail": "pad",
        "max_length": 6,
    }
    batches = loader(store, batch_size=2, epochs=2, drop_last=False, **options)
    reasons = set()
    for batch in batches:
        for row, column in np.ndindex(batch.input_ids.shape):
            it = batches.explain(batch.step, row, column)
            assert (it.epoch, it.window) == (batch.epoch, batch.windows[row])
            assert it.label == batch.labels[row, column]
            assert (it.why_no_label is None) == (it.label != -100)
            reasons.add(it.why_no_label)
            if it.token is None:
                assert it.why_no_label == "padding" and it.input_id is it.text is it.origin is None
                continue
            assert it.input_id == batch.input_ids[row, column] == store[it.token]
            assert it.text == store.tokenizer.decode([it.input_id])
            assert it.tokenizer == store.tokenizer.fingerprint and it.origin is not None
            if it.text != "[EOS]":
                document = texts[it.origin.document].encode()[it.origin.byte :]
                assert document.lstrip().startswith(it.text.encode())
    expected: set[str | None] = {None, "padding", "last token"}
    assert reasons <= expected | {"boundary"} and None in reasons and "last token" in reasons
    assert ("boundary" in reasons) == (boundary == "mask" and packing == "concat")


def test_an_explanation_for_people(tmp_path: Path) -> None:
    store, _ = words(tmp_path)
    lines = str(loader(store, shuffle=False, max_length=6, batch_size=1).explain(0, 0, 1)).splitlines()
    assert lines[0] == "step 0, row 0, column 1: epoch 0, window 0"
    assert lines[1].startswith("token 1 of the data, id") and "'cat', label" in lines[1]
    assert lines[2] == "<texts>, document 0 at row 0, byte 3 of its text"
    padding = loader(store, packing="document", shuffle=False, batch_size=1).explain(1, 0, 7)
    assert str(padding).splitlines()[1] == "padding, label -100"
    array = loader(np.arange(50), shuffle=False).explain(0, 1, 2)  # type: ignore[arg-type]
    assert (array.token, array.input_id, array.label, array.text, array.origin) == (10, 10, 11, None, None)


def test_places_that_do_not_exist_are_named(store: TokenStore) -> None:
    batches = loader(store, batch_size=3)
    for place, message in [((0, 3, 0), "row 3 does not exist; this batch has 3"), ((0, 0, 8), "column 8")]:
        with pytest.raises(IndexError, match=message):
            batches.explain(*place)
    with pytest.raises(ValueError, match="step=-1"):
        batches.explain(-1, 0, 0)


# --- arguments


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"packing": "sorted"}, ValueError, 'packing="sorted" is unknown; choose "concat", "document" or'),
        ({"packing": None}, TypeError, "packing=None is a NoneType"),
        (
            {"boundary_labels": "drop"},
            ValueError,
            'boundary_labels="drop" is unknown; choose "keep" or "mask"',
        ),
        ({"document_mask": 1}, TypeError, "document_mask=1 is a int"),
        ({"packing": "best_fit", "stride": 2}, ValueError, r"no stride other than max_length .*stride=2"),
        ({"packing": "best_fit", "tail": "drop"}, ValueError, 'tail="drop"'),
        (
            {"packing": "best_fit", "shuffle": "block"},
            ValueError,
            "documents from anywhere; choose shuffle=True",
        ),
        ({"packing": "best_fit", "max_length": 2**27}, ValueError, "max_length=134217728 is out of range"),
        ({"packing": "document", "max_length": 40, "tail": "drop"}, ValueError, "none of the 12 documents"),
    ],
)
def test_wrong_arguments_are_named(
    store: TokenStore, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        loader(store, **options)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"packing": "document"}, 'packing="document"'),
        ({"document_mask": True}, "document_mask"),
        ({"boundary_labels": "mask"}, "boundary_labels"),
    ],
)
def test_arrays_have_no_documents(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=f"{what} needs to know where documents end"):
        loader(np.arange(100), **options)  # type: ignore[arg-type]


def test_packing_without_an_id_to_pad_with_says_so(tmp_path: Path) -> None:
    tokenizer = tm.train_word(tm.Documents.from_texts(["a b c"]), split="whitespace", special_tokens=[])
    store = tm.prepare(
        tm.Documents.from_texts(["a b c"]), tokenizer=tokenizer, out=tmp_path / "x.tm", add_eos=False
    )
    with pytest.raises(ValueError, match='packing="best_fit" needs an id to pad with'):
        DataLoader(store, max_length=2, batch_size=1, packing="best_fit")


def test_explanations_are_json_able(tmp_path: Path) -> None:
    store, _ = words(tmp_path)
    it = loader(store, batch_size=1).explain(0, 0, 0)
    assert json.loads(json.dumps(dataclasses.asdict(it)))["origin"]["unit"] == "row"
