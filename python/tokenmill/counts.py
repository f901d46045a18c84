"""Counts of the pieces of a corpus: what training a BPE tokenizer needs to know of it, in a file of its own.

Counting reads all the text and takes most of the time; training from counts takes seconds. Counts of several
corpora can be made on several machines, added up, and weighed anew without reading a text again.

>>> import tempfile, tokenmill as tm
>>> folder = Path(tempfile.mkdtemp())
>>> web = tm.count_words(tm.Documents.from_texts(["low low lower"]), folder / "web.tmc", source="web")
>>> code = tm.count_words(tm.Documents.from_texts(["low = lower"]), folder / "code.tmc", source="code")
>>> both = tm.Counts.open([folder / "web.tmc", folder / "code.tmc"], weights={"code": 3})
>>> both.sources, both.totals()
(('web', 'code'), CountTotals(pieces=4, occurrences={'web': 3, 'code': 3}))
>>> tok = tm.train_bpe(both, vocab_size=259, special_tokens=[])
>>> [tok.id_to_token(i) for i in range(256, 259)]
[b'lo', b'low', b' low']
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tokenmill import _core
from tokenmill.documents import Documents
from tokenmill.whole import write_whole

if TYPE_CHECKING:
    from tokenmill.documents import Data, Paths
    from tokenmill.progress import ProgressCallback

#: The name of a source that was given none.
DEFAULT_SOURCE = "all"

# What reading and cutting text takes besides the counts: blocks on their way, a table for each thread.
_OTHER_MEMORY = 100 << 20
# With less the counts would be on disk all the time.
LEAST_MEMORY = 150 << 20
# Bytes of files that a part of a checkpoint covers: some seconds of work, and few parts of a large corpus.
PART_BYTES = 2 << 30


@dataclass(frozen=True)
class CountTotals:
    """How much was counted: distinct pieces, and pieces in all by source."""

    pieces: int
    occurrences: dict[str, int]


class Counts:
    """Counts of pieces, in one or several files; `Counts.open` reads them, `count_words` makes them.

    A source of one name in several files is one source. All must have been cut by one pattern.
    """

    def __init__(self, core: _core.Counts, paths: list[str], weights: dict[str, int]) -> None:
        self._core = core
        self.paths = tuple(paths)
        self.weights = weights

    @classmethod
    def open(cls, paths: Paths, *, weights: Mapping[str, int] | None = None) -> Counts:
        """Counts from files.

        Args:
            paths: one path or several.
            weights: how often what was seen once in a source counts (1): integers; 0 leaves the source out.

        Raises:
            OSError: a file cannot be read.
            FormatError: a file does not hold counts.
            ValueError: files that do not belong together, or a weight for a source that is not there.
        """
        named = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
        files = [os.fspath(path) for path in named]
        chosen = dict(weights or {})
        for source, weight in chosen.items():
            if not isinstance(weight, int) or isinstance(weight, bool) or not 0 <= weight < 1 << 64:
                raise ValueError(f"the weight {weight!r} of {source!r} is no integer from 0 to 2^64 - 1")
        return cls(_core.Counts.open(files, list(chosen.items())), files, chosen)

    @property
    def pattern(self) -> str:
        """What the pieces were cut by: the name of a pattern or a regular expression."""
        return self._core.pattern

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources."""
        return tuple(self._core.sources)

    def totals(self) -> CountTotals:
        """Reads all files, and checks them."""
        pieces, occurrences = self._core.totals()
        return CountTotals(pieces, dict(zip(self.sources, occurrences, strict=True)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes all into one file, source by source; weights are not applied."""
        self._core.save(os.fspath(path))

    def __repr__(self) -> str:
        return f"Counts({len(self.paths)} files, sources={list(self.sources)!r}, pattern={self.pattern!r})"


def count_words(
    data: Data,
    out: str | os.PathLike[str],
    *,
    pattern: str = "gpt4",
    source: str = DEFAULT_SOURCE,
    max_memory: int | None = None,
    progress: ProgressCallback | None = None,
) -> Counts:
    """Count the pieces of documents into a file.

    Args:
        data: paths (a path, a glob, a list of these) or `Documents`.
        out: the file; written whole or not at all. `.tmc` by custom.
        pattern: as for `train_bpe`.
        source: a name for what is counted, so that it can be weighed later.
        max_memory: as for `train_bpe`.
        progress: called as `progress(stage, unit, done, total)` a few times a second.

    Raises:
        ValueError: an argument cannot be right.
        DocumentError: a document cannot be read; the message names file, line and byte.
    """
    path = os.fspath(out)
    _core.count_pieces(
        Documents.of(data)._source(),
        path,
        pattern=pattern,
        name=source,
        max_bytes=budget(max_memory),
        folder=tempfile.gettempdir(),
        progress=progress,
    )
    return Counts.open(path)


def budget(max_memory: int | None) -> int | None:
    """How many bytes of counts may lie in memory: to sort them takes as much again."""
    if max_memory is None:
        return None
    if max_memory < LEAST_MEMORY:
        raise ValueError(
            f"max_memory={max_memory} is less than {LEAST_MEMORY}, about what reading text takes"
        )
    return (max_memory - _OTHER_MEMORY) // 2


def count_in_parts(
    documents: Documents,
    folder: Path,
    *,
    pattern: str,
    max_memory: int | None,
    progress: ProgressCallback | None,
) -> Counts:
    """Counts files part by part into a folder; parts that are there are not counted again.

    Raises:
        ValueError: the folder is of another corpus or other arguments, or the documents are no files.
    """
    files = documents.files
    if files is None:
        raise ValueError(f"a checkpoint needs files that can be read again, and there are {documents!r}")
    parts = list(_parts(files))
    plan = {
        "version": 1,
        "pattern": pattern,
        "documents": documents.options,
        "files": [_state(file) for file in files],
        "parts": [len(part) for part in parts],
    }
    folder.mkdir(parents=True, exist_ok=True)
    _check_plan(folder / "plan.json", json.loads(json.dumps(plan)))
    paths = []
    for number, part in enumerate(parts):
        path = folder / f"part-{number:05}.tmc"
        paths.append(path)
        if not path.exists():
            count_words(documents.part(part), path, pattern=pattern, max_memory=max_memory, progress=progress)
    return Counts.open(paths)


def _state(file: str) -> list[object]:
    """What tells whether a file is still the same, without reading it."""
    status = Path(file).stat()
    return [file, status.st_size, status.st_mtime_ns]


def _check_plan(path: Path, plan: dict[str, object]) -> None:
    """Writes the plan, or compares it with the one that is there."""
    if not path.exists():
        write_whole(path, json.dumps(plan))
        return
    known = json.loads(path.read_text(encoding="utf-8"))
    if known != plan:
        differ = ", ".join(key for key in plan if known.get(key) != plan[key])
        raise ValueError(
            f"{path.parent} is the checkpoint of another training: other {differ}; "
            "choose another folder, or delete this one to count anew"
        )


def _parts(files: list[str]) -> Iterator[list[str]]:
    """Consecutive files of `PART_BYTES` together, or one that is larger."""
    part: list[str] = []
    size = 0
    for file in files:
        part.append(file)
        size += Path(file).stat().st_size
        if size >= PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
