"""`tokenmill train-tokenizer`: learn a vocabulary from text files, or from counts of their pieces."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokenmill.cli._common import (
    Note,
    document_options,
    given,
    human_bytes,
    json_option,
    memory_option,
    open_documents,
    print_json,
    print_rows,
    stacked,
)
from tokenmill.cli._progress import progress
from tokenmill.whole import write_whole

if TYPE_CHECKING:
    from tokenmill import Counts, Documents, Tokenizer
    from tokenmill.progress import ProgressCallback

# Options that mean something to one of the two models only.
BPE_ONLY = (
    *("vocab_size", "sizes", "pattern", "compat", "max_token_bytes", "extend"),
    *("from_counts", "weights", "max_memory", "checkpoint", "curve"),
)
WORD_ONLY = ("split", "max_vocab", "unk_token")


class Sizes(click.ParamType):  # type: ignore[type-arg]
    """Numbers with commas between them."""

    name = "N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """The numbers of a text."""
        try:
            return value if isinstance(value, list) else [int(number) for number in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} is not a list of sizes like 8000,16000,32000", param, ctx)


class Weight(click.ParamType):  # type: ignore[type-arg]
    """A name and how often its texts count."""

    name = "SOURCE=N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """The two parts of a text."""
        if isinstance(value, tuple):
            return value
        name, equals, number = value.rpartition("=")
        if not equals or not number.isdecimal():
            self.fail(f"{value!r} is not a source and its weight like web=2", param, ctx)
        return name, int(number)


bpe_options = stacked(
    click.option("--vocab-size", type=int, help="bpe: number of tokens in all, special tokens included."),
    click.option(
        "--sizes", type=Sizes(), help="bpe: several vocabularies from one run: a file for each size."
    ),
    click.option(
        "--pattern",
        metavar="NAME|REGEX",
        help="bpe: where text is cut before merging: gpt2, gpt4, gpt4o, or a regular expression.",
    ),
    click.option(
        "--compat",
        type=click.Choice(["gpt", "hf"]),
        help="bpe: merge and number tokens as GPT's or as Hugging Face's trainers do.",
    ),
    click.option(
        "--max-token-bytes", type=click.IntRange(min=1), help="bpe: no token gets longer than this."
    ),
    click.option("--extend", metavar="TOKENIZER", help="bpe: go on from this tokenizer; its ids stay."),
    click.option(
        "--from-counts", is_flag=True, default=None, help="bpe: DATA are files made by count-words."
    ),
    click.option(
        "--weight", "weights", type=Weight(), multiple=True, help="How often a source of them counts."
    ),
    memory_option,
    click.option("--checkpoint", metavar="FOLDER", help="Keep counts there; started again, go on from them."),
    click.option(
        "--curve", metavar="FILE", help="Write how each smaller vocabulary compresses, as JSON Lines."
    ),
)

word_options = stacked(
    click.option(
        "--split", metavar="NAME|REGEX", help="word: punctuation, whitespace, or a regular expression."
    ),
    click.option("--max-vocab", type=int, help="word: tokens in all at most; the most frequent words stay."),
    click.option(
        "--unk-token", metavar="TOKEN", help="word: the special token that stands for unknown words."
    ),
)


@click.command("train-tokenizer")
@click.argument("data", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", required=True, help="Where to write the tokenizer.json.")
@click.option(
    "--model",
    type=click.Choice(["bpe", "word"]),
    default="bpe",
    show_default=True,
    help="bpe: byte pairs, no unknown words. word: each word a token.",
)
@bpe_options
@word_options
@click.option("--special-token", "special_tokens", metavar="TOKEN", multiple=True, help="Repeat for several.")
@click.option("--min-frequency", type=int, help="Leave out pairs (bpe) or words (word) seen less often.")
@click.option("--dry-run", is_flag=True, help="bpe: tell from the first 64 MB what it would take, and stop.")
@document_options
@json_option
@click.pass_obj
def command(
    note: Note,
    /,
    data: tuple[str, ...],
    output: str,
    model: str,
    file_format: str | None,
    text_field: str | None,
    separator: str | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Learn a vocabulary from DATA: files, folders, globs, or - for stdin.

    With --sizes 8000,32000 the files are tokenizer-8000.json and tokenizer-32000.json for -o tokenizer.json.

    \b
    tokenmill train-tokenizer data/ -o tokenizer.json --vocab-size 32000 --pattern gpt4
    tokenmill train-tokenizer 'web/*.jsonl.zst' -o tokenizer.json --vocab-size 50257
    tokenmill train-tokenizer web.tmc code.tmc --from-counts --weight code=2 -o t.json --vocab-size 50257
    tokenmill train-tokenizer book.txt -o words.json --model word --special-token '[UNK]'
    """
    check_options(model, options)
    note.kept = f"{output} was not written"
    if options["checkpoint"]:
        note.kept += f"; the counts so far are in {options['checkpoint']}: start it again to go on"
    if options.pop("from_counts"):
        source: Documents | Counts = open_counts(data, options.pop("weights"))
        if (file_format, text_field, separator) != (None, None, None):
            raise click.UsageError("--format, --text-field and --separator have no meaning for counts.")
    else:
        if options.pop("weights"):
            raise click.UsageError("--weight needs --from-counts.")
        source = open_documents(data, file_format=file_format, text_field=text_field, separator=separator)
    if dry_run:
        estimate(source, model, options, as_json=as_json)
        return
    curve = options.pop("curve")
    sizes = options.pop("sizes")
    if sizes:
        options["vocab_size"] = sizes
    with progress(as_json=as_json) as report, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        trained = train(source, model, given(**options), report)
    for warning in warned:
        click.echo(f"warning: {warning.message}", err=True)
    paths = [path_of(output, size) for size in sizes] if sizes else [output]
    files = dict(zip(paths, trained, strict=True))
    for path, tokenizer in files.items():
        tokenizer.save(path)
        note.kept = f"{path} was written"
    if curve:
        write_curve(trained[0], curve)
    results = [result_of(path, model, tokenizer) for path, tokenizer in files.items()]
    show(results, as_json=as_json, several=bool(sizes))


