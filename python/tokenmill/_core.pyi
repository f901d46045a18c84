from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from tokenmill.progress import ProgressCallback

__all__ = [
    "DEFAULT_SHARD_TOKENS",
    "ArrowIds",
    "Batches",
    "Counts",
    "Curriculum",
    "DocumentError",
    "EncodeStream",
    "FormatError",
    "Mixture",
    "Plan",
    "Repair",
    "Source",
    "Steps",
    "Store",
    "StoreError",
    "Tokenizer",
    "UnknownTokenError",
    "__version__",
    "count_pieces",
    "document_at",
    "expand_paths",
    "gather",
    "gather_columns",
    "prepare",
    "seal",
    "split_pieces",
    "task_path",
    "train_bpe",
    "verify_store",
]

__version__: str

class DocumentError(ValueError): ...
class FormatError(ValueError): ...
class StoreError(ValueError): ...
class UnknownTokenError(ValueError): ...

# documents

@final
class Source:
    @staticmethod
    def files(
        paths: list[str],
        format: str | None,
        text_field: str,
        separator: str | None,
        names: list[str] | None = None,
    ) -> Source: ...
    @staticmethod
    def chain(links: list[tuple[list[tuple[str, str, int | None]], Callable[[], Source]]]) -> Source: ...
    @staticmethod
    def texts(iterator: Iterator[str]) -> Source: ...
    @staticmethod
    def arrow(data: Any, column: str | None, name: str | None = None) -> Source: ...
    def keep(self, object: object) -> None: ...
    def next_batch(self) -> tuple[str, list[str], list[int]] | None: ...
    def bytes_read(self) -> int: ...
    def inputs(self) -> list[tuple[str, str, int, str]]: ...

def document_at(
    path: str, position: int, format: str | None, text_field: str, separator: str | None
) -> tuple[str, bool]: ...
def expand_paths(paths: list[str], format: str | None = None) -> list[str]: ...

# train.rs

# Bytes read, and bytes in all where that is known
def count_pieces(
    source: Source,
    out: str,
    *,
    pattern: str,
    name: str,
    max_bytes: int | None,
    folder: str,
    limit: int | None = None,
    progress: ProgressCallback | None,
) -> tuple[int, int | None]: ...

@final
class Counts:
    @staticmethod
    def open(paths: list[str], weights: list[tuple[str, int]]) -> Counts: ...
    @property
    def pattern(self) -> str: ...
    @property
    def sources(self) -> list[str]: ...
    def totals(self) -> tuple[int, list[int]]: ...
    def save(self, path: str) -> None: ...

@final
class Steps:
    def vocab_sizes(self) -> NDArray[np.uint32]: ...
    def counts(self) -> NDArray[np.uint64]: ...
    def tokens(self) -> NDArray[np.uint64]: ...

# Tokenizers; bytes of the corpus; what each merge did; long pieces
def train_bpe(
    data: Source | Counts,
    *,
    vocab_sizes: list[int],
    pattern: str,
    special_tokens: list[str],
    min_frequency: int,
    hugging_face: bool,
    max_token_bytes: int | None,
    base: Tokenizer | None,
    max_bytes: int | None,
    folder: str,
    progress: ProgressCallback | None,
) -> tuple[
    list[Tokenizer],
    int,
    Steps,
    list[tuple[int, bytes]],
]: ...

# tokenizer.rs

