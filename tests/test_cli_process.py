"""The command line as a process: start-up, Ctrl-C, closed pipes, terminals."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

COMMAND = [sys.executable, "-m", "tokenmill.cli"]
RECORDS = b'{"text": "the quick brown fox jumps over the lazy dog, again and again"}\n' * 4096


def feed(pipe: IO[bytes]) -> None:
    """Writes records until the reader is gone: work that never ends by itself."""
    with suppress(BrokenPipeError):
        while True:
            pipe.write(RECORDS)


@pytest.fixture
def tokenizer(tmp_path: Path, verdict_path: Path) -> Path:
    path = tmp_path / "tokenizer.json"
    args = ["train-tokenizer", str(verdict_path), "-o", str(path), "--vocab-size", "300"]
    subprocess.run([*COMMAND, *args], check=True, capture_output=True)
    return path


def interrupt_after_the_first_progress_line(
    args: list[str], cwd: Path, fed: bool = True
) -> tuple[int, list[str]]:
    """Exit code and lines of stderr of a verb whose stdin has records without end, or (not `fed`) none."""
    process = subprocess.Popen(
        [*COMMAND, *args], cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stdin is not None and process.stderr is not None
    feeder = threading.Thread(target=feed, args=(process.stdin,))
    if fed:
        feeder.start()
    lines = [process.stderr.readline().decode()]
    process.send_signal(signal.SIGINT)
    lines += process.stderr.read().decode().splitlines(keepends=True)
    code = process.wait()
    if fed:
        feeder.join()
    process.stderr.close()
    with suppress(BrokenPipeError):
        process.stdin.close()
    return code, lines


def test_ctrl_c_ends_the_wait_for_input_that_never_comes(tokenizer: Path, tmp_path: Path) -> None:
    args = ["prepare", "-", "--format", "jsonl", "-t", str(tokenizer), "-o", "out.tm"]
    code, lines = interrupt_after_the_first_progress_line(args, tmp_path, fed=False)
    assert code == 130
    assert lines[-1] == "interrupted: out.tm was not made; nothing is left of it\n"


def test_ctrl_c_while_preparing_leaves_nothing_and_says_so(tokenizer: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    args = ["prepare", "-", "--format", "jsonl", "-t", str(tokenizer), "-o", "out.tm"]
    code, lines = interrupt_after_the_first_progress_line(args, tmp_path)
    assert code == 130
    assert lines[-1] == "interrupted: out.tm was not made; nothing is left of it\n"
    assert not any("Traceback" in line for line in lines)
    assert sorted(tmp_path.iterdir()) == before


def test_ctrl_c_while_training_writes_no_tokenizer(tmp_path: Path) -> None:
    args = ["train-tokenizer", "-", "--format", "jsonl", "--vocab-size", "400", "-o", "t.json"]
    code, lines = interrupt_after_the_first_progress_line(args, tmp_path)
    assert (code, lines[-1]) == (130, "interrupted: t.json was not written\n")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_stops_early_is_no_error(tokenizer: Path, verdict_path: Path) -> None:
    args = [*COMMAND, "encode", "-t", str(tokenizer), "--tokens"]
    with verdict_path.open("rb") as text:
        process = subprocess.Popen(args, stdin=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


def test_progress_is_a_bar_on_a_terminal_and_stdout_stays_clean(tokenizer: Path, verdict_path: Path) -> None:
    ours, theirs = pty.openpty()
    args = [
        *COMMAND,
        "prepare",
        str(verdict_path),
        "-t",
        str(tokenizer),
        "-o",
        str(tokenizer.parent / "out.tm"),
    ]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=theirs, check=True, env=environment)
    os.close(theirs)
    drawn = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "encoding" in drawn and "20.5 kB of 20.5 kB" in drawn
    assert done.stdout.decode().startswith("output ")


def test_help_imports_neither_numpy_nor_rich(tmp_path: Path) -> None:
    code = (
        "import sys, runpy\n"
        "sys.argv = ['tokenmill', '--help']\n"
        "try: runpy.run_module('tokenmill.cli', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'rich'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=tmp_path)
    assert done.stderr.strip() == b"[]"
