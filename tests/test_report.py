"""Reports against hand-computed numbers, against brute force, and as files."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from base64 import b64encode
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import reference.report as reference
import tokenmill as tm
from samples import standard_library, texts
from tokenmill.cli import main
from tokenmill.report import Difference, words
from tokenmill.report.vocabulary import Rules, renyi_efficiency, smaller_vocabularies, unreachable
from tokenmill.report.words import WordCounts


def documents(*texts: str) -> tm.Documents:
    return tm.Documents.from_texts(texts)


def difference(before: tm.Tokenizer, after: tm.Tokenizer, *texts: str) -> Difference:
    (found,) = tm.report_tokenizer(after, documents(*texts), against={"before": before}).differences["before"]
    return found


@cache
def bytes_alone() -> str:
    """A tokenizer.json without merges."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        tm.train_bpe(documents(), vocab_size=256, special_tokens=[], pattern="gpt2").save(path)
        return path.read_text(encoding="utf-8")


def with_merges(folder: Path, *merges: tuple[str, str], whole_pieces: bool = False) -> tm.Tokenizer:
    """The 256 bytes and these merges, whatever they make of each other."""
    path = folder / "tokenizer.json"
    written = json.loads(bytes_alone())
    for left, right in merges:
        written["model"]["vocab"].setdefault(left + right, len(written["model"]["vocab"]))
        written["model"]["merges"].append([left, right])
    written["model"]["ignore_merges"] = whole_pieces
    path.write_text(json.dumps(written), encoding="utf-8")
    return tm.Tokenizer.load(path)


def test_numbers_of_a_small_text_are_those_worked_out_by_hand(tmp_path: Path) -> None:
    tok = with_merges(tmp_path, ("l", "o"), ("lo", "w"), ("Ġ", "low"), ("Ċ", "Ċ"), ("Ã", "©"))
    result = tm.report_tokenizer(tok, {"en": documents("low low", "lower"), "fr": documents("é é")})
    (report,) = result.tokenizers
    en, fr = report.sources
    assert (en.texts.documents, en.texts.bytes, en.texts.characters, en.texts.words) == (2, 12, 12, 3)
    # low| low, low|e|r
    assert (en.tokens, en.bytes_per_token, en.tokens_per_word) == (5, 12 / 5, 5 / 3)
    # é|space|é: the space merges with "low" alone.
    assert (fr.texts.bytes, fr.texts.characters, fr.tokens, fr.tokens_per_character) == (5, 3, 3, 1.0)
    assert (report.total.tokens, report.total.texts.documents) == (8, 3)
    # The words are "low", "lower" and "é"; only " low" is one token.
    assert report.total.words_whole_1k == report.total.words_whole_10k == pytest.approx(1 / 3)
    assert (en.words_whole_1k, fr.words_whole_1k) == (1 / 2, 0)
    # Of fr two of three tokens are é: p = 2/3, 1/3.
    power = (2 / 3) ** 2.5 + (1 / 3) ** 2.5
    assert fr.renyi_efficiency == pytest.approx(math.log(power) / -1.5 / math.log(261))
    # Used: low, " low", e, r, é, space. 261 tokens in all.
    assert report.unused.number == 261 - 6
    assert report.unreachable is not None and report.unreachable.number == 0
    assert report.cut is not None and report.cut.number == 0
    assert report.partial_utf8.number == 128
    assert report.longest.examples[0] == (258, b" low")
    assert (result.differences, result.words_lost) == ({}, 0)


def test_no_text_gives_no_number_instead_of_a_division_by_zero() -> None:
    tok = tm.train_bpe(documents("ab ab"), vocab_size=258)
    (report,) = tm.report_tokenizer(tok, documents()).tokenizers
    assert report.total.bytes_per_token is None
    assert report.total.tokens_per_word is None
    assert report.total.renyi_efficiency is None
    assert report.total.words_whole_1k is report.total.words_whole_10k is None
    assert report.curve is not None and set(report.curve.tokens) == {0}
    assert tm.report_tokenizer(tok, documents()).to_html().startswith("<!doctype html>")


