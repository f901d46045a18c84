"""Documents through a tokenizer into a token store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tokenmill import _core, special_tokens
from tokenmill.documents import Documents
from tokenmill.store import TokenStore

if TYPE_CHECKING:
    import os

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
    shard_tokens: int = _core.DEFAULT_SHARD_TOKENS,
    progress: ProgressCallback | None = None,
) -> TokenStore:
    """Encode every document of ``data`` and write the ids to a new token store at ``out``.

    Special-looking text in a document is ordinary text, never a special token. Empty documents are kept and
    counted. The store's bytes depend on the input alone, not on the number of threads. It appears at ``out``
    when it is whole; after an error or Ctrl-C nothing is there.

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
        shard_tokens: a new shard begins at the first document after this many tokens.
        progress: called as ``progress(stage, unit, done, total)`` some ten times a second.

    Raises:
        ValueError: the tokenizer has no such BOS or EOS token, or ``val_fraction`` is not in [0, 1).
        DocumentError: a document cannot be read; the message names file, line and byte.
        StoreError: there is something at ``out`` already.
    """
    bos = _marker(tokenizer, "bos", add=add_bos, token=bos_token)
    eos = _marker(tokenizer, "eos", add=add_eos, token=eos_token)
    if shard_tokens < 1:
        raise ValueError(f"shard_tokens is {shard_tokens}; a shard needs at least 1 token")
    source = Documents.of(data)._source()
    _core.prepare(source, tokenizer._core, Path(out), bos, eos, shard_tokens, val_fraction, progress)
    return TokenStore.open(out)


def _marker(
    tokenizer: Tokenizer, role: special_tokens.MarkerRole, *, add: bool, token: str | None
) -> int | None:
    if not add:
        if token is not None:
            raise ValueError(f"{role}_token={token!r} without add_{role}=True would have no effect")
        return None
    return special_tokens.require(tokenizer.special_tokens, role, token)
