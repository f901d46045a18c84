"""Special tokens, decoding, offsets, and one tokenizer in many threads and processes."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import peers
import tokenmill as tm
from peers import END, Both
from samples import MIXED, standard_library, texts


@pytest.fixture(scope="module")
def cl100k(cl100k_path: Path) -> Both:
    return peers.cl100k(cl100k_path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tm.Tokenizer:
    """The bytes, one merge, and special tokens that overlap, hold spaces, or spell an ordinary token."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.tiktoken"
    ranks = [bytes([byte]) for byte in range(256)] + [b"ab"]
    path.write_bytes(b"".join(b"%s %d\n" % (base64.b64encode(token), i) for i, token in enumerate(ranks)))
    spellings = ["<s>", "<s>x", "s>x<", " two words ", "ab", "日本", "a"]
    special_tokens = {spelling: number for number, spelling in enumerate(spellings, 300)}
    return tm.Tokenizer.load(path, pattern="gpt4", special_tokens=special_tokens)


# Special tokens.


def test_special_looking_text_is_ordinary_unless_allowed(cl100k: Both) -> None:
    text = f"a{END}b<|fim_prefix|>"
    assert cl100k.ours.encode(text) == cl100k.theirs.encode_ordinary(text)
    assert 100257 not in cl100k.ours.encode(text)


@pytest.mark.parametrize("allowed", [{END}, {"<|fim_prefix|>"}, {END, "<|endofprompt|>"}, "all", set()])
@pytest.mark.parametrize(
    "text",
    [
        END,
        f"{END}{END}",
        f"Hello {END} world",
        f" {END} ",
        f"it's{END}'s\n\n{END}\n",
        "<|fim_prefix|>a<|fim_middle|>b<|fim_suffix|>",
        "<|<|endoftext|>|>",
        "<|endoftext",
        "日本<|endofprompt|>語",
        MIXED,
    ],
)
def test_allowed_tokens_encode_as_in_tiktoken(cl100k: Both, allowed: set[str] | str, text: str) -> None:
    want = cl100k.theirs.encode(text, allowed_special=allowed, disallowed_special=())  # type: ignore[arg-type]
    assert cl100k.ours.encode(text, allowed_special=allowed) == want
    assert cl100k.ours.encode_to_numpy(text, allowed_special=allowed).tolist() == want
    assert cl100k.ours.encode_batch([text, text], allowed_special=allowed) == [want, want]
    assert cl100k.ours.count(text, allowed_special=allowed) == len(want)