def test_tokens_that_the_pattern_cuts_are_listed_unless_a_text_has_them(tmp_path: Path) -> None:
    # GPT-2's pattern cuts before a space, and letters from digits.
    tok = with_merges(tmp_path, ("a", "Ġ"), ("a", "1"), ("b", "a"))
    (report,) = tm.report_tokenizer(tok, documents("a a1 ba")).tokenizers
    assert report.cut is not None and report.unreachable is not None
    assert (report.cut.examples, report.unreachable.number) == (((256, b"a "), (257, b"a1")), 0)
    # Where the text says no more than "\n//" it is cut; behind punctuation o200k's pattern goes on.
    ranks = [*BYTES, b"//", b"\n//"]
    (tmp_path / "t.tiktoken").write_bytes(
        b"".join(b"%s %d\n" % (b64encode(t), i) for i, t in enumerate(ranks))
    )
    tok = tm.Tokenizer.load(tmp_path / "t.tiktoken", pattern="gpt4o", special_tokens={})
    for text, number in (("\n//", 1), (";\n//", 0)):
        (report,) = tm.report_tokenizer(tok, documents(text)).tokenizers
        assert report.cut is not None and report.cut.number == number


def test_tokens_that_other_merges_take_apart_are_unreachable(tmp_path: Path) -> None:
    tok = with_merges(tmp_path, ("b", "c"), ("a", "b"), ("ab", "c"), ("abc", "d"), ("c", "c"))
    found, cut = unreachable(tok, Rules(tok))
    assert cut == []
    # In "abc" the merge of b and c comes first, and nothing merges a with bc.
    assert [tok.id_to_token(i) for i in found] == [b"abc", b"abcd"]
    assert set(found) == set(range(256, 261)) - reference.reached(tok, "abcd", 6)


@settings(max_examples=30, deadline=None)
@given(
    merges=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=6),
)
def test_unreachable_tokens_are_those_that_no_text_has(
    tmp_path_factory: pytest.TempPathFactory, merges: list[tuple[int, int]]
) -> None:
    tokens, made = ["a", "b", "c"], []
    for left, right in merges:
        spelled = tokens[left % len(tokens)] + tokens[right % len(tokens)]
        # A text of length 7 can hold what surrounds it too.
        if len(spelled) <= 5 and spelled not in tokens:
            made.append((tokens[left % len(tokens)], tokens[right % len(tokens)]))
            tokens.append(spelled)
    tok = with_merges(tmp_path_factory.mktemp("t"), *made)
    missing = set(range(256, 256 + len(made))) - reference.reached(tok, "abc", 7)
    assert set(unreachable(tok, Rules(tok))[0]) == missing


@settings(max_examples=25, deadline=None)
@given(st.lists(texts, min_size=1, max_size=6), st.sampled_from(["gpt", "hf"]))
def test_smaller_vocabularies_come_to_what_their_own_training_does(corpus: list[str], compat: str) -> None:
    tok = tm.train_bpe(documents(*corpus), vocab_size=300, special_tokens=[], min_frequency=1, compat=compat)
    ids = np.concatenate([tok.encode_to_numpy(text) for text in corpus])
    curve = smaller_vocabularies(Rules(tok), np.bincount(ids, minlength=tok.vocab_size))
    assert curve is not None
    for size, tokens in zip(curve.vocab_sizes, curve.tokens, strict=True):
        small = tm.train_bpe(
            documents(*corpus), vocab_size=size, special_tokens=[], min_frequency=1, compat=compat
        )
        assert tokens == sum(small.count(text) for text in corpus)
    assert curve.vocab_sizes[0] == 256
    assert curve.vocab_sizes[-1] == tok.vocab_size


