"""Many texts or a long one at once: lists, arrays, Arrow; the same ids for any number of threads."""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import peers
import tokenmill as tm
from peers import END, Both
from samples import MIXED, standard_library, texts

BATCHES = st.lists(
    st.tuples(texts, st.sampled_from([0, 1, 1, 1, 3_000])).map(lambda t: t[0] * t[1]), max_size=8
)


@pytest.fixture(scope="module")
def gpt2(gpt2_path: Path) -> Both:
    return peers.gpt2(gpt2_path)


@pytest.fixture(scope="module")
def cl100k(cl100k_path: Path) -> Both:
    return peers.cl100k(cl100k_path)


@pytest.fixture(scope="module")
def o200k(o200k_path: Path) -> Both:
    return peers.o200k(o200k_path)


@pytest.fixture(scope="module", params=["gpt2", "cl100k", "o200k"])
def both(request: pytest.FixtureRequest) -> Both:
    chosen: Both = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture(scope="module")
def words() -> tm.Tokenizer:
    return tm.train_word(tm.Documents.from_texts(["the cat sat on the mat, 12 times"]), unk_token=None)


@pytest.fixture(scope="module")
def bytes_only() -> tm.Tokenizer:
    return tm.train_bpe(tm.Documents.from_texts([]), vocab_size=257)


# Shapes.


@settings(max_examples=40)
@given(batch=BATCHES)
def test_all_ways_give_the_ids_of_tiktoken(cl100k: Both, batch: list[str]) -> None:
    want = cl100k.theirs.encode_ordinary_batch(batch)
    assert cl100k.ours.encode_batch(batch) == want
    assert [cl100k.ours.encode(text) for text in batch] == want
    assert [cl100k.ours.count(text) for text in batch] == [len(ids) for ids in want]
    ids, offsets = cl100k.ours.encode_batch_to_numpy(batch)
    assert (ids.dtype, offsets.dtype, offsets.shape) == (np.uint32, np.int64, (len(batch) + 1,))
    assert [ids[start:end].tolist() for start, end in pairwise(offsets)] == want
    assert pa.array(cl100k.ours.encode_batch_to_arrow(batch)).to_pylist() == want
    column = pa.array(batch, pa.string())
    assert pa.array(cl100k.ours.encode_batch_to_arrow(column)).to_pylist() == want


def test_a_long_text_alone_and_among_short_ones(both: Both) -> None:
    long = "\n".join([MIXED * 20, *standard_library(400_000)])
    for batch in ([long], ["a", long], [long, ""], ["b"] * 5_000 + [long, long] + ["", "c"] * 5_000):
        want = both.theirs.encode_ordinary_batch(batch)
        assert both.ours.encode_batch(batch) == want
        assert [both.ours.count(text) for text in batch[-3:]] == [len(ids) for ids in want[-3:]]
    assert both.ours.encode_to_numpy(long).tolist() == both.theirs.encode_ordinary(long)


