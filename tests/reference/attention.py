"""Attention of documents that lie one behind the other: each by itself, a token sees what came before it."""

from __future__ import annotations

from typing import Any

import torch


def attend_one_by_one(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    ends: torch.Tensor,
    ends_of_keys: torch.Tensor,
    longest: int,
    longest_of_keys: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    **options: Any,
) -> torch.Tensor:
    """Has the signature of torch.nn.attention.varlen.varlen_attn: query [tokens, heads, head]."""
    assert window_size == (-1, 0) and ends.equal(ends_of_keys)
    assert int(ends[0]) == 0 and int(ends[-1]) == len(query)
    groups = query.shape[1] // key.shape[1]
    assert groups == 1 or options == {"enable_gqa": True}
    outs = []
    for begin, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        assert 0 < end - begin <= min(longest, longest_of_keys)
        q, k, v = (tensor[begin:end].float().transpose(0, 1) for tensor in (query, key, value))
        k, v = k.repeat_interleave(groups, 0), v.repeat_interleave(groups, 0)
        scores = q @ k.transpose(1, 2) * scale
        later = torch.ones(end - begin, end - begin, dtype=torch.bool).triu(1)
        seen = scores.masked_fill(later, float("-inf")).softmax(-1)
        outs.append((seen @ v).transpose(0, 1))
    return torch.cat(outs).to(query.dtype)
