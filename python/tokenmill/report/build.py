"""The steps of a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tokenmill.documents import Data, Documents
from tokenmill.report.difference import differ
from tokenmill.report.measure import Measured, measure
from tokenmill.report.result import Difference, Encoded, Report, Texts, TokenizerReport, Tokens
from tokenmill.report.vocabulary import (
    Rules,
    longest,
    renyi_efficiency,
    single_token_rate,
    smaller_vocabularies,
    text_of,
    unreachable,
)
from tokenmill.train_tokenizer import train_word

if TYPE_CHECKING:
    from tokenmill.progress import ProgressCallback
    from tokenmill.tokenizer import Tokenizer

# The most frequent words of each source.
FREQUENT_WORDS = 10_000
# Examples of each kind of token.
SHOWN = 20


def build(
    tokenizer: Tokenizer,
    data: Data | Mapping[str, Data],
    against: Mapping[str, Tokenizer],
    name: str,
    progress: ProgressCallback | None,
) -> Report:
    """See `tokenmill.report_tokenizer`."""
    named = {name: tokenizer, **against}
    if name in against:
        raise ValueError(f"two tokenizers are called {name!r}; name one of them otherwise")
    sources = sources_of(data)
    steps = len(sources) * 2 + len(named)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress("reporting", "steps", done, steps)

    measured = []
    for source, documents in sources.items():
        measured.append(measure(source, documents, list(named.values())))
        step()
    words = frequent_words(list(sources.values()))
    differences: dict[str, list[Difference]] = {
        other: [] for other, tok in named.items() if other != name and tok.model == tokenizer.model == "bpe"
    }
    for source, documents in sources.items():
        for other, changes in differences.items():
            changes.append(differ(source, documents, named[other], tokenizer))
        step()
    reports = []
    for index, (called, tok) in enumerate(named.items()):
        reports.append(report_of(called, tok, index, measured, words))
        step()
    return Report(
        tokenizers=tuple(reports),
        differences={other: tuple(changes) for other, changes in differences.items()},
    )


def sources_of(data: Data | Mapping[str, Data]) -> dict[str, Documents]:
    """The documents of each source; they must be such that can be read again."""
    named = data if isinstance(data, Mapping) else {"all": data}
    sources = {source: Documents.of(documents) for source, documents in named.items()}
    for documents in sources.values():
        if documents._once:
            raise ValueError(
                f"{documents!r} can be read only once, and a report reads its data several times; "
                "pass a list, a table or files"
            )
    return sources


def frequent_words(sources: Sequence[Documents]) -> list[str]:
    """The most frequent words of each source, with a letter in them."""
    words: set[bytes] = set()
    for documents in sources:
        tok = train_word(documents, special_tokens=[], max_vocab=FREQUENT_WORDS)
        words.update(tok.id_to_token(i) or b"" for i in range(tok.vocab_size))
    return sorted(word for token in words if any(map(str.isalpha, word := token.decode())))


def report_of(
    name: str, tokenizer: Tokenizer, index: int, measured: Sequence[Measured], words: Sequence[str]
) -> TokenizerReport:
    """What was measured with one of the tokenizers, and what its vocabulary says."""
    counts = sum((source.counts[index] for source in measured), np.zeros(tokenizer.vocab_size, np.int64))
    rules = Rules(tokenizer)
    is_bpe = tokenizer.model == "bpe"

    def some(ids: list[int]) -> Tokens:
        return Tokens(number=len(ids), examples=tuple((i, rules.tokens[i]) for i in ids[:SHOWN]))

    return TokenizerReport(
        name=name,
        vocab_size=tokenizer.vocab_size,
        fingerprint=tokenizer.fingerprint,
        sources=tuple(source.encoded[index] for source in measured),
        total=total_of([source.encoded[index] for source in measured]),
        renyi_efficiency=renyi_efficiency(counts),
        frequent_words_whole=single_token_rate(tokenizer, words),
        unused=some([i for i in rules.tokens if counts[i] == 0]),
        unreachable=some(unreachable(tokenizer, rules)) if is_bpe else None,
        partial_utf8=some([i for i, token in rules.tokens.items() if text_of(token) is None]),
        longest=some(longest(rules.tokens, SHOWN)),
        curve=smaller_vocabularies(rules, counts) if is_bpe else None,
    )


def total_of(encoded: Sequence[Encoded]) -> Encoded:
    """All sources as one."""
    fields = [field.name for field in dataclasses.fields(Texts) if field.name != "name"]
    sums = {field: sum(getattr(source.texts, field) for source in encoded) for field in fields}
    return Encoded(texts=Texts(name="total", **sums), tokens=sum(source.tokens for source in encoded))
