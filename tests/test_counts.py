"""Files of counts, and tokenizers trained from them, in parts, with little memory, and onto others."""

from __future__ import annotations

import collections
import json
from pathlib import Path

import numpy as np
import pytest

import tokenmill as tm
from reference.bpe import count_pieces
from reference.counts import read_counts
from reference.patterns import PATTERNS
from samples import MIXED, standard_library
from tokenmill import counts as counts_module


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [*standard_library(600_000), MIXED, MIXED]


def count(texts: list[str], path: Path, **options: object) -> tm.Counts:
    return tm.count_words(tm.Documents.from_texts(texts), path, **options)  # type: ignore[arg-type]


def merges(data: object, **options: object) -> list[tuple[int, int]]:
    tok = tm.train_bpe(data, **{"vocab_size": 900, "special_tokens": [], **options})  # type: ignore[call-overload]
    found: list[tuple[int, int]] = tok.merges
    return found


# --- the file


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_a_file_holds_what_the_twin_counts_in_the_twins_format(
    pattern: str, texts: list[str], tmp_path: Path
) -> None:
    count(texts, tmp_path / "a.tmc", pattern=pattern, source="one")
    header, rows = read_counts((tmp_path / "a.tmc").read_bytes())
    assert header["sources"] == ["one"] and header["version"] == 1 and header["pattern"] == pattern
    want = collections.Counter(dict(count_pieces(texts, PATTERNS[pattern])))
    assert rows == sorted((piece, [number]) for piece, number in want.items())


def test_the_file_does_not_depend_on_order_or_the_memory_allowed(texts: list[str], tmp_path: Path) -> None:
    count(texts, tmp_path / "a.tmc")
    count(texts[::-1], tmp_path / "b.tmc", max_memory=counts_module.LEAST_MEMORY)
    assert (tmp_path / "a.tmc").read_bytes() == (tmp_path / "b.tmc").read_bytes()


def test_counts_know_their_sources_and_totals(tmp_path: Path) -> None:
    counts = count(["a b b"], tmp_path / "a.tmc", source="web")
    assert counts.sources == ("web",) and counts.pattern == "gpt4"
    assert counts.totals() == tm.CountTotals(pieces=2, occurrences={"web": 3})
    assert repr(counts) == "Counts(1 files, sources=['web'], pattern='gpt4')"


