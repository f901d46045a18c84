"""Training BPE against rustbpe and Hugging Face tokenizers: the same text, the same pattern, the same merges.

    python benchmarks/train.py [--data PATH ...] [--megabytes MB] [--vocab-size V] [--runs N] [--json OUT]

All take the texts from a list in memory; the row "from the file" reads, parses and trains.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import _inputs
from _harness import Benchmark, Load, Section, main


def tokenmill(
    compat: Literal["gpt", "hf"], from_file: bool, folder: Path, options: argparse.Namespace
) -> Section:
    import tokenmill as tm

    texts = [] if from_file else _inputs.read_corpus(folder)

    def run() -> Any:
        file = str(folder / _inputs.CORPUS)
        return tm.train_bpe(
            tm.Documents.from_files(file) if from_file else tm.Documents.from_texts(texts),
            vocab_size=options.vocab_size,
            pattern="gpt2",
            special_tokens=[_inputs.END] if compat == "hf" else [],
            min_frequency=1,
            compat=compat,
        )

    digests = {"gpt": digests_of_tokens, "hf": digests_of_merges}[compat]
    return Section(run=run, digests=digests, amount=_inputs.megabytes(_inputs.stream_corpus(folder)))


def digests_of_tokens(tokenizer: Any) -> dict[str, str]:
    tokens = (tokenizer.id_to_token(number) for number in range(tokenizer.vocab_size))
    return {"the tokens": _inputs.sha256(token + b"\n" for token in tokens)}


def digests_of_merges(tokenizer: Any) -> dict[str, str]:
    table = _inputs.byte_characters()
    spell = ["".join(table[byte] for byte in tokenizer.id_to_token(i)) for i in range(tokenizer.vocab_size)]
    return {"the merges": _inputs.sha256(f"{spell[a]} {spell[b]}\n".encode() for a, b in tokenizer.merges)}


def rustbpe(folder: Path, options: argparse.Namespace) -> Section:
    from rustbpe import Tokenizer  # type: ignore[import-untyped]

    texts = _inputs.read_corpus(folder)
    tokenizer = Tokenizer()

    def digests(_: None) -> dict[str, str]:
        ranks = sorted(tokenizer.get_mergeable_ranks(), key=lambda entry: entry[1])
        return {"the tokens": _inputs.sha256(bytes(token) + b"\n" for token, _ in ranks)}

    return Section(
        run=lambda: tokenizer.train_from_iterator(
            iter(texts), options.vocab_size, pattern=_inputs.GPT2_REGEX
        ),
        digests=digests,
        amount=_inputs.megabytes(texts),
    )


def tokenizers(folder: Path, options: argparse.Namespace) -> Section:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer

    texts = _inputs.read_corpus(folder)
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(
        vocab_size=options.vocab_size,
        special_tokens=[_inputs.END],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )

    def digests(_: None) -> dict[str, str]:
        merges = json.loads(tokenizer.to_str())["model"]["merges"]
        return {"the merges": _inputs.sha256(f"{left} {right}\n".encode() for left, right in merges)}

    return Section(
        run=lambda: tokenizer.train_from_iterator(iter(texts), trainer),
        digests=digests,
        amount=_inputs.megabytes(texts),
    )


def cases(options: argparse.Namespace) -> Mapping[str, Mapping[str, Load]]:
    size = f"vocabulary of {options.vocab_size:,}"
    return {
        f'{size}, compat="gpt"': {
            "tokenmill": partial(tokenmill, "gpt", False),
            "tokenmill, from the file": partial(tokenmill, "gpt", True),
            "rustbpe": rustbpe,
        },
        f'{size}, compat="hf"': {"tokenmill": partial(tokenmill, "hf", False), "tokenizers": tokenizers},
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _inputs.add_corpus_arguments(parser)
    parser.add_argument("--vocab-size", type=int, default=32_000, metavar="V", help="tokens in all (32000)")


if __name__ == "__main__":
    main(
        Benchmark(
            description=__doc__,
            unit="MB/s",
            cases=cases,
            setup=_inputs.write_corpus,
            add_arguments=add_arguments,
        )
    )
