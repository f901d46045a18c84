"""Remaking the damaged shards of a token store from its inputs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenmill import _core, inputs
from tokenmill.documents import Documents
from tokenmill.store import Problem

if TYPE_CHECKING:
    from tokenmill.documents import Data
    from tokenmill.progress import ProgressCallback


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What `repair` did, or would do. ``str(result)`` is for people."""

    path: Path
    shards: tuple[str, ...]
    """Shards that were remade (with ``dry_run=True``: would be); empty where the store had no damaged one."""
    inputs: tuple[str, ...]
    """Inputs that were read for it."""
    problems: tuple[Problem, ...]
    """What was wrong with those shards."""
    remaining: tuple[Problem, ...]
    """What else is wrong with the store: files that do not belong to it."""
    dry_run: bool

    @property
    def ok(self) -> bool:
        """Whether the store is sound now (with ``dry_run=True``: whether it was)."""
        return not self.remaining and not (self.dry_run and self.shards)

    def __str__(self) -> str:
        if not self.shards:
            said = "no shard is damaged"
        else:
            what = "would be remade" if self.dry_run else "remade, each the same bytes as before the damage"
            said = f"{', '.join(self.shards)} {what}, from {', '.join(self.inputs)}"
        return "\n".join([f"{self.path}: {said}", *(f"  left: {problem}" for problem in self.remaining)])


def repair(
    path: str | os.PathLike[str],
    *,
    data: Data | None = None,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> Repair:
    """Remake the damaged and the missing shards of the store at ``path`` from the inputs it was made of.

    The store is verified, then the inputs of the damaged shards are read again, and those shards' documents
    encoded, in a folder beside the store (``path.repair``). Each shard must have the hashes that the manifest
    was written for before its files replace the damaged ones, each by one rename. Until then, and after any
    error, the store is as it was. After ``kill -9`` or a power cut it is no worse, and can be repaired again.

    Args:
        path: the store.
        data: the documents it was made of, all inputs in the same order, where they are no longer under their
            names or never were files. Paths are read as they were when the store was made. Default: the files
            that the manifest names; relative names count from the current folder.
        dry_run: tell what would be remade, make sure that the inputs are there in their size, write nothing.
        progress: called as ``progress(stage, unit, done, total)`` some ten times a second.

    Raises:
        StoreError: an input has changed (the message names it); the manifest, the tokenizer or prepare.json
            is damaged, which only a copy can replace; another process is at work on the store.
        OSError: there is no store at ``path``; an input is gone.
        ValueError: the inputs cannot be read again without ``data``, or ``data`` has another number of them.

    >>> import tempfile
    >>> import tokenmill as tm
    >>> docs = tm.Documents.from_texts(["a cat", "a dog"])
    >>> tok = tm.train_word(docs, split="whitespace")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = tm.prepare(docs, tokenizer=tok, out=f"{folder}/pets.tm", add_eos=False)
    ...     _ = (store.path / "shard-00000.tokens").write_bytes(b"?")
    ...     tm.repair(store.path, data=docs).shards, store.verify().ok
    (('shard-00000',), True)
    """
    core = _core.Repair.examine(Path(path), progress)
    names = [name for name, _ in core.inputs]
    shards, (first, end) = tuple(core.shards), core.needed
    remaining = tuple(Problem.of(problem) for problem in core.remaining)
    problems = tuple(Problem.of(problem) for problem in core.problems)
    result = Repair(
        path=Path(path),
        shards=shards,
        inputs=tuple(names[first:end]),
        problems=tuple(problem for problem in problems if problem not in remaining),
        remaining=remaining,
        dry_run=dry_run,
    )
    documents = _documents(core, names, first, end, data) if shards else Documents.from_texts([])
    if not dry_run:
        # Where no shard is damaged, this clears away what a stopped repair has left.
        core.run(documents._source(), progress)
    elif shards:
        core.check_sizes(documents._source())
    return result


def _documents(core: _core.Repair, names: list[str], first: int, end: int, data: Data | None) -> Documents:
    """The inputs that are needed."""
    reading = core.reading
    options: dict[str, Any] = {}
    if reading is not None:
        options = dict(zip(("format", "text_field", "separator"), reading, strict=True))
    if data is None:
        unnamed = next((name for name in names[first:end] if reading is None or name == "<stdin>"), None)
        if unnamed is not None:
            raise ValueError(
                f"the store was made of {unnamed}, which cannot be read again by name; "
                "pass what it was made of as data"
            )
        return _named(names[first:end], options)
    if isinstance(data, Documents):
        documents = data
    elif options:
        paths = [data] if isinstance(data, (str, os.PathLike)) else list(data)
        documents = _named(inputs.expand([os.fspath(path) for path in paths], options["format"]), options)
    else:
        documents = Documents.from_files(data)
    files = documents.named
    count = 1 if files is None else len(files)
    if count != len(names):
        raise ValueError(
            f"the store was made of {len(names)} inputs, and data has {count}; pass all of them, in order"
        )
    if files is None or count == 1:
        return documents
    return documents.part(files[first:end])


def _named(files: list[str], options: dict[str, Any]) -> Documents:
    try:
        return Documents._of_files(files, inputs.fitting(files, options))
    except FileNotFoundError as error:
        text = "an input of the store is gone; put it back, or name where the inputs are now (data=, DATA)"
        raise FileNotFoundError(error.errno, text, error.filename) from None
