"""TokenStore: an encoded corpus on disk, read through memory maps, verified to the byte."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, overload

from tokenmill import _core

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from tokenmill.place import Place
    from tokenmill.progress import ProgressCallback
    from tokenmill.tokenizer import Tokenizer

    Split = Literal["train", "validation"]
    Ids = NDArray[np.uint16] | NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a token comes from.

    ``byte`` is the token's offset in the UTF-8 text of its document; with a tokenizer of whole words, which
    joins them again by its own rule, it counts in the joined text.
    """

    input: str
    """Name of the input (a path, "<stdin>", "<texts>", "<arrow>")."""
    document: int
    """Number of the document in the store."""
    position: int
    """Position of the document's record in the input, in ``unit``."""
    unit: Literal["byte", "row"]
    """What ``position`` counts: bytes of the uncompressed file, or rows."""
    byte: int
    """Offset of the token in the document's text."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a store."""

    file: str
    """The file's name in the store."""
    block: int | None
    """Which 4 MiB block of it, counted from 0; None: the whole file."""
    byte_range: tuple[int, int] | None
    """First byte and end of what is damaged, as narrow as is known."""
    reason: str

    @classmethod
    def of(cls, problem: tuple[str, int | None, int | None, int | None, str]) -> Problem:
        """From the core's numbers and words."""
        file, block, start, stop, reason = problem
        span = None if start is None or stop is None else (start, stop)
        return cls(file=file, block=block, byte_range=span, reason=reason)

    @property
    def in_shard(self) -> bool:
        """Whether the file is one of a shard, which `tokenmill.repair` remakes."""
        return re.fullmatch(r"(shard|validation)-\d{5,}\.(tokens|docs|origin|json)", self.file) is not None

    def __str__(self) -> str:
        block = "" if self.block is None else f", block {self.block}"
        span = "" if self.byte_range is None else f", bytes {self.byte_range[0]:,} to {self.byte_range[1]:,}"
        return f"{self.file}{block}{span}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What ``verify`` found. ``str(report)`` is for people."""

    path: Path
    problems: tuple[Problem, ...]
    num_tokens: int
    """Tokens of all splits."""
    num_documents: int
    """Documents of all splits."""
    num_files: int
    num_bytes: int
    """Bytes of shard data that were read and hashed."""

    @property
    def ok(self) -> bool:
        """Whether the store is sound."""
        return not self.problems

    def __str__(self) -> str:
        size = f"{self.num_tokens:,} tokens in {self.num_documents:,} documents"
        if self.ok:
            return f"{self.path}: sound; {size}, {self.num_files} files, {self.num_bytes:,} bytes checked"
        count = len(self.problems)
        lines = [f"{self.path}: {count} problem{'s' if count > 1 else ''} ({size})"]
        lines += [f"  {problem}" for problem in self.problems]
        return "\n".join(lines if self.remedy is None else [*lines, self.remedy])

    @property
    def remedy(self) -> str | None:
        """What mends it; None: no shard is damaged."""
        if not any(problem.in_shard for problem in self.problems):
            return None
        return f"remake the damaged shards from their inputs: tokenmill repair {shlex.quote(str(self.path))}"


def verify(
    path: str | os.PathLike[str],
    *,
    content_hash: str | None = None,
    progress: ProgressCallback | None = None,
) -> Report:
    """Check every byte of the store at ``path``, which may be too damaged to open.

    ``progress(stage, unit, done, total)`` is called some ten times a second. Damage is reported, never
    raised. ``content_hash``: only what makes up the store that had it (one of its splits) before documents
    were appended is checked; see `TokenStore.open`.

    OSError: there is no folder at ``path``. StoreError: the store never had the content hash.
    """
    tokens, documents, files, size, problems = _core.verify_store(
        Path(path), _checked_hash(content_hash), progress
    )
    return Report(
        path=Path(path),
        num_tokens=tokens,
        num_documents=documents,
        num_files=files,
        num_bytes=size,
        problems=tuple(map(Problem.of, problems)),
    )


def _checked_hash(content_hash: str | None) -> str | None:
    if content_hash is not None and not re.fullmatch("[0-9a-f]{64}", content_hash):
        raise ValueError(f"content_hash is {content_hash!r}; it has 64 digits from 0 to f")
    return content_hash


