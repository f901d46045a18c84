"""`tokenmill sample`: training windows of a token store, as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from tokenmill.cli._common import json_option, print_json, token_text

if TYPE_CHECKING:
    from tokenmill import DataLoader, TokenStore, Windows

# Wider pairs of inputs and targets are printed one below the other.
SIDE_BY_SIDE = 100


@dataclass(frozen=True)
class Row:
    """One window of one batch."""

    epoch: int
    batch: int
    window: int
    start: int
    input_ids: list[int]
    labels: list[int]
    inputs: list[str]
    targets: list[str]
    origin: dict[str, Any] | None


@click.command("sample")
@click.argument("path")
@click.option("--max-length", type=click.IntRange(min=1), required=True, help="Tokens in a window.")
@click.option(
    "--stride", type=click.IntRange(min=1), help="From one window's start to the next. Default: max-length."
)
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=8, show_default=True, help="Windows in a batch."
)
@click.option("--shuffle/--no-shuffle", default=False, show_default=True, help="Windows in random order.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which random order.")
@click.option("--windows", type=click.IntRange(min=1), help="How many windows to show. Default: one batch.")
@click.option("--origin", is_flag=True, help="Say where each window's text begins: input file and position.")
@json_option
def command(
    path: str,
    max_length: int,
    stride: int | None,
    batch_size: int,
    shuffle: bool,
    seed: int,
    windows: int | None,
    origin: bool,
    as_json: bool,
) -> None:
    """Show windows of the token store at PATH: the inputs and, one token ahead, the targets.

    \b
    tokenmill sample corpus.tm --max-length 4 --stride 1
    tokenmill sample corpus.tm --max-length 256 --shuffle --seed 1 --windows 20 --origin
    """
    from tokenmill import DataLoader, TokenStore, Windows

    store = TokenStore.open(path)
    options = {"max_length": max_length, "stride": stride}
    loader = DataLoader(store, **options, batch_size=batch_size, shuffle=shuffle, seed=seed, drop_last=False)
    every = Windows(store, **options)
    rows = list(islice(draw(store, loader, every, with_origin=origin), windows or batch_size))
    if as_json:
        print_json({"path": path, "windows_in_all": len(every), "windows": [asdict(row) for row in rows]})
    else:
        print_windows(rows)
        click.echo(
            f"{len(rows):,} of {len(every):,} windows, {every.max_length} tokens each, stride {every.stride}"
        )


def draw(store: TokenStore, loader: DataLoader, windows: Windows, *, with_origin: bool) -> Iterator[Row]:
    """The rows of the loader's batches, with the text of their tokens."""
    for batch in loader:
        for number, input_ids, labels in zip(
            batch.windows.tolist(), batch.input_ids.tolist(), batch.labels.tolist(), strict=True
        ):
            start = windows.start(number)
            yield Row(
                epoch=batch.epoch,
                batch=batch.step,
                window=number,
                start=start,
                input_ids=input_ids,
                labels=labels,
                inputs=[token_text(store.tokenizer, token) for token in input_ids],
                targets=[token_text(store.tokenizer, token) for token in labels],
                origin=asdict(store.origin(start)) if with_origin else None,
            )


def print_windows(rows: list[Row]) -> None:
    """Inputs and targets side by side where they fit, batch by batch."""
    cells = [(f"[{'|'.join(row.inputs)}]", f"[{'|'.join(row.targets)}]") for row in rows]
    width = max((len(inputs) for inputs, _ in cells), default=0)
    beside = width + max((len(targets) for _, targets in cells), default=0) <= SIDE_BY_SIDE
    batch = None
    for row, (inputs, targets) in zip(rows, cells, strict=True):
        if row.batch != batch:
            batch = row.batch
            click.echo(f"{f'batch {batch}: inputs':<{width}}   targets" if beside else f"batch {batch}")
        place = (
            "" if row.origin is None else "   {input}, {unit} {position:,} + {byte:,}".format(**row.origin)
        )
        if beside:
            click.echo(f"{inputs:<{width}}   {targets}{place}")
        else:
            click.echo(f"  window {row.window:,}{place}\n    inputs   {inputs}\n    targets  {targets}")
