"""`tokenmill encode`: text to token ids."""

from __future__ import annotations

import click

from tokenmill.cli._common import argument_or_stdin, json_option, load_tokenizer, print_json, tokenizer_option, visible


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
    r"""Print the token ids of TEXT (default: stdin), separated by spaces.

    Special tokens spelled out in the text are ordinary text unless you allow them.

    \b
    tokenmill encode -t tokenizer.json 'Hello, world!'
    tokenmill encode -t cl100k_base.tiktoken < book.txt
    tokenmill encode -t tokenizer.json --allow-special all 'one<|endoftext|>two'
    """
    tokenizer = load_tokenizer(tokenizer_path, pattern)
    allowed = set(tokenizer.special_tokens) if "all" in allow_special else set(allow_special)
    ids = tokenizer.encode(argument_or_stdin(text), allowed_special=allowed)
    if as_json:
        pieces = [tokenizer.decode([number]) for number in ids]
        print_json({"ids": ids, "tokens": pieces} if show_tokens else {"ids": ids})
    elif show_tokens:
        for number in ids:
            click.echo(f"{number:>8}  {visible(tokenizer.decode([number]))}")
    else:
        click.echo(" ".join(map(str, ids)))
