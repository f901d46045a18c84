"""Words as tokens: splitting, vocabularies, unknown words, and the way back to text."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tokenmill as tm
from reference.words import encode_words, split_words, train_words
from samples import MIXED, texts

END, UNKNOWN = "<|endoftext|>", "<|unk|>"
TEXTBOOK = r"""([,.:;?_!"()']|--|\s)"""
SPLITS = ["punctuation", "whitespace", r",", r"[,.:;?_!\"']|--|\s", r"(a|b)|\s", r"\d+"]


def trained(texts: list[str], split: str = "punctuation", **options: object) -> tm.Tokenizer:
    options = {"special_tokens": [], **options}
    return tm.train_word(tm.Documents.from_texts(texts), split=split, **options)  # type: ignore[arg-type]


def vocabulary(tok: tm.Tokenizer) -> list[str]:
    return [tok.id_to_token(number).decode() for number in range(tok.vocab_size)]


@pytest.fixture(scope="module")
def story(verdict: str) -> tm.Tokenizer:
    return trained([verdict], TEXTBOOK, special_tokens=[END, UNKNOWN])


def test_the_story_has_the_known_numbers_of_words(story: tm.Tokenizer, verdict: str) -> None:
    ids = story.encode(verdict)
    assert (len(ids), len(set(ids))) == (4690, 1130)
    assert story.vocab_size == 1132
    assert story.special_tokens == {END: 1130, UNKNOWN: 1131}
    assert vocabulary(story)[:1130] == sorted(vocabulary(story)[:1130])


def test_the_story_gives_the_known_ids(story: tm.Tokenizer) -> None:
    text = f"Hello, do you like tea? {END} In the sunlit terraces of the palace."
    ids = "1131 5 355 1126 628 975 10 1130 55 988 956 984 722 988 1131 7"
    assert story.encode(text, allowed_special={END}) == [int(number) for number in ids.split()]


def test_words_and_punctuation_or_white_space() -> None:
    tok = trained(["Hello, world!"])
    assert vocabulary(tok) == ["!", ",", "Hello", "world"]
    assert tok.encode("Hello, world!") == [2, 1, 3, 0]
    lorem = trained(["dolor sit amet, consectetur"], "whitespace")
    assert vocabulary(lorem) == ["amet,", "consectetur", "dolor", "sit"]


def test_special_tokens_follow_the_words_in_the_given_order() -> None:
    tok = trained(["b a"], special_tokens=["[BOS]", "[EOS]", "[PAD]", "[UNK]"])
    assert vocabulary(tok) == ["a", "b", "[BOS]", "[EOS]", "[PAD]", "[UNK]"]
    assert tok.encode("a Bye", allowed_special=set()) == [0, 5]
    assert tok.encode("[BOS]a b[EOS]", allowed_special="all") == [2, 0, 1, 3]


def test_an_unknown_word_without_an_unknown_token_is_an_error_that_names_it() -> None:
    tok = trained(["Hello, world!"])
    with pytest.raises(ValueError, match="Bye"):
        tok.encode("Hello, Bye!")
    with pytest.raises(ValueError, match="Bye"):
        tok.encode_batch(["Hello", "Bye"])


def test_decoding_puts_spaces_where_a_reader_expects_them() -> None:
    tok = trained(["Hello, world!"])
    assert tok.decode(tok.encode("Hello, world!")) == "Hello, world!"


@given(text=texts, split=st.sampled_from(["punctuation", "whitespace"]))
def test_decoded_text_is_cut_into_the_same_words(text: str, split: str) -> None:
    tok = trained([text], split)
    ids = tok.encode(text)
    assert tok.encode(tok.decode(ids)) == ids


@pytest.mark.parametrize("split", SPLITS)
def test_mixed_text_is_cut_and_numbered_like_the_twin(split: str) -> None:
    tok = trained([MIXED], split, special_tokens=[UNKNOWN])
    assert vocabulary(tok) == train_words([MIXED], split, special_tokens=[UNKNOWN])
    assert tok.encode(MIXED) == encode_words(MIXED, split, vocabulary(tok), UNKNOWN)


@given(
    documents=st.lists(texts, min_size=1, max_size=4),
    split=st.sampled_from(SPLITS),
    min_frequency=st.integers(1, 3),
    max_vocab=st.none() | st.integers(2, 12),
)
@settings(max_examples=300)
def test_vocabularies_are_those_of_the_twin(
    documents: list[str], split: str, min_frequency: int, max_vocab: int | None
) -> None:
    options = {"special_tokens": [UNKNOWN], "min_frequency": min_frequency, "max_vocab": max_vocab}
    tok = trained(documents, split, **options)
    assert vocabulary(tok) == train_words(documents, split, **options)  # type: ignore[arg-type]
    for text in documents:
        assert tok.encode(text) == encode_words(text, split, vocabulary(tok), UNKNOWN)


@given(text=texts)
def test_the_textbook_split_is_pythons_re_split(text: str) -> None:
    """Python's \\s also matches U+001C to U+001F, which are no white space in Unicode: none in these."""
    assume(not re.search("[\x1c-\x1f]", text))
    parts = [part.strip() for part in re.split(TEXTBOOK, text)]
    assert split_words(text, TEXTBOOK) == [part for part in parts if part]
    tok = trained([text], TEXTBOOK, special_tokens=[UNKNOWN])
    words = vocabulary(tok)
    assert [words[number] for number in tok.encode(text)] == [part for part in parts if part]


def test_only_unicode_white_space_is_stripped() -> None:
    assert vocabulary(trained(["\x1ca\x1f \u3000b\u2028\x85"], "whitespace")) == ["\x1ca\x1f", "b"]
    assert vocabulary(trained(["\u200bx\ufeff"], "whitespace")) == ["\u200bx\ufeff"]


def test_a_vocabulary_without_room_for_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match="max_vocab"):
        trained(["a b"], special_tokens=["[BOS]", "[UNK]"], max_vocab=1)


def test_offsets_point_at_the_words() -> None:
    tok = trained(["Hällo, world!"])
    ids, spans = tok.encode_with_offsets("Hällo,  world!")
    data = "Hällo,  world!".encode()
    assert [data[start:end] for start, end in spans] == [tok.id_to_token(number) for number in ids]


def test_a_broken_regular_expression_is_an_error_that_shows_it() -> None:
    with pytest.raises(ValueError, match=r"\(unclosed"):
        trained(["a"], "(unclosed")
