"""`tokenmill bench`: what it prints, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from test_validate import listed
from tokenmill.cli import main


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verb sets the variable where it is not set, and this process has other tests to run."""
    monkeypatch.setenv("TOKENMILL_NUM_THREADS", "2")


def run(*args: object) -> Result:
    result = CliRunner().invoke(main, ["bench", *map(str, args)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def parsed(result: Result) -> dict[str, Any]:
    assert result.stdout.count("\n") == 1
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_it_prints_what_was_encoded_and_how_fast(gpt2_path: Path, verdict_path: Path) -> None:
    result = run(verdict_path, "-t", gpt2_path)
    assert result.exit_code == 0
    text, speed = result.stdout.splitlines()
    assert text.split(maxsplit=1)[1] == "20.5 kB in 1 document, 5,145 tokens"
    assert speed.startswith("tokenmill ") and speed.endswith(" MB/s")


@pytest.mark.parametrize("peer", ["tiktoken", "tokenizers"])
def test_equal_ids_are_exit_code_0(gpt2_path: Path, verdict_path: Path, peer: str) -> None:
    args = (verdict_path, "-t", gpt2_path, "--validate", "--against", peer)
    lines = run(*args).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["text", "tokenmill", peer, "ratio", "ids"]
    assert lines[-1].split(maxsplit=1)[1] == "all equal"
    found = parsed(run(*args, "--json"))
    assert (found["ok"], found["tokens"], found["mismatch"]) == (True, 5145, None)
    assert found["peer"].startswith(peer)
    assert found["ratio"] == pytest.approx(found["megabytes_per_second"] / found["peer_megabytes_per_second"])


def test_other_ids_are_exit_code_1_and_the_place(tmp_path: Path) -> None:
    listed(tmp_path / "listed.json")
    (tmp_path / "data.txt").write_text("one\ntwo abc\nabc", encoding="utf-8")
    args = (tmp_path / "data.txt", "-t", tmp_path / "listed.json", "--validate", "--against", "tiktoken")
    result = run(*args, "--separator", r"\n")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].split(maxsplit=1)[1] == "different in 2 documents"
    place, text, ours, tokens, theirs, _ = result.stderr.splitlines()[-6:]
    assert (
        place
        == f"error: {tmp_path / 'data.txt'}, record at 4, byte 4 of its text: the ids differ from number 4 on"
    )
    assert text.split(maxsplit=1) == ["text", "two abc"]
    assert ours.split() == ["tokenmill", "116", "119", "111", "32", "97", "256"]
    assert tokens.strip() == "t|w|o| |a|bc"
    assert theirs.split() == ["tiktoken", "116", "119", "111", "32", "258"]
    found = json.loads(run(*args, "--json", "--separator", r"\n").stdout)
    assert (found["ok"], found["mismatched"], found["mismatch"]["position"]) == (False, 2, 4)
    assert (found["mismatch"]["byte"], found["mismatch"]["theirs"]) == (4, [*b"two ", 258])


def test_it_takes_no_more_text_than_told(gpt2_path: Path, tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"text": "%s"}\n' % ("word " * 200) * 50, encoding="utf-8")
    found = parsed(run(tmp_path / "data.jsonl", "-t", gpt2_path, "--megabytes", "0.01", "--json"))
    assert (found["documents"], found["bytes"]) == (10, 10_000)


def test_a_missing_peer_is_one_line_with_the_command(
    gpt2_path: Path, verdict_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    result = run(verdict_path, "-t", gpt2_path, "--validate")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "pip install tokenizers" in result.stderr and result.stderr.count("\n") == 1


def test_options_that_do_not_go_together(gpt2_path: Path, verdict_path: Path) -> None:
    result = run(verdict_path, "-t", gpt2_path, "--against", "tiktoken")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--validate" in result.stderr


def test_it_runs_as_a_process_with_one_thread(gpt2_path: Path, verdict_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TOKENMILL_NUM_THREADS"}
    args = ["bench", str(verdict_path), "-t", str(gpt2_path), "--validate", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "tokenmill.cli", *args], env=environment, check=True, capture_output=True
    )
    assert json.loads(done.stdout)["ok"] is True
