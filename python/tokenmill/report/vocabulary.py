"""What can be said of a vocabulary: tokens never used, never reached, half a character; smaller vocabularies.

All of it follows from how BPE encodes a piece: of the neighbours that may be merged, the pair of the lowest
rank is merged, again and again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tokenmill.report.result import Curve

if TYPE_CHECKING:
    from tokenmill.tokenizer import Tokenizer

# The order that Zouhar et al. found to predict the quality of translations best.
RENYI_ALPHA = 2.5
# Points of a curve.
CURVE_POINTS = 24


class Rules:
    """The merges of a BPE tokenizer: pair of ids → rank and the id they become."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        specials = set(tokenizer.special_tokens.values())
        ids = (i for i in range(tokenizer.vocab_size) if i not in specials)
        #: Ordinary tokens, by id.
        self.tokens: dict[int, bytes] = {
            i: token for i in ids if (token := tokenizer.id_to_token(i)) is not None
        }
        self._ids = {token: i for i, token in self.tokens.items()}
        self._pairs: dict[tuple[int, int], tuple[int, int]] | None = None
        if (merges := tokenizer.merges) is not None:
            self._pairs = {}
            for rank, (left, right) in enumerate(merges):
                made = self._ids[self.tokens[left] + self.tokens[right]]
                self._pairs.setdefault((left, right), (rank, made))

    def merge_of(self, left: int, right: int) -> tuple[int, int] | None:
        """Rank and id of what two tokens merge to. Tokenizers of ranks merge whatever spells a token."""
        if self._pairs is not None:
            return self._pairs.get((left, right))
        made = self._ids.get(self.tokens[left] + self.tokens[right])
        return None if made is None else (made, made)

    def parts(self, piece: bytes, below: float = math.inf) -> list[int]:
        """A piece as tokens, by merges of a rank below `below` alone; empty where a byte has no token."""
        ids = [self._ids.get(bytes([byte]), -1) for byte in piece]
        if -1 in ids:
            return []
        while True:
            merges = [merge for pair in pairwise(ids) if (merge := self.merge_of(*pair))]
            rank, made = min(merges, default=(math.inf, -1))
            if rank >= below or made < 0:
                return ids
            ids = self._merged(ids, made, rank)

    def _merged(self, ids: list[int], made: int, rank: float) -> list[int]:
        """Merges all pairs of a rank, from the left."""
        out: list[int] = []
        for token in ids:
            if out and out[-1] >= 0 and self.merge_of(out[-1], token) == (rank, made):
                out[-1] = made
            else:
                out.append(token)
        return out

    def ranks(self) -> dict[int, int]:
        """Rank of each token that is made by merging; of a token that several merges make, the first."""
        if self._pairs is None:
            return {i: i for i, token in self.tokens.items() if len(token) > 1}
        ranks: dict[int, int] = {}
        for rank, made in self._pairs.values():
            ranks.setdefault(made, rank)
        return ranks


def unreachable(tokenizer: Tokenizer, rules: Rules) -> list[int]:
    """Tokens that no text comes to.

    A token that stands somewhere in an encoded text is what its own bytes merge to: no merge crossed its
    ends, so nothing outside took part. Tokenizers of ranks also take a whole piece that spells a token,
    whatever its merges; so the encoder is asked first.
    """
    spelled = {i: text for i, token in rules.tokens.items() if (text := text_of(token)) is not None}
    ids, offsets = tokenizer.encode_batch_to_numpy(list(spelled.values()))
    whole = (np.diff(offsets) == 1) & (ids[np.minimum(offsets[:-1], len(ids) - 1)] == list(spelled))
    reached = {i for i, is_whole in zip(spelled, whole, strict=True) if is_whole}
    others = ((i, token) for i, token in rules.tokens.items() if i not in reached)
    return [i for i, token in others if rules.parts(token) != [i]]


def text_of(token: bytes) -> str | None:
    """The token as text; `None` where it is not valid UTF-8."""
    try:
        return token.decode()
    except UnicodeDecodeError:
        return None


def smaller_vocabularies(rules: Rules, counts: npt.NDArray[np.int64]) -> Curve:
    """What the text that `counts` was counted on comes to with fewer merges.

    Exact, and without encoding again: merges apply in the order of their ranks, so what a token was before
    the later ones is what its bytes come to by the earlier ones.
    """
    ranks = sorted(rules.ranks().items(), key=lambda item: item[1])
    # What each token was made of: of lower ranks.
    parts = {made: rules.parts(rules.tokens[made], below=rank) for made, rank in ranks}
    merges = len(ranks)
    steps = (round(merges ** (i / (CURVE_POINTS - 1))) for i in range(CURVE_POINTS))
    kept = sorted({0, *(min(step, merges) for step in steps)})
    others = len(rules.tokens) - merges
    tokens = []
    for keep in kept:
        sizes = np.ones(len(counts), dtype=np.int64)
        for made, _ in ranks[keep:]:
            sizes[made] = sum(int(sizes[part]) for part in parts[made])
        tokens.append(int((counts * sizes).sum()))
    return Curve(vocab_sizes=tuple(others + keep for keep in kept), tokens=tuple(tokens))


def renyi_efficiency(counts: npt.NDArray[np.int64], alpha: float = RENYI_ALPHA) -> float | None:
    """Rényi entropy of the tokens over that of a uniform distribution: H_α(p) / log |V|.

    H_α(p) = log(Σ p^α) / (1 - α). 1: all tokens are used equally often; rare and very frequent tokens lower
    it (Zouhar et al. 2023, "Tokenization and the Noiseless Channel"). |V| counts every id, used or not.
    """
    total = counts.sum()
    if total == 0 or len(counts) < 2:
        return None
    shares = counts[counts > 0] / total
    return float(np.log((shares**alpha).sum()) / (1 - alpha) / math.log(len(counts)))


def single_token_rate(tokenizer: Tokenizer, words: Sequence[str]) -> float | None:
    """The share of words that are one token with a space before them, as in running text."""
    if not words:
        return None
    _, offsets = tokenizer.encode_batch_to_numpy([" " + word for word in words])
    return float((np.diff(offsets) == 1).mean())


def longest(tokens: Mapping[int, bytes], number: int) -> list[int]:
    """The longest tokens, longest first."""
    return sorted(tokens, key=lambda i: (-len(tokens[i]), i))[:number]
