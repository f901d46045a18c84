"""Adding to a finished store. (The Rust tests stop an append at every step.)"""

from __future__ import annotations

import json
import pickle
import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from processes import started
from reference.store_checker import check_store
from reference.store_reader import read_store
from tokenmill._core import StoreError
from tokenmill.cli import main
from tokenmill.documents import Documents
from tokenmill.prepare import check_append, finished_shards, prepare
from tokenmill.repair import repair
from tokenmill.store import TokenStore, verify
from tokenmill.tokenizer import Tokenizer
from tokenmill.train_tokenizer import train_bpe

OPTIONS: dict[str, Any] = {"add_bos": True, "val_fraction": 0.3, "shard_tokens": 400}
WORDS = ["the", "quick", "naïve", "fox", "<s>", "日本語", "\n", "jumps"]


def texts(seed: int, count: int) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=chance.choice([0, 1, 5, 40]))) for _ in range(count)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe(Documents.from_texts(texts(0, 200)), vocab_size=300, special_tokens=["<s>", "</s>"])


@pytest.fixture
def corpus(tmp_path: Path) -> tuple[list[str], list[str]]:
    """Files of the store, and files to add, of several layouts."""
    names = []
    for number in range(6):
        path = tmp_path / f"{number}.{'txt' if number % 2 else 'jsonl'}"
        records = [json.dumps({"text": text}) for text in texts(number + 1, 30)]
        path.write_text("\n".join(records if path.suffix == ".jsonl" else texts(number, 9)), encoding="utf-8")
        names.append(str(path))
    return names[:3], names[3:]


def files(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir()}


def data_files(store: Path) -> dict[str, bytes]:
    return {
        name: data for name, data in files(store).items() if name not in ("manifest.json", "prepare.json")
    }


