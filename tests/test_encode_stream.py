"""One text in chunks: the ids of the whole, in little memory."""

from __future__ import annotations

import io
import itertools
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenmill as tm
import tokenmill.encode_stream
from peers import END
from samples import MIXED, standard_library, texts

SPECIALS = {END: 100257, "<|x|> y": 100300, "t <": 100301, END * 2 + "s": 100302}


@pytest.fixture(scope="module")
def cl100k(cl100k_path: Path) -> tm.Tokenizer:
    return tm.Tokenizer.load(cl100k_path, pattern="gpt4", special_tokens=SPECIALS)


@pytest.fixture
def tiny_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chunk goes to the core as it comes."""
    monkeypatch.setattr(tokenmill.encode_stream, "CHUNK", 1)


def encode(tok: tm.Tokenizer, chunks: list[str] | list[bytes], allowed: str | set[str] = "all") -> list[int]:
    arrays = list(tok.encode_iter(chunks, allowed_special=allowed))
    assert all(array.dtype == np.uint32 and array.ndim == 1 and len(array) for array in arrays)
    return [number for array in arrays for number in array.tolist()]


def cut(text: str, places: list[int]) -> list[str]:
    ends = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(ends)]


PARTS = st.lists(
    st.one_of(texts, st.sampled_from([*SPECIALS, "<|", "x|> ", "t ", "\ud83d", "\udc4d"])), max_size=8
)


@given(parts=PARTS, places=st.lists(st.integers(0, 1000), max_size=12))
def test_the_ids_are_those_of_the_joined_text(
    cl100k: tm.Tokenizer, parts: list[str], places: list[int]
) -> None:
    text = "".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenmill.encode_stream, "CHUNK", 1)
        for allowed in ("all", {END}, set()):
            want = cl100k.encode(text, allowed_special=allowed)
            assert encode(cl100k, cut(text, places), allowed) == want
            assert encode(cl100k, parts, allowed) == want


def test_every_character_alone(cl100k: tm.Tokenizer, tiny_chunks: None) -> None:
    for text in (
        MIXED * 3,
        f"a{END}b" * 100,
        f"{END}{END}s {END}{END}" * 20,
        "",
        "\ud83d",
        "\ud83d\udc4d",
        "\udc4d\ud83d",
    ):
        assert encode(cl100k, list(text)) == cl100k.encode(text, allowed_special="all")


@pytest.mark.parametrize("pattern", ["gpt2", "gpt4", "gpt4o", "llama3", "qwen2", r"\w+ ?|\W"])
def test_every_pattern(pattern: str, tiny_chunks: None) -> None:
    tok = tm.train_bpe(tm.Documents.from_texts([MIXED] * 3), vocab_size=400, pattern=pattern)
    text = MIXED + END + MIXED
    for size in (1, 2, 7, 64, 1000):
        chunks = [text[start : start + size] for start in range(0, len(text), size)]
        assert encode(tok, chunks) == tok.encode(text, allowed_special="all")


@pytest.mark.parametrize("split", ["punctuation", "whitespace", r",\s"])
def test_words(split: str, tiny_chunks: None) -> None:
    text = "the well-known cat -- 'sat', \u00a0on\u2028the\tmat...[UNK] "
    tok = tm.train_word(tm.Documents.from_texts([text]), split=split)
    for size in (1, 2, 5):
        chunks = [text[start : start + size] for start in range(0, len(text), size)]
        assert encode(tok, chunks) == tok.encode(text, allowed_special="all")


def test_real_texts_and_files(cl100k: tm.Tokenizer, tmp_path: Path) -> None:
    text = END.join(standard_library(3_000_000))
    want = cl100k.encode(text)
    assert encode(cl100k, text.splitlines(keepends=True), set()) == want
    assert encode(cl100k, [text], set()) == want
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8", newline="")
    with path.open(encoding="utf-8", newline="") as file:
        arrays = list(cl100k.encode_iter(file))
    assert np.concatenate(arrays).tolist() == want and len(arrays) > 1
    assert list(cl100k.encode_iter(io.StringIO(""))) == []


def test_memory_stays_small(cl100k: tm.Tokenizer) -> None:
    line = "The cat's 12345 hats,\r\n\n  in  中文 \t它.\n//"

    def lines() -> Iterator[str]:
        for _ in range(1_000_000):
            yield line

    tracemalloc.start()
    try:
        count = sum(map(len, cl100k.encode_iter(lines())))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == len(cl100k.encode(line * 100)) * 10_000
    # The text has 50 MB; a chunk takes 4 as `str`, and NumPy's arrays of ids are not traced.
    assert peak < 20_000_000


def test_chunks_wait_for_company(cl100k: tm.Tokenizer) -> None:
    assert len(list(cl100k.encode_iter(["a "] * 1000))) <= 2


def test_what_is_no_chunk_is_an_error(cl100k: tm.Tokenizer) -> None:
    with pytest.raises(TypeError, match="stream is a str"):
        cl100k.encode_iter("text")
    with pytest.raises(TypeError, match="chunk 1 is a bytes, not a str"):
        list(cl100k.encode_iter(["a", b"b"]))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="stream is a bytes"):
        cl100k.encode_iter(b"text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="chunk 2 is a str, not a bytes"):
        list(cl100k.encode_iter([b"a", b"", "b"]))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="chunk 0 is a int, not a str"):
        list(cl100k.encode_iter([1]))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not_special"):
        cl100k.encode_iter(["a"], allowed_special={"<|not_special|>"})


def test_an_unknown_word_is_found_in_any_chunk(tiny_chunks: None) -> None:
    tok = tm.train_word(tm.Documents.from_texts(["the cat"]), special_tokens=[])
    with pytest.raises(tm.UnknownTokenError, match=r'begins at byte 8: the word "dog" at byte 4'):
        list(tok.encode_iter(["the cat ", "the dog ", "the cat"]))


# Chunks that end where it hurts.

#: Longer than any window of the splitters, with and without places where a text may be cut.
RUNS = [
    *("a" * 300, "0123456789" * 30, " " * 300, "\n" * 200, "\r\n" * 90, " \n" * 90, ".,;" * 70, "'s" * 70),
    *("中" * 90, "é" * 150, "👍" * 60, "e\u0301" * 80, "=-" * 80, "\u00a0" * 90, "ſ" * 90),
    *(END * 12, ("<|x|> y" + END) * 8, ("t <" + END * 2 + "s") * 8, "word word" * 30),
]
PATTERNS = ["gpt2", "gpt4", "gpt4o", "llama3", "qwen2"]


@pytest.fixture(scope="module", params=PATTERNS)
def trained(request: pytest.FixtureRequest) -> tm.Tokenizer:
    tok = tm.train_bpe(
        tm.Documents.from_texts([MIXED, *RUNS] * 3),
        vocab_size=600,
        pattern=request.param,
        special_tokens=list(SPECIALS),
    )
    assert len(tok) == 600
    return tok


@pytest.mark.parametrize("run", RUNS, ids=ascii)
def test_one_cut_anywhere_inside_a_long_run(trained: tm.Tokenizer, run: str, tiny_chunks: None) -> None:
    text = f"the {run} cat"
    for allowed in (set(), set(SPECIALS)):
        want = trained.encode(text, allowed_special=allowed)
        for place in range(0, len(text) + 1, 3):
            assert encode(trained, [text[:place], text[place:]], allowed) == want, place


@pytest.mark.parametrize("run", RUNS, ids=ascii)
def test_a_byte_a_chunk_inside_a_long_run(trained: tm.Tokenizer, run: str, tiny_chunks: None) -> None:
    data = f"the {run} cat".encode()
    for allowed in (set(), set(SPECIALS)):
        want = trained.encode(data.decode(), allowed_special=allowed)
        for size in (1, 2, 5):
            chunks = [data[start : start + size] for start in range(0, len(data), size)]
            assert encode(trained, chunks, allowed) == want, size


def test_two_chunks_of_bytes_cut_anywhere(cl100k: tm.Tokenizer, tiny_chunks: None) -> None:
    data = (MIXED + END).encode()
    want = cl100k.encode(data.decode(), allowed_special="all")
    for place in range(len(data) + 1):
        assert encode(cl100k, [data[:place], data[place:]]) == want, place


# What decoders disagree about: ends that are missing, bytes that no text has, surrogates, overlong forms.
BROKEN = [
    *(b"\xff" * 9, b"\xf5\x80\x80\x80", b"\xc0\x80", b"\xed\xa0\xbd\xed\xb1\x8d", b"\x80", b"\xe4\xb8"),
    *(b"\xf0\x9f\x91", b"\xe4", b"\xf4\x90\x80\x80", "中".encode(), "👍".encode(), b"a ", END.encode()),
]


@given(
    parts=st.lists(st.sampled_from(BROKEN) | st.binary(max_size=4), max_size=8),
    places=st.lists(st.integers(0, 99)),
)
def test_bytes_that_are_no_text_are_replaced_or_dropped_as_in_the_whole(
    cl100k: tm.Tokenizer, parts: list[bytes], places: list[int]
) -> None:
    data = b"".join(parts)
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    chunks = [data[start:end] for start, end in itertools.pairwise(ends)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenmill.encode_stream, "CHUNK", 1)
        for errors in ("replace", "ignore"):
            want = cl100k.encode(data.decode(errors=errors))
            got = [number for ids in cl100k.encode_iter(chunks, errors=errors) for number in ids.tolist()]
            assert got == want
        try:
            data.decode()
        except UnicodeDecodeError as error:
            with pytest.raises(UnicodeDecodeError, match=rf"\(byte {error.start} of the stream"):
                list(cl100k.encode_iter(chunks))
        else:
            assert encode(cl100k, chunks, set()) == cl100k.encode(data.decode())


def test_the_place_of_a_bad_byte_is_that_in_the_stream(cl100k: tm.Tokenizer) -> None:
    chunks = [b"good " * 1000, "é".encode()[:1], "é".encode()[1:] + b"x\xff"]
    with pytest.raises(UnicodeDecodeError, match=r"\(byte 5,003 of the stream; errors='replace'"):
        list(cl100k.encode_iter(chunks))
    with pytest.raises(UnicodeDecodeError, match=r"unexpected end of data \(byte 1 of the stream"):
        list(cl100k.encode_iter([b"a\xe4", b"\xb8"]))


def test_binary_files_are_read_in_chunks(cl100k: tm.Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes((MIXED * 1500).encode())
    with path.open("rb") as file:
        arrays = list(cl100k.encode_iter(file))
    assert len(arrays) > 1
    assert np.array_equal(np.concatenate(arrays), cl100k.encode_to_numpy(MIXED * 1500))
