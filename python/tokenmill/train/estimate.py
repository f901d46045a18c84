"""What a run will take, before it is begun."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tokenmill.torch import TorchLoader
from tokenmill.train.distributed import group
from tokenmill.train.loop import Run
from tokenmill.train.model import flops_per_token

if TYPE_CHECKING:
    from pathlib import Path

    from tokenmill.store import TokenStore
    from tokenmill.train.options import TrainOptions

# Weights, gradients and both moments in 4 bytes each.
BYTES_PER_PARAMETER = 16
# Numbers of 4 bytes that are kept of a layer for the way back, per token and unit of width, about
# (Korthikanti et al. 2022 count 34 bytes at 16 bits without attention scores).
KEPT_PER_UNIT = 17


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Of a run on this machine, with as many processes as there are now."""

    parameters: int
    steps: int
    tokens_per_step: int
    tokens: int
    epochs: float
    #: Forward and backward, all steps.
    flops: int
    #: Of one process, about: weights, gradients, optimizer, and what one micro-batch keeps.
    memory_bytes: int
    seconds: float


def estimate(store: TokenStore, out: Path, options: TrainOptions) -> Estimate:
    """Takes three steps on real batches, of which two may compile, and multiplies the last one's time."""
    with group(options.device) as processes:
        run = Run(store, out, options, processes)
        plan, module = run.plan, run._wrapped()
        batches = iter(TorchLoader(run.loader, device=processes.device))
        for step in range(3):
            began = time.perf_counter()
            run.step(module, next(batches), step)
            if processes.device.type == "cuda":
                torch.cuda.synchronize()
            seconds = time.perf_counter() - began
        config = run.model.config.get_text_config()
        micro_tokens = min(run.micro_rows(), plan.batch_rows // processes.size) * plan.max_length
        kept = (
            4
            * micro_tokens
            * (config.num_hidden_layers * config.hidden_size * KEPT_PER_UNIT + 3 * config.vocab_size)
        )
        tokens = plan.steps * plan.tokens_per_step
        return Estimate(
            parameters=plan.parameters,
            steps=plan.steps,
            tokens_per_step=plan.tokens_per_step,
            tokens=tokens,
            epochs=tokens / store.num_tokens,
            flops=flops_per_token(run.model, plan.max_length) * tokens,
            memory_bytes=plan.parameters * BYTES_PER_PARAMETER + kept,
            seconds=seconds * plan.steps,
        )
