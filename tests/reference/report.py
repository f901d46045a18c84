"""The numbers of a report, from one token after the other."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence

import regex

from tokenmill import Tokenizer


def renyi_efficiency(ids: Sequence[int], vocab_size: int, alpha: float) -> float:
    """H_α of the ids' distribution over log |V|.

    >>> renyi_efficiency([0, 1, 2, 3], 4, 2.5)
    1.0
    """
    power = sum((count / len(ids)) ** alpha for count in Counter(ids).values())
    return round(math.log(power) / (1 - alpha) / math.log(vocab_size), 12)


def reached(tok: Tokenizer, alphabet: str, longest: int) -> set[int]:
    """The ids that any text of up to `longest` characters comes to."""
    lengths = range(1, longest + 1)
    texts = ("".join(t) for n in lengths for t in itertools.product(alphabet, repeat=n))
    return {token for text in texts for token in tok.encode(text)}


def token_ends(tok: Tokenizer, text: str) -> list[int]:
    """Where the tokens of a text end, in bytes."""
    return list(itertools.accumulate(len(tok.id_to_token(token) or b"") for token in tok.encode(text)))


def changed(before: Tokenizer, after: Tokenizer, texts: Iterable[str]) -> list[str]:
    """The texts that the two cut differently."""
    return [text for text in texts if token_ends(before, text) != token_ends(after, text)]


def frequent_words(texts: Iterable[str]) -> list[str]:
    """Words between white space, bare of what is no letter, mark or number at their ends.

    >>> frequent_words(["the cat, the hat", "'the' 12 e\u0301"])
    ['the', 'cat', 'e\u0301', 'hat']
    """
    bare = (
        regex.sub(r"^[^\p{L}\p{M}\p{N}]+|[^\p{L}\p{M}\p{N}]+$", "", word) for t in texts for word in t.split()
    )
    counts = Counter(word for word in bare if any(character.isalpha() for character in word))
    return sorted(counts, key=lambda word: (-counts[word], word))


def encoded(tok: Tokenizer, texts: Sequence[str], name: str) -> dict[str, object]:
    """The fields of `tokenmill.report.Encoded`."""
    ids = [number for text in texts for number in tok.encode(text)]
    words = frequent_words(texts)
    whole = sum(len(tok.encode(" " + word)) == 1 for word in words)
    return {
        "texts": {
            "name": name,
            "documents": len(texts),
            "characters": len("".join(texts)),
            "words": len(" ".join(texts).split()),
            "bytes": len("".join(texts).encode()),
        },
        "tokens": len(ids),
        "renyi_efficiency": renyi_efficiency(ids, tok.vocab_size, 2.5) if ids else None,
        "words_whole_1k": whole / len(words) if words else None,
        "words_whole_10k": whole / len(words) if words else None,
    }


def unused(tok: Tokenizer, texts: Iterable[str]) -> int:
    """How many ordinary tokens the texts do not have."""
    seen = {number for text in texts for number in tok.encode(text)}
    return len(set(range(tok.vocab_size)) - seen - set(tok.special_tokens.values()))
