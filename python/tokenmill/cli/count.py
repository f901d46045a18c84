"""`tokenmill count`: how many tokens a text or files have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from tokenmill.cli._common import (
    document_options,
    json_option,
    load_tokenizer,
    open_documents,
    print_json,
    print_rows,
    tokenizer_option,
)
from tokenmill.cli._progress import progress
from tokenmill.cli._text import Text

if TYPE_CHECKING:
    from tokenmill import Documents, Tokenizer
    from tokenmill.progress import ProgressCallback

# Characters that are encoded in one call: work for all threads, yet a fraction of a second.
GROUP = 4 << 20


@click.command("count")
@click.argument("text", nargs=-1)
@tokenizer_option
@click.option("--files", is_flag=True, help="The arguments are files, folders or globs, not a text.")
@document_options
@json_option
def command(
    text: tuple[str, ...],
    tokenizer_path: str,
    pattern: str | None,
    files: bool,
    file_format: str | None,
    text_field: str | None,
    separator: str | None,
    as_json: bool,
) -> None:
    """Count the tokens of TEXT (default: stdin, of any length) or, with --files, of documents.

    \b
    tokenmill count -t tokenizer.json 'Hello, world!'
    tokenmill count -t tokenizer.json < book.txt
    tokenmill count -t tokenizer.json --files 'data/*.jsonl.zst'
    """
    if not files:
        if len(text) > 1:
            raise click.UsageError("one TEXT at most; quote it, or count files with --files.")
        tokenizer = load_tokenizer(tokenizer_path, pattern)
        tokens = sum(map(len, Text(text[0] if text else None).encoded(tokenizer)))
        if as_json:
            print_json({"tokens": tokens})
        else:
            click.echo(tokens)
        return
    if not text:
        raise click.UsageError("--files needs at least one file, folder or glob.")
    documents = open_documents(text, file_format=file_format, text_field=text_field, separator=separator)
    tokenizer = load_tokenizer(tokenizer_path, pattern)
    with progress(as_json=as_json) as report:
        result = count_documents(tokenizer, documents, report)
    if as_json:
        print_json(result)
    else:
        print_rows(result.items())


def count_documents(tokenizer: Tokenizer, documents: Documents, report: ProgressCallback) -> dict[str, int]:
    """Tokens, documents and bytes of all `documents`."""
    tokens = count = size = 0
    for texts in groups(documents):
        ids, _ = tokenizer.encode_batch_to_numpy(texts)
        tokens += len(ids)
        count += len(texts)
        size += sum(len(text.encode()) for text in texts)
        report("counting", "bytes", size, None)
    return {"tokens": tokens, "documents": count, "bytes": size}


def groups(documents: Documents) -> Iterator[list[str]]:
    """The texts in lists of some megabytes."""
    texts: list[str] = []
    size = 0
    for document in documents:
        texts.append(document.text)
        size += len(document.text)
        if size >= GROUP:
            yield texts
            texts, size = [], 0
    if texts:
        yield texts
