"""tokenmill: raw text in, LLM training batches out.

    files ──► Documents ──► Tokenizer ──► TokenStore ──► DataLoader ──► Batch ──► (model)
              read          train/encode  prepare        sample         gather

>>> import tokenmill as tm
>>> docs = tm.Documents.from_texts(["Lorem ipsum dolor sit amet, consectetur adipiscing elit,"])
>>> tok = tm.train_word(docs, split="whitespace")
>>> ids = tok.encode("Lorem ipsum dolor sit amet, consectetur adipiscing elit,")
>>> for input_ids, labels in tm.Windows(ids, max_length=4, stride=2):
...     print(tok.decode(input_ids), "→", tok.decode(labels))
Lorem ipsum dolor sit → ipsum dolor sit amet,
dolor sit amet, consectetur → sit amet, consectetur adipiscing
"""

from tokenmill._core import DocumentError, FormatError, StoreError, UnknownTokenError, __version__
from tokenmill.batch import Batch
from tokenmill.counts import Counts, CountTotals, count_words
from tokenmill.documents import Document, Documents
from tokenmill.explain import Explanation
from tokenmill.ledger import Ledger
from tokenmill.loader import DataLoader
from tokenmill.mixture import Mixture
from tokenmill.place import Place
from tokenmill.prepare import prepare, seal
from tokenmill.repair import Repair, repair
from tokenmill.report import report_tokenizer
from tokenmill.sampling import Windows
from tokenmill.store import Origin, Report, TokenStore
from tokenmill.tokenizer import Tokenizer
from tokenmill.train_tokenizer import Curve, train_bpe, train_word

__all__ = [
    "Batch",
    "CountTotals",
    "Counts",
    "Curve",
    "DataLoader",
    "Document",
    "DocumentError",
    "Documents",
    "Explanation",
    "FormatError",
    "Ledger",
    "Mixture",
    "Origin",
    "Place",
    "Repair",
    "Report",
    "StoreError",
    "TokenStore",
    "Tokenizer",
    "UnknownTokenError",
    "Windows",
    "__version__",
    "count_words",
    "prepare",
    "repair",
    "report_tokenizer",
    "seal",
    "train_bpe",
    "train_word",
]
