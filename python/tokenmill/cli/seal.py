"""`tokenmill seal`: join what the tasks of a preparation have made."""

from __future__ import annotations

import time

import click

from tokenmill.cli._common import Note, json_option, print_json, print_rows
from tokenmill.cli._progress import progress
from tokenmill.cli.prepare import summary


@click.command("seal")
@click.argument("store", metavar="STORE")
@json_option
@click.pass_obj
def command(note: Note, /, store: str, as_json: bool) -> None:
    """Join the parts that `prepare -o STORE --task I/N` has made to STORE, and remove them.

    All N have to be there. The store is the one that a single process would have made, to the byte. Stopped,
    it goes on when it is run again.

    \b
    tokenmill seal corpus.tm
    """
    import tokenmill

    note.kept = f"{store} was not made; run seal again to go on"
    start = time.perf_counter()
    with progress(as_json=as_json) as report:
        sealed = tokenmill.seal(store, progress=report)
    result = {"output": store, **summary(sealed), "seconds": round(time.perf_counter() - start, 1)}
    if as_json:
        print_json(result)
    else:
        print_rows((name.replace("_", " "), value) for name, value in result.items())
