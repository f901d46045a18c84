"""A small Llama trained by transformers' Trainer on windows of a store.

    python examples/loaders/transformers_trainer.py corpus.tm

Needs transformers and accelerate.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments, set_seed

import tokenmill as tm
from tokenmill.torch import WindowDataset


def train(store: tm.TokenStore, out: Path, *, max_length: int = 64, steps: int = 50) -> list[float]:
    """Trains, and returns the loss of every tenth step."""
    set_seed(0)
    config = LlamaConfig(
        vocab_size=store.vocab_size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=max_length,
        bos_token_id=None,
        eos_token_id=None,
    )
    trainer = Trainer(
        model=LlamaForCausalLM(config),
        args=TrainingArguments(
            output_dir=str(out),
            max_steps=steps,
            per_device_train_batch_size=16,
            learning_rate=3e-3,
            remove_unused_columns=False,  # or "shift_labels" is removed
            logging_steps=10,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        ),
        # With transformers=True the model is told that labels are one token ahead already.
        train_dataset=WindowDataset(store, max_length=max_length, transformers=True),
    )
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(train(tm.TokenStore.open(sys.argv[1]), Path(folder)))
