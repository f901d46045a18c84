"""Files as they lie about in the world: each becomes the documents it holds, or one error that names it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import zstandard

from tokenmill import _core
from tokenmill.documents import Documents
from tokenmill.prepare import prepare
from tokenmill.store import TokenStore
from tokenmill.tokenizer import Tokenizer
from tokenmill.train_tokenizer import train_bpe

BOM = b"\xef\xbb\xbf"
RECORDS = b'{"text": "one"}\n' * 50_000


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe(Documents.from_texts(["one two"]), vocab_size=260, special_tokens=["<|endoftext|>"])


def made(tokenizer: Tokenizer, folder: Path, *names: str, separator: str | None = None) -> TokenStore:
    data = Documents.from_files([folder / name for name in names], separator=separator)
    return prepare(data, tokenizer=tokenizer, out=folder / "s.tm", add_eos=False)


def texts_of(store: TokenStore) -> list[str]:
    documents = (store.document(i).tolist() for i in range(store.num_documents))
    return [store.tokenizer.decode(ids) for ids in documents]


def test_a_byte_order_mark_is_no_text_and_only_one_is_taken(tokenizer: Tokenizer, tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(BOM + b"one")
    (tmp_path / "b.jsonl").write_bytes(BOM + b'{"text": "two"}\n')
    (tmp_path / "c.txt").write_bytes(BOM + BOM)
    store = made(tokenizer, tmp_path, "a.txt", "b.jsonl", "c.txt")
    assert texts_of(store) == ["one", "two", "\ufeff"]
    # Places count from the start of the file, the mark included.
    assert [store.origin(0).position, store.origin(len(store.document(0))).position] == [3, 3]


def test_line_ends_of_windows_are_kept_in_text_and_none_of_a_record(tokenizer: Tokenizer, tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"one\r\ntwo\r\n")
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "one"}\r\n\r\n{"text": "a\\r\\nb"}\r\n')
    assert texts_of(made(tokenizer, tmp_path, "a.txt", "b.jsonl")) == ["one\r\ntwo\r\n", "one", "a\r\nb"]


def test_nul_is_a_character_like_any(tokenizer: Tokenizer, tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"\0one\0|\0")
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "\\u0000"}\n')
    (tmp_path / "c.jsonl").write_bytes(b'{"text": "\0"}\n')
    store = made(tokenizer, tmp_path, "a.txt", "b.jsonl", separator="|")
    assert texts_of(store) == ["\0one\0", "\0", "\0"]
    with pytest.raises(
        _core.DocumentError, match=r"c\.jsonl, line 1, byte 10: invalid JSON: control character"
    ):
        prepare(str(tmp_path / "c.jsonl"), tokenizer=tokenizer, out=tmp_path / "t.tm")


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_compressed_file_that_ends_early_or_is_damaged_is_always_an_error(
    tokenizer: Tokenizer, tmp_path: Path, suffix: str
):
    packed = gzip.compress(RECORDS) if suffix == "gz" else zstandard.compress(RECORDS)
    path = tmp_path / f"a.jsonl.{suffix}"
    for damaged in (packed[:-1], packed[: len(packed) // 2], packed[:3], b"", b"no such thing"):
        path.write_bytes(damaged)
        for on_error in ("raise", "skip"):
            with pytest.raises(
                _core.DocumentError, match=rf"a\.jsonl\.{suffix}: the (gzip|zstd) data is damaged"
            ):
                prepare(str(path), tokenizer=tokenizer, out=tmp_path / "s.tm", on_error=on_error)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    # Files that were put one behind the other are one.
    path.write_bytes(packed + packed)
    store = prepare(str(path), tokenizer=tokenizer, out=tmp_path / "s.tm", add_eos=False)
    assert store.num_documents == 100_000


def test_a_million_empty_documents_are_a_million_documents(tokenizer: Tokenizer, tmp_path: Path):
    (tmp_path / "a.jsonl").write_bytes(b'{"text":""}\n' * 10**6)
    store = made(tokenizer, tmp_path, "a.jsonl")
    assert (store.num_documents, store.num_tokens) == (10**6, 0)
    assert store.manifest["num_empty_documents"] == 10**6 and store.verify().ok
    assert len(store.document(10**6 - 1)) == 0


def test_names_with_spaces_marks_and_other_letters_are_names(tokenizer: Tokenizer, tmp_path: Path):
    names = ["a b.txt", "ü 文.txt", "[x]*?.txt", "quote\"'.txt", "new\nline.txt"]
    for name in names:
        (tmp_path / name).write_text(name, encoding="utf-8", newline="")
    store = made(tokenizer, tmp_path, *names)
    assert texts_of(store) == names
    inputs = json.loads((store.path / "manifest.json").read_text(encoding="utf-8"))["inputs"]
    assert [Path(record["name"]).name for record in inputs] == names


def test_a_line_of_many_megabytes_is_one_document(tokenizer: Tokenizer, tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"one two " * (4 << 20))
    store = made(tokenizer, tmp_path, "a.txt")
    assert store.num_documents == 1 and store.manifest["summary"]["text_bytes"] == 32 << 20
    assert store.tokenizer.decode(store[-20:].tolist()).endswith("one two ")
