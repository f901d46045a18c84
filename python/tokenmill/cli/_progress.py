"""Progress of long work on stderr: a bar on a terminal, lines elsewhere.

The library reports `progress(stage, unit, done, total)`; a new stage begins when `stage` changes.
"""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from tokenmill.cli._common import human_bytes

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# A log file gets the first and the last line of a stage and, in between, one every so many seconds.
LOG_SECONDS = 5.0


@contextmanager
def progress(*, as_json: bool = False) -> Iterator[Pace]:
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


class Pace(ABC):
    """How fast a stage goes, and what the library notes besides."""

    @abstractmethod
    def __call__(self, stage: str, unit: str, done: int, total: int | None, /) -> None:
        """What the library calls."""

    def __init__(self) -> None:
        self.stage: str | None = None
        self.text = ""
        #: Seconds by stage, once the work has ended.
        self.seconds: dict[str, float] = {}

    def took(self, name: str, seconds: float) -> None:
        """Remembers what a stage took, for the summary."""
        self.seconds[name] = round(seconds, 2)

    def note(self, text: str) -> None:
        """Remembers it for the next call."""
        self.text = text

    def begin(self, stage: str, done: int) -> bool:
        """Whether a stage is new; its pace is counted from here."""
        if stage == self.stage:
            return False
        self.stage, self.text = stage, ""
        self.began, self.first = time.monotonic(), done
        return True

    def seconds_left(self, done: int, total: int | None) -> float | None:
        """At the pace so far."""
        if total is None or done <= self.first:
            return None
        return (time.monotonic() - self.began) / (done - self.first) * (total - done)

    def words(self, unit: str, done: int, total: int | None) -> str:
        """How far the work is, how fast, and what was noted."""
        parts = [amount(unit, done, total)]
        seconds = time.monotonic() - self.began
        if unit == "bytes" and seconds > 0 and done > self.first:
            parts.append(f"{human_bytes(int((done - self.first) / seconds))}/s")
        return ", ".join([*parts, self.text] if self.text else parts)


class Bars(Pace):
    """One rich bar a stage."""

    def __init__(self, bar: Progress) -> None:
        super().__init__()
        self.bar = bar
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, unit: str, done: int, total: int | None, /) -> None:
        """Moves the bar of `stage`."""
        self.begin(stage, done)
        if stage not in self.tasks:
            self.tasks[stage] = self.bar.add_task(stage, total=total, amount="")
        words = self.words(unit, done, total)
        self.bar.update(self.tasks[stage], completed=done, total=total, amount=words)


class Lines(Pace):
    """One line now and then."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self.as_json = as_json
        self.next_line = 0.0
        self.shown: tuple[str, int] | None = None

    def __call__(self, stage: str, unit: str, done: int, total: int | None, /) -> None:
        """Writes a line where the stage begins or ends, or the last line is old."""
        now = time.monotonic()
        if not self.begin(stage, done) and done != total and now < self.next_line:
            return
        if (stage, done) == self.shown:
            return
        self.next_line, self.shown = now + LOG_SECONDS, (stage, done)
        if self.as_json:
            fields: dict[str, object] = {"stage": stage, "unit": unit, "done": done, "total": total}
            if self.text:
                fields["note"] = self.text
            click.echo(json.dumps(fields, ensure_ascii=False), err=True)
            return
        left = self.seconds_left(done, total)
        line = f"{stage}: {self.words(unit, done, total)}"
        click.echo(line if not left else f"{line}, {left:,.0f} s left", err=True)


def amount(unit: str, done: int, total: int | None) -> str:
    """How far the work is, in words.

    >>> amount("bytes", 12_300_000, 110_000_000), amount("merges", 300, None)
    ('12.3 MB of 110.0 MB', '300 merges')
    """
    if unit == "bytes":
        return human_bytes(done) + (f" of {human_bytes(total)}" if total is not None else "")
    return f"{done:,}" + (f" of {total:,}" if total is not None else "") + f" {unit}"
