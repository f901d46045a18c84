"""The examples of examples/loaders run, learn, and resume."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"

import tokenmill as tm
from processes import NO_THREADS_LEFT
from reference.store_writer import write_store
from tokenmill.loader import DataLoader

FOLDER = Path(__file__).parent.parent / "examples" / "loaders"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tm.TokenStore:
    """Documents that count to 50, over and over, so that the next token can be known."""
    path = tmp_path_factory.mktemp("store") / "counting.tm"
    documents = [([(start + i) % 50 for i in range(100 + start)], 0, start) for start in range(60)]
    inputs = [{"name": "a.txt", "position": "byte", "bytes": 0, "blake3": "0" * 64}]
    write_store(path, documents, vocab_size=50, inputs=inputs, shard_tokens=3000)
    return tm.TokenStore.open(path)


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports
        spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")
def test_torch_dataloader(store: tm.TokenStore, capsys: pytest.CaptureFixture[str]) -> None:
    example("torch_dataloader").main(store.path)
    windows = len(tm.Windows(store, max_length=8))
    batches, half = windows // 4, windows // 8
    assert capsys.readouterr().out.splitlines() == [
        f"torch: {batches:,} batches an epoch",
        f"torchdata: {half:,} batches, then {batches - half:,} of {batches:,} after resuming",
    ]


@pytest.mark.filterwarnings("ignore")
def test_transformers_trainer(store: tm.TokenStore, tmp_path: Path) -> None:
    losses = example("transformers_trainer").train(store, tmp_path, max_length=16, steps=40)
    assert len(losses) == 4 and losses[-1] < 0.5 * losses[0]


@pytest.mark.filterwarnings("ignore")
def test_lightning_resumes_in_the_middle_of_an_epoch(store: tm.TokenStore, tmp_path: Path) -> None:
    train = example("lightning_trainer").train
    first = train(store, steps=12, checkpoint=tmp_path / "a.ckpt")
    second = train(store, steps=60, checkpoint=tmp_path / "a.ckpt", resume=True)
    whole = train(store, steps=60, checkpoint=tmp_path / "b.ckpt")
    assert first.windows + second.windows == whole.windows
    assert first.losses + second.losses == pytest.approx(whole.losses)
    assert whole.losses[-1] < 0.5 * whole.losses[0]
    expected = DataLoader(store, max_length=16, batch_size=4, seed=0)
    assert whole.windows == [batch.windows.tolist() for _, batch in zip(range(60), expected, strict=False)]


def test_torchrun_goes_on_with_another_number_of_processes(store: tm.TokenStore, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    run = f"import runpy\nrunpy.run_path({str(FOLDER / 'torchrun_ddp.py')!r}, run_name='__main__')"
    script.write_text(run + NO_THREADS_LEFT)
    for processes in (2, 1):
        command = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", script]
        result = subprocess.run(
            [sys.executable, *command, store.path, tmp_path / "state.json"],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert result.returncode == 0, result.stderr
    seen = json.loads((tmp_path / "state.json").read_text())["windows"]
    expected = DataLoader(store, max_length=16, batch_size=8)
    assert seen == [batch.windows.tolist() for _, batch in zip(range(10), expected, strict=False)]


@pytest.mark.filterwarnings("ignore")
def test_grain(store: tm.TokenStore) -> None:
    assert example("grain_source").main(store) == len(tm.Windows(store, max_length=16)) // 4


@pytest.mark.filterwarnings("ignore")
def test_jax(store: tm.TokenStore) -> None:
    losses = example("jax_sharded").train(store)
    assert len(losses) == 20 and losses[-1] < 0.5 * losses[0]
