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

from tokenmill._core import UnknownTokenError
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
        self.num_specials = len(specials)
        self._ids = {token: i for i, token in self.tokens.items()}
        #: Whether a token's rank is its id, and every token is merged or taken whole.
        self.of_ranks = tokenizer.model == "bpe" and tokenizer.merges is None
        #: Whether a piece that is a token is taken whole, even one that merges do not come to.
        self.whole_pieces = tokenizer._core.whole_pieces
        #: Pair → rank and made id. A pair that is listed twice merges by its first rank.
        self.pairs: dict[tuple[int, int], tuple[int, int]] = {}
        for rank, (left, right, made) in enumerate(tokenizer._core.merge_list()):
            self.pairs.setdefault((left, right), (made if self.of_ranks else rank, made))

    def parts(self, piece: bytes, *, below: float = math.inf, fewest: int = 1) -> list[int]:
        """A piece as tokens, by merges of a rank below `below` alone; empty where a byte has no token.

        Merging stops where there are no more than `fewest` tokens.
        """
        ids = [self._ids.get(bytes([byte]), -1) for byte in piece]
        if -1 in ids:
            return []
        while len(ids) > fewest:
            merges = [merge for pair in pairwise(ids) if (merge := self.pairs.get(pair))]
            rank, made = min(merges, default=(math.inf, -1))
            if rank >= below or made < 0:
                break
            ids = self._merged(ids, (rank, made))
        return ids

    def _merged(self, ids: list[int], merge: tuple[float, int]) -> list[int]:
        """Merges all pairs of a rank, from the left."""
        out: list[int] = []
        at = 0
        while at < len(ids):
            found = at + 1 < len(ids) and self.pairs.get((ids[at], ids[at + 1])) == merge
            out.append(merge[1] if found else ids[at])
            at += 2 if found else 1
        return out


def unreachable(tokenizer: Tokenizer, rules: Rules) -> tuple[list[int], list[int]]:
    """Tokens that no text comes to, and those that the pattern cuts.

    A token that stands somewhere in an encoded text is what its own bytes merge to: no merge crossed its
    ends, so nothing outside took part. So what its bytes do not merge to is never made; parts of characters
    are judged by that alone. Where the bytes do merge to the token, and yet its text is encoded otherwise,
    the pattern cuts it. Such a token may still stand in longer pieces ("\\n//" of o200k_base does, after
    punctuation), or nowhere: texts must tell. Tokenizers of ranks also take a whole piece that spells a
    token, whatever its merges; so the encoder is asked first.
    """
    spelled = {i: text for i, token in rules.tokens.items() if (text := text_of(token)) is not None}
    encoded = tokenizer.encode_batch(list(spelled.values()))
    reached = {i for i, ids in zip(spelled, encoded, strict=True) if ids == [i]}
    never, cut = [], []
    for i, token in rules.tokens.items():
        if i not in reached:
            if rules.parts(token) != [i]:
                never.append(i)
            elif i in spelled:
                cut.append(i)
    return never, cut


def text_of(token: bytes) -> str | None:
    """The token as text; `None` where it is not valid UTF-8."""
    try:
        return token.decode()
    except UnicodeDecodeError:
        return None


def smaller_vocabularies(rules: Rules, counts: npt.NDArray[np.int64]) -> Curve | None:
    """What the text that `counts` was counted on comes to with fewer merges.

    Exact, and without encoding again: merges apply in the order of their ranks, so to have the first of them
    alone the others are undone, last first. `None` where merges are not in order (see `makings`).
    """
    made_by = makings(rules, counts)
    if made_by is None:
        return None
    # Each token comes into the vocabulary with the first merge that makes it, be it one that never happens.
    firsts: dict[int, int] = {}
    for rank, made in rules.pairs.values():
        firsts[made] = min(rank, firsts.get(made, rank))
    firsts |= {i: rank for i, (rank, _) in made_by.items() if i not in firsts}
    ranks = sorted(firsts.values())
    steps = {round(len(ranks) ** (i / (CURVE_POINTS - 1))) for i in range(CURVE_POINTS)}
    sizes = sorted({0, len(ranks)} | {step for step in steps if step < len(ranks)}, reverse=True)
    occurs = counts.tolist()
    tokens = sum(occurs)
    points = []
    undo = sorted(made_by.items(), key=lambda item: item[1][0])
    for size in sizes:
        while undo and (size == 0 or undo[-1][1][0] > ranks[size - 1]) and size < len(ranks):
            made, (_, parts) = undo.pop()
            tokens += occurs[made] * (len(parts) - 1)
            for part in parts:
                occurs[part] += occurs[made]
        points.append((rules.num_specials + len(rules.tokens) - len(ranks) + size, tokens))
    vocab_sizes, totals = zip(*reversed(points), strict=True)
    return Curve(vocab_sizes=vocab_sizes, tokens=totals)


def makings(rules: Rules, counts: npt.NDArray[np.int64]) -> dict[int, tuple[int, Sequence[int]]] | None:
    """For each token that is made: at which rank, and of what.

    Wherever a token stands, it was made by the merges that its own bytes take: of several that spell it, one.
    `None` if what a token is made of is made later, or if it may be taken whole before it is made.
    """
    candidates: dict[int, list[tuple[int, Sequence[int]]]] = {}
    for (left, right), (rank, made) in rules.pairs.items():
        candidates.setdefault(made, []).append((rank, (left, right)))
    made_by: dict[int, tuple[int, Sequence[int]]] = {}
    for made, merges in candidates.items():
        if len(merges) > 1:
            if rules.whole_pieces:
                return None
            last = rules.parts(rules.tokens[made], fewest=2)
            merges = [(rank, pair) for rank, pair in merges if pair == tuple(last)]
        if merges:
            made_by[made] = merges[0]
    for whole, rank in taken_whole(rules, counts, candidates).items():
        made_by[whole] = rank, rules.parts(rules.tokens[whole], below=rank)
        if not made_by[whole][1]:
            return None
    for rank, parts in made_by.values():
        if any(part in made_by and made_by[part][0] >= rank for part in parts):
            return None
    return made_by


def taken_whole(
    rules: Rules, counts: npt.NDArray[np.int64], candidates: Mapping[int, list[tuple[int, Sequence[int]]]]
) -> dict[int, int]:
    """Tokens that occur though merges do not come to them, by rank: they are whole pieces."""
    if rules.of_ranks:
        # Merges are listed for what they come to.
        return {i: i for i, token in rules.tokens.items() if len(token) > 1 and i not in candidates}
    if not rules.whole_pieces:
        return {}
    occur = (i for i in candidates if counts[i])
    return {i: candidates[i][0][0] for i in occur if rules.parts(rules.tokens[i]) != [i]}


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


def single_tokens(tokenizer: Tokenizer, words: Sequence[str]) -> list[bool]:
    """Which words are one token with a space before them, as in running text.

    A word without a token is none, where there is no token for unknown words either.
    """
    try:
        _, offsets = tokenizer.encode_batch_to_numpy([" " + word for word in words])
    except UnknownTokenError:
        return [single_tokens(tokenizer, [word])[0] if len(words) > 1 else False for word in words]
    return [number == 1 for number in np.diff(offsets).tolist()]


def longest(tokens: Mapping[int, bytes], number: int) -> list[int]:
    """The longest tokens, longest first."""
    return sorted(tokens, key=lambda i: (-len(tokens[i]), i))[:number]
