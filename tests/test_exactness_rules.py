"""Both merge rules on a vocabulary where they disagree, with tokens that no merge makes.

The merge list against Hugging Face tokenizers, with and without `ignore_merges`; the ranks against tiktoken;
both against their twins.
"""

from __future__ import annotations

import base64
import json
import random
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tiktoken
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenmill as tm
from reference.bpe import Pair, byte_characters, count_pieces, train
from reference.encode import encode_list, encode_ranks
from reference.patterns import LLAMA3, split, tiktoken_spelling
from samples import MIXED, texts

PATTERN = "llama3"
LENGTHS = [2, 3, 7, 14, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 66, 100, 130]


class Vocabulary(NamedTuple):
    """Tokens, and two rules for them."""

    ids: dict[bytes, int]
    merges: list[tuple[bytes, bytes]]
    unreachable: list[bytes]


def vocabulary() -> Vocabulary:
    """150 learned merges, numbered backwards: the ranks prefer what the list puts last. And long tokens."""
    rng = random.Random(7)
    letters = "".join(rng.choices("etaoin", k=400)).encode()
    words = [letters[length : 2 * length] for length in LENGTHS]
    words += [
        b" the" + words[3],
        "これは日本語の文章です。".encode(),
        ("中文字的一是" * 7).encode(),
        b"0123",
        b"=-=-=-=",
    ]
    learned = train(count_pieces([MIXED, letters.decode()], PATTERN), 406)
    tokens = learned.tokens
    merged = sorted(set(learned.ids))
    known = {tokens[number] for number in tokens}
    unreachable = [word for word in dict.fromkeys(words) if word not in known]
    backwards = dict(zip(merged, reversed(range(256, 256 + len(merged))), strict=True))
    ids = {tokens[number]: backwards.get(number, number) for number in tokens}
    # Unreachable by the list; by the ranks some can be made, when their halves are tokens.
    ids |= {word: len(ids) + place for place, word in enumerate(unreachable)}
    return Vocabulary(ids, [(tokens[left], tokens[right]) for left, right in learned.merges], unreachable)


VOCABULARY = vocabulary()


def spelled(token: bytes) -> str:
    characters = byte_characters()
    return "".join(characters[byte] for byte in token)


def tokenizer_json(ignore_merges: bool) -> dict[str, Any]:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": LLAMA3}, "behavior": "Isolated", "invert": False}
    model = {
        "type": "BPE",
        **{"dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None},
        **{"fuse_unk": False, "byte_fallback": False, "ignore_merges": ignore_merges},
        "vocab": {spelled(token): number for token, number in VOCABULARY.ids.items()},
        "merges": [[spelled(left), spelled(right)] for left, right in VOCABULARY.merges],
    }
    return {
        **{"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        **{"post_processor": None, "decoder": {**byte_level, "use_regex": True}, "model": model},
    }


class Listed:
    """The merge list, three times."""

    def __init__(self, folder: Path, ignore_merges: bool) -> None:
        path = folder / f"{ignore_merges}.json"
        path.write_text(json.dumps(tokenizer_json(ignore_merges)), encoding="utf-8")
        self.ours = tm.Tokenizer.load(path)
        self.peer = tokenizers.Tokenizer.from_file(str(path))
        self.ignore_merges = ignore_merges
        ids = VOCABULARY.ids
        self.merges: dict[Pair, tuple[int, int]] = {
            (ids[left], ids[right]): (place, ids[left + right])
            for place, (left, right) in enumerate(VOCABULARY.merges)
        }

    def theirs(self, text: str) -> list[int]:
        ids: list[int] = self.peer.encode(text, add_special_tokens=False).ids
        return ids

    def twin(self, piece: bytes) -> list[int]:
        if self.ignore_merges and piece in VOCABULARY.ids:
            return [VOCABULARY.ids[piece]]
        return encode_list(piece, VOCABULARY.ids, self.merges)


class Ranked:
    """The ranks, three times."""

    def __init__(self, folder: Path) -> None:
        path = folder / "ranks.tiktoken"
        lines = sorted(VOCABULARY.ids.items(), key=lambda item: item[1])
        path.write_bytes(b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for token, rank in lines))
        self.ours = tm.Tokenizer.load(path, pattern=PATTERN, special_tokens={})
        self.peer = tiktoken.Encoding(
            "made up", pat_str=tiktoken_spelling(PATTERN), mergeable_ranks=VOCABULARY.ids, special_tokens={}
        )

    def theirs(self, text: str) -> list[int]:
        return self.peer.encode_ordinary(text)

    def twin(self, piece: bytes) -> list[int]:
        return encode_ranks(piece, VOCABULARY.ids)


Way = Listed | Ranked


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Way]:
    folder = tmp_path_factory.mktemp("rules")
    return {
        "list": Listed(folder, False),
        "list, whole pieces": Listed(folder, True),
        "ranks": Ranked(folder),
    }


