"""The vocabularies of the encoding benchmark, each in every form that a contender reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _inputs

if TYPE_CHECKING:
    import tiktoken

OWN = "own50k"
NAMES = ("gpt2", "cl100k_base", "o200k_base", OWN)
#: Name → how it cuts text, in tokenmill's words, and whether any pair that makes a token may merge (as in
#: tiktoken) or the listed pairs only (Hugging Face's).
KNOWN = {
    "gpt2": ("gpt2", False),
    "cl100k_base": ("gpt4", True),
    "o200k_base": ("gpt4o", True),
    OWN: ("gpt4", True),
}
OWN_SIZE = 50_000
REGEX = {
    "gpt2": _inputs.TIKTOKEN_REGEX["gpt2"],
    "gpt4": _inputs.TIKTOKEN_REGEX["cl100k_base"],
    "gpt4o": _inputs.TIKTOKEN_REGEX["o200k_base"],
}
#: It differs from tiktoken's in white space at the end of a text, which no text here has.
GPT4_PUBLISHED = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """One vocabulary in a folder."""

    name: str
    folder: Path
    #: "gpt2", "gpt4" or "gpt4o".
    family: str
    by_rank: bool

    @property
    def ours(self) -> Path:
        """What tokenmill loads: GPT-2's two files, or ranks."""
        return _inputs.vocabulary_path(self.folder, self.name)

    @property
    def pattern(self) -> str | None:
        """What tokenmill has to be told. A published file's name says it."""
        return self.family if self.name == OWN else None

    @property
    def ranks(self) -> Path:
        """A file of ranks, where `by_rank`."""
        return self.ours

    @property
    def hugging_face(self) -> Path:
        """A tokenizer.json without special tokens."""
        return _inputs.hugging_face_path(self.folder, self.name)

    @property
    def reference(self) -> str:
        """Whose ids are right."""
        return "tiktoken" if self.by_rank else "tokenizers"

    @property
    def regex(self) -> str:
        """As tiktoken spells it."""
        return REGEX[self.family]

    def save(self) -> Path:
        """Writes itself for `load`."""
        path = self.folder / f"{self.name}.vocabulary.json"
        path.write_text(json.dumps(asdict(self) | {"folder": str(self.folder)}), encoding="utf-8")
        return path

    @staticmethod
    def load(path: Path) -> Vocabulary:
        """What `save` wrote."""
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Vocabulary(**content | {"folder": Path(content["folder"])})


def vocabulary(folder: Path, name: str) -> Vocabulary:
    """That lies, or will lie, in the folder."""
    family, by_rank = KNOWN[name]
    return Vocabulary(name=name, folder=folder, family=family, by_rank=by_rank)


def write(folder: Path, names: Sequence[str], texts: Iterable[str]) -> None:
    """Writes vocabularies into the folder; ours is trained on the texts."""
    import tokenmill as tm

    _inputs.write_vocabularies(folder, [name for name in names if name != OWN])
    for name in names:
        one = vocabulary(folder, name)
        one.save()
        if name == OWN:
            documents = tm.Documents.from_texts(texts)
            tokenizer = tm.train_bpe(documents, vocab_size=OWN_SIZE, pattern=one.family, special_tokens=[])
            tokenizer.save(one.ranks)
            tokenizer.save(one.hugging_face)
        _as_published(one)


def _as_published(one: Vocabulary) -> None:
    """Spells a tokenizer.json as the published ones are: some contenders know patterns by their spelling.

    tokenizers has no way to take special tokens as text, which the others do: without them it has to.
    """
    content = json.loads(one.hugging_face.read_text(encoding="utf-8"))
    special = {token["content"] for token in content["added_tokens"]}
    vocab = content["model"]["vocab"]
    content["model"]["vocab"] = {token: number for token, number in vocab.items() if token not in special}
    content["added_tokens"] = []
    if one.family == "gpt2":
        content["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
        content["pre_tokenizer"]["use_regex"] = True
    if one.family == "gpt4":
        content["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": GPT4_PUBLISHED}
    one.hugging_face.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def encoding(one: Vocabulary) -> tiktoken.Encoding:
    """tiktoken's."""
    import tiktoken

    ranks = _inputs.ranks(one.ours)
    return tiktoken.Encoding(one.name, pat_str=one.regex, mergeable_ranks=ranks, special_tokens={})
