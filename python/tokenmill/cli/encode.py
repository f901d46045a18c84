"""`tokenmill encode`: text to token ids."""

from __future__ import annotations

import click

from tokenmill.cli._common import (
    argument_or_stdin,
    json_option,
    load_tokenizer,
    print_json,
    token_text,
    tokenizer_option,
)


@click.command("encode")
@click.argument("text", required=False)
@tokenizer_option
@click.option(
    "--allow-special",
    metavar="TOKEN|all",
    multiple=True,
    help="Encode this special token, where the text spells it, as one id. Repeat for several.",
)
@click.option("--tokens", "show_tokens", is_flag=True, help="One line a token: its id and its text.")
@json_option
def command(
    text: str | None,
    tokenizer_path: str,
    pattern: str | None,
    allow_special: tuple[str, ...],
    show_tokens: bool,
    as_json: bool,
) -> None:
    """Print the token ids of TEXT (default: stdin), separated by spaces.

    Special tokens spelled out in the text are ordinary text unless you allow them.

    \b
    tokenmill encode -t tokenizer.json 'Hello, world!'
    tokenmill encode -t cl100k_base.tiktoken < book.txt
    tokenmill encode -t tokenizer.json --allow-special all 'one<|endoftext|>two'
    """
    tokenizer = load_tokenizer(tokenizer_path, pattern)
    allowed = "all" if "all" in allow_special else allow_special
    ids = tokenizer.encode(argument_or_stdin(text), allowed_special=allowed)
    if as_json:
        tokens = {"tokens": [token_text(tokenizer, number) for number in ids]} if show_tokens else {}
        print_json({"ids": ids, **tokens})
    elif show_tokens:
        for number in ids:
            click.echo(f"{number:>8}  {token_text(tokenizer, number)}")
    else:
        click.echo(" ".join(map(str, ids)))
