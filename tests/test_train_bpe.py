"""Training BPE, against the recounting twin, rustbpe and Hugging Face's trainer."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
import rustbpe
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenmill as tm
from reference.bpe import byte_characters, count_pieces, train
from reference.encode import encode_list
from reference.patterns import PATTERNS, tiktoken_spelling
from samples import MIXED, standard_library, words

END = "<|endoftext|>"
# A piece per text: what is inside a text may merge, whatever it is.
WHOLE = r"(?s:.+)"


def trained(
    texts: Iterable[str],
    vocab_size: int,
    *,
    pattern: str = WHOLE,
    compat: str = "gpt",
    special_tokens: Sequence[str] = (),
    min_frequency: int = 2,
) -> tm.Tokenizer:
    return tm.train_bpe(
        tm.Documents.from_texts(texts),
        vocab_size=vocab_size,
        pattern=pattern,
        compat=compat,
        special_tokens=list(special_tokens),
        min_frequency=min_frequency,
    )


def tokens(tok: tm.Tokenizer) -> list[bytes]:
    return [tok.id_to_token(number) for number in range(tok.vocab_size)]


def assert_like_the_twin(texts: list[str], vocab_size: int, **options: object) -> None:
    pattern = str(options.pop("pattern", WHOLE))
    want = train(count_pieces(texts, pattern), vocab_size, **options)  # type: ignore[arg-type]
    got = trained(texts, vocab_size, pattern=pattern, **options)  # type: ignore[arg-type]
    assert got.merges == want.merges
    ordinary = {number: got.id_to_token(number) for number in want.tokens}
    assert ordinary == want.tokens


tie_heavy_words = st.one_of(
    *[words(alphabet, 40) for alphabet in ("a", "ab", "abc", "abcd")],
    st.integers(1, 64).map(lambda length: "a" * length),
    st.tuples(st.sampled_from(["ab", "abab", "baab", "aaab", "aba"]), st.integers(1, 9)).map(
        lambda part: part[0] * part[1]
    ),
)


@given(
    texts=st.lists(tie_heavy_words, min_size=1, max_size=12),
    merges=st.integers(0, 60),
    min_frequency=st.integers(0, 4),
    compat=st.sampled_from(["gpt", "hf"]),
)
@settings(max_examples=600)
def test_small_alphabets_with_heavy_ties(
    texts: list[str], merges: int, min_frequency: int, compat: str
) -> None:
    assert_like_the_twin(texts, 256 + merges, min_frequency=min_frequency, compat=compat)


@pytest.mark.long
@given(
    texts=st.lists(tie_heavy_words, min_size=1, max_size=40),
    merges=st.integers(0, 300),
    compat=st.sampled_from(["gpt", "hf"]),
)
@settings(max_examples=20_000)
def test_small_alphabets_with_heavy_ties_at_length(texts: list[str], merges: int, compat: str) -> None:
    assert_like_the_twin(texts, 256 + merges, min_frequency=1, compat=compat)


@given(
    texts=st.lists(tie_heavy_words, min_size=1, max_size=8),
    unseen=st.lists(tie_heavy_words, max_size=8),
    compat=st.sampled_from(["gpt", "hf"]),
)
@settings(max_examples=300)
def test_a_trained_tokenizer_encodes_by_its_merge_list(
    texts: list[str], unseen: list[str], compat: str
) -> None:
    want = train(count_pieces(texts, WHOLE), 300, compat=compat, min_frequency=1)
    bytes_to_id = {token: number for number, token in want.tokens.items()}
    merges = {pair: (place, want.ids[place]) for place, pair in enumerate(want.merges)}
    tok = trained(texts, 300, compat=compat, min_frequency=1)
    for text in texts + unseen:
        assert tok.encode(text) == encode_list(text.encode(), bytes_to_id, merges)


@given(
    specials=st.lists(st.sampled_from(["a", "b", "ab", "aa", "aba", END]), unique=True),
    texts=st.lists(words("ab", 20), min_size=1, max_size=8),
)
@settings(max_examples=200)
def test_a_special_token_spelled_like_a_byte_or_a_merge_is_refused(
    specials: list[str], texts: list[str]
) -> None:
    """Hugging Face lets the two share an id, and then cannot tell one from the other in its own file."""
    want = train(count_pieces(texts, WHOLE), 290, compat="hf", special_tokens=specials, min_frequency=1)
    shared = {number for number in want.ids if number < len(specials)}
    if shared or {"a", "b"} & set(specials):
        with pytest.raises(ValueError, match="special token"):
            trained(texts, 290, min_frequency=1, compat="hf", special_tokens=specials)
    else:
        assert_like_the_twin(texts, 290, min_frequency=1, compat="hf", special_tokens=specials)


@pytest.mark.parametrize("compat", ["gpt", "hf"])
def test_runs_of_every_length(compat: str) -> None:
    assert_like_the_twin(["a" * length for length in range(1, 65)], 320, min_frequency=1, compat=compat)


@pytest.mark.parametrize("text", ["a", "a" * 64, "abab", "baab", "aaab", "ab" * 300, "a" * 1000, "aab" * 200])
@pytest.mark.parametrize("compat", ["gpt", "hf"])
def test_one_word_merged_until_nothing_is_left(text: str, compat: str) -> None:
    assert_like_the_twin([text], 300, min_frequency=1, compat=compat)


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
@pytest.mark.parametrize("compat", ["gpt", "hf"])
def test_mixed_text_under_every_pattern(pattern: str, compat: str) -> None:
    assert_like_the_twin([MIXED] * 2, 400, pattern=pattern, compat=compat, special_tokens=[END])


def test_the_toy_examples_of_the_literature() -> None:
    tok = trained(["aaabdaaabac"], 259, min_frequency=1)
    assert tok.merges == [(97, 97), (97, 98), (256, 257)]
    assert len(tok.encode("aaabdaaabac")) == 5
    tok = trained(["the cat in the hat"], 259, min_frequency=1)
    assert tokens(tok)[256:] == [b"at", b"e ", b"he "]


def test_a_pair_rarer_than_min_frequency_is_not_merged() -> None:
    assert trained(["ab"], 300).merges == []
    assert trained(["ab", "ab"], 300).merges == [(97, 98)]
    assert trained(["ab", "ab"], 300, min_frequency=3).merges == []


def test_no_text_gives_the_bytes_alone() -> None:
    assert trained([], 300).vocab_size == 256
    assert trained(["", ""], 300).merges == []


def test_special_tokens_come_last_and_count() -> None:
    tok = trained(["ab" * 9] * 2, 258, special_tokens=[END])
    assert tok.vocab_size == 258
    assert tok.special_tokens == {END: 257}
    tok = trained(["ab" * 9] * 2, 258, special_tokens=[END], compat="hf")
    assert tok.special_tokens == {END: 0}
    assert len(tok.merges) == 1


@pytest.mark.parametrize("compat", ["gpt", "hf"])
def test_a_vocabulary_without_room_for_the_bytes_is_refused(compat: str) -> None:
    with pytest.raises(ValueError, match="256"):
        trained(["ab"], 255, compat=compat)


def test_a_smaller_vocabulary_is_a_prefix_of_a_larger_one() -> None:
    texts = list(standard_library(200_000))
    large = trained(texts, 900, pattern="gpt4").merges
    assert trained(texts, 400, pattern="gpt4").merges == large[:144]


def real_texts() -> list[str]:
    """A few megabytes of Python source, and mixed scripts often enough to be merged."""
    return [*standard_library(3_000_000), *[MIXED] * 20]


def test_merges_are_those_of_rustbpe() -> None:
    texts = real_texts()
    peer = rustbpe.Tokenizer()
    peer.train_from_iterator(iter(texts), 3000, pattern=tiktoken_spelling("gpt2"))
    want = [bytes(token) for token, _ in peer.get_mergeable_ranks()]
    assert tokens(trained(texts, 3000, pattern="gpt2", min_frequency=1)) == want


@given(texts=st.lists(tie_heavy_words, min_size=1, max_size=12), merges=st.integers(0, 60))
@settings(max_examples=100)
def test_merges_are_those_of_rustbpe_with_heavy_ties(texts: list[str], merges: int) -> None:
    tok = trained(texts, 256 + merges, min_frequency=1)
    peer = rustbpe.Tokenizer()
    peer.train_from_iterator(iter(texts), tok.vocab_size, pattern=WHOLE)
    assert tokens(tok) == [bytes(token) for token, _ in peer.get_mergeable_ranks()]


def hugging_face_merges(texts: list[str], vocab_size: int) -> list[str]:
    peer = tokenizers.Tokenizer(tokenizers.models.BPE())
    peer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[END],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    peer.train_from_iterator(texts, trainer)
    return [" ".join(merge) for merge in json.loads(peer.to_str())["model"]["merges"]]


def test_merges_are_those_of_hugging_face() -> None:
    texts = real_texts()
    tok = trained(texts, 3000, pattern="gpt2", compat="hf", special_tokens=[END])
    characters = byte_characters()
    spelled = ["".join(characters[byte] for byte in token) for token in tokens(tok)]
    got = [f"{spelled[left]} {spelled[right]}" for left, right in tok.merges]
    assert got == hugging_face_merges(texts, 3000)


TRAIN_AND_SAVE = """
import sys
from samples import MIXED, standard_library
import tokenmill as tm
texts = [*standard_library(400_000), MIXED, MIXED]
docs = tm.Documents.from_texts(texts[::-1] if sys.argv[3] == "reversed" else texts)
specials = ["<|endoftext|>"]
tok = tm.train_bpe(docs, vocab_size=1500, pattern="gpt4", special_tokens=specials, compat=sys.argv[2])
tok.save(sys.argv[1])
"""


@pytest.mark.parametrize("compat", ["gpt", "hf"])
def test_the_saved_file_does_not_depend_on_threads_or_order(compat: str, tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    hashes = set()
    for threads, order in [("1", "forward"), ("2", "forward"), ("3", "reversed"), ("16", "forward")]:
        path = tmp_path / f"{threads}.json"
        environment = {**os.environ, "TOKENMILL_NUM_THREADS": threads, "PYTHONPATH": here}
        command = [sys.executable, "-c", TRAIN_AND_SAVE, str(path), compat, order]
        subprocess.run(command, env=environment, check=True)
        hashes.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(hashes) == 1
