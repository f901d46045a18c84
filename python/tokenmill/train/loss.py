"""The loss of a batch, and batches in parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from tokenmill.train import attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tokenmill.torch import TorchBatch

# Labels of this id are no targets: padding, and what boundary_labels masks.
IGNORED = -100


class Losses(torch.nn.Module):
    """A model up to the sum of its losses, in one graph.

    Compiled as one, the logits are never written in 32 bits: at 50,000 ids those would be most of the memory.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: torch.Tensor,
        labels: torch.Tensor,
        position_ids: torch.Tensor | None = None,
        cu_seqlens: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The negative log-likelihoods of the labels, added up. They are one token ahead already."""
        arguments: dict[str, Any] = {}
        if position_ids is not None:
            arguments["position_ids"] = position_ids
        if self.model.config._attn_implementation == attention.NAME:
            # No document is longer than a row. A number that changes would be compiled for anew.
            arguments |= {"cu_seq_lens_q": cu_seqlens, "max_length_q": input_ids.shape[1]}
        logits = self.model(input_ids=input_ids, use_cache=False, **arguments).logits
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
        )


def sum_of_losses(losses: torch.nn.Module, batch: TorchBatch) -> torch.Tensor:
    """The loss of a batch by `Losses`, perhaps wrapped."""
    found: torch.Tensor = losses(batch.input_ids, batch.labels, batch.position_ids, batch.cu_seqlens)
    return found


def parts(batch: TorchBatch, rows: int) -> Iterator[TorchBatch]:
    """The batch in micro-batches of so many rows; the last may have fewer."""
    total, length = batch.input_ids.shape
    # Read once for all parts: it waits for the device, which has nothing to do yet.
    ends = None if batch.cu_seqlens is None else batch.cu_seqlens.cpu()
    for begin in range(0, total, rows):
        part = slice(begin, begin + rows)
        cu_seqlens = None
        if ends is not None and batch.cu_seqlens is not None:
            # A row begins and ends at one of them.
            edges = torch.tensor([begin, min(begin + rows, total)], dtype=ends.dtype) * length
            first, last = torch.searchsorted(ends, edges).tolist()
            cu_seqlens = batch.cu_seqlens[first : last + 1] - begin * length
            if (
                cu_seqlens.is_cuda
            ):  # where the kernel reads them, each number of documents would be compiled for
                torch._dynamo.maybe_mark_dynamic(cu_seqlens, 0)
        positions, documents = batch.position_ids, batch.document_ids
        yield replace(
            batch,
            input_ids=batch.input_ids[part],
            labels=batch.labels[part],
            windows=batch.windows[part],
            sources=None if batch.sources is None else batch.sources[part],
            position_ids=None if positions is None else positions[part],
            document_ids=None if documents is None else documents[part],
            cu_seqlens=cu_seqlens,
        )
