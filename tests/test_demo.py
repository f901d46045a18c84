"""The demo: its small examples are those of the founding document, its corpus run works on a small folder."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    path = Path(__file__).parent.parent / "examples" / "demo.py"
    spec = importlib.util.spec_from_file_location("demo", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["demo"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_words_are_split_from_punctuation_and_numbered_alphabetically(demo: ModuleType) -> None:
    assert demo.words("Hello, world!", learned_from="Hello, world!") == (
        ["Hello", ",", "world", "!"],
        [2, 1, 3, 0],
    )


def test_an_unknown_word_is_unk(demo: ModuleType) -> None:
    assert demo.words("Bye, world!", learned_from="Hello, world!")[0] == ["[UNK]", ",", "world", "!"]


def test_the_most_frequent_pair_is_merged_first(demo: ModuleType) -> None:
    assert demo.merges("aaabdaaabac", 0) == list("aaabdaaabac")
    assert demo.merges("aaabdaaabac", 1) == ["aa", "a", "b", "d", "aa", "a", "b", "a", "c"]
    assert demo.merges("aaabdaaabac", 3) == ["aaab", "d", "aaab", "a", "c"]


def test_the_windows_are_those_of_the_founding_document(demo: ModuleType) -> None:
    rows = demo.windows(demo.LOREM, max_length=4, stride=1)
    assert [" ".join(inputs) for inputs, _ in rows] == [
        "Lorem ipsum dolor sit",
        "ipsum dolor sit amet,",
        "dolor sit amet, consectetur",
        "sit amet, consectetur adipiscing",
    ]
    assert [" ".join(targets) for _, targets in rows] == [
        "ipsum dolor sit amet,",
        "dolor sit amet, consectetur",
        "sit amet, consectetur adipiscing",
        "amet, consectetur adipiscing elit,",
    ]


def test_stride_two_starts_every_second_window_and_predicts_one_token_ahead(demo: ModuleType) -> None:
    rows = demo.windows(demo.LOREM, max_length=4, stride=2)
    assert [(inputs[0], targets[0]) for inputs, targets in rows] == [("Lorem", "ipsum"), ("dolor", "sit")]


def test_files_that_are_not_utf8_and_installed_packages_are_left_out(
    demo: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "good.py").write_text("x = 'é'\n", encoding="utf-8")
    (tmp_path / "latin.py").write_bytes(b"x = '\xe9'\n")
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "other.py").write_text("y = 1\n", encoding="utf-8")
    sources = demo.python_sources(tmp_path)
    assert (sources.files, sources.bytes, sources.not_utf8) == ([str(tmp_path / "good.py")], 9, 1)


def test_the_corpus_run_reports_each_step_and_shows_a_row_with_its_origin(
    demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "sources"
    folder.mkdir()
    for number in range(4):
        lines = [f"def function_{number}_{i}(): return {i}\n" for i in range(50)]
        (folder / f"module{number}.py").write_text("".join(lines), encoding="utf-8")
    demo.run_corpus(
        demo.python_sources(folder), tmp_path / "out.tm", vocab_size=300, max_length=16, batch_size=4
    )
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()[:4]] == ["train", "prepare", "verify", "sample"]
    assert "of 4 files" in printed and "every byte is as it was written" in printed
    assert str(folder / "module") in printed and "function_" in printed


def test_the_small_examples_are_printed(demo: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    demo.show_small_examples()
    printed = capsys.readouterr().out
    assert "[UNK] | , | world | !" in printed
    assert "[sit amet, consectetur adipiscing]   [amet, consectetur adipiscing elit,]" in printed
