"""What a training run is told, and the numbers that follow from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from tokenmill.store import TokenStore

Architecture = Literal["llama", "gpt2"]
Schedule = Literal["cosine", "wsd"]


@dataclass(frozen=True)
class Size:
    """A model and a batch that suit each other."""

    #: Width.
    hidden: int
    layers: int
    heads: int
    #: Heads of keys and values, each shared by several of the others (Ainslie et al. 2023). Not in GPT-2.
    kv_heads: int
    max_length: int
    learning_rate: float
    #: Tokens of one step.
    batch_tokens: int


# Widths and depths of the Pythia and Llama families; learning rates and batches fall and grow with size as in
# GPT-3 (Brown et al. 2020, table 2.1), with the higher rates that short runs of small models stand.
SIZES: Mapping[str, Size] = {
    "1m": Size(128, 4, 4, 4, max_length=256, learning_rate=3e-3, batch_tokens=1 << 12),
    "10m": Size(320, 8, 5, 5, max_length=512, learning_rate=2e-3, batch_tokens=1 << 15),
    "50m": Size(640, 10, 10, 10, max_length=1024, learning_rate=1e-3, batch_tokens=1 << 17),
    "124m": Size(768, 12, 12, 12, max_length=1024, learning_rate=6e-4, batch_tokens=1 << 19),
    "350m": Size(1024, 24, 16, 16, max_length=2048, learning_rate=3e-4, batch_tokens=1 << 19),
    "1b": Size(2048, 16, 32, 8, max_length=2048, learning_rate=3e-4, batch_tokens=1 << 20),
}

# Without a budget: 20 tokens for each parameter (Hoffmann et al. 2022), and no text more than 4 times, beyond
# which repeating teaches little (Muennighoff et al. 2023).
TOKENS_PER_PARAMETER = 20
MOST_EPOCHS = 4


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How to train; `None` is what suits the size.

    size: of the model, a name in `SIZES`.
    architecture: "llama" or "gpt2", both of transformers.
    config: a config.json of transformers in place of size and architecture.
    max_length: tokens of a window.
    batch_rows: windows of one step, all processes together: it decides what is learned.
    micro_rows: windows that one process takes at a time: it decides how much memory is used.
    steps, tokens, epochs: the budget; at most one of them.
    learning_rate: at its highest.
    schedule: after a linear warm-up "cosine" falls to a tenth, "wsd" stays and in the last fifth falls to 0.
    warmup: the share of the steps that it takes.
    document_mask: tokens see only their own document.
    eval_tokens: of the validation split, looked at each time.
    eval_every, save_every: steps.
    keep: checkpoints that stay.
    device, precision, compile: what is there decides: bf16 and torch.compile on a GPU.
    """

    size: str = "10m"
    architecture: Architecture = "llama"
    config: Path | None = None
    max_length: int | None = None
    batch_rows: int | None = None
    micro_rows: int | None = None
    steps: int | None = None
    tokens: int | None = None
    epochs: float | None = None
    learning_rate: float | None = None
    schedule: Schedule = "cosine"
    warmup: float = 0.05
    weight_decay: float = 0.1
    clip: float = 1.0
    document_mask: bool = True
    seed: int = 0
    eval_every: int | None = None
    eval_tokens: int = 1 << 18
    save_every: int | None = None
    keep: int = 2
    device: str | None = None
    precision: Literal["bf16", "fp32"] | None = None
    compile: bool | None = None

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ValueError(f"there is no size {self.size!r}; known are {', '.join(SIZES)}")
        if self.architecture not in ("llama", "gpt2"):
            raise ValueError(f"architecture={self.architecture!r} is neither 'llama' nor 'gpt2'")
        if self.schedule not in ("cosine", "wsd"):
            raise ValueError(f"schedule={self.schedule!r} is neither 'cosine' nor 'wsd'")
        budget = {"steps": self.steps, "tokens": self.tokens, "epochs": self.epochs}
        if len(given := [name for name, value in budget.items() if value is not None]) > 1:
            raise ValueError(f"{' and '.join(given)} are two budgets; give one of them")
        positive = ("max_length", "batch_rows", "micro_rows", "steps", "tokens", "epochs", "learning_rate")
        for name in (*positive, "clip", "eval_every", "eval_tokens", "save_every", "keep"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}={value!r} is not above 0")
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup={self.warmup!r} is no share of the steps, from 0 to 1")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The numbers of a run. A checkpoint is continued only by a run of the same plan."""

    store: str
    tokenizer: str
    max_length: int
    batch_rows: int
    steps: int
    learning_rate: float
    schedule: str
    warmup: float
    weight_decay: float
    clip: float
    document_mask: bool
    seed: int
    #: A hash of the model's configuration.
    model: str
    parameters: int

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one step learns from."""
        return self.max_length * self.batch_rows

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """What another plan, as a checkpoint has it, says otherwise."""
        return [
            f"{name} was {other.get(name)!r} and is {value!r}"
            for name, value in asdict(self).items()
            if other.get(name) != value
        ]


def make_plan(options: TrainOptions, store: TokenStore, config: PretrainedConfig, parameters: int) -> Plan:
    """Fills in what the options leave open, for a model of this configuration and so many parameters."""
    size = SIZES[options.size]
    max_length: int = getattr(config, "max_position_embeddings", None) or 1 << 30
    length = min(options.max_length or size.max_length, max_length)
    if options.max_length is not None and options.max_length > max_length:
        raise ValueError(f"max_length={options.max_length} is more than the model's {max_length}")
    windows = max(store.num_tokens - 1, 0) // length
    if windows == 0:
        raise ValueError(f"the store has {store.num_tokens} tokens, less than one window of {length} + 1")
    rows = options.batch_rows or min(max(size.batch_tokens // length, 1), windows)
    if rows > windows:
        raise ValueError(f"batch_rows={rows} is more than the {windows} windows of the store")
    per_step = rows * length
    if options.steps is not None:
        steps = options.steps
    elif options.tokens is not None:
        steps = max(options.tokens // per_step, 1)
    elif options.epochs is not None:
        steps = max(int(options.epochs * (windows // rows)), 1)
    else:
        most = MOST_EPOCHS * (windows // rows)
        steps = max(min(TOKENS_PER_PARAMETER * parameters // per_step, most), 1)
    return Plan(
        store=store.content_hash,
        tokenizer=store.tokenizer.fingerprint,
        max_length=length,
        batch_rows=rows,
        steps=steps,
        learning_rate=options.learning_rate or size.learning_rate,
        schedule=options.schedule,
        warmup=options.warmup,
        weight_decay=options.weight_decay,
        clip=options.clip,
        document_mask=options.document_mask,
        seed=options.seed,
        model=hash_of(config),
        parameters=parameters,
    )


def hash_of(config: PretrainedConfig) -> str:
    """What tells configurations apart, whichever version of transformers wrote them."""
    fields = {name: value for name, value in config.to_dict().items() if name != "transformers_version"}
    return hashlib.sha256(json.dumps(fields, sort_keys=True, default=str).encode()).hexdigest()[:16]
