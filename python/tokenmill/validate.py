"""Our ids and speed beside those of tiktoken or Hugging Face tokenizers, on any documents.

>>> import tokenmill as tm
>>> from tokenmill.validate import measure
>>> docs = tm.Documents.from_texts(["the cat in the hat"] * 9)
>>> tok = tm.train_bpe(docs, vocab_size=260)
>>> measured = measure(tok, docs)
>>> measured.documents, measured.bytes, measured.tokens
(9, 162, 108)
"""

from __future__ import annotations

import base64
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from tokenmill._core import __version__
from tokenmill.documents import Document, Documents

if TYPE_CHECKING:
    from tokenmill.documents import Data
    from tokenmill.progress import ProgressCallback
    from tokenmill.tokenizer import Tokenizer

Peer = Literal["tiktoken", "tokenizers"]

# The regular expressions behind the names: tiktoken 0.14 for gpt2, gpt4, gpt4o, Hugging Face for the others.
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORD = r"[^\r\n\p{L}\p{N}]?"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_REST = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
REGEXES = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    "gpt4": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    "gpt4o": rf"{_WORD}{_UPPER}*{_LOWER}+{_CONTRACTION}?|{_WORD}{_UPPER}+{_LOWER}*{_CONTRACTION}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*{_REST}",
    "llama3": rf"{_CONTRACTION}|{_WORD}\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*{_REST}",
    "qwen2": rf"{_CONTRACTION}|{_WORD}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*{_REST}",
}

# Characters that are encoded before it is the other's turn: long beside the clock, short beside a change of
# the machine's speed.
GROUP = 1 << 18
# Ids shown before the first that differs, and in all; bytes of text shown on each side.
BEFORE, SHOWN, AROUND = 4, 16, 40


@dataclass(frozen=True)
class Mismatch:
    """The first place where two encoders part."""

    input: str
    """The file, as in `Document`."""
    position: int
    """Of the record in the file, as in `Document`."""
    byte: int
    """Where in the UTF-8 of the text our first differing token starts."""
    text: str
    """The text around that byte."""
    id_number: int
    """How many ids are equal before."""
    first_shown: int
    """The number of the first id in `ours` and `theirs`."""
    ours: list[int]
    """Our ids from `first_shown` on, 16 at most."""
    theirs: list[int]
    """The peer's."""


@dataclass
class Measured:
    """What `measure` found. Seconds are of one thread, on text not seen before."""

    version: str = __version__
    """Of tokenmill."""
    documents: int = 0
    bytes: int = 0
    """Of text, as UTF-8."""
    tokens: int = 0
    seconds: float = 0.0
    peer: str | None = None
    """Its name and version."""
    peer_seconds: float = 0.0
    peer_failed: int = 0
    """Documents that the peer could not encode, which are in no other number."""
    mismatched: int = 0
    """Documents with other ids."""
    mismatch: Mismatch | None = None
    """In the first of them."""

    @property
    def megabytes_per_second(self) -> float:
        """Our speed."""
        return self.bytes / 1e6 / max(self.seconds, 1e-9)

    @property
    def peer_megabytes_per_second(self) -> float | None:
        """The peer's."""
        return None if self.peer is None else self.bytes / 1e6 / max(self.peer_seconds, 1e-9)

    @property
    def ratio(self) -> float | None:
        """How many times as fast we are."""
        return None if self.peer is None else self.peer_seconds / max(self.seconds, 1e-9)


class _Encoder(NamedTuple):
    name: str
    encode: Callable[[str], list[int]]


# Ids, or None where the encoder gave up, and seconds.
_Row = tuple[list[int] | None, float]


def measure(
    tokenizer: Tokenizer,
    data: Data,
    *,
    against: Peer | Literal["auto"] | None = None,
    path: str | os.PathLike[str] | None = None,
    megabytes: float = 50,
    progress: ProgressCallback | None = None,
) -> Measured:
    """Encode the first documents of `data`, one call each in one thread; with `against`, by a peer too.

    Special tokens are taken as text by both. They take turns at some hundred kilobytes: a machine that
    changes its speed changes it for both.

    Args:
        tokenizer: whose ids and speed are asked for.
        data: paths or `Documents`.
        against: "tiktoken", "tokenizers", or "auto": of those installed, the one with the same rule, tiktoken
            for ranks, tokenizers for a merge list or words.
        path: the tokenizer.json that `tokenizer` comes from, for tokenizers to read itself.
        megabytes: stop after the document that reaches this much text.
        progress: called as `progress("encoding", "bytes", done, None)`.

    Raises:
        ValueError: the peer is not installed or cannot have this tokenizer; the message says why.
        DocumentError: a document cannot be read.
    """
    ours = _Encoder("tokenmill", tokenizer.encode)
    theirs = _peer(tokenizer, against, path) if against else None
    measured = Measured(peer=theirs.name if theirs else None)
    for turn, group in enumerate(_groups(Documents.of(data), megabytes * 1e6)):
        if theirs is None:
            mine, others = _encode(ours, group), None
        elif turn % 2:
            others, mine = _encode(theirs, group), _encode(ours, group)
        else:
            mine, others = _encode(ours, group), _encode(theirs, group)
        for number, document in enumerate(group):
            _add(measured, tokenizer, document, mine[number], others[number] if others else None)
        if progress is not None:
            progress("encoding", "bytes", measured.bytes, None)
    return measured


