"""What a run tells as it goes: a line of JSON a step, and loggers that others have written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from tokenmill.whole import write_whole

FILE = "metrics.jsonl"


class Logger(Protocol):
    """Takes numbers of a step."""

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Takes note of them."""

    def close(self) -> None:
        """Ends."""


class JsonLines:
    """metrics.jsonl: one object a line. A run that goes on keeps the lines up to where it goes on."""

    def __init__(self, out: Path, *, after: int) -> None:
        path = out / FILE
        kept = [line for line in read(out) if line["step"] <= after] if after else []
        write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = path.open("a", encoding="utf-8")

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Writes a line at once."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Ends the file."""
        self._file.close()


def read(out: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; a last one that a kill has cut short is left out."""
    path = out / FILE
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


class TensorBoard:
    """Event files beside the model, for `tensorboard --logdir`."""

    def __init__(self, out: Path) -> None:
        writer = import_module("torch.utils.tensorboard").SummaryWriter
        self._writer = writer(str(out / "tensorboard"))

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Adds a point to each curve."""
        for name, value in values.items():
            if isinstance(value, (int, float)):
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()


class Tracker:
    """Weights & Biases, or Trackio, which has the same interface."""

    def __init__(self, name: str, out: Path, config: Mapping[str, Any]) -> None:
        self._run = import_module(name).init(project="tokenmill", name=out.name, config=dict(config))

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Sends the numbers."""
        numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
        self._run.log(numbers, step=step)

    def close(self) -> None:
        """Ends the run."""
        self._run.finish()


LOGGERS = ("tensorboard", "wandb", "trackio")


def open_logger(name: str, out: Path, config: Mapping[str, Any]) -> Logger:
    """One of `LOGGERS`, which has to be installed."""
    if name not in LOGGERS:
        raise ValueError(f"there is no logger {name!r}; known are {', '.join(LOGGERS)}")
    try:
        return TensorBoard(out) if name == "tensorboard" else Tracker(name, out, config)
    except ImportError as error:
        raise ImportError(
            f"logging to {name} needs it to be installed: pip install {name} ({error})"
        ) from None
