"""From raw text to training batches, in about a minute: `make demo`.

First the small examples that explain the idea, then the same steps on a real corpus that every machine has:
the source code of Python's own standard library.
"""

from __future__ import annotations

import sysconfig
import tempfile
import time
from collections.abc import Iterator
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
        print(
            f"   {count} merge{' ' if count == 1 else 's'}       {' | '.join(merges('aaabdaaabac', count))}"
        )

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


@contextmanager
def step(name: str, amount: float, unit: str) -> Iterator[list[str]]:
    """Times the block and prints how much it got through in a second, and what it appended to the list."""
    result: list[str] = []
    start = time.perf_counter()
    yield result
    seconds = time.perf_counter() - start
    print(f"   {name:<8} {seconds:7.2f} s {amount / seconds / 1e6:8.1f} {unit:<11} {' '.join(result)}")


def run_corpus(sources: Sources, out: Path, *, vocab_size: int, max_length: int, batch_size: int) -> None:
    """Trains, prepares, verifies and samples, and prints a line about each."""
    with step("train", sources.bytes, "MB/s") as said:
        documents = tm.Documents.from_files(sources.files, format="text")
        tokenizer = tm.train_bpe(documents, vocab_size=vocab_size, pattern="gpt4")
        said.append(f"{tokenizer.vocab_size:,} tokens in the vocabulary")

    with step("prepare", sources.bytes, "MB/s") as said:
        documents = tm.Documents.from_files(sources.files, format="text")
        store = tm.prepare(documents, tokenizer=tokenizer, out=out)
        said.append(f"{store.num_tokens:,} tokens of {store.num_documents:,} files,")
        said.append(f"{sources.bytes / store.num_tokens:.2f} bytes a token")

    with step("verify", sources.bytes, "MB/s") as said:
        report = store.verify()
        said.append("every byte is as it was written" if report.ok else "; ".join(map(str, report.problems)))

    # Ten epochs, each in another order: one takes a hundredth of a second.
    loader = tm.DataLoader(
        store, max_length=max_length, batch_size=batch_size, shuffle=True, seed=0, epochs=10
    )
    with step("sample", len(loader) * batch_size * max_length, "M tokens/s") as said:
        batches = sum(1 for _ in loader)
        said.append(f"ten epochs: {batches:,} shuffled batches of {batch_size} x {max_length} tokens")

    show_row(store, max_length=max_length, seed=0)


def show_row(store: tm.TokenStore, *, max_length: int, seed: int) -> None:
    """Prints the first row of the first shuffled batch as text, and where it came from."""
    loader = tm.DataLoader(store, max_length=max_length, batch_size=1, shuffle=True, seed=seed)
    batch = next(iter(loader))
    start = tm.Windows(store, max_length=max_length).start(int(batch.windows[0]))
    origin = store.origin(start)
    print(f"\n   The first window of this order is number {batch.windows[0]:,}.")
    print(f"   It begins at token {start:,}: byte {origin.byte:,} of {origin.input}\n")
    for line in store.tokenizer.decode(batch.input_ids[0].tolist()).splitlines()[:6]:
        print(f"   | {line[:90]}")


def main() -> None:
    """Runs everything."""
    start = time.perf_counter()
    show_small_examples()
    sources = python_sources(Path(sysconfig.get_path("stdlib")))
    print("\n4  The same on Python's standard library")
    print(f"   {len(sources.files):,} files, {sources.bytes / 1e6:.1f} MB", end="")
    print(f"; {sources.not_utf8} more are not UTF-8 and were left out\n" if sources.not_utf8 else "\n")
    with tempfile.TemporaryDirectory() as folder:
        run_corpus(sources, Path(folder) / "stdlib.tm", vocab_size=16_000, max_length=1024, batch_size=32)
    print(f"\nAll of it took {time.perf_counter() - start:.1f} s.")


if __name__ == "__main__":
    main()
