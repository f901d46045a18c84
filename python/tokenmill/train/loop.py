"""The loop: batches from a store, steps of AdamW, evaluations, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.parallel import DistributedDataParallel

from tokenmill.loader import DataLoader
from tokenmill.torch import TorchBatch, TorchLoader
from tokenmill.train import attention, checkpoint, metrics
from tokenmill.train.distributed import Group, group
from tokenmill.train.evaluate import Validation, autocast
from tokenmill.train.finish import write_model
from tokenmill.train.loss import IGNORED, Losses, parts, sum_of_losses
from tokenmill.train.memory import micro_rows
from tokenmill.train.model import (
    flops_per_token,
    make_config,
    make_model,
    no_advice,
    num_parameters,
    peak_flops,
)
from tokenmill.train.options import Plan, TrainOptions, make_plan
from tokenmill.train.schedule import learning_rate

if TYPE_CHECKING:
    from tokenmill.progress import ProgressCallback
    from tokenmill.store import TokenStore

BETAS = (0.9, 0.95)
# Of a run, where nothing else was said.
EVALUATIONS, CHECKPOINTS = 10, 10


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What came of a run; `None` where the store has no validation split."""

    out: Path
    steps: int
    tokens: int
    parameters: int
    loss: float
    validation_loss: float | None
    bits_per_byte: float | None
    unigram_loss: float | None
    seconds: float
    #: The share of the time of all steps that was spent waiting for batches.
    data_share: float
    #: Of the median step, all processes together; `None` where nothing was left to do.
    tokens_per_second: float | None
    #: Model FLOPs utilisation of that step; `None` where what the device can do is not known.
    mfu: float | None


