"""What has broken tokenizers, against tiktoken: lengths, offsets, runs, cuts, fragments."""

from __future__ import annotations

import base64
import random
import string
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import peers
from exactness import FRAGMENTS, KINDS, LENGTHS, assert_all_same, filler, piece
from peers import END, Both
from reference.patterns import PATTERNS, split
from samples import MIXED, standard_library
from tokenmill._core import split_pieces

PATHS = {"gpt2": "gpt2_path", "cl100k": "cl100k_path", "o200k": "o200k_path"}


@pytest.fixture(scope="module", params=sorted(PATHS))
def both(request: pytest.FixtureRequest) -> Both:
    made: Both = getattr(peers, request.param)(request.getfixturevalue(PATHS[request.param]))
    return made


# Pieces.


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_of_every_length_at_every_offset(both: Both, kind: str) -> None:
    assert_all_same(
        both, (filler(offset) + piece(kind, length) + " x" for length in LENGTHS for offset in range(71))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_of_64_kib(both: Both, kind: str) -> None:
    assert_all_same(both, (filler(length % 2) + piece(kind, length) + "\n" for length in (65_535, 65_536)))


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_pieces_of_64_kib_at_every_offset(both: Both, kind: str) -> None:
    for length, offset in product((65_535, 65_536, 65_537), range(71)):
        assert_all_same(both, [filler(offset) + piece(kind, length) + " x"])


def test_every_prefix_and_suffix(both: Both) -> None:
    assert_all_same(both, (MIXED[:end] for end in range(len(MIXED))))
    assert_all_same(both, (MIXED[start:] for start in range(len(MIXED))))


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_every_prefix_and_suffix_is_cut_like_the_regular_expression(pattern: str) -> None:
    for at in range(len(MIXED)):
        for text in (MIXED[:at], MIXED[at:]):
            assert split_pieces(pattern, text) == split(pattern, text), at


@pytest.mark.parametrize("joint", ["", " ", "\n"])
def test_every_two_fragments_side_by_side(both: Both, joint: str) -> None:
    assert_all_same(both, (joint.join(pair) for pair in product(FRAGMENTS, repeat=2)))


@pytest.mark.long
def test_every_three_fragments_side_by_side(both: Both) -> None:
    for first in FRAGMENTS:
        assert_all_same(both, (first + "".join(pair) for pair in product(FRAGMENTS, repeat=2)))


# Whole documents: a time that grows faster than the text would not come to an end here.


@pytest.mark.parametrize("character", ["^", "a", " ", "\n"])
def test_a_million_of_one_character(cl100k_path: Path, character: str) -> None:
    assert_same_as_one_piece(peers.cl100k(cl100k_path), character * 1_000_000)


@pytest.mark.long
@pytest.mark.parametrize("character", ["^", "a", " ", "\n"])
def test_ten_million_of_one_character(both: Both, character: str) -> None:
    assert_same_as_one_piece(both, character * 10_000_000)


def assert_same_as_one_piece(both: Both, text: str) -> None:
    # tiktoken's regex engine gives up on a million spaces; its merging does not.
    want = both.theirs._encode_single_piece(text)
    assert both.ours.encode(text) == want
    assert both.ours.encode_batch([text, ""]) == [want, []]


@pytest.mark.long
@pytest.mark.parametrize(
    "unit", ["0", "é", "中", "👍", "a ", "'s", "\u0301", "ab", "/", "A", " ", "\n", "\r\n", " \n"]
)
def test_a_long_run_of_other_characters(both: Both, unit: str) -> None:
    # As many white space characters as tiktoken's regex engine takes.
    count = 100_000 if unit.isspace() else 1_000_000
    assert_all_same(both, [unit * count, "x" + unit * count + "y", " " + unit * (count - 1)])


def without_spaces(size: int) -> dict[str, str]:
    rng = random.Random(1)
    code = "".join("".join(standard_library(4 * size)).split())[:size]
    return {
        "code": code,
        "letters": "".join(rng.choices(string.ascii_letters, k=size)),
        "words": "".join(rng.choices(["token", "mill", "Batch", "Data", "é", "x", "the"], k=size // 4)),
        "ideographs": "".join(chr(rng.randrange(0x4E00, 0x9FA5)) for _ in range(size // 3)),
        "frequent ideographs": "".join(rng.choices("的一是不了人我在有他这中大来上国", k=size // 3)),
        "kana": "".join(chr(rng.randrange(0x3041, 0x3097)) for _ in range(size // 3)),
        "thai": "".join(rng.choices("กขคงจฉชซญณดตถทธนบปผพฟภมยรลวศสหอะาิีึืุูเแโใไ่้", k=size // 3)),
        "base64": base64.b64encode(rng.randbytes(size * 3 // 4)).decode(),
        "hexadecimal": rng.randbytes(size // 2).hex(),
        "minified": "".join(
            rng.choices(["function", "(e)", "{return", ";", "var", "t=", "!0", "&&", "[]"], k=size // 4)
        ),
    }


@pytest.mark.parametrize("kind", without_spaces(12))
def test_documents_without_spaces(both: Both, kind: str) -> None:
    text = without_spaces(90_000)[kind]
    assert_all_same(both, [text, " " + text + "\n" + text[::-1]])


@pytest.mark.long
@pytest.mark.parametrize("kind", without_spaces(12))
def test_large_documents_without_spaces(both: Both, kind: str) -> None:
    assert_all_same(both, [without_spaces(5_000_000)[kind]])


def test_one_giant_piece_again_and_again(both: Both) -> None:
    giant = " " + "".join(random.Random(2).choices(string.ascii_lowercase, k=40_000))
    want = both.theirs.encode_ordinary(giant)
    assert both.ours.encode(giant * 10) == want * 10
    assert both.ours.encode_batch([giant] * 10) == [want] * 10


# Wherever a long document could be cut for threads. The text is "word word word", so that only what stands
# between has to be encoded by tiktoken: no pattern lets a piece go on over the space between two letters.

CHUNK = 65_536
UNITS = [
    *(
        ".\n//",
        "。\n\n",
        "\r\n  ",
        " \n \n ",
        "  ",
        "\n",
        "'s'll've",
        "HTTPResponse's",
        "\t\u0301a",
        "\u00a0\u0301",
    ),
    *(
        "1234567890" * 9,
        " " * 80,
        "\n" * 70,
        "\r\n" * 40,
        "中" * 40,
        "é" * 50,
        "👍" * 20,
        "a" * 100,
        "=-" * 40,
    ),
    *("\u2028 \u00a0" * 10, "\ud83d", "a\udc4d", END, "x" + END + END),
]


def assert_same_between_words(
    both: Both, before: int, middle: str, after: int, special: bool = False
) -> None:
    """`middle`, at byte `before` of a document of words, encodes as in tiktoken, and so do the words."""
    first = "x" * (1 + (before - 1) % 5)
    words, rest = (before - len(first)) // 5 - 1, after // 5
    text = first + " word" * (words + 1) + middle + " word" * (rest + 1)
    allowed = {END} if special else set()
    between = both.theirs.encode(f" word{middle} word", allowed_special=allowed, disallowed_special=())
    [word] = both.theirs.encode_ordinary(" word")
    want = [*both.theirs.encode_ordinary(first), *[word] * words, *between, *[word] * rest]
    for got in (
        both.ours.encode_to_numpy(text, allowed_special=allowed),
        both.ours.encode_batch_to_numpy([text], allowed_special=allowed)[0],
    ):
        if len(got) != len(want) or not np.array_equal(got, want):
            pytest.fail(f"{middle[:99]!r} at byte {before} of {len(text)} characters")


@pytest.mark.parametrize("unit", UNITS)
def test_text_that_lies_across_a_cut(both: Both, unit: str) -> None:
    size = len(unit.encode("utf-8", "replace"))
    for chunks in (1, 2):
        for back in {0, 1, 2, size // 2, size, size + 1}:
            assert_same_between_words(both, chunks * CHUNK - back, unit, 20_000)


@pytest.mark.long
@pytest.mark.parametrize("unit", UNITS)
def test_text_that_lies_across_a_cut_anywhere(both: Both, unit: str) -> None:
    for chunks in (1, 2, 3, 4, 16):
        for back in range(-2, len(unit.encode("utf-8", "replace")) + 3):
            assert_same_between_words(both, chunks * CHUNK - back, unit, CHUNK + 999)


@pytest.mark.parametrize(
    "unit", ["1234567890", " ", "\n", "\r\n", " \n", "中文", "é", "ab", "=-", "\u00a0", "'s", "\u0301"]
)
def test_runs_that_are_longer_than_a_chunk(both: Both, unit: str) -> None:
    run = unit * (100_000 // len(unit.encode()))
    for before in (6, CHUNK - 1):
        assert_same_between_words(both, before, run, 70_000)


def test_special_tokens_across_a_cut(both: Both) -> None:
    for back in range(len(END) + 2):
        for middle in (END, f"{END} {END}{END}", "<|end" + END):
            assert_same_between_words(both, CHUNK - back, middle, CHUNK, special=True)


# Many texts.


def test_nothing_gives_nothing(both: Both) -> None:
    ours = both.ours
    assert (ours.encode(""), ours.count(""), ours.encode_with_offsets("")) == ([], 0, ([], []))
    assert ours.encode_batch([""] * 1000) == [[]] * 1000
    ids, offsets = ours.encode_batch_to_numpy([""] * 1000)
    assert (ids.tolist(), offsets.tolist()) == ([], [0] * 1001)
    assert ours.encode_batch(["", "a", ""] * 50_000) == [[], ours.encode("a"), []] * 50_000
