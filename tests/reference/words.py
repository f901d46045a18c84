"""Words as tokens: a split, a sorted list of what occurs, and a lookup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import regex

# A run of two or more hyphens, any one punctuation mark or symbol but the hyphen, a white space character.
PUNCTUATION = r"(?V1)-{2,}|[\p{P}\p{S}--[-]]|\s"
WHITESPACE = r"\s+"

# Unicode's White_Space: str.strip() and str.isspace() also take U+001C to U+001F.
WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


def split_words(text: str, how: str) -> list[str]:
    r"""Cuts text into words; `how` is "punctuation", "whitespace" or a regular expression for delimiters.

    A delimiter is a token too, unless it is blank. Every part is stripped.

    >>> split_words("Hello, world!", "punctuation")
    ['Hello', ',', 'world', '!']
    >>> split_words("It's well-known -- isn't it?", "punctuation")
    ['It', "'", 's', 'well-known', '--', 'isn', "'", 't', 'it', '?']
    >>> split_words("dolor sit amet,\n consectetur", "whitespace")
    ['dolor', 'sit', 'amet,', 'consectetur']
    >>> split_words("a, b", r",")
    ['a', ',', 'b']
    """
    delimiters: Any = regex.compile({"punctuation": PUNCTUATION, "whitespace": WHITESPACE}.get(how, how))
    parts, end = [], 0
    for match in delimiters.finditer(text):
        parts += [text[end : match.start()], match.group()]
        end = match.end()
    parts.append(text[end:])
    stripped = (part.strip(WHITE_SPACE) for part in parts)
    return [part for part in stripped if part]


def train_words(
    texts: Iterable[str],
    how: str,
    *,
    special_tokens: Sequence[str] = (),
    min_frequency: int = 1,
    max_vocab: int | None = None,
) -> list[str]:
    """Returns the vocabulary, ids being positions: the words by code points, then the special tokens.

    `max_vocab` is the size of the whole: the most frequent words stay, of equals the first in order.

    >>> train_words(["b a b, c"], "punctuation", special_tokens=["[UNK]"])
    [',', 'a', 'b', 'c', '[UNK]']
    >>> train_words(["b a b, c"], "punctuation", special_tokens=["[UNK]"], max_vocab=3)
    [',', 'b', '[UNK]']
    """
    counts = Counter(word for text in texts for word in split_words(text, how))
    ranked = sorted((-count, word) for word, count in counts.items() if count >= min_frequency)
    if max_vocab is not None:
        ranked = ranked[: max(max_vocab - len(special_tokens), 0)]
    return sorted(word for _, word in ranked) + list(special_tokens)


def encode_words(text: str, how: str, vocabulary: Sequence[str], unknown: str | None = None) -> list[int]:
    """Encodes ordinary text; a word that is not in the vocabulary is `unknown`, or a KeyError.

    >>> encode_words("a z", "whitespace", ["a", "b", "[UNK]"], "[UNK]")
    [0, 2]
    """
    ids = {word: number for number, word in enumerate(vocabulary)}
    words = split_words(text, how)
    if unknown is not None:
        words = [word if word in ids else unknown for word in words]
    return [ids[word] for word in words]
