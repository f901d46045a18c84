"""Training on a GPU, by `make test-gpu`: the kernel for documents, compiled steps, checkpoints, torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"

import torch

import tokenmill as tm
from samples import standard_library
from tokenmill.torch import TorchLoader
from tokenmill.train import TrainOptions, attention, checkpoint, metrics, train_model
from tokenmill.train.distributed import Group
from tokenmill.train.estimate import estimate
from tokenmill.train.evaluate import autocast
from tokenmill.train.generate import Generator
from tokenmill.train.loop import Run
from tokenmill.train.loss import Losses, parts, sum_of_losses
from tokenmill.train.model import make_config, make_model, no_advice

GPU = torch.device("cuda", 0)
ALONE = Group(0, 1, GPU)
BF16 = torch.bfloat16
# What PyTorch's compiler does inside.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tm.TokenStore:
    texts = [text[:600] for text in standard_library(3_000_000)]  # two or three documents share a row
    tok = tm.train_bpe(tm.Documents.from_texts(texts), vocab_size=512)
    path = tmp_path_factory.mktemp("store") / "corpus.tm"
    return tm.prepare(tm.Documents.from_texts(texts), tokenizer=tok, out=path, val_fraction=0.2)


@pytest.fixture
def options() -> TrainOptions:
    return TrainOptions(
        size="1m", max_length=128, batch_rows=16, micro_rows=8, steps=12, eval_tokens=4096, compile=False
    )


def train(store: tm.TokenStore, out: Path, options: TrainOptions, **more: Any) -> list[dict[str, Any]]:
    train_model(store, out, options, **more)
    return metrics.read(out)


def column(lines: list[dict[str, Any]], name: str) -> list[Any]:
    return [line[name] for line in lines]


@pytest.mark.parametrize("kind", ["llama", "grouped", "gpt2"])
def test_the_kernel_for_documents_is_as_near_to_masks_in_32_bits_as_masks_in_16_are(
    store: tm.TokenStore, options: TrainOptions, kind: str
) -> None:
    chosen = replace(options, architecture="gpt2" if kind == "gpt2" else "llama")
    config = make_config(chosen, store)
    config.initializer_range = 0.1  # so that attention says something
    if kind == "grouped":
        config.num_key_value_heads = 2
    assert attention.implementation(config, GPU, BF16) == attention.NAME
    run = Run(store, Path("unused"), options, ALONE)
    batch = next(iter(TorchLoader(run.loader, device=GPU)))
    assert batch.cu_seqlens is not None and len(batch.cu_seqlens) > len(batch.input_ids) + 3
    gradients, totals = [], []
    for name, precision in (("sdpa", None), ("sdpa", BF16), (attention.NAME, BF16)):
        losses, total = Losses(make_model(config, 0, GPU, attention=name)), 0.0
        for part in parts(batch, 6):
            with autocast(GPU, precision):
                loss = sum_of_losses(losses, part)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        totals.append(total)
        flat = [parameter.grad.flatten() for parameter in losses.parameters() if parameter.grad is not None]
        gradients.append(torch.cat(flat))
    exact, masked, documents = gradients
    assert torch.isfinite(documents).all()
    errors = [float((other - exact).norm() / exact.norm()) for other in (masked, documents)]
    print(kind, "relative errors of gradients", errors, "losses", totals)
    assert errors[1] < 1.5 * errors[0] + 1e-3 and errors[1] < 0.05
    assert totals[2] == pytest.approx(totals[0], rel=2e-3)


def test_a_gpu_sees_the_batches_of_a_cpu_and_learns_the_same(
    store: tm.TokenStore, options: TrainOptions, tmp_path: Path
) -> None:
    chosen = replace(options, precision="fp32")
    gpu = train(store, tmp_path / "gpu", chosen)
    cpu = train(store, tmp_path / "cpu", replace(chosen, device="cpu"))
    bf16 = train(store, tmp_path / "bf16", options)
    assert column(gpu, "batch") == column(cpu, "batch") == column(bf16, "batch")
    assert column(gpu, "loss") == pytest.approx(column(cpu, "loss"), rel=1e-3)
    assert column(bf16, "loss") == pytest.approx(column(cpu, "loss"), rel=1e-2)
    assert gpu[-1]["validation_loss"] == pytest.approx(cpu[-1]["validation_loss"], rel=1e-3)
    assert gpu[-1]["unigram_loss"] == pytest.approx(cpu[-1]["unigram_loss"], rel=1e-6)


@pytest.mark.parametrize("changes", [{}, {"document_mask": False}, {"architecture": "gpt2"}])
def test_compiled_steps_are_those_of_eager_ones_and_are_compiled_once(
    store: tm.TokenStore, options: TrainOptions, changes: dict[str, Any]
) -> None:
    chosen = replace(options, **changes)
    torch._dynamo.reset()
    losses = []
    for compiled in (False, True):
        run = Run(store, Path("unused"), replace(chosen, compile=compiled), ALONE)
        module, batches = run.wrapped(), iter(TorchLoader(run.loader, device=GPU))
        with torch._dynamo.config.patch(error_on_recompile=True), no_advice():
            losses.append([run.step(module, next(batches), step)["loss"] for step in range(6)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


@pytest.mark.parametrize("second", ["cuda", "cpu"])
def test_a_checkpoint_of_a_gpu_goes_on_with_the_same_batches_anywhere(
    store: tm.TokenStore, options: TrainOptions, tmp_path: Path, second: str
) -> None:
    whole = train(store, tmp_path / "whole", options)

    def stop(stage: str, unit: str, done: int, total: int | None) -> None:
        if done == 8 * 16 * 128:
            raise KeyboardInterrupt

    chosen, out = replace(options, save_every=5), tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        train_model(store, out, chosen, progress=stop)
    assert [path.name for path in checkpoint.checkpoints(out)] == ["step-00000005"]
    lines = train(store, out, replace(chosen, device=second), resume=True)
    assert column(lines, "batch") == column(whole, "batch")
    assert column(lines, "loss") == pytest.approx(column(whole, "loss"), rel=1e-2)


def test_one_process_of_torchrun_speaks_by_nccl_and_learns_the_same(
    store: tm.TokenStore, options: TrainOptions, tmp_path: Path
) -> None:
    want = train(store, tmp_path / "alone", options)
    flags = (
        "--size 1m --max-length 128 --batch-rows 16 --micro-rows 8 --steps 12 --eval-tokens 4096 --no-compile"
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    done = subprocess.run(
        [*launcher, "-m", "tokenmill", "train", store.path, "-o", tmp_path / "m", *flags.split(), "--json"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "NCCL_DEBUG": "VERSION"},
    )
    assert done.returncode == 0, done.stderr
    assert "NCCL version" in done.stdout + done.stderr
    lines = metrics.read(tmp_path / "m")
    assert column(lines, "batch") == column(want, "batch")
    assert column(lines, "loss") == pytest.approx(column(want, "loss"), rel=1e-2)


def test_an_estimate_measures_memory(store: tm.TokenStore, options: TrainOptions, tmp_path: Path) -> None:
    told = estimate(store, tmp_path / "m", options)
    assert told.memory_bytes > told.parameters * 16
    assert not (tmp_path / "m").exists()


def test_a_gpu_writes_what_a_cpu_writes(store: tm.TokenStore, options: TrainOptions, tmp_path: Path) -> None:
    train(store, tmp_path / "m", options)
    told = {}
    for device in ("cuda", "cpu"):
        made = Generator(tmp_path / "m", device=device)
        told[device] = list(made.ids("def ", max_tokens=40, temperature=0))
        context = made.prompt_ids("def ")
        for number in told[device]:
            with torch.no_grad():
                logits = made.model(input_ids=torch.tensor([context], device=made.device)).logits[0, -1]
            assert float(logits.max() - logits[number]) < 1e-3
            context.append(number)
    assert told["cuda"][:5] == told["cpu"][:5]
    command = [
        sys.executable,
        "-m",
        "tokenmill",
        "generate",
        str(tmp_path / "m"),
        "--prompt",
        "def ",
        "--json",
    ]
    spoken = subprocess.run([*command, "--max-tokens", "5"], check=True, capture_output=True, text=True)
    assert json.loads(spoken.stdout)["text"]
