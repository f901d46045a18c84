"""The most frequent words of texts, in bounded memory."""

from __future__ import annotations

import heapq
import unicodedata
from collections import Counter
from functools import lru_cache

# Distinct words that are remembered, some 100 bytes each.
REMEMBERED = 1 << 20
# Characters of the longest word that is counted. No frequent word is longer; data without a space are.
LONGEST = 64


class WordCounts:
    """How often each word occurs: what white space divides (`str.split`), of 64 characters at most.

    Exact while there are no more than `REMEMBERED` distinct words. Beyond, the rarest half is forgotten each
    time, and `lost` says how many occurrences of one word that can have been: a word that occurs more often
    is there (lossy counting, Manku and Motwani 2002).

    >>> counts = WordCounts()
    >>> counts.add("the cat, the hat and 'the mat' - 12".split())
    >>> counts.most_frequent(3)
    ['the', 'and', 'cat']
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        #: Occurrences of one word that may be missing.
        self.lost = 0

    def add(self, words: list[str]) -> None:
        """Counts words."""
        if words and len(max(words, key=len)) > LONGEST:
            words = [word for word in words if len(word) <= LONGEST]
        self.counts.update(words)
        self._forget()

    def merge(self, other: WordCounts) -> None:
        """Counts what another has counted."""
        self.counts.update(other.counts)
        self.lost += other.lost
        self._forget()

    def _forget(self) -> None:
        if len(self.counts) > REMEMBERED:
            floor = sorted(self.counts.values())[len(self.counts) // 2]
            self.counts = Counter({word: count for word, count in self.counts.items() if count > floor})
            self.lost += floor

    def most_frequent(self, number: int) -> list[str]:
        """The most frequent words that have a letter, without punctuation around them."""
        bare: Counter[str] = Counter()
        for word, count in self.counts.items():
            bare[without_punctuation(word)] += count
        named = ((-count, word) for word, count in bare.items() if any(map(str.isalpha, word)))
        return [word for _, word in heapq.nsmallest(number, named)]


def without_punctuation(word: str) -> str:
    """A word without what is neither letter nor mark nor number at its ends.

    >>> [without_punctuation(word) for word in ("don't", "“end.”", "हिन्दी", "--", "(x,")]
    ["don't", 'end', 'हिन्दी', '', 'x']
    """
    start, end = 0, len(word)
    while start < end and not is_in_words(word[start]):
        start += 1
    while start < end and not is_in_words(word[end - 1]):
        end -= 1
    return word[start:end]


@lru_cache(maxsize=1 << 16)
def is_in_words(character: str) -> bool:
    """Letters, marks and numbers."""
    return unicodedata.category(character)[0] in "LMN"
