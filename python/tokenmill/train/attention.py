"""Attention within documents that share a row, by a kernel that is told where they begin.

With a mask, as `scaled_dot_product_attention` takes it, a GPU reads max_length x max_length numbers a row in
each layer and computes what they hide. PyTorch's variable-length kernel takes all documents of a batch one
behind the other and where they end (`cu_seqlens`), and computes only what is seen.
"""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface

if TYPE_CHECKING:
    from transformers import PretrainedConfig

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # before PyTorch 2.10
    varlen_attn: Any = None  # type: ignore[no-redef]

# As transformers calls it. It makes no mask for an implementation that it does not know.
NAME = "tokenmill_documents"
# Models that attend as `attend` does: no sliding windows, no caps, nothing added to scores.
ARCHITECTURES = ("llama", "gpt2")
# (-1, 0): all that came before, nothing after.
CAUSAL = (-1, 0)
OPTIONS = frozenset(signature(varlen_attn).parameters) if varlen_attn is not None else frozenset()


def implementation(config: PretrainedConfig, device: torch.device, precision: torch.dtype | None) -> str:
    """The attention for rows of several documents: `NAME` where model and device allow it, or masks."""
    if config.model_type not in ARCHITECTURES or device.type != "cuda" or precision != torch.bfloat16:
        return "sdpa"
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    dropout = max(getattr(config, name, 0.0) or 0.0 for name in ("attention_dropout", "attn_pdrop"))
    fits = (
        not dropout
        and head % 8 == 0
        and head <= 256
        and torch.cuda.get_device_capability(device) >= (8, 0)
        and "window_size" in OPTIONS  # since PyTorch 2.11
    )
    return NAME if fits else "sdpa"


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    *,
    scaling: float,
    cu_seq_lens_q: torch.Tensor,
    max_length_q: int,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """An attention of transformers: [rows, heads, length, head] each, back [rows, length, heads, head].

    cu_seq_lens_q, max_length_q: what transformers calls a batch's `cu_seqlens`, and no less than its
        `max_seqlen`.
    """
    rows, heads, length, _ = query.shape
    # Outside of `autocast`, which does not know the kernel: rotation leaves query and key in 32 bits.
    query, key, value = (_in_a_row(tensor).to(value.dtype) for tensor in (query, key, value))
    options: dict[str, Any] = {}
    if key.shape[1] != heads:
        if "enable_gqa" in OPTIONS:
            options["enable_gqa"] = True
        else:
            key, value = (tensor.repeat_interleave(heads // tensor.shape[1], 1) for tensor in (key, value))
    out: Any = varlen_attn(
        query, key, value, cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q,
        scale=scaling, window_size=CAUSAL, **options,
    )  # fmt: skip
    return out.view(rows, length, heads, -1), None


def _in_a_row(tensor: torch.Tensor) -> torch.Tensor:
    """[rows, heads, length, head] as [rows * length, heads, head]."""
    return tensor.transpose(1, 2).flatten(0, 1)


AttentionInterface.register(NAME, attend)
