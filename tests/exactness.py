"""Hard inputs that the exactness tests share, and how they compare many texts at once."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle

from peers import Both

# What has broken other implementations, as in the core's tests/oracle/texts.rs.
FRAGMENTS = [
    *("HTTPResponse", "can'ts", "3'ts", "'ſ", "it'ſ", " 's", "I'LL'VE", ".\n//", "。\n\n", "a  \r\n\r\n  b"),
    *("\u00a0\u0301a", "\t\u0301a", "\u00a0a", "12345678", " 1234", "x \n \n y", "x \n ", "\r\n ", "'re're"),
    *(
        "''s",
        "word.\r\n\n//x",
        "e\u0301'S",
        "\u0301\u0301x",
        "ǅa'd",
        "  \u2028 ",
        "\u0085\n",
        "{return(a+b)};",
    ),
    *("YWJjZGVmZ2hpamtsbW5v+/==", "中文字的一是不了人我在有他这", "これは日本語の文章です。", "яеошяеош"),
    *("हिन्दी", "한국어", "👩\u200d👩\u200d👧", "<|endoftext|>", "\x00\x00", "don't", " the", "    ", "0000"),
    *("://", "^^^^", "é", "\ufffd", "\ud83d", "\udc4d", "\ud83d\udc4d"),
]

# What pieces are made of: characters of one class in turn, and one of a single byte that fills up the length.
KINDS = {
    "letters": ("etaoinshrdlucmfwypvbgkjqxz", "a"),
    "capitals": ("HTTPresponseXMLHttp", "E"),
    "digits": ("0123456789", "7"),
    "spaces": (" ", " "),
    "newlines": ("\n", "\n"),
    "tabs": (" \t", " "),
    "symbols": (".,;:!?()[]{}<>/=+-*&^%$#@~|", "!"),
    "apostrophes": ("'s'LL'ſ", "t"),
    "two bytes": ("éяßωж", "a"),
    "three bytes": ("中文字的一是あ한", "a"),
    "four bytes": ("𝒜𐐨𠀀", "a"),
    "emoji": ("😀🚀🎉", "!"),
    "marks": ("\u0301\u0308", "."),
}

LENGTHS = [14, 15, 16, 17, 31, 32, 33, 63, 64, 65, 99, 100, 101]


def piece(kind: str, length: int) -> str:
    """A piece of exactly `length` bytes.

    >>> piece("two bytes", 5), len(piece("marks", 99).encode())
    ('éяa', 99)
    """
    characters, fill = KINDS[kind]
    text, size = [], 0
    for character in cycle(characters):
        size += len(character.encode())
        if size > length:
            break
        text.append(character)
    text.append(fill * (length - sum(len(character.encode()) for character in text)))
    return "".join(text)


def filler(length: int) -> str:
    """`length` bytes that end in a word of one letter, where that is long enough.

    >>> filler(3), len(filler(70).encode())
    ('. x', 70)
    """
    text = ("It's 4 o'clock, é — x " * 4).encode()[-length - 1 : -1].decode(errors="ignore") if length else ""
    return text.rjust(length - len(text.encode()) + len(text), ".")


def assert_all_same(both: Both, texts: Iterable[str]) -> None:
    """Each text alone and all in a batch give tiktoken's ids; shows the first that does not."""
    texts = list(texts)
    want = both.theirs.encode_ordinary_batch(texts, num_threads=2)
    for got in (both.ours.encode_batch(texts), [both.ours.encode(text) for text in texts]):
        if got != want:
            number = next(i for i, ids in enumerate(want) if got[i] != ids)
            at = first_difference(got[number], want[number])
            shown = texts[number] if len(texts[number]) < 1000 else f"({len(texts[number])} characters)"
            raise AssertionError(
                f"text {number}, {shown!r}, from id {at}: {got[number][at : at + 9]}, "
                f"want {want[number][at : at + 9]}"
            )


def first_difference(got: list[int], want: list[int]) -> int:
    """Where two lists part.

    >>> first_difference([1, 2, 3], [1, 2]), first_difference([1], [2])
    (2, 0)
    """
    pairs = zip(got, want, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(got), len(want)))
