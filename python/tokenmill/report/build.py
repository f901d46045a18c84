"""The steps of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tokenmill.documents import Data, Documents
from tokenmill.report.measure import Measured, measure
from tokenmill.report.result import Encoded, Report, Texts, TokenizerReport, Tokens, ratio
from tokenmill.report.vocabulary import (
    Rules,
    longest,
    renyi_efficiency,
    single_tokens,
    smaller_vocabularies,
    text_of,
    unreachable,
)
from tokenmill.report.words import WordCounts

if TYPE_CHECKING:
    from tokenmill.progress import ProgressCallback
    from tokenmill.tokenizer import Tokenizer

# The most frequent words that are looked at, and those of them that are looked at apart.
FREQUENT, MOST_FREQUENT = 10_000, 1_000
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
    sources = data if isinstance(data, Mapping) else {"all": data}
    opened = {source: Documents.of(documents) for source, documents in sources.items()}
    done = 0

    def seen(size: int) -> None:
        nonlocal done
        done += size
        if progress is not None:
            progress("measuring", "bytes", done, None)

    measured: list[Measured] = []
    # The words of one source are forgotten before those of the next are counted.
    frequent: list[list[str]] = []
    all_words = WordCounts()
    for source, documents in opened.items():
        one, words = measure(source, documents, list(named.values()), seen)
        measured.append(one)
        frequent.append(words.most_frequent(FREQUENT))
        all_words.merge(words)
    frequent.append(all_words.most_frequent(FREQUENT))
    return Report(
        tokenizers=tuple(
            report_of(called, tok, [source.of(index) for source in measured], frequent)
            for index, (called, tok) in enumerate(named.items())
        ),
        words_lost=all_words.lost,
        differences={
            other: tuple(different for source in measured if (different := source.differences[index]))
            for index, (other, tok) in enumerate(named.items())
            if index and tok.model == tokenizer.model == "bpe"
        },
    )


def report_of(
    name: str,
    tokenizer: Tokenizer,
    measured: Sequence[tuple[Texts, npt.NDArray[np.int64]]],
    frequent: Sequence[Sequence[str]],
) -> TokenizerReport:
    """What was measured with one of the tokenizers, and what its vocabulary says."""
    counts = sum((count for _, count in measured), np.zeros(tokenizer.vocab_size, np.int64))
    total = total_of([texts for texts, _ in measured])
    *sources, all_sources = (
        encoded_of(texts, count, tokenizer, words)
        for (texts, count), words in zip([*measured, (total, counts)], frequent, strict=True)
    )
    rules = Rules(tokenizer)
    is_bpe = tokenizer.model == "bpe"
    never, cut = unreachable(tokenizer, rules) if is_bpe else ([], [])

    def some(ids: list[int]) -> Tokens:
        return Tokens(number=len(ids), examples=tuple((i, rules.tokens[i]) for i in ids[:SHOWN]))

    return TokenizerReport(
        name=name,
        vocab_size=tokenizer.vocab_size,
        fingerprint=tokenizer.fingerprint,
        sources=tuple(sources),
        total=all_sources,
        unused=some([i for i in rules.tokens if counts[i] == 0]),
        unreachable=some(never) if is_bpe else None,
        cut=some([i for i in cut if counts[i] == 0]) if is_bpe else None,
        partial_utf8=some([i for i, token in rules.tokens.items() if text_of(token) is None]),
        longest=some(longest(rules.tokens, SHOWN)),
        curve=smaller_vocabularies(rules, counts) if is_bpe else None,
    )


def encoded_of(
    texts: Texts, counts: npt.NDArray[np.int64], tokenizer: Tokenizer, frequent: Sequence[str]
) -> Encoded:
    """The numbers of one source."""
    whole = single_tokens(tokenizer, frequent)
    return Encoded(
        texts=texts,
        tokens=int(counts.sum()),
        renyi_efficiency=renyi_efficiency(counts),
        words_whole_1k=ratio(sum(whole[:MOST_FREQUENT]), len(whole[:MOST_FREQUENT])),
        words_whole_10k=ratio(sum(whole), len(whole)),
    )


def total_of(texts: Sequence[Texts]) -> Texts:
    """All sources as one."""
    return Texts(
        name="total",
        documents=sum(one.documents for one in texts),
        characters=sum(one.characters for one in texts),
        words=sum(one.words for one in texts),
        bytes=sum(one.bytes for one in texts),
    )
