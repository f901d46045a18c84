"""Where tokens come from: read from the inputs where they are, else decoded, and never made up."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import tokenmill as tm
from tokenmill.cli import main
from tokenmill.documents import Documents

TEXTS = ["plain naïve text", "", 'quotes " and\nlines\t', "日本語 text", "an <|endoftext|> inside", "x" * 500]


@pytest.fixture(scope="module")
def tokenizer() -> tm.Tokenizer:
    return tm.train_bpe(Documents.from_texts(TEXTS), vocab_size=280, special_tokens=["<|endoftext|>"])


def lines(key: str = "text") -> bytes:
    return "".join(json.dumps({"id": 1, key: text}) + "\n" for text in TEXTS).encode()


def check_every_token(store: tm.TokenStore, texts: list[str], path: Path | None) -> None:
    """Each token's own text, put together, is the document; with enough context all of it is seen."""
    for number, text in enumerate(texts):
        start, stop = store._core.document_range(number)
        raw, at = text.encode(), 0
        for token in range(start, stop):
            place = store.where(token, context=1000)
            assert (place.token, place.id, place.reason) == (token, store[token], None)
            assert (place.read_from, place.origin.document, place.origin.byte) == ("input", number, at)
            length = len(store.tokenizer.decode_bytes([place.id])) if at < len(raw) else 0
            pieces = (raw[:at], raw[at : at + length], raw[at + length :])
            assert [place.before, place.text, place.after] == [
                piece.decode(errors="replace") for piece in pieces
            ]
            if path is not None:
                assert place.file_byte is not None
                assert path.read_bytes()[place.file_byte :].startswith(pieces[1])
            at += length


@pytest.mark.parametrize("specials", ["text", "allow"])
def test_every_token_of_separated_text_is_found_in_its_file(
    tmp_path: Path, tokenizer: tm.Tokenizer, specials: str
):
    path = tmp_path / "a b.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "\0".join([*TEXTS, ""]).encode())
    store = tm.prepare(
        Documents.from_files(path, separator="\0"),
        tokenizer=tokenizer,
        out=tmp_path / "s.tm",
        specials=specials,  # type: ignore[arg-type]
    )
    check_every_token(store, TEXTS, path)


def test_every_token_of_a_record_is_found_in_its_string(tmp_path: Path, tokenizer: tm.Tokenizer):
    (tmp_path / "a.jsonl").write_bytes(lines("body"))
    documents = Documents.from_files(tmp_path / "a.jsonl", text_field="body")
    store = tm.prepare(documents, tokenizer=tokenizer, out=tmp_path / "s.tm", shard_tokens=20)
    check_every_token(store, TEXTS, None)
    assert store.where(0).file_byte is None


def test_words_are_found_between_their_white_space(tmp_path: Path):
    (tmp_path / "a.txt").write_text("some   words,\n\n here")
    tokenizer = tm.train_word(tmp_path / "a.txt", split="punctuation")
    store = tm.prepare(tmp_path / "a.txt", tokenizer=tokenizer, out=tmp_path / "s.tm", add_eos=False)
    places = [store.where(token) for token in range(len(store))]
    assert [(place.text, place.file_byte) for place in places] == [
        ("some", 0),
        ("words", 7),
        (",", 12),
        ("here", 16),
    ]


def test_the_context_is_as_long_as_asked_for_and_whole_characters(tmp_path: Path, tokenizer: tm.Tokenizer):
    (tmp_path / "a.txt").write_text("ä" * 50 + "plain" + "日" * 50, encoding="utf-8")
    store = tm.prepare(tmp_path / "a.txt", tokenizer=tokenizer, out=tmp_path / "s.tm")
    token = next(token for token in range(len(store)) if store.where(token).text.startswith("p"))
    for context in (0, 1, 7):
        place = store.where(token, context=context)
        assert place.before == "ä" * context and len(place.after) == context
    with pytest.raises(ValueError, match="context is -1"):
        store.where(0, context=-1)
    with pytest.raises(IndexError, match="token 9999 is not one of the store's"):
        store.where(9999)


def test_inputs_that_cannot_be_read_are_told_and_the_ids_decoded(
    tmp_path: Path, tokenizer: tm.Tokenizer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_bytes(lines())
    Path("b.jsonl.gz").write_bytes(gzip.compress(lines()))
    store = tm.prepare(["a.jsonl", "b.jsonl.gz"], tokenizer=tokenizer, out="s.tm")
    texts = tm.prepare(Documents.from_texts(TEXTS), tokenizer=tokenizer, out="t.tm")
    token = int(store._core.document_range(0)[0])

    def decoded(store: tm.TokenStore, token: int) -> str | None:
        place = store.where(token, context=100)
        assert (place.read_from, place.file_byte) == ("ids", None)
        assert place.before + place.text + place.after == TEXTS[0]
        return place.reason

    assert store.where(token).read_from == "input"
    gz = int(store._core.document_range(len(TEXTS))[0])
    place = store.where(gz, context=100)
    assert (place.read_from, place.origin.input) == ("input", "b.jsonl.gz")
    assert place.before + place.text + place.after == TEXTS[0]
    Path("b.jsonl.gz").write_bytes(Path("b.jsonl.gz").read_bytes()[:30])
    assert "b.jsonl.gz" in str(decoded(store, gz))
    assert decoded(texts, token) == "<texts> is no file"
    Path("a.jsonl").write_bytes(lines().replace(b"text", b"test"))
    assert "there is no field" in str(decoded(store, token))
    Path("a.jsonl").write_bytes(lines().replace(b"plain", b"plane"))
    assert decoded(store, token) == (
        "a.jsonl has changed since the store was made of it: other text is there now"
    )
    Path("a.jsonl").unlink()
    assert decoded(store, token) == "a.jsonl is gone; a relative name counts from the current folder"


def test_the_verb_shows_it(tmp_path: Path, tokenizer: tm.Tokenizer):
    (tmp_path / "a.txt").write_text("a plain text", encoding="utf-8")
    store = tm.prepare(tmp_path / "a.txt", tokenizer=tokenizer, out=tmp_path / "s.tm")
    args = ["inspect", str(store.path), "--where", "2"]
    shown = CliRunner().invoke(main, args).stdout
    place = store.where(2)
    assert f"{place.before}[{place.text}]{place.after}" in shown and str(tmp_path / "a.txt") in shown
    told = json.loads(CliRunner().invoke(main, [*args, "--json"]).stdout)
    assert (told["file_byte"], told["origin"]["document"], told["read_from"]) == (place.file_byte, 0, "input")
    result = CliRunner().invoke(main, ["inspect", str(store.path), "--where", "1000"])
    assert result.exit_code == 2 and "token 1000 is not one of the store's" in result.stderr
