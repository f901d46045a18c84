"""Documents through a tokenizer into a token store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tokenmill import _core, special_tokens
from tokenmill.store import TokenStore

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from tokenmill.documents import Documents
    from tokenmill.tokenizer import Tokenizer


def prepare(
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Documents,
    *,
    tokenizer: Tokenizer,
    out: str | os.PathLike[str],
    add_bos: bool = False,
    add_eos: bool = True,
    bos_token: str | None = None,
    eos_token: str | None = None,
    shard_tokens: int = _core.DEFAULT_SHARD_TOKENS,
    progress: Callable[[str, str, int, int | None], object] | None = None,
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
        shard_tokens: a new shard begins at the first document after this many tokens.
        progress: called as ``progress(stage, unit, done, total)`` some ten times a second.

    Raises:
        ValueError: the tokenizer has no such BOS or EOS token.
        DocumentError: a document cannot be read; the message names file, line and byte.
        StoreError: there is something at ``out`` already.
    """
    bos = _marker(tokenizer, "bos", add=add_bos, token=bos_token)
    eos = _marker(tokenizer, "eos", add=add_eos, token=eos_token)
    if shard_tokens < 1:
        raise ValueError(f"shard_tokens is {shard_tokens}; a shard needs at least 1 token")
    from tokenmill.documents import Documents

    documents = data if isinstance(data, Documents) else Documents.from_files(data)
    _core.prepare(documents._source(), tokenizer._core, Path(out), bos, eos, shard_tokens, progress)
    return TokenStore.open(out)


def _marker(
    tokenizer: Tokenizer, role: special_tokens.MarkerRole, *, add: bool, token: str | None
) -> int | None:
    if not add:
        if token is not None:
            raise ValueError(f"{role}_token={token!r} without add_{role}=True would have no effect")
        return None
    return special_tokens.require(tokenizer.special_tokens, role, token)