def check_options(model: str, options: dict[str, Any]) -> None:
    """Refuses options of the other model, and a missing or doubled size."""
    for name in WORD_ONLY if model == "bpe" else BPE_ONLY:
        if options[name] not in (None, ()):
            raise click.UsageError(f"--{option_of(name)} has no meaning for --model {model}.")
    if model == "bpe" and (options["vocab_size"] is None) == (options["sizes"] is None):
        raise click.UsageError("--model bpe needs --vocab-size or --sizes, for example --vocab-size 32000.")


def estimate(source: Documents | Counts, model: str, options: dict[str, Any], *, as_json: bool) -> None:
    """Prints what the training would take."""
    from dataclasses import asdict

    from tokenmill.counts import Counts
    from tokenmill.estimate import estimate_training

    if model == "word" or isinstance(source, Counts):
        raise click.UsageError("--dry-run tells what counting texts for --model bpe takes.")
    size = options["vocab_size"] or max(options["sizes"])
    told = estimate_training(source, vocab_size=size, **given(pattern=options["pattern"]))
    if as_json:
        print_json(asdict(told))
        return
    if told.total_bytes is None or told.seconds is None or told.memory_bytes is None:
        raise click.UsageError("--dry-run needs files: how much a pipe will bring cannot be known.")
    print_rows(
        [
            ("input", human_bytes(told.total_bytes)),
            ("counted to tell", human_bytes(told.sampled_bytes)),
            ("distinct pieces", f"about {told.distinct_pieces:,}"),
            ("time", f"about {told.seconds:,.1f} s"),
            ("memory", f"about {human_bytes(told.memory_bytes)}"),
        ]
    )


def option_of(name: str) -> str:
    """How an option is written."""
    return {"weights": "weight"}.get(name, name.replace("_", "-"))


def open_counts(data: tuple[str, ...], weights: tuple[tuple[str, int], ...]) -> Counts:
    """The counts that DATA names."""
    from tokenmill import Counts

    chosen = dict(weights)
    if len(chosen) < len(weights):
        twice = next(name for name in chosen if [given for given, _ in weights].count(name) > 1)
        raise click.UsageError(f"--weight is given twice for {twice!r}.")
    return Counts.open(list(data), weights=chosen)


def train(
    source: Documents | Counts, model: str, options: dict[str, Any], report: ProgressCallback
) -> list[Tokenizer]:
    """The one library call."""
    import tokenmill

    if model == "word":
        return [tokenmill.train_word(source, **options, progress=report)]  # type: ignore[arg-type]
    if "extend" in options:
        options["extend"] = tokenmill.Tokenizer.load(options["extend"])
    trained = tokenmill.train_bpe(source, **options, progress=report)
    return trained if isinstance(trained, list) else [trained]


def path_of(output: str, size: int) -> str:
    """Where the tokenizer of one size goes.

    >>> path_of("out/tokenizer.json", 8000)
    'out/tokenizer-8000.json'
    """
    path = Path(output)
    return str(path.with_name(f"{path.stem}-{size}{path.suffix}"))


def write_curve(tokenizer: Tokenizer, path: str) -> None:
    """One line a merge."""
    import json

    curve = tokenizer.curve
    if curve is None:
        return
    columns = zip(curve.vocab_sizes.tolist(), curve.counts.tolist(), curve.tokens.tolist(), strict=True)
    lines = (
        {"vocab_size": size, "count": count, "tokens": tokens, "bytes_per_token": curve.num_bytes / tokens}
        for size, count, tokens in columns
    )
    write_whole(path, "".join(json.dumps(line) + "\n" for line in lines))


def result_of(path: str, model: str, tokenizer: Tokenizer) -> dict[str, Any]:
    """What is printed of one tokenizer."""
    return {
        "output": path,
        "model": model,
        "vocab_size": tokenizer.vocab_size,
        "special_tokens": dict(tokenizer.special_tokens),
        "fingerprint": tokenizer.fingerprint,
    }


def show(results: list[dict[str, Any]], *, as_json: bool, several: bool) -> None:
    """Prints the results."""
    if as_json:
        print_json({"tokenizers": results} if several else results[0])
        return
    for result in results:
        specials = ", ".join(f"{token} = {number}" for token, number in result["special_tokens"].items())
        print_rows([*list(result.items())[:3], ("special tokens", specials or "none")])
