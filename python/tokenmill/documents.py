"""Documents: an ordered stream of texts, each with its origin."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from tokenmill import _core, inputs

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class Document(NamedTuple):
    """One text and where it comes from."""

    text: str
    """The text."""
    input: str
    """The file as it was named, or `<stdin>`, `<texts>`, `<arrow>`."""
    position: int
    """Byte offset of the record in the (decompressed) file, or the 0-based row."""


class Documents:
    """An ordered stream of texts, made by `from_files`, `from_texts` or `from_arrow`.

    Iterating yields a `Document` each. It can be iterated again where its data can: files, lists and
    tables, but not a generator or standard input.

    >>> for document in Documents.from_texts(["Hello", "world"]):
    ...     print(document.position, document.text)
    0 Hello
    1 world
    """

    def __init__(self, open_source: Callable[[], _core.Source], *, description: str, once: bool) -> None:
        self._open = open_source
        self._description = description
        self._once = once
        self._used = False
        #: The files and URLs by name; None: there are none.
        self.named: list[str] | None = None
        #: The files, where there are files that can be read again,
        self.files: list[str] | None = None
        #: and how they are read.
        self.options: dict[str, Any] = {}

    @classmethod
    def from_files(
        cls,
        paths: Paths,
        *,
        format: Literal["text", "jsonl"] | None = None,
        text_field: str = "text",
        separator: str | None = None,
    ) -> Documents:
        """Documents from files, folders (at any depth), glob patterns and URLs; "-" is standard input.

        In a pattern `**` crosses folders. A folder that `datasets` has saved is read as that dataset. URLs
        (s3, gs, https, ... of fsspec) may be files, folders or patterns; a text file is fetched to a
        temporary folder when its turn comes, columns are read where they are.
        Files are read in the order of `paths`, those of one folder or pattern sorted; a path named twice is
        read once.

        Args:
            paths: One path or a sequence of them.
            format: By default the suffix tells: `.txt` is text; `.jsonl` and `.ndjson` are JSON Lines, one
                object a line; each also with `.gz` or `.zst`; `.parquet`, `.arrow`, `.feather` and `.ipc` are
                columns (extra `arrow`). An explicit format is used for all files whatever their suffix.
            text_field: JSON Lines: the key of the text, or a dotted path of keys ("document.text"). Columns:
                the column; without one called "text", the only one of strings.
            separator: Text: what ends a document; by default a file is one document.

        Raises:
            OSError: A path does not exist or cannot be read.
            ValueError: An unknown suffix, a folder or pattern without files.
            ModuleNotFoundError: What reads columns or URLs is not installed.
            DocumentError: While iterating: bad UTF-8 or JSON, a missing field, damaged compressed data.
        """
        named = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
        files = inputs.expand([os.fspath(path) for path in named], format)
        return cls._of_files(files, {"format": format, "text_field": text_field, "separator": separator})

    @classmethod
    def _of_files(cls, files: list[str], options: dict[str, Any]) -> Documents:
        def open_source() -> _core.Source:
            return inputs.open_source(files, options)

        open_source()  # Opens nothing for reading: it checks files and options here rather than at first use.
        once = "-" in files
        documents = cls(
            open_source, description=files[0] if len(files) == 1 else f"{len(files)} files", once=once
        )
        fixed = not once and not any(map(inputs.is_url, files))
        documents.named = files
        documents.files, documents.options = files if fixed else None, options
        return documents

    def part(self, files: list[str]) -> Documents:
        """The documents of some of the files."""
        return self._of_files(files, inputs.fitting(files, self.options))

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> Documents:
        """Documents from any iterable of strings; halves of surrogate pairs become U+FFFD.

        Raises:
            TypeError: `texts` is one string, not iterable, or (while iterating) an item is not a string.
        """
        if isinstance(texts, str):
            raise TypeError(
                "from_texts takes an iterable of texts, and a str iterates its characters; "
                "pass [text] for one text"
            )
        once = iter(texts) is texts
        return cls(lambda: _core.Source.texts(iter(texts)), description="texts", once=once)

    @classmethod
    def from_arrow(cls, data: Any, *, column: str | None = None) -> Documents:
        """Documents from a string column of Arrow data: pyarrow, Polars, DuckDB, datasets.

        Args:
            data: A table or stream of record batches, or an array of strings, chunked or not.
            column: The column of the text; by default "text", else the only column of strings.

        Raises:
            TypeError: No Arrow data, or the column does not hold strings.
            ValueError: No such column.
            DocumentError: While iterating: a null.
        """
        # A reader is consumed by reading; tables are not. Only readers have a method for their next batch.
        once = hasattr(data, "read_next_batch")
        first: list[_core.Source] = [_core.Source.arrow(data, column)]  # Checks the column now.

        def open_source() -> _core.Source:
            return first.pop() if first else _core.Source.arrow(data, column)

        return cls(open_source, description="Arrow data", once=once)

    @classmethod
    def of(cls, data: Data) -> Documents:
        """`data` itself if it is `Documents`, else the files it names: a string is a path, never a text."""
        return data if isinstance(data, Documents) else cls.from_files(data)

    def __iter__(self) -> Iterator[Document]:
        source = self._source()
        while (batch := source.next_batch()) is not None:
            name, texts, positions = batch
            for text, position in zip(texts, positions, strict=True):
                yield Document(text, name, position)

    def __repr__(self) -> str:
        return f"Documents({self._description})"

    def _source(self) -> _core.Source:
        """A fresh source for the core."""
        if self._once and self._used:
            raise ValueError(
                f"{self!r} can be read only once and has been; pass a list, a table or files to read again"
            )
        self._used = True
        return self._open()


#: What takes documents takes these: `Documents`, or paths that name files.
Data = Documents | Paths
