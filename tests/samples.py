"""Texts that the exactness tests share: hard cases, real text, and Hypothesis strategies."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path

from hypothesis import strategies as st

from reference.patterns import same_in_both

# One or more of every class and every literal of the patterns, as in the core's split_oracle.rs.
ALPHABET = "stmdlverSAʰǅ中\u03011²٣ \t\n\r\u00a0\u0085\u2028'./ſ😀"

# Many writing systems, contractions in all cases, every kind of line end and space.
MIXED = (
    "Hello, world! I'm sure they'll say it's what we've DONE; WE'RE done, don't you'D 'tis it'ſ.\r\n"
    "\tif (x[i] != 0x1F600) { return foo->bar(12345678, 3.14e-10); }  // trailing  \n\n\n"
    "Zażółć gęślą jaźń. Ünïcödé naïve façade Straße İstanbul ıǅ ﬁne e\u0301te\u0301.\n"
    "Съешь же ещё этих мягких французских булок, да выпей чаю. Ελληνικά αλφάβητο.\n"
    "これは日本語の文章です。カタカナも、漢字も。\u3000中文文本，没有空格。繁體字。한국어 문장입니다.\n"
    "हिन्दी में लिखा गया पाठ। ไทยไม่มีช่องว่าง עברית שלום العربية ١٢٣٤ ۵۶۷\n"
    "👍🏽 👩‍👩‍👧‍👦 🇯🇵 ½ ²³ Ⅷ ①②③ €£¥ ∑∫≠ ™ …—–‘’“”\u00a0\u2003\u2028x\u0085y\u200bz\ufeff\n"
    "URL: https://example.org/a/b?c=d&e=%20f#g__h--i===j <|endoftext|> <tag attr='v'/>   \t  end\n"
    "0 00 000 0000 00000 1,000,000 1e5 a1b22c333d4444 \x00\x01\x7f   \n \n  \r\n \r \n\t \x1c\x1d"
)


def standard_library(size: int) -> Iterator[str]:
    """The interpreter's own sources, file by file in order of their names, about `size` characters in all."""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        yield text
        size -= len(text)
        if size <= 0:
            return


def words(alphabet: str, longest: int) -> st.SearchStrategy[str]:
    """Words of a small alphabet: heavy ties and overlapping pairs."""
    return st.text(st.sampled_from(alphabet), min_size=1, max_size=longest)


_KNOWN = st.sampled_from(ALPHABET + "LVERTMD’-_éяあ한ªıİßK\u200d")
_ANY = st.characters(exclude_categories=["Cs"]).filter(same_in_both)
_RUN = st.tuples(st.one_of(_KNOWN, _KNOWN, _ANY), st.integers(1, 6))

# Mostly the alphabet, in runs; sometimes any character that all engines agree on.
texts: st.SearchStrategy[str] = st.lists(_RUN, max_size=40).map(lambda runs: "".join(c * n for c, n in runs))
