"""Documents through a tokenizer into a token store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tokenmill import _core, special_tokens
from tokenmill.documents import Documents
from tokenmill.store import TokenStore

if TYPE_CHECKING:
    from tokenmill.documents import Data
    from tokenmill.progress import ProgressCallback
    from tokenmill.tokenizer import Tokenizer


def prepare(
    data: Data,
    *,
    tokenizer: Tokenizer,
    out: str | os.PathLike[str],
    add_bos: bool = False,
    add_eos: bool = True,
    bos_token: str | None = None,
    eos_token: str | None = None,
    val_fraction: float = 0.0,
    specials: Literal["text", "error", "allow"] = "text",
    dedup: Literal["exact"] | None = None,
    on_error: Literal["raise", "skip", "quarantine"] = "raise",
    quarantine: str | os.PathLike[str] | None = None,
    shard_tokens: int = _core.DEFAULT_SHARD_TOKENS,
    workers: int | None = None,
    task: tuple[int, int] | None = None,
    append: bool = False,
    resume: bool = False,
    progress: ProgressCallback | None = None,
) -> TokenStore:
    """Encode every document of ``data`` and write the ids to a new token store at ``out``.

    Special-looking text in a document is ordinary text unless ``specials`` says otherwise. Empty documents
    are kept and counted. With ``append=True`` they go behind those of a store that is there.
    ``store.manifest["summary"]`` says what became of the documents: ``text_bytes``
    (UTF-8 bytes of those in the store), ``rejected``, ``duplicates``, ``special_text`` (how often they spell
    a special token).

    Documents may have any size: from 16 MiB on, those of files and standard input are read and encoded in
    parts. Where such a document may still be left out (``on_error``, ``dedup``) or go to validation, its
    ids wait in a temporary file in ``out.partial`` until it is known to be whole. Memory grows only with a
    piece of text that the tokenizer cannot cut: a word, or white space without end. More than 1 GiB of
    that is an error, as is a document of that size where the tokenizer's pattern is a regular expression
    of its own.

    The store's bytes depend on the input alone, not on the number of threads. It appears at ``out`` when it
    is whole. After an error or Ctrl-C, and after ``kill -9`` or a power cut, nothing is there; shards that
    were finished by then are in ``out.partial``, and ``resume=True`` goes on to the same bytes.

    Args:
        data: a path, a glob, a list of these, or Documents.
        tokenizer: what makes the ids; a copy of it is kept in the store.
        out: the folder to create. Its parent must exist, it must not.
        add_bos: put the BOS token before every document.
        add_eos: put the EOS token after every document.
        bos_token: its spelling, where the tokenizer's own is none of the usual ones. Needs ``add_bos=True``.
        eos_token: likewise. Needs ``add_eos=True``.
        val_fraction: about this share of the documents goes into the store's validation split
            (``store.validation``) and not into training. A document's SHA-256 decides: documents added later
            move none, and copies of one text are on the same side.
        specials: what a special token spelled in a document is: "text" (nobody can inject one), "error" (the
            document is rejected), or "allow" (the token).
        dedup: "exact" keeps the first of the documents that have the same text. Takes about 40 bytes of
            memory a document, of those kept; where tasks prepare the store, `seal` takes that too.
        on_error: what becomes of a record that holds no document (not UTF-8, not JSON, without its field):
            "raise" ends the work at the first, "skip" leaves it out, "quarantine" also writes it to a file.
            Damaged compressed data, a row that is null, and text that the tokenizer has no token for are
            always errors.
        quarantine: that file: a line of JSON for each record, with ``input``, ``line``, ``byte``, ``reason``,
            and ``record`` (``record_hex`` where it is not UTF-8; of 16 MiB and more only ``record_at``, its
            first byte in the uncompressed input and the one behind its last). It appears when the store
            does, and replaces what is there.
        shard_tokens: a new shard begins at the first document after this many tokens.
        workers: threads that encode; by default as many as ``TOKENMILL_NUM_THREADS`` says, or one a
            processor. Reading, hashing and writing have a thread each besides.
        task: ``(i, n)``, from 1 on: read only share ``i`` of ``n`` of the files, for `seal` to join. All
            tasks get the same data and options; shares have whole files, in a row, of about as many bytes.
            Tasks may run at once, on machines that share a file system, in any order. What is returned is
            the task's part, a store of its files in ``out.tasks``. A task goes on where it was stopped, and
            does nothing where it is done. The file of ``quarantine`` gets ``.task-00001-of-00003`` added to
            its name; in the order of the names they are the file of one process.
        append: add the documents to the store at ``out``, as new shards behind the old ones, of which no byte
            changes; tokens and documents keep their numbers. Document by document it is then the store that
            all inputs together make. Until the last moment it opens as it was, for those who read it
            meanwhile too. Needs the same tokenizer and options as before; files that the store has already,
            by their name or (from 1 MiB on) their content, are refused. Not for stores made with ``dedup``,
            and not together with ``task``. An append that was stopped while its files were renamed is
            finished by the next one.
        resume: go on with what a stopped run has left in ``out.partial``, if anything. The inputs are read
            again and compared, which is several times as fast as encoding them.
        progress: called as ``progress(stage, unit, done, total)`` some ten times a second.

    Raises:
        ValueError: the tokenizer has no such BOS or EOS token, ``val_fraction`` is not in [0, 1), or options
            do not go together.
        DocumentError: a document cannot be read; the message names file, line and byte.
        StoreError: there is something at ``out`` already, or at ``out.partial`` and ``resume`` is False;
            another process is at work there; the run to resume, or the store to append to, had other options
            or inputs (the message names the first that differs).

    >>> import tempfile
    >>> import tokenmill as tm
    >>> docs = tm.Documents.from_texts(["a cat", "a dog"])
    >>> tok = tm.train_word(docs, split="whitespace")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = tm.prepare(docs, tokenizer=tok, out=f"{folder}/pets.tm", add_eos=False, resume=True)
    ...     more = tm.Documents.from_texts(["a dog", "a cat"])
    ...     store = tm.prepare(more, tokenizer=tok, out=store.path, add_eos=False, append=True)
    ...     [tok.decode(store.document(i).tolist()) for i in range(store.num_documents)]
    ['a cat', 'a dog', 'a dog', 'a cat']
    """
    _prepare(
        data,
        tokenizer=tokenizer,
        out=out,
        add_bos=add_bos,
        add_eos=add_eos,
        bos_token=bos_token,
        eos_token=eos_token,
        val_fraction=val_fraction,
        specials=specials,
        dedup=dedup,
        on_error=on_error,
        quarantine=quarantine,
        shard_tokens=shard_tokens,
        workers=workers,
        task=task,
        append=append,
        resume=resume,
        only_check=False,
        progress=progress,
    )
    return TokenStore.open(out if task is None else _core.task_path(Path(out), *task))


def check_append(data: Data, *, tokenizer: Tokenizer, out: str | os.PathLike[str], **options: Any) -> None:
    """Refuse what ``prepare(..., append=True)`` would before it reads a document; write nothing.

    ``options`` are those of `prepare`. Files that may be in the store already, as their sizes say, are read.

    Raises:
        ValueError, StoreError: as `prepare`.
    """
    given = {"tokenizer": tokenizer, "out": out, **options, "append": True, "only_check": True}
    _prepare(data, **{**(prepare.__kwdefaults__ or {}), **given})


def _prepare(
    data: Data,
    *,
    tokenizer: Tokenizer,
    out: str | os.PathLike[str],
    add_bos: bool,
    add_eos: bool,
    bos_token: str | None,
    eos_token: str | None,
    val_fraction: float,
    specials: str,
    dedup: str | None,
    on_error: str,
    quarantine: str | os.PathLike[str] | None,
    shard_tokens: int,
    workers: int | None,
    task: tuple[int, int] | None,
    append: bool,
    resume: bool,
    only_check: bool,
    progress: ProgressCallback | None,
) -> None:
    bos = marker(tokenizer, "bos", add=add_bos, token=bos_token)
    eos = marker(tokenizer, "eos", add=add_eos, token=eos_token)
    if shard_tokens < 1:
        raise ValueError(f"shard_tokens is {shard_tokens}; a shard needs at least 1 token")
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; at least 1 thread has to encode")
    if on_error not in ("raise", "skip", "quarantine"):
        raise ValueError(f"on_error is {on_error!r}; it is 'raise', 'skip' or 'quarantine'")
    if dedup not in (None, "exact"):
        raise ValueError(f"dedup is {dedup!r}; it is None or 'exact'")
    if (on_error == "quarantine") != (quarantine is not None):
        raise ValueError('on_error="quarantine" and the quarantine file go together: pass both or neither')
    documents = Documents.of(data)
    options = documents.options
    if task is not None and quarantine is not None:
        quarantine = f"{os.fspath(quarantine)}.task-{task[0]:05}-of-{task[1]:05}"
    _core.prepare(
        documents._source(),
        tokenizer._core,
        Path(out),
        bos,
        eos,
        shard_tokens,
        val_fraction,
        specials,
        dedup is not None,
        on_error != "raise",
        None if quarantine is None else Path(quarantine),
        (options["format"], options["text_field"], options["separator"]) if options else None,
        workers,
        task,
        append,
        resume,
        only_check,
        progress,
    )


def seal(out: str | os.PathLike[str], *, progress: ProgressCallback | None = None) -> TokenStore:
    """Join the parts of the tasks of ``prepare(..., task=(i, n))`` to the store ``out``.

    All n have to be there. The store is the one that a single process would have made, to the byte: the
    manifest, the division into shards, the hashes. The parts are checked as they are copied, and removed when
    the store is on disk; until then they take as much room again. Stopped, ``seal`` goes on when it is run
    again.

    Raises:
        StoreError: tasks are missing (the message says which, and what makes them), were given different
            options or inputs, or a part is damaged; or there is something else at ``out``.

    >>> import tempfile
    >>> import tokenmill as tm
    >>> tok = tm.train_word(tm.Documents.from_texts(["a cat", "a dog"]), split="whitespace")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, text in [("1.txt", "a cat"), ("2.txt", "a dog")]:
    ...         _ = Path(folder, name).write_text(text)
    ...     for i in (2, 1):
    ...         part = tm.prepare(
    ...             folder, tokenizer=tok, out=f"{folder}/s.tm", add_eos=False, task=(i, 2)
    ...         )
    ...     store = tm.seal(f"{folder}/s.tm")
    ...     store.num_documents, tok.decode(store.document(1).tolist())
    (2, 'a dog')
    """
    _core.seal(Path(out), progress)
    return TokenStore.open(out)


def finished_shards(out: str | os.PathLike[str]) -> int:
    """How many shards a stopped run has left beside ``out``, for ``resume=True`` to go on from."""
    partial = Path(out).with_name(Path(out).name + ".partial")
    return sum(1 for _ in partial.glob("*-[0-9]*.json"))


def is_decided(out: str | os.PathLike[str]) -> bool:
    """Whether an append to ``out`` was stopped so late that the next one will finish it."""
    return Path(out).with_name(Path(out).name + ".partial").joinpath("manifest.json").is_file()


def marker(
    tokenizer: Tokenizer, role: special_tokens.MarkerRole, *, add: bool, token: str | None
) -> int | None:
    """The id of a mark that documents get, if they get it."""
    if not add:
        if token is not None:
            raise ValueError(f"{role}_token={token!r} without add_{role}=True would have no effect")
        return None
    return special_tokens.require(tokenizer.special_tokens, role, token)
