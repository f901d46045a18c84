"""Trains one tokenizer and prints what it took as JSON: `_train_worker.py CONTENDER FILE VOCAB_SIZE`.

Runs in the environment of the contender: nothing is imported but the standard library and the contender.
FILE has a document a line. What the contender reads it with is part of the time.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from _harness import peak_mb

GPT2_REGEX = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

#: The tokens that merges make, in order: what trainers are compared by.
Tokens = list[bytes]
#: Trains; gives a function for the tokens (not timed), or None where its rule is another one.
Trainer = Callable[[str, int], "Callable[[], Tokens] | None"]

#: Seconds of each stage, where a trainer tells.
STAGES: dict[str, float] = {}


def _tokenmill(compat: str) -> Trainer:
    def train(file: str, vocab_size: int) -> Callable[[], Tokens]:
        import tokenmill as tm

        changes: list[tuple[str, float]] = []

        def progress(stage: str, unit: str, done: int, total: int | None) -> None:
            if not changes or changes[-1][0] != stage:
                changes.append((stage, time.perf_counter()))

        tok = tm.train_bpe(
            tm.Documents.from_files(file, separator="\n"),
            vocab_size=vocab_size,
            pattern="gpt2",
            special_tokens=[],
            min_frequency=1,
            compat=compat,  # type: ignore[arg-type]
            progress=progress,
        )
        for (stage, begin), (_, end) in zip(changes, [*changes[1:], ("", time.perf_counter())], strict=True):
            STAGES[stage] = end - begin
        return lambda: [tok.id_to_token(number) for number in range(256, tok.vocab_size)]

    return train


def _gigabpe(file: str, vocab_size: int) -> Callable[[], Tokens]:
    import gigabpe  # type: ignore[import-not-found]

    _, merges = gigabpe.train_bpe([file], vocab_size, special_tokens=[], pretokenizer="bytelevel")
    return lambda: _spelled(merges)


def _tokenizers(file: str, vocab_size: int) -> Callable[[], Tokens]:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    alphabet = ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=vocab_size, special_tokens=[], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train([file], trainer)
    return lambda: _spelled(json.loads(tokenizer.to_str())["model"]["merges"])


def _rustbpe(file: str, vocab_size: int) -> Callable[[], Tokens]:
    from rustbpe import Tokenizer  # type: ignore[import-untyped]

    tokenizer = Tokenizer()
    tokenizer.train_from_iterator(_lines(file), vocab_size, pattern=GPT2_REGEX)
    ranks = tokenizer.get_mergeable_ranks
    return lambda: [
        bytes(token) for token, rank in sorted(ranks(), key=lambda entry: entry[1]) if rank >= 256
    ]


def _minibperust(file: str, vocab_size: int) -> None:
    from MiniBpeRust import FastRegexTokenizer  # type: ignore[import-not-found]

    FastRegexTokenizer(pattern=GPT2_REGEX).train_files([file], vocab_size=vocab_size)


def _sentencepiece(file: str, vocab_size: int) -> None:
    import io

    import sentencepiece  # type: ignore[import-untyped]

    sentencepiece.SentencePieceTrainer.train(
        input=file,
        model_writer=io.BytesIO(),
        vocab_size=vocab_size,
        model_type="bpe",
        byte_fallback=True,
        max_sentence_length=1 << 30,
        minloglevel=2,
    )


def _lines(file: str) -> Iterator[str]:
    with Path(file).open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield line.rstrip("\n")


def _spelled(merges: Iterable[Any]) -> Tokens:
    """The bytes behind merges in the letters of ByteLevel."""
    itself = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in itself]
    table = {chr(byte): byte for byte in itself} | {chr(256 + i): byte for i, byte in enumerate(others)}
    pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in merges)
    return [bytes(table[letter] for letter in left + right) for left, right in pairs]


TRAINERS: dict[str, Trainer] = {
    "tokenmill": _tokenmill("hf"),
    'tokenmill, compat="gpt"': _tokenmill("gpt"),
    "gigabpe": _gigabpe,
    "tokenizers": _tokenizers,
    "rustbpe": _rustbpe,
    "minibperust": _minibperust,  # type: ignore[dict-item]
    "sentencepiece": _sentencepiece,  # type: ignore[dict-item]
}


def main() -> None:
    name, file, vocab_size = sys.argv[1], sys.argv[2], int(sys.argv[3])
    cpu, start = time.process_time(), time.perf_counter()
    tokens = TRAINERS[name](file, vocab_size)
    seconds, cpu_seconds, peak = time.perf_counter() - start, time.process_time() - cpu, peak_mb()
    made = tokens() if tokens is not None else None
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_seconds": cpu_seconds,
                "peak_mb": peak,
                "stages": STAGES,
                # Some count only the bytes that occur among the tokens, and so learn a few more.
                "digest": None if made is None else _digest(made[: vocab_size - 256]),
            }
        )
    )


def _digest(tokens: Tokens) -> str:
    digest = hashlib.sha256()
    for token in tokens:
        digest.update(len(token).to_bytes(4, "little") + token)
    return digest.hexdigest()


if __name__ == "__main__":
    main()
