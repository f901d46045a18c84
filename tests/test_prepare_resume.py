"""Stopping `prepare` as it happens to people, and going on. (The Rust tests stop it at every step.)"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from processes import started
from tokenmill import _core
from tokenmill.documents import Documents
from tokenmill.prepare import finished_shards, prepare
from tokenmill.store import TokenStore
from tokenmill.tokenizer import Tokenizer
from tokenmill.train_tokenizer import train_bpe

COMMAND = [sys.executable, "-m", "tokenmill.cli"]
TEXTS = [f"document {i}: the quick brown fox jumps over the lazy dog" for i in range(2000)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tokenizer.json, a.jsonl, and whole.tm: what an undisturbed run makes of it, read from stdin."""
    folder = tmp_path_factory.mktemp("resume")
    train_bpe(Documents.from_texts(TEXTS), vocab_size=300, special_tokens=["<|endoftext|>"]).save(
        folder / "tokenizer.json"
    )
    (folder / "a.jsonl").write_text("".join(f'{{"text": "{text}"}}\n' for text in TEXTS))
    with (folder / "a.jsonl").open("rb") as records:
        subprocess.run(command(folder, "whole.tm"), stdin=records, check=True, capture_output=True)
    return folder


def command(folder: Path, out: Path | str, *more: str, shard_tokens: int = 5000) -> list[str]:
    options = ["--format", "jsonl", "-t", str(folder / "tokenizer.json"), "-o", str(folder / out)]
    options += ["--shard-tokens", str(shard_tokens), "--val-fraction", "0.2"]
    return [*COMMAND, "prepare", "-", *options, *more]


def files(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir()}


