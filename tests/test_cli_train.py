"""`tokenmill count-words` and what `train-tokenizer` makes of counts, sizes, curves and other tokenizers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import tokenmill as tm
from samples import standard_library
from tokenmill.cli import main

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line in a folder with two corpora."""
    monkeypatch.chdir(tmp_path)
    texts = list(standard_library(300_000))
    for name, part in (("web", texts[::2]), ("code", texts[1::2])):
        lines = "".join(json.dumps({"text": text}) + "\n" for text in part)
        (tmp_path / f"{name}.jsonl").write_text(lines, encoding="utf-8")

    def invoke(*args: object) -> Result:
        result = CliRunner().invoke(main, [str(arg) for arg in args])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


def done(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.stderr
    printed: dict[str, object] = json.loads(result.stdout)
    return printed


SIZE = ("--vocab-size", 700, "--json")


def test_counts_train_what_the_texts_train(run: Run) -> None:
    whole = done(run("train-tokenizer", "web.jsonl", "code.jsonl", "-o", "t.json", *SIZE))
    for name in ("web", "code"):
        counted = done(run("count-words", f"{name}.jsonl", "-o", f"{name}.tmc", "--source", name, "--json"))
        assert counted["pattern"] == "gpt4" and isinstance(counted["pieces"], dict)
        assert list(counted["pieces"]) == [name]
    merged = run("count-words", "--merge", "web.tmc", "code.tmc", "-o", "all.tmc")
    assert merged.exit_code == 0
    assert "pieces of web " in merged.stdout and "pieces of code" in merged.stdout
    for data in (["web.tmc", "code.tmc"], ["all.tmc"]):
        got = done(run("train-tokenizer", *data, "--from-counts", "-o", "t.json", *SIZE))
        assert got["fingerprint"] == whole["fingerprint"]
    weighed = run("train-tokenizer", "all.tmc", "--from-counts", "--weight", "code=0", "-o", "t.json", *SIZE)
    web = run("train-tokenizer", "web.jsonl", "-o", "w.json", *SIZE)
    assert done(weighed)["fingerprint"] == done(web)["fingerprint"]


def test_sizes_write_a_file_each(run: Run, tmp_path: Path) -> None:
    printed = done(run("train-tokenizer", "web.jsonl", "-o", "t.json", "--sizes", "300,500", "--json"))
    assert isinstance(printed["tokenizers"], list)
    assert [entry["output"] for entry in printed["tokenizers"]] == ["t-300.json", "t-500.json"]
    alone = done(run("train-tokenizer", "web.jsonl", "-o", "t.json", "--vocab-size", 300, "--json"))
    assert tm.Tokenizer.load(tmp_path / "t-300.json").fingerprint == alone["fingerprint"]


def test_the_curve_has_a_line_for_each_merge(run: Run, tmp_path: Path) -> None:
    assert run("train-tokenizer", "web.jsonl", "-o", "t.json", *SIZE, "--curve", "c.jsonl").exit_code == 0
    lines = [json.loads(line) for line in (tmp_path / "c.jsonl").read_text().splitlines()]
    assert [line["vocab_size"] for line in lines] == list(range(258, 701))
    assert lines[-1]["bytes_per_token"] > lines[0]["bytes_per_token"] > 1


def test_a_tokenizer_is_extended(run: Run, tmp_path: Path) -> None:
    assert run("train-tokenizer", "web.jsonl", "-o", "web.json", *SIZE).exit_code == 0
    options = ("--extend", "web.json", "--vocab-size", 900)
    extended = run("train-tokenizer", "code.jsonl", "-o", "both.json", *options)
    assert extended.exit_code == 0, extended.stderr
    web, both = (tm.Tokenizer.load(tmp_path / name) for name in ("web.json", "both.json"))
    assert both.vocab_size == 900
    assert all(web.id_to_token(number) == both.id_to_token(number) for number in range(700))


def test_little_memory_a_longest_token_and_a_checkpoint(run: Run, tmp_path: Path) -> None:
    plain = ("train-tokenizer", "web.jsonl", "-o", "t.json", *SIZE, "--max-token-bytes", 4)
    want = done(run(*plain))
    made = []
    for _ in range(2):
        got = done(run(*plain, "--max-memory", "160MB", "--checkpoint", "kept"))
        assert got["fingerprint"] == want["fingerprint"]
        made.append((tmp_path / "kept" / "part-00000.tmc").stat().st_mtime_ns)
    assert made[0] == made[1], "the text was counted again"


def test_a_checkpoint_is_told_from_one_whose_parts_have_other_files(run: Run, tmp_path: Path) -> None:
    plain = ("train-tokenizer", "web.jsonl", "-o", "t.json", *SIZE, "--checkpoint", "kept")
    done(run(*plain))
    plan = json.loads((tmp_path / "kept" / "plan.json").read_text(encoding="utf-8"))
    assert plan["parts"] == [1]
    (tmp_path / "kept" / "plan.json").write_text(json.dumps({**plan, "parts": [2]}), encoding="utf-8")
    refused = run(*plain)
    assert (refused.exit_code, "other parts" in refused.stderr) == (2, True)


def test_the_curve_of_an_extension_counts_bytes_too(run: Run, tmp_path: Path) -> None:
    done(run("train-tokenizer", "web.jsonl", "-o", "small.json", *SIZE))
    more = ("--vocab-size", 900, "--extend", "small.json", "--curve", "c.jsonl")
    done(run("train-tokenizer", "web.jsonl", "-o", "t.json", *more, "--json"))
    last = json.loads((tmp_path / "c.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    texts = [
        json.loads(line)["text"] for line in (tmp_path / "web.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    size = sum(len(text.encode()) for text in texts)
    tok = tm.Tokenizer.load(tmp_path / "t.json")
    assert last["bytes_per_token"] == pytest.approx(size / sum(map(tok.count, texts)))


def test_long_pieces_are_warned_of_in_one_line(run: Run) -> None:
    result = run("train-tokenizer", "web.jsonl", "-o", "t.json", "--pattern", "(?s:.+)", *SIZE)
    assert result.exit_code == 0
    assert "warning: the pattern" in result.stderr and "very long pieces" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "needs --vocab-size or --sizes"),
        (("--vocab-size", 300, "--sizes", "300"), "needs --vocab-size or --sizes"),
        (("--sizes", "300,a"), "not a list of sizes"),
        (("--sizes", "300,300"), "names a size twice"),
        (("--vocab-size", 300, "--from-counts", "--weight", "a=2", "--weight", "a=3"), "given twice for 'a'"),
        (("--vocab-size", 300, "--weight", "web=2"), "--weight needs --from-counts"),
        (("--vocab-size", 300, "--from-counts", "--weight", "web"), "not a source and its weight"),
        (("--vocab-size", 300, "--from-counts"), "not a file of counts"),
        (("--vocab-size", 300, "--max-memory", "much"), "not a size like"),
        (("--vocab-size", 300, "--max-memory", "1MB"), "max_memory=1000000 is less than"),
        (("--model", "word", "--extend", "t.json"), "--extend has no meaning for --model word"),
        (("--model", "word", "--weight", "web=2"), "--weight has no meaning for --model word"),
    ],
)
def test_what_does_not_go_together_is_refused(run: Run, options: tuple[object, ...], message: str) -> None:
    result = run("train-tokenizer", "web.jsonl", "-o", "t.json", *options)
    assert result.exit_code != 0
    assert message in result.stderr


def test_counting_options_that_do_not_go_together_are_refused(run: Run) -> None:
    result = run("count-words", "--merge", "a.tmc", "-o", "b.tmc", "--source", "web")
    assert result.exit_code == 2 and "--source has no meaning for --merge" in result.stderr


def test_a_dry_run_tells_what_training_would_take_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    told = run("train-tokenizer", "web.jsonl", "code.jsonl", "-o", "t.json", "--vocab-size", 700, "--dry-run")
    assert told.exit_code == 0, told.stderr
    assert "distinct pieces" in told.stdout and "memory" in told.stdout
    assert not (tmp_path / "t.json").exists()
    refused = run("train-tokenizer", "web.jsonl", "-o", "t.json", "--model", "word", "--dry-run")
    assert refused.exit_code == 2 and "--dry-run" in refused.stderr