@final
class Tokenizer:
    @staticmethod
    def train_word(
        source: Source,
        *,
        split: str,
        special_tokens: list[str],
        unknown_token: str | None,
        min_frequency: int,
        max_vocab: int | None,
        progress: ProgressCallback | None,
    ) -> Tokenizer: ...
    @staticmethod
    def load(path: str, pattern: str | None, special_tokens: list[tuple[str, int]] | None) -> Tokenizer: ...
    def save(self, path: str) -> None: ...
    def encode(self, text: str, allowed: bool | list[str]) -> list[int]: ...
    def encode_to_numpy(self, text: str, allowed: bool | list[str]) -> NDArray[np.uint32]: ...
    # `texts`: a list of str, or Arrow data
    def encode_batch(
        self, texts: Any, allowed: bool | list[str], column: str | None = None
    ) -> list[list[int]]: ...
    def encode_batch_to_numpy(
        self, texts: Any, allowed: bool | list[str], column: str | None = None
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64]]: ...
    def encode_batch_to_arrow(
        self,
        texts: Any,
        allowed: bool | list[str],
        column: str | None = None,
        large_offsets: bool = False,
    ) -> ArrowIds: ...
    def encode_with_offsets(
        self, text: str, allowed: bool | list[str]
    ) -> tuple[list[int], list[tuple[int, int]]]: ...
    def count(self, text: str, allowed: bool | list[str]) -> int: ...
    def decode(self, ids: list[int], skip_special_tokens: bool) -> bytes: ...
    def token_to_id(self, token: bytes) -> int | None: ...
    def id_to_token(self, id: int) -> bytes | None: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def special_tokens(self) -> list[tuple[str, int]]: ...
    @property
    def model(self) -> str: ...
    @property
    def pattern(self) -> str: ...
    @property
    def merges(self) -> list[tuple[int, int]] | None: ...
    @property
    def whole_pieces(self) -> bool: ...
    # left, right, made
    def merge_list(self) -> list[tuple[int, int, int]]: ...
    @property
    def fingerprint(self) -> str: ...

# encoding.rs

@final
class EncodeStream:
    def __new__(cls, tokenizer: Tokenizer, allowed: bool | list[str]) -> EncodeStream: ...
    def push(self, chunk: str) -> NDArray[np.uint32]: ...
    def push_bytes(self, chunk: bytes) -> tuple[NDArray[np.uint32], int]: ...
    def finish(self) -> NDArray[np.uint32]: ...

# arrow

@final
class ArrowIds:
    def __arrow_c_schema__(self) -> Any: ...
    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[Any, Any]: ...
    def __len__(self) -> int: ...

def split_pieces(pattern: str, text: str) -> list[str]: ...

# store

# file, block, first byte, end, reason
_Problem = tuple[str, int | None, int | None, int | None, str]
# tokens, documents, files, bytes, problems
_Report = tuple[int, int, int, int, list[_Problem]]

DEFAULT_SHARD_TOKENS: int