def test_an_appended_store_has_the_documents_of_one_made_of_all_and_the_old_bytes(
    tmp_path: Path, tokenizer: Tokenizer, corpus: tuple[list[str], list[str]]
):
    old, new = corpus
    out, whole = tmp_path / "s.tm", tmp_path / "whole.tm"
    before = prepare(old, tokenizer=tokenizer, out=out, **OPTIONS)
    kept = data_files(out)
    ids = before[:]
    prepare(new[:1], tokenizer=tokenizer, out=out, append=True, **OPTIONS)
    store = prepare(new[1:], tokenizer=tokenizer, out=out, append=True, **OPTIONS)
    one = prepare([*old, *new], tokenizer=tokenizer, out=whole, **OPTIONS)

    for split in ("train", "validation"):
        for found, expected in zip(read_store(out, split), read_store(whole, split), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert store.manifest["inputs"] == one.manifest["inputs"]
    assert store.manifest["summary"] == one.manifest["summary"]
    assert {name: data for name, data in files(out).items() if name in kept} == kept
    plan = json.loads((out / "prepare.json").read_text(encoding="utf-8"))
    assert plan["appends"] == [len(old), len(old) + 1]
    assert [given["name"] for given in plan["inputs"]] == [*old, *new]
    check_store(out)
    assert store.verify().ok

    # Who had it open reads on, in other processes too; and the old tokens have their numbers.
    again = pickle.loads(pickle.dumps(before))
    assert again.manifest["num_documents"] == before.num_documents < store.num_documents
    assert before.validation is not None and store.validation is not None
    assert before.validation.num_tokens == before.manifest["validation"]["num_tokens"]
    assert before.validation.num_tokens < store.validation.num_tokens
    for reader in (before, again):
        np.testing.assert_array_equal(reader[:], ids)
    np.testing.assert_array_equal(store[: len(ids)], ids)
    for token in range(0, len(store), 97):
        place = store.where(token)
        assert (place.read_from, place) == ("input", one.where(token))


def test_a_handle_that_was_sent_is_not_opened_on_another_store(
    tmp_path: Path, tokenizer: Tokenizer, corpus: tuple[list[str], list[str]]
):
    old, new = corpus
    sent = pickle.dumps(prepare(old, tokenizer=tokenizer, out=tmp_path / "s.tm", **OPTIONS))
    (tmp_path / "s.tm").rename(tmp_path / "t.tm")
    prepare(new, tokenizer=tokenizer, out=tmp_path / "s.tm", **OPTIONS)
    with pytest.raises(StoreError, match="is another store than the one with the content hash"):
        pickle.loads(sent)


def test_a_store_opens_as_it_was_by_its_content_hash(
    tmp_path: Path, tokenizer: Tokenizer, corpus: tuple[list[str], list[str]]
):
    old, new = corpus
    out = tmp_path / "s.tm"
    states = [prepare(old, tokenizer=tokenizer, out=out, **OPTIONS)]
    states += [prepare(name, tokenizer=tokenizer, out=out, append=True, **OPTIONS) for name in new]
    for was in states:
        store = TokenStore.open(out, content_hash=was.content_hash)
        assert store.manifest == was.manifest and was.validation is not None
        validation = TokenStore.open(out, "validation", content_hash=was.validation.content_hash)
        assert store.validation is not None
        for mine, theirs in [(store, was), (validation, was.validation), (store.validation, was.validation)]:
            np.testing.assert_array_equal(mine[:], theirs[:])
        assert pickle.loads(pickle.dumps(store)).manifest == was.manifest
    history = states[-1].manifest["history"]
    assert [entry["content_hash"] for entry in history] == [was.content_hash for was in states[:-1]]
    assert states[-1].verify().ok
    with pytest.raises(StoreError, match=rf"than the one with the content hash {'0' * 64}, whatever"):
        TokenStore.open(out, content_hash="0" * 64)
    for wrong in ("abc", states[0].content_hash.upper()):
        with pytest.raises(ValueError, match="it has 64 digits from 0 to f"):
            TokenStore.open(out, content_hash=wrong)

    told = json.loads(inspected(out, "--json").stdout)
    assert [was["content_hash"] for was in told["before_appends"]] == [
        was.content_hash for was in states[:-1]
    ]
    first = states[0]
    assert f"{first.content_hash} ({first.num_tokens:,} tokens" in inspected(out).stdout
    told = json.loads(inspected(out, "--json", "--content-hash", first.content_hash).stdout)
    assert (told["tokens"], told["inputs"], told.get("before_appends")) == (first.num_tokens, 3, None)
    beyond = inspected(out, "--where", first.num_tokens, "--content-hash", first.content_hash)
    assert beyond.exit_code == 2 and inspected(out, "--where", first.num_tokens).exit_code == 0


def inspected(*args: object) -> Result:
    return run("inspect", *args)


def run(*args: object) -> Result:
    return CliRunner().invoke(main, [*map(str, args)])


def test_a_store_is_verified_as_it_was_by_its_content_hash(
    tmp_path: Path, tokenizer: Tokenizer, corpus: tuple[list[str], list[str]]
):
    old, new = corpus
    out = tmp_path / "s.tm"
    before = prepare(old, tokenizer=tokenizer, out=out, **OPTIONS)
    assert before.validation is not None
    hashes = before.content_hash, before.validation.content_hash
    counts = before.verify()
    after = prepare(new, tokenizer=tokenizer, out=out, append=True, **OPTIONS)

    def flip(shard: int) -> None:
        path = out / f"shard-{shard:05}.tokens"
        path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))

    last = len(after.manifest["shards"]) - 1
    flip(last)
    (out / "notes").write_text("not of the store")
    for content_hash in hashes:
        report = verify(out, content_hash=content_hash)
        assert report.ok and report == counts
        assert run("verify", out, "--content-hash", content_hash).exit_code == 0
    for content_hash in (None, after.content_hash):
        found = {problem.file for problem in verify(out, content_hash=content_hash).problems}
        assert found == {f"shard-{last:05}.tokens"} | ({"notes"} if content_hash is None else set())
    flip(0)
    for content_hash in hashes:
        assert [problem.file for problem in verify(out, content_hash=content_hash).problems] == [
            "shard-00000.tokens"
        ]
    assert run("verify", out, "--content-hash", hashes[0]).exit_code == 1

    with pytest.raises(StoreError, match=f"than the one with the content hash {'0' * 64}, whatever"):
        verify(out, content_hash="0" * 64)
    with pytest.raises(ValueError, match="it has 64 digits from 0 to f"):
        verify(out, content_hash="abc")
    never = run("verify", out, "--content-hash", "0" * 64)
    assert never.exit_code == 1 and "is another store than the one with" in never.stderr


