"""From raw text to training batches, in about a minute: `make demo`.

First the small examples that explain the idea, then the same steps on a real corpus that every machine has: the
source code of Python's own standard library.
"""

from __future__ import annotations

import sysconfig
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import tokenmill as tm

SPECIALS = ["[BOS]", "[EOS]", "[PAD]", "[UNK]"]
LOREM = "Lorem ipsum dolor sit amet, consectetur adipiscing elit,"

# ---- the small examples ----


def words(text: str, learned_from: str) -> tuple[list[str], list[int]]:
    """Tokens and ids of `text`, one token a word or punctuation mark, with the vocabulary of another text.

    >>> words("Bye, world!", learned_from="Hello, world!")
    (['[UNK]', ',', 'world', '!'], [7, 1, 3, 0])
    """
    tokenizer = tm.train_word(tm.Documents.from_texts([learned_from]), special_tokens=SPECIALS)
    ids = tokenizer.encode(text)
    return [tokenizer.decode([number]) for number in ids], ids


def merges(text: str, count: int) -> list[str]:
    """The tokens of `text` after the `count` most frequent pairs of it were merged, one after the other.

    >>> merges("aaabdaaabac", 1)
    ['aa', 'a', 'b', 'd', 'aa', 'a', 'b', 'a', 'c']
    """
    documents = tm.Documents.from_texts([text])
    tokenizer = tm.train_bpe(documents, vocab_size=256 + count, special_tokens=[], min_frequency=2)
    return [tokenizer.decode([number]) for number in tokenizer.encode(text)]


def windows(text: str, max_length: int, stride: int) -> list[tuple[list[str], list[str]]]:
    """Inputs and targets of each window over the words of `text`: the targets are the inputs, one word later.

    >>> windows("to be or not", max_length=2, stride=1)
    [(['to', 'be'], ['be', 'or']), (['be', 'or'], ['or', 'not'])]
    """
    tokenizer = tm.train_word(tm.Documents.from_texts([text]), split="whitespace", special_tokens=SPECIALS)
    data = tm.Windows(tokenizer.encode_to_numpy(text), max_length=max_length, stride=stride)
    rows = [data[index] for index in range(len(data))]
    return [
        ([tokenizer.decode([i]) for i in inputs.tolist()], [tokenizer.decode([i]) for i in labels.tolist()])
        for inputs, labels in rows
    ]


def show_small_examples() -> None:
    """Prints the three ideas: words, byte pairs, windows."""
    print("1  Words: each word and each punctuation mark is a token")
    for text in ("Hello, world!", "Bye, world!"):
        tokens, ids = words(text, learned_from="Hello, world!")
        print(f"   {text:<14} {' | '.join(tokens):<24} {' '.join(map(str, ids))}")

    print("\n2  Byte pairs: the most frequent pair becomes a token, again and again")
    for count in range(4):
        print(f"   {count} merges       {' | '.join(merges('aaabdaaabac', count))}")

    print("\n3  Windows: predict the next token")
    for stride in (1, 2):
        rows = [[" ".join(side) for side in row] for row in windows(LOREM, max_length=4, stride=stride)]
        width = max(len(inputs) for inputs, _ in rows) + 2
        print(f"   {f'stride {stride}: inputs':<{width}}   targets")
        for inputs, targets in rows:
            print(f"   {f'[{inputs}]':<{width}}   [{targets}]")


# ---- the real corpus ----


@dataclass
class Sources:
    """Which files the corpus is made of."""

    files: list[str] = field(default_factory=list)
    bytes: int = 0
    not_utf8: int = 0


def python_sources(folder: Path) -> Sources:
    """The Python files below `folder`, without installed packages and without files that are not UTF-8."""
    sources = Sources()
    for path in sorted(folder.rglob("*.py")):
        if "site-packages" in path.parts or "dist-packages" in path.parts or not path.is_file():
            continue
        raw = path.read_bytes()
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            sources.not_utf8 += 1
            continue
        sources.files.append(str(path))
        sources.bytes += len(raw)
    return sources


class Steps:
    """Prints one line a step: what it did, how long it took, how much it got through in a second."""

    @contextmanager
    def step(self, name: str, amount: float, unit: str) -> Iterator[list[str]]:
        """Times the block; what it appends to the list is printed behind the numbers."""
        result: list[str] = []
        start = time.perf_counter()
        yield result
        seconds = time.perf_counter() - start
        print(f"   {name:<10} {seconds:6.2f} s  {amount / seconds / 1e6:8.1f} {unit:<11} {' '.join(result)}")


def run_corpus(sources: Sources, out: Path, *, vocab_size: int, max_length: int, batch_size: int) -> None:
    """Trains, prepares, verifies and samples, and prints a line about each."""
    steps = Steps()
    megabytes = "MB/s"

    with steps.step("train", sources.bytes, megabytes) as said:
        documents = tm.Documents.from_files(sources.files, format="text")
        tokenizer = tm.train_bpe(documents, vocab_size=vocab_size, pattern="gpt4")
        said.append(f"{tokenizer.vocab_size:,} tokens in the vocabulary")

    with steps.step("prepare", sources.bytes, megabytes) as said:
        documents = tm.Documents.from_files(sources.files, format="text")
        store = tm.prepare(documents, tokenizer=tokenizer, out=out)
        said.append(f"{store.num_tokens:,} tokens of {store.num_documents:,} files,")
        said.append(f"{sources.bytes / store.num_tokens:.2f} bytes a token")
