"""Attention without masks, micro-batches and memory; on the CPU a slow twin stands in for the kernel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import GPT2Config, LlamaConfig, MistralConfig

import tokenmill as tm
from reference.attention import attend_one_by_one
from reference.store_writer import write_store
from tokenmill.torch import TorchBatch, TorchLoader
from tokenmill.train import attention, memory
from tokenmill.train.loss import IGNORED, Losses, parts, sum_of_losses
from tokenmill.train.model import make_model

CPU = torch.device("cpu")
TINY = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def config(kind: str) -> Any:
    if kind == "gpt2":
        options: dict[str, Any] = {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0}
        return GPT2Config(
            vocab_size=64, n_positions=16, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3, **options
        )
    heads = {"llama": 4, "grouped": 2}[kind]
    return LlamaConfig(
        vocab_size=64, max_position_embeddings=16, num_key_value_heads=heads, initializer_range=0.3, **TINY
    )


def batches(tmp_path: Path, packing: str, rows: int = 5) -> list[TorchBatch]:
    """Of documents of 1 to 30 tokens, in rows of 16."""
    random = np.random.default_rng(0)
    sizes = [*random.integers(1, 31, 30).tolist(), 1, 1, 1, 16, 17]
    documents = [(random.integers(0, 64, size).tolist(), 0, i) for i, size in enumerate(sizes)]
    inputs = [{"name": "a.txt", "position": "byte", "bytes": 0, "blake3": "0" * 64}]
    write_store(tmp_path / "x.tm", documents, vocab_size=64, inputs=inputs, shard_tokens=100)
    options: dict[str, Any] = {"max_length": 16, "packing": packing, "document_mask": True, "pad_id": 0}
    if packing == "concat":
        options["tail"] = "pad"
    loader = tm.DataLoader(
        tm.TokenStore.open(tmp_path / "x.tm"), batch_size=rows, shuffle=False, drop_last=False, **options
    )
    return list(TorchLoader(loader))


@pytest.mark.parametrize("packing", ["concat", "document", "best_fit"])
@pytest.mark.parametrize("kind", ["llama", "grouped", "gpt2"])
def test_documents_one_by_one_give_the_losses_and_gradients_of_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, packing: str
) -> None:
    monkeypatch.setattr(attention, "varlen_attn", attend_one_by_one)
    masked, without = (
        Losses(make_model(config(kind), 0, CPU, attention=name)) for name in ("sdpa", attention.NAME)
    )
    several = 0
    for batch in batches(tmp_path, packing):
        assert batch.cu_seqlens is not None
        several += len(batch.cu_seqlens) - 1 > len(batch.input_ids)
        want = sum_of_losses(masked, batch)
        want.backward()  # type: ignore[no-untyped-call]
        for part in parts(batch, 2):
            got = sum_of_losses(without, part)
            got.backward()  # type: ignore[no-untyped-call]
            want = want - got
        assert abs(float(want.detach())) < 1e-3
    assert several
    named = dict(without.named_parameters())
    for name, parameter in masked.named_parameters():
        torch.testing.assert_close(named[name].grad, parameter.grad, rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8])
def test_parts_are_the_batch_and_each_knows_its_documents(tmp_path: Path, packing: str, rows: int) -> None:
    for batch in batches(tmp_path, packing):
        found = list(parts(batch, rows))
        for name in ("input_ids", "labels", "position_ids", "document_ids"):
            assert torch.cat([getattr(part, name) for part in found]).equal(getattr(batch, name))
        begin, ends = 0, [0]
        for part in found:
            assert part.cu_seqlens is not None and part.cu_seqlens.dtype == torch.int32
            assert part.cu_seqlens[0] == 0 and part.cu_seqlens[-1] == part.input_ids.numel()
            ends += (part.cu_seqlens[1:] + begin).tolist()
            begin += part.input_ids.numel()
        assert batch.cu_seqlens is not None and ends == batch.cu_seqlens.tolist()


def test_without_document_masks_parts_have_none() -> None:
    [batch] = TorchLoader(tm.DataLoader(range(41), max_length=8, batch_size=5, shuffle=False))
    assert [part.input_ids.shape[0] for part in parts(batch, 2)] == [2, 2, 1]
    assert all(part.cu_seqlens is None and part.position_ids is None for part in parts(batch, 2))


def on_a_gpu(monkeypatch: pytest.MonkeyPatch, *, capability: tuple[int, int] = (9, 0), gib: int = 80) -> Any:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    properties = type("Properties", (), {"total_memory": gib << 30})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    return torch.device("cuda", 0)


def test_the_kernel_is_for_models_and_devices_that_it_is_right_for(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = on_a_gpu(monkeypatch)
    monkeypatch.setattr(attention, "OPTIONS", frozenset({"window_size"}))
    bf16 = torch.bfloat16
    for kind in ("llama", "grouped", "gpt2"):
        assert attention.implementation(config(kind), gpu, bf16) == attention.NAME
    assert attention.implementation(config("llama"), CPU, bf16) == "sdpa"
    assert attention.implementation(config("llama"), gpu, None) == "sdpa"
    for other in (
        MistralConfig(vocab_size=64, **TINY),  # has a sliding window
        GPT2Config(),  # has dropout
        LlamaConfig(**{**TINY, "num_attention_heads": 8}),  # heads of 4
    ):
        assert attention.implementation(other, gpu, bf16) == "sdpa"
    on_a_gpu(monkeypatch, capability=(7, 5))
    assert attention.implementation(config("llama"), gpu, bf16) == "sdpa"
    on_a_gpu(monkeypatch)
    monkeypatch.setattr(attention, "OPTIONS", frozenset({"is_causal"}))  # PyTorch 2.10
    assert attention.implementation(config("llama"), gpu, bf16) == "sdpa"


def test_micro_batches_fit_and_are_of_one_size_where_that_costs_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = on_a_gpu(monkeypatch)
    wide = LlamaConfig(vocab_size=50_304, hidden_size=2048, num_hidden_layers=16, num_attention_heads=32)
    small = LlamaConfig(vocab_size=50_304, hidden_size=768, num_hidden_layers=12, num_attention_heads=12)

    def rows(of: int, *, model: Any = small, parameters: int = 124_000_000, length: int = 1024) -> int:
        return memory.micro_rows(of, length, model, parameters, device=gpu, precision=torch.bfloat16)

    assert rows(512) == 32
    assert rows(48) == 24  # not 32 and 16
    assert rows(37) == 32  # 37 is prime: not 1
    assert rows(3) == 3
    assert rows(1, length=1 << 20) == 1
    assert rows(512, model=wide, parameters=10**9, length=2048) == 16
    on_a_gpu(monkeypatch, gib=40)
    assert rows(512, model=wide, parameters=10**9, length=2048) == 4
    on_a_gpu(monkeypatch, gib=24)
    assert rows(512, model=wide, parameters=10**9, length=2048) == 1
    on_a_gpu(monkeypatch, gib=12)
    assert rows(512) == 16
    on_cpu = memory.micro_rows(512, 1024, small, 1, device=CPU, precision=None)
    assert on_cpu == 8


@pytest.mark.parametrize(
    ("hidden", "layers", "parameters", "tokens", "measured"),
    [
        (768, 12, 123_587_328, 32 * 1024, 16_718_884_864),
        (1024, 24, 355_124_224, 16 * 2048, 39_183_598_592),
        (2048, 16, 811_927_552, 8 * 2048, 36_297_170_944),
    ],
)
def test_memory_is_told_a_little_above_what_was_measured(
    hidden: int, layers: int, parameters: int, tokens: int, measured: int
) -> None:
    """Peaks of steps of Llamas with 50,304 ids in bf16 on an H200, PyTorch 2.11 (benchmarks/train_gpu.py)."""
    model = LlamaConfig(vocab_size=50_304, hidden_size=hidden, num_hidden_layers=layers)
    told = memory.parameter_bytes(parameters, torch.bfloat16)
    told += tokens * memory.token_bytes(model, torch.bfloat16)
    assert measured < told < 1.2 * measured


def test_the_label_that_is_no_target_is_pytorchs() -> None:
    assert torch.nn.CrossEntropyLoss().ignore_index == IGNORED
