"""Our ids beside a peer's, on any documents: what is counted, what is shown, what is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tokenmill as tm
from reference.bpe import byte_characters
from reference.patterns import PATTERNS, tiktoken_spelling
from samples import MIXED, standard_library
from tokenmill import validate
from tokenmill.validate import measure


def listed(path: Path) -> tm.Tokenizer:
    """Merges bc, ab, ab+c. By the list "abc" is a, bc; by ranks a and bc are one token more."""
    characters = byte_characters()
    vocab = {characters[byte]: byte for byte in range(256)} | {"bc": 256, "ab": 257, "abc": 258}
    model = {"type": "BPE", "vocab": vocab, "merges": [["b", "c"], ["a", "b"], ["ab", "c"]]}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    content = {"version": "1.0", "added_tokens": [], "pre_tokenizer": byte_level, "model": model}
    path.write_text(json.dumps(content), encoding="utf-8")
    return tm.Tokenizer.load(path)


def test_the_regular_expressions_are_the_published_ones() -> None:
    assert {name: tiktoken_spelling(name) for name in PATTERNS} == validate.REGEXES


@pytest.mark.parametrize("peer", ["tiktoken", "tokenizers"])
def test_equal_ids_and_both_speeds(cl100k_path: Path, peer: validate.Peer) -> None:
    texts = [MIXED, "", "<|endoftext|> is text", *standard_library(100_000)]
    tokenizer = tm.Tokenizer.load(cl100k_path)
    steps: list[int] = []

    def progress(stage: str, unit: str, done: int, total: int | None, /) -> None:
        assert (stage, unit, total) == ("encoding", "bytes", None)
        steps.append(done)

    found = measure(tokenizer, tm.Documents.from_texts(texts), against=peer, progress=progress)
    assert (found.documents, found.mismatched, found.mismatch, found.peer_failed) == (len(texts), 0, None, 0)
    assert found.bytes == sum(len(text.encode()) for text in texts) == steps[-1]
    assert found.tokens == sum(tokenizer.count(text) for text in texts)
    assert found.peer is not None and found.peer.startswith(f"{peer} ")
    assert found.ratio is not None and found.peer_megabytes_per_second is not None
    assert found.ratio == pytest.approx(found.megabytes_per_second / found.peer_megabytes_per_second)


def test_without_a_peer_only_we_are_timed(gpt2_path: Path) -> None:
    found = measure(tm.Tokenizer.load(gpt2_path), tm.Documents.from_texts([MIXED] * 3))
    assert (found.documents, found.peer, found.ratio, found.peer_megabytes_per_second) == (
        3,
        None,
        None,
        None,
    )
    assert found.seconds > 0 and found.peer_seconds == 0


def test_the_first_mismatch_is_shown_where_it_is(tmp_path: Path) -> None:
    tokenizer = listed(tmp_path / "listed.json")
    (tmp_path / "data.jsonl").write_text(
        '{"text": "fine"}\n{"text": "é fine abc and"}\n{"text": "abc"}\n', encoding="utf-8"
    )
    found = measure(tokenizer, tmp_path / "data.jsonl", against="tiktoken")
    assert (found.documents, found.mismatched) == (3, 2)
    mismatch = found.mismatch
    assert mismatch is not None
    assert (mismatch.input, mismatch.position) == (str(tmp_path / "data.jsonl"), 17)
    assert (mismatch.byte, mismatch.text) == (8, "é fine abc and")
    assert (mismatch.id_number, mismatch.first_shown) == (8, 4)
    assert mismatch.ours == [*b"ine ", 97, 256, *b" and"]
    assert mismatch.theirs == [*b"ine ", 258, *b" and"]


def test_ids_that_end_too_early_are_a_mismatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = listed(tmp_path / "listed.json")
    monkeypatch.setattr(
        validate, "_tokenizers", lambda tokenizer, path: lambda text: tokenizer.encode(text)[:2]
    )
    found = measure(tokenizer, tm.Documents.from_texts(["xy", "xyz"]), against="tokenizers")
    assert found.mismatch is not None
    assert (found.mismatch.position, found.mismatch.byte, found.mismatch.id_number) == (1, 2, 2)


def test_auto_takes_the_peer_with_the_same_rule(tmp_path: Path, cl100k_path: Path) -> None:
    documents = tm.Documents.from_texts(["abc the end"])
    words = tm.train_word(documents)
    for tokenizer, peer in (
        (listed(tmp_path / "listed.json"), "tokenizers"),
        (tm.Tokenizer.load(cl100k_path), "tiktoken"),
        (words, "tokenizers"),
    ):
        found = measure(tokenizer, documents, against="auto")
        assert found.peer is not None and found.peer.startswith(peer)
        assert found.mismatch is None


def test_tokenizers_reads_the_very_file(tmp_path: Path) -> None:
    tokenizer = listed(tmp_path / "listed.json")
    path = tmp_path / "other.json"
    content = json.loads((tmp_path / "listed.json").read_text(encoding="utf-8"))
    content["model"]["merges"].pop(0)
    path.write_text(json.dumps(content), encoding="utf-8")
    documents = tm.Documents.from_texts(["abc"])
    for given, equal in ((None, True), (tmp_path / "listed.json", True), (path, False)):
        assert (measure(tokenizer, documents, against="tokenizers", path=given).mismatched == 0) is equal


def test_it_stops_after_so_much_text(gpt2_path: Path) -> None:
    tokenizer = tm.Tokenizer.load(gpt2_path)
    documents = tm.Documents.from_texts(["word " * 2000] * 100)
    assert measure(tokenizer, documents, megabytes=0.1).documents == 10
    assert measure(tokenizer, documents, megabytes=0.101).documents == 11
    assert measure(tokenizer, documents).documents == 100


@pytest.mark.parametrize(
    ("peer", "missing", "message"),
    [
        ("tiktoken", ["tiktoken"], "pip install tiktoken"),
        ("tokenizers", ["tokenizers"], "pip install tokenizers"),
        ("auto", ["tiktoken", "tokenizers"], "tiktoken or tokenizers installed: pip install tiktoken"),
    ],
)
def test_a_peer_that_is_missing_is_named_with_the_command(
    cl100k_path: Path, monkeypatch: pytest.MonkeyPatch, peer: validate.Peer, missing: list[str], message: str
) -> None:
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=message):
        measure(tm.Tokenizer.load(cl100k_path), tm.Documents.from_texts(["a"]), against=peer)


def test_what_tiktoken_cannot_have_is_refused_with_the_reason(tmp_path: Path) -> None:
    documents = tm.Documents.from_texts(["abc"])
    with pytest.raises(ValueError, match="word tokenizer"):
        measure(tm.train_word(documents), documents, against="tiktoken")
    listed(tmp_path / "listed.json")
    content = json.loads((tmp_path / "listed.json").read_text(encoding="utf-8"))
    content["added_tokens"] = [{"id": 259, "content": "<x>", "special": False}]
    (tmp_path / "always.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=r"'<x>'.*compare with tokenizers"):
        measure(tm.Tokenizer.load(tmp_path / "always.json"), documents, against="tiktoken")
    with pytest.raises(ValueError, match="'gigatoken'"):
        measure(listed(tmp_path / "listed.json"), documents, against="gigatoken")  # type: ignore[arg-type]


def test_a_document_that_the_peer_gives_up_on_is_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = listed(tmp_path / "listed.json")

    def peer(tokenizer: tm.Tokenizer, path: object) -> Callable[[str], list[int]]:
        def encode(text: str) -> list[int]:
            if text == "bad":
                raise RuntimeError("the regex engine gave up")
            return tokenizer.encode(text)

        return encode

    monkeypatch.setattr(validate, "_tokenizers", peer)
    found = measure(tokenizer, tm.Documents.from_texts(["good", "bad", "abc"]), against="tokenizers")
    assert (found.documents, found.peer_failed, found.mismatched, found.bytes) == (2, 1, 0, 7)