class TokenStore:
    """An open token store: a sequence of token ids, divided into documents.

    Made by `tokenmill.prepare`, opened by `TokenStore.open`. These are the documents to train on; those kept
    for validation are another ``TokenStore``, ``store.validation``. Opening reads the manifest and the sizes
    of the files, no token; a file is mapped when something in it is first asked for. Pickling and forking are
    cheap: the pages of the files are shared. Documents that are appended to it later (`tokenmill.prepare`)
    are there when it is opened anew; until then it stays what it was, in processes that it is sent to, too.
    """

    def __init__(self, core: _core.Store) -> None:
        self._handle: _core.Store | None = core
        self._name = Path(core.path)

    @property
    def _core(self) -> _core.Store:
        if self._handle is None:
            raise ValueError(f"{self._name} was closed; open it again with TokenStore.open")
        return self._handle

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], split: Split = "train", *, content_hash: str | None = None
    ) -> TokenStore:
        """Open a split of the store at ``path``.

        ``content_hash``: as it was when the split had this `content_hash`, whatever has been appended since;
        its ``validation`` and its ``manifest`` are those of then. ``manifest["history"]`` has the hashes
        before each append. Of several times with the same hash (an append may bring a split nothing) it is
        the last.

        OSError: there is none. StoreError: its manifest is damaged, a file has the wrong size, the store was
        prepared without the split, or never had this content hash.

        >>> import tempfile
        >>> import tokenmill as tm
        >>> cat, dog = (tm.Documents.from_texts([text]) for text in ("a cat", "a dog"))
        >>> tok = tm.train_word(tm.Documents.from_texts(["a cat", "a dog"]), split="whitespace")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     before = tm.prepare(cat, tokenizer=tok, out=f"{folder}/s.tm")
        ...     after = tm.prepare(dog, tokenizer=tok, out=f"{folder}/s.tm", append=True)
        ...     again = tm.TokenStore.open(f"{folder}/s.tm", content_hash=before.content_hash)
        ...     again.num_documents, after.num_documents
        (1, 2)
        """
        if split not in ("train", "validation"):
            raise ValueError(f"split is {split!r}; it is 'train' or 'validation'")
        content_hash = _checked_hash(content_hash)
        was = None if content_hash is None else (content_hash, None)
        return cls(_core.Store.open(Path(path), split == "validation", was))

    @classmethod
    def _open_as_it_was(cls, path: Path, split: Split, content_hash: str, num_inputs: int) -> TokenStore:
        return cls(_core.Store.open(path, split == "validation", (content_hash, num_inputs)))

    def __reduce__(self) -> tuple[Callable[..., TokenStore], tuple[Path, Split, str, int]]:
        return TokenStore._open_as_it_was, (self.path, self.split, self.content_hash, self._core.num_inputs)

    def close(self) -> None:
        """Let go of the files; whatever is asked of the store afterwards is a ValueError.

        A loader or a mixture made of it goes on: it has a hold of its own. Also at the end of a ``with``.
        """
        self._handle = None
        if (validation := self.__dict__.pop("validation", None)) is not None:
            validation.close()

    def __enter__(self) -> TokenStore:
        """The store itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Closes it."""
        self.close()

    def __repr__(self) -> str:
        if self._handle is None:
            return f"TokenStore({str(self._name)!r}: closed)"
        size = f"{self.num_tokens:,} tokens, {self.num_documents:,} documents"
        split = "" if self.split == "train" else f"{self.split} split, "
        return f"TokenStore({str(self.path)!r}: {split}{size}, {self.dtype})"

    @property
    def path(self) -> Path:
        """The store's folder."""
        return Path(self._core.path)

    @property
    def split(self) -> Split:
        """Which documents of the store these are: "train" or "validation"."""
        return self._core.split

    @cached_property
    def validation(self) -> TokenStore | None:
        """The documents that ``prepare(..., val_fraction=...)`` kept from training; None where it kept none.

        >>> import tempfile
        >>> import tokenmill as tm
        >>> docs = tm.Documents.from_texts([f"document {i}" for i in range(100)])
        >>> tok = tm.train_word(docs, split="whitespace")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = tm.prepare(docs, tokenizer=tok, out=f"{folder}/s.tm", add_eos=False, val_fraction=0.1)
        ...     store.num_documents, store.validation.num_documents
        (95, 5)
        """
        table = self.manifest.get("validation")
        if self.split == "validation" or table is None:
            return None
        return TokenStore._open_as_it_was(
            self.path, "validation", table["content_hash"], self._core.num_inputs
        )

    @property
    def num_tokens(self) -> int:
        """Tokens in all; also ``len(store)``."""
        return self._core.num_tokens

    @property
    def num_documents(self) -> int:
        """Documents in all, empty ones among them."""
        return self._core.num_documents

    @property
    def vocab_size(self) -> int:
        """Every id is below this."""
        return self._core.vocab_size

    @property
    def dtype(self) -> np.dtype[np.uint16] | np.dtype[np.uint32]:
        """uint16 for vocabularies of up to 65,536 ids, else uint32."""
        import numpy as np

        return np.dtype(np.uint16) if self._core.dtype == "uint16" else np.dtype(np.uint32)

    @property
    def content_hash(self) -> str:
        """SHA-256 of the split's content: equal for stores of the same ids, documents and tokenizer."""
        return self._core.content_hash

    @property
    def manifest(self) -> dict[str, Any]:
        """A copy of what manifest.json says, of both splits."""
        manifest: dict[str, Any] = json.loads(self._core.manifest_json())
        return manifest

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made the ids, from the store's own copy."""
        from tokenmill.tokenizer import Tokenizer

        return Tokenizer.load(self._core.tokenizer_path)

    # manifest.json and prepare.json list every input, a million perhaps: not parsed again for every token.

    @cached_property
    def _markers(self) -> tuple[bool, bool]:
        """Whether documents have a BOS, and an EOS."""
        manifest = self.manifest
        return manifest["bos"] is not None, manifest["eos"] is not None

    @cached_property
    def _prepared(self) -> tuple[str, dict[str, Any] | None]:
        """What special tokens in texts were, and how files were read; None: there were no files."""
        plan = json.loads((self.path / "prepare.json").read_text(encoding="utf-8"))
        return plan["specials"], plan.get("reading")

    def __len__(self) -> int:
        return self.num_tokens

    @overload
    def __getitem__(self, index: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Ids: ...
    def __getitem__(self, index: SupportsIndex | slice) -> int | Ids:
        """``store[a:b]``: a new array of the store's dtype, shape ``(b - a,)``. ``store[i]``: an int."""
        if isinstance(index, slice):
            start, stop, step = index.indices(self.num_tokens)
            if step != 1:
                raise ValueError(
                    f"a token store is sliced in steps of 1, not {step}; use store[a:b][::{step}]"
                )
            return self._core.slice(start, max(start, stop))
        at = self._checked(index.__index__(), self.num_tokens, "token")
        return int(self._core.slice(at, at + 1)[0])

    def document(self, index: SupportsIndex) -> Ids:
        """Return the ids of document ``index``, BOS and EOS included; negative numbers count from the end."""
        start, stop = self._core.document_range(
            self._checked(index.__index__(), self.num_documents, "document")
        )
        return self._core.slice(start, stop)

    def origin(self, token_index: SupportsIndex) -> Origin:
        """Trace the token at ``token_index`` to its input, record and byte.

        Decodes the tokens of the document before it: the time is proportional to their number.
        """
        token = self._checked(token_index.__index__(), self.num_tokens, "token")
        document = self._core.document_at(token)
        name, unit, position = self._core.origin(document)
        start, _ = self._core.document_range(document)
        before = self._core.slice(start, token)
        if len(before) and self._markers[0]:
            before = before[1:]
        byte = len(self.tokenizer.decode_bytes(before.tolist()))
        return Origin(input=name, document=document, position=position, unit=unit, byte=byte)

    def where(self, token_index: SupportsIndex, *, context: int = 60) -> Place:
        """Trace the token at ``token_index`` to its file and byte, with ``context`` characters around it.

        The text is read from the input, from the token's document alone, and encoded again: it is the text
        that the ids were made of. Where the input is gone, has changed or was no file, the ids are decoded
        instead, and ``reason`` says why. The time is that of the document, not of the store; in a compressed
        file all before the document has to be decompressed.

        >>> import tempfile
        >>> from pathlib import Path
        >>> import tokenmill as tm
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "pets.txt"
        ...     _ = path.write_text("a cat, a dog")
        ...     tok = tm.train_word(path, split="whitespace")
        ...     store = tm.prepare(path, tokenizer=tok, out=f"{folder}/pets.tm", add_eos=False)
        ...     place = store.where(1)
        >>> place.before, place.text, place.after, place.file_byte, place.read_from
        ('a ', 'cat,', ' a dog', 2, 'input')
        """
        from tokenmill.place import place_of

        token = self._checked(token_index.__index__(), self.num_tokens, "token")
        if context < 0:
            raise ValueError(f"context is {context}; it is a number of characters, at least 0")
        return place_of(self, token, context)

    def verify(self, progress: ProgressCallback | None = None) -> Report:
        """Check every byte of the store on disk, all splits: see `verify`."""
        return verify(self.path, progress=progress)

    def _checked(self, index: int, count: int, what: str) -> int:
        if not -count <= index < count:
            raise IndexError(f"{what} {index} is not one of the store's {count}")
        return index % count
