"""How good a tokenizer is on texts: numbers, beside those of others, as JSON or as a page.

>>> import tokenmill as tm
>>> docs = tm.Documents.from_texts(["low low lower", "lowest"])
>>> tok = tm.train_bpe(docs, vocab_size=259, special_tokens=[])
>>> total = tm.report_tokenizer(tok, docs).tokenizers[0].total
>>> total.tokens, round(total.bytes_per_token, 2), total.tokens_per_word
(9, 2.11, 2.25)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tokenmill.report.result import (
    Change,
    Curve,
    Difference,
    Encoded,
    Place,
    Report,
    Texts,
    TokenizerReport,
    Tokens,
)

if TYPE_CHECKING:
    from tokenmill.documents import Data
    from tokenmill.progress import ProgressCallback
    from tokenmill.tokenizer import Tokenizer

__all__ = [
    "Change",
    "Curve",
    "Difference",
    "Encoded",
    "Place",
    "Report",
    "Texts",
    "TokenizerReport",
    "Tokens",
    "report_tokenizer",
]


def report_tokenizer(
    tokenizer: Tokenizer,
    data: Data | Mapping[str, Data],
    *,
    against: Mapping[str, Tokenizer] | None = None,
    name: str = "tokenizer",
    progress: ProgressCallback | None = None,
) -> Report:
    """Measure a tokenizer on texts.

    Args:
        tokenizer: the tokenizer.
        data: paths or `Documents`, or several of them by name: one source each. They are read once,
            in bounded memory, and each text is encoded once by each tokenizer.
        against: other tokenizers by name, which are measured alike.
        name: what to call the tokenizer.
        progress: called as `progress("measuring", "bytes", done, None)`.

    Raises:
        ValueError: two tokenizers of one name.
        DocumentError: a document cannot be read; the message names file, line and byte.
        UnknownTokenError: a text has a word without a token; the message names the place.
    """
    # Here, as it imports numpy.
    from tokenmill.report.build import build

    return build(tokenizer, data, against or {}, name, progress)
