"""Files that the core does not read by itself: columns (Parquet, Arrow, Feather), datasets, and URLs.

Each becomes a link of a chain that is opened when the file before it has been read, so that a thousand files
need the memory and the disk of one. Columns are read by pyarrow (`pip install tokenmill[arrow]`), URLs by
fsspec (`pip install tokenmill[remote]`, and what it needs for the protocol: s3fs, gcsfs, aiohttp, ...).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from tokenmill import _core

TEXT = (".txt", ".jsonl", ".ndjson")
COMPRESSED = (".gz", ".zst")
COLUMNS = (".parquet", ".arrow", ".feather", ".ipc")

#: The inputs that a source will have (name, layout, bytes), and a function that opens it.
Link = tuple[list[tuple[str, str, int | None]], Callable[[], _core.Source]]


def expand(paths: Sequence[str], format: str | None) -> list[str]:
    """The files that paths, folders, patterns, datasets and URLs stand for, in order, each once.

    A folder that `datasets` has saved (`save_to_disk`) stands for its data files.
    """
    files: list[str] = []
    for kind, group in groupby(paths, kind_of):
        members = list(group)
        if kind == "url":
            files += [file for url in members for file in expand_url(url, format)]
        elif kind == "dataset":
            files += [file for folder in members for file in dataset_files(Path(folder))]
        else:
            files += [os.fsdecode(file) for file in _core.expand_paths(members, format)]
    return list(dict.fromkeys(files))


def kind_of(path: str) -> str:
    """What a path is: "url", "dataset" or "local"."""
    if is_url(path):
        return "url"
    is_dataset = any((Path(path) / name).is_file() for name in ("state.json", "dataset_dict.json"))
    return "dataset" if is_dataset else "local"


def is_url(path: str) -> bool:
    """Whether fsspec is to read it. A file that exists is a file, whatever its name."""
    return "://" in path and not Path(path).exists()


def dataset_files(folder: Path) -> list[str]:
    """The data files of a dataset of `datasets`, as its state.json lists them.

    Raises ValueError for one of several splits, of which one has to be named, and for a damaged one.
    """
    try:
        if (splits := folder / "dataset_dict.json").is_file():
            names = json.loads(splits.read_text(encoding="utf-8"))["splits"]
            raise ValueError(f"{folder} holds the splits {', '.join(names)}; name one: {folder / names[0]}")
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        files = [str(folder / file["filename"]) for file in state["_data_files"]]
        indices = state.get("_indices_data_files")
    except (json.JSONDecodeError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{folder} is no dataset as datasets.save_to_disk writes it ({error!r})") from None
    if indices:
        raise ValueError(
            f"{folder} was saved with a selection of rows beside it; save flatten_indices() of it"
        )
    return files


def expand_url(url: str, format: str | None) -> list[str]:
    """The files of a URL: itself, what a pattern matches, or what is in a folder and has a known suffix."""
    fs, path = open_url(url)
    if any(mark in path for mark in "*?["):
        found = sorted(fs.glob(path))
    elif fs.isdir(path):
        found = sorted(file for file in fs.find(path) if format is not None or has_known_suffix(file))
    else:
        found = [path]
    if not found:
        raise ValueError(f"nothing to read at {url}")
    return [str(fs.unstrip_protocol(file)) for file in found]


def open_url(url: str) -> tuple[Any, str]:
    """fsspec's file system for a URL, and the path in it."""
    try:
        url_to_fs = import_module("fsspec.core").url_to_fs
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"reading {url} needs fsspec; install it: pip install 'tokenmill[remote]'", name="fsspec"
        ) from None
    fs, path = url_to_fs(url)
    return fs, str(path)


def has_known_suffix(path: str) -> bool:
    """Whether the name tells the format.

    >>> has_known_suffix("s3://x/A.JSONL.zst"), has_known_suffix("a.arrow"), has_known_suffix("a.arrow.gz")
    (True, True, False)
    """
    return path.lower().endswith(COLUMNS) or decompressed(path).endswith(TEXT)


def decompressed(path: str) -> str:
    """The path in lower case, without the suffix of a compression."""
    name = path.lower()
    return next((name.removesuffix(suffix) for suffix in COMPRESSED if name.endswith(suffix)), name)


def is_plain_text(path: str, format: str | None) -> bool:
    """Whether a separator divides it."""
    return format == "text" or (format is None and decompressed(path).endswith(".txt"))


def has_columns(path: str, format: str | None) -> bool:
    """Whether pyarrow is to read it."""
    return format is None and path.lower().endswith(COLUMNS)


