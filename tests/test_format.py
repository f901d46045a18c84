"""docs/format.md is the whole truth: what the core writes passes a checker written from the page alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from reference.store_checker import check_store
from tokenmill.documents import Documents
from tokenmill.prepare import prepare
from tokenmill.store import verify
from tokenmill.train_tokenizer import train_bpe

TEXTS = ["", *(f"document {i} naïve" for i in range(60)), "", "long " * 200]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("format") / "s.tm"
    data = Documents.from_texts(TEXTS)
    tokenizer = train_bpe(data, vocab_size=300, special_tokens=["<s>", "</s>"])
    prepare(data, tokenizer=tokenizer, out=out, add_bos=True, val_fraction=0.3, shard_tokens=300)
    return out


def test_stores_of_both_widths_pass(store: Path, tmp_path: Path, cl100k_path: Path):
    check_store(store)
    from tokenmill import Tokenizer

    wide = Tokenizer.load(cl100k_path)
    prepare(Documents.from_texts(TEXTS), tokenizer=wide, out=tmp_path / "wide.tm", shard_tokens=100)
    check_store(tmp_path / "wide.tm")
    prepare(Documents.from_texts([]), tokenizer=wide, out=tmp_path / "empty.tm")
    check_store(tmp_path / "empty.tm")


def test_the_checker_and_verify_both_find_any_changed_byte(store: Path):
    chance = random.Random(0)
    for path in sorted(store.iterdir()):
        sound = path.read_bytes()
        for at in {0, len(sound) - 1, *(chance.randrange(len(sound)) for _ in range(6))}:
            path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
            with pytest.raises((AssertionError, ValueError)):
                check_store(store)
            assert path.name in {problem.file for problem in verify(store).problems}
        path.write_bytes(sound)
    check_store(store)


def test_a_file_too_many_or_too_few_is_found(store: Path):
    (store / "more").touch()
    with pytest.raises(AssertionError):
        check_store(store)
    (store / "more").unlink()
    record = (store / "shard-00000.json").read_bytes()
    (store / "shard-00000.json").unlink()
    with pytest.raises(FileNotFoundError):
        check_store(store)
    (store / "shard-00000.json").write_bytes(record)
