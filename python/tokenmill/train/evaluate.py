"""Loss on texts that were kept from training, beside what knowing the frequencies of tokens alone gives."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from tokenmill.loader import DataLoader
from tokenmill.torch import TorchBatch, TorchLoader
from tokenmill.train.loss import IGNORED, Losses, parts, sum_of_losses

if TYPE_CHECKING:
    from tokenmill.store import TokenStore
    from tokenmill.train.distributed import Group


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a model makes of the validation split."""

    #: Mean negative log-likelihood of a token, in nats.
    loss: float
    #: The same for each byte of text, in bits: comparable between tokenizers.
    bits_per_byte: float | None
    #: Targets that were looked at.
    tokens: int


class Validation:
    """The first windows of a validation split, divided among the processes."""

    def __init__(
        self, store: TokenStore, *, max_length: int, rows: int, tokens: int, document_mask: bool, group: Group
    ) -> None:
        self.group = group
        self.rows = max(rows // group.size, 1)
        self.batches = max(tokens // (max_length * self.rows * group.size), 1)
        self.loader = DataLoader(
            store,
            max_length=max_length,
            batch_size=self.rows,
            shuffle=False,
            drop_last=False,
            tail="pad",
            pad_id=0,
            document_mask=document_mask,
            rank=group.rank,
            world_size=group.size,
        )
        self.vocab_size = store.vocab_size
        tokenizer = store.tokenizer
        special = set(tokenizer.special_tokens.values())
        #: Bytes of text that each id stands for.
        self.lengths = np.array(
            [0 if i in special else len(tokenizer.id_to_token(i) or b"") for i in range(store.vocab_size)]
        )

    def __iter__(self) -> Iterator[TorchBatch]:
        self.loader.position = 0
        batches = iter(TorchLoader(self.loader, device=self.group.device))
        for _ in range(min(self.batches, len(self.loader))):
            yield next(batches)

    def evaluate(self, losses: Losses, precision: torch.dtype | None, *, micro_rows: int) -> Evaluation:
        """The model's loss, so many rows at a time."""
        sums = torch.zeros(3, dtype=torch.float64, device=self.group.device)
        losses.eval()
        with torch.inference_mode(), autocast(self.group.device, precision):
            for batch in self:
                labels = batch.labels[batch.labels != IGNORED].cpu().numpy()
                if len(labels):
                    sums[0] += sum(sum_of_losses(losses, part) for part in parts(batch, micro_rows))
                    sums[1] += len(labels)
                    sums[2] += int(self.lengths[labels].sum())
        losses.train()
        loss, tokens, size = self.group.total(sums).tolist()
        return Evaluation(
            loss=loss / tokens,
            bits_per_byte=loss / math.log(2) / size if size else None,
            tokens=int(tokens),
        )

    def unigram_loss(self) -> float:
        """The entropy of the same targets: no model that ignores what came before does better."""
        counts = torch.zeros(self.vocab_size, dtype=torch.float64)
        for batch in self:
            labels = batch.labels[batch.labels != IGNORED].cpu()
            counts += torch.bincount(labels, minlength=self.vocab_size)
        counts = self.group.total(counts.to(self.group.device, torch.float32)).double().cpu()
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * shares.log()).sum())


def autocast(device: torch.device, precision: torch.dtype | None) -> torch.autocast:
    """Computes in lower precision where that was asked for."""
    return torch.autocast(device.type, dtype=precision or torch.bfloat16, enabled=precision is not None)
