"""Tokenizer files made by malice or by accident: one clear error each, and never a crash or a hang."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tokenmill as tm

END = "<|endoftext|>"
Json = dict[str, Any]
#: An error is read by people: one line, whatever the file holds.
LONGEST = 800


@pytest.fixture(scope="module")
def good() -> Json:
    docs = tm.Documents.from_texts(["the cat in the hat sat on the mat"] * 3)
    tok = tm.train_bpe(docs, vocab_size=262, special_tokens=[END], compat="hf")
    content: Json = json.loads(saved(tok))
    return content


def saved(tok: tm.Tokenizer) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.json"
        tok.save(path)
        return path.read_bytes()


def error_of(path: Path) -> str | None:
    """The message, after a look at its form; None where the file is read, and then it encodes."""
    try:
        tok = tm.Tokenizer.load(path)
    except (tm.FormatError, ValueError) as error:
        message = str(error)
        if path.name not in message or "\n" in message or len(message) > LONGEST:
            pytest.fail(f"not a message for people: {message[:2000]!r}")
        return message
    ids = tok.encode("the cat in the hat, 1984: é中👍" if tok.model == "bpe" else "")
    assert tok.model == "word" or tok.decode(ids) == "the cat in the hat, 1984: é中👍"
    return None


def written(folder: Path, content: Json | bytes) -> Path:
    path = folder / "bad.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


# Files that end early.


def test_the_beginnings_of_a_file_are_refused(good: Json, tmp_path: Path) -> None:
    whole = json.dumps(good).encode()
    # All near the end, where the file may seem whole; elsewhere one in seven.
    for size in [*range(0, len(whole) - 99, 7), *range(len(whole) - 99, len(whole))]:
        message = error_of(written(tmp_path, whole[:size]))
        assert message is not None and "not a whole tokenizer.json" in message, size


def test_a_file_with_something_behind_is_refused(good: Json, tmp_path: Path) -> None:
    whole = json.dumps(good).encode()
    for more in (b"{}", b"x", b"\0", whole):
        message = error_of(written(tmp_path, whole + more))
        assert message is not None and "trailing characters" in message
    assert error_of(written(tmp_path, whole + b" \r\n\t")) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 100,
        b"null",
        b"[]",
        b"3",
        b'"text"',
        b"\xff\xfe{}",
        b"{",
        b"<html>",
        b"PK\x03\x04",
        b'{"a": 1}',
    ],
    ids=ascii,
)
def test_what_is_no_tokenizer_is_refused(tmp_path: Path, content: bytes) -> None:
    message = error_of(written(tmp_path, content))
    assert message is not None and "not a whole tokenizer.json" in message


# Values of the wrong type or size, in every place.

HOSTILE: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 2**31, 2**32, 2**64, 10**400, 1e308),
    *("", "x", "\0", "é" * 10_000, [], [[]], [None], {}, {"": {}}, [["a", "b", "c"]], {"type": None}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Each place in a file; of long lists and objects the first and the last two."""
    if path:
        yield path
    entries = list(
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in entries if len(entries) < 20 else entries[:1] + entries[-2:]:
        yield from places(inner, (*path, key))


def put(content: Json, path: tuple[Any, ...], value: Any) -> Json:
    changed = copy.deepcopy(content)
    inner: Any = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def test_any_value_in_any_place_is_read_or_refused_in_words(good: Json, tmp_path: Path) -> None:
    refused = 0
    for path in places(good):
        for value in HOSTILE:
            refused += error_of(written(tmp_path, put(good, path, value))) is not None
    assert refused > 500


def test_any_missing_key_is_read_or_refused_in_words(good: Json, tmp_path: Path) -> None:
    for path in places(good):
        changed = put(good, path, None)
        inner: Any = changed
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        error_of(written(tmp_path, changed))


# What each mistake is called.


def tokens(content: Json) -> Json:
    vocab: Json = content["model"]["vocab"]
    return vocab


def first_merge(content: Json, pair: Any) -> None:
    content["model"]["merges"][0] = pair


Change = Callable[[Json], Any]
NAMED: list[tuple[str, Change]] = [
    (r'model\.vocab: id 97 is given to both "c?.*" and', lambda file: tokens(file).update({"zz": 97})),
    (r'model\.merges\[0\]: .* needs the token "no"', lambda file: first_merge(file, ["no", "t"])),
    (r'model\.merges\[0\]: .* needs the token "no"', lambda file: first_merge(file, ["t", "no"])),
    (r'model\.merges\[0\]: .* needs the token "qx"', lambda file: first_merge(file, ["q", "x"])),
    ("a merge of two tokens", lambda file: first_merge(file, "abc")),
    ("a merge of two tokens", lambda file: first_merge(file, ["a"])),
    ("a merge of two tokens", lambda file: first_merge(file, 7)),
    ("gap of more than", lambda file: tokens(file).update({"zz": 4_000_000_000})),
    ("4294967296", lambda file: tokens(file).update({"zz": 2**32})),
    ("-5", lambda file: tokens(file).update({"zz": -5})),
    ("1.5", lambda file: tokens(file).update({"zz": 1.5})),
    ("stands for no byte", lambda file: tokens(file).update({"中": 262})),
    ("the token .* is empty|empty", lambda file: tokens(file).update({"": 262})),
    ("model.vocab is missing", lambda file: file["model"].pop("vocab")),
    ("model.merges is missing", lambda file: file["model"].pop("merges")),
    ("missing field `model`", lambda file: file.pop("model")),
    ("unknown field `extra`", lambda file: file.update(extra=1)),
    (
        r"added_tokens: .*<x>.* has id 0, but",
        lambda file: file["added_tokens"].append({"id": 0, "content": "<x>", "special": True}),
    ),
    (
        "added_tokens: .* has id 900, but",
        lambda file: file["added_tokens"].append({"id": 900, "content": END, "special": True}),
    ),
    (
        "the token with id 900 has an empty content",
        lambda file: file["added_tokens"].append({"id": 900, "content": "", "special": True}),
    ),
]


@pytest.mark.parametrize(("expected", "change"), NAMED)
def test_a_mistake_is_named(good: Json, tmp_path: Path, expected: str, change: Change) -> None:
    content = copy.deepcopy(good)
    change(content)
    with pytest.raises(tm.FormatError, match=rf"bad\.json: .*({expected})"):
        tm.Tokenizer.load(written(tmp_path, content))
    assert error_of(written(tmp_path, content)) is not None


def test_a_key_twice_is_named(good: Json, tmp_path: Path) -> None:
    whole = json.dumps(good).encode()
    twice = whole.replace(b'"vocab": {', b'"vocab": {"!": 261, ')
    assert twice != whole
    message = error_of(written(tmp_path, twice))
    assert message is not None and '"!" is there twice' in message
    message = error_of(written(tmp_path, whole.replace(b'"version"', b'"model": {}, "version"')))
    assert message is not None and "duplicate field `model`" in message


# Files made to take for ever, or all the memory. A time that grew faster than the file would not end here.


def test_large_hostile_files_are_dealt_with_at_once(good: Json, tmp_path: Path) -> None:
    many = 100_000
    repeated = copy.deepcopy(good)
    repeated["model"]["merges"] = repeated["model"]["merges"][:1] * many
    chain = copy.deepcopy(good)
    chain["model"]["vocab"] |= {"a" * length: 260 + length for length in range(2, 2000)}
    chain["model"]["merges"] = [["a" * length, "a"] for length in range(1, 1999)]
    specials = copy.deepcopy(good)
    specials["added_tokens"] += [{"id": 262 + n, "content": f"<{n}>", "special": True} for n in range(many)]
    same = copy.deepcopy(good)
    same["added_tokens"] += [{"id": 1000, "content": "<x>", "special": True}] * many
    for content in (repeated, chain, specials, same):
        message = error_of(written(tmp_path, content))
        if (message is None) != (content is not same):
            pytest.fail(str(message))


def test_deep_nesting_in_every_place(good: Json, tmp_path: Path) -> None:
    whole = json.dumps(good).encode()
    for key in (b'"normalizer": null', b'"truncation": null', b'"post_processor": null'):
        for opening in (b"[", b'{"a": '):
            assert key in whole
            deep = whole.replace(key, key[: key.index(b"null")] + opening * 200_000)
            message = error_of(written(tmp_path, deep))
            assert message is not None and "recursion limit" in message


# The other formats.


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "no tokens"),
        (b"IQ== 0\nIg== 0\n", "line 2: rank 0 is already given on line 1"),
        (b"IQ== 0\nIQ== 1\n", r'line 2: the token "!" is already on line 1'),
        (b"IQ== 0\nIg==\n", "line 2: expected a token in base64, a space and a rank"),
        (b"IQ== 0\nIg== 1 2\n", "line 2: expected a token in base64, a space and a rank"),
        (b"IQ== -1\n", "line 1: .* is not a rank"),
        (b"IQ== 99999999999999999999\n", "line 1: .* is not a rank"),
        (b"IQ== 4294967295\n", "gap of more than"),
        (b"I!== 0\n", "line 1: .* is not base64"),
        (b"\xff\xfe 0\n", "line 1: .* is not base64"),
        (b"A" * 1_000_000, "line 1: expected a token"),
        (b"<!DOCTYPE html>\n", "line 1"),
    ],
)
def test_a_damaged_tiktoken_file_is_named_with_its_line(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    path = tmp_path / "mine.tiktoken"
    path.write_bytes(content)
    with pytest.raises(tm.FormatError, match=rf"mine\.tiktoken: .*{expected}") as error:
        tm.Tokenizer.load(path, pattern="gpt4")
    assert len(str(error.value)) < LONGEST


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("merges.txt", b"#version: 0.2\nt\n", "line 2"),
        ("merges.txt", b"#version: 0.2\nt h e\n", "line 2"),
        ("merges.txt", b"#version: 0.2\nno pe\n", "line 2: .*not in the vocabulary"),
        ("merges.txt", b"#version: 0.2\n\xff \xff\n", "UTF-8"),
        ("vocab.json", b'{"a": 0, "a": 1}', "twice"),
        ("vocab.json", b'{"a": 0, "b": 0}', "id 0 is given to both"),
        ("vocab.json", b'{"a": 18446744073709551616}', "18446744073709551616|invalid"),
        ("vocab.json", b'{"a": "0"}', "invalid type"),
        ("vocab.json", b'{"a": 0', "EOF|not a whole"),
        ("vocab.json", b"[]", "invalid|object|list"),
    ],
)
def test_damaged_gpt2_files_are_named(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    docs = tm.Documents.from_texts(["the cat in the hat"] * 3)
    tm.train_bpe(docs, vocab_size=262, special_tokens=[END], compat="hf", pattern="gpt2").save(
        tmp_path / "gpt2"
    )
    (tmp_path / "gpt2" / name).write_bytes(content)
    with pytest.raises(tm.FormatError, match=rf"{name}: .*({expected})") as error:
        tm.Tokenizer.load(tmp_path / "gpt2")
    assert len(str(error.value)) < LONGEST
