"""A model trained by Lightning on tensors of a store, stopped and resumed in the middle of an epoch.

    python examples/loaders/lightning_trainer.py corpus.tm

Lightning saves the loader's state_dict() in its checkpoints. Needs lightning.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import lightning
import torch

import tokenmill as tm
from tokenmill.torch import TorchBatch, TorchLoader


class Bigram(lightning.LightningModule):
    """Predicts the next token from this one."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.model = torch.nn.Sequential(torch.nn.Embedding(vocab_size, 32), torch.nn.Linear(32, vocab_size))
        self.losses: list[float] = []
        self.windows: list[list[int]] = []

    def training_step(self, batch: TorchBatch, number: int) -> torch.Tensor:
        """The loss of one batch."""
        loss = torch.nn.functional.cross_entropy(
            self.model(batch.input_ids).flatten(0, 1), batch.labels.flatten()
        )
        self.losses.append(float(loss))
        self.windows.append(batch.windows.tolist())
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW."""
        return torch.optim.AdamW(self.parameters(), 1e-2)


def train(store: tm.TokenStore, *, steps: int, checkpoint: Path, resume: bool = False) -> Bigram:
    """Trains to step `steps` and saves; with `resume` from what was saved before."""
    lightning.seed_everything(0, verbose=False)
    loader = tm.DataLoader(store, max_length=16, batch_size=4, seed=0)
    options: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(
        max_steps=steps, accelerator="cpu", devices=1, enable_model_summary=False, **options
    )
    model = Bigram(store.vocab_size)
    trainer.fit(model, TorchLoader(loader), ckpt_path=checkpoint if resume else None, weights_only=False)
    trainer.save_checkpoint(checkpoint)
    return model


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        data = tm.TokenStore.open(sys.argv[1])
        first = train(data, steps=10, checkpoint=Path(folder, "a.ckpt"))
        second = train(data, steps=20, checkpoint=Path(folder, "a.ckpt"), resume=True)
        print(first.losses + second.losses)