@final
class Store:
    @staticmethod
    def open(path: Path, validation: bool, was: tuple[str, int | None] | None = None) -> Store: ...
    @property
    def path(self) -> Path: ...
    @property
    def tokenizer_path(self) -> Path: ...
    @property
    def split(self) -> Literal["train", "validation"]: ...
    @property
    def num_tokens(self) -> int: ...
    @property
    def num_documents(self) -> int: ...
    @property
    def num_inputs(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def dtype(self) -> Literal["uint16", "uint32"]: ...
    @property
    def content_hash(self) -> str: ...
    def manifest_json(self) -> str: ...
    def slice(self, start: int, stop: int) -> NDArray[np.uint16] | NDArray[np.uint32]: ...
    def document_range(self, document: int) -> tuple[int, int]: ...
    def document_at(self, token: int) -> int: ...
    def origin(self, document: int) -> tuple[str, Literal["byte", "row"], int]: ...
    def verify(self, progress: ProgressCallback | None = None) -> _Report: ...

def verify_store(path: Path, was: str | None = None, progress: ProgressCallback | None = None) -> _Report: ...

# repair (Source: documents)

@final
class Repair:
    @staticmethod
    def examine(path: Path, progress: ProgressCallback | None = None) -> Repair: ...
    @property
    def shards(self) -> list[str]: ...
    @property
    def problems(self) -> list[_Problem]: ...
    @property
    def remaining(self) -> list[_Problem]: ...
    @property
    def inputs(self) -> list[tuple[str, int]]: ...
    @property
    def needed(self) -> tuple[int, int]: ...
    @property
    def reading(self) -> tuple[str | None, str, str | None] | None: ...
    def check_sizes(self, source: Source) -> None: ...
    def run(self, source: Source, progress: ProgressCallback | None = None) -> None: ...

# prepare (Source: documents; Tokenizer: tokenizer)

def prepare(
    source: Source,
    tokenizer: Tokenizer,
    out: Path,
    bos: int | None,
    eos: int | None,
    shard_tokens: int,
    val_fraction: float,
    specials: str,
    dedup: bool,
    skip_rejected: bool,
    quarantine: Path | None,
    reading: tuple[str | None, str, str | None] | None = None,
    workers: int | None = None,
    task: tuple[int, int] | None = None,
    append: bool = False,
    resume: bool = False,
    only_check: bool = False,
    progress: ProgressCallback | None = None,
) -> None: ...
def seal(out: Path, progress: ProgressCallback | None = None) -> None: ...
def task_path(out: Path, number: int, of: int) -> Path: ...

# sample.rs

@final
class Plan:
    @staticmethod
    def concat(
        *, num_tokens: int, max_length: int, stride: int, tail: str, shuffle: str, seed: int
    ) -> Plan: ...
    @staticmethod
    def document(
        *, store: Store, max_length: int, stride: int, tail: str, shuffle: str, seed: int
    ) -> Plan: ...
    @staticmethod
    def best_fit(
        *,
        store: Store,
        max_length: int,
        shuffle: str,
        seed: int,
        index: Path,
        progress: ProgressCallback | None = None,
    ) -> tuple[Plan, Literal["read", "made", "replaced", "unsaved"], str | None]: ...
    @property
    def num_windows(self) -> int: ...
    def cut(self, parts: int) -> Plan: ...
    def dropped_tokens(self) -> int: ...
    # How many tokens are learned so many times; the other fields of tokenmill.Ledger
    def ledger(
        self,
        *,
        batches: Batches,
        end: int,
        source: int = 0,
        mixture: Mixture | None = None,
        curriculum: Curriculum | None = None,
        cuts: list[int],
        masked_at: Store | None = None,
    ) -> tuple[dict[int, int], dict[str, int]]: ...
    def window(self, epoch: int, i: int) -> int: ...
    def windows(self, epoch: int, first: int, count: int) -> NDArray[np.uint64]: ...
    def at(self, samples: NDArray[np.uint64]) -> NDArray[np.uint64]: ...
    def parts(self, window: int) -> list[tuple[int, int]]: ...

@final
class Batches:
    def __new__(
        cls,
        *,
        samples: int,
        starts: list[int] | None,
        skip: list[tuple[int, int]],
        batch_size: int,
        world_size: int,
        drop_last: bool,
    ) -> Batches: ...
    def steps_before(self, section: int) -> int: ...
    def step(
        self, position: int, rank: int
    ) -> tuple[int, int, int, int, list[tuple[int, int]], int] | None: ...
    def find(self, number: int) -> int | None: ...

@final
class Curriculum:
    def __new__(cls, *, stages: list[tuple[int, int]], units: int | None, hand: int) -> Curriculum: ...
    @property
    def end(self) -> int: ...
    def at(self, samples: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]: ...

# sources, epochs, windows
_Samples = tuple[NDArray[np.uint32], NDArray[np.uint64], NDArray[np.uint64]]

@final
class Mixture:
    def __new__(
        cls,
        *,
        rows: list[int],
        max_epochs: list[int | None],
        stages: list[tuple[int, list[int]]],
        stop: bool,
        shuffle: str,
        stride: int,
        seed: int,
    ) -> Mixture: ...
    @property
    def num_samples(self) -> int | None: ...
    @property
    def ended_by(self) -> int | None: ...
    def taken(self, sample: int) -> list[int]: ...
    def at(self, samples: NDArray[np.uint64]) -> _Samples: ...

def gather(
    data: Any,
    plan: Plan,
    samples: list[tuple[int, int]],
    out: NDArray[np.int64] | NDArray[np.int32],
) -> NDArray[np.uint64]: ...

# where sequences begin, and the longest
def gather_columns(
    sources: list[tuple[Any, Plan]],
    chosen: NDArray[np.uint32] | None,
    windows: NDArray[np.uint64],
    *,
    pad_id: int | None,
    documents: bool,
    mask_boundaries: bool,
    input_ids: NDArray[Any],
    labels: NDArray[Any],
    position_ids: NDArray[Any] | None = None,
    document_ids: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.int32], int] | None: ...
