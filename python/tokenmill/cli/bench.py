"""`tokenmill bench`: how fast a tokenizer encodes your data, and whether a peer gives the same ids."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from tokenmill.cli._common import (
    Note,
    document_options,
    human_bytes,
    json_option,
    load_tokenizer,
    open_documents,
    print_json,
    print_rows,
    token_text,
    tokenizer_option,
    visible,
)
from tokenmill.cli._progress import progress

if TYPE_CHECKING:
    from tokenmill import Tokenizer
    from tokenmill.validate import Measured, Mismatch


@click.command("bench")
@click.argument("data", nargs=-1, required=True)
@tokenizer_option
@click.option("--validate", is_flag=True, help="Compare the ids, and the speed, with a peer's.")
@click.option(
    "--against",
    type=click.Choice(["auto", "tiktoken", "tokenizers"]),
    help="The peer. Default: auto, tiktoken for a tokenizer of ranks and tokenizers for a merge list.",
)
@click.option(
    "--megabytes",
    type=click.FloatRange(min=0, min_open=True),
    default=50,
    show_default=True,
    help="Take this much text of DATA, in whole documents.",
)
@document_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    data: tuple[str, ...],
    tokenizer_path: str,
    pattern: str | None,
    validate: bool,
    against: str | None,
    megabytes: float,
    file_format: str | None,
    text_field: str | None,
    separator: str | None,
    as_json: bool,
) -> None:
    """Time the encoding of DATA (files, folders, globs, or - for stdin): a call a document, one thread, text
    that is new to the process.

    With --validate a peer encodes the same documents, and the first place where the ids differ is shown. Exit
    code 1 if there is one. Special tokens spelled out in the text are ordinary text.

    \b
    tokenmill bench -t tokenizer.json 'data/*.jsonl.zst'
    tokenmill bench -t tokenizer.json data/ --validate --megabytes 200
    tokenmill bench -t cl100k_base.tiktoken data/ --validate --against tiktoken
    """
    from tokenmill.validate import measure

    if against and not validate:
        raise click.UsageError("--against has no meaning without --validate.")
    # One thread, also within a call; before the threads are made.
    os.environ.setdefault("TOKENMILL_NUM_THREADS", "1")
    ctx.ensure_object(Note).kept = "nothing was measured"
    source = open_documents(data, file_format=file_format, text_field=text_field, separator=separator)
    tokenizer = load_tokenizer(tokenizer_path, pattern)
    options: Any = {"against": against or "auto", "path": tokenizer_path} if validate else {}
    with progress(as_json=as_json) as report:
        measured = measure(tokenizer, source, megabytes=megabytes, progress=report, **options)
    if as_json:
        print_json(as_dict(measured))
    else:
        print_rows(rows(measured))
        if measured.mismatch:
            print_mismatch(tokenizer, measured.mismatch, measured.peer or "")
    if measured.mismatched:
        ctx.exit(1)


def as_dict(measured: Measured) -> dict[str, Any]:
    """All numbers, speeds included."""
    speeds = {
        "megabytes_per_second": measured.megabytes_per_second,
        "peer_megabytes_per_second": measured.peer_megabytes_per_second,
        "ratio": measured.ratio,
    }
    return {**asdict(measured), **speeds, "ok": not measured.mismatched}


def rows(measured: Measured) -> list[tuple[str, object]]:
    """What is printed, name and value."""
    tokens = f"{measured.tokens:,} tokens"
    shown: list[tuple[str, object]] = [
        ("text", f"{human_bytes(measured.bytes)} in {documents(measured.documents)}, {tokens}"),
        (f"tokenmill {measured.version}", f"{measured.megabytes_per_second:.1f} MB/s"),
    ]
    if measured.peer is None:
        return shown
    shown += [
        (measured.peer, f"{measured.peer_megabytes_per_second:.1f} MB/s"),
        ("ratio", f"{measured.ratio:.2f}"),
        ("ids", f"different in {documents(measured.mismatched)}" if measured.mismatched else "all equal"),
    ]
    if measured.peer_failed:
        shown.append(
            ("not compared", f"{documents(measured.peer_failed)}, which {measured.peer} could not encode")
        )
    return shown


def documents(count: int) -> str:
    """So many documents.

    >>> documents(1), documents(2_000)
    ('1 document', '2,000 documents')
    """
    return f"{count:,} document{'' if count == 1 else 's'}"


def print_mismatch(tokenizer: Tokenizer, mismatch: Mismatch, peer: str) -> None:
    """Where the ids part first, and how."""
    place = f"{mismatch.input}, record at {mismatch.position:,}, byte {mismatch.byte:,} of its text"
    click.echo(f"error: {place}: the ids differ from number {mismatch.id_number:,} on", err=True)
    click.echo(f"  text       {visible(mismatch.text)}", err=True)
    for name, ids in (("tokenmill", mismatch.ours), (peer.split()[0], mismatch.theirs)):
        click.echo(f"  {name:<10} {' '.join(map(str, ids))}", err=True)
        click.echo(f"  {'':<10} {'|'.join(token_text(tokenizer, number) for number in ids)}", err=True)
