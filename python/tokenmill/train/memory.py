"""How much of a batch a device takes at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# Weights, gradients and both moments in 4 bytes each; in bf16 the weights once more in 2.
OF_A_PARAMETER = {torch.float32: 16, torch.bfloat16: 18}
# Bytes of each token that are kept for the way back: for each layer and unit of width, and for each id. In 32
# bits twice what Korthikanti et al. (2022) count without attention scores; in bf16, compiled, as measured.
OF_A_LAYER = {torch.float32: 68, torch.bfloat16: 38}
OF_AN_ID = {torch.float32: 12, torch.bfloat16: 3}
# Evaluating is not compiled: logits, the same in 32 bits, and their logarithms.
EVALUATED_OF_AN_ID = 10
# More at a time does not make a GPU faster.
MOST_TOKENS = {"cpu": 1 << 13, "cuda": 1 << 15}
# Of a GPU's memory, what a plan may take: the allocator and other kernels' workspaces need some.
SHARE = 0.85


def parameter_bytes(parameters: int, precision: torch.dtype | None) -> int:
    """Memory that parameters take, whatever the batch."""
    return parameters * OF_A_PARAMETER[precision or torch.float32]


def token_bytes(config: PretrainedConfig, precision: torch.dtype | None) -> int:
    """Memory that one token takes at most, in a step or evaluated, about."""
    text, kind = config.get_text_config(), precision or torch.float32
    layers = text.num_hidden_layers * text.hidden_size * OF_A_LAYER[kind]
    return int(max(layers + text.vocab_size * OF_AN_ID[kind], text.vocab_size * EVALUATED_OF_AN_ID))


def micro_rows(
    rows: int, max_length: int, config: PretrainedConfig, parameters: int, *, device: torch.device,
    precision: torch.dtype | None,
) -> int:  # fmt: skip
    """How many of a process's `rows` to take at a time: as many as fit, in parts of one size if that can be.

    Another size, that of the last part, would be compiled for anew.
    """
    tokens = MOST_TOKENS.get(device.type, MOST_TOKENS["cpu"])
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        left = SHARE * memory - parameter_bytes(parameters, precision)
        tokens = min(tokens, int(left // token_bytes(config, precision)))
    most = min(max(tokens // max_length, 1), rows)
    even = max(size for size in range(1, most + 1) if rows % size == 0)
    return even if 2 * even > most else most