def test_one_flipped_bit_is_an_error_that_names_the_file(texts: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.tmc"
    count(texts, path)
    data = bytearray(path.read_bytes())
    for place in range(100, len(data), len(data) // 50):
        data[place] ^= 4
        path.write_bytes(data)
        with pytest.raises(tm.FormatError, match=r"a\.tmc: the counts are damaged"):
            tm.Counts.open(path).totals()
        data[place] ^= 4


def test_what_is_no_file_of_counts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a b")
    with pytest.raises(tm.FormatError, match="count-words"):
        tm.Counts.open(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError):
        tm.Counts.open(tmp_path / "none.tmc")


# --- training from counts


def test_counts_train_the_tokenizer_that_the_texts_train(texts: list[str], tmp_path: Path) -> None:
    want = merges(tm.Documents.from_texts(texts))
    assert merges(count(texts, tmp_path / "all.tmc")) == want
    parts = [texts[:7], texts[7:30], texts[30:]]
    files = [tmp_path / f"{number}.tmc" for number in range(3)]
    for part, file in zip(parts, files, strict=True):
        count(part, file, source=file.stem)
    together = tm.Counts.open(files)
    assert together.sources == ("0", "1", "2")
    assert merges(together) == want
    together.save(tmp_path / "merged.tmc")
    assert merges(tm.Counts.open(tmp_path / "merged.tmc")) == want


def test_a_weight_is_as_if_the_texts_came_so_often(texts: list[str], tmp_path: Path) -> None:
    web, code = texts[:20], texts[20:40]
    files = [tmp_path / "web.tmc", tmp_path / "code.tmc"]
    count(web, files[0], source="web")
    count(code, files[1], source="code")
    weighed = tm.Counts.open(files, weights={"code": 3})
    assert merges(weighed) == merges(tm.Documents.from_texts(web + 3 * code))
    assert merges(tm.Counts.open(files, weights={"web": 0})) == merges(tm.Documents.from_texts(code))
    for weight in (-1, 1.5, True, 1 << 64):
        with pytest.raises(ValueError, match="no integer"):
            tm.Counts.open(files, weights={"web": weight})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"no source named \"books\".*\"web\", \"code\""):
        tm.Counts.open(files, weights={"books": 1})


def test_counts_of_one_pattern_are_not_trained_with_another(tmp_path: Path) -> None:
    counts = count(["a b"], tmp_path / "a.tmc", pattern="gpt2")
    assert tm.train_bpe(counts, vocab_size=300).pattern == "gpt2"
    with pytest.raises(ValueError, match=r'"gpt2".*"gpt4o"'):
        tm.train_bpe(counts, vocab_size=300, pattern="gpt4o")


# --- several sizes, a curve, a longest token


@pytest.mark.parametrize("compat", ["gpt", "hf"])
def test_each_of_several_sizes_is_what_training_for_it_gives(
    compat: str, texts: list[str], tmp_path: Path
) -> None:
    sizes = [700, 300, 257, 512]
    docs = tm.Documents.from_texts(texts)
    together = tm.train_bpe(docs, vocab_size=sizes, compat=compat)  # type: ignore[call-overload]
    for size, tok in zip(sizes, together, strict=True):
        alone = tm.train_bpe(docs, vocab_size=size, compat=compat)  # type: ignore[call-overload]
        assert tok.vocab_size == size
        assert tok.fingerprint == alone.fingerprint
        assert tok.special_tokens == alone.special_tokens


def test_no_size_is_refused() -> None:
    with pytest.raises(ValueError, match="no size"):
        tm.train_bpe(tm.Documents.from_texts([]), vocab_size=[])


def test_the_curve_is_what_each_size_makes_of_the_corpus(texts: list[str]) -> None:
    docs = tm.Documents.from_texts(texts)
    tok = tm.train_bpe(docs, vocab_size=500)
    curve = tok.curve
    assert curve is not None
    assert curve.num_bytes == sum(len(text.encode()) for text in texts)
    assert curve.vocab_sizes.tolist() == list(range(258, 501))
    assert np.all(np.diff(curve.counts.astype(np.int64)) <= 0)
    for place in (0, 100, 242):
        smaller = tm.train_bpe(docs, vocab_size=int(curve.vocab_sizes[place]))
        assert sum(map(smaller.count, texts)) == curve.tokens[place]


def test_no_token_is_longer_than_allowed(texts: list[str]) -> None:
    tok = tm.train_bpe(tm.Documents.from_texts(texts), vocab_size=900, max_token_bytes=3)
    lengths = [len(tok.id_to_token(number)) for number in range(899)]
    assert max(lengths) == 3


# --- extending


def test_an_extended_tokenizer_keeps_its_ids_and_goes_on(texts: list[str]) -> None:
    docs = tm.Documents.from_texts(texts)
    small = tm.train_bpe(docs, vocab_size=400, special_tokens=["<|end|>"])
    large = tm.train_bpe(docs, vocab_size=600, extend=small)
    assert large.vocab_size == 600
    assert dict(large.special_tokens) == {"<|end|>": 399}
    for number in range(400):
        assert large.id_to_token(number) == small.id_to_token(number)
    whole = tm.train_bpe(docs, vocab_size=600, special_tokens=["<|end|>"])
    for text in texts[:20]:  # the special token lies between old and new ids in one, behind all in the other
        assert [number - (number > 399) for number in large.encode(text)] == whole.encode(text)


def test_an_extended_published_tokenizer_encodes_its_new_words(tmp_path: Path, gpt2_path: Path) -> None:
    gpt2 = tm.Tokenizer.load(gpt2_path)
    text = "zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich "
    longer = tm.train_bpe(tm.Documents.from_texts([text * 9]), vocab_size=50_300, extend=gpt2)
    assert len(longer.encode(text)) < len(gpt2.encode(text))
    english = "The quick brown fox jumps over the lazy dog"
    assert longer.encode(english) == gpt2.encode(english)
    longer.save(tmp_path / "longer.json")
    assert tm.Tokenizer.load(tmp_path / "longer.json").encode(text) == longer.encode(text)


def test_what_an_extension_cannot_change_is_refused(texts: list[str]) -> None:
    docs = tm.Documents.from_texts(texts[:3])
    small = tm.train_bpe(docs, vocab_size=300)
    with pytest.raises(ValueError, match="pattern='gpt2' is not that of"):
        tm.train_bpe(docs, vocab_size=400, extend=small, pattern="gpt2")
    with pytest.raises(ValueError, match=r"special_tokens=\['<s>'\] are not those of"):
        tm.train_bpe(docs, vocab_size=400, extend=small, special_tokens=["<s>"])
    with pytest.raises(ValueError, match="vocab_size=299 is less than the 300"):
        tm.train_bpe(docs, vocab_size=299, extend=small)
    words = tm.train_word(docs)
    with pytest.raises(ValueError, match="word tokenizer"):
        tm.train_bpe(docs, vocab_size=400, extend=words)


# --- long runs


def test_a_pattern_that_does_not_cut_is_warned_of() -> None:
    docs = tm.Documents.from_texts(["spam " * 1000])
    with pytest.warns(UserWarning, match=r"very long pieces \(5,000 bytes: b'spam spam"):
        tm.train_bpe(docs, vocab_size=300, pattern=r"(?s:.+)")


def test_less_memory_than_reading_takes_is_refused() -> None:
    with pytest.raises(ValueError, match="max_memory=1000 is less than"):
        tm.train_bpe(tm.Documents.from_texts([]), vocab_size=300, max_memory=1000)


@pytest.fixture
def files(texts: list[str], tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.txt" for number in range(10)]
    for number, path in enumerate(paths):
        path.write_text("".join(texts[number::10]), encoding="utf-8")
    return paths


def test_an_interrupted_training_goes_on_where_it_was(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts_module, "PART_BYTES", 100_000)
    want = merges(files)
    folder = tmp_path / "checkpoint"
    read: list[str] = []
    real = counts_module.count_words

    def stopped(data: tm.Documents, out: Path, **options: object) -> object:
        if len(read) >= 2:
            raise KeyboardInterrupt
        read.extend(data.files or [])
        return real(data, out, **options)  # type: ignore[arg-type]

    def noted(data: tm.Documents, out: Path, **options: object) -> object:
        read.extend(data.files or [])
        return real(data, out, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(counts_module, "count_words", stopped)
    with pytest.raises(KeyboardInterrupt):
        merges(files, checkpoint=folder)
    done = list(read)
    read.clear()
    monkeypatch.setattr(counts_module, "count_words", noted)
    assert merges(files, checkpoint=folder) == want
    assert done and not set(done) & set(read)
    assert sorted(done + read) == sorted(map(str, files))
    read.clear()
    assert merges(files, checkpoint=folder) == want
    assert not read


def test_a_checkpoint_of_another_corpus_is_refused(files: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    merges(files, checkpoint=folder)
    with pytest.raises(ValueError, match="another training: other pattern"):
        merges(files, checkpoint=folder, pattern="gpt2")
    with pytest.raises(ValueError, match="another training: other files"):
        merges(files[1:], checkpoint=folder)
    files[3].write_text("changed")
    with pytest.raises(ValueError, match="another training: other files"):
        merges(files, checkpoint=folder)
    with pytest.raises(ValueError, match="files that can be read again"):
        merges(tm.Documents.from_texts(["a"]), checkpoint=tmp_path / "other")
    assert json.loads((folder / "plan.json").read_text())["version"] == 1
