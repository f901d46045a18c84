"""Progress of long work on stderr: a bar on a terminal, lines elsewhere.

The library reports `progress(stage, unit, done, total)`; a new stage begins when `stage` changes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from tokenmill.cli._common import human_bytes

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from tokenmill.progress import ProgressCallback

# A log file gets the first and the last line of a stage and, in between, one every so many seconds.
LOG_SECONDS = 5.0


@contextmanager
def progress(*, as_json: bool = False) -> Iterator[ProgressCallback]:
    """A callable for the `progress` option of the library, fit for where stderr leads."""
    if as_json or not sys.stderr.isatty():
        yield Lines(as_json=as_json)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = [
        TextColumn("{task.description:<16}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield Bars(bar)


class Bars:
    """One rich bar a stage."""

    def __init__(self, bar: Progress) -> None:
        self.bar = bar
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, unit: str, done: int, total: int | None, /) -> None:
        """Moves the bar of `stage`."""
        if stage not in self.tasks:
            self.tasks[stage] = self.bar.add_task(stage, total=total, amount="")
        self.bar.update(self.tasks[stage], completed=done, total=total, amount=amount(unit, done, total))


class Lines:
    """One line now and then."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.stage: str | None = None
        self.next_line = 0.0

    def __call__(self, stage: str, unit: str, done: int, total: int | None, /) -> None:
        """Writes a line where the stage begins or ends, or the last line is old."""
        now = time.monotonic()
        if stage == self.stage and done != total and now < self.next_line:
            return
        self.stage, self.next_line = stage, now + LOG_SECONDS
        if self.as_json:
            line = json.dumps({"stage": stage, "unit": unit, "done": done, "total": total})
        else:
            line = f"{stage}: {amount(unit, done, total)}"
        click.echo(line, err=True)


def amount(unit: str, done: int, total: int | None) -> str:
    """How far the work is, in words.

    >>> amount("bytes", 12_300_000, 110_000_000), amount("merges", 300, None)
    ('12.3 MB of 110.0 MB', '300 merges')
    """
    if unit == "bytes":
        return human_bytes(done) + (f" of {human_bytes(total)}" if total is not None else "")
    return f"{done:,}" + (f" of {total:,}" if total is not None else "") + f" {unit}"
