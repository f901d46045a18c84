"""`tokenmill report`: how good a tokenizer is on texts, beside others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokenmill.cli._common import (
    Note,
    document_options,
    load_tokenizer,
    open_documents,
    visible,
)
from tokenmill.cli._progress import progress
from tokenmill.whole import write_whole

if TYPE_CHECKING:
    from tokenmill import Documents, Tokenizer
    from tokenmill.report import Report, Tokens

# Changes that are shown of each source.
CHANGES = 5


@click.command("report")
@click.argument("tokenizer")
@click.argument("data", nargs=-1, required=True)
@click.option(
    "--against",
    multiple=True,
    metavar="TOKENIZER",
    help="Another tokenizer to measure alike: NAME=FILE or FILE. May be repeated.",
)
@click.option(
    "--pattern",
    metavar="NAME|REGEX",
    help="How .tiktoken files of an unknown name split text: gpt2, gpt4, gpt4o or a regex.",
)
@click.option(
    "--html", "html_path", metavar="FILE", help="Write one page with plots, which needs no other file."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@document_options
@click.pass_obj
def command(
    note: Note,
    /,
    tokenizer: str,
    data: tuple[str, ...],
    against: tuple[str, ...],
    pattern: str | None,
    html_path: str | None,
    as_json: bool,
    file_format: str | None,
    text_field: str | None,
    separator: str | None,
) -> None:
    """Measure TOKENIZER on DATA: each file, folder, glob, or - for stdin, is a source; NAME=PATH names it.

    Bytes per token, tokens per word, Rényi efficiency, how many frequent words are one token, tokens that are
    never used or cannot be reached, and what smaller vocabularies of the same merges would come to. Beside
    another tokenizer also which texts are cut differently. --json and --html say
    more.

    \b
    tokenmill report tokenizer.json en=web/ code=src/ --against cl100k_base.tiktoken --html report.html
    tokenmill report extended.json data/ --against before.json
    """
    from tokenmill.report import report_tokenizer

    if html_path is not None:
        note.kept = f"{html_path} was not written"
        check_page(html_path)
    sources: dict[str, Documents] = {}
    for item in data:
        name, path = named(item)
        if name in sources:
            raise click.UsageError(f"two sources are called {name!r}; name them apart: NAME=PATH.")
        sources[name] = open_documents(
            [path], file_format=file_format, text_field=text_field, separator=separator
        )
    others = {}
    for item in against:
        name, path = named(item)
        if name in others or name == tokenizer:
            raise click.UsageError(f"two tokenizers are called {name!r}; name them apart: NAME=FILE.")
        others[name] = load(path, pattern)
    with progress(as_json=as_json) as callback:
        result = report_tokenizer(
            load(tokenizer, pattern), sources, against=others, name=tokenizer, progress=callback
        )
    if html_path is not None:
        write_whole(html_path, result.to_html())
    if as_json:
        click.echo(result.to_json())
    else:
        show(result)
        if html_path is not None:
            click.echo(f"wrote {html_path}")


def check_page(path: str) -> None:
    """Refuses what could only fail after all the work."""
    from tokenmill.report.page import check_installed

    check_installed()
    if not Path(path).parent.is_dir():
        raise click.UsageError(f"--html {path}: there is no folder {Path(path).parent}.")


def load(path: str, pattern: str | None) -> Tokenizer:
    """A tokenizer; only .tiktoken files are told their pattern."""
    return load_tokenizer(path, pattern if path.endswith(".tiktoken") else None)


def named(item: str) -> tuple[str, str]:
    """Name and path of "NAME=PATH"; a path names itself.

    >>> named("en=web/a.txt"), named("web/a.txt"), named("web/k=v.txt")
    (('en', 'web/a.txt'), ('web/a.txt', 'web/a.txt'), ('web/k=v.txt', 'web/k=v.txt'))
    """
    name, equals, path = item.partition("=")
    is_path = not equals or not path or "/" in name or Path(item).exists()
    return (item, item) if is_path else (name, path)


def show(report: Report) -> None:
    """The report as tables."""
    rows = [
        [
            *("source", "tokenizer", "tokens", "bytes/token", "tokens/word", "tokens/char"),
            *("Rényi eff.", "1k words whole", "10k"),
        ]
    ]
    first = report.tokenizers[0]
    several = len(first.sources) > 1
    for index in range(len(first.sources) + several):
        for tokenizer in report.tokenizers:
            source = (*tokenizer.sources, tokenizer.total)[index]
            rows.append(
                [
                    source.texts.name,
                    tokenizer.name,
                    f"{source.tokens:,}",
                    decimal(source.bytes_per_token),
                    decimal(source.tokens_per_word),
                    decimal(source.tokens_per_character, 3),
                    decimal(source.renyi_efficiency, 3),
                    percent(source.words_whole_1k),
                    percent(source.words_whole_10k),
                ]
            )
    print_table(rows, left=2)
    rows = [["tokenizer", "vocabulary", "unused", "unreachable", "cut by pattern", "partial UTF-8"]]
    for tokenizer in report.tokenizers:
        rows.append(
            [
                tokenizer.name,
                f"{tokenizer.vocab_size:,}",
                count(tokenizer.unused),
                count(tokenizer.unreachable),
                count(tokenizer.cut),
                count(tokenizer.partial_utf8),
            ]
        )
    print_table(rows, left=1)
    if first.curve is not None and first.total.tokens:
        rows = [["vocabulary", "tokens", "bytes/token"]]
        for size, tokens in list(zip(first.curve.vocab_sizes, first.curve.tokens, strict=True))[-8:]:
            rows.append([f"{size:,}", f"{tokens:,}", decimal(first.total.texts.bytes / tokens)])
        print_table(rows, left=0)
    for name, differences in report.differences.items():
        for difference in differences:
            click.echo(
                f"{difference.source}: {difference.changed_documents:,} of {difference.documents:,} "
                f"documents are cut otherwise than by {name}; {difference.tokens_before:,} tokens became "
                f"{difference.tokens_after:,}"
            )
            for change in difference.changes[:CHANGES]:
                cut = " → ".join("|".join(map(text_of, side)) for side in (change.before, change.after))
                click.echo(f"  {change.occurrences:>8,} × {cut}")


def print_table(rows: list[list[str]], *, left: int) -> None:
    """Columns as wide as they need to be, the first `left` of them to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())
    click.echo()


def decimal(value: float | None, digits: int = 2) -> str:
    """A number, or that there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A part of the whole."""
    return "-" if value is None else f"{100 * value:.1f} %"


def count(tokens: Tokens | None) -> str:
    """How many tokens."""
    return "-" if tokens is None else f"{tokens.number:,}"


def text_of(token: bytes) -> str:
    """A token on one line."""
    return visible(token.decode("utf-8", "backslashreplace"))
