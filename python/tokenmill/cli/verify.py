"""`tokenmill verify`: check every byte of a token store."""

from __future__ import annotations

import click

from tokenmill.cli._common import Note, human_bytes, json_option, print_json
from tokenmill.cli._progress import progress


@click.command("verify")
@click.argument("path")
@json_option
@click.pass_context
def command(ctx: click.Context, path: str, as_json: bool) -> None:
    """Check every hash, count and id of the token store at PATH. Exit code 1 if anything is wrong.

    \b
    tokenmill verify corpus.tm
    """
    from tokenmill import TokenStore

    ctx.ensure_object(Note).kept = f"{path} was not checked to its end"
    store = TokenStore.open(path)
    with progress(as_json=as_json) as report:
        result = store.verify(report)
    if as_json:
        print_json(result.to_dict())
    elif result.ok:
        click.echo(
            f"{path} is sound: {result.files:,} files, {human_bytes(result.bytes)}, "
            f"{result.tokens:,} tokens, {result.documents:,} documents"
        )
    else:
        for problem in result.problems:
            click.echo(f"error: {path}: {problem}", err=True)
    if not result.ok:
        ctx.exit(1)
