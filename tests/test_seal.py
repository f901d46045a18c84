"""Several tasks that prepare one store. (The Rust tests stop them, and the joining, at every step.)"""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tokenmill import _core
from tokenmill.cli import main
from tokenmill.documents import Documents
from tokenmill.prepare import prepare, seal
from tokenmill.store import TokenStore
from tokenmill.tokenizer import Tokenizer
from tokenmill.train_tokenizer import train_bpe

OPTIONS: dict[str, Any] = {"shard_tokens": 900, "val_fraction": 0.2, "on_error": "quarantine"}
Whole = tuple[TokenStore, dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ of all kinds of files, some records of which are no documents, and tokenizer.json."""
    folder = tmp_path_factory.mktemp("tasks")
    data = folder / "data"
    data.mkdir()
    texts = random.Random(5)

    def some(count: int) -> list[str]:
        return [
            " ".join(texts.choices(["cat", "dog", "<|endoftext|>", "naïve"], k=texts.choice([2, 9])))
            for _ in range(count)
        ]

    def lines(count: int) -> bytes:
        records = [json.dumps({"text": text}) for text in some(count)]
        return "\n".join([*records, "no record", ""]).encode()

    (data / "a.jsonl").write_bytes(lines(40))
    (data / "b.jsonl.gz").write_bytes(gzip.compress(lines(200)))
    pq.write_table(pa.table({"text": some(60)}), data / "c.parquet")
    (data / "d.txt").write_text("")
    (data / "e.txt").write_text("a file is a document")
    (data / "f.jsonl").write_bytes(lines(3))
    (data / "g.txt").write_bytes(b"\xff")
    pq.write_table(pa.table({"text": some(5)}), data / "h.parquet")
    train_bpe(Documents.from_texts(["cat dog naive"]), vocab_size=270, special_tokens=["<|endoftext|>"]).save(
        folder / "tokenizer.json"
    )
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.load(folder / "tokenizer.json")


@pytest.fixture(scope="module", params=[None, "exact"])
def whole(folder: Path, tokenizer: Tokenizer, request: pytest.FixtureRequest) -> Whole:
    """The store of one process, and its options."""
    options = OPTIONS | {"dedup": request.param}
    store = prepare(
        str(folder / "data"),
        tokenizer=tokenizer,
        out=folder / f"whole-{request.param}.tm",
        quarantine=folder / "rejected.jsonl",
        **options,
    )
    summary = store.manifest["summary"]
    assert len(store.manifest["shards"]) > 3 and summary["rejected"] == 4 and summary["special_text"] > 20
    assert (summary["duplicates"] > 50) == (request.param == "exact")
    return store, options


def files(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir()}


@pytest.mark.parametrize("count", [1, 2, 3, 5, 12])
def test_tasks_in_any_order_make_the_store_of_one_process(
    folder: Path, tmp_path: Path, tokenizer: Tokenizer, whole: Whole, count: int
):
    store, options = whole
    numbers = random.Random(count).sample(range(1, count + 1), count)
    for number in numbers:
        part = prepare(
            str(folder / "data"),
            tokenizer=tokenizer,
            out=tmp_path / "s.tm",
            quarantine=tmp_path / "rejected.jsonl",
            task=(number, count),
            **options,
        )
        assert part.verify().ok and part.path.parent == tmp_path / "s.tm.tasks"
    sealed = seal(tmp_path / "s.tm")
    assert files(sealed.path) == files(store.path) and sealed.verify().ok
    rejected = sorted(tmp_path.glob("rejected.jsonl.task-*"))
    assert b"".join(path.read_bytes() for path in rejected) == (folder / "rejected.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if path not in rejected) == ["s.tm"]


def test_tasks_that_run_at_once_make_the_store_of_one_process(
    folder: Path, tmp_path: Path, tokenizer: Tokenizer
):
    def command(*more: str) -> list[str]:
        options = ["-t", str(folder / "tokenizer.json"), "--on-error", "skip", "--shard-tokens", "900"]
        return [sys.executable, "-m", "tokenmill.cli", "prepare", str(folder / "data"), *options, *more]

    out = str(tmp_path / "s.tm")
    running = [subprocess.Popen(command("-o", out, "--task", f"{i}/3", "--json")) for i in (1, 2, 3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    result = CliRunner().invoke(main, ["seal", out, "--json"], standalone_mode=False)
    assert result.exit_code == 0, result.output
    subprocess.run(command("-o", str(tmp_path / "t.tm")), check=True, capture_output=True)
    assert files(tmp_path / "s.tm") == files(tmp_path / "t.tm")


def test_missing_tasks_are_named_with_the_command_that_makes_them(
    folder: Path, tmp_path: Path, tokenizer: Tokenizer
):
    out = tmp_path / "s.tm"
    prepare(str(folder / "data" / "*.parquet"), tokenizer=tokenizer, out=out, task=(2, 3))
    with pytest.raises(
        _core.StoreError, match=r"1, 3 did not: run .* --task 1/3, --task 3/3, then seal again"
    ):
        seal(out)
    result = CliRunner().invoke(main, ["seal", str(out)])
    assert result.exit_code == 1 and "--task 3/3" in result.output


def test_what_cannot_be_divided_is_refused(folder: Path, tmp_path: Path, tokenizer: Tokenizer):
    out = tmp_path / "s.tm"
    with pytest.raises(ValueError, match="only files can be divided among tasks"):
        prepare(Documents.from_texts(["a"]), tokenizer=tokenizer, out=out, task=(1, 2))
    with pytest.raises(ValueError, match="<stdin> has no size that tells which task reads it"):
        prepare(Documents.from_files("-", format="text"), tokenizer=tokenizer, out=out, task=(1, 2))
    for task in [(0, 2), (3, 2)]:
        with pytest.raises(ValueError, match=f"there is no task {task[0]} of 2"):
            prepare(str(folder / "data"), tokenizer=tokenizer, out=out, task=task)
    result = CliRunner().invoke(
        main, ["prepare", str(folder), "-t", str(folder / "tokenizer.json"), "-o", str(out), "--task", "3/2"]
    )
    assert result.exit_code == 2 and "write it I/N, with I from 1 to N" in result.output
    assert list(tmp_path.iterdir()) == []
