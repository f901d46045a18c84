"""`tokenmill prepare`: encode a corpus into a token store."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokenmill.cli._common import (
    Note,
    document_options,
    given,
    human_bytes,
    json_option,
    load_tokenizer,
    open_documents,
    print_json,
    print_rows,
    tokenizer_option,
)
from tokenmill.cli._progress import progress

if TYPE_CHECKING:
    from tokenmill import Documents, Tokenizer, TokenStore

# What the names of a split's counts begin with in a summary.
SPLITS = ("", "validation_")
# Of the manifest's summary, what people look for.
LEFT_OUT = ("rejected", "duplicates", "special_text")


@click.command("prepare")
@click.argument("data", nargs=-1, required=True)
@tokenizer_option
@click.option(
    "-o", "--output", metavar="STORE", required=True, help="The folder to make, for example corpus.tm."
)
@click.option("--add-bos/--no-add-bos", default=None, help="Put [BOS] before each document. Default: no.")
@click.option(
    "--add-eos/--no-add-eos", default=None, help="Put [EOS] or <|endoftext|> behind each. Default: yes."
)
@click.option(
    "--val-fraction",
    type=click.FloatRange(0, 1, max_open=True),
    help="Keep about this share of the documents from training, chosen by their text. Default: 0.",
)
@click.option(
    "--specials",
    type=click.Choice(["text", "error", "allow"]),
    help="What a special token spelled in a document is: text (default), a reason to reject it, the token.",
)
@click.option("--dedup", type=click.Choice(["exact"]), help="Keep the first of documents of the same text.")
@click.option(
    "--on-error",
    type=click.Choice(["raise", "skip", "quarantine"]),
    help="What to do at a record that holds no document: end, leave it out, or write it to --quarantine.",
)
@click.option(
    "--quarantine",
    metavar="FILE",
    help="Where records that are left out go, with place and reason, as JSON Lines.",
)
@click.option(
    "--shard-tokens",
    type=click.IntRange(min=1),
    help="Begin a new shard, a unit of resuming and copying, after so many tokens. Default: 268435456.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Threads that encode; the store is the same for any number. Default: all processors.",
)
@click.option(
    "--task",
    metavar="I/N",
    help="Read only share I of N of the files, from 1 on, for seal to join. Goes on where it was stopped.",
)
@click.option(
    "--append",
    is_flag=True,
    help="Add DATA to STORE, which has been made with the same options, as new shards behind the old ones.",
)
@click.option("--resume", is_flag=True, help="Go on with what a stopped run has left, if anything.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="List the inputs, tell what they will come to; write nothing. With --append: refuse what that does.",
)
@document_options
@json_option
@click.pass_obj
def command(
    note: Note,
    /,
    data: tuple[str, ...],
    tokenizer_path: str,
    pattern: str | None,
    output: str,
    add_bos: bool | None,
    add_eos: bool | None,
    val_fraction: float | None,
    specials: str | None,
    dedup: str | None,
    on_error: str | None,
    quarantine: str | None,
    shard_tokens: int | None,
    workers: int | None,
    task: str | None,
    append: bool,
    resume: bool,
    dry_run: bool,
    file_format: str | None,
    text_field: str | None,
    separator: str | None,
    as_json: bool,
) -> None:
    """Encode DATA (files, folders, globs, or - for stdin) into a token store.

    STORE must not exist yet, but with --append, and appears when it is whole. Stopped before that, by
    whatever, its finished shards are kept in STORE.partial, and --resume goes on from there. A store that is
    appended to opens as it was until all is there.

    \b
    tokenmill prepare 'data/*.jsonl.zst' -t tokenizer.json -o corpus.tm
    tokenmill prepare books/ -t tokenizer.json -o books.tm --format text --add-bos
    tokenmill prepare essays/ -t tokenizer.json -o books.tm --format text --add-bos --append
    tokenmill prepare web/ -t tokenizer.json -o web.tm --dedup exact --quarantine rejected.jsonl
    tokenmill prepare web/ -t tokenizer.json -o web.tm --task $SLURM_ARRAY_TASK_ID/64; tokenmill seal web.tm
    """
    import tokenmill
    from tokenmill.prepare import check_append

    documents = open_documents(data, file_format=file_format, text_field=text_field, separator=separator)
    note.kept = f"{output} is as it was" if append else f"{output} was not made; nothing is left of it"
    tokenizer = load_tokenizer(tokenizer_path, pattern)
    if quarantine is not None and on_error is None:
        on_error = "quarantine"
    options = given(
        add_bos=add_bos,
        add_eos=add_eos,
        val_fraction=val_fraction,
        specials=specials,
        dedup=dedup,
        on_error=on_error,
        quarantine=quarantine,
        shard_tokens=shard_tokens,
        workers=workers,
        task=None if task is None else task_of(task),
    )
    if dry_run:
        before = None
        if append:
            note.kept = f"{output} is as it was; nothing was written"
            with progress(as_json=as_json) as report:
                check_append(
                    documents, tokenizer=tokenizer, out=output, **options, resume=resume, progress=report
                )
            before = summary(tokenmill.TokenStore.open(output))
        options = given(add_bos=add_bos, add_eos=add_eos, workers=workers)
        tell_in_advance(documents, tokenizer, options, before, as_json=as_json)
        return
    before = None
    if append and Path(output).exists():
        before = summary(tokenmill.TokenStore.open(output))
    start = time.perf_counter()
    try:
        with progress(as_json=as_json) as report:
            store = tokenmill.prepare(
                documents,
                tokenizer=tokenizer,
                out=output,
                **options,
                append=append,
                resume=resume,
                progress=report,
            )
    except BaseException as error:
        if task is not None:
            note.kept = f"{output} was not made; run the task again to go on"
        elif kept := what_is_kept(output, append=append):
            note.kept = f"{output} {'is as it was' if append else 'was not made'}; {kept}"
            if isinstance(error, OSError | tokenmill.DocumentError | tokenmill.UnknownTokenError):
                click.echo(kept, err=True)
        raise
    result = summary(store)
    if before is not None:
        counted = ["inputs", *(f"{split}{what}" for split in SPLITS for what in ("documents", "tokens"))]
        result |= {f"added_{name}": result[name] - before[name] for name in counted if name in result}
    result = {"output": str(store.path), **result, "seconds": round(time.perf_counter() - start, 1)}
    if as_json:
        print_json({**result, "stage_seconds": report.seconds})
    else:
        # Not in the manifest, which is the same for every run.
        stages = ", ".join(f"{name} {seconds}" for name, seconds in report.seconds.items())
        rows = {**result, "of all threads": stages}
        print_rows((name.replace("_", " "), value) for name, value in rows.items())


def task_of(text: str) -> tuple[int, int]:
    """Which task of how many.

    >>> task_of("3/16")
    (3, 16)
    """
    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise click.BadParameter(f"--task {text}: write it I/N, with I from 1 to N.")
    return int(number), int(of)


def what_is_kept(output: str, *, append: bool) -> str | None:
    """What a run that ended early has left, and how to go on; None: nothing."""
    from tokenmill.prepare import finished_shards, is_decided

    if append and is_decided(output):
        return f"all new shards are in {output}.partial; the same command again adds them"
    shards = finished_shards(output)
    if not shards:
        return None
    are = "shards are" if shards > 1 else "shard is"
    return f"{shards} finished {are} in {output}.partial; go on with {'--append ' * append}--resume"


def summary(store: TokenStore) -> dict[str, Any]:
    """What became of the documents."""
    manifest = store.manifest
    counts = manifest["summary"]
    result = {
        "documents": store.num_documents,
        "tokens": store.num_tokens,
        "inputs": len(manifest["inputs"]),
    }
    tokens = store.num_tokens
    if store.validation is not None:
        result["validation_documents"] = store.validation.num_documents
        result["validation_tokens"] = store.validation.num_tokens
        tokens += store.validation.num_tokens
    ratio = round(counts["text_bytes"] / tokens, 2) if tokens else None
    return {**result, "bytes_per_token": ratio, **{name: counts[name] for name in LEFT_OUT}}


def tell_in_advance(
    documents: Documents,
    tokenizer: Tokenizer,
    options: dict[str, Any],
    before: dict[str, Any] | None,
    *,
    as_json: bool,
) -> None:
    """Prints the files that would be read, and what samples of them say that they will come to.

    ``before`` is the summary of the store that they would be added to.
    """
    from dataclasses import asdict

    from tokenmill.estimate_prepare import estimate_preparation

    if documents.files is None:
        raise click.UsageError("--dry-run needs files: what a pipe or a URL will bring cannot be known.")
    sizes = {name: Path(name).stat().st_size for name in documents.files}
    told = estimate_preparation(documents, tokenizer=tokenizer, **options)
    if as_json:
        inputs = [{"name": name, "bytes": size} for name, size in sizes.items()]
        store = {} if before is None else {"appended_to": before}
        print_json({"inputs": inputs, "files": len(sizes), "estimate": asdict(told), **store})
        return
    for name, size in sizes.items():
        click.echo(f"{human_bytes(size):>10}  {name}")
    files = f"{len(sizes):,} file{'' if len(sizes) == 1 else 's'}"
    within = "" if told.error is None else f", within {told.error:.1%}" if told.error else ", exactly"
    print_rows(
        [
            ("input", f"{human_bytes(told.total_bytes)} in {files}"),
            ("encoded to tell", human_bytes(told.sampled_bytes)),
            ("documents", f"about {told.documents:,}"),
            ("tokens", f"about {told.tokens:,}{within}"),
            ("windows of 1,024", f"about {told.windows(1024):,}"),
            ("store", f"about {human_bytes(told.store_bytes)}"),
            ("time", f"about {told.seconds:,.1f} s"),
            ("memory", f"at most {human_bytes(told.memory_bytes)}"),
        ]
    )
    if before is not None:
        splits = [(before.get(f"{split}tokens", 0), before.get(f"{split}documents", 0)) for split in SPLITS]
        tokens, found = (sum(counts) for counts in zip(*splits, strict=True))
        click.echo(f"these would be added to {tokens:,} tokens in {found:,} documents")
    click.echo("nothing was written")
