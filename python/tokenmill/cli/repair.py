"""`tokenmill repair`: remake the damaged shards of a token store from its inputs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from tokenmill.cli._common import Note, document_options, given, json_option, open_documents, print_json
from tokenmill.cli._progress import progress

if TYPE_CHECKING:
    from tokenmill.documents import Data


@click.command("repair")
@click.argument("store")
@click.argument("data", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Tell what would be remade, and from what; write nothing.")
@document_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    store: str,
    data: tuple[str, ...],
    dry_run: bool,
    file_format: str | None,
    text_field: str | None,
    separator: str | None,
    as_json: bool,
) -> None:
    """Remake the damaged and missing shards of STORE from the inputs it was made of.

    The inputs are those that the store names (relative names count from the current folder), read as they
    were then. DATA names them all, in order, where they are elsewhere now. A remade shard must be the same
    to the byte as the one that was written; until all are, STORE is not touched, and an input that has
    changed ends the work. The other shards are neither read from the inputs nor written.

    Exit code 0: the store is sound now. 1: it is not, or (--dry-run) was not.

    \b
    tokenmill repair corpus.tm
    tokenmill repair corpus.tm /mnt/copy/*.jsonl.zst
    """
    import tokenmill

    given_options = given(format=file_format, text_field=text_field, separator=separator)
    if given_options and not data:
        raise click.UsageError("the store knows how its own inputs were read; name DATA to read others.")
    documents: Data | None = list(data) or None
    if given_options:
        documents = open_documents(data, file_format=file_format, text_field=text_field, separator=separator)
    ctx.ensure_object(Note).kept = f"{store} is as it was, or better; repair it again"
    with progress(as_json=as_json) as report:
        done = tokenmill.repair(store, data=documents, dry_run=dry_run, progress=report)
    if as_json:
        print_json({**asdict(done), "path": store, "ok": done.ok})
    else:
        for problem in done.problems:
            click.echo(f"{store}: {problem}", err=True)
        click.echo(done)
    if not done.ok:
        ctx.exit(1)
