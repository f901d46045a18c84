"""Where a token of a store comes from, with the text around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tokenmill import _core
from tokenmill.inputs import is_url

if TYPE_CHECKING:
    from tokenmill.store import Ids, Origin, TokenStore


@dataclass(frozen=True, kw_only=True)
class Place:
    """A token in the text that it was made of."""

    token: int
    """The token's number in the store."""
    id: int
    """Its id."""
    origin: Origin
    """Input, document, record and byte."""
    file_byte: int | None
    """Offset of the token's text in the file, uncompressed. None where it is not known: in JSON Lines, whose
    strings have escapes, and where the text was not read from the input."""
    before: str
    """The text before it in its document, as much as was asked for."""
    text: str
    """Its own text; that of a BOS or EOS that `prepare` added is empty. Parts of a character are U+FFFD."""
    after: str
    """The text behind it in its document."""
    read_from: Literal["input", "ids"]
    """"input": the text is the one in the input, and encoding it gives the document's ids. "ids": it is what
    those ids decode to, as the input cannot be read."""
    reason: str | None
    """Why it cannot; None where it was read."""


def place_of(store: TokenStore, token: int, context: int) -> Place:
    """See `TokenStore.where`. Takes the time of the document: its record is read, encoded and compared."""
    origin = store.origin(token)
    start, stop = store._core.document_range(origin.document)
    bos, eos = store._markers
    first, end = start + bos, stop - eos
    ids = store._core.slice(first, end)
    reason, file_byte = None, None
    try:
        text, is_record = input_text(store, origin, ids)
        raw = text.encode()
    except (OSError, ValueError) as error:
        reason = str(error)
        raw = store.tokenizer.decode_bytes(ids.tolist())
    at, length = origin.byte, 0
    if reason is None:
        at, length = span_in(store, text, ids, token - first, at)
        origin = replace(origin, byte=at)
        file_byte = None if is_record else origin.position + at
    elif first <= token < end:
        length = len(store.tokenizer.decode_bytes([store[token]]))
    # A character has four bytes at most.
    return Place(
        token=token,
        id=store[token],
        origin=origin,
        file_byte=file_byte,
        before=shown(raw[max(0, at - 4 * context) : at])[-context or len(raw) :],
        text=shown(raw[at : at + length]),
        after=shown(raw[at + length : at + length + 4 * context])[:context],
        read_from="ids" if reason else "input",
        reason=reason,
    )


def input_text(store: TokenStore, origin: Origin, ids: Ids) -> tuple[str, bool]:
    """The text of a document as the input has it, and whether it is the string of a record.

    Raises OSError or ValueError with the reason why the input cannot tell.
    """
    import numpy as np

    specials, reading = store._prepared
    if reading is None or origin.input == "<stdin>":
        raise ValueError(f"{origin.input} is no file")
    if origin.unit == "row" or is_url(origin.input):
        raise ValueError(f"{origin.input}: columns and URLs are not read again for one document")
    if not Path(origin.input).is_file():
        raise ValueError(f"{origin.input} is gone; a relative name counts from the current folder")
    text, is_record = _core.document_at(origin.input, origin.position, **reading)
    allowed: Any = "all" if specials == "allow" else ()
    found = store.tokenizer.encode_to_numpy(text, allowed_special=allowed)
    if not np.array_equal(found, ids):
        raise ValueError(
            f"{origin.input} has changed since the store was made of it: other text is there now"
        )
    return text, is_record


def span_in(store: TokenStore, text: str, ids: Ids, at: int, byte: int) -> tuple[int, int]:
    """Where the document's token number ``at`` lies in the text, and how many bytes it has."""
    if not 0 <= at < len(ids):
        return (0 if at < 0 else len(text.encode())), 0
    if store.tokenizer.model == "word":
        # Words do not decode to the white space between them.
        _, spans = store.tokenizer.encode_with_offsets(text)
        return spans[at][0], spans[at][1] - spans[at][0]
    return byte, len(store.tokenizer.decode_bytes([int(ids[at])]))


def shown(text: bytes) -> str:
    """As text, whatever characters were cut."""
    return text.decode(errors="replace")