def test_a_tokenizer_of_ranks_has_a_curve_too(tmp_path: Path) -> None:
    corpus = list(standard_library(100_000))
    tok = tm.train_bpe(documents(*corpus), vocab_size=600, special_tokens=[])
    (tmp_path / "ranks.tiktoken").write_bytes(
        b"".join(b"%s %d\n" % (b64encode(tok.id_to_token(i) or b""), i) for i in range(600))
    )
    ranks = tm.Tokenizer.load(tmp_path / "ranks.tiktoken", pattern=tok.pattern, special_tokens={})
    assert ranks.merges is None
    ids = np.concatenate([tok.encode_to_numpy(text) for text in corpus])
    counts = np.bincount(ids, minlength=600)
    assert smaller_vocabularies(Rules(ranks), counts) == smaller_vocabularies(Rules(tok), counts)


def ranks_of(folder: Path, tokens: list[bytes]) -> tm.Tokenizer:
    """A tokenizer of ranks."""
    lines = b"".join(b"%s %d\n" % (b64encode(token), i) for i, token in enumerate(tokens))
    (folder / "ranks.tiktoken").write_bytes(lines)
    return tm.Tokenizer.load(folder / "ranks.tiktoken", pattern="gpt2", special_tokens={})


spelled = st.text("abc", min_size=2, max_size=5).map(str.encode)
BYTES = [bytes([byte]) for byte in range(256)]


@settings(max_examples=60, deadline=None)
@given(st.lists(spelled, unique=True, max_size=8), st.lists(st.text("abc ", max_size=12), max_size=6))
def test_fewer_ranks_come_to_what_a_tokenizer_of_fewer_ranks_does(
    tmp_path_factory: pytest.TempPathFactory, tokens: list[bytes], corpus: list[str]
) -> None:
    # Many of these tokens no merge comes to: they are taken where they are a whole piece.
    folder = tmp_path_factory.mktemp("t")
    tok = ranks_of(folder, BYTES + tokens)
    (report,) = tm.report_tokenizer(tok, documents(*corpus)).tokenizers
    if report.curve is None:  # A token is made of a later one.
        assert any(a in b and tokens.index(a) > tokens.index(b) for a in tokens for b in tokens if a != b)
        return
    for size, count in zip(report.curve.vocab_sizes, report.curve.tokens, strict=True):
        fewer = ranks_of(folder, BYTES + tokens[: size - 256])
        assert count == sum(fewer.count(text) for text in corpus)


@settings(max_examples=60, deadline=None)
@given(
    merges=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8),
    order=st.randoms(use_true_random=False),
    whole=st.booleans(),
)
def test_fewer_merges_of_any_list_come_to_what_a_tokenizer_of_fewer_merges_does(
    tmp_path_factory: pytest.TempPathFactory, merges: list[tuple[int, int]], order: Random, whole: bool
) -> None:
    tokens, made = ["a", "b"], list[tuple[str, str]]()
    for left, right in merges:
        pair = (tokens[left % len(tokens)], tokens[right % len(tokens)])
        # Another pair may spell the same.
        if pair not in made and len("".join(pair)) <= 6:
            made.append(pair)
            tokens = list(dict.fromkeys([*tokens, "".join(pair)]))
    shuffled = list(made)
    order.shuffle(shuffled)
    corpus = [*tokens, *map("".join, pairwise(tokens)), *map("".join, pairwise(reversed(tokens)))]
    folder = tmp_path_factory.mktemp("t")
    # A token may be taken whole before what its merge takes is there: then no file says what is before it.
    for merged, whole_pieces in ((made, whole), (shuffled, False)):
        tok = with_merges(folder, *merged, whole_pieces=whole_pieces)
        (report,) = tm.report_tokenizer(tok, documents(*corpus)).tokenizers
        names = ["".join(pair) for pair in merged]
        if report.curve is None:
            assert merged is shuffled or len(set(names)) < len(names)
            continue
        for size, count in zip(report.curve.vocab_sizes, report.curve.tokens, strict=True):
            # The merges up to the first that makes the last token, and in the end all.
            there = list(dict.fromkeys(names))[: size - 256]
            last = max(map(names.index, there), default=-1) if size < tok.vocab_size else len(names)
            known = {"a", "b", *names[: last + 1]}
            first = [pair for pair in merged[: last + 1] if known.issuperset(pair)]
            fewer = with_merges(folder, *first, whole_pieces=whole_pieces)
            assert count == sum(fewer.count(text) for text in corpus)


