"""How long work tells its progress."""

from __future__ import annotations

from typing import Protocol


class ProgressCallback(Protocol):
    """Called on the calling thread, at most ten times a second. Raise an exception to stop the work.

    One that also has a method `note(text)` is told more, before the call: of merging, the last token and how
    often its pair occurred. One with a method `took(name, seconds)` is told at the end of `prepare` what its
    stages took, the times of all threads added up: "input" (waiting for what reads), "parse" (checking,
    decoding, hashing texts), "encode", "write" (with hashes), "finish" (the last sync, the manifest).
    """

    def __call__(self, stage: str, unit: str, done: int, total: int | None, /) -> object:
        """Take note of `done` of `total` `unit`s (`None`: nobody knows how many there are)."""
