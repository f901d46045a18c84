"""From raw text to a language model that writes, on two CPU cores in some four minutes: `make demo-train`.

The text is Python's own standard library. What the model has learned is shown beside what knowing the
frequency of each token would give, on files that it has not seen.
"""

from __future__ import annotations

import argparse
import sysconfig
import tempfile
import time
from pathlib import Path

from demo import python_sources

import tokenmill as tm
from tokenmill.train import Trained, TrainOptions, train_model
from tokenmill.train.generate import Generator

PROMPTS = ("def ", "class ", "import ")


def prepare(folder: Path) -> tm.TokenStore:
    """A tokenizer and a store of the standard library, 5 % of its files kept for validation."""
    sources = python_sources(Path(sysconfig.get_path("stdlib")))
    documents = tm.Documents.from_files(sources.files, format="text")
    # Few tokens: in a model of a million parameters each more costs 128.
    tokenizer = tm.train_bpe(documents, vocab_size=2048, pattern="gpt4")
    return tm.prepare(documents, tokenizer=tokenizer, out=folder / "stdlib.tm", val_fraction=0.05)


def train(store: tm.TokenStore, out: Path, steps: int) -> Trained:
    """A Llama of a million parameters."""
    options = TrainOptions(
        size="1m",
        max_length=128,
        batch_rows=16,
        steps=steps,
        learning_rate=5e-3,
        schedule="wsd",
        eval_tokens=1 << 16,
    )
    return train_model(store, out, options, tell=lambda line: print(f"   {line}"))


def write(model: Path) -> None:
    """Prints what the model goes on with."""
    generator = Generator(model)
    for prompt in PROMPTS:
        text = prompt + "".join(generator.stream(prompt, max_tokens=60, temperature=0.7, top_p=0.9))
        print("\n".join(f"   | {line[:90]}" for line in text.splitlines()[:8]) + "\n")


def main() -> None:
    """Runs everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="keep the store and the model in this folder")
    parser.add_argument("--steps", type=int, default=1200, help="of training (1200)")
    options = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out: Path = options.out or Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        print("1  Tokenizer and store")
        store = prepare(out)
        print(f"   {store!r}\n   {store.validation!r}\n\n2  Training")
        trained = train(store, out / "model", options.steps)
        print(f"\n   unigram entropy   {trained.unigram_loss:.3f} nats per token")
        print(f"   validation loss   {trained.validation_loss:.3f} nats per token", end="")
        if trained.validation_loss is not None and trained.unigram_loss is not None:
            print(f", {1 - trained.validation_loss / trained.unigram_loss:.0%} below", end="")
        print(f", {trained.bits_per_byte:.2f} bits per byte")
        print(f"   waiting for data  {trained.data_share:.2%} of the time\n\n3  What it writes")
        write(out / "model")
    print(f"All of it took {time.perf_counter() - began:.0f} s.")


if __name__ == "__main__":
    main()