@pytest.fixture(scope="module", params=["list", "list, whole pieces", "ranks"])
def way(request: pytest.FixtureRequest, ways: dict[str, Way]) -> Way:
    return ways[request.param]


def assert_same(way: Way, text: str) -> None:
    want = [number for piece in split(PATTERN, text) for number in way.twin(piece.encode())]
    assert way.theirs(text) == want, "the peer and the twin part"
    assert way.ours.encode(text) == want
    assert way.ours.encode(text) == want, "with a warm cache"
    ids, spans = way.ours.encode_with_offsets(text)
    data = text.encode()
    assert (ids, [data[start:end] for start, end in spans]) == (want, [way.ours.id_to_token(i) for i in want])


def test_the_rules_disagree_on_this_vocabulary(ways: dict[str, Way]) -> None:
    ids = {name: way.ours.encode(MIXED) for name, way in ways.items()}
    assert ids["list"] != ids["ranks"] != ids["list, whole pieces"]
    token = VOCABULARY.unreachable[-3].decode()
    alone = {name: len(way.ours.encode(token)) for name, way in ways.items()}
    assert alone["list"] > alone["list, whole pieces"] == alone["ranks"] == 1


def test_real_and_mixed_texts(way: Way) -> None:
    for text in (MIXED, MIXED[::-1], MIXED * 3, "".join(MIXED.split())):
        assert_same(way, text)


def test_tokens_that_no_merge_makes_are_taken_only_as_whole_pieces(way: Way) -> None:
    for token in VOCABULARY.unreachable:
        word = token.decode()
        for text in (
            word,
            f"{word} {word}",
            word * 2,
            f"e{word}",
            f"{word}e",
            f"x{word}x {word}, {word}1",
            "t" * 40 + word,
            word + "a" * 70,
            "o" * 31 + word + "n" * 33 + word + "é",
        ):
            assert_same(way, text)


def test_tokens_side_by_side_inside_one_piece(way: Way) -> None:
    words = [token.decode() for token in VOCABULARY.unreachable if token.isalpha()]
    for pair in product(words, repeat=2):
        assert_same(way, "".join(pair))


def test_pieces_of_every_length(way: Way) -> None:
    rng = random.Random(0)
    for alphabet in ("etaoin", "et", "中文字的一是", "これは日本語の文章です。", "=-", "яеошé"):
        for length in [*range(1, 70), *range(99, 102), 127, 128, 129, 255, 256, 257]:
            assert_same(way, "".join(rng.choices(alphabet, k=length)))


_TOKENS = st.sampled_from(
    [token.decode() for token in VOCABULARY.ids if token.isascii()] + ["中文字", "。", "the "]
)


@given(parts=st.lists(st.one_of(_TOKENS, texts), max_size=8))
@settings(max_examples=80)
def test_random_texts(way: Way, parts: list[str]) -> None:
    assert_same(way, "".join(parts))
