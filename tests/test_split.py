"""Cutting text into pieces, against the published regular expressions (all of Unicode: split_oracle.rs)."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings

from reference.patterns import LLAMA3, PATTERNS, QWEN2, split, tiktoken_spelling
from samples import ALPHABET, MIXED, standard_library, texts
from tokenmill._core import split_pieces

ALL = sorted(PATTERNS)


def de_bruijn(alphabet: str, length: int) -> str:
    """The shortest string with every `length`-tuple in it: a cycle, unrolled so that the last are whole."""
    size = len(alphabet)
    sequence: list[int] = []
    word = [0] * (size * length)

    def extend(position: int, period: int) -> None:
        if position > length:
            if length % period == 0:
                sequence.extend(word[1 : period + 1])
            return
        word[position] = word[position - period]
        extend(position + 1, period)
        for symbol in range(word[position - period] + 1, size):
            word[position] = symbol
            extend(position + 1, position)

    extend(1, 1)
    cycle = "".join(alphabet[symbol] for symbol in sequence)
    return cycle + cycle[: length - 1]


@pytest.mark.parametrize("pattern", ALL)
def test_every_string_of_up_to_two_representative_characters(pattern: str) -> None:
    for length in (0, 1, 2):
        for characters in product(ALPHABET, repeat=length):
            text = "".join(characters)
            assert split_pieces(pattern, text) == split(pattern, text), repr(text)


@pytest.mark.long
@pytest.mark.parametrize("pattern", ALL)
@pytest.mark.parametrize("length", [3, 4])
def test_every_string_of_three_and_four_representative_characters(pattern: str, length: int) -> None:
    for characters in product(ALPHABET, repeat=length):
        text = "".join(characters)
        assert split_pieces(pattern, text) == split(pattern, text), repr(text)


@pytest.mark.parametrize("pattern", ALL)
def test_every_three_characters_inside_a_long_text(pattern: str) -> None:
    text = de_bruijn(ALPHABET, 3)
    assert len(text) == len(ALPHABET) ** 3 + 2
    assert split_pieces(pattern, text) == split(pattern, text)


@pytest.mark.parametrize("pattern", ALL)
@given(text=texts)
@settings(max_examples=300)
def test_random_texts_are_cut_like_the_regular_expression(pattern: str, text: str) -> None:
    assert split_pieces(pattern, text) == split(pattern, text)


@pytest.mark.parametrize("pattern", ALL)
def test_real_texts_are_cut_like_the_regular_expression(pattern: str) -> None:
    for text in [MIXED, *standard_library(300_000)]:
        assert split_pieces(pattern, text) == split(pattern, text)


@pytest.mark.parametrize("pattern", ["gpt2", "gpt4", "gpt4o"])
def test_the_published_spelling_cuts_like_the_name(pattern: str) -> None:
    assert split_pieces(tiktoken_spelling(pattern), MIXED) == split_pieces(pattern, MIXED)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", "gpt2"),
        (LLAMA3, "llama3"),
        (QWEN2, "qwen2"),
    ],
)
def test_hugging_face_spellings_cut_like_the_name(spelling: str, name: str) -> None:
    assert split_pieces(spelling, MIXED) == split(name, MIXED)


@pytest.mark.parametrize(
    "pattern", [r"[\p{L}\p{M}]+", r"\s+", r"[a-z]", r"(?<=\.)\s", r"\p{Lu}?\p{Ll}++|.", r"x*"]
)
def test_any_other_regular_expression_keeps_what_it_does_not_match(pattern: str) -> None:
    pieces = split_pieces(pattern, MIXED)
    assert "".join(pieces) == MIXED
    assert all(pieces)
    assert pieces == split(pattern, MIXED)


def test_a_broken_regular_expression_is_an_error_that_shows_it() -> None:
    with pytest.raises(ValueError, match=r"\(unclosed"):
        split_pieces("(unclosed", "text")


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"gpt5.*gpt2.*gpt4o"):
        split_pieces("gpt5", "text")


@pytest.mark.parametrize("character", ["a", "A", " ", "\n", "'", "1", ".", "中", "\u0301", "/"])
@pytest.mark.parametrize("pattern", ALL)
def test_a_run_of_any_length_is_cut_like_the_regular_expression(pattern: str, character: str) -> None:
    for length in [*range(60, 70), *range(125, 132), 255, 256, 257, 4095, 4096, 4097]:
        for text in (character * length, "a" + character * length + "b", " " + character * length + "\n"):
            assert split_pieces(pattern, text) == split(pattern, text), (character, length)