def train_model(
    store: TokenStore,
    out: Path,
    options: TrainOptions,
    *,
    resume: bool = False,
    loggers: Sequence[str] = (),
    command: str | None = None,
    progress: ProgressCallback | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> Trained:
    """Train a model on a store and write it to a folder.

    Args:
        store: its training split is learned from, its validation split, if it has one, is evaluated on.
        out: a folder that does not exist or is empty, or with `resume` that of a run that was stopped.
        options: how.
        resume: go on from the last checkpoint, if there is one. The plan must be the same (see `Plan`), the
            number of processes need not be.
        loggers: of `tokenmill.train.metrics.LOGGERS`, besides metrics.jsonl.
        command: what the model card says that this was started by.
        progress: called as `progress(stage, unit, done, total)` after each step.
        tell: called with a line for people after each evaluation.

    Raises:
        ValueError: options that cannot be right, a checkpoint of another plan or a damaged one.
        FileExistsError: `out` holds something, and `resume` was not asked for.
        ImportError: a logger that is not installed.
    """
    with group(options.device) as processes, no_advice(), ExitStack() as stack:
        run = Run(store, out, options, processes)
        run.command = command
        run.prepare_folder(resume=resume)
        start = run.restore() if resume else 0
        if processes.is_first:
            run.sinks.append(stack.enter_context(closing(metrics.JsonLines(out, after=start))))
            for name in loggers:
                run.sinks.append(
                    stack.enter_context(closing(metrics.open_logger(name, out, asdict(run.plan))))
                )
            run.tell = tell
            run.progress = progress
        return run.train(start)


class Run:
    """One process's part of a run."""

    def __init__(self, store: TokenStore, out: Path, options: TrainOptions, group: Group) -> None:
        self.store, self.out, self.options, self.group = store, out, options, group
        config = make_config(options, store)
        self.precision = self._precision()
        attends = "sdpa"
        if options.document_mask:
            attends = attention.implementation(config, group.device, self.precision)
        self.model = make_model(config, options.seed, group.device, attention=attends)
        self.losses = Losses(self.model)
        self.plan = make_plan(options, store, config, num_parameters(self.model))
        if self.plan.batch_rows % group.size:
            raise ValueError(
                f"batch_rows={self.plan.batch_rows} cannot be divided among {group.size} processes evenly"
            )
        self.loader = make_loader(store, self.plan, group)
        self.loader.check_model(vocab_size=config.vocab_size, tokenizer=store.tokenizer)
        self.optimizer = make_optimizer(self.model, self.plan)
        self.micro_rows = options.micro_rows or micro_rows(
            self.plan.batch_rows // group.size, self.plan.max_length, config, self.plan.parameters,
            device=group.device, precision=self.precision,
        )  # fmt: skip
        self.command: str | None = None
        self.sinks: list[metrics.Logger] = []
        self.tell: Callable[[str], object] = lambda line: None
        self.progress: ProgressCallback | None = None
        self.validation = self._validation()

    def _precision(self) -> torch.dtype | None:
        chosen = self.options.precision or ("bf16" if self.group.device.type == "cuda" else "fp32")
        return torch.bfloat16 if chosen == "bf16" else None

    def _validation(self) -> Validation | None:
        kept = self.store.validation
        if kept is None or kept.num_tokens < 2:
            return None
        return Validation(
            kept,
            max_length=self.plan.max_length,
            rows=self.plan.batch_rows,
            tokens=self.options.eval_tokens,
            document_mask=self.plan.document_mask,
            group=self.group,
        )

    def prepare_folder(self, *, resume: bool) -> None:
        """Refuses to write over another model."""
        if self.group.is_first:
            if not resume and self.out.exists() and any(self.out.iterdir()):
                raise FileExistsError(
                    f"{self.out} is not empty; go on with its run (--resume, resume=True), or choose another"
                )
            self.out.mkdir(parents=True, exist_ok=True)
        self.group.wait()

    def restore(self) -> int:
        """Goes back to the last checkpoint, if there is one; the steps that were done."""
        found = checkpoint.checkpoints(self.out)
        if not found:
            return 0
        step, state = checkpoint.load(found[-1], model=self.model, optimizer=self.optimizer, plan=self.plan)
        self.loader.load_state_dict(state)
        return step

    def train(self, start: int) -> Trained:
        """Steps from `start` to the end of the plan, and what is written then."""
        plan, began = self.plan, time.perf_counter()
        module = self.wrapped()
        unigram = self.validation.unigram_loss() if self.validation else None
        eval_every = self.options.eval_every or max(plan.steps // EVALUATIONS, 1)
        save_every = self.options.save_every or max(plan.steps // CHECKPOINTS, 1)
        batches = iter(TorchLoader(self.loader, device=self.group.device))
        watch = Watch(flops_per_token(self.model, plan.max_length), plan, self.group)
        # Of a run that goes on, and has perhaps nothing left to do, the last numbers are those before.
        last: dict[str, Any] = {}
        for line in metrics.read(self.out):
            last |= line
        for step in range(start, plan.steps):
            watch.start()
            batch = next(batches)
            watch.got_batch()
            learned = self.step(module, batch, step)
            done = step + 1
            values = {"tokens": done * plan.tokens_per_step, **learned, **watch.stop()}
            if self.validation and (done % eval_every == 0 or done == plan.steps):
                found = self.validation.evaluate(self.losses, self.precision, micro_rows=self.micro_rows)
                values |= {
                    "validation_loss": found.loss,
                    "validation_bits_per_byte": found.bits_per_byte,
                    "unigram_loss": unigram,
                }
                self.tell(
                    f"step {done:,}: validation loss {found.loss:.3f} (unigram {unigram:.3f}), "
                    f"training loss {learned['loss']:.3f}"
                )
            last |= values
            for sink in self.sinks:
                sink.log(done, values)
            if self.progress is not None:
                self.progress(
                    "training", "tokens", done * plan.tokens_per_step, plan.steps * plan.tokens_per_step
                )
            if done % save_every == 0 or done == plan.steps:
                self.save(done)
        trained = Trained(
            out=self.out,
            steps=plan.steps,
            tokens=plan.steps * plan.tokens_per_step,
            parameters=plan.parameters,
            loss=last.get("loss", float("nan")),
            validation_loss=last.get("validation_loss"),
            bits_per_byte=last.get("validation_bits_per_byte"),
            unigram_loss=unigram,
            seconds=time.perf_counter() - began,
            data_share=watch.data_share,
            tokens_per_second=watch.rate,
            mfu=None if watch.rate is None else watch.mfu(watch.rate),
        )
        if self.group.is_first:
            write_model(
                self.out, self.model, self.store, facts=self.facts(trained), lines=metrics.read(self.out)
            )
        self.group.wait()
        return trained

    def wrapped(self) -> torch.nn.Module:
        """The model and its loss as they are called: compiled on a GPU, gradients shared by processes."""
        module: torch.nn.Module = self.losses
        if self.options.compile or (self.options.compile is None and self.group.device.type == "cuda"):
            module = torch.compile(module)  # type: ignore[assignment]
        if self.group.launched:
            module = DistributedDataParallel(module)
        self.model.train()
        return module

    def step(self, module: torch.nn.Module, batch: TorchBatch, step: int) -> dict[str, Any]:
        """One step of the optimizer on one global batch."""
        device = self.group.device
        targets = self.group.total((batch.labels != IGNORED).sum())
        loss = torch.zeros((), dtype=torch.float64, device=device)
        micro_batches = list(parts(batch, self.micro_rows))
        for index, part in enumerate(micro_batches):
            alone = index < len(micro_batches) - 1 and isinstance(module, DistributedDataParallel)
            with module.no_sync() if alone else nullcontext():  # type: ignore[operator]
                with autocast(device, self.precision):
                    losses = sum_of_losses(module, part)
                # Gradients are averaged over the processes; the loss is a mean over all targets.
                (losses * self.group.size / targets).backward()  # type: ignore[no-untyped-call]
            loss += losses.detach()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.clip)
        rate = learning_rate(self.plan, step)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return {
            "loss": float(self.group.total(loss) / targets),
            "learning_rate": rate,
            "gradient_norm": float(norm),
            "batch": batch_hash(batch, self.group),
        }

    def save(self, step: int) -> None:
        """A checkpoint, by the first process; the others are alike."""
        if self.group.is_first:
            checkpoint.save(
                self.out,
                step,
                model=self.model,
                optimizer=self.optimizer,
                loader=self.loader.state_dict(),
                plan=self.plan,
                keep=self.options.keep,
            )
        self.group.wait()

    def facts(self, trained: Trained) -> Mapping[str, Any]:
        """What the model card says."""
        from tokenmill import __version__

        validation = "no validation split"
        if trained.validation_loss is not None:
            validation = (
                f"{trained.validation_loss:.4f} nats per token, "
                f"{trained.bits_per_byte or float('nan'):.4f} bits per byte "
                f"(unigram entropy {trained.unigram_loss:.4f} nats per token)"
            )
        facts = {
            "model": self.out.name,
            "parameters": f"{trained.parameters:,}",
            "architecture": self.model.config.model_type,
            "data (content hash)": self.store.content_hash,
            "tokenizer (fingerprint)": self.store.tokenizer.fingerprint,
            "tokens": f"{trained.tokens:,} in {trained.steps:,} steps of {self.plan.tokens_per_step:,}",
            "validation loss": validation,
            "learning rate": f"{self.plan.learning_rate}, {self.plan.schedule}",
            "seed": self.plan.seed,
            "made by": f"tokenmill {__version__}, torch {torch.__version__}",
        }
        return facts if self.command is None else {**facts, "command": f"`{self.command}`"}


class Watch:
    """How long a step takes, and how long it waits for data."""

    def __init__(self, flops: int, plan: Plan, group: Group) -> None:
        self.flops, self.plan, self.group = flops, plan, group
        self.peak = peak_flops(group.device)
        self.waited = self.took = 0.0
        self.rates: list[float] = []

    def start(self) -> None:
        """A step begins."""
        self.began = time.perf_counter()

    def got_batch(self) -> None:
        """Its batch is there."""
        self.got = time.perf_counter()

    def stop(self) -> dict[str, float | None]:
        """The step is done; reading its loss has waited for the device."""
        now = time.perf_counter()
        seconds, waited = now - self.began, self.got - self.began
        self.took += seconds
        self.waited += waited
        rate = self.plan.tokens_per_step / seconds
        self.rates.append(rate)
        told = {
            "seconds": seconds,
            "tokens_per_second": rate,
            "data_share": waited / seconds,
            "mfu": self.mfu(rate),
        }
        if self.group.device.type == "cuda":
            told["peak_memory_bytes"] = torch.cuda.max_memory_allocated(self.group.device)
        return told

    def mfu(self, rate: float) -> float | None:
        """Of what the devices can do, the share that so many tokens a second take."""
        return None if self.peak is None else rate * self.flops / (self.peak * self.group.size)

    @property
    def rate(self) -> float | None:
        """Tokens per second of the median step: the first ones compile."""
        return median(self.rates) if self.rates else None

    @property
    def data_share(self) -> float:
        """Over all steps."""
        return self.waited / self.took if self.took else 0.0


def make_loader(store: TokenStore, plan: Plan, group: Group) -> DataLoader:
    """All epochs of a store, shuffled; a global batch is the same for any number of processes."""
    return DataLoader(
        store,
        max_length=plan.max_length,
        batch_size=plan.batch_rows // group.size,
        shuffle=True,
        seed=plan.seed,
        document_mask=plan.document_mask,
        rank=group.rank,
        world_size=group.size,
        epochs=None,
    )


def make_optimizer(model: torch.nn.Module, plan: Plan) -> torch.optim.AdamW:
    """AdamW; matrices decay, vectors do not."""
    matrices = [parameter for parameter in model.parameters() if parameter.dim() >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": plan.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=BETAS, fused=True)


def batch_hash(batch: TorchBatch, group: Group) -> str:
    """Tells global batches apart: the same for the same windows, however processes share them.

    A row is a weighted sum of its ids; rows are mixed before they are added up, whoever holds them.
    """
    ids = torch.cat((batch.input_ids, batch.labels[:, -1:]), dim=1)
    powers = torch.arange(1, ids.shape[1] + 1, device=ids.device) * 0x1B873593
    rows = (ids * (powers * powers | 1)).sum(dim=1)
    mixed = (rows ^ (rows >> 29)) * 0x2545F4914F6CDD1D
    total = group.total((mixed ^ (mixed >> 32)).sum())
    return f"{int(total) % (1 << 64):016x}"