def test_the_bytes_do_not_depend_on_the_number_of_threads(
    tmp_path: Path, tokenizer: Tokenizer, corpus: tuple[list[str], list[str]]
):
    old, new = corpus
    made = []
    for workers in (1, 2, 8):
        out = tmp_path / f"{workers}.tm"
        prepare(old, tokenizer=tokenizer, out=out, workers=workers, **OPTIONS)
        prepare(new, tokenizer=tokenizer, out=out, append=True, workers=workers, **OPTIONS)
        made.append(files(out))
    assert made[0] == made[1] == made[2]


def test_texts_of_a_program_are_appended_once(tmp_path: Path, tokenizer: Tokenizer):
    out, options = tmp_path / "s.tm", {"tokenizer": tokenizer, "shard_tokens": 100}
    batches = [texts(seed, 20) for seed in (1, 2, 3)]
    prepare(Documents.from_texts(batches[0]), out=out, **options)
    for batch in batches[1:]:
        prepare(Documents.from_texts(batch), out=out, append=True, **options)
    with pytest.raises(
        StoreError, match="<texts> has the same bytes as its input <texts>; nothing was added"
    ):
        prepare(Documents.from_texts(batches[1]), out=out, append=True, **options)
    store = TokenStore.open(out)
    eos = tokenizer.special_tokens["</s>"]
    for document, text in enumerate(text for batch in batches for text in batch):
        assert store.document(document).tolist() == [*tokenizer.encode(text), eos]
    assert [entry["name"] for entry in store.manifest["inputs"]] == ["<texts>"] * 3


def test_a_large_file_that_is_there_under_another_name_is_refused_before_it_is_encoded(
    tmp_path: Path, tokenizer: Tokenizer, corpus: tuple[list[str], list[str]]
):
    old, new = corpus
    Path(old[1]).write_text("a fox jumps " * 100_000)
    prepare(old, tokenizer=tokenizer, out=tmp_path / "s.tm", **OPTIONS)
    # Of the same size, and of the same bytes.
    Path(new[0]).with_name("other.txt").write_text("a cat jumps " * 100_000)
    Path(new[0]).with_name("copy.txt").write_bytes(Path(old[1]).read_bytes())
    new += [str(tmp_path / "other.txt"), str(tmp_path / "copy.txt")]
    before = files(tmp_path / "s.tm")
    with pytest.raises(
        StoreError, match=r"copy\.txt has the same bytes as its input .*1\.txt; nothing was added"
    ):
        prepare(new, tokenizer=tokenizer, out=tmp_path / "s.tm", append=True, **OPTIONS)
    assert files(tmp_path / "s.tm") == before and not (tmp_path / "s.tm.partial").exists()
    store = prepare(new[:-1], tokenizer=tokenizer, out=tmp_path / "s.tm", append=True, **OPTIONS)
    assert len(store.manifest["inputs"]) == len(old) + len(new) - 1


def test_a_damaged_shard_of_an_appended_store_is_repaired_from_the_files(
    tmp_path: Path, tokenizer: Tokenizer, corpus: tuple[list[str], list[str]]
):
    old, new = corpus
    out = tmp_path / "s.tm"
    count = len(prepare(old, tokenizer=tokenizer, out=out, **OPTIONS).manifest["shards"])
    prepare(new, tokenizer=tokenizer, out=out, append=True, **OPTIONS)
    sound = files(out)
    # The last before the append, which is not full, and the first of the append.
    for number in (count - 1, count):
        (out / f"shard-{number:05}.tokens").write_bytes(b"?")
    mended = repair(out)
    assert mended.shards == (f"shard-{count - 1:05}", f"shard-{count:05}")
    assert files(out) == sound


