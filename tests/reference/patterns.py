"""Cutting text into the pieces that BPE never merges across: the regular expressions themselves.

Two engines differ in three ways, and the twin bridges them:

- `$` in Python also matches before a final newline, in tiktoken's engine only at the end: written `\\Z` here.
- Python's `re` knows neither `\\p{L}` nor possessive `++` before 3.11: the third-party `regex` does.
- `regex` follows a newer Unicode (18 in version 2026.11) than Rust's tables (16): 84 ranges assigned since
  then are letters, marks, digits or symbols here and unassigned there. Tests draw their characters from
  those with `same_in_both`.

Case-insensitive `s` matches U+017F (long s) in both engines.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

import regex

# tiktoken 0.14, tiktoken_ext/openai_public.py, except for \Z.
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++\Z|\s+(?!\S)|\s"
GPT4 = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++\Z|\s*[\r\n]|\s+(?!\S)|\s"
)
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
GPT4O = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + _CONTRACTION,
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + _CONTRACTION,
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
# Hugging Face, tokenizer.json of the models.
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}|", r"\p{N}|")

PATTERNS = {"gpt2": GPT2, "gpt4": GPT4, "gpt4o": GPT4O, "llama3": LLAMA3, "qwen2": QWEN2}


def tiktoken_spelling(name: str) -> str:
    r"""Returns the regular expression as published, for engines in which `$` is the end of the text.

    >>> tiktoken_spelling("gpt2")[-18:]
    '\\s++$|\\s+(?!\\S)|\\s'
    """
    return PATTERNS[name].replace(r"\Z", "$")


@cache
def _compiled(pattern: str) -> Any:
    return regex.compile(PATTERNS.get(pattern, pattern))


def split(pattern: str, text: str) -> list[str]:
    r"""Cuts `text`: the matches of the pattern (a name or a regular expression) and what lies between them.

    The named patterns match every character, so that nothing lies between. Empty matches cut nothing.

    >>> split("gpt2", "I'll  go to 1984!\n")
    ['I', "'ll", ' ', ' go', ' to', ' 1984', '!', '\n']
    >>> split("gpt4", "I'LL  go\n\n to 1984!\n")
    ['I', "'LL", ' ', ' go', '\n\n', ' to', ' ', '198', '4', '!\n']
    >>> split("gpt4o", "HTTPResponse can'ts 12345")
    ['HTTPResponse', " can't", 's', ' ', '123', '45']
    >>> split("qwen2", "12 ")
    ['1', '2', ' ']
    >>> split(r"\d+", "a12b")
    ['a', '12', 'b']
    """
    pieces, end = [], 0
    for match in _compiled(pattern).finditer(text):
        if match.group():
            pieces += [text[end : match.start()], match.group()]
            end = match.end()
    pieces.append(text[end:])
    return [piece for piece in pieces if piece]


def same_in_both(character: str) -> bool:
    r"""Whether the test texts may use the character: both engines surely put it in the same classes.

    They do for all 232,688 characters that Unicode 3.2 had, old enough for any engine, except U+0295, which
    moved from Ll to Lo after Unicode 16. The exhaustive comparison is the core's tests/split_oracle.rs.

    >>> [same_in_both(c) for c in "aʰ中\u0295\u0378\ud800"]
    [True, True, True, False, False, False]
    """
    return unicodedata.ucd_3_2_0.category(character) not in ("Cn", "Cs") and character != "\u0295"