def ended(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None and process.stdin is not None
    said = process.stderr.read().decode()
    process.wait()
    process.stderr.close()
    close(process.stdin)
    return said


def close(pipe: IO[bytes]) -> None:
    with suppress(BrokenPipeError):
        pipe.close()


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(folder: Path, tmp_path: Path):
    records = (folder / "a.jsonl").read_bytes()
    # More than a process has read when it finishes its first shards: it reads ahead.
    (tmp_path / "all.jsonl").write_bytes(records * ((40 << 20) // len(records)))
    out = tmp_path / "s.tm"
    args = command(folder, out, shard_tokens=10**6)
    process = started(args, records, lambda: finished_shards(out) >= 2)
    process.kill()
    ended(process)
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(FileNotFoundError):
        TokenStore.open(out)
    for name, more in [("s.tm", ["--resume"]), ("t.tm", [])]:
        with (tmp_path / "all.jsonl").open("rb") as again:
            args = command(folder, tmp_path / name, *more, shard_tokens=10**6)
            subprocess.run(args, stdin=again, check=True, capture_output=True)
    assert files(out) == files(tmp_path / "t.tm")
    assert TokenStore.open(out).verify().ok and not (tmp_path / "s.tm.partial").exists()


def test_ctrl_c_says_what_is_kept_and_how_to_go_on(folder: Path, tmp_path: Path):
    out = tmp_path / "s.tm"
    args = command(folder, out, shard_tokens=10**6)
    process = started(args, (folder / "a.jsonl").read_bytes(), lambda: finished_shards(out) >= 2)
    process.send_signal(signal.SIGINT)
    said = ended(process)
    told = f"{finished_shards(out)} finished shards are in {out}.partial; go on with --resume"
    assert process.returncode == 130
    assert said.splitlines()[-1] == f"interrupted: {out} was not made; {told}"


def test_a_disk_that_is_full_ends_the_run_and_room_lets_it_go_on(folder: Path, tmp_path: Path):
    out = tmp_path / "s.tm"

    # A shard of 5,000 tokens takes 10 kB. Python ignores the signal: the write fails as on a full disk. The
    # new process sets the limit, as forking this one warns once another test has loaded JAX.
    limited = (
        "import os, resource, sys; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, resource.RLIM_INFINITY)); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    with (folder / "a.jsonl").open("rb") as records:
        full = subprocess.run(
            [sys.executable, "-c", limited, *command(folder, out)], stdin=records, capture_output=True
        )
    assert full.returncode == 1 and b"File too large" in full.stderr and b".partial/" in full.stderr
    assert not out.exists()
    with (folder / "a.jsonl").open("rb") as records:
        subprocess.run(command(folder, out, "--resume"), stdin=records, check=True, capture_output=True)
    assert files(out) == files(folder / "whole.tm")


def test_two_processes_never_write_one_store(folder: Path, tmp_path: Path):
    out = tmp_path / "s.tm"
    partial = tmp_path / "s.tm.partial"
    first = started(command(folder, out), b"", partial.exists)
    for more in ([], ["--resume"]):
        second = subprocess.run(command(folder, out, *more), stdin=subprocess.DEVNULL, capture_output=True)
        assert second.returncode == 1
        assert b"another process is at work on this store; wait until it has ended" in second.stderr
    first.kill()
    ended(first)


def test_a_folder_that_cannot_be_written_is_named(folder: Path, tmp_path: Path):
    tmp_path.chmod(0o500)
    # Nothing is read-only to root, but for what the kernel keeps.
    closed = Path("/sys") if os.geteuid() == 0 else tmp_path
    made = subprocess.run(command(folder, closed / "s.tm"), stdin=subprocess.DEVNULL, capture_output=True)
    tmp_path.chmod(0o700)
    assert made.returncode == 1 and f"error: {closed}/s.tm.partial: ".encode() in made.stderr


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.load(folder / "tokenizer.json")


def stop(tokenizer: Tokenizer, data: Documents, out: Path) -> None:
    """Ends with an exception of a callback, when there are finished shards. The data are 18 MB or more."""

    def progress(stage: str, unit: str, done: int, total: int | None, /) -> None:
        if done > 17 << 20:
            # Two groups of 8 MiB have been encoded: the first has been handed to the thread that writes.
            while not finished_shards(out):
                os.sched_yield()
            raise RuntimeError("enough")
        # The core tells at most ten times a second: it tells again after the next group.
        told = time.monotonic()
        while time.monotonic() < told + 0.11:
            os.sched_yield()

    with pytest.raises(RuntimeError, match="enough"):
        prepare(data, tokenizer=tokenizer, out=out, shard_tokens=10**6, progress=progress)


def test_changed_options_and_inputs_are_refused_with_what_differs(tmp_path: Path, tokenizer: Tokenizer):
    for name in ("a", "b"):
        lines = [f'{{"text": "{name} {text}"}}\n' for text in TEXTS * 90]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    a, b, out = str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl"), tmp_path / "s.tm"
    stop(tokenizer, Documents.from_files([a, b]), out)

    def refused(data: Documents | list[str], **options: object) -> str:
        with pytest.raises(
            _core.StoreError, match=r"s\.tm\.partial: .*remove the folder and start again"
        ) as error:
            arguments = {"tokenizer": tokenizer, "shard_tokens": 10**6, "resume": True, **options}
            prepare(data, out=out, **arguments)  # type: ignore[arg-type]
        return str(error.value)

    eos = tokenizer.special_tokens["<|endoftext|>"]
    assert f"the EOS token was {eos} and is none now" in refused([a, b], add_eos=False)
    assert "shard_tokens was 1000000 and is 999 now" in refused([a, b], shard_tokens=999)
    assert f"input 0 was {a} and is {b} now" in refused([b, a])
    assert f"input 1, {b}, is no longer there" in refused([a])
    assert "the layout of" in refused(Documents.from_files([a, b], text_field="x"))
    other = train_bpe(Documents.from_texts(TEXTS), vocab_size=299, special_tokens=["<|endoftext|>"])
    assert "the SHA-256 of the tokenizer was" in refused([a, b], tokenizer=other)
    text = Path(a).read_bytes()
    Path(a).write_bytes(text.replace(b"fox", b"cat", 1))
    assert f"shard-00000 was made of other documents than are read now: {a} has changed" in refused([a, b])
    Path(a).write_bytes(text)
    Path(b).rename(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match=r"b\.jsonl"):
        prepare([a, b], tokenizer=tokenizer, out=out, shard_tokens=10**6, resume=True)
    (tmp_path / "gone").rename(b)

    resumed = prepare([a, b], tokenizer=tokenizer, out=out, shard_tokens=10**6, resume=True)
    assert files(resumed.path) == files(
        prepare([a, b], tokenizer=tokenizer, out=tmp_path / "t.tm", shard_tokens=10**6).path
    )


def test_texts_of_a_program_are_resumed_too(tmp_path: Path, tokenizer: Tokenizer):
    data = Documents.from_texts(TEXTS * 180)
    stop(tokenizer, data, tmp_path / "s.tm")
    with pytest.raises(_core.StoreError, match="was left by a run that was stopped"):
        prepare(data, tokenizer=tokenizer, out=tmp_path / "s.tm")
    with pytest.raises(_core.StoreError, match="the inputs have changed"):
        prepare(
            Documents.from_texts(TEXTS[:3]),
            tokenizer=tokenizer,
            out=tmp_path / "s.tm",
            shard_tokens=10**6,
            resume=True,
        )
    resumed = prepare(data, tokenizer=tokenizer, out=tmp_path / "s.tm", shard_tokens=10**6, resume=True)
    whole = prepare(data, tokenizer=tokenizer, out=tmp_path / "t.tm", shard_tokens=10**6)
    assert files(resumed.path) == files(whole.path)
