from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from reference.store_reader import read_store
from reference.store_writer import write_store
from tokenmill import _core
from tokenmill import store as store_module
from tokenmill.store import TokenStore

INPUTS = [
    {"name": name, "position": position, "bytes": 0, "blake3": blake3(b"").hexdigest()}
    for name, position in [("a.txt", "byte"), ("<texts>", "row")]
]
DOCUMENTS = [([], 0, 0), ([1, 2, 3], 0, 9), ([4], 1, 0), ([], 1, 1), ([5, 6, 7, 8, 9], 1, 2), ([10], 1, 3)]
IDS = list(range(1, 11))


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return make(tmp_path / "corpus.tm")


def make(path: Path, documents=DOCUMENTS, *, vocab_size: int = 100, shard_tokens: int = 4) -> TokenStore:
    write_store(path, documents, vocab_size=vocab_size, inputs=INPUTS, shard_tokens=shard_tokens)
    return TokenStore.open(path)


def test_a_store_written_from_the_specification_opens_and_says_what_it_is(store: TokenStore):
    assert (len(store), store.num_tokens, store.num_documents, store.vocab_size) == (10, 10, 6, 100)
    assert store.dtype == np.dtype("uint16")
    assert store.manifest["num_empty_documents"] == 2
    assert store.manifest["content_hash"] == store.content_hash
    assert [shard["num_tokens"] for shard in store.manifest["shards"]] == [4, 5, 1]
    assert repr(store) == f"TokenStore({str(store.path)!r}: 10 tokens, 6 documents, uint16)"


def test_slices_follow_numpy(store: TokenStore):
    array = np.array(IDS, np.uint16)
    bounds = [None, -11, -10, -3, 0, 3, 4, 9, 10, 12]
    for start in bounds:
        for stop in bounds:
            np.testing.assert_array_equal(store[start:stop], array[start:stop], strict=True)
    assert [store[i] for i in range(-10, 10)] == IDS + IDS
    assert store[np.int64(3)] == 4


def test_a_slice_is_a_copy(store: TokenStore):
    ids = store[:]
    ids[:] = 0
    assert store[0] == 1


def test_indices_out_of_range_and_other_steps_are_refused(store: TokenStore):
    for index in (10, -11):
        with pytest.raises(IndexError, match=f"token {index} is not one of the store's 10"):
            store[index]
    with pytest.raises(ValueError, match=r"steps of 1, not 2; use store\[a:b\]\[::2\]"):
        store[::2]
    with pytest.raises(IndexError, match="document 6"):
        store.document(6)
    with pytest.raises(IndexError, match="token 10"):
        store.origin(10)


def test_documents_come_back(store: TokenStore):
    for i, (ids, _, _) in enumerate(DOCUMENTS):
        np.testing.assert_array_equal(store.document(i), np.array(ids, np.uint16), strict=True)
        np.testing.assert_array_equal(store.document(i - len(DOCUMENTS)), store.document(i))


def test_a_store_survives_pickling(store: TokenStore):
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store))[:], store[:])


@pytest.mark.parametrize(
    ("vocab_size", "dtype"), [(65_535, "uint16"), (65_536, "uint16"), (65_537, "uint32")]
)
def test_the_vocabulary_decides_the_dtype(tmp_path: Path, vocab_size: int, dtype: str):
    store = make(tmp_path / "s", [([vocab_size - 1], 0, 0)], vocab_size=vocab_size)
    assert store.dtype == store[:].dtype == np.dtype(dtype)
    assert store[0] == vocab_size - 1


def test_an_empty_store_is_a_store(tmp_path: Path):
    store = make(tmp_path / "s", [])
    assert len(store) == 0
    assert store[:].shape == (0,)
    with pytest.raises(IndexError):
        store[0]


@given(
    documents=st.lists(
        st.tuples(st.lists(st.integers(0, 99), max_size=6), st.integers(0, 1), st.integers(0, 2**63))
    ),
    shard_tokens=st.integers(1, 9),
)
def test_store_and_reference_reader_agree(
    tmp_path_factory: pytest.TempPathFactory, documents, shard_tokens: int
):
    path = tmp_path_factory.mktemp("stores") / "s"
    store = make(path, documents, shard_tokens=shard_tokens)
    ids, ends, origins = read_store(path)
    np.testing.assert_array_equal(store[:], ids, strict=True)
    for i, (expected, number, position) in enumerate(documents):
        np.testing.assert_array_equal(store.document(i), expected)
        assert int(ends[i]) == store._core.document_range(i)[1]
        name = INPUTS[number]["name"]
        assert store._core.origin(i)[::2] == (name, position) == (name, int(origins[i, 1]))
    # The reference's tokenizer.json is no tokenizer: the only thing that verify may find.
    assert {problem.file for problem in store.verify().problems} == {"tokenizer.json"}


def test_a_wrong_size_is_refused_when_opening(store: TokenStore):
    (store.path / "shard-00001.docs").write_bytes(bytes(9))
    with pytest.raises(
        _core.StoreError, match=r"shard-00001\.docs: is 9 bytes long where manifest\.json needs 16"
    ):
        TokenStore.open(store.path)


def test_a_missing_store_is_an_os_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        TokenStore.open(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        store_module.verify(tmp_path / "none")


def test_verify_names_file_and_block_and_reports_progress(store: TokenStore):
    path = store.path / "shard-00001.tokens"
    path.write_bytes(b"\xff" + path.read_bytes()[1:])
    seen: list[tuple[str, str, int, int | None]] = []
    report = store.verify(progress=lambda *progress: seen.append(progress))
    assert not report.ok
    [problem] = [problem for problem in report.problems if problem.file != "tokenizer.json"]
    assert (problem.file, problem.block, problem.byte_range) == ("shard-00001.tokens", 0, (0, 10))
    assert "shard-00001.tokens, block 0, bytes 0 to 10: its BLAKE3" in str(report)
    assert seen[-1] == ("verifying", "bytes", report.num_bytes, report.num_bytes)


def test_an_exception_of_the_callback_ends_verify(store: TokenStore):
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.verify(progress=fail)


def test_the_reader_printed_in_the_specification_is_the_tested_one():
    tests = Path(__file__).parent
    page = (tests.parent / "docs" / "format.md").read_text(encoding="utf-8")
    body = page[page.index("    manifest = json.loads") : page.index("```\n\nDocument `i`")]
    assert body in (tests / "reference" / "store_reader.py").read_text(encoding="utf-8")