def test_the_curve_is_that_of_the_training_on_the_same_texts() -> None:
    corpus = list(standard_library(200_000))
    tok = tm.train_bpe(documents(*corpus), vocab_size=900, special_tokens=["<s>", "</s>"])
    (report,) = tm.report_tokenizer(tok, documents(*corpus)).tokenizers
    assert report.curve is not None and tok.curve is not None
    trained = dict(zip(tok.curve.vocab_sizes.tolist(), tok.curve.tokens.tolist(), strict=True))
    points = dict(zip(report.curve.vocab_sizes, report.curve.tokens, strict=True))
    assert points.pop(258) == tok.curve.num_bytes
    assert len(points) > 15 and points == {size: trained[size] for size in points}


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_renyi_efficiency_is_that_of_the_formula(ids: list[int]) -> None:
    found = renyi_efficiency(np.bincount(ids, minlength=10))
    assert found == pytest.approx(reference.renyi_efficiency(ids, 10, 2.5))


@settings(max_examples=30, deadline=None)
@given(st.lists(texts, max_size=8))
def test_differences_are_exactly_the_documents_that_are_cut_otherwise(corpus: list[str]) -> None:
    before = tm.train_bpe(documents(*corpus[::2]), vocab_size=280, special_tokens=[], min_frequency=1)
    after = tm.train_bpe(documents(*corpus), vocab_size=330, extend=before, min_frequency=1)
    found = difference(before, after, *corpus)
    want = reference.changed(before, after, corpus)
    assert (found.documents, found.changed_documents) == (len(corpus), len(want))
    assert [corpus[place.position] for place in found.places] == want
    assert all(before.id_to_token(i) == after.id_to_token(i) for i in range(before.vocab_size))
    assert found.tokens_before == sum(before.count(text) for text in corpus)
    assert found.tokens_after == sum(after.count(text) for text in corpus)
    # An extension merges on: it never ends a token where there was no end before.
    for change in found.changes:
        assert b"".join(change.before) == b"".join(change.after)
        assert len(change.after) < len(change.before)


