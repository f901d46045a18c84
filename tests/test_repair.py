"""Damaged stores of all kinds of inputs, mended through the library and the command line.

(The Rust tests stop a repair at every step.)
"""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import tokenmill as tm
from tokenmill.cli import main
from tokenmill.documents import Documents

TEXTS = [f"document {i}: the quick brown fox jumps over the lazy dog {i * i}" for i in range(300)]


@pytest.fixture(scope="module")
def tokenizer() -> tm.Tokenizer:
    return tm.train_bpe(Documents.from_texts(TEXTS), vocab_size=300, special_tokens=["<|endoftext|>"])


def lines(texts: list[str], key: str = "text") -> str:
    return "".join(json.dumps({key: text}) + "\n" for text in texts)


def files(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir()}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def mixed_inputs(folder: Path) -> list[str]:
    """Text, JSON Lines, compressed and not, and a name with a space."""
    (folder / "a b.jsonl").write_text(lines(TEXTS[:100], "body"))
    (folder / "c.jsonl.gz").write_bytes(gzip.compress(lines(TEXTS[100:200], "body").encode()))
    (folder / "é.txt").write_text("\n--\n".join(TEXTS[200:]), encoding="utf-8")
    return [str(folder / name) for name in ("a b.jsonl", "c.jsonl.gz", "é.txt")]


def prepared(folder: Path, tokenizer: tm.Tokenizer, **options: object) -> tm.TokenStore:
    documents = Documents.from_files(mixed_inputs(folder), text_field="body", separator="\n--\n")
    return tm.prepare(
        documents,
        tokenizer=tokenizer,
        out=folder / "s.tm",
        shard_tokens=1500,
        **options,  # type: ignore[arg-type]
    )


def test_files_are_read_as_they_were_and_the_shards_come_back_to_the_byte(
    tmp_path: Path, tokenizer: tm.Tokenizer
):
    store = prepared(tmp_path, tokenizer, val_fraction=0.2, add_bos=False)
    sound = files(store.path)
    names = [name.removesuffix(".tokens") for name in sound if name.endswith(".tokens")]
    assert len(names) > 4
    for name in names:
        flip(store.path / f"{name}.tokens")
        (store.path / f"{name}.docs").unlink()
    report = store.verify()
    assert report.remedy == f"remake the damaged shards from their inputs: tokenmill repair {store.path}"
    assert str(report).endswith(report.remedy)
    done = tm.repair(store.path)
    assert sorted(done.shards) == sorted(names) and done.ok
    assert len(done.inputs) == 3 and len(done.problems) == len(report.problems)
    assert files(store.path) == sound and store.verify().ok
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a b.jsonl", "c.jsonl.gz", "s.tm", "é.txt"]


