"""Encoding by the two rules, one merge at a time. They agree on most vocabularies, not on all."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from reference.bpe import Pair
from reference.patterns import split


def encode_list(
    piece: bytes, bytes_to_id: Mapping[bytes, int], merges: Mapping[Pair, tuple[int, int]]
) -> list[int]:
    """Hugging Face's rule: of all neighbouring pairs in the merge list, the one listed first merges first.

    `merges` maps a pair to (place in the list, id). Of equal pairs, the leftmost merges.

    >>> encode_list(b"aaa", {b"a": 0}, {(0, 0): (0, 1)})
    [1, 0]
    """
    ids = [bytes_to_id[bytes([byte])] for byte in piece]
    while True:
        known = [(merges[pair], at) for at, pair in enumerate(pairwise(ids)) if pair in merges]
        if not known:
            return ids
        (_, merged), at = min(known)
        ids[at : at + 2] = [merged]


def encode_ranks(piece: bytes, ranks: Mapping[bytes, int]) -> list[int]:
    """tiktoken's rule: any two neighbours whose concatenation is a token may merge, the smallest rank first.

    A piece that is a token is that token, even where merging would not lead to it.

    >>> encode_ranks(b"abcd", {b"a": 0, b"b": 1, b"c": 2, b"d": 3, b"bc": 4, b"ab": 5, b"abc": 6})
    [6, 3]
    >>> encode_ranks(b"abc", {b"a": 0, b"b": 1, b"c": 2, b"abc": 3})
    [3]
    """
    if piece in ranks:
        return [ranks[piece]]
    parts = [bytes([byte]) for byte in piece]
    while True:
        joined = [left + right for left, right in pairwise(parts)]
        known = [(ranks[part], at) for at, part in enumerate(joined) if part in ranks]
        if not known:
            return [ranks[part] for part in parts]
        _, at = min(known)
        parts[at : at + 2] = [joined[at]]


def encode_text(text: str, pattern: str, ranks: Mapping[bytes, int]) -> list[int]:
    """Encodes ordinary text: cuts it into pieces, encodes each.

    >>> encode_text("hi hi", "gpt2", {b"h": 0, b"i": 1, b" ": 2, b"hi": 3})
    [3, 2, 3]
    """
    text = repair(text)
    return [number for piece in split(pattern, text) for number in encode_ranks(piece.encode(), ranks)]


def repair(text: str) -> str:
    r"""Joins surrogates that form a pair, as if from UTF-16, and replaces the lone ones by U+FFFD.

    >>> [ascii(repair(text)) for text in ("\ud83d\udc4d", "a\ud83d", "\udc4d\ud83d")]
    ["'\\U0001f44d'", "'a\\ufffd'", "'\\ufffd\\ufffd'"]
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
