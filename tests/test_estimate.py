"""What a training is told to take, against what it takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tokenmill as tm
from samples import standard_library
from tokenmill.estimate import estimate_training


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("corpus")
    paths = []
    for number, text in enumerate(standard_library(4_000_000)):
        path = folder / f"{number:05}.jsonl"
        path.write_text(json.dumps({"text": text}) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def test_a_part_tells_the_size_of_the_whole_and_nearly_its_distinct_pieces(
    corpus: list[Path], tmp_path: Path
) -> None:
    told = estimate_training(corpus, vocab_size=1000, sample_bytes=1_000_000)
    assert told.total_bytes == sum(path.stat().st_size for path in corpus)
    assert 0 < told.sampled_bytes < told.total_bytes
    distinct = tm.count_words(corpus, tmp_path / "all.tmc").totals().pieces
    assert told.distinct_pieces is not None
    assert 0.5 < told.distinct_pieces / distinct < 2
    assert told.seconds is not None and told.seconds > 0
    assert told.memory_bytes is not None and told.memory_bytes > 1 << 20


def test_all_of_a_small_corpus_is_counted(corpus: list[Path], tmp_path: Path) -> None:
    few = corpus[:20]
    told = estimate_training(few, vocab_size=300)
    assert told.sampled_bytes == told.total_bytes
    assert told.distinct_pieces == tm.count_words(few, tmp_path / "all.tmc").totals().pieces


def test_no_text_needs_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("")
    told = estimate_training(tmp_path / "a.jsonl", vocab_size=300)
    assert (told.total_bytes, told.distinct_pieces) == (0, 0)
