"""The command line: every verb, what it prints, and what each exit code means."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import tokenmill as tm
from tokenmill.cli import VERBS, main
from tokenmill.cli._progress import Lines

Run = Callable[..., Result]

LOREM = "Lorem ipsum dolor sit amet, consectetur adipiscing elit,"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def invoke(*args: object, stdin: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)
        # Anything but an exit code would have been a traceback.
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


def printed_json(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("\n") == 1
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


@pytest.fixture
def lorem(run: Run, tmp_path: Path) -> Path:
    """A word tokenizer and a store of the founding document's sentence."""
    (tmp_path / "lorem.txt").write_text(LOREM, encoding="utf-8")
    words = ["--model", "word", "--split", "whitespace", "--special-token", "[UNK]"]
    assert run("train-tokenizer", "lorem.txt", "-o", "words.json", *words).exit_code == 0
    made = run("prepare", "lorem.txt", "-t", "words.json", "-o", "lorem.tm", "--no-add-eos")
    assert made.exit_code == 0, made.stderr
    return tmp_path / "lorem.tm"


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "tokenmill"]
    result = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == f"tokenmill {tm.__version__}"
    wrong = subprocess.run([*command, "prepare"], capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.strip().endswith("See python -m tokenmill prepare --help.")


def test_help_lists_every_verb_and_the_exit_codes(run: Run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert all(f"\n  {verb} " in result.stdout for verb in VERBS)
    assert "130" in result.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(run: Run, verb: str) -> None:
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert f"\n  tokenmill {verb} " in result.stdout


def test_train_tokenizer_learns_byte_pairs(run: Run, verdict_path: Path) -> None:
    trained = run("train-tokenizer", verdict_path, "-o", "bpe.json", "--vocab-size", 300, "--json")
    assert printed_json(trained)["vocab_size"] == 300
    assert (
        printed_json(run("inspect", "bpe.json", "--json"))["fingerprint"]
        == printed_json(trained)["fingerprint"]
    )


def test_train_tokenizer_learns_the_words_of_the_verdict(run: Run, verdict_path: Path) -> None:
    trained = run(
        *("train-tokenizer", verdict_path, "-o", "words.json", "--model", "word", "--json"),
        *(
            "--split",
            r"""([,.:;?_!"()']|--|\s)""",
            "--special-token",
            "<|endoftext|>",
            "--special-token",
            "<|unk|>",
        ),
        *("--unk-token", "<|unk|>"),
    )
    assert printed_json(trained)["vocab_size"] == 1132
    text = "Hello, do you like tea? <|endoftext|> In the sunlit terraces of the palace."
    encoded = run("encode", "-t", "words.json", "--allow-special", "<|endoftext|>", text)
    assert encoded.stdout == "1131 5 355 1126 628 975 10 1130 55 988 956 984 722 988 1131 7\n"


def test_train_tokenizer_reads_stdin(tmp_path: Path) -> None:
    """In a process of its own: the core reads the standard input of the process."""
    args = ["train-tokenizer", "-", "--format", "jsonl", "-o", "t.json", "--vocab-size", "260", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "tokenmill.cli", *args],
        input='{"text": "abab abab abab"}\n' * 9,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["vocab_size"] == 260
    assert tm.Tokenizer.load(tmp_path / "t.json").count("abab") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "bpe"], "--vocab-size"),
        (["--model", "bpe", "--vocab-size", "300", "--split", "whitespace"], "--split has no meaning"),
        (["--model", "word", "--vocab-size", "300"], "--vocab-size has no meaning"),
        (["--model", "tree"], "'tree' is not one of"),
    ],
)
def test_train_tokenizer_refuses_options_that_do_not_go_together(
    run: Run, verdict_path: Path, options: list[str], message: str
) -> None:
    result = run("train-tokenizer", verdict_path, "-o", "t.json", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr and result.stderr.count("\n") == 1


def test_encode_prints_ids_of_an_argument_and_of_stdin(run: Run, gpt2_path: Path) -> None:
    assert run("encode", "-t", gpt2_path, "Hello, world!").stdout == "15496 11 995 0\n"
    assert run("encode", "-t", gpt2_path, stdin="Hello, world!").stdout == "15496 11 995 0\n"
    assert printed_json(run("encode", "-t", gpt2_path, "Hello, world!", "--json")) == {
        "ids": [15496, 11, 995, 0]
    }


def test_encode_takes_special_tokens_as_text_unless_allowed(run: Run, gpt2_path: Path) -> None:
    text = "a<|endoftext|>"
    assert "50256" not in run("encode", "-t", gpt2_path, text).stdout
    for allowed in ("all", "<|endoftext|>"):
        assert run("encode", "-t", gpt2_path, text, "--allow-special", allowed).stdout == "64 50256\n"


def test_encode_shows_each_token(run: Run, gpt2_path: Path) -> None:
    shown = run("encode", "-t", gpt2_path, "--tokens", "Hello,\n world é").stdout.splitlines()
    assert [line[10:] for line in shown] == ["Hello", ",", "\\n", " world", " é"]


def test_encode_names_the_byte_that_is_not_utf8(run: Run, gpt2_path: Path) -> None:
    result = run("encode", "-t", gpt2_path, stdin=b"abc\xff")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: <stdin>, byte 3:") and result.stderr.count("\n") == 1


def test_decode_gives_back_every_byte(run: Run, gpt2_path: Path, verdict: str) -> None:
    ids = run("encode", "-t", gpt2_path, stdin=verdict).stdout
    assert run("decode", "-t", gpt2_path, stdin=ids).stdout_bytes == verdict.encode()
    assert run("decode", "-t", gpt2_path, "[15496,", "11]", "995").stdout == "Hello, world"
    assert printed_json(run("decode", "-t", gpt2_path, 15496, "--json")) == {"text": "Hello", "tokens": 1}


def test_decode_refuses_what_is_no_id(run: Run, gpt2_path: Path) -> None:
    for wrong, code in (("x7", 2), ("99999999", 1)):
        result = run("decode", "-t", gpt2_path, "11", wrong)
        assert result.exit_code == code
        assert wrong in result.stderr


def test_count_counts_a_text_and_files(run: Run, gpt2_path: Path, verdict: str, verdict_path: Path) -> None:
    assert run("count", "-t", gpt2_path, "Hello, world!").stdout == "4\n"
    assert printed_json(run("count", "-t", gpt2_path, "--json", stdin=verdict)) == {"tokens": 5145}
    counted = printed_json(run("count", "-t", gpt2_path, "--files", verdict_path, "--json"))
    assert counted == {"tokens": 5145, "documents": 1, "bytes": len(verdict.encode())}


def test_prepare_verify_and_inspect_agree(run: Run, gpt2_path: Path, verdict_path: Path) -> None:
    made = printed_json(run("prepare", verdict_path, "-t", gpt2_path, "-o", "corpus.tm", "--json"))
    assert (made["documents"], made["tokens"]) == (1, 5146)
    assert list(made["stage_seconds"]) == ["input", "parse", "encode", "write", "finish"]
    assert all(0 <= seconds < 60 for seconds in made["stage_seconds"].values())
    assert "seconds" not in (Path("corpus.tm") / "manifest.json").read_text(encoding="utf-8")
    assert printed_json(run("verify", "corpus.tm", "--json"))["ok"] is True
    seen = printed_json(run("inspect", "corpus.tm", "--json"))
    assert (seen["kind"], seen["tokens"], seen["documents"]) == ("token store", 5146, 1)
    assert seen["examples"][0]["text"].startswith("I HAD always thought")


def test_prepare_adds_bos_and_eos_as_told(run: Run, lorem: Path, tmp_path: Path) -> None:
    words = ["--model", "word", "--split", "whitespace"]
    assert run("train-tokenizer", "lorem.txt", "-o", "all.json", *words).exit_code == 0
    for options, tokens in ((["--add-bos"], 10), (["--add-bos", "--no-add-eos"], 9), (["--no-add-eos"], 8)):
        out = tmp_path / f"{tokens}.tm"
        made = run("prepare", "lorem.txt", "-t", "all.json", "-o", out, *options, "--json")
        assert printed_json(made)["tokens"] == tokens


def test_prepare_keeps_documents_for_validation(run: Run, gpt2_path: Path, tmp_path: Path) -> None:
    (tmp_path / "many.txt").write_text("\n".join(f"document {i}" for i in range(100)), encoding="utf-8")
    options = ["--separator", r"\n", "--val-fraction", "0.2", "--json"]
    made = printed_json(run("prepare", "many.txt", "-t", gpt2_path, "-o", "s.tm", *options))
    assert made["documents"] + made["validation_documents"] == 100
    seen = printed_json(run("inspect", "s.tm", "--json"))
    assert (seen["documents"], seen["validation_documents"]) == (
        made["documents"],
        made["validation_documents"],
    )
    assert seen["validation_tokens"] == made["validation_tokens"] > 0
    assert run("prepare", "many.txt", "-t", gpt2_path, "-o", "t.tm", "--val-fraction", "1").exit_code == 2


def test_prepare_dry_run_tells_what_it_would_make_and_writes_nothing(
    run: Run, gpt2_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_bytes(b"x" * 1500)
    (tmp_path / "data" / "b.jsonl").write_bytes(b'{"text": ""}\n')
    args = ["prepare", "data", "-t", gpt2_path, "-o", "out.tm", "--dry-run"]
    listed = printed_json(run(*args, "--json"))
    assert [(Path(i["name"]).name, i["bytes"]) for i in listed["inputs"]] == [
        ("a.txt", 1500),
        ("b.jsonl", 13),
    ]
    told = run(*args).stdout
    assert "1.5 kB" in told and "nothing was written" in told
    assert re.search(r"tokens +about [0-9,]+, exactly", told)
    piped = run("prepare", "-", "--format", "jsonl", *args[2:])
    assert piped.exit_code == 2 and "--dry-run needs files" in piped.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_prepare_says_where_a_record_is_broken_and_leaves_nothing(
    run: Run, gpt2_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "data.jsonl").write_text('{"text": "good"}\n{"text": \n', encoding="utf-8")
    result = run("prepare", "data.jsonl", "-t", gpt2_path, "-o", "out.tm")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error: data.jsonl, line 2" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]


def test_prepare_refuses_to_overwrite(run: Run, lorem: Path) -> None:
    result = run("prepare", "lorem.txt", "-t", "words.json", "-o", lorem, "--no-add-eos")
    assert result.exit_code == 1
    assert "lorem.tm: already exists" in result.stderr


def test_separator_escapes_are_understood(run: Run, lorem: Path, tmp_path: Path) -> None:
    (tmp_path / "many.txt").write_text("Lorem\n--\nipsum\n--\ndolor", encoding="utf-8")
    options = ["-t", "words.json", "-o", "many.tm", "--no-add-eos", "--separator", r"\n--\n", "--json"]
    assert printed_json(run("prepare", "many.txt", *options))["documents"] == 3
    assert run("prepare", "many.txt", *options[:-2], r"\x", "--json").exit_code == 2


def test_verify_names_the_damaged_file(run: Run, lorem: Path) -> None:
    tokens = lorem / "shard-00000.tokens"
    tokens.chmod(0o644)
    raw = bytearray(tokens.read_bytes())
    raw[0] ^= 1
    tokens.write_bytes(raw)
    for options in ([], ["--json"]):
        result = run("verify", lorem, *options)
        assert result.exit_code == 1
        assert "shard-00000.tokens" in result.output
    assert json.loads(result.stdout)["ok"] is False


def test_verify_refuses_what_is_no_store(run: Run, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        result = run("verify", path)
        assert (result.exit_code, result.stdout) == (1, "")
        assert str(path) in result.stderr


def test_inspect_shows_tokens_and_documents(run: Run, lorem: Path) -> None:
    shown = run("inspect", "words.json").stdout
    assert "tokenizer" in shown and "[UNK] = 8" in shown
    assert LOREM in run("inspect", lorem).stdout


def test_sample_draws_the_windows_of_the_founding_document(run: Run, lorem: Path) -> None:
    lines = run("sample", lorem, "--max-length", 4, "--stride", 1).stdout.splitlines()
    assert [line.split("   ")[-1].strip() for line in lines[:-1]] == [
        "targets",
        "[ipsum|dolor|sit|amet,]",
        "[dolor|sit|amet,|consectetur]",
        "[sit|amet,|consectetur|adipiscing]",
        "[amet,|consectetur|adipiscing|elit,]",
    ]
    assert lines[1].startswith("[Lorem|ipsum|dolor|sit] ")
    assert lines[-1] == "4 of 4 windows, 4 tokens each, stride 1"


def test_sample_steps_two_tokens_and_still_predicts_one_ahead(run: Run, lorem: Path) -> None:
    drawn = printed_json(run("sample", lorem, "--max-length", 4, "--stride", 2, "--json"))
    assert [(row["inputs"][0], row["targets"][0]) for row in drawn["windows"]] == [
        ("Lorem", "ipsum"),
        ("dolor", "sit"),
    ]


def test_sample_shows_growing_windows_and_leaves_samples_out(run: Run, lorem: Path) -> None:
    args = ["sample", lorem, "--max-length", "0:1,3:3", "--batch-size", 2]
    assert run(*args, "--windows", 4).stdout.splitlines() == [
        "batch 0: inputs           targets",
        "[Lorem]                   [ipsum]",
        "[ipsum]                   [dolor]",
        "batch 1: inputs           targets",
        "[dolor]                   [sit]",
        "batch 2: inputs           targets",
        "[sit|amet,|consectetur]   [amet,|consectetur|adipiscing]",
        "4 of 4 windows, 1 or 3 tokens each, stride 3",
    ]
    kept = printed_json(run(*args, "--skip", "0:2", "--skip", "3:4", "--json"))
    assert [(row["start"], row["inputs"]) for row in kept["windows"]] == [(2, ["dolor"])]
    for wrong in (["--max-length", "x"], ["--max-length", "0:4,5"], ["--max-length", 4, "--skip", "3"]):
        assert run("sample", lorem, *wrong).exit_code == 2


def test_sample_shows_rows_that_are_all_padding(run: Run, two: Path) -> None:
    args = ["sample", two, "--packing", "best_fit", "--max-length", "0:2,1:1", "--windows", 9, "--origin"]
    lines = run(*args).stdout.splitlines()
    assert [line[:11] for line in lines[1:4:2]] == ["[a|b]   [b|", "[d]     [e]"]
    assert lines[4:] == ["[·]     [·]", "3 of 3 windows, 1 or 2 tokens each, stride 2"]
    padding = printed_json(run(*args, "--json"))["windows"][-1]
    assert (padding["start"], padding["origin"], padding["num_targets"]) == (None, None, 0)


def test_sample_shuffles_by_seed_and_says_where_a_window_begins(
    run: Run, gpt2_path: Path, verdict_path: Path
) -> None:
    assert run("prepare", verdict_path, "-t", gpt2_path, "-o", "corpus.tm").exit_code == 0
    args = ["sample", "corpus.tm", "--max-length", 4, "--shuffle", "--windows", 9, "--json", "--origin"]
    first, again, other = (printed_json(run(*args, "--seed", seed)) for seed in (0, 0, 1))
    assert first == again != other
    assert [row["batch"] for row in first["windows"]] == [0] * 8 + [1]
    assert first["windows"][0]["origin"]["input"] == str(verdict_path)
    blocks = printed_json(run(*args, "--shuffle-blocks"))
    assert blocks["windows"] != first["windows"] and blocks["windows_in_all"] == first["windows_in_all"]


@pytest.fixture
def two(run: Run, tmp_path: Path) -> Path:
    """A store of two short documents."""
    (tmp_path / "two.jsonl").write_text('{"text": "a b c"}\n{"text": "d e"}\n', encoding="utf-8")
    assert run("train-tokenizer", "two.jsonl", "-o", "words.json", "--model", "word").exit_code == 0
    assert run("prepare", "two.jsonl", "-t", "words.json", "-o", "two.tm", "--no-add-eos").exit_code == 0
    return tmp_path / "two.tm"


def test_sample_shows_documents_padding_and_masked_targets(run: Run, two: Path) -> None:
    args = ["sample", two, "--max-length", 4, "--tail", "pad", "--boundary-labels", "mask"]
    shown = run(*args)
    assert shown.stdout.splitlines()[1:] == [
        "[a|b|c‖d]   [b|c|×‖e]",
        "1 of 1 windows, 4 tokens each, stride 4",
    ]
    coloured = CliRunner().invoke(main, [str(arg) for arg in args], color=True).stdout
    assert "\x1b[33m\x1b[1m‖\x1b[0m" in coloured and "\x1b[31m×\x1b[0m" in coloured
    padded = [*args[:3], 8, "--tail", "pad"]
    assert "\x1b[2m·\x1b[0m" in CliRunner().invoke(main, [str(arg) for arg in padded], color=True).stdout
    [row] = printed_json(run(*args, "--json"))["windows"]
    assert row["targets"] == ["b", "c", None, "e"] and row["document_ids"] == [0, 0, 0, 1]


def test_colours_are_for_terminals_and_only_where_they_are_wanted(
    run: Run, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ["sample", str(two), "--max-length", "4", "--boundary-labels", "mask"]
    assert "\x1b" not in run(*args).stdout
    assert "\x1b" in CliRunner().invoke(main, args, color=True).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in CliRunner().invoke(main, args, color=True).stdout


def test_sample_packs_documents(run: Run, two: Path) -> None:
    apart = run("sample", two, "--max-length", 4, "--packing", "document").stdout.splitlines()
    assert apart[1:3] == ["[a|b|c|·]   [b|c|·|·]", "[d|e|·|·]   [e|·|·|·]"]
    packed = run("sample", two, "--max-length", 4, "--packing", "best_fit").stdout.splitlines()
    assert packed[1] == "[a|b‖d|e]   [b|c‖e|·]"


def test_sample_explains_one_place(run: Run, two: Path) -> None:
    args = ["sample", two, "--max-length", 4, "--packing", "best_fit", "--explain"]
    lines = run(*args, "0,0,2").stdout.splitlines()
    assert lines[1] == "token 3 of the data, id 3 'd', label 4 'e'"
    assert lines[2] == "two.jsonl, document 1 at byte 18, byte 0 of its text"
    assert printed_json(run(*args, "0,0,2", "--json"))["origin"]["document"] == 1
    for place, message in [
        ("0,0,9", "column 9 does not exist"),
        ("0,1", "three numbers"),
        ("x,0,0", "three"),
    ]:
        result = run(*args, place)
        assert result.exit_code == 2 and message in result.stderr


def test_sample_numbers_steps_as_a_loader_that_drops_last_windows(run: Run, lorem: Path) -> None:
    args = ["sample", lorem, "--max-length", 2, "--batch-size", 2]  # 3 windows
    assert printed_json(run(*args, "--explain", "2,0,0", "--json"))["epoch"] == 1
    dropped = printed_json(run(*args, "--drop-last", "--explain", "2,0,0", "--json"))
    loader = tm.DataLoader(tm.TokenStore.open(lorem), max_length=2, batch_size=2, shuffle=False)
    assert dropped["epoch"] == loader.explain(2, 0, 0).epoch == 2
    assert len(printed_json(run(*args, "--drop-last", "--windows", 9, "--json"))["windows"]) == 2


def test_sample_pads_with_the_id_it_is_given(run: Run, two: Path) -> None:
    args = ["sample", two, "--max-length", 4, "--packing", "document", "--json", "--pad-id"]
    last = printed_json(run(*args, 2))["windows"][-1]
    assert last["input_ids"] == [3, 4, 2, 2] and last["labels"] == [4, -100, -100, -100]
    assert run(*args, 2**32).exit_code == 2


def test_sample_gives_the_ledger(run: Run, two: Path) -> None:
    args = ["sample", two, "--max-length", 4, "--packing", "best_fit", "--ledger"]
    assert (
        run(*args).stdout.splitlines()[0].startswith("5 tokens: 3 learned, 0 masked, 2 with nothing before")
    )
    assert printed_json(run(*args, "--json"))["padding"] == 1
    assert run(*args, "--explain", "0,0,0").exit_code == 2


def test_sample_names_a_window_that_is_longer_than_the_store(run: Run, lorem: Path) -> None:
    result = run("sample", lorem, "--max-length", 8)
    assert result.exit_code == 2
    assert "8" in result.stderr and "max_length" in result.stderr


@pytest.mark.parametrize("verb", ["encode", "decode", "count"])
def test_a_missing_tokenizer_is_one_line_and_exit_code_1(run: Run, verb: str) -> None:
    result = run(verb, "-t", "missing.json", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: missing.json: ") and result.stderr.count("\n") == 1


def test_a_tiktoken_file_needs_a_pattern_or_a_known_name(run: Run, cl100k_path: Path, tmp_path: Path) -> None:
    shutil.copy(cl100k_path, tmp_path / "mine.tiktoken")
    assert run("count", "-t", cl100k_path, "today\n \n").stdout == "2\n"
    assert run("count", "-t", "mine.tiktoken", "--pattern", "gpt4", "today\n \n").stdout == "2\n"
    assert run("count", "-t", "mine.tiktoken", "today").exit_code in (1, 2)


def test_progress_lines_mark_the_begin_and_the_end_of_a_stage(capsys: pytest.CaptureFixture[str]) -> None:
    report = Lines(as_json=False)
    for done in (1, 2, 3):
        report("encoding", "bytes", done * 1000, 3000)
    report("verifying", "tokens", 5, None)
    report("encoding", "bytes", 3000, 3000)
    first, second, third, fourth = capsys.readouterr().err.splitlines()
    assert first == "encoding: 1.0 kB of 3.0 kB"
    assert re.fullmatch(r"encoding: 3\.0 kB of 3\.0 kB, [\d.]+ [kMGTP]?B/s", second)
    assert third == "verifying: 5 tokens"
    assert fourth == "encoding: 3.0 kB of 3.0 kB"


def test_what_the_library_notes_and_the_time_left_stand_in_the_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0.0, 0.0, 10.0, 10.0, 10.0, 10.0])
    monkeypatch.setattr("tokenmill.cli._progress.time.monotonic", lambda: next(clock))
    report = Lines(as_json=False)
    report("merging", "merges", 0, 100)
    report.note("last 'the', 7 times")
    report("merging", "merges", 20, 100)
    assert capsys.readouterr().err.splitlines() == [
        "merging: 0 of 100 merges",
        "merging: 20 of 100 merges, last 'the', 7 times, 40 s left",
    ]


def test_training_notes_the_last_merge() -> None:
    class Callback:
        notes: list[str] = []  # noqa: RUF012

        def note(self, text: str) -> None:
            self.notes.append(text)

        def __call__(self, stage: str, unit: str, done: int, total: int | None, /) -> None:
            assert stage in ("counting", "merging")

    tm.train_bpe(tm.Documents.from_texts(["low low"]), vocab_size=258, special_tokens=[], progress=Callback())
    assert Callback.notes[-1] == 'last "low", 2 times'


def test_json_progress_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Lines(as_json=True)("merging", "merges", 5, 10)
    assert json.loads(capsys.readouterr().err) == {
        "stage": "merging",
        "unit": "merges",
        "done": 5,
        "total": 10,
    }