@pytest.mark.parametrize(
    "options",
    [
        {"dedup": "exact"},
        {"specials": "allow"},
        {"on_error": "skip", "specials": "error"},
        {"on_error": "quarantine", "specials": "error", "dedup": "exact", "val_fraction": 0.3},
    ],
)
def test_what_was_left_out_then_is_left_out_again(
    tmp_path: Path, tokenizer: tm.Tokenizer, options: dict[str, object]
):
    texts = [*TEXTS[:150], *TEXTS[50:100], "an <|endoftext|> inside", *TEXTS[150:]]
    bad = "not json\n" if "on_error" in options else ""
    (tmp_path / "a.jsonl").write_text(bad + lines(texts[:120]) + bad)
    (tmp_path / "b.jsonl").write_text(lines(texts[120:]) + bad)
    if options.get("on_error") == "quarantine":
        options = {**options, "quarantine": tmp_path / "rejected.jsonl"}
    store = tm.prepare(
        [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")],
        tokenizer=tokenizer,
        out=tmp_path / "s.tm",
        shard_tokens=1500,
        **options,  # type: ignore[arg-type]
    )
    sound = files(store.path)
    assert sum(store.manifest["summary"][key] for key in ("rejected", "duplicates", "special_text")) > 0
    for name in [name for name in sound if re.fullmatch(r"(shard|validation)-\d*[13579].tokens", name)]:
        (store.path / name).unlink()
    (store.path / "shard-00000.json").write_bytes(b"")
    assert tm.repair(store.path).ok
    assert files(store.path) == sound


def test_columns_and_datasets_are_read_again(tmp_path: Path, tokenizer: tm.Tokenizer):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    columns = {"body": TEXTS[:100], "other": TEXTS[:100]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_text(lines(TEXTS[100:], "body"))
    documents = Documents.from_files(
        [str(tmp_path / "a.parquet"), str(tmp_path / "b.jsonl")], text_field="body"
    )
    store = tm.prepare(documents, tokenizer=tokenizer, out=tmp_path / "s.tm", shard_tokens=1500)
    sound = files(store.path)
    for name in ("shard-00000.tokens", "shard-00003.origin"):
        flip(store.path / name)
    assert tm.repair(store.path).shards == ("shard-00000", "shard-00003")
    assert files(store.path) == sound


def test_texts_and_moved_files_are_passed_again(tmp_path: Path, tokenizer: tm.Tokenizer):
    store = tm.prepare(
        Documents.from_texts(TEXTS), tokenizer=tokenizer, out=tmp_path / "t.tm", shard_tokens=1500
    )
    sound = files(store.path)
    flip(store.path / "shard-00002.docs")
    with pytest.raises(ValueError, match="made of <texts>, which cannot be read again by name"):
        tm.repair(store.path)
    with pytest.raises(tm.StoreError, match="input <texts> has changed"):
        tm.repair(store.path, data=Documents.from_texts(TEXTS[:-1]))
    assert tm.repair(store.path, data=Documents.from_texts(iter(TEXTS))).shards == ("shard-00002",)
    assert files(store.path) == sound

    (tmp_path / "old").mkdir()
    store = prepared(tmp_path / "old", tokenizer)
    sound = files(store.path)
    flip(store.path / "shard-00001.tokens")
    (tmp_path / "old").rename(tmp_path / "new")
    path = tmp_path / "new/s.tm"
    with pytest.raises(FileNotFoundError, match="an input of the store is gone; put it back, or name"):
        tm.repair(path)
    moved = [str(tmp_path / "new" / name) for name in ("a b.jsonl", "c.jsonl.gz", "é.txt")]
    with pytest.raises(ValueError, match="made of 3 inputs, and data has 2; pass all of them, in order"):
        tm.repair(path, data=moved[:2])
    assert tm.repair(path, data=moved).ok
    assert files(path) == sound


def test_an_input_that_does_not_matter_may_be_gone(tmp_path: Path, tokenizer: tm.Tokenizer):
    for i in range(4):
        (tmp_path / f"{i}.jsonl").write_text(lines(TEXTS[i * 75 : i * 75 + 75]))
    paths = [str(tmp_path / f"{i}.jsonl") for i in range(4)]
    store = tm.prepare(paths, tokenizer=tokenizer, out=tmp_path / "s.tm", shard_tokens=800)
    sound = files(store.path)
    (tmp_path / "3.jsonl").unlink()
    flip(store.path / "shard-00000.tokens")
    done = tm.repair(store.path)
    assert done.inputs == (paths[0],) and files(store.path) == sound


def test_a_changed_input_is_refused_by_name(tmp_path: Path, tokenizer: tm.Tokenizer):
    store = prepared(tmp_path, tokenizer)
    flip(store.path / "shard-00000.tokens")
    damaged = files(store.path)
    flip(tmp_path / "a b.jsonl")
    with pytest.raises(tm.StoreError, match=r"its input .*a b.jsonl has changed: its BLAKE3 is another one"):
        tm.repair(store.path)
    with (tmp_path / "a b.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(tm.StoreError, match=r"a b.jsonl has changed: it was \d+ bytes long and is \d+ now"):
        tm.repair(store.path, dry_run=True)
    assert files(store.path) == damaged and not (tmp_path / "s.tm.repair").exists()


def test_a_sound_store_is_left_alone(tmp_path: Path, tokenizer: tm.Tokenizer):
    store = prepared(tmp_path, tokenizer)
    for name in ("a b.jsonl", "c.jsonl.gz", "é.txt"):
        (tmp_path / name).unlink()
    before = {path: path.stat().st_ino for path in store.path.iterdir()}
    done = tm.repair(store.path)
    assert done.ok and done.shards == done.inputs == ()
    assert str(done) == f"{store.path}: no shard is damaged"
    assert {path: path.stat().st_ino for path in store.path.iterdir()} == before


def test_open_stores_keep_what_they_mapped(tmp_path: Path, tokenizer: tm.Tokenizer):
    store = prepared(tmp_path, tokenizer)
    ids = store[:].tolist()
    flip(store.path / "shard-00000.tokens")
    stale = tm.TokenStore.open(store.path)
    assert stale[:].tolist() != ids
    tm.repair(store.path)
    assert stale[:].tolist() != ids
    assert tm.TokenStore.open(store.path)[:].tolist() == ids


def run(*args: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["repair", *args])
    return result.exit_code, result.stdout, result.stderr


def test_the_verb_tells_mends_and_exits_by_the_state_of_the_store(tmp_path: Path, tokenizer: tm.Tokenizer):
    store = prepared(tmp_path, tokenizer)
    path, sound = str(store.path), files(store.path)
    assert run(path)[:2] == (0, f"{path}: no shard is damaged\n")
    flip(store.path / "shard-00001.tokens")
    damaged = files(store.path)
    code, out, err = run(path, "--dry-run")
    assert code == 1 and "shard-00001 would be remade, from " in out and "shard-00001.tokens, block 0" in err
    assert files(store.path) == damaged
    result = CliRunner().invoke(main, ["verify", path])
    assert result.exit_code == 1 and f"tokenmill repair {path}" in result.stderr
    code, out, _ = run(path, "--json")
    told = json.loads(out)
    assert (code, told["ok"], told["shards"], told["dry_run"]) == (0, True, ["shard-00001"], False)
    assert told["problems"][0]["file"] == "shard-00001.tokens" and told["remaining"] == []
    assert files(store.path) == sound
    (store.path / "notes.txt").write_text("mine")
    code, out, _ = run(path)
    assert code == 1 and "left: notes.txt: does not belong to the store; remove it" in out


def test_the_verb_takes_moved_inputs_and_refuses_options_without_them(
    tmp_path: Path, tokenizer: tm.Tokenizer
):
    store = prepared(tmp_path, tokenizer)
    path, sound = str(store.path), files(store.path)
    (store.path / "shard-00001.origin").unlink()
    moved = [str(Path(name).rename(tmp_path / f"moved {i}{Path(name).suffix}")) for i, name in enumerate(
        [tmp_path / "a b.jsonl", tmp_path / "é.txt"]
    )]  # fmt: skip
    code, _, err = run(path)
    assert code == 1 and "an input of the store is gone" in err
    assert run(path, "--text-field", "body")[0] == 2
    assert run(path, moved[0], str(tmp_path / "c.jsonl.gz"), moved[1])[0] == 0
    assert files(store.path) == sound


def test_a_damaged_manifest_or_no_store_is_told(tmp_path: Path, tokenizer: tm.Tokenizer):
    store = prepared(tmp_path, tokenizer)
    flip(store.path / "manifest.json")
    code, _, err = run(str(store.path))
    assert (
        code == 1 and "manifest.json" in err and "restore it from a copy, or prepare the store again" in err
    )
    assert run(str(tmp_path / "nothing.tm"))[0] == 1
