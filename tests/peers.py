"""The same vocabulary in tokenmill and in tiktoken, without a download."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import NamedTuple

import tiktoken

import tokenmill as tm
from reference.bpe import byte_characters
from reference.patterns import tiktoken_spelling

END = "<|endoftext|>"


class Both(NamedTuple):
    """One vocabulary, twice, and what the twin needs to encode by it."""

    ours: tm.Tokenizer
    theirs: tiktoken.Encoding
    ranks: dict[bytes, int]
    pattern: str


def tiktoken_ranks(path: Path) -> dict[bytes, int]:
    """Reads a .tiktoken file: a line for each token, its bytes in base64 and its rank."""
    lines = (line.split() for line in path.read_bytes().splitlines())
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def gpt2_ranks(folder: Path) -> dict[bytes, int]:
    """Reads GPT-2's vocab.json, in which a character stands for each byte; the ids are the ranks."""
    byte_of = {character: byte for byte, character in enumerate(byte_characters())}
    vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    return {bytes(byte_of[c] for c in token): number for token, number in vocab.items() if token != END}


def pair(ours: tm.Tokenizer, ranks: dict[bytes, int], pattern: str, special_tokens: dict[str, int]) -> Both:
    """Puts tiktoken's Encoding for the same ranks beside ours."""
    regex = tiktoken_spelling(pattern)
    theirs = tiktoken.Encoding(pattern, pat_str=regex, mergeable_ranks=ranks, special_tokens=special_tokens)
    return Both(ours, theirs, ranks, pattern)


def gpt2(folder: Path) -> Both:
    """GPT-2: 50,257 ids."""
    return pair(tm.Tokenizer.load(folder), gpt2_ranks(folder), "gpt2", {END: 50256})


def cl100k(path: Path) -> Both:
    """GPT-4: 100,277 ids, of which 100,261 are used."""
    special_tokens = {
        END: 100257,
        "<|fim_prefix|>": 100258,
        "<|fim_middle|>": 100259,
        "<|fim_suffix|>": 100260,
        "<|endofprompt|>": 100276,
    }
    return pair(tm.Tokenizer.load(path), tiktoken_ranks(path), "gpt4", special_tokens)


def o200k(path: Path) -> Both:
    """GPT-4o: 200,019 ids, of which 200,000 are used."""
    special_tokens = {END: 199999, "<|endofprompt|>": 200018}
    return pair(tm.Tokenizer.load(path), tiktoken_ranks(path), "gpt4o", special_tokens)
