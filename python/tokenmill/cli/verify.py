"""`tokenmill verify`: check every byte of a token store."""

from __future__ import annotations

import click

from tokenmill.cli._common import Note, json_option, print_json, print_rows
from tokenmill.cli._progress import progress


@click.command("verify")
@click.argument("path")
@json_option
@click.pass_obj
def command(note: Note, path: str, as_json: bool) -> None:
    r"""Check every hash, count and id of the token store at PATH. Exit code 1 if anything is wrong.

    \b
    tokenmill verify corpus.tm
    """
    from tokenmill import TokenStore

    note.kept = f"{path} was not checked to its end"
    store = TokenStore.open(path)
    with progress(as_json=as_json) as report:
        result = store.verify(report)