def open_source(files: Sequence[str], options: dict[str, Any]) -> _core.Source:
    """A source of all the files; those of the core's own formats on this machine are one source."""
    if all(is_plain(file, options["format"]) for file in files):
        return _core.Source.files(list(files), **options)
    if options["separator"] is not None and not any(is_plain_text(file, options["format"]) for file in files):
        raise ValueError("a separator divides plain text, and none of the files is that; leave it out")
    links: list[Link] = []
    for plain, group in groupby(files, lambda file: is_plain(file, options["format"])):
        members = list(group)
        links += [plain_link(members, options)] if plain else [link(file, options) for file in members]
    return _core.Source.chain(links)


def is_plain(file: str, format: str | None) -> bool:
    """Whether the core reads it by itself."""
    return not is_url(file) and not has_columns(file, format)


def plain_link(files: list[str], options: dict[str, Any]) -> Link:
    """Files of the core's own formats. Opened here, they are checked; they are opened anew to be read."""
    options = fitting(files, options)
    _core.Source.files(files, **options)
    sizes = [(file, "file", Path(file).stat().st_size if Path(file).is_file() else None) for file in files]
    return sizes, lambda: _core.Source.files(files, **options)


def fitting(files: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
    """The options for some of the files: without a separator where it has nothing to divide."""
    divided = any(is_plain_text(file, options["format"]) for file in files)
    return options if divided else {**options, "separator": None}


def link(file: str, options: dict[str, Any]) -> Link:
    """A file of columns, or behind a URL."""
    if is_url(file):
        fs, path = open_url(file)
        size = fs.size(path) if fs.exists(path) else None
        if size is None:
            raise FileNotFoundError(2, "No such file", file)
    else:
        fs, path, size = None, file, Path(file).stat().st_size
    if has_columns(file, options["format"]):
        return [(file, "columns", size)], lambda: columns(file, fs, path, options)
    if options["format"] is None and not has_known_suffix(file):
        raise ValueError(f'{file}: the suffix does not tell the format; pass format="text" or "jsonl"')
    fetched = Fetched(fs, path, fitting([file], options))
    return [(file, "url", size)], lambda: fetched.open(file)


class Fetched:
    """A copy of a file behind a URL, as long as it is read."""

    def __init__(self, fs: Any, path: str, options: dict[str, Any]) -> None:
        self.fs, self.path, self.options = fs, path, options

    def open(self, name: str) -> _core.Source:
        """Fetches it. The copy goes when the source goes."""
        folder = tempfile.mkdtemp(prefix="tokenmill-")
        copy = Path(folder) / PurePosixPath(self.path).name
        try:
            self.fs.get_file(self.path, str(copy))
            source = _core.Source.files([str(copy)], **self.options, names=[name])
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        source.keep(Kept(folder))
        return source


class Kept:
    """A folder that is removed with this object."""

    def __init__(self, folder: str) -> None:
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)


def columns(name: str, fs: Any, path: str, options: dict[str, Any]) -> _core.Source:
    """The text column of a file: the one named by `text_field`, else the only one of strings."""
    try:
        pa = import_module("pyarrow")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"reading {name} needs pyarrow; install it: pip install 'tokenmill[arrow]'", name="pyarrow"
        ) from None
    field = options["text_field"]
    try:
        handle = path if fs is None else fs.open(path, "rb")
        schema, batches = table_of(name, handle, field)
    except (pa.ArrowException, OSError) as error:
        raise _core.DocumentError(f"{name}: the file is damaged or of another kind ({error})") from None
    reader = pa.RecordBatchReader.from_batches(schema, checked(name, batches))
    return _core.Source.arrow(reader, None if field == "text" else field, name)


def table_of(name: str, handle: Any, field: str) -> tuple[Any, Iterator[Any]]:
    """The schema of a file's wanted columns, and its batches one by one."""
    pa = import_module("pyarrow")
    if name.lower().endswith(".parquet"):
        file = import_module("pyarrow.parquet").ParquetFile(handle)
        schema = file.schema_arrow
        wanted = [field] if field in schema.names else schema.names
        # A batch of rows at a time: a group of rows may be larger than memory.
        return pa.schema([schema.field(column) for column in wanted]), file.iter_batches(1024, columns=wanted)
    source = pa.OSFile(handle) if isinstance(handle, str) else pa.PythonFile(handle, mode="r")
    magic = source.read(6)
    source.seek(0)
    if magic == b"ARROW1":
        opened = pa.ipc.open_file(source)
        return opened.schema, (opened.get_batch(i) for i in range(opened.num_record_batches))
    stream = pa.ipc.open_stream(source)
    return stream.schema, iter(stream)


def checked(name: str, batches: Iterator[Any]) -> Iterator[Any]:
    """The batches; an error of reading names the file."""
    pa = import_module("pyarrow")
    try:
        yield from batches
    except (pa.ArrowException, OSError) as error:
        raise _core.DocumentError(f"{name}: the file is damaged ({error})") from None
