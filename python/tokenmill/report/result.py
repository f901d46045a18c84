"""What a report holds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Texts:
    """How much text there is."""

    name: str
    documents: int
    #: Code points.
    characters: int
    #: What white space divides (`str.split`).
    words: int
    #: Of UTF-8.
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """The same text as tokens."""

    texts: Texts
    tokens: int
    #: Rényi efficiency of order 2.5 (Zouhar et al. 2023); `None` without text.
    renyi_efficiency: float | None
    #: The share of the 1,000 most frequent words that are one token after a space; `None` without words.
    words_whole_1k: float | None
    #: Of the 10,000 most frequent.
    words_whole_10k: float | None

    @property
    def bytes_per_token(self) -> float | None:
        """Compression: how many bytes of UTF-8 a token stands for."""
        return ratio(self.texts.bytes, self.tokens)

    @property
    def tokens_per_word(self) -> float | None:
        """Fertility, after Ács (2019) and Rust et al. (2021), with words as white space divides them.

        In scripts without white space a "word" is a sentence: compare `tokens_per_character` there.
        """
        return ratio(self.tokens, self.texts.words)

    @property
    def tokens_per_character(self) -> float | None:
        """Tokens for each code point."""
        return ratio(self.tokens, self.texts.characters)


def ratio(numerator: int, denominator: int) -> float | None:
    """A quotient; `None` where there is nothing to divide by."""
    return numerator / denominator if denominator else None


@dataclass(frozen=True, kw_only=True)
class Curve:
    """How many tokens the text comes to with each smaller vocabulary: the first merges of this one."""

    vocab_sizes: tuple[int, ...]
    tokens: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Change:
    """A stretch of text that both begin and end a token at, and cut differently in between."""

    before: tuple[bytes, ...]
    after: tuple[bytes, ...]
    occurrences: int


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a document is, as in `Document`."""

    input: str
    position: int


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How a tokenizer (`after`) differs from another (`before`) on the documents of one source."""

    source: str
    documents: int
    #: Documents with a token that begins or ends elsewhere.
    changed_documents: int
    tokens_before: int
    tokens_after: int
    #: The first 20 of these.
    places: tuple[Place, ...]
    #: The most frequent changes: of the first 1,000 documents that differ, or their first million tokens.
    changes: tuple[Change, ...]

    @property
    def changed_share(self) -> float | None:
        """The share of documents that are cut differently."""
        return ratio(self.changed_documents, self.documents)


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Some tokens of a vocabulary: how many there are, and the first of them by id."""

    number: int
    examples: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, kw_only=True)
class TokenizerReport:
    """What one tokenizer makes of the data."""

    name: str
    vocab_size: int
    fingerprint: str
    #: Source by source, in order.
    sources: tuple[Encoded, ...]
    #: All sources together.
    total: Encoded
    #: Ordinary tokens that the data do not use.
    unused: Tokens
    #: Tokens that no text at all comes to: their own bytes merge to others. `None` for words.
    unreachable: Tokens | None
    #: Tokens whose own text the pattern cuts, and which the data do not use: another pattern may be meant.
    cut: Tokens | None
    #: Tokens that are no valid UTF-8 by themselves.
    partial_utf8: Tokens
    #: The longest tokens, longest first.
    longest: Tokens
    #: What smaller vocabularies of the same merges would come to; `None` for words, and where merges are
    #: not in order, as those of a training are.
    curve: Curve | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """Tokenizers side by side on the same data."""

    #: The one that was asked about, then those it is compared with.
    tokenizers: tuple[TokenizerReport, ...]
    #: Occurrences of one word that counting words in bounded memory may have missed; 0: none.
    words_lost: int
    #: For each other tokenizer of byte-level BPE, source by source: what is cut differently.
    differences: Mapping[str, tuple[Difference, ...]]

    def to_json(self) -> str:
        """All of it as one JSON object; bytes of tokens as text, U+FFFD where they are none."""
        return json.dumps(plain(self), ensure_ascii=False, indent=1)

    def to_html(self) -> str:
        """A page that needs nothing else. Needs the extra `report` (Jinja, Matplotlib)."""
        from tokenmill.report.page import page

        return page(self)


def plain(value: Any) -> Any:
    """What JSON can say: fields and computed properties of dataclasses, bytes as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        names += [name for name, kind in vars(type(value)).items() if isinstance(kind, property)]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value
