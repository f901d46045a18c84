"""`tokenmill count-words`: count the pieces of text files, once for any number of trainings."""

from __future__ import annotations

from typing import Any

import click

from tokenmill.cli._common import (
    Note,
    document_options,
    given,
    json_option,
    memory_option,
    open_documents,
    print_json,
    print_rows,
)
from tokenmill.cli._progress import progress


@click.command("count-words")
@click.argument("data", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", required=True, help="Where to write the counts.")
@click.option(
    "--pattern",
    metavar="NAME|REGEX",
    help="Where text is cut: gpt2, gpt4 (default), gpt4o, or a regular expression.",
)
@click.option("--source", metavar="NAME", help="A name for these texts, by which they can be weighed later.")
@click.option("--merge", is_flag=True, help="DATA are files of counts: add them up.")
@memory_option
@document_options
@json_option
@click.pass_obj
def command(
    note: Note,
    /,
    data: tuple[str, ...],
    output: str,
    merge: bool,
    file_format: str | None,
    text_field: str | None,
    separator: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Count the pieces of DATA: files, folders, globs, or - for stdin.

    \b
    tokenmill count-words web/ -o web.tmc --source web
    tokenmill count-words code/ -o code.tmc --source code
    tokenmill count-words --merge web.tmc code.tmc -o all.tmc
    tokenmill train-tokenizer --from-counts all.tmc --weight code=2 -o tokenizer.json --vocab-size 32000
    """
    from tokenmill import Counts, count_words

    note.kept = f"{output} was not written"
    chosen = given(**options)
    if merge:
        if meaningless := given(format=file_format, text_field=text_field, separator=separator) | chosen:
            name = next(iter(meaningless)).replace("_", "-")
            raise click.UsageError(f"--{name} has no meaning for --merge.")
        Counts.open(list(data)).save(output)
        counts = Counts.open(output)
    else:
        documents = open_documents(data, file_format=file_format, text_field=text_field, separator=separator)
        with progress(as_json=as_json) as report:
            counts = count_words(documents, output, **chosen, progress=report)
    totals = counts.totals()
    result = {
        "output": output,
        "pattern": counts.pattern,
        "distinct_pieces": totals.pieces,
        "pieces": totals.occurrences,
    }
    if as_json:
        print_json(result)
    else:
        rows: list[tuple[str, object]] = [("output", output), ("distinct pieces", totals.pieces)]
        print_rows([*rows, *((f"pieces of {name}", number) for name, number in totals.occurrences.items())])
