"""`tokenmill sample`: training windows of a token store, as text; one place explained; the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from tokenmill.cli._common import json_option, print_json, stacked, token_text

if TYPE_CHECKING:
    from tokenmill import DataLoader, TokenStore
    from tokenmill.order import Shuffle

# Wider pairs of inputs and targets are printed one below the other.
SIDE_BY_SIDE = 100

# What stands for padding, and for a target that does not exist; for a target that is masked.
NOTHING, MASKED = click.style("·", dim=True), click.style("×", fg="red")
# Between tokens of two documents; of one.
EDGE, SAME = click.style("‖", fg="yellow", bold=True), "|"


@dataclass(frozen=True)
class Row:
    """One window of one batch. Texts are None where there is padding or a masked label.

    The first `num_targets` tokens have a target, masked or not; the last one before padding has none.
    """

    epoch: int
    batch: int
    window: int
    start: int | None
    num_targets: int
    input_ids: list[int]
    labels: list[int]
    document_ids: list[int]
    inputs: list[str | None]
    targets: list[str | None]
    origin: dict[str, Any] | None


def parse_place(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, int, int] | None:
    """The numbers of STEP,ROW,COL."""
    if value is None:
        return None
    try:
        step, row, column = (int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not three numbers, such as 0,3,17") from None
    return step, row, column


def parse_max_length(context: click.Context, parameter: click.Parameter, value: str) -> int | dict[int, int]:
    """A number, or stages SAMPLE:LENGTH,..."""
    try:
        if ":" not in value:
            return int(value)
        return {int(first): int(length) for first, length in (pair.split(":") for pair in value.split(","))}
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a number, nor stages such as 0:512,100000:1024") from None


def parse_skip(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[tuple[int, int]]:
    """Ranges FIRST:END."""
    try:
        return [(int(first), int(end)) for first, end in (value.split(":") for value in values)]
    except ValueError:
        raise click.BadParameter(f"{values!r} are not ranges such as 1000:1200") from None


layout_options = stacked(
    click.option(
        "--max-length",
        required=True,
        callback=parse_max_length,
        metavar="N|STAGES",
        help="Tokens in a window; or by stages, 0:512,100000:1024: from which sample on how many.",
    ),
    click.option(
        "--stride",
        type=click.IntRange(min=1),
        help="From one window's start to the next. Default: max-length.",
    ),
    click.option(
        "--batch-size", type=click.IntRange(min=1), default=8, show_default=True, help="Windows in a batch."
    ),
    click.option(
        "--packing",
        type=click.Choice(["concat", "document", "best_fit"]),
        default="concat",
        show_default=True,
        help="Windows over all tokens, within documents, or whole documents packed into rows.",
    ),
    click.option(
        "--tail",
        type=click.Choice(["drop", "pad", "shift"]),
        help="What becomes of tokens after the last full window. Default: drop; within documents: pad.",
    ),
    click.option(
        "--pad-id",
        type=click.IntRange(min=0),
        help="What fills short rows. Default: the tokenizer's pad token, or its end-of-text token.",
    ),
    click.option(
        "--boundary-labels",
        type=click.Choice(["keep", "mask"]),
        default="keep",
        show_default=True,
        help="Whether a document's first token is a target of the document before.",
    ),
    click.option("--shuffle/--no-shuffle", default=False, show_default=True, help="Windows in random order."),
    click.option(
        "--shuffle-blocks",
        is_flag=True,
        help="In random order by blocks of 2^20 tokens, for data on a disk or a network.",
    ),
    click.option(
        "--skip",
        multiple=True,
        callback=parse_skip,
        metavar="FIRST:END",
        help="Samples to leave out, counted from 0. May be given several times.",
    ),
    click.option(
        "--drop-last",
        is_flag=True,
        help="Leave out an epoch's last windows that fill no batch, as DataLoader and train do. Only with it "
        "are steps after the first epoch numbered as theirs.",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Which random order."),
)


@click.command("sample")
@click.argument("path")
@layout_options
@click.option("--windows", type=click.IntRange(min=1), help="How many windows to show. Default: one batch.")
@click.option("--origin", is_flag=True, help="Say where each window's text begins: input file and position.")
@click.option(
    "--explain",
    metavar="STEP,ROW,COL",
    callback=parse_place,
    help="Trace one token of one batch, all counted from 0, to its file and byte.",
)
@click.option("--ledger", is_flag=True, help="Say what becomes of every token in an epoch.")
@json_option
def command(
    path: str,
    windows: int | None,
    origin: bool,
    explain: tuple[int, int, int] | None,
    ledger: bool,
    as_json: bool,
    shuffle: bool,
    shuffle_blocks: bool,
    **options: Any,
) -> None:
    """Show windows of the token store at PATH: the inputs and, one token ahead, the targets.

    A double bar stands between documents, a dot for padding, a cross for a target that is masked.

    \b
    tokenmill sample corpus.tm --max-length 4 --stride 1
    tokenmill sample corpus.tm --max-length 256 --shuffle --seed 1 --windows 20 --origin
    tokenmill sample corpus.tm --max-length 256 --packing best_fit --ledger
    tokenmill sample corpus.tm --max-length 256 --shuffle --explain 1000,3,17
    tokenmill sample corpus.tm --max-length 0:64,1000:128 --shuffle --skip 200:300
    """
    from tokenmill import DataLoader, TokenStore

    if explain is not None and ledger:
        raise click.UsageError("--explain and --ledger are two questions; ask one at a time")
    store = TokenStore.open(path)
    order: Shuffle = "block" if shuffle_blocks else shuffle
    loader = DataLoader(store, document_mask=True, shuffle=order, **options)
    if explain is not None or ledger:
        try:
            answer: Any = loader.ledger() if explain is None else loader.explain(*explain)
        except IndexError as error:
            raise click.UsageError(str(error)) from None
        if as_json:
            print_json(asdict(answer))
        else:
            click.echo(answer)
        return
    count = loader.order.num_samples
    rows = list(islice(draw(store, loader, with_origin=origin), windows or options["batch_size"]))
    if as_json:
        print_json({"path": path, "windows_in_all": count, "windows": [asdict(row) for row in rows]})
    else:
        print_windows(rows)
        lengths = " or ".join(str(length) for length in sorted({len(row.input_ids) for row in rows}))
        click.echo(f"{len(rows):,} of {count:,} windows, {lengths} tokens each, stride {loader.stride}")


def draw(store: TokenStore, loader: DataLoader, *, with_origin: bool) -> Iterator[Row]:
    """The rows of the loader's batches, with the text of their tokens."""
    stages = range(len(loader.order.starts or [0]))
    layouts = {layout.max_length: layout for stage in stages for layout in loader.order.layouts_of(stage)}
    for batch in loader:
        assert batch.document_ids is not None  # the loader was made with document_mask
        layout = layouts[batch.input_ids.shape[1]]
        for number, input_ids, labels, document_ids in zip(
            batch.windows.tolist(),
            batch.input_ids.tolist(),
            batch.labels.tolist(),
            batch.document_ids.tolist(),
            strict=True,
        ):
            parts = layout.plan.parts(number)
            start = parts[0][0] if parts else None  # cut from the padding of a longer window
            yield Row(
                epoch=batch.epoch,
                batch=batch.step,
                window=number,
                start=start,
                num_targets=sum(valid for _, valid in parts),
                input_ids=input_ids,
                labels=labels,
                document_ids=document_ids,
                inputs=[
                    None if document < 0 else token_text(store.tokenizer, token)
                    for token, document in zip(input_ids, document_ids, strict=True)
                ],
                targets=[None if token < 0 else token_text(store.tokenizer, token) for token in labels],
                origin=asdict(store.origin(start)) if with_origin and start is not None else None,
            )


