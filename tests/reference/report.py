"""The numbers of a report, from one token after the other."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence

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