def decided(tmp_path: Path, tokenizer: Tokenizer, old: list[str], new: list[str]) -> tuple[Path, Path]:
    """A store whose append was stopped after the decision, half of its files renamed; and it done."""
    out, done = tmp_path / "s.tm", tmp_path / "done.tm"
    for path in (out, done):
        prepare(old, tokenizer=tokenizer, out=path, **OPTIONS)
    prepare(new, tokenizer=tokenizer, out=done, append=True, **OPTIONS)
    partial = tmp_path / "s.tm.partial"
    partial.mkdir()
    before, after = files(out), files(done)
    changed = [name for name, data in sorted(after.items()) if before.get(name) != data]
    shards = [name for name in changed if name.startswith(("shard", "validation"))]
    for name in changed:
        folder = out if name in shards[: len(shards) // 2] else partial
        (folder / name).write_bytes(after[name])
    return out, done


def test_an_append_that_was_decided_is_finished_without_reading_an_input(
    tmp_path: Path, tokenizer: Tokenizer, corpus: tuple[list[str], list[str]]
):
    old, new = corpus
    out, done = decided(tmp_path, tokenizer, old, new)
    assert TokenStore.open(out).num_documents == sum(1 for _ in read_store(out)[1])
    assert verify(out).ok
    for name in new:  # of the same size
        Path(name).write_bytes(b"\xff" * Path(name).stat().st_size)
    store = prepare(new, tokenizer=tokenizer, out=out, append=True, **OPTIONS)
    assert files(out) == files(done) and store.verify().ok
    assert not (tmp_path / "s.tm.partial").exists()


def test_what_does_not_go_together_is_said(
    tmp_path: Path, tokenizer: Tokenizer, corpus: tuple[list[str], list[str]]
):
    old, new = corpus
    out = tmp_path / "s.tm"
    prepare(old, tokenizer=tokenizer, out=out, **OPTIONS)
    before = files(out)
    other = train_bpe(Documents.from_texts(["ab"]), vocab_size=258, special_tokens=["<s>", "</s>"])
    cases: list[tuple[str, list[str], dict[str, Any]]] = [
        ("tasks make a new store; append in one process", new, {"task": (1, 2)}),
        (r"is one of its inputs already; leave it out, or name another file", [*new, old[1]], {}),
        (
            "the tokenizer's fingerprint was .* append with the store's own, .*tokenizer.json",
            new,
            {"tokenizer": other},
        ),
        (r"the BOS token was \d+ and is none now; append with what", new, {"add_bos": False}),
        ("val_fraction was 0.3 and is 0.1 now", new, {"val_fraction": 0.1}),
        ("shard_tokens was 400 and is 500 now", new, {"shard_tokens": 500}),
        ("specials was text and is allow now", new, {"specials": "allow"}),
        ("dedup was none and is exact now", new, {"dedup": "exact"}),
    ]
    for message, data, options in cases:
        every = {"tokenizer": tokenizer, "out": out, **OPTIONS, **options}
        with pytest.raises((StoreError, ValueError), match=message) as refused:
            prepare(data, append=True, **every)
        with pytest.raises(refused.type) as told:
            check_append(data, **every)
        assert str(told.value) == str(refused.value)
    other_spelling = old[0].replace("/0.jsonl", "/./0.jsonl")
    with pytest.raises(StoreError, match=r"/\./0\.jsonl is one of its inputs already"):
        prepare(other_spelling, tokenizer=tokenizer, out=out, append=True, **OPTIONS)
    with pytest.raises(
        StoreError, match=r"its inputs were read as files by their names .*, and are texts, not files now"
    ):
        prepare(Documents.from_texts(["a"]), tokenizer=tokenizer, out=out, append=True, **OPTIONS)
    with pytest.raises(StoreError, match="is not there, and only a store can be added to"):
        prepare(new, tokenizer=tokenizer, out=tmp_path / "none.tm", append=True, **OPTIONS)
    assert files(out) == before and not (tmp_path / "s.tm.partial").exists()
    prepare(old, tokenizer=tokenizer, out=tmp_path / "d.tm", dedup="exact", **OPTIONS)
    with pytest.raises(StoreError, match="was made with dedup, and which texts it has is not kept"):
        prepare(new, tokenizer=tokenizer, out=tmp_path / "d.tm", append=True, dedup="exact", **OPTIONS)


COMMAND = [sys.executable, "-m", "tokenmill.cli", "prepare"]


def ran(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, args)], capture_output=True, text=True)


