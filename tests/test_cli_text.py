"""Text of any length on standard input: the ids of the whole, in little memory, as they come."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from click.testing import CliRunner, Result

import tokenmill as tm
import tokenmill.cli._text
import tokenmill.encode_stream
from peers import END
from samples import MIXED, standard_library
from tokenmill.cli import main

COMMAND = [sys.executable, "-m", "tokenmill"]
LINE = "The cat's 12345 hats,\r\n\n  in  中文 \t它.\n//"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer with a special token."""
    path = tmp_path_factory.mktemp("text") / "tokenizer.json"
    docs = tm.Documents.from_texts([MIXED, LINE] * 3)
    tm.train_bpe(docs, vocab_size=400, special_tokens=[END]).save(path)
    return path


@pytest.fixture(scope="module")
def tok(path: Path) -> tm.Tokenizer:
    return tm.Tokenizer.load(path)


@pytest.fixture(params=[1, 5, 1000])
def small_chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many bytes are read and encoded at a time."""
    monkeypatch.setattr(tokenmill.encode_stream, "CHUNK", request.param)
    monkeypatch.setattr(tokenmill.cli._text, "CHUNK", request.param)


def run(*args: object, stdin: bytes) -> Result:
    result = CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("text", ["", "a", (MIXED + END) * 4, END * 50, "é" * 300])
@pytest.mark.parametrize("allowed", [(), ("--allow-special", END), ("--allow-special", "all")])
def test_every_format_has_the_ids_of_the_whole(
    path: Path, tok: tm.Tokenizer, text: str, allowed: tuple[str, ...], small_chunks: None
) -> None:
    args, stdin = ["encode", "-t", path, *allowed], text.encode()
    want = tok.encode(text, allowed_special="all" if allowed else ())
    tokens = [token.decode(errors="backslashreplace") for token in map(tok.id_to_token, want) if token]
    tokens = ["".join(c if c.isprintable() else repr(c)[1:-1] for c in token) for token in tokens]
    assert run(*args, stdin=stdin).stdout == " ".join(map(str, want)) + "\n"
    lines = [f"{number:>8}  {token}\n" for number, token in zip(want, tokens, strict=True)]
    assert run(*args, "--tokens", stdin=stdin).stdout == "".join(lines)
    assert run(*args, "--json", stdin=stdin).stdout == json.dumps({"ids": want}) + "\n"
    both = json.dumps({"ids": want, "tokens": tokens}, ensure_ascii=False) + "\n"
    assert run(*args, "--json", "--tokens", stdin=stdin).stdout == both
    for name, dtype in (("u16", "<u2"), ("u32", "<u4")):
        written = run(*args, "--format", name, stdin=stdin).stdout_bytes
        assert np.frombuffer(written, dtype).tolist() == want
    if not allowed:
        assert run("count", "-t", path, stdin=stdin).stdout == f"{len(want)}\n"
        assert run("count", "-t", path, "--json", stdin=stdin).stdout == f'{{"tokens": {len(want)}}}\n'


def test_real_text_in_many_chunks(path: Path, tok: tm.Tokenizer) -> None:
    text = END.join(standard_library(4_000_000))
    written = run("encode", "-t", path, "--format", "u16", stdin=text.encode()).stdout_bytes
    assert np.array_equal(np.frombuffer(written, "<u2"), tok.encode_to_numpy(text))
    assert run("count", "-t", path, stdin=text.encode()).stdout == f"{tok.count(text)}\n"


@pytest.mark.parametrize("verb", ["encode", "count", "decode"])
def test_bytes_that_are_no_text_are_an_error_that_says_where(
    path: Path, tok: tm.Tokenizer, verb: str, small_chunks: None
) -> None:
    good = "1 23 é " * 300
    for bad in (b"\xff", b"\xed\xa0\x80", b"\xc3", b"\xf0\x9f\x91", b"\xc3 and more " * 99):
        result = run(verb, "-t", path, stdin=good.encode() + bad)
        assert result.exit_code == 1
        place = len(good.encode())
        assert result.stderr.startswith(f"error: <stdin>, byte {place}: the text is not valid UTF-8")
        assert result.stderr.count("\n") == 1
        printed = [int(word) for word in result.stdout.split()]
        assert printed == tok.encode(good)[: len(printed)]


def test_numbers_stand_alone_and_must_have_room(path: Path, cl100k_path: Path) -> None:
    for option in ("--json", "--tokens"):
        result = run("encode", "-t", path, "--format", "u32", option, stdin=b"a")
        assert (result.exit_code, result.stdout_bytes) == (2, b"")
        assert "--format u32 writes ids alone" in result.stderr
    result = run("encode", "-t", cl100k_path, "--format", "u16", stdin=b"a")
    assert (result.exit_code, result.stdout_bytes) == (2, b"")
    assert "--format u16 holds ids up to 65,535, and this tokenizer's go up to 100,276" in result.stderr


def test_a_terminal_needs_one_end_and_a_pipe_says_when_it_does_not_wait(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pipe(io.BytesIO):
        def __init__(self, chunks: list[bytes | None], is_terminal: bool) -> None:
            super().__init__()
            self.chunks, self.is_terminal, self.buffer = iter(chunks), is_terminal, self

        def isatty(self) -> bool:
            return self.is_terminal

        def read(self, size: int | None = -1, /) -> bytes:
            return next(self.chunks)  # type: ignore[return-value]

    monkeypatch.setattr(sys, "stdin", Pipe([b"a"], is_terminal=True))
    assert list(tokenmill.cli._text.Text(None).chunks()) == [b"a"]
    monkeypatch.setattr(sys, "stdin", Pipe([b"a", b"b", b""], is_terminal=False))
    assert list(tokenmill.cli._text.Text(None).chunks()) == [b"a", b"b"]
    monkeypatch.setattr(sys, "stdin", Pipe([b"a", None], is_terminal=False))
    with pytest.raises(BlockingIOError, match="<stdin>"):
        list(tokenmill.cli._text.Text(None).chunks())


# As a process.


def feed(pipe: IO[bytes], data: Iterator[bytes]) -> threading.Thread:
    """Writes it all, unless the reader goes."""

    def write() -> None:
        with suppress(BrokenPipeError), pipe:
            for part in data:
                pipe.write(part)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def started(
    path: Path, args: list[str], data: Iterator[bytes], **environment: str
) -> tuple[subprocess.Popen[bytes], threading.Thread]:
    process = subprocess.Popen(
        [*COMMAND, args[0], "-t", str(path), *args[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TOKENMILL_CACHE_MIB": "1", "TOKENMILL_NUM_THREADS": "2", **environment},
    )
    assert process.stdin is not None
    return process, feed(process.stdin, data)


def peak_and_size(path: Path, args: list[str], lines: int) -> tuple[int, int]:
    """The most memory that a verb took for so many lines, in bytes, and how much it wrote."""
    block = LINE.encode() * 1000
    process, feeder = started(path, args, (block for _ in range(lines // 1000)))
    assert process.stdout is not None and process.stderr is not None
    size = 0
    while part := process.stdout.read(1 << 20):
        size += len(part)
    feeder.join()
    assert process.stderr.read() == b""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    process.stderr.close()
    assert process.returncode == 0
    return usage.ru_maxrss << (0 if sys.platform == "darwin" else 10), size


@pytest.mark.parametrize(
    ("args", "lines"),
    [
        (["count"], 2_000_000),
        (["encode", "--format", "u32"], 2_000_000),
        (["encode"], 500_000),
        (["encode", "--json", "--tokens"], 500_000),
    ],
)
def test_memory_does_not_grow_with_the_text(path: Path, args: list[str], lines: int) -> None:
    few, _ = peak_and_size(path, args, lines // 10)
    many, size = peak_and_size(path, args, lines)
    # The text has up to 100 MB: as a `str` it would have 160.
    assert many < few + 16_000_000, (few, many, size)
    assert size > (lines if args[0] == "encode" else 0)


def endless() -> Iterator[bytes]:
    while True:
        yield LINE.encode() * 1000


@pytest.mark.parametrize("options", [[], ["--tokens"], ["--json"], ["--format", "u32"]])
def test_a_reader_that_stops_early_ends_it(path: Path, options: list[str]) -> None:
    process, feeder = started(path, ["encode", *options], endless())
    assert process.stdout is not None and process.stderr is not None
    assert len(process.stdout.read(1000)) == 1000
    process.stdout.close()
    assert process.stderr.read() == b""
    feeder.join()
    process.stderr.close()
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("args", "last"),
    [
        (["encode"], "interrupted: what was printed is the beginning\n"),
        (["count"], "interrupted: nothing was written\n"),
    ],
)
def test_ctrl_c_ends_it(path: Path, args: list[str], last: str) -> None:
    begun = threading.Event()

    def data() -> Iterator[bytes]:
        for number, block in enumerate(endless()):
            if number == 100:  # of 50 kB: more than a pipe and a chunk hold, so the verb is at work
                begun.set()
            yield block

    process, feeder = started(path, args, data())
    assert process.stdout is not None and process.stderr is not None
    if args == ["encode"]:
        assert len(process.stdout.read(8_000_000)) == 8_000_000  # of the third chunk
    else:
        assert begun.wait(60)
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert process.stderr.read().decode() == "\n" + last
    feeder.join()
    process.stdout.close()
    process.stderr.close()
    assert process.wait() == 130


def test_nothing_is_lost_where_a_signal_cuts_a_write_short(path: Path, tok: tm.Tokenizer) -> None:
    text = LINE * 40_000
    process, feeder = started(
        path, ["encode", "--format", "u32"], iter([text.encode()]), PYTHONUNBUFFERED="1"
    )
    assert process.stdout is not None and process.stderr is not None
    read = []
    while part := os.read(process.stdout.fileno(), 1 << 14):
        read.append(part)
        # Most of the time it waits for room in the pipe, with half of a write behind it.
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGCONT)
    feeder.join()
    process.stdout.close()
    process.stderr.close()
    assert process.wait() == 0
    assert np.array_equal(np.frombuffer(b"".join(read), "<u4"), tok.encode_to_numpy(text))


@pytest.mark.long
def test_a_gibibyte_without_a_place_to_be_cut_is_an_error(tok: tm.Tokenizer) -> None:
    block = b" " * (64 << 20)
    with pytest.raises(ValueError, match="bytes in a row offer no place to be cut"):
        list(tok.encode_iter(block for _ in range(17)))
