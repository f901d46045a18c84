"""Processes that tests start."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

#: The end of a script that torchrun starts: none of gloo's threads is left. One that lets go of a tensor
#: while Python ends aborts the process, in few of many runs.
NO_THREADS_LEFT = """
from pathlib import Path
names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
assert not [name for name in names if "gloo" in name], names
"""


def started(args: list[str], records: bytes, ready: Callable[[], bool]) -> subprocess.Popen[bytes]:
    """A process that came so far with the records, again and again, and waits for more."""
    process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stdin is not None
    while not ready():
        process.stdin.write(records)
    return process