def test_the_command_tells_what_was_added(
    tmp_path: Path, tokenizer: Tokenizer, corpus: tuple[list[str], list[str]]
):
    old, new = corpus
    out = tmp_path / "s.tm"
    tokenizer.save(tmp_path / "tokenizer.json")
    options = ["-t", tmp_path / "tokenizer.json", "-o", out, "--val-fraction", "0.3"]
    before = json.loads(ran(*old, *options, "--json").stdout)
    for data, more, reason in [
        (old[1:], [], f"{old[1]} is one of its inputs already"),
        (new, ["--specials", "allow"], "specials was text and is allow now"),
        (new, ["--task", "1/2"], "tasks make a new store"),
    ]:
        refused = ran(*data, *options, "--append", *more)
        assert refused.returncode > 0 and reason in refused.stderr
        told = ran(*data, *options, "--append", "--dry-run", *more)
        assert (told.returncode, told.stderr, told.stdout) == (refused.returncode, refused.stderr, "")
    told = ran(*new, *options, "--append", "--dry-run")
    every = sum(before[name] for name in ("documents", "validation_documents"))
    assert f"in {every:,} documents" in told.stdout and "nothing was written" in told.stdout
    made = json.loads(ran(*new, *options, "--append", "--json").stdout)
    for name in ("documents", "tokens", "inputs", "validation_documents", "validation_tokens"):
        assert made[f"added_{name}"] > 0 and made[name] == before[name] + made[f"added_{name}"]
    again = ran(*new, *options, "--append")
    assert again.returncode == 1
    assert (
        again.stderr
        == f"error: {out}: {new[0]} is one of its inputs already; leave it out, or name another file\n"
    )
    assert "added documents" not in ran(*old, *options[:3], tmp_path / "t.tm").stdout
    missing = ran(*new, *options[:3], tmp_path / "none.tm", "--append", "--dry-run")
    assert (
        missing.returncode == 1 and "none.tm: is not there, and only a store can be added" in missing.stderr
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_append_that_was_stopped_leaves_the_store_and_goes_on(
    tmp_path: Path, tokenizer: Tokenizer, how: signal.Signals
):
    out, whole = tmp_path / "s.tm", tmp_path / "whole.tm"
    tokenizer.save(tmp_path / "tokenizer.json")
    records = "".join(json.dumps({"text": text}) + "\n" for text in texts(1, 2000)).encode()
    (tmp_path / "more.jsonl").write_bytes(records * ((40 << 20) // len(records)))
    options = ["--format", "jsonl", "-t", str(tmp_path / "tokenizer.json"), "--shard-tokens", "1000000"]
    for path in (out, whole):
        subprocess.run(
            [*COMMAND, "-", "-o", str(path), *options], input=records, check=True, capture_output=True
        )
    before = files(out)
    command = [*COMMAND, "-", *options, "--append", "-o"]
    process = started([*command, str(out)], records, lambda: finished_shards(out) >= 2)
    process.send_signal(how)
    assert process.stderr is not None and process.stdin is not None
    said = process.stderr.read().decode()
    process.wait()
    process.stderr.close()
    with suppress(BrokenPipeError):
        process.stdin.close()
    shards = finished_shards(out)
    if how == signal.SIGINT:
        kept = f"{shards} finished shards are in {out}.partial; go on with --append --resume"
        assert process.returncode == 130
        assert said.splitlines()[-1] == f"interrupted: {out} is as it was; {kept}"
    assert files(out) == before and verify(out).ok

    def append(path: Path, *more: str) -> subprocess.CompletedProcess[bytes]:
        with (tmp_path / "more.jsonl").open("rb") as again:
            return subprocess.run([*command, str(path), *more], stdin=again, capture_output=True)

    assert b"was left by a run that was stopped; go on with it (--resume" in append(out).stderr
    assert append(out, "--resume").returncode == append(whole).returncode == 0
    assert files(out) == files(whole) and verify(out).ok
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "more.jsonl",
        "s.tm",
        "tokenizer.json",
        "whole.tm",
    ]
