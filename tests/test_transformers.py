"""Models and the Trainer of transformers on top of tokenmill.torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from reference.store_writer import write_store
from tokenmill.loader import DataLoader
from tokenmill.store import TokenStore
from tokenmill.torch import TorchLoader, WindowDataset


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        attn_implementation="sdpa",
        bos_token_id=None,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits.view(-1, 64), labels.view(-1))


def test_the_loss_of_a_model_is_that_of_labels_one_token_ahead(model: LlamaForCausalLM) -> None:
    ids = np.random.default_rng(0).integers(0, 64, 83)
    batch = next(iter(TorchLoader(DataLoader(ids, max_length=8, batch_size=2, tail="pad", pad_id=0))))
    out = model(**batch.for_transformers())
    torch.testing.assert_close(out.loss, cross_entropy(out.logits, batch.labels))


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_with_document_masks_each_document_is_seen_as_if_alone(
    model: LlamaForCausalLM, tmp_path: Path, packing: str
) -> None:
    random = np.random.default_rng(0)
    documents = [(random.integers(0, 64, size).tolist(), 0, i) for i, size in enumerate([5, 9, 3, 4, 7, 6])]
    inputs = [{"name": "a.txt", "position": "byte", "bytes": 0, "blake3": "0" * 64}]
    write_store(tmp_path / "x.tm", documents, vocab_size=64, inputs=inputs, shard_tokens=30)
    options: dict[str, Any] = {"max_length": 12, "packing": packing, "document_mask": True, "pad_id": 0}
    batches = TorchLoader(
        DataLoader(TokenStore.open(tmp_path / "x.tm"), batch_size=2, drop_last=False, **options)
    )
    several = 0
    for batch in batches:
        assert batch.document_ids is not None
        with torch.no_grad():
            together = model(**batch.for_transformers()).logits
            for row, documents_of_row in enumerate(batch.document_ids):
                for document in range(int(documents_of_row.max()) + 1):
                    here = documents_of_row == document
                    alone = model(input_ids=batch.input_ids[row][here][None]).logits[0]
                    torch.testing.assert_close(together[row][here], alone, rtol=1e-4, atol=1e-5)
                    several += document
    assert several


def test_the_trainer_learns_from_a_dataset_of_windows(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=16,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=None,
        eos_token_id=None,
    )
    dataset = WindowDataset(np.arange(2000) % 16, max_length=8, transformers=True)
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=30,
        per_device_train_batch_size=16,
        learning_rate=1e-2,
        remove_unused_columns=False,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    trained = LlamaForCausalLM(config)
    Trainer(model=trained, args=arguments, train_dataset=dataset).train()
    with torch.no_grad():
        logits = trained.eval()(input_ids=torch.arange(8)[None]).logits
    # One token ahead, not two: labels were not shifted a second time.
    assert logits[0].argmax(-1).tolist() == list(range(1, 9))
