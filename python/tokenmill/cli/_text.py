"""The text that a verb is given: an argument, or standard input, which may have any length."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from tokenmill._core import DocumentError
from tokenmill.encode_stream import CHUNK

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tokenmill import Tokenizer


class Text:
    """The TEXT argument, or where there is none stdin byte by byte (a final newline included)."""

    def __init__(self, argument: str | None) -> None:
        self.argument = argument
        self.read = 0

    def whole(self) -> str:
        """All of it."""
        try:
            return b"".join(self.chunks()).decode()
        except UnicodeDecodeError as error:
            raise self.not_utf8(error) from None

    def encoded(
        self, tokenizer: Tokenizer, allowed_special: tuple[str, ...] = ()
    ) -> Iterator[npt.NDArray[np.uint32]]:
        """Its ids while it is read, in memory that does not grow with it."""
        allowed = "all" if "all" in allowed_special else allowed_special
        try:
            yield from tokenizer.encode_iter(self.chunks(), allowed_special=allowed)
        except UnicodeDecodeError as error:
            raise self.not_utf8(error) from None

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, as many at a time as are encoded at once."""
        for chunk in self.stdin() if self.argument is None else [raw(self.argument)]:
            self.read += len(chunk)
            yield chunk

    def stdin(self) -> Iterator[bytes]:
        """What comes there until it ends; at a terminal, until the first Ctrl-D."""
        is_terminal = sys.stdin.isatty()
        if is_terminal:
            click.echo("reading stdin; end with Ctrl-D", err=True)
        while chunk := sys.stdin.buffer.read(CHUNK):
            yield chunk
            if is_terminal and len(chunk) < CHUNK:
                return
        if chunk is None:
            # It was made non-blocking: that nothing is there does not mean that nothing will come.
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), "<stdin>")

    def not_utf8(self, error: UnicodeDecodeError) -> DocumentError:
        """What to say of bytes of which those that have been read last could not be decoded."""
        name = "<stdin>" if self.argument is None else "TEXT"
        place = self.read - len(error.object) + error.start
        return DocumentError(
            f"{name}, byte {place}: the text is not valid UTF-8; convert it, for example with iconv"
        )


def raw(argument: str) -> bytes:
    """The bytes of an argument. One that is not UTF-8 reaches Python with surrogates in it."""
    return argument.encode("utf-8", "surrogateescape")
