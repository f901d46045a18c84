"""`tokenmill train`: a language model from a token store."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from tokenmill.cli._common import Note, given, human_bytes, json_option, print_json, print_rows
from tokenmill.cli._progress import progress

SIZES = ("1m", "10m", "50m", "124m", "350m", "1b")
LOGGERS = ("tensorboard", "wandb", "trackio")


@click.command("train")
@click.argument("store")
@click.option("-o", "--output", metavar="FOLDER", required=True, help="Where the model goes.")
@click.option("--size", type=click.Choice(SIZES), help="Parameters, about. Default: 10m.")
@click.option("--architecture", type=click.Choice(["llama", "gpt2"]), help="Default: llama.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A config.json of transformers in place of size and architecture.",
)
@click.option("--max-length", type=int, metavar="N", help="Tokens of a window. Default: by size.")
@click.option("--batch-rows", type=int, metavar="N", help="Windows of a step, all processes together.")
@click.option("--micro-rows", type=int, metavar="N", help="Windows that a process takes at a time.")
@click.option("--steps", type=int, metavar="N", help="How many steps to take.")
@click.option("--tokens", type=int, metavar="N", help="How many tokens to learn from.")
@click.option("--epochs", type=float, metavar="X", help="How often to go through the store.")
@click.option("--learning-rate", type=float, metavar="X", help="At its highest. Default: by size.")
@click.option("--schedule", type=click.Choice(["cosine", "wsd"]), help="How it falls. Default: cosine.")
@click.option(
    "--document-mask/--no-document-mask",
    default=None,
    help="Whether tokens see only their own document. Default: they do.",
)
@click.option("--seed", type=int, metavar="N", help="Of the weights and of the order of windows. Default: 0.")
@click.option("--eval-every", type=int, metavar="N", help="Steps between evaluations.")
@click.option("--eval-tokens", type=int, metavar="N", help="Tokens of the validation split to look at.")
@click.option("--save-every", type=int, metavar="N", help="Steps between checkpoints.")
@click.option("--device", metavar="NAME", help="cpu, cuda, ... Default: a GPU if there is one.")
@click.option("--precision", type=click.Choice(["bf16", "fp32"]), help="Default: bf16 on a GPU.")
@click.option("--compile/--no-compile", default=None, help="torch.compile. Default: on a GPU.")
@click.option("--log-to", multiple=True, type=click.Choice(LOGGERS), help="Log there too. May be repeated.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in FOLDER.")
@click.option("--dry-run", is_flag=True, help="Say what it will take; write nothing.")
@json_option
@click.pass_obj
def command(
    note: Note,
    /,
    store: str,
    output: str,
    log_to: tuple[str, ...],
    resume: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a language model on STORE: Llama or GPT-2 of transformers, evaluated on the validation split.

    Without a budget it takes 20 tokens for each parameter, at most 4 epochs. Killed, it goes on with --resume
    from the last checkpoint with the very same batches, also on another number of processes:

    \b
    tokenmill train corpus.tm -o model/ --size 10m
    tokenmill train corpus.tm -o model/ --size 10m --resume
    torchrun --nproc-per-node 8 -m tokenmill.cli train corpus.tm -o model/ --size 350m
    """
    from tokenmill import TokenStore
    from tokenmill.train import TrainOptions, train_model

    out = Path(output)
    chosen = TrainOptions(**given(**options))
    data = TokenStore.open(store)
    if dry_run:
        show_estimate(data, out, chosen, as_json=as_json)
        return
    note.kept = f"go on with --resume: what is in {out / 'checkpoints'} is whole"
    with progress(as_json=as_json) as report:
        trained = train_model(
            data,
            out,
            chosen,
            resume=resume,
            loggers=log_to,
            command=shlex.join(["tokenmill", *sys.argv[1:]]),
            progress=report,
            tell=lambda line: None if as_json else click.echo(line, err=True),
        )
    if os.environ.get("RANK", "0") != "0":
        return  # Of the processes that torchrun has started, the first speaks.
    result = {name: value for name, value in vars(trained).items() if name != "out"}
    if as_json:
        print_json({"output": output, **result})
        return
    rows: list[tuple[str, object]] = [("output", output)]
    for name, value in result.items():
        shown = f"{value:,.{0 if value >= 1000 else 4}f}" if isinstance(value, float) else value
        rows.append((name.replace("_", " "), "none" if value is None else shown))
    print_rows(rows)


def show_estimate(store: Any, out: Path, options: Any, *, as_json: bool) -> None:
    """Prints what a run will take."""
    from tokenmill.train.estimate import estimate

    told = estimate(store, out, options)
    if as_json:
        print_json(vars(told))
        return
    print_rows(
        [
            ("parameters", told.parameters),
            ("steps", told.steps),
            ("tokens per step", told.tokens_per_step),
            ("tokens", told.tokens),
            ("epochs", f"{told.epochs:.2f}"),
            ("FLOPs", f"{told.flops:.2e}"),
            ("memory, about", human_bytes(told.memory_bytes)),
            ("time, about", f"{told.seconds:,.0f} s"),
        ]
    )
