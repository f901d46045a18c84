"""`tokenmill decode`: token ids to text."""

from __future__ import annotations

import sys

import click

from tokenmill.cli._common import json_option, load_tokenizer, print_json, tokenizer_option
from tokenmill.cli._text import Text


@click.command("decode")
@click.argument("ids", nargs=-1)
@tokenizer_option
@json_option
def command(ids: tuple[str, ...], tokenizer_path: str, pattern: str | None, as_json: bool) -> None:
    """Print the text of IDS (default: stdin), which are separated by blanks, commas or both.

    The bytes are exactly those of the tokens; only on a terminal a newline follows them.

    \b
    tokenmill decode -t tokenizer.json 15496 11 995 0
    tokenmill encode -t tokenizer.json < book.txt | tokenmill decode -t tokenizer.json
    """
    numbers = parse(" ".join(ids) if ids else Text(None).whole())
    tokenizer = load_tokenizer(tokenizer_path, pattern)
    if as_json:
        print_json({"text": tokenizer.decode(numbers), "tokens": len(numbers)})
    else:
        sys.stdout.buffer.write(tokenizer.decode_bytes(numbers))
        if sys.stdout.isatty():
            click.echo()


def parse(text: str) -> list[int]:
    """Ids from text.

    >>> parse("[40, 367] 2885")
    [40, 367, 2885]
    """
    numbers = []
    for position, word in enumerate(
        text.replace(",", " ").replace("[", " ").replace("]", " ").split(), start=1
    ):
        if not (word.isascii() and word.isdigit()):
            raise click.UsageError(f"id number {position} is {word!r}; ids are whole numbers such as 15496.")
        numbers.append(int(word))
    return numbers
