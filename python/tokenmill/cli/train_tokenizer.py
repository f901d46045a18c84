"""`tokenmill train-tokenizer`: learn a vocabulary from text files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tokenmill.cli._common import (
    Note,
    document_options,
    given,
    json_option,
    open_documents,
    print_json,
    print_rows,
)
from tokenmill.cli._progress import progress

if TYPE_CHECKING:
    from tokenmill import Documents, Tokenizer
    from tokenmill.progress import ProgressCallback

# Options that mean something to one of the two models only.
BPE_ONLY = ("vocab_size", "pattern", "compat")
WORD_ONLY = ("split", "max_vocab", "unk_token")


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
@click.option("--vocab-size", type=int, help="bpe: number of tokens in all, special tokens included.")
@click.option(
    "--pattern",
    metavar="NAME|REGEX",
    help="bpe: where text is cut before merging: gpt2, gpt4, gpt4o, or a regular expression.",
)
@click.option(
    "--compat",
    type=click.Choice(["gpt", "hf"]),
    help="bpe: merge and number tokens as GPT's or as Hugging Face's trainers do.",
)
@click.option("--split", metavar="NAME|REGEX", help="word: punctuation, whitespace, or a regular expression.")
@click.option("--max-vocab", type=int, help="word: tokens in all at most; the most frequent words stay.")
@click.option("--unk-token", metavar="TOKEN", help="word: the special token that stands for unknown words.")
@click.option("--special-token", "special_tokens", metavar="TOKEN", multiple=True, help="Repeat for several.")
@click.option("--min-frequency", type=int, help="Leave out pairs (bpe) or words (word) seen less often.")
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
    as_json: bool,
    **options: Any,
) -> None:
    """Learn a vocabulary from DATA: files, folders, globs, or - for stdin.

    \b
    tokenmill train-tokenizer data/ -o tokenizer.json --vocab-size 32000 --pattern gpt4
    tokenmill train-tokenizer 'web/*.jsonl.zst' -o tokenizer.json --vocab-size 50257
    tokenmill train-tokenizer book.txt -o words.json --model word --special-token '[UNK]'
    """
    check_options(model, options)
    note.kept = f"{output} was not written"
    documents = open_documents(data, file_format=file_format, text_field=text_field, separator=separator)
    with progress(as_json=as_json) as report:
        tokenizer = train(documents, model, given(**options), report)
    tokenizer.save(output)
    result = {
        "output": output,
        "model": model,
        "vocab_size": tokenizer.vocab_size,
        "special_tokens": dict(tokenizer.special_tokens),
        "fingerprint": tokenizer.fingerprint,
    }
    if as_json:
        print_json(result)
    else:
        specials = ", ".join(f"{token} = {number}" for token, number in tokenizer.special_tokens.items())
        print_rows([*list(result.items())[:3], ("special tokens", specials or "none")])


def check_options(model: str, options: dict[str, Any]) -> None:
    """Refuses options of the other model, and a missing --vocab-size."""
    for name in WORD_ONLY if model == "bpe" else BPE_ONLY:
        if options[name] is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} has no meaning for --model {model}.")
    if model == "bpe" and options["vocab_size"] is None:
        raise click.UsageError("--model bpe needs --vocab-size, for example --vocab-size 32000.")


def train(documents: Documents, model: str, options: dict[str, Any], report: ProgressCallback) -> Tokenizer:
    """The one library call."""
    import tokenmill

    trainer = tokenmill.train_bpe if model == "bpe" else tokenmill.train_word
    return trainer(documents, **options, progress=report)