@pytest.mark.parametrize("unit", [" ", "\n", "12", "中", "'s", "e\u0301", "a1", "x ", "(;"])
def test_long_texts_of_one_kind_of_character(both: Both, unit: str) -> None:
    text = unit * (100_000 // len(unit))
    assert both.ours.encode(text) == both.theirs.encode_ordinary(text)


def test_special_tokens_where_a_long_text_is_cut(cl100k: Both) -> None:
    # With and without a space, so that every place of the token falls on every place of a cut.
    for text in (
        f"word{END}" * 20_000,
        f"a {END}b" * 30_000,
        END * 20_000,
        "x" * 70_000 + END + "y" * 70_000,
    ):
        for allowed in (set(), {END}):
            want = cl100k.theirs.encode(text, allowed_special=allowed, disallowed_special=())
            assert cl100k.ours.encode(text, allowed_special=allowed) == want
            assert cl100k.ours.encode_batch(["", text, "z"], allowed_special=allowed)[1] == want


def test_a_million_texts_of_one_byte(bytes_only: tm.Tokenizer) -> None:
    batch = list("abcdefgh" * 125_000)
    ids, offsets = bytes_only.encode_batch_to_numpy(batch)
    assert ids.tobytes() == np.frombuffer("".join(batch).encode(), np.uint8).astype(np.uint32).tobytes()
    assert np.array_equal(offsets, np.arange(1_000_001))
    array = pa.array(bytes_only.encode_batch_to_arrow(pa.array(batch)))
    assert len(array) == 1_000_000 and array.values.to_numpy().tobytes() == ids.tobytes()


def test_long_texts_of_words(words: tm.Tokenizer) -> None:
    text = "the cat, 12 dogs -- on the mat.\n" * 20_000
    once = words.encode("the cat, 12 dogs -- on the mat.\n")
    assert words.encode(text) == once * 20_000
    assert words.count(text) == len(once) * 20_000


def test_of_several_texts_without_a_token_the_first_is_named() -> None:
    tok = tm.train_word(tm.Documents.from_texts(["the cat"]), special_tokens=[])
    good = "the cat " * 20_000
    with pytest.raises(tm.UnknownTokenError, match=rf'^text 1: the word "dog" at byte {len(good)} '):
        tok.encode_batch([good, good + "dog " + good, "bird"])
    with pytest.raises(tm.UnknownTokenError, match=r'^the word "dog"'):
        tok.encode(good + "dog")


def test_what_is_no_text_is_named(bytes_only: tm.Tokenizer) -> None:
    for encode in (
        bytes_only.encode_batch,
        bytes_only.encode_batch_to_numpy,
        bytes_only.encode_batch_to_arrow,
    ):
        with pytest.raises(TypeError, match="text 2 is a bytes, not a str"):
            encode(["a", "b", b"c"])  # type: ignore[list-item]
        with pytest.raises(TypeError, match="texts is a str"):
            encode("abc")
        with pytest.raises(ValueError, match="a list of texts, which has no columns"):
            encode(["a"], column="text")


THREADS = """
import hashlib, json, sys
import numpy as np
import tokenmill as tm
from samples import MIXED, standard_library
tok = tm.Tokenizer.load(sys.argv[1])
long = "<|endoftext|>".join([MIXED * 30, *standard_library(1_000_000), " " * 100_000, "1" * 100_000])
batch = ["", *["y"] * 3_000, long, MIXED, *standard_library(300_000), "x" * 50_000]
digest = hashlib.sha256()
for allowed in ((), "all"):
    ids, offsets = tok.encode_batch_to_numpy(batch, allowed_special=allowed)
    digest.update(ids.tobytes() + offsets.tobytes())
    digest.update(tok.encode_to_numpy(long, allowed_special=allowed).tobytes())
    digest.update(np.concatenate(list(tok.encode_iter([long], allowed_special=allowed))).tobytes())
    digest.update(str(tok.count(long, allowed_special=allowed)).encode())
print(digest.hexdigest())
"""


def test_the_ids_do_not_depend_on_the_number_of_threads(cl100k_path: Path) -> None:
    def digest(threads: str) -> str:
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parent),
            "TOKENMILL_NUM_THREADS": threads,
        }
        command = [sys.executable, "-c", THREADS, str(cl100k_path)]
        return subprocess.run(
            command, env=environment, check=True, timeout=300, capture_output=True
        ).stdout.decode()

    digests = {digest(threads) for threads in ("1", "2", "5")}
    assert len(digests) == 1 and len(digests.pop().strip()) == hashlib.sha256().digest_size * 2


# Arrow in.

TYPES = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
TEXTS = ["ab", "", "日本", "c" * 20]


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_every_kind_of_string_column(bytes_only: tm.Tokenizer, kind: pa.DataType) -> None:
    want = [list(text.encode()) for text in TEXTS]
    array = pa.array(TEXTS, pa.string()).cast(kind)
    table = pa.table({"id": [1, 2, 3, 4], "body": array})
    sources = (
        array,
        array.slice(0),
        pa.chunked_array([array.slice(0, 1), array.slice(1, 0), array.slice(1)]),
        table,
        table.to_batches()[0],
        pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=3)),
    )
    for source in sources:
        assert pa.array(bytes_only.encode_batch_to_arrow(source)).to_pylist() == want
    ids, offsets = bytes_only.encode_batch_to_numpy(array.slice(1, 2))
    assert (ids.tolist(), offsets.tolist()) == ([*"日本".encode()], [0, 0, 6])
    assert bytes_only.encode_batch(table) == want
    assert bytes_only.encode_batch(table, column="body") == want


