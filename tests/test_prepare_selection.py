"""What goes into a store and what is left out, and that the counts add up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill import _core
from tokenmill.cli import main
from tokenmill.documents import Documents
from tokenmill.prepare import finished_shards, prepare
from tokenmill.store import TokenStore
from tokenmill.tokenizer import Tokenizer
from tokenmill.train_tokenizer import train_bpe

EOT = "<|endoftext|>"
GOOD = [b'{"text": "one"}', b'{"text": "\xc3\xa9"}', b'{"text": ""}', b"", b" \t\r"]
# Each with what the reason has to say.
BAD = [
    (b'{"text": "\xff"}', "not valid UTF-8"),
    (b'{"text": 1}', 'field "text" is a number'),
    (b'{"txt": "x"}', 'there is no field "text"'),
    (b'{"text": "half', "invalid JSON"),
    (b"[1, 2]", "the line holds an array"),
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe(Documents.from_texts(["one two"]), vocab_size=260, special_tokens=[EOT])


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts_of(store: TokenStore) -> list[str]:
    documents = (store.document(i)[:-1].tolist() for i in range(store.num_documents))
    return [store.tokenizer.decode(ids) for ids in documents]


@settings(max_examples=40)
@given(numbers=st.lists(st.integers(0, len(GOOD) + len(BAD) - 1), max_size=30), newline=st.booleans())
def test_every_line_is_a_document_or_rejected_with_its_place(
    tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory, numbers: list[int], newline: bool
):
    folder = tmp_path_factory.mktemp("lines")
    lines = [(GOOD + [line for line, _ in BAD])[number] for number in numbers]
    data = b"\n".join(lines) + b"\n" * newline
    (folder / "a.jsonl").write_bytes(data)
    store = prepare(
        str(folder / "a.jsonl"),
        tokenizer=tokenizer,
        out=folder / "s.tm",
        on_error="quarantine",
        quarantine=folder / "rejected.jsonl",
    )
    assert texts_of(store) == [json.loads(line)["text"] for line in lines if line in GOOD and line.strip()]
    rejected = lines_of(folder / "rejected.jsonl")
    assert store.manifest["summary"]["rejected"] == len(rejected)
    position, expected = 0, []
    for number, line in enumerate(lines, start=1):
        reason = dict(BAD).get(line)
        if reason is not None:
            expected.append((number, position, line, reason))
        position += len(line) + 1
    assert len(rejected) == len(expected)
    for found, (number, start, line, reason) in zip(rejected, expected, strict=True):
        assert (found["input"], found["line"]) == (str(folder / "a.jsonl"), number)
        assert start <= found["byte"] <= start + len(line) and reason in found["reason"]
        record = bytes.fromhex(found["record_hex"]) if "record_hex" in found else found["record"].encode()
        assert record.removesuffix(b"\n") == line
    assert store.verify().ok


def test_texts_that_are_not_utf8_are_left_out_alone(tmp_path: Path, tokenizer: Tokenizer):
    (tmp_path / "a.txt").write_bytes(b"one|\xff|two\nlines|\xc3|")
    (tmp_path / "b.txt").write_bytes(b"good|\xe2\x82\xac")
    data = Documents.from_files([str(tmp_path / "a.txt"), str(tmp_path / "b.txt")], separator="|")
    store = prepare(
        data, tokenizer=tokenizer, out=tmp_path / "s.tm", on_error="quarantine", quarantine=tmp_path / "q"
    )
    assert texts_of(store) == ["one", "two\nlines", "good", "€"]
    places = [(line["line"], line["byte"], line["record_hex"]) for line in lines_of(tmp_path / "q")]
    assert places == [(1, 4, "ff"), (2, 16, "c3")]
    (tmp_path / "whole.txt").write_bytes(b"\xff")
    whole = prepare(str(tmp_path / "whole.txt"), tokenizer=tokenizer, out=tmp_path / "w.tm", on_error="skip")
    assert (whole.num_documents, whole.manifest["summary"]["rejected"]) == (0, 1)
    with pytest.raises(_core.DocumentError, match=r"whole\.txt, line 1, byte 0: the text is not valid UTF-8"):
        prepare(str(tmp_path / "whole.txt"), tokenizer=tokenizer, out=tmp_path / "x.tm")


@settings(max_examples=40)
@given(
    texts=st.lists(st.sampled_from(["a", "b", "", "a ", "á"]), max_size=40),
    fraction=st.sampled_from([0.0, 0.5]),
)
def test_exact_duplicates_keep_their_first(
    tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory, texts: list[str], fraction: float
):
    out = tmp_path_factory.mktemp("dedup") / "s.tm"
    data = Documents.from_texts(texts)
    store = prepare(data, tokenizer=tokenizer, out=out, dedup="exact", val_fraction=fraction, shard_tokens=3)
    kept = texts_of(store) + (texts_of(store.validation) if store.validation else [])
    first = list(dict.fromkeys(texts))
    assert sorted(kept) == sorted(first) and (fraction or kept == first)
    summary = store.manifest["summary"]
    assert summary["duplicates"] == len(texts) - len(first)
    assert summary["text_bytes"] == sum(len(text.encode()) for text in first)


def test_special_tokens_in_text_are_counted_and_are_what_they_are_said_to_be(
    tmp_path: Path, tokenizer: Tokenizer
):
    texts = ["one", f"a{EOT}b{EOT}", "two"]
    data, eot = Documents.from_texts(texts), tokenizer.special_tokens[EOT]
    text = prepare(data, tokenizer=tokenizer, out=tmp_path / "text.tm")
    assert (texts_of(text), text.manifest["summary"]["special_text"]) == (texts, 2)
    assert text[:].tolist().count(eot) == 3
    allow = prepare(data, tokenizer=tokenizer, out=tmp_path / "allow.tm", specials="allow")
    assert allow[:].tolist().count(eot) == 5 and allow.manifest["summary"]["special_text"] == 2
    with pytest.raises(
        _core.DocumentError, match=r"<texts>, document at row 1: its text spells .* at byte 1"
    ):
        prepare(data, tokenizer=tokenizer, out=tmp_path / "error.tm", specials="error")
    skip = prepare(data, tokenizer=tokenizer, out=tmp_path / "skip.tm", specials="error", on_error="skip")
    assert texts_of(skip) == ["one", "two"]
    summary = skip.manifest["summary"]
    assert summary == {"text_bytes": 6, "rejected": 1, "duplicates": 0, "special_text": 0}


def test_a_resumed_run_counts_and_leaves_out_the_same(tmp_path: Path, tokenizer: Tokenizer):
    lines = [b'{"text": "line %d and more"}' % (i % 90_000) for i in range(800_000)]
    lines[70::1000] = [b"broken"] * len(lines[70::1000])
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))

    def run(out: str, resume: bool = False, progress: Any = None) -> TokenStore:
        return prepare(
            str(tmp_path / "a.jsonl"),
            tokenizer=tokenizer,
            out=tmp_path / out,
            dedup="exact",
            on_error="quarantine",
            quarantine=tmp_path / f"{out}.rejected",
            shard_tokens=500_000,
            resume=resume,
            progress=progress,
        )

    def stop(*_: object) -> None:
        if finished_shards(tmp_path / "s.tm"):
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        run("s.tm", progress=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "s.tm.partial"]
    resumed, whole = run("s.tm", resume=True), run("t.tm")
    assert {p.name: p.read_bytes() for p in resumed.path.iterdir()} == {
        p.name: p.read_bytes() for p in whole.path.iterdir()
    }
    assert (tmp_path / "s.tm.rejected").read_bytes() == (tmp_path / "t.tm.rejected").read_bytes()
    summary = resumed.manifest["summary"]
    assert summary["rejected"] == 800
    assert resumed.num_documents + summary["rejected"] + summary["duplicates"] == len(lines)


def test_options_that_do_not_go_together_are_refused(tmp_path: Path, tokenizer: Tokenizer):
    data = Documents.from_texts(["one"])
    for options, reason in [
        ({"on_error": "ignore"}, "on_error is 'ignore'; it is 'raise', 'skip' or 'quarantine'"),
        ({"on_error": "quarantine"}, "pass both or neither"),
        ({"quarantine": tmp_path / "q"}, "pass both or neither"),
        ({"dedup": "near"}, "dedup is 'near'"),
        ({"specials": "keep"}, 'specials is "keep"'),
    ]:
        with pytest.raises(ValueError, match=reason):
            prepare(data, tokenizer=tokenizer, out=tmp_path / "s.tm", **options)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_tells_what_was_left_out(tmp_path: Path, tokenizer: Tokenizer):
    tokenizer.save(tmp_path / "t.json")
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "one"}\nx\n{"text": "one"}\n{"text": "<|endoftext|>"}\n')
    args = ["prepare", tmp_path / "a.jsonl", "-t", tmp_path / "t.json", "-o", tmp_path / "s.tm", "--json"]
    options = ["--dedup", "exact", "--quarantine", tmp_path / "q.jsonl"]
    done = CliRunner().invoke(main, [str(arg) for arg in [*args, *options]])
    assert done.exit_code == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["documents"], made["rejected"], made["duplicates"], made["special_text"]) == (2, 1, 1, 1)
    assert made["bytes_per_token"] == round((3 + len(EOT)) / made["tokens"], 2)
    assert [line["line"] for line in lines_of(tmp_path / "q.jsonl")] == [2]
