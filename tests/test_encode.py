"""Encoding by BPE, against tiktoken, Hugging Face tokenizers, the twin and known values."""

from __future__ import annotations

import base64
import hashlib
import random
import string
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

import peers
from peers import END, Both
from reference.encode import encode_text
from reference.patterns import same_in_both
from samples import ALPHABET, MIXED, standard_library, texts


@pytest.fixture(scope="module")
def gpt2(gpt2_path: Path) -> Both:
    return peers.gpt2(gpt2_path)


@pytest.fixture(scope="module")
def cl100k(cl100k_path: Path) -> Both:
    return peers.cl100k(cl100k_path)


@pytest.fixture(scope="module")
def o200k(o200k_path: Path) -> Both:
    return peers.o200k(o200k_path)


@pytest.fixture(scope="module", params=["gpt2", "cl100k", "o200k"])
def both(request: pytest.FixtureRequest) -> Both:
    chosen: Both = request.getfixturevalue(request.param)
    return chosen


# Known values.


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        ("Hello, world!", [15496, 11, 995, 0]),
        ("Hello, world. Is this-- a test?", [15496, 11, 995, 13, 1148, 428, 438, 257, 1332, 30]),
        ("Akwirw ier", [33901, 86, 343, 86, 220, 959]),
        ("0" * 17, [8269, 10535, 830]),
        ("[EOS]", [58, 36, 2640, 60]),
    ],
)
def test_gpt2_gives_the_known_ids(gpt2: Both, text: str, ids: list[int]) -> None:
    assert gpt2.ours.encode(text) == ids


def test_gpt2_gives_the_known_ids_with_a_special_token(gpt2: Both) -> None:
    text = f"Hello, do you like tea? {END} In the sunlit terracesof someunknownPlace."
    ids = "15496 11 466 345 588 8887 30 220 50256 554 262 4252 18250 8812 2114 1659 617 34680 27271 13"
    assert gpt2.ours.encode(text, allowed_special={END}) == [int(number) for number in ids.split()]


def test_gpt2_gives_the_known_ids_of_a_whole_story(gpt2: Both, verdict: str) -> None:
    ids = gpt2.ours.encode_to_numpy(verdict)
    assert (len(ids), len(np.unique(ids))) == (5145, 1416)
    digest = hashlib.sha256(ids.astype("<u2").tobytes()).hexdigest()
    assert digest == "4a851caad4ae111f78954808e5fa54dec820e588b0aa4d847154fcd43bfaabb6"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (
            "hello123!!!? (안녕하세요!) 😉",
            [15339, 4513, 12340, 30, 320, 31495, 230, 75265, 243, 92245, 16715, 57037],
        ),
        ("today\n \n", [31213, 27907]),
        ("👍", [9468, 239, 235]),
        ("\ud83d\udc4d", [9468, 239, 235]),
        ("\ud83d", [5809]),
    ],
)
def test_cl100k_gives_the_known_ids(cl100k: Both, text: str, ids: list[int]) -> None:
    assert cl100k.ours.encode(text) == ids


# Against tiktoken and Hugging Face.


def assert_same(both: Both, text: str) -> None:
    want = both.theirs.encode_ordinary(text)
    assert both.ours.encode(text) == want
    assert both.ours.count(text) == len(want)


def test_the_vocabulary_is_that_of_tiktoken(both: Both) -> None:
    assert both.ours.vocab_size == both.theirs.n_vocab
    assert both.ours.special_tokens == both.theirs._special_tokens
    assert all(both.ours.token_to_id(token) == rank for token, rank in both.ranks.items())
    assert all(both.ours.id_to_token(rank) == token for token, rank in both.ranks.items())


def test_every_token_alone_encodes_as_in_tiktoken(both: Both) -> None:
    tokens = [token.decode("utf-8", "replace") for token in both.ranks]
    assert both.ours.encode_batch(tokens) == both.theirs.encode_ordinary_batch(tokens)


def test_real_and_mixed_texts_encode_as_in_tiktoken(both: Both) -> None:
    for text in [MIXED, MIXED[::-1], *standard_library(1_000_000)]:
        assert_same(both, text)


def test_every_character_between_letters_encodes_as_in_tiktoken(both: Both) -> None:
    characters = [chr(code) for code in range(0x110000) if same_in_both(chr(code))]
    for start in range(0, len(characters), 4096):
        chunk = characters[start : start + 4096]
        for text in ("".join(f"a{c}a A{c}A '{c} 1{c}\n" for c in chunk), "".join(chunk)):
            assert_same(both, text)


