"""Training tokenizers: byte-level BPE and words.

>>> import tokenmill as tm
>>> docs = tm.Documents.from_texts(["the cat in the hat"])
>>> tok = tm.train_bpe(docs, vocab_size=259, special_tokens=[])
>>> [tok.id_to_token(i) for i in range(256, 259)]
[b'at', b'he', b'the']
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, SupportsIndex, overload

from tokenmill import _core
from tokenmill.counts import Counts, budget, count_in_parts
from tokenmill.documents import Documents
from tokenmill.special_tokens import find
from tokenmill.tokenizer import Tokenizer
from tokenmill.tokens import check_integer

if TYPE_CHECKING:
    import os

    import numpy as np
    import numpy.typing as npt

    from tokenmill.documents import Data
    from tokenmill.progress import ProgressCallback

END_OF_TEXT = "<|endoftext|>"
WORD_SPECIALS = ("[BOS]", "[EOS]", "[PAD]", "[UNK]")
DEFAULT_PATTERN = "gpt4"


class Curve:
    """What each merge of a training did: how well each smaller vocabulary would compress the corpus.

    >>> import tokenmill as tm
    >>> curve = tm.train_bpe(tm.Documents.from_texts(["aaabdaaabac"]), vocab_size=260, min_frequency=1).curve
    >>> curve.vocab_sizes.tolist(), curve.counts.tolist(), curve.tokens.tolist(), curve.num_bytes
    ([258, 259, 260], [4, 2, 2], [9, 7, 5], 11)
    """

    def __init__(self, steps: _core.Steps, num_bytes: int) -> None:
        self._steps = steps
        #: Bytes of the corpus: what its tokens would be without any merge.
        self.num_bytes = num_bytes

    @cached_property
    def vocab_sizes(self) -> npt.NDArray[np.uint32]:
        """`uint32[merges]`: ids up to this merge, special tokens included."""
        return self._steps.vocab_sizes()

    @cached_property
    def counts(self) -> npt.NDArray[np.uint64]:
        """`uint64[merges]`: how often the merged pair occurred."""
        return self._steps.counts()

    @cached_property
    def tokens(self) -> npt.NDArray[np.uint64]:
        """`uint64[merges]`: tokens of the corpus after the merge."""
        return self._steps.tokens()


@overload
def train_bpe(
    data: Data | Counts,
    *,
    vocab_size: int,
    pattern: str | None = None,
    special_tokens: Sequence[str] | None = None,
    min_frequency: int = 2,
    compat: Literal["gpt", "hf"] = "gpt",
    max_token_bytes: int | None = None,
    extend: Tokenizer | None = None,
    max_memory: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: ProgressCallback | None = None,
) -> Tokenizer: ...
@overload
def train_bpe(
    data: Data | Counts,
    *,
    vocab_size: Sequence[int],
    pattern: str | None = None,
    special_tokens: Sequence[str] | None = None,
    min_frequency: int = 2,
    compat: Literal["gpt", "hf"] = "gpt",
    max_token_bytes: int | None = None,
    extend: Tokenizer | None = None,
    max_memory: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: ProgressCallback | None = None,
) -> list[Tokenizer]: ...
def train_bpe(
    data: Data | Counts,
    *,
    vocab_size: int | Sequence[int],
    pattern: str | None = None,
    special_tokens: Sequence[str] | None = None,
    min_frequency: int = 2,
    compat: Literal["gpt", "hf"] = "gpt",
    max_token_bytes: int | None = None,
    extend: Tokenizer | None = None,
    max_memory: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: ProgressCallback | None = None,
) -> Tokenizer | list[Tokenizer]:
    """Train a byte-level BPE tokenizer.

    Pairs are counted (overlapping) inside the pieces that `pattern` cuts; the most frequent pair merges, of
    equals the one with the smallest (left id, right id), until the vocabulary is full or no pair occurs
    `min_frequency` times. The result depends on the documents and these arguments alone.

    Args:
        data: paths (a path, a glob, a list of these), `Documents`, or `Counts` of pieces made before.
            A bare `str` is a path, never a text.
        vocab_size: tokens in all: 256 bytes, merges, special tokens. Several sizes give a list of tokenizers
            for the price of the largest: each is what training for its size alone would give.
        pattern: "gpt2", "gpt4" (the default), "gpt4o", "llama3", "qwen2" or a regular expression.
        special_tokens: their spellings; by default `<|endoftext|>`.
        min_frequency: pairs that occur less often are not merged.
        compat: "gpt": ids 0–255 are the bytes, special tokens come last, merges as rustbpe learns them.
            "hf": special tokens first, bytes in ByteLevel order, merges as Hugging Face's `BpeTrainer` learns
            them.
        max_token_bytes: no token gets longer than this (Hugging Face's `max_token_length`).
        extend: a BPE tokenizer to go on from: its tokens keep their ids, its merges come first, its pattern
            and special tokens stay. New tokens get the ids behind its last one.
        max_memory: bytes that counting may take, some; what exceeds it is sorted on disk (in `$TMPDIR`).
            The result is the same.
        checkpoint: a folder for the counts of files already read: a run that is interrupted goes on from
            there if it is started again with the same files and arguments.
        progress: called as `progress(stage, unit, done, total)` a few times a second.

    The tokenizers have a `curve` (see `Curve`). A piece of 4 KiB or more is warned of: it is merged like any
    other, but is rarely meant.

    Raises:
        ValueError: an argument cannot be right.
        DocumentError: a document cannot be read; the message names file, line and byte.

    >>> import tokenmill as tm
    >>> tok = tm.train_bpe(tm.Documents.from_texts(["aaabdaaabac"] * 2), vocab_size=259, special_tokens=[])
    >>> [tok.id_to_token(i) for i in tok.encode("aaabdaaabac")]
    [b'aaab', b'd', b'aaab', b'a', b'c']
    """
    if compat not in ("gpt", "hf"):
        raise ValueError(f"compat={compat!r} is not known; choose 'gpt' or 'hf'")
    wanted = [vocab_size] if isinstance(vocab_size, SupportsIndex) else list(vocab_size)
    sizes = [check_integer("vocab_size", size, 1) for size in wanted]
    if len(set(sizes)) < len(sizes):
        raise ValueError(f"vocab_size={list(sizes)} names a size twice")
    if not sizes:
        raise ValueError("vocab_size names no size")
    if extend is not None:
        check_extension(extend, pattern, special_tokens)
        pattern = extend.pattern
    if pattern is None:
        pattern = data.pattern if isinstance(data, Counts) else DEFAULT_PATTERN
    if checkpoint is not None:
        if isinstance(data, Counts):
            raise ValueError(
                "checkpoint keeps counts of texts, and the data are counts already; leave it out"
            )
        data = count_in_parts(
            Documents.of(data), Path(checkpoint), pattern=pattern, max_memory=max_memory, progress=progress
        )
    cores, num_bytes, steps, long_pieces = _core.train_bpe(
        data._core if isinstance(data, Counts) else Documents.of(data)._source(),
        vocab_sizes=sizes,
        pattern=pattern,
        special_tokens=spellings_of((END_OF_TEXT,) if special_tokens is None else special_tokens),
        min_frequency=min_frequency,
        hugging_face=compat == "hf",
        max_token_bytes=max_token_bytes,
        base=None if extend is None else extend._core,
        max_bytes=budget(max_memory),
        folder=tempfile.gettempdir(),
        progress=progress,
    )
    warn_of(long_pieces, pattern)
    curve = Curve(steps, num_bytes)
    trained = [Tokenizer(core) for core in cores]
    for tokenizer in trained:
        tokenizer.curve = curve
    return trained[0] if isinstance(vocab_size, SupportsIndex) else trained


def check_extension(extend: Tokenizer, pattern: str | None, special_tokens: Sequence[str] | None) -> None:
    """Refuses to change what an extended tokenizer brings along."""
    if extend.model != "bpe":
        raise ValueError("a word tokenizer cannot be extended by merges; train a new one")
    if pattern is not None and pattern != extend.pattern:
        raise ValueError(
            f"pattern={pattern!r} is not that of the tokenizer to be extended, {extend.pattern!r}"
        )
    if special_tokens is not None and list(special_tokens) != list(extend.special_tokens):
        raise ValueError(
            f"special_tokens={list(special_tokens)!r} are not those of the tokenizer to be extended, "
            f"{list(extend.special_tokens)!r}; leave them out"
        )


def warn_of(long_pieces: list[tuple[int, bytes]], pattern: str) -> None:
    """Shows the longest pieces, if some are very long."""
    if long_pieces:
        shown = "; ".join(f"{length:,} bytes: {beginning!r}..." for length, beginning in long_pieces)
        warnings.warn(
            f"the pattern {pattern!r} leaves very long pieces ({shown}); tokens may grow across words there. "
            "Choose a pattern that cuts such text, or limit max_token_bytes",
            stacklevel=3,
        )


def train_word(
    data: Data,
    *,
    split: str = "punctuation",
    special_tokens: Sequence[str] = WORD_SPECIALS,
    unk_token: str | None = None,
    min_frequency: int = 1,
    max_vocab: int | None = None,
    progress: ProgressCallback | None = None,
) -> Tokenizer:
    """Train a tokenizer of whole words: the distinct words in order, then the special tokens.

    Args:
        data: paths (a path, a glob, a list of these) or `Documents`. A bare `str` is a path, never a text.
        split: "punctuation": words and punctuation marks (`Hello, world!` → `Hello` `,` `world` `!`);
            "whitespace": at white space only (`amet,` keeps its comma); else a regular expression whose
            matches delimit words and are words themselves unless blank.
        special_tokens: their spellings, numbered in this order.
        unk_token: which of them stands for unknown words; by default the one spelled `[UNK]`, `<unk>` or
            `<|unk|>`. Without one, an unknown word is an error that names it.
        min_frequency: words that occur less often get no id.
        max_vocab: tokens in all at most, special ones included; the most frequent words stay.
        progress: called as `progress(stage, unit, done, total)` a few times a second.

    Raises:
        ValueError: an argument cannot be right.
        DocumentError: a document cannot be read; the message names file, line and byte.

    >>> import tokenmill as tm
    >>> tok = tm.train_word(tm.Documents.from_texts(["Hello, world!"]))
    >>> tok.encode("Hello, world!"), tok.decode(tok.encode("Bye, world!"))
    ([2, 1, 3, 0], '[UNK], world!')
    """
    spellings = spellings_of(special_tokens)
    core = _core.Tokenizer.train_word(
        Documents.of(data)._source(),
        split=split,
        special_tokens=spellings,
        unknown_token=unk_token if unk_token is not None else find(spellings, "unk"),
        min_frequency=min_frequency,
        max_vocab=max_vocab,
        progress=progress,
    )
    return Tokenizer(core)


def spellings_of(special_tokens: Sequence[str]) -> list[str]:
    """A list of spellings; one string is a mistake."""
    if isinstance(special_tokens, str):
        raise TypeError(f"special_tokens is a str; pass a list: [{special_tokens!r}]")
    return list(special_tokens)