def test_an_array_without_rows(bytes_only: tm.Tokenizer) -> None:
    for kind in TYPES:
        array = pa.array([], pa.string()).cast(kind)
        for source in (array, pa.chunked_array([], kind), pa.table({"text": array})):
            result = pa.array(bytes_only.encode_batch_to_arrow(source))
            assert (len(result), result.type) == (0, pa.list_(pa.field("item", pa.uint32(), False)))
            assert bytes_only.encode_batch_to_numpy(source)[1].tolist() == [0]


@pytest.mark.parametrize(
    "array", [pa.array(["a", "b", None, None]), pa.array(["a", "b", None]).dictionary_encode()]
)
def test_a_null_is_an_error_that_names_the_row(bytes_only: tm.Tokenizer, array: pa.Array) -> None:
    for source in (array, pa.chunked_array([array.slice(0, 1), array.slice(1)]), pa.table({"t": array})):
        for encode in (
            bytes_only.encode_batch,
            bytes_only.encode_batch_to_numpy,
            bytes_only.encode_batch_to_arrow,
        ):
            with pytest.raises(tm.DocumentError, match=r"<arrow>, row 2: the text is null"):
                encode(source)


def test_arrow_data_without_texts_is_an_error(bytes_only: tm.Tokenizer) -> None:
    with pytest.raises(TypeError, match="Int64"):
        bytes_only.encode_batch_to_arrow(pa.array([1]))
    table = pa.table({"a": ["x"], "b": ["y"]})
    with pytest.raises(ValueError, match=r'column=.*"a", "b"'):
        bytes_only.encode_batch_to_arrow(table)
    with pytest.raises(ValueError, match='no column "c"'):
        bytes_only.encode_batch_to_numpy(table, column="c")
    assert bytes_only.encode_batch(table, column="b") == [[121]]


def test_documents_come_from_an_arrow_array_too(bytes_only: tm.Tokenizer) -> None:
    documents = tm.Documents.from_arrow(pa.array(TEXTS))
    assert [document.text for document in documents] == TEXTS
    assert [document.text for document in documents] == TEXTS


# Arrow out.


def test_ids_outlive_the_tokenizer_and_are_shared(gpt2_path: Path) -> None:
    tok = tm.Tokenizer.load(gpt2_path)
    batch = [MIXED, "", "Hello, world!"]
    want = tok.encode_batch(batch)
    ids = tok.encode_batch_to_arrow(batch)
    assert (len(ids), repr(ids)) == (3, "ArrowIds(3 texts, list<uint32>)")
    first, second = pa.array(ids), pa.array(ids)
    assert first.values.buffers()[1].address == second.values.buffers()[1].address
    del tok, ids
    gc.collect()
    first.validate(full=True)
    assert first.to_pylist() == second.to_pylist() == want
    del first
    assert second.to_pylist() == want


def test_capsules_that_nobody_takes_free_their_array(bytes_only: tm.Tokenizer) -> None:
    ids = bytes_only.encode_batch_to_arrow(["ab"])
    for _ in range(1000):
        ids.__arrow_c_array__()
        ids.__arrow_c_schema__()
    assert pa.array(ids).to_pylist() == [[97, 98]]


def test_large_offsets(bytes_only: tm.Tokenizer) -> None:
    ids = bytes_only.encode_batch_to_arrow(["ab", ""], large_offsets=True)
    array = pa.array(ids)
    assert array.type == pa.large_list(pa.field("item", pa.uint32(), False))
    assert (array.to_pylist(), repr(ids)) == ([[97, 98], []], "ArrowIds(2 texts, large_list<uint32>)")
    table = pa.record_batch([array], names=["ids"])
    assert table.column(0).to_pylist() == [[97, 98], []]
