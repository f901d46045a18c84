"""Processes that tests stop in the middle of their work."""

from __future__ import annotations

import subprocess
from collections.abc import Callable


def started(args: list[str], records: bytes, ready: Callable[[], bool]) -> subprocess.Popen[bytes]:
    """A process that came so far with the records, again and again, and waits for more."""
    process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stdin is not None
    while not ready():
        process.stdin.write(records)
    return process
