"""`tokenmill encode`: text to token ids."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import click

from tokenmill.cli._common import Note, json_option, load_tokenizer, token_text, tokenizer_option
from tokenmill.cli._text import Text

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy as np
    import numpy.typing as npt

    from tokenmill import Tokenizer

    # The ids of a text, some of them at a time.
    Chunks: TypeAlias = Iterator[npt.NDArray[np.uint32]]

# Bytes of an id by --format.
WIDTHS = {"u16": 2, "u32": 4}


@click.command("encode")
@click.argument("text", required=False)
@tokenizer_option
@click.option(
    "--allow-special",
    metavar="TOKEN|all",
    multiple=True,
    help="Encode this special token, where the text spells it, as one id. Repeat for several.",
)
@click.option("--tokens", "show_tokens", is_flag=True, help="One line a token: its id and its text.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", *WIDTHS]),
    default="text",
    help="Decimal numbers, or 2 or 4 bytes an id, little-endian, as numpy.fromfile reads them.",
)
@json_option
@click.pass_obj
def command(
    note: Note,
    text: str | None,
    tokenizer_path: str,
    pattern: str | None,
    allow_special: tuple[str, ...],
    show_tokens: bool,
    output_format: str,
    as_json: bool,
) -> None:
    """Print the token ids of TEXT (default: stdin), separated by spaces.

    Special tokens spelled out in the text are ordinary text unless you allow them. Stdin may have any length:
    its ids are printed while it is read.

    \b
    tokenmill encode -t tokenizer.json 'Hello, world!'
    tokenmill encode -t cl100k_base.tiktoken < book.txt
    zstdcat web.txt.zst | tokenmill encode -t tokenizer.json --format u32 > ids.bin
    tokenmill encode -t tokenizer.json --allow-special all 'one<|endoftext|>two'
    """
    if output_format != "text" and (as_json or show_tokens):
        raise click.UsageError(f"--format {output_format} writes ids alone, without --tokens and --json.")
    tokenizer = load_tokenizer(tokenizer_path, pattern)
    chunks = noted(Text(text).encoded(tokenizer, allow_special), note)
    if output_format != "text":
        write_numbers(chunks, tokenizer, WIDTHS[output_format])
    elif as_json:
        print_object(chunks, tokenizer if show_tokens else None)
    elif show_tokens:
        lines = Spelled(lambda number: f"{number:>8}  {token_text(tokenizer, number)}\n")
        for ids in chunks:
            sys.stdout.write(lines.join("", ids))
    else:
        print_line(chunks)


class Spelled(dict[int, str]):
    """What is printed for each id: a text has few different ones, and looking up is faster than making."""

    def __init__(self, spell: Callable[[int], str]) -> None:
        super().__init__()
        self.spell = spell

    def __missing__(self, number: int) -> str:
        """An id that comes for the first time."""
        self[number] = self.spell(number)
        return self[number]

    def join(self, separator: str, ids: npt.NDArray[np.uint32]) -> str:
        """All of them as one text."""
        return separator.join(map(self.__getitem__, ids.tolist()))


def noted(chunks: Chunks, note: Note) -> Chunks:
    """The chunks; once one has been printed, the last line after Ctrl-C says so."""
    for ids in chunks:
        yield ids
        sys.stdout.flush()
        note.kept = "what was printed is the beginning"


def print_line(chunks: Chunks) -> None:
    """Prints the ids on one line."""
    numbers, before = Spelled(str), ""
    for ids in chunks:
        sys.stdout.write(before + numbers.join(" ", ids))
        before = " "
    sys.stdout.write("\n")


def write_numbers(chunks: Chunks, tokenizer: Tokenizer, width: int) -> None:
    """Writes `width` bytes an id."""
    if tokenizer.vocab_size > 1 << 8 * width:
        raise click.UsageError(
            f"--format u{8 * width} holds ids up to {(1 << 8 * width) - 1:,}, and this tokenizer's go up to "
            f"{tokenizer.vocab_size - 1:,}; use u32."
        )
    for ids in chunks:
        sys.stdout.buffer.write(ids.astype(f"<u{width}", copy=False).data)


def print_object(chunks: Chunks, tokenizer: Tokenizer | None) -> None:
    """Prints a JSON object of the ids and, given a tokenizer, the tokens, which wait in a file meanwhile."""
    numbers, before = Spelled(str), ""
    with TemporaryFile("w+", encoding="utf-8", newline="") as tokens:
        if tokenizer is not None:
            texts = Spelled(lambda number: json.dumps(token_text(tokenizer, number), ensure_ascii=False))
        for ids in chunks:
            sys.stdout.write((before or '{"ids": [') + numbers.join(", ", ids))
            if tokenizer is not None:
                tokens.write(before + texts.join(", ", ids))
            before = ", "
        sys.stdout.write("]" if before else '{"ids": []')
        if tokenizer is not None:
            tokens.seek(0)
            sys.stdout.write(', "tokens": [')
            copyfileobj(tokens, sys.stdout)
            sys.stdout.write("]")
        sys.stdout.write("}\n")
