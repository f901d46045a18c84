"""The learning rate at each step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenmill.train.options import Plan

# Where a cosine ends, as a share of the highest rate (Hoffmann et al. 2022).
LOWEST = 0.1
# The last steps of warm-up, stable, decay (Hu et al. 2024, MiniCPM).
DECAY = 0.2


def learning_rate(plan: Plan, step: int) -> float:
    """The rate of a step, counted from 0."""
    warm = max(round(plan.warmup * plan.steps), 1)
    if step < warm:
        return plan.learning_rate * (step + 1) / warm
    if plan.schedule == "cosine":
        progress = (step - warm) / max(plan.steps - warm, 1)
        return plan.learning_rate * (LOWEST + (1 - LOWEST) * (1 + math.cos(math.pi * progress)) / 2)
    left = plan.steps - step
    return plan.learning_rate * min(left / max(DECAY * plan.steps, 1), 1.0)