def drawn(texts: list[str | None], document_ids: list[int], num_targets: int = 0) -> str:
    """The tokens of a window, or its targets, between bars."""
    parts = []
    for column, text in enumerate(texts):
        if column:
            same = document_ids[column] in (document_ids[column - 1], -1)
            parts.append(SAME if same else EDGE)
        nothing = MASKED if column < num_targets else NOTHING
        parts.append(nothing if text is None else text)
    return "".join(["[", *parts, "]"])


def padded(text: str, width: int) -> str:
    """`text` filled up to a width that does not count colours."""
    return text + " " * (width - len(click.unstyle(text)))


def print_windows(rows: list[Row]) -> None:
    """Inputs and targets side by side where they fit, batch by batch."""
    # A target belongs to the document of its input, but where that is the document's last token.
    cells = [
        (drawn(row.inputs, row.document_ids), drawn(row.targets, row.document_ids, row.num_targets))
        for row in rows
    ]
    width = max((len(click.unstyle(inputs)) for inputs, _ in cells), default=0)
    other = max((len(click.unstyle(targets)) for _, targets in cells), default=0)
    beside = width + other <= SIDE_BY_SIDE
    batch = None
    for row, (inputs, targets) in zip(rows, cells, strict=True):
        if row.batch != batch:
            batch = row.batch
            click.echo(f"{f'batch {batch}: inputs':<{width}}   targets" if beside else f"batch {batch}")
        place = (
            "" if row.origin is None else "   {input}, {unit} {position:,} + {byte:,}".format(**row.origin)
        )
        if beside:
            click.echo(f"{padded(inputs, width)}   {padded(targets, other)}{place}".rstrip())
        else:
            click.echo(f"  window {row.window:,}{place}\n    inputs   {inputs}\n    targets  {targets}")
