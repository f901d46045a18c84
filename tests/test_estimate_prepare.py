"""What a dry run tells, held against what is made then."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

import tokenmill as tm
from tokenmill.estimate_prepare import estimate_preparation

WORDS = ["token", "mill", "grain", "flour", "water", "wheel", "stone", "sack", "a", "of", "the", "and"]


@pytest.fixture(scope="module")
def tokenizer() -> tm.Tokenizer:
    texts = [" ".join(WORDS), "12 34 56 78"]
    return tm.train_bpe(tm.Documents.from_texts(texts), vocab_size=300, special_tokens=["<|endoftext|>"])


def text(source: random.Random, words: int, numbers: float) -> str:
    """Words are one token or two, numbers one a digit: files differ in tokens a byte."""
    return " ".join(
        str(source.randrange(10**9)) if source.random() < numbers else source.choice(WORDS)
        for _ in range(words)
    )


def files_of(folder: Path, seed: int) -> list[Path]:
    """A hundred files, some a hundred times as large as others, each with its own share of numbers."""
    source = random.Random(seed)
    paths = []
    for number in range(100):
        paths.append(folder / f"{number:03}.jsonl")
        share = source.random()
        documents = [
            json.dumps({"text": text(source, source.randrange(60), share)})
            for _ in range(source.choice([2, 20, 200]))
        ]
        paths[-1].write_text("\n".join(documents), encoding="utf-8")
    return paths


def made(paths: Any, tokenizer: tm.Tokenizer, out: Path, **options: Any) -> tuple[tm.TokenStore, int]:
    """The store, and the bytes of its shards."""
    store = tm.prepare(paths, tokenizer=tokenizer, out=out, **options)
    data = [path for path in out.iterdir() if path.suffix in (".tokens", ".docs", ".origin")]
    return store, sum(path.stat().st_size for path in data)


@pytest.mark.parametrize("marks", [{}, {"add_eos": False}])
def test_what_is_read_as_a_whole_is_told_exactly(
    tokenizer: tm.Tokenizer, tmp_path: Path, marks: dict[str, bool]
) -> None:
    paths = files_of(tmp_path, 1)[:12]
    told = estimate_preparation(paths, tokenizer=tokenizer, **marks)
    store, size = made(paths, tokenizer, tmp_path / "s.tm", **marks)
    assert told.error == 0 and told.sampled_bytes == told.total_bytes
    assert (told.tokens, told.documents, told.store_bytes) == (store.num_tokens, store.num_documents, size)
    for length, stride in ((64, None), (64, 7)):
        assert told.windows(length, stride) == len(tm.Windows(store, max_length=length, stride=stride))
    assert told.windows(told.tokens) == 0


def test_of_many_files_some_are_read_and_the_error_is_as_told(
    tokenizer: tm.Tokenizer, tmp_path: Path
) -> None:
    within = 0
    for seed in range(12):
        folder = tmp_path / str(seed)
        folder.mkdir()
        paths = files_of(folder, seed)
        told = estimate_preparation(paths, tokenizer=tokenizer, sample_bytes=1 << 19)
        store, size = made(paths, tokenizer, folder / "s.tm")
        assert 0 < told.sampled_bytes < told.total_bytes == sum(path.stat().st_size for path in paths)
        assert told.error is not None and 0 < told.error < 0.2
        off = abs(told.tokens / store.num_tokens - 1)
        assert off < 2 * told.error and abs(told.store_bytes / size - 1) < 3 * told.error
        within += off <= told.error
    assert within >= 10  # 95 of 100, as it says


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_beginning_of_one_large_file_tells_the_rest(
    tokenizer: tm.Tokenizer, tmp_path: Path, suffix: str
) -> None:
    source = random.Random(7)
    path = tmp_path / f"large.jsonl{suffix}"
    lines = "".join(json.dumps({"text": source.randbytes(2000).hex()}) + "\n" for _ in range(2500))
    path.write_bytes(gzip.compress(lines.encode(), 1) if suffix else lines.encode())
    told = estimate_preparation(path, tokenizer=tokenizer, sample_bytes=path.stat().st_size // 3)
    store, _ = made(path, tokenizer, tmp_path / "s.tm")
    assert told.sampled_bytes < told.total_bytes and told.error is not None
    assert abs(told.tokens / store.num_tokens - 1) < 0.1
    assert abs(told.documents / store.num_documents - 1) < 0.1


def test_what_cannot_be_told_is_said(tokenizer: tm.Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read twice; an estimate needs files"):
        estimate_preparation(tm.Documents.from_texts(["a"]), tokenizer=tokenizer)
    path = tmp_path / "bad.jsonl"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(tm.DocumentError, match=r"bad\.jsonl, line 1"):
        estimate_preparation(path, tokenizer=tokenizer)
    (tmp_path / "empty.txt").write_bytes(b"")
    told = estimate_preparation(tmp_path / "empty.txt", tokenizer=tokenizer)
    assert (told.documents, told.tokens, told.error, told.windows(8)) == (1, 1, 0.0, 0)