def _add(
    measured: Measured, tokenizer: Tokenizer, document: Document, mine: _Row, other: _Row | None
) -> None:
    """Counts one document."""
    ids = mine[0]
    if ids is None or (other is not None and other[0] is None):
        measured.peer_failed += 1
        return
    measured.documents += 1
    measured.bytes += len(document.text.encode())
    measured.tokens += len(ids)
    measured.seconds += mine[1]
    if other is None:
        return
    measured.peer_seconds += other[1]
    if other[0] is not None and other[0] != ids:
        measured.mismatched += 1
        if measured.mismatch is None:
            measured.mismatch = _mismatch(tokenizer, document, ids, other[0])


def _encode(encoder: _Encoder, group: list[Document]) -> list[_Row]:
    """Each text, in a call of its own."""
    encode, clock = encoder.encode, time.perf_counter
    rows: list[_Row] = []
    for document in group:
        start = clock()
        try:
            ids: list[int] | None = encode(document.text)
        except BaseException as error:
            # What Rust calls a panic is no Exception in Python: tiktoken's regex engine gives up like that.
            if encoder.name == "tokenmill" or not _gave_up(error):
                raise
            ids = None
        rows.append((ids, clock() - start))
    return rows


def _gave_up(error: BaseException) -> bool:
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _mismatch(tokenizer: Tokenizer, document: Document, ours: list[int], theirs: list[int]) -> Mismatch:
    """Where and how the ids of `document` part."""
    pairs = zip(ours, theirs, strict=False)
    number = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(ours), len(theirs)))
    _, spans = tokenizer.encode_with_offsets(document.text)
    raw = document.text.encode()
    byte = spans[number][0] if number < len(spans) else len(raw)
    first = max(0, number - BEFORE)
    return Mismatch(
        input=document.input,
        position=document.position,
        byte=byte,
        text=raw[max(0, byte - AROUND) : byte + AROUND].decode(errors="replace"),
        id_number=number,
        first_shown=first,
        ours=ours[first : first + SHOWN],
        theirs=theirs[first : first + SHOWN],
    )


def _groups(documents: Documents, limit: float) -> Iterator[list[Document]]:
    """The first documents, `limit` bytes of text or the document more that reaches it, some at a time."""
    group: list[Document] = []
    size = waiting = 0
    for document in documents:
        group.append(document)
        size += len(document.text.encode())
        waiting += len(document.text)
        if size >= limit:
            break
        if waiting >= GROUP:
            yield group
            group, waiting = [], 0
    if group:
        yield group


# The peers.


def _peer(tokenizer: Tokenizer, against: str, path: str | os.PathLike[str] | None) -> _Encoder:
    """The other encoder, ready: what a library fills at its first use is in nobody's time."""
    if against == "auto":
        against = _best_peer(tokenizer)
    if against not in ("tiktoken", "tokenizers"):
        raise ValueError(f"against={against!r} is not known; choose 'tiktoken', 'tokenizers' or 'auto'")
    try:
        import_module(against)
    except ModuleNotFoundError:
        raise ValueError(f"comparing with {against} needs it installed: pip install {against}") from None
    encode = _tiktoken(tokenizer) if against == "tiktoken" else _tokenizers(tokenizer, path)
    encode("")
    tokenizer.encode("")
    return _Encoder(f"{against} {version(against)}", encode)


def _best_peer(tokenizer: Tokenizer) -> str:
    """The installed one that merges as `tokenizer` does; tokenizers has both rules and is slower."""
    fit = ["tokenizers"]
    if tokenizer.model == "bpe" and tokenizer.merges is None:
        fit.insert(0, "tiktoken")
    installed = [name for name in fit if find_spec(name) is not None]
    if not installed:
        raise ValueError(f"comparing this tokenizer needs {' or '.join(fit)} installed: pip install {fit[0]}")
    return installed[0]


def _tiktoken(tokenizer: Tokenizer) -> Callable[[str], list[int]]:
    """tiktoken by the same tokens and the published regular expression; its rule is that of ranks."""
    import tiktoken

    for spelling, number in tokenizer.special_tokens.items():
        if tokenizer.model == "bpe" and tokenizer.encode(spelling) == [number]:
            raise ValueError(
                f"tiktoken has no tokens that are found in every text, as {spelling!r} of this tokenizer is; "
                "compare with tokenizers"
            )
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "ranks.tiktoken"
        try:
            tokenizer.save(saved)
        except ValueError as error:
            raise ValueError(f"tiktoken cannot have this tokenizer: {error}") from None
        lines = (line.split() for line in saved.read_bytes().splitlines())
        ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    encoding = tiktoken.Encoding(
        "tokenmill",
        pat_str=REGEXES.get(tokenizer.pattern, tokenizer.pattern),
        mergeable_ranks=ranks,
        special_tokens={},
    )
    return encoding.encode_ordinary


def _tokenizers(tokenizer: Tokenizer, path: str | os.PathLike[str] | None) -> Callable[[str], list[int]]:
    """Hugging Face tokenizers, from the very file if it is a tokenizer.json, else from one that we write."""
    import tokenizers

    with tempfile.TemporaryDirectory() as folder:
        if path is None or Path(path).suffix != ".json":
            path = Path(folder) / "tokenizer.json"
            try:
                tokenizer.save(path)
            except ValueError as error:
                raise ValueError(f"tokenizers cannot have this tokenizer: {error}") from None
        peer = tokenizers.Tokenizer.from_file(os.fspath(path))
    # Special tokens in the text are text.
    peer.encode_special_tokens = True

    def encode(text: str) -> list[int]:
        ids: list[int] = peer.encode(text, add_special_tokens=False).ids
        return ids

    return encode