@given(text=texts)
@settings(max_examples=200)
def test_random_texts_encode_as_in_tiktoken_and_the_twin(both: Both, text: str) -> None:
    assert_same(both, text)
    assert both.ours.encode(text) == encode_text(text, both.pattern, both.ranks)


@given(text=st.text(st.characters(categories=["Cs"]) | st.sampled_from("a 中\ufffd"), max_size=8))
def test_surrogates_encode_as_in_tiktoken(both: Both, text: str) -> None:
    assert_same(both, text)
    assert both.ours.encode(text) == encode_text(text, both.pattern, both.ranks)


def test_real_and_mixed_texts_encode_as_in_hugging_face(gpt2: Both, gpt2_path: Path) -> None:
    model = tokenizers.models.BPE.from_file(str(gpt2_path / "vocab.json"), str(gpt2_path / "merges.txt"))
    peer = tokenizers.Tokenizer(model)
    peer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    for text in [MIXED, *standard_library(300_000)]:
        assert gpt2.ours.encode(text) == peer.encode(text).ids


# Long and unkind pieces.

UNKIND = [string.ascii_lowercase, "ab", "e", "^~", "中文字的一是", "яеош", "é", "0123456789"]
LENGTHS = [*range(1, 4), *range(14, 18), *range(31, 34), *range(63, 66), *range(99, 102), 255, 256, 257]


@pytest.mark.parametrize("alphabet", UNKIND)
def test_pieces_of_every_length(both: Both, alphabet: str) -> None:
    rng = random.Random(0)
    for length in LENGTHS:
        for before in ("", " ", "."):
            piece = "".join(rng.choices(alphabet, k=length))
            for text in (before + piece, f"x{before}{piece} {piece}\n{piece}"):
                assert_same(both, text)


@pytest.mark.parametrize("length", [65_535, 65_536])
def test_a_piece_that_ends_at_a_page_edge(both: Both, length: int) -> None:
    assert_same(both, "".join(random.Random(0).choices(string.ascii_lowercase, k=length)))


@pytest.mark.parametrize("character", ["^", "a", " ", "\n", "0", "中", "👍"])
def test_a_hundred_thousand_of_one_character(both: Both, character: str) -> None:
    assert_same(both, character * 100_000)


def test_long_texts_without_spaces(both: Both) -> None:
    rng = random.Random(0)
    letters = "".join(rng.choices(string.ascii_letters, k=100_000))
    chinese = "".join(chr(rng.randrange(0x4E00, 0x9FA5)) for _ in range(14_000))
    encoded = base64.b64encode(rng.randbytes(60_000)).decode()
    minified = "".join(rng.choices("abcxyz(){};=+.,0123456789\"'", k=50_000))
    for text in (letters, chinese, encoded, minified):
        assert_same(both, text)


def test_text_around_every_size_where_threads_could_cut_it(both: Both) -> None:
    line = "The cat's 12345 hats,\r\n\n  in  中文 \t它.\n//"
    for size in (4_095, 4_097, 65_537, 300_001):
        assert_same(both, (line * (size // len(line) + 1))[:size])
        assert_same(both, (" " + line.replace(" ", "")) * (size // len(line)))


# Many texts, arrays, threads.


def test_a_batch_gives_what_single_calls_give(both: Both) -> None:
    batch = ["", MIXED, "a", *MIXED.splitlines(keepends=True), *standard_library(200_000), "", *ALPHABET]
    want = [both.ours.encode(text) for text in batch]
    assert both.ours.encode_batch(batch) == want
    ids, offsets = both.ours.encode_batch_to_numpy(batch)
    assert (ids.dtype, offsets.dtype, offsets.shape) == (np.uint32, np.int64, (len(batch) + 1,))
    assert offsets[0] == 0
    got = [ids[start:end].tolist() for start, end in pairwise(offsets)]
    assert got == want


def test_an_empty_batch(both: Both) -> None:
    assert both.ours.encode_batch([]) == []
    ids, offsets = both.ours.encode_batch_to_numpy([])
    assert (ids.dtype, ids.tolist(), offsets.tolist()) == (np.uint32, [], [0])


def test_an_array_of_one_text(both: Both) -> None:
    ids = both.ours.encode_to_numpy(MIXED)
    assert (ids.dtype, ids.ndim) == (np.uint32, 1)
    assert ids.tolist() == both.ours.encode(MIXED)
    assert both.ours.encode_to_numpy("").shape == (0,)


def test_a_very_uneven_batch(both: Both) -> None:
    batch = ["x" * 50_000, *["y"] * 20_000, MIXED * 20]
    assert both.ours.encode_batch(batch) == both.theirs.encode_ordinary_batch(batch)
