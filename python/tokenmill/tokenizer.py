"""The tokenizer: text → ids → text.

>>> import tokenmill as tm
>>> docs = tm.Documents.from_texts(["the cat in the hat"])
>>> tok = tm.train_bpe(docs, vocab_size=260, special_tokens=["<|endoftext|>"])
>>> ids = tok.encode("the hat")
>>> tok.decode(ids)
'the hat'
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from tokenmill import _core
from tokenmill.encode_stream import encode_stream

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy as np
    import numpy.typing as npt

    from tokenmill.encode_stream import Readable
    from tokenmill.train_tokenizer import Curve

    AllowedSpecial: TypeAlias = Literal["all"] | Collection[str]


class Tokenizer:
    """Text to ids and back; one class for byte-level BPE and for words.

    Get one from `train_bpe`, `train_word` or `Tokenizer.load`. A tokenizer never changes, and any number of
    threads may share it: encoding lets go of the GIL.

    Special tokens are never made from running text unless you say so: `encode` takes `"<|endoftext|>"` as the
    thirteen characters that it is, and `allowed_special` (a set of spellings, or `"all"`) turns them into the
    token. Nothing is added by itself, neither a beginning nor an end of text.

    Lone surrogates in a `str` are encoded as U+FFFD, as tiktoken does.

    Two environment variables, neither of which changes an id: `TOKENMILL_NUM_THREADS` (all processors) and
    `TOKENMILL_CACHE_MIB`, the most memory in MiB for the pieces that each thread remembers (48). Threads are
    used for texts and batches from 64 KiB on.
    """

    __slots__ = ("_core", "curve")

    def __init__(self, core: _core.Tokenizer) -> None:
        self._core = core
        #: What each merge did, where this tokenizer has just been trained.
        self.curve: Curve | None = None

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        pattern: str | None = None,
        special_tokens: Mapping[str, int] | None = None,
    ) -> Tokenizer:
        """Read a tokenizer from a file or folder.

        * `tokenizer.json`: ours, or a byte-level BPE of Hugging Face's.
        * `NAME.tiktoken`: `pattern` and `special_tokens` must be given, unless NAME is a published one
          (r50k_base, p50k_base, p50k_edit, cl100k_base, o200k_base, o200k_harmony), which implies both.
        * a folder with GPT-2's `vocab.json` and `merges.txt` (or `encoder.json` and `vocab.bpe`).

        Args:
            path: what to read.
            pattern: "gpt2", "gpt4", "gpt4o", "llama3", "qwen2" or a regular expression; `.tiktoken` only.
            special_tokens: spelling → id; `.tiktoken` only.

        Raises:
            FormatError: the file is broken or of a kind we do not support; the message says which and why.
            OSError: the file cannot be read.
        """
        pairs = None if special_tokens is None else list(special_tokens.items())
        return cls(_core.Tokenizer.load(os.fspath(path), pattern, pairs))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tokenizer to a `.json` or `.tiktoken` file, or as GPT-2's two files to a folder.

        Only `tokenizer.json` holds all of a tokenizer. `tokenizers.Tokenizer.from_file` reads it as it is and
        gives the same ids. `.tiktoken` holds ranks alone. Files are written whole or not at all.

        Raises:
            ValueError: the tokenizer cannot be expressed in that format; the message says why.
            OSError: the file cannot be written.
        """
        self._core.save(os.fspath(path))

    def encode(self, text: str, *, allowed_special: AllowedSpecial = ()) -> list[int]:
        """The ids of `text`. A long text is cut where that changes nothing and encoded on all processors.

        Args:
            text: what to encode, of any length.
            allowed_special: spellings of special tokens that the text may contain, or "all".

        Raises:
            UnknownTokenError: the text has a word (or byte) without a token, and there is no unknown token.
            ValueError: `allowed_special` names what is no special token of this tokenizer.

        >>> import tokenmill as tm
        >>> docs = tm.Documents.from_texts(["the cat", "the hat"])
        >>> tok = tm.train_bpe(docs, vocab_size=260, special_tokens=["<|end|>"])
        >>> tok.encode("the hat")
        [258, 32, 104, 256]
        >>> len(tok.encode("<|end|>")), tok.encode("<|end|>", allowed_special={"<|end|>"})
        (7, [259])
        """
        return self._core.encode(text, _allowed(allowed_special))

    def encode_to_numpy(self, text: str, *, allowed_special: AllowedSpecial = ()) -> npt.NDArray[np.uint32]:
        """The ids of `text` as `uint32[n]`; arguments and errors as `encode`, without an object for each id.

        >>> import tokenmill as tm
        >>> tok = tm.train_bpe(tm.Documents.from_texts([]), vocab_size=256, special_tokens=[])
        >>> tok.encode_to_numpy("abc")
        array([97, 98, 99], dtype=uint32)
        """
        return self._core.encode_to_numpy(text, _allowed(allowed_special))

    def encode_batch(
        self, texts: Iterable[str], *, allowed_special: AllowedSpecial = (), column: str | None = None
    ) -> list[list[int]]:
        """The ids of each text, in order; in parallel when there is enough to do.

        Args:
            texts: any iterable of `str`, or Arrow data as `encode_batch_to_arrow` takes it.
            allowed_special: special tokens that the texts may contain, or "all".
            column: which column of an Arrow table holds the texts.

        Raises:
            UnknownTokenError: as `encode`; the message begins with the number of the text.
            TypeError, ValueError, DocumentError: as `encode_batch_to_arrow`.

        >>> import tokenmill as tm
        >>> tok = tm.train_bpe(tm.Documents.from_texts([]), vocab_size=256, special_tokens=[])
        >>> tok.encode_batch(["ab", "", "c"])
        [[97, 98], [], [99]]
        """
        return self._core.encode_batch(_texts(texts), _allowed(allowed_special), column)

    def encode_batch_to_numpy(
        self, texts: Iterable[str], *, allowed_special: AllowedSpecial = (), column: str | None = None
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """All ids back to back and where each text ends; arguments and errors as `encode_batch`.

        Returns:
            `(ids, offsets)`, `uint32[n]` and `int64[len(texts) + 1]`: text `i` has
            `ids[offsets[i]:offsets[i + 1]]`.

        >>> import tokenmill as tm
        >>> tok = tm.train_bpe(tm.Documents.from_texts([]), vocab_size=256, special_tokens=[])
        >>> tok.encode_batch_to_numpy(["ab", "", "c"])
        (array([97, 98, 99], dtype=uint32), array([0, 2, 2, 3]))
        """
        return self._core.encode_batch_to_numpy(_texts(texts), _allowed(allowed_special), column)

    def encode_batch_to_arrow(
        self,
        texts: Any,
        *,
        allowed_special: AllowedSpecial = (),
        column: str | None = None,
        large_offsets: bool = False,
    ) -> _core.ArrowIds:
        """The ids of each text as an Arrow array; neither texts nor ids are copied on the way in or out.

        Args:
            texts: an array, chunked array, table or stream of strings: whatever has `__arrow_c_array__` or
                `__arrow_c_stream__` and type string, large_string or string_view, plain or in a dictionary
                (pyarrow, Polars, DuckDB, pandas, Hugging Face datasets). An iterable of `str` will do too.
            allowed_special: special tokens that the texts may contain, or "all".
            column: which column of a table holds the texts; by default "text", else the only one of strings.
            large_offsets: take `large_list<uint32>` whatever the size, so that all batches have one type.

        Returns:
            An object with `__arrow_c_array__` and a length: pass it to `pyarrow.array`, `polars.Series` and
            the like. Its type is `list<uint32>`, and `large_list<uint32>` from 2**31 ids on, which offsets
            of 32 bits cannot count. The ids live as long as anyone uses them.

        Raises:
            DocumentError: a text is null; the message names the row.
            TypeError: the column does not hold strings, or a text is no `str`.
            ValueError: no such column.
            UnknownTokenError: as `encode_batch`.

        >>> import pyarrow as pa
        >>> import tokenmill as tm
        >>> tok = tm.train_bpe(tm.Documents.from_texts([]), vocab_size=256, special_tokens=[])
        >>> pa.array(tok.encode_batch_to_arrow(pa.array(["ab", "", "c"]))).to_pylist()
        [[97, 98], [], [99]]
        """
        return self._core.encode_batch_to_arrow(
            _texts(texts), _allowed(allowed_special), column, large_offsets
        )

    def encode_iter(
        self,
        stream: Iterable[str] | Iterable[bytes] | Readable,
        *,
        allowed_special: AllowedSpecial = (),
        errors: Literal["strict", "replace", "ignore"] = "strict",
    ) -> Iterator[npt.NDArray[np.uint32]]:
        """Encode one text that arrives in chunks, in little memory.

        The arrays, one after the other, are the ids of the whole text, `encode("".join(stream))`, whatever
        the chunks, and also where a chunk ends inside a word, a special token, a surrogate pair or, of bytes,
        a character.

        It holds a chunk, or a million characters of smaller ones, and what lies behind the last place where
        the text can be cut without changing any id: a few words, for text of any language. Where there is no
        such place the text is held, up to 1 GiB: digits or white space without end, and any text where the
        pattern is a regular expression of your own, of which nothing is known.

        Args:
            stream: the chunks, any iterable of `str`, or of `bytes` in UTF-8 (a pipe, a download); or a file
                opened as either, of which a million characters or bytes are read at a time.
            allowed_special: special tokens that the text may contain, or "all".
            errors: what becomes of bytes that are not UTF-8, as in `bytes.decode`.

        Yields:
            `uint32[n]` with n > 0.

        Raises:
            TypeError: `stream` is a `str` or `bytes`, or its chunks are neither, or some of both.
            UnicodeDecodeError: bytes are not UTF-8; the message says where in the stream.
            UnknownTokenError: as `encode`.
            ValueError: as `encode`; or 1 GiB offers no place to be cut.

        >>> import tokenmill as tm
        >>> tok = tm.train_bpe(tm.Documents.from_texts([]), vocab_size=256, special_tokens=[])
        >>> [ids.tolist() for ids in tok.encode_iter(["a", "b", " c"])]
        [[97, 98], [32, 99]]
        >>> import io
        >>> [ids.tolist() for ids in tok.encode_iter(io.BytesIO("é".encode()))]
        [[195, 169]]
        """
        if isinstance(stream, str | bytes):
            kind, parts = ("str", "characters") if isinstance(stream, str) else ("bytes", "numbers")
            raise TypeError(f"stream is a {kind}, whose {parts} would be the chunks; pass [stream]")
        encoder = _core.EncodeStream(self._core, _allowed(allowed_special))
        return encode_stream(stream, encoder, errors)

    def encode_with_offsets(
        self, text: str, *, allowed_special: AllowedSpecial = ()
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """The ids, and for each the span `(start, end)` of bytes in `text.encode()` that it stands for.

        A span begins or ends inside a character where a token does. Between words lies what belongs to none.
        A lone surrogate counts as U+FFFD, three bytes. Arguments and errors as `encode`.

        >>> import tokenmill as tm
        >>> docs = tm.Documents.from_texts(["the cat", "the hat"])
        >>> tok = tm.train_bpe(docs, vocab_size=259, special_tokens=[])
        >>> ids, spans = tok.encode_with_offsets("the hat")
        >>> ids, [b"the hat"[start:end] for start, end in spans]
        ([258, 32, 104, 256], [b'the', b' ', b'h', b'at'])
        """
        return self._core.encode_with_offsets(text, _allowed(allowed_special))

    def count(self, text: str, *, allowed_special: AllowedSpecial = ()) -> int:
        """How many ids `encode` would give, without making them. Arguments and errors as `encode`.

        >>> import tokenmill as tm
        >>> docs = tm.Documents.from_texts(["the cat", "the hat"])
        >>> tm.train_bpe(docs, vocab_size=259, special_tokens=[]).count("the hat")
        4
        """
        return self._core.count(text, _allowed(allowed_special))

    def decode(
        self,
        ids: Iterable[int],
        *,
        skip_special_tokens: bool = False,
        errors: Literal["replace", "strict", "ignore"] = "replace",
    ) -> str:
        """The text of `ids`.

        For BPE the exact inverse of `encode` on whole texts; a part may begin or end inside a character,
        which `errors` handles as `bytes.decode` does. Words are joined readably: their white space is not
        stored.

        Raises:
            ValueError: an id is no token.
        """
        return self.decode_bytes(ids, skip_special_tokens=skip_special_tokens).decode(errors=errors)

    def decode_bytes(self, ids: Iterable[int], *, skip_special_tokens: bool = False) -> bytes:
        """The bytes of `ids`, which need not be valid UTF-8."""
        return self._core.decode(_ids(ids), skip_special_tokens)

    def decode_batch(
        self,
        batch: Iterable[Iterable[int]],
        *,
        skip_special_tokens: bool = False,
        errors: Literal["replace", "strict", "ignore"] = "replace",
    ) -> list[str]:
        """`decode` of each."""
        return [self.decode(ids, skip_special_tokens=skip_special_tokens, errors=errors) for ids in batch]

    @property
    def vocab_size(self) -> int:
        """Largest id + 1, special tokens included: the rows of an embedding table."""
        return self._core.vocab_size

    @property
    def special_tokens(self) -> dict[str, int]:
        """Spelling → id, by id."""
        return dict(self._core.special_tokens)

    @property
    def model(self) -> str:
        """`"bpe"` or `"word"`."""
        return self._core.model

    @property
    def pattern(self) -> str:
        """How text is cut: a name or a regular expression."""
        return self._core.pattern

    @property
    def merges(self) -> list[tuple[int, int]] | None:
        """The merge list as pairs of ids, first merge first; `None` for words and for tokenizers of ranks."""
        return self._core.merges

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides which ids a text gets; equal fingerprints give equal ids."""
        return self._core.fingerprint

    def token_to_id(self, token: str | bytes) -> int | None:
        """The id of a token, `None` if there is none."""
        return self._core.token_to_id(token.encode() if isinstance(token, str) else token)

    def id_to_token(self, id: int) -> bytes | None:
        """The bytes of a token, `None` if there is none."""
        return self._core.id_to_token(id)

    def __len__(self) -> int:
        return self.vocab_size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"Tokenizer(model={self.model!r}, vocab_size={self.vocab_size}, pattern={self.pattern!r})"


def _allowed(allowed_special: AllowedSpecial) -> bool | list[str]:
    if allowed_special == "all":
        return True
    if isinstance(allowed_special, str):
        raise ValueError(f"allowed_special={allowed_special!r} is a str; pass 'all' or a set of spellings")
    return list(allowed_special)


def _texts(texts: Any) -> Any:
    """A list of texts, or Arrow data as it is."""
    if isinstance(texts, str):
        raise TypeError("texts is a str, whose characters would be the texts; pass [text], or call encode")
    arrow = hasattr(texts, "__arrow_c_stream__") or hasattr(texts, "__arrow_c_array__")
    return texts if arrow or isinstance(texts, list) else list(texts)


def _ids(ids: Iterable[int]) -> list[int]:
    if isinstance(ids, list):
        return ids
    # NumPy and PyTorch turn themselves into lists faster than they iterate.
    tolist = getattr(ids, "tolist", None)
    return list(tolist()) if tolist is not None else list(ids)
