"""Documents that are too long to be held, from 16 MiB on; the core's own tests have shorter ones."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import zstandard

import tokenmill as tm
from long_document import FORMS, check
from tokenmill import _core

LONG = 17 << 20


@pytest.fixture(scope="module")
def tokenizer(verdict: str) -> tm.Tokenizer:
    return tm.train_bpe(
        tm.Documents.from_texts([verdict]), vocab_size=600, special_tokens=["<|endoftext|>", "<s>"]
    )


@pytest.fixture(scope="module")
def text(verdict: str) -> str:
    """A long text of many kinds of places where it is read in two parts."""
    parts = [verdict, "数据。" * 50, "0.125,-3;" * 100, "\r\n \n\t" * 30, "<s>", "e\u0301😀", '"\\/'] * 200
    text = "".join(parts)
    return text * (LONG // len(text.encode()) + 1)


@pytest.mark.parametrize("form", ["txt", "txt.gz", "jsonl", "jsonl.zst"])
def test_a_long_document_has_the_ids_of_the_whole(
    tmp_path: Path, tokenizer: tm.Tokenizer, text: str, form: str
):
    record = json.dumps({"a": 1, "text": text, "b": "x"}, ensure_ascii=form == "jsonl").encode()
    data = record if form.startswith("jsonl") else text.encode()
    if form.endswith(".gz"):
        data = gzip.compress(data, 1)
    elif form.endswith(".zst"):
        data = zstandard.ZstdCompressor(level=1).compress(data)
    (tmp_path / f"a.{form}").write_bytes(data)
    store = tm.prepare(tmp_path / f"a.{form}", tokenizer=tokenizer, out=tmp_path / "s.tm", add_bos=True)
    np.testing.assert_array_equal(store[1:-1], tokenizer.encode_to_numpy(text))
    assert store[0] == tokenizer.special_tokens["<s>"] and store.num_documents == 1
    summary = store.manifest["summary"]
    assert (summary["text_bytes"], summary["special_text"]) == (len(text.encode()), text.count("<s>"))
    damaged = store.path / "shard-00000.tokens"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert not store.verify().ok
    assert tm.repair(store.path).shards == ("shard-00000",) and store.verify().ok


def is_kept(text: str) -> bool:
    """Whether the text is for validation, where half of all texts are."""
    return hashlib.sha256(text.encode()).digest()[7] < 128


def test_what_becomes_of_long_documents_is_decided_as_of_short_ones(
    tmp_path: Path, tokenizer: tm.Tokenizer, text: str
):
    """Held against documents of a program, which come whole."""
    kept = {is_kept(f"{number}{text}"): f"{number}{text}" for number in range(9)}
    texts = ["short", kept[True], kept[False], kept[True], "short too"]
    (tmp_path / "a.txt").write_text("||".join(texts), encoding="utf-8", newline="")
    data = tm.Documents.from_files(tmp_path / "a.txt", separator="||")
    stores = [
        tm.prepare(source, tokenizer=tokenizer, out=tmp_path / name, dedup="exact", val_fraction=0.5)
        for name, source in [("parts.tm", data), ("whole.tm", tm.Documents.from_texts(texts))]
    ]
    parts, whole = stores
    assert parts.manifest["summary"] == whole.manifest["summary"]
    assert parts.manifest["summary"]["duplicates"] == 1
    assert parts.validation is not None and whole.validation is not None
    for one, other in [(parts, whole), (parts.validation, whole.validation)]:
        assert one.num_documents == other.num_documents > 0
        np.testing.assert_array_equal(one[:], other[:])


def test_a_long_record_that_holds_no_document_is_left_out_with_its_place(
    tmp_path: Path, tokenizer: tm.Tokenizer, text: str
):
    file, rejected = tmp_path / "a.jsonl", tmp_path / "rejected.jsonl"
    good, long = b'{"text": "the end"}\n', json.dumps({"text": text}).encode()
    at = len(good) + len(long) - 3
    file.write_bytes(good + long[:-3] + b"\xff" + long[-3:] + b"\n" + good)
    with pytest.raises(_core.DocumentError, match=f"line 2, byte {at}: the text is not valid UTF-8"):
        tm.prepare(file, tokenizer=tokenizer, out=tmp_path / "s.tm")
    assert not (tmp_path / "s.tm").exists() and not (tmp_path / "s.tm.partial").exists()
    store = tm.prepare(
        file, tokenizer=tokenizer, out=tmp_path / "s.tm", on_error="quarantine", quarantine=rejected
    )
    assert store.num_documents == 2 and len(store) < 20 and store.verify().ok
    line = json.loads(rejected.read_text())
    assert (line["line"], line["byte"]) == (2, at) and "record" not in line
    assert line["record_at"] == [len(good), len(good) + len(long) + 1]


def test_a_long_text_without_a_place_to_be_cut_is_encoded_whole(tmp_path: Path, tokenizer: tm.Tokenizer):
    words = tm.train_word(tm.Documents.from_texts(["a b"]), split=r"[,.]", special_tokens=["[UNK]"])
    for number, (own, text) in enumerate([(tokenizer, "-" * LONG), (words, "a, b" * (LONG // 4))]):
        (tmp_path / "a.txt").write_text(text)
        store = tm.prepare(tmp_path / "a.txt", tokenizer=own, out=tmp_path / f"{number}.tm", add_eos=False)
        np.testing.assert_array_equal(store[:], own.encode_to_numpy(text))


@pytest.mark.parametrize("form", FORMS)
def test_memory_does_not_grow_with_the_document(tmp_path: Path, verdict_path: Path, form: str):
    """A document of 250 MB, which alone would take more than is allowed."""
    assert check(tmp_path, verdict_path, 250_000_000, form).memory < 220 << 20
