"""`tokenmill verify`: check every byte of a token store."""

from __future__ import annotations

from dataclasses import asdict

import click

from tokenmill.cli._common import Note, json_option, print_json
from tokenmill.cli._progress import progress


@click.command("verify")
@click.argument("path")
@click.option(
    "--content-hash",
    metavar="HASH",
    help="Check what of the store had this content hash, before documents were appended to it.",
)
@json_option
@click.pass_context
def command(ctx: click.Context, /, path: str, content_hash: str | None, as_json: bool) -> None:
    """Check every hash, count and id of the token store at PATH. Exit code 1 if anything is wrong.

    \b
    tokenmill verify corpus.tm
    """
    from tokenmill.store import verify

    ctx.ensure_object(Note).kept = f"{path} was not checked to its end"
    with progress(as_json=as_json) as report:
        found = verify(path, content_hash=content_hash, progress=report)
    if as_json:
        print_json({**asdict(found), "path": path, "ok": found.ok, "remedy": found.remedy})
    elif found.ok:
        click.echo(found)
    else:
        for problem in found.problems:
            click.echo(f"error: {path}: {problem}", err=True)
        if found.remedy is not None:
            click.echo(found.remedy, err=True)
    if not found.ok:
        ctx.exit(1)