def test_a_special_token_far_inside_a_long_text_is_found(cl100k: Both) -> None:
    for before in (4_080, 65_530, 300_000):
        text = "word " * (before // 5) + END + " word" * 20_000
        want = cl100k.theirs.encode(text, allowed_special={END})
        assert cl100k.ours.encode(text, allowed_special={END}) == want


@pytest.mark.parametrize(
    ("text", "allowed", "ids"),
    [
        ("<s>x", "all", [301]),
        ("<s>x", {"<s>"}, [300, 120]),
        ("<s>x<", {"<s>", "s>x<"}, [300, 120, 60]),
        ("<s>x<", {"s>x<"}, [60, 302]),
        ("<s><s>x<s>", "all", [300, 301, 300]),
        ("b two words b", {" two words "}, [98, 303, 98]),
        ("abab", set(), [97, 98, 97, 98]),
        ("ab ab", {"ab"}, [304, 32, 304]),
        ("aba", "all", [304, 306]),
        ("x日本語", "all", [120, 305, 232, 170, 158]),
    ],
)
def test_the_leftmost_then_the_longest_allowed_token_wins(
    tiny: tm.Tokenizer, text: str, allowed: set[str] | str, ids: list[int]
) -> None:
    assert tiny.encode(text, allowed_special=allowed) == ids


def test_a_piece_that_is_an_ordinary_token_keeps_its_id(tiny: tm.Tokenizer) -> None:
    assert tiny.encode("ab") == [256]


def test_allowing_a_token_that_is_not_special_is_an_error_that_names_it(cl100k: Both) -> None:
    with pytest.raises(ValueError, match="not_special"):
        cl100k.ours.encode("text", allowed_special={"<|not_special|>"})


# Decoding.


def test_decoding_undoes_encoding(cl100k: Both) -> None:
    for text in (MIXED, "", *standard_library(200_000)):
        ids = cl100k.ours.encode(text)
        assert cl100k.ours.decode(ids) == text
        assert cl100k.ours.decode_bytes(ids) == text.encode()
        assert cl100k.ours.decode(cl100k.ours.encode_to_numpy(text)) == text
    batch = [MIXED, "", "a"]
    assert cl100k.ours.decode_batch(cl100k.ours.encode_batch(batch)) == batch


@given(text=texts)
def test_decoding_undoes_encoding_of_random_texts(cl100k: Both, text: str) -> None:
    assert cl100k.ours.decode(cl100k.ours.encode(text)) == text


@given(ids=st.lists(st.integers(0, 100_260).filter(lambda number: number != 100_256), max_size=20))
def test_any_ids_decode_as_in_tiktoken(cl100k: Both, ids: list[int]) -> None:
    assert cl100k.ours.decode_bytes(ids) == cl100k.theirs.decode_bytes(ids)
    assert cl100k.ours.decode(ids) == cl100k.theirs.decode(ids)


def test_half_a_character_decodes_to_a_replacement_or_an_error(cl100k: Both) -> None:
    first = cl100k.ours.encode("👍")[:1]
    assert cl100k.ours.decode(first) == "\ufffd"
    assert cl100k.ours.decode(first, errors="replace") == "\ufffd"
    with pytest.raises(UnicodeDecodeError):
        cl100k.ours.decode(first, errors="strict")


@pytest.mark.parametrize("number", [100_256, 100_270, 100_277, 2**32 - 1])
def test_an_id_without_a_token_is_an_error_that_names_it(cl100k: Both, number: int) -> None:
    with pytest.raises(tm.UnknownTokenError, match=str(number)):
        cl100k.ours.decode([15339, number])
    with pytest.raises(tm.UnknownTokenError, match=str(number)):
        cl100k.ours.decode_bytes([number])
    with pytest.raises(tm.UnknownTokenError, match=str(number)):
        cl100k.ours.id_to_token(number)


@pytest.mark.parametrize("number", [-1, 2**32, 2**70])
def test_an_id_that_is_no_32_bit_number_is_an_error(cl100k: Both, number: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        cl100k.ours.decode([number])


def test_special_tokens_decode_to_their_spelling(cl100k: Both) -> None:
    assert cl100k.ours.decode([15339, 100257]) == f"hello{END}"
    assert cl100k.ours.id_to_token(100257) == END.encode()
    assert cl100k.ours.token_to_id(END.encode()) == 100257


# Offsets.


@given(text=texts)
def test_offsets_cover_the_bytes_of_the_text(cl100k: Both, text: str) -> None:
    ids, spans = cl100k.ours.encode_with_offsets(text)
    assert ids == cl100k.ours.encode(text)
    data = text.encode()
    assert [data[start:end] for start, end in spans] == [cl100k.ours.id_to_token(number) for number in ids]
    assert [start for start, _ in spans] == [0, *[end for _, end in spans]][: len(spans)]


def test_offsets_of_special_tokens(tiny: tm.Tokenizer) -> None:
    ids, spans = tiny.encode_with_offsets("é<s>ab", allowed_special={"<s>"})
    assert ids == [0xC3, 0xA9, 300, 256]
    assert [tuple(span) for span in spans] == [(0, 1), (1, 2), (2, 5), (5, 7)]


# Threads and processes.


def test_eight_threads_share_one_tokenizer(cl100k: Both) -> None:
    batch = [MIXED, *standard_library(400_000)] * 4
    want = [cl100k.theirs.encode_ordinary(text) for text in batch]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(cl100k.ours.encode, batch)) == want
        assert list(pool.map(lambda text: cl100k.ours.encode_batch([text, text])[1], batch)) == want


FORK = """
import os, sys
import tokenmill as tm
from samples import MIXED
tok = tm.Tokenizer.load(sys.argv[1])
batch = [MIXED * 50] * 8
want = tok.encode_batch(batch)
child = os.fork()
if child == 0:
    os._exit(0 if tok.encode_batch(batch) == want and tok.encode(batch[0]) == want[0] else 1)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status) or tok.encode_batch(batch) != want)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_encodes_like_its_parent(cl100k_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, str(cl100k_path)],
        env=environment,
        check=True,
        timeout=120,
    )
