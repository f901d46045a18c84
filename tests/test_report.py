"""Reports against hand-computed numbers, against brute force, and as files."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import reference.report as reference
import tokenmill as tm
from samples import standard_library, texts
from tokenmill.cli import main
from tokenmill.report.difference import differ
from tokenmill.report.vocabulary import Rules, renyi_efficiency, smaller_vocabularies, unreachable


def documents(*texts: str) -> tm.Documents:
    return tm.Documents.from_texts(texts)


def with_merges(folder: Path, *merges: tuple[str, str]) -> tm.Tokenizer:
    """The 256 bytes and these merges, whatever they make of each other."""
    path = folder / "tokenizer.json"
    tm.train_bpe(documents(), vocab_size=256, special_tokens=[], pattern="gpt2").save(path)
    written = json.loads(path.read_text(encoding="utf-8"))
    for left, right in merges:
        written["model"]["vocab"][left + right] = len(written["model"]["vocab"])
        written["model"]["merges"].append([left, right])
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
    assert report.frequent_words_whole == pytest.approx(1 / 3)
    # Used: low, " low", e, r, é, space. 261 tokens in all.
    assert report.unused.number == 261 - 6
    assert report.unreachable is not None and report.unreachable.number == 0
    assert report.partial_utf8.number == 128
    assert report.longest.examples[0] == (258, b" low")
    assert result.differences == {}


def test_no_text_gives_no_number_instead_of_a_division_by_zero() -> None:
    tok = tm.train_bpe(documents("ab ab"), vocab_size=258)
    (report,) = tm.report_tokenizer(tok, documents()).tokenizers
    assert report.total.bytes_per_token is None
    assert report.total.tokens_per_word is None
    assert report.renyi_efficiency is None
    assert report.frequent_words_whole is None


def test_tokens_that_other_merges_take_apart_are_unreachable(tmp_path: Path) -> None:
    tok = with_merges(tmp_path, ("b", "c"), ("a", "b"), ("ab", "c"), ("abc", "d"), ("c", "c"))
    found = unreachable(tok, Rules(tok))
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
    assert set(unreachable(tok, Rules(tok))) == missing


@settings(max_examples=25, deadline=None)
@given(st.lists(texts, min_size=1, max_size=6), st.sampled_from(["gpt", "hf"]))
def test_smaller_vocabularies_come_to_what_their_own_training_does(corpus: list[str], compat: str) -> None:
    tok = tm.train_bpe(documents(*corpus), vocab_size=300, special_tokens=[], min_frequency=1, compat=compat)
    ids = np.concatenate([tok.encode_to_numpy(text) for text in corpus])
    curve = smaller_vocabularies(Rules(tok), np.bincount(ids, minlength=tok.vocab_size))
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


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_renyi_efficiency_is_that_of_the_formula(ids: list[int]) -> None:
    found = renyi_efficiency(np.bincount(ids, minlength=10))
    assert found == pytest.approx(reference.renyi_efficiency(ids, 10, 2.5))


@settings(max_examples=30, deadline=None)
@given(st.lists(texts, max_size=8))
def test_differences_are_exactly_the_documents_that_are_cut_otherwise(corpus: list[str]) -> None:
    before = tm.train_bpe(documents(*corpus[::2]), vocab_size=280, special_tokens=[], min_frequency=1)
    after = tm.train_bpe(documents(*corpus), vocab_size=330, extend=before, min_frequency=1)
    found = differ("all", documents(*corpus), before, after)
    want = reference.changed(before, after, corpus)
    assert (found.documents, found.changed_documents) == (len(corpus), len(want))
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
    found = differ("all", documents("a low b", "lo", "x"), before, after)
    assert found.changed_documents == 2
    shown = {(change.before, change.after): change.occurrences for change in found.changes}
    assert shown == {((b"lo", b"w"), (b"l", b"ow")): 1, ((b"lo",), (b"l", b"o")): 1}


def test_words_have_neither_curve_nor_unreachable_tokens() -> None:
    docs = documents("the cat", "the hat")
    tok = tm.train_word(docs, special_tokens=[])
    other = tm.train_bpe(docs, vocab_size=260)
    result = tm.report_tokenizer(tok, docs, against={"bpe": other})
    assert result.tokenizers[0].curve is None
    assert result.tokenizers[0].unreachable is None
    assert result.tokenizers[0].total.tokens_per_word == 1
    assert result.differences == {}


def test_what_can_be_read_once_and_two_of_one_name_are_refused() -> None:
    tok = tm.train_bpe(documents("ab"), vocab_size=257)
    with pytest.raises(ValueError, match="only once"):
        tm.report_tokenizer(tok, tm.Documents.from_texts(iter(["a"])))
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


def test_names_that_stand_for_two_things_are_wrong_usage(folder: Path) -> None:
    result = CliRunner().invoke(main, ["report", "large.json", "x=a.txt", "x=b.txt"])
    assert (result.exit_code, "two sources are called 'x'" in result.stderr) == (2, True)
    result = CliRunner().invoke(main, ["report", "large.json", "a.txt", "--against", "large.json"])
    assert (result.exit_code, "two tokenizers are called 'large.json'" in result.stderr) == (2, True)
