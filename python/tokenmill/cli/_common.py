"""What several verbs need: shared options, input, output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from tokenmill import Documents, Tokenizer

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass
class Note:
    """What the last line says after Ctrl-C; a verb that writes files says what became of them."""

    kept: str = "nothing was written"


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")


class Memory(click.ParamType):  # type: ignore[type-arg]
    """Bytes, with a unit if that is shorter."""

    name = "BYTES|500MB|2GB"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The bytes that a text names.

        >>> Memory().convert("200MB", None, None), Memory().convert("1.5GB", None, None)
        (200000000, 1500000000)
        """
        if isinstance(value, int):
            return value
        number = str(value).strip().upper()
        factor = 1
        for unit, bytes_each in (("KB", 10**3), ("MB", 10**6), ("GB", 10**9), ("TB", 10**12)):
            if number.endswith(unit):
                number, factor = number[: -len(unit)], bytes_each
        try:
            return int(float(number) * factor)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a size like 500MB or 2GB", param, ctx)


memory_option = click.option(
    "--max-memory",
    type=Memory(),
    help="Memory to count with, about; what exceeds it is sorted on disk.",
)


def stacked(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several decorators as one, the first outermost (and so first in --help)."""

    def apply(function: Command) -> Command:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


document_options = stacked(
    click.option(
        "--format",
        "file_format",
        type=click.Choice(["text", "jsonl"]),
        help="What the files hold. Default: by their names.",
    ),
    click.option(
        "--text-field",
        metavar="KEY",
        help="JSON Lines: the key of the text, dotted if nested. Default: text.",
    ),
    click.option(
        "--separator",
        metavar="TEXT",
        help=r"Text files: what ends a document, \n or \t in it allowed. Default: a file is one document.",
    ),
)

tokenizer_option = stacked(
    click.option(
        "-t",
        "--tokenizer",
        "tokenizer_path",
        metavar="TOKENIZER",
        required=True,
        help="A tokenizer.json, a .tiktoken file, or a folder with GPT-2's vocab.json and merges.txt.",
    ),
    click.option(
        "--pattern",
        metavar="NAME|REGEX",
        help="How a .tiktoken file splits text, which it does not say: gpt2, gpt4, gpt4o or a regex.",
    ),
)


def given(**options: Any) -> dict[str, Any]:
    """The options that were given: the library knows its own defaults."""
    return {name: value for name, value in options.items() if value is not None and value != ()}


def open_documents(
    data: Iterable[str], *, file_format: str | None, text_field: str | None, separator: str | None
) -> Documents:
    """The documents that DATA and the document options describe."""
    from tokenmill import Documents

    if separator is not None:
        separator = unescaped(separator)
    options = given(format=file_format, text_field=text_field, separator=separator)
    return Documents.from_files(list(data), **options)


def unescaped(text: str) -> str:
    r"""Reads the escapes that are awkward to type in a shell: ``\n``, ``\t``, ``\r``, ``\0``, ``\\``.

    >>> unescaped(r"\n---\n")
    '\n---\n'
    """
    meaning = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\"}
    parts = iter(text)
    out = []
    for char in parts:
        if char == "\\":
            escape = next(parts, "")
            if escape not in meaning:
                raise click.BadParameter(
                    f"unknown escape \\{escape} in {text!r}; known: \\n \\t \\r \\0 \\\\"
                )
            char = meaning[escape]
        out.append(char)
    return "".join(out)


def load_tokenizer(path: str, pattern: str | None) -> Tokenizer:
    """The tokenizer that the tokenizer options describe."""
    from tokenmill import Tokenizer

    return Tokenizer.load(path, **given(pattern=pattern))


def print_json(result: Mapping[str, Any]) -> None:
    """One JSON object on one line."""
    click.echo(json.dumps(result, ensure_ascii=False))


def print_rows(rows: Iterable[tuple[str, object]]) -> None:
    """Names and values in two columns; integers with thousands separators.

    >>> print_rows([("tokens", 5145), ("dtype", "uint16")])
    tokens  5,145
    dtype   uint16
    """
    shown = [(name, f"{value:,}" if isinstance(value, int) else str(value)) for name, value in rows]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        click.echo(f"{name:<{width}}  {value}")


def human_bytes(count: int) -> str:
    """A size as people read it.

    >>> human_bytes(999), human_bytes(20_479), human_bytes(110_000_000)
    ('999 B', '20.5 kB', '110.0 MB')
    """
    size, units = float(count), ["B", "kB", "MB", "GB", "TB", "PB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{count} B" if units[0] == "B" else f"{size:.1f} {units[0]}"


def token_text(tokenizer: Tokenizer, number: int) -> str:
    """What a token stands for, on one line; bytes that are no character by themselves as \\xNN."""
    token = tokenizer.id_to_token(number)
    return "(unused id)" if token is None else visible(token.decode("utf-8", "backslashreplace"))


def visible(token: str) -> str:
    r"""A token on one line: control characters as escapes, everything else as it is.

    >>> visible(" dolor"), visible("a\n\tb")
    (' dolor', 'a\\n\\tb')
    """
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in token)
