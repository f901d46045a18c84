"""What a run will take, before it is begun."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tokenmill.torch import TorchLoader
from tokenmill.train.distributed import group
from tokenmill.train.loop import Run
from tokenmill.train.memory import parameter_bytes, token_bytes
from tokenmill.train.model import flops_per_token, no_advice

if TYPE_CHECKING:
    from pathlib import Path

    from tokenmill.store import TokenStore
    from tokenmill.train.options import TrainOptions


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
    #: Of one process: weights, gradients, optimizer, what one micro-batch keeps. On a GPU it is measured.
    memory_bytes: int
    seconds: float


def estimate(store: TokenStore, out: Path, options: TrainOptions) -> Estimate:
    """Takes three steps on real batches, of which two may compile, and multiplies the last one's time."""
    with group(options.device) as processes, no_advice():
        run = Run(store, out, options, processes)
        plan, module = run.plan, run.wrapped()
        batches = iter(TorchLoader(run.loader, device=processes.device))
        for step in range(3):
            began = time.perf_counter()
            run.step(module, next(batches), step)
            if processes.device.type == "cuda":
                torch.cuda.synchronize()
            seconds = time.perf_counter() - began
        memory = parameter_bytes(plan.parameters, run.precision)
        memory += run.micro_rows * plan.max_length * token_bytes(run.model.config, run.precision)
        if processes.device.type == "cuda":
            memory = torch.cuda.max_memory_allocated(processes.device)
        tokens = plan.steps * plan.tokens_per_step
        return Estimate(
            parameters=plan.parameters,
            steps=plan.steps,
            tokens_per_step=plan.tokens_per_step,
            tokens=tokens,
            epochs=tokens / store.num_tokens,
            flops=flops_per_token(run.model, plan.max_length) * tokens,
            memory_bytes=memory,
            seconds=seconds * plan.steps,
        )
