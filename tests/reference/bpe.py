"""Training of byte-pair encoding, all pairs recounted at every step: the rule itself, without a trick."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from reference.patterns import split

Pair = tuple[int, int]


@dataclass(frozen=True)
class Training:
    """What training gives: the merged pairs in order, the id each became, and the bytes of every id."""

    merges: list[Pair]
    ids: list[int]
    tokens: dict[int, bytes]


def count_pieces(texts: Iterable[str], pattern: str) -> Counter[bytes]:
    """Counts the pieces of all texts; a piece never spans two texts.

    >>> count_pieces(["a b", "a"], "gpt2")
    Counter({b'a': 2, b' b': 1})
    """
    return Counter(piece.encode() for text in texts for piece in split(pattern, text))


def byte_characters() -> list[str]:
    """Returns the character that stands for each byte in Hugging Face's ByteLevel files.

    >>> [byte_characters()[b] for b in b" A!\\n"]
    ['Ġ', 'A', '!', 'Ċ']
    """
    itself = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in itself]
    table = {byte: chr(byte) for byte in itself} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    return [table[byte] for byte in range(256)]


def base_tokens(compat: str, special_tokens: Sequence[str] = ()) -> dict[int, bytes]:
    """Returns the ids before the first merge.

    "gpt": the 256 bytes. "hf": the special tokens, then the bytes in the order of their ByteLevel characters;
    a byte spelled like a special token reuses its id.

    >>> base_tokens("gpt")[97], base_tokens("hf", ["<s>"])[0], base_tokens("hf", ["<s>"])[1]
    (b'a', b'<s>', b'!')
    >>> len(base_tokens("hf", ["<s>", "a"]))
    257
    """
    if compat == "gpt":
        return {byte: bytes([byte]) for byte in range(256)}
    alphabet = [bytes([byte]) for byte in sorted(range(256), key=byte_characters().__getitem__)]
    return dict(enumerate(dict.fromkeys([*(token.encode() for token in special_tokens), *alphabet])))


def pair_counts(words: Mapping[tuple[int, ...], int]) -> Counter[Pair]:
    """Counts neighbouring pairs, overlapping ones too, each as often as its word occurs.

    >>> pair_counts({(1, 2, 3, 1, 2): 1, (7, 7, 7): 5})
    Counter({(7, 7): 10, (1, 2): 2, (2, 3): 1, (3, 1): 1})
    """
    counts: Counter[Pair] = Counter()
    for word, count in words.items():
        for pair in pairwise(word):
            counts[pair] += count
    return counts


def replace(word: Sequence[int], pair: Pair, new: int) -> tuple[int, ...]:
    """Replaces the pair from left to right.

    >>> replace([7, 7, 7, 1], (7, 7), 9)
    (9, 7, 1)
    """
    out: list[int] = []
    at = 0
    while at < len(word):
        found = tuple(word[at : at + 2]) == pair
        out.append(new if found else word[at])
        at += 2 if found else 1
    return tuple(out)


def train(
    pieces: Mapping[bytes, int],
    vocab_size: int,
    *,
    compat: str = "gpt",
    special_tokens: Sequence[str] = (),
    min_frequency: int = 2,
) -> Training:
    """Merges the most frequent pair (ties: the smallest ids) until there are `vocab_size` tokens.

    `vocab_size` counts the special tokens. A merge that spells a known token takes its id. That can only be a
    special token: the same text goes through the same merges wherever it stands; no two merges spell alike.

    >>> train({b"aaabdaaabac": 1}, 259).merges
    [(97, 97), (97, 98), (256, 257)]
    >>> list(train({b"the": 2, b" cat": 1, b" in": 1, b" hat": 1}, 258).tokens.values())[256:]
    [b'at', b'he']
    """
    tokens = base_tokens(compat, special_tokens)
    known = {token: number for number, token in tokens.items()}
    size = vocab_size - (len(special_tokens) if compat == "gpt" else 0)
    words = {tuple(known[bytes([byte])] for byte in piece): count for piece, count in pieces.items()}
    merges, ids = [], []
    while len(tokens) < size:
        ranked = ((-count, pair) for pair, count in pair_counts(words).items())
        count, best = min(ranked, default=(0, (0, 0)))
        if -count < max(min_frequency, 1):
            break
        merged = tokens[best[0]] + tokens[best[1]]
        new = known.setdefault(merged, len(tokens))
        tokens[new] = merged
        words = {replace(word, best, new): count for word, count in words.items()}
        merges.append(best)
        ids.append(new)
    return Training(merges, ids, tokens)
