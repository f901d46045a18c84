"""One text that arrives in chunks, of `str` or of bytes, on its way to the core."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tokenmill import _core

# Characters or bytes that go to the core at once: work for all threads, yet little memory.
CHUNK = 1 << 20


class Readable(Protocol):
    """A file, opened as text or as bytes, or what reads like one."""

    def read(self, size: int, /) -> str | bytes:
        """The next `size` characters or bytes at most; `""` or `b""` at the end."""


def encode_stream(stream: Any, encoder: _core.EncodeStream, errors: str) -> Iterator[npt.NDArray[np.uint32]]:
    """The ids of the whole as they become certain, where there are any; see `Tokenizer.encode_iter`."""
    chunks = grouped(parts(stream))
    first = next(chunks, "")
    pushed = (
        push_bytes(chain([first], chunks), encoder, errors)
        if isinstance(first, bytes)
        else push_texts(chain([first], chunks), encoder)
    )
    for ids in pushed:
        if len(ids):
            yield ids
    ids = encoder.finish()
    if len(ids):
        yield ids


def parts(stream: Any) -> Iterator[Any]:
    """The chunks as they come."""
    read = getattr(stream, "read", None)
    if read is None:
        yield from stream
        return
    while part := read(CHUNK):
        yield part


def grouped(parts: Iterator[Any]) -> Iterator[Any]:
    """All of one kind, in chunks of `CHUNK` characters or bytes at least, but for the last."""
    kind: type[str] | type[bytes] | None = None
    group: list[Any] = []
    size = 0
    for number, part in enumerate(parts):
        kind = kind or (bytes if isinstance(part, bytes) else str)
        if not isinstance(part, kind):
            raise TypeError(f"chunk {number} is a {type(part).__name__}, not a {kind.__name__}")
        group.append(part)
        size += len(part)
        if size >= CHUNK:
            yield kind().join(group)
            group, size = [], 0
    if kind is not None and group:
        yield kind().join(group)


def push_texts(chunks: Iterator[str], encoder: _core.EncodeStream) -> Iterator[npt.NDArray[np.uint32]]:
    """The first half of a surrogate pair waits for the second: by themselves both would become U+FFFD."""
    half = ""
    for chunk in chunks:
        text = half + chunk
        half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        yield encoder.push(text[: len(text) - len(half)])
    yield encoder.push(half)


def push_bytes(
    chunks: Iterator[bytes], encoder: _core.EncodeStream, errors: str
) -> Iterator[npt.NDArray[np.uint32]]:
    """The core takes what is UTF-8 as it is.

    The rest is for Python's decoder: a character whose end is in the next chunk waits there, and from the
    first byte on that is no UTF-8 it does what `errors` says with the chunk.
    """
    decoder = getincrementaldecoder("utf-8")(errors)
    read = 0
    for chunk in chunks:
        waiting, _ = decoder.getstate()
        decoder.reset()
        data = waiting + chunk
        read += len(chunk)
        ids, taken = encoder.push_bytes(data)
        try:
            text = decoder.decode(data[taken:])
        except UnicodeDecodeError as error:
            raise placed(error, data, taken, read) from None
        yield ids
        yield encoder.push(text)
    waiting, _ = decoder.getstate()
    try:
        text = decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise placed(error, waiting, 0, read) from None
    yield encoder.push(text)


def placed(error: UnicodeDecodeError, data: bytes, taken: int, read: int) -> UnicodeDecodeError:
    """The error, met behind the bytes `taken` of `data`, which ends where what has been `read` ends."""
    start, end = error.start + taken, error.end + taken
    place = read - len(data) + start
    reason = f"{error.reason} (byte {place:,} of the stream; errors='replace' goes on)"
    return UnicodeDecodeError(error.encoding, data, start, end, reason)
