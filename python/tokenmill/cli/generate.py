"""`tokenmill generate`: text from a model."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tokenmill.cli._common import json_option, print_json


@click.command("generate")
@click.argument("model")
@click.option("--prompt", default="", help="What the text begins with. Default: nothing.")
@click.option("--max-tokens", type=click.IntRange(min=1), default=200, show_default=True, help="At most.")
@click.option(
    "--temperature", type=float, default=0.8, show_default=True, help="0: the likeliest token each time."
)
@click.option(
    "--top-p", type=float, default=0.95, show_default=True, help="Of the likeliest tokens only these."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same text.")
@click.option("--device", metavar="NAME", help="cpu, cuda, ... Default: a GPU if there is one.")
@json_option
def command(
    model: str,
    prompt: str,
    max_tokens: int,
    temperature: float,
    top_p: float,
    seed: int,
    device: str | None,
    as_json: bool,
) -> None:
    """Let the MODEL in a folder go on from a prompt, and print as it goes.

    \b
    tokenmill generate model/ --prompt "def main("
    tokenmill generate model/ --prompt "Once" --temperature 0 --json
    """
    from tokenmill.train.generate import Generator

    options = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "seed": seed}
    text = Generator(Path(model), device=device).stream(prompt, **options)
    if as_json:
        print_json({"model": model, "prompt": prompt, **options, "text": "".join(text)})
        return
    click.echo(prompt, nl=False)
    for part in text:
        click.echo(part, nl=False)
        sys.stdout.flush()
    click.echo()