def test_a_change_shows_the_text_between_two_common_ends(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    before = with_merges(tmp_path / "before", ("l", "o"))
    after = with_merges(tmp_path / "after", ("o", "w"))
    found = difference(before, after, "a low b", "lo", "x")
    assert found.changed_documents == 2
    shown = {(change.before, change.after): change.occurrences for change in found.changes}
    assert shown == {((b"lo", b"w"), (b"l", b"ow")): 1, ((b"lo",), (b"l", b"o")): 1}


def test_words_have_neither_curve_nor_unreachable_tokens() -> None:
    docs = documents("the cat", "the hat")
    tok = tm.train_word(docs, special_tokens=[])
    other = tm.train_bpe(docs, vocab_size=260)
    result = tm.report_tokenizer(tok, docs, against={"bpe": other})
    assert result.tokenizers[0].curve is None
    assert result.tokenizers[0].unreachable is result.tokenizers[0].cut is None
    assert result.tokenizers[0].total.tokens_per_word == 1
    assert result.differences == {}


def test_texts_are_read_once_so_that_a_generator_will_do() -> None:
    tok = tm.train_bpe(documents("ab"), vocab_size=257)
    other = tm.train_bpe(documents("ab ab"), vocab_size=258)
    result = tm.report_tokenizer(tok, tm.Documents.from_texts(iter(["a", "ab"])), against={"other": other})
    assert result.tokenizers[0].total.texts.documents == result.differences["other"][0].documents == 2


def test_progress_tells_bytes() -> None:
    told: list[tuple[str, str, int, int | None]] = []
    tok = tm.train_bpe(documents("ab"), vocab_size=257)
    data = {"one": documents("é"), "two": documents("abc")}
    tm.report_tokenizer(tok, data, progress=lambda *args: told.append(args))
    assert told == [("measuring", "bytes", 2, None), ("measuring", "bytes", 5, None)]


def test_a_word_without_a_token_is_an_error_that_names_the_place() -> None:
    tok = tm.train_word(documents("the cat"), special_tokens=[])
    with pytest.raises(tm.UnknownTokenError, match=r'<texts>, record at 1: the word "dog" at byte 4'):
        tm.report_tokenizer(tok, documents("the cat", "the dog"))


def test_two_of_one_name_are_refused() -> None:
    tok = tm.train_bpe(documents("ab"), vocab_size=257)
    with pytest.raises(ValueError, match="two tokenizers are called 'tokenizer'"):
        tm.report_tokenizer(tok, documents("a"), against={"tokenizer": tok})


def test_the_page_needs_nothing_else_and_escapes_what_it_shows(tmp_path: Path) -> None:
    tok = with_merges(tmp_path, ("<", "b"), ("<b", ">"))
    other = tm.train_bpe(documents("ab ab"), vocab_size=258)
    result = tm.report_tokenizer(
        tok, {"<i>$x$": documents("<b> ab ab")}, name="a&b<script>", against={"<other>": other}
    )
    page = result.to_html()
    assert page == result.to_html()
    assert "<script" not in page and "<i>" not in page and "<other>" not in page and "<b>" not in page
    assert "a&amp;b&lt;script&gt;" in page
    assert ">&lt;b&gt;</code>" in page
    # Names of XML vocabularies in the plots are no addresses to fetch from.
    fetched = re.findall(r'(?:src|href)="(?!#)[^"]*"|url\((?!#)[^)]*\)|@import', page)
    assert fetched == []
    assert page.count("<svg") == 2


def test_names_of_all_scripts_and_spellings_are_in_the_plots() -> None:
    tok = tm.train_bpe(documents("ab ab"), vocab_size=258)
    # What is not in Matplotlib's font would be warned of, and a name with "_" before it left out.
    page = tm.report_tokenizer(tok, {"日本語": documents("ab ab"), "_x": documents("a")}, name="_y").to_html()
    texts_of_plots = re.findall(r"<text [^>]*>([^<]*)</text>", page)
    assert {"日本語", "\u200b_x", "\u200b_y"} <= set(texts_of_plots)


def test_words_that_are_not_in_a_vocabulary_of_words_are_not_whole() -> None:
    tok = tm.train_word(documents("(cat) dog"), split="whitespace", special_tokens=[])
    (report,) = tm.report_tokenizer(tok, documents("(cat) dog")).tokenizers
    assert report.total.words_whole_1k == 1 / 2


@given(st.lists(texts, max_size=6))
def test_the_numbers_of_a_source_are_those_of_the_twin(corpus: list[str]) -> None:
    tok = tm.train_bpe(
        documents("it's what they'll say, 中 中", "été 12 12"), vocab_size=280, min_frequency=1
    )
    (report,) = tm.report_tokenizer(tok, documents(*corpus)).tokenizers
    found = dataclasses.asdict(report.total)
    want = reference.encoded(tok, corpus, "total")
    assert found.pop("renyi_efficiency") == pytest.approx(want.pop("renyi_efficiency"))
    assert found == want
    assert report.unused.number == reference.unused(tok, corpus)


@given(st.lists(texts, max_size=6))
def test_frequent_words_are_those_of_the_twin(corpus: list[str]) -> None:
    counts = WordCounts()
    for text in corpus:
        counts.add(text.split())
    assert counts.most_frequent(5) == reference.frequent_words(corpus)[:5]


@given(st.lists(st.lists(st.text("ab", min_size=1, max_size=4), max_size=30), max_size=8))
def test_words_forgotten_are_as_rare_as_is_said(corpus: list[list[str]]) -> None:
    true: Counter[str] = Counter()
    parts = [WordCounts(), WordCounts()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "REMEMBERED", 4)
        for number, more in enumerate(corpus):
            true.update(more)
            parts[number % 2].add(more)
        parts[0].merge(parts[1])
    assert len(parts[0].counts) <= 4
    for word, count in true.items():
        assert parts[0].counts[word] <= count <= parts[0].counts[word] + parts[0].lost


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    corpus = list(standard_library(100_000))
    for name, part in (("a.txt", corpus[::2]), ("b.txt", corpus[1::2])):
        (tmp_path / name).write_text("".join(part), encoding="utf-8", newline="")
    small = tm.train_bpe("a.txt", vocab_size=400)
    small.save("small.json")
    tm.train_bpe("b.txt", vocab_size=500, extend=small).save("large.json")
    return tmp_path


def test_the_verb_prints_tables_and_writes_a_page(folder: Path) -> None:
    args = ["report", "large.json", "x=a.txt", "b.txt", "--against", "old=small.json", "--html", "r.html"]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 0, result.stderr
    assert re.search(r"^total +old +[\d,]+ ", result.stdout, re.M)
    assert re.search(
        r"^x: 1 of 1 documents are cut otherwise than by old; [\d,]+ tokens became", result.stdout, re.M
    )
    assert (folder / "r.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


def test_the_verb_prints_json(folder: Path) -> None:
    result = CliRunner().invoke(main, ["report", "large.json", "a.txt", "--against", "small.json", "--json"])
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    large, small = printed["tokenizers"]
    assert (large["name"], large["vocab_size"], small["vocab_size"]) == ("large.json", 500, 400)
    assert large["total"]["bytes_per_token"] > small["total"]["bytes_per_token"]
    assert printed["differences"]["small.json"][0]["tokens_after"] == large["total"]["tokens"]


def test_a_pattern_is_for_ranks_without_a_name_alone(folder: Path) -> None:
    ranks_of(folder, [*BYTES, b"th", b"the"])
    (folder / "c.txt").write_text("the thin", encoding="utf-8")
    args = ["report", "ranks.tiktoken", "c.txt", "--pattern", "gpt2", "--against", "small.json", "--json"]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["tokenizers"][0]["total"]["tokens"] == len(["the", " ", "th", "i", "n"])


def test_a_page_that_cannot_be_written_is_refused_before_the_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = CliRunner().invoke(main, ["report", "large.json", "a.txt", "--html", "no/r.html"])
    assert (result.exit_code, "there is no folder no" in result.stderr) == (2, True)
    monkeypatch.setattr("tokenmill.report.page.NEEDED", ("jinja2", "no_such_module"))
    result = CliRunner().invoke(main, ["report", "large.json", "a.txt", "--html", "r.html"])
    assert (result.exit_code, "pip install 'tokenmill[report]'" in result.stderr) == (2, True)
    assert "measuring" not in result.stderr


def test_names_that_stand_for_two_things_are_wrong_usage(folder: Path) -> None:
    result = CliRunner().invoke(main, ["report", "large.json", "x=a.txt", "x=b.txt"])
    assert (result.exit_code, "two sources are called 'x'" in result.stderr) == (2, True)
    result = CliRunner().invoke(main, ["report", "large.json", "a.txt", "--against", "large.json"])
    assert (result.exit_code, "two tokenizers are called 'large.json'" in result.stderr) == (2, True)
