"""Training a model: targets, steps, checkpoints, what is left, on small models."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

import tokenmill as tm
from processes import NO_THREADS_LEFT
from samples import standard_library
from tokenmill.cli import main
from tokenmill.cli import train as cli_train
from tokenmill.torch import TorchBatch, TorchLoader
from tokenmill.train import SIZES, Plan, TrainOptions, checkpoint, make_plan, metrics, train_model
from tokenmill.train.distributed import Group
from tokenmill.train.generate import Generator, choose
from tokenmill.train.loop import Run, batch_hash
from tokenmill.train.loss import Losses, sum_of_losses
from tokenmill.train.model import flops_per_token, make_config, make_model, num_parameters
from tokenmill.train.schedule import learning_rate

ALONE = Group(0, 1, torch.device("cpu"))
# 30 thousand parameters: what is tested does not depend on size.
CONFIG = LlamaConfig(max_position_embeddings=64)
TINY = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tm.TokenStore:
    texts = [text[:3000] for text in standard_library(400_000)]
    tok = tm.train_bpe(tm.Documents.from_texts(texts), vocab_size=384)
    path = tmp_path_factory.mktemp("store") / "corpus.tm"
    return tm.prepare(tm.Documents.from_texts(texts), tokenizer=tok, out=path, val_fraction=0.2)


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> TrainOptions:
    path = tmp_path_factory.mktemp("config") / "config.json"
    config = {"model_type": "llama", "vocab_size": 384, "max_position_embeddings": 64, **TINY}
    path.write_text(json.dumps(config), encoding="utf-8")
    return TrainOptions(config=path, max_length=32, batch_rows=4, steps=12, eval_tokens=512, device="cpu")


@pytest.fixture(scope="module")
def trained(store: tm.TokenStore, options: TrainOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "model"
    train_model(store, out, replace(options, save_every=5, eval_every=6))
    return out


def hashes(out: Path) -> list[str]:
    return [line["batch"] for line in metrics.read(out)]


def weights(out: Path) -> dict[str, torch.Tensor]:
    return dict(AutoModelForCausalLM.from_pretrained(out).named_parameters())


def test_the_loss_is_that_of_the_token_that_really_follows() -> None:
    """Worked out by hand from the logits: targets are one token ahead, not two."""
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=11, max_position_embeddings=16, **TINY)
    model = AutoModelForCausalLM.from_config(config)
    ids = np.random.default_rng(0).integers(0, 11, 33)
    batch = next(iter(TorchLoader(tm.DataLoader(ids, max_length=8, batch_size=4, shuffle=False))))
    with torch.no_grad():
        total = 0.0
        for row in range(4):
            window = ids[8 * row : 8 * row + 9]
            logits = model(input_ids=torch.tensor(window[None, :8])).logits[0].double()
            for place in range(8):
                probabilities = torch.exp(logits[place]) / torch.exp(logits[place]).sum()
                total -= math.log(float(probabilities[window[place + 1]]))
        assert float(sum_of_losses(Losses(model), batch)) == pytest.approx(total, rel=1e-5)


def test_padding_is_no_target() -> None:
    losses = Losses(
        make_model(LlamaConfig(vocab_size=11, max_position_embeddings=16, **TINY), 0, ALONE.device)
    )
    ids = list(range(10)) * 2
    loader = tm.DataLoader(ids, max_length=8, batch_size=3, shuffle=False, tail="pad", pad_id=0)
    batch = next(iter(TorchLoader(loader)))
    assert int((batch.labels == -100).sum()) == 24 - 19
    rows = [part_of(batch, slice(row, row + 1)) for row in range(3)]
    cut = replace(rows[2], input_ids=rows[2].input_ids[:, :3], labels=rows[2].labels[:, :3])
    with torch.no_grad():
        torch.testing.assert_close(sum_of_losses(losses, rows[2]), sum_of_losses(losses, cut))


def part_of(batch: TorchBatch, rows: slice) -> TorchBatch:
    return replace(batch, input_ids=batch.input_ids[rows], labels=batch.labels[rows])


def test_a_model_learns_one_batch_by_heart(store: tm.TokenStore, tmp_path: Path) -> None:
    run = Run(
        store, tmp_path, TrainOptions(size="1m", max_length=32, batch_rows=4, steps=70, device="cpu"), ALONE
    )
    batch = next(iter(TorchLoader(run.loader)))
    losses = [run.step(run.losses, batch, step)["loss"] for step in range(70)]
    assert losses[0] > 5
    assert losses[-1] < 0.1


@pytest.mark.parametrize("micro_rows", [1, 3, 4])
def test_micro_batches_change_memory_and_not_the_step(
    store: tm.TokenStore, options: TrainOptions, tmp_path: Path, micro_rows: int
) -> None:
    runs = [Run(store, tmp_path, replace(options, micro_rows=rows), ALONE) for rows in (4, micro_rows)]
    batch = next(iter(TorchLoader(runs[0].loader)))
    first, second = (run.step(run.losses, batch, 0) for run in runs)
    assert first["loss"] == pytest.approx(second["loss"], rel=1e-5)
    assert first["gradient_norm"] == pytest.approx(second["gradient_norm"], rel=1e-4)


def test_a_run_leaves_a_model_that_transformers_loads(store: tm.TokenStore, trained: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(trained)
    tokenizer = AutoTokenizer.from_pretrained(trained)
    text = "def main(argv):\n    return 0\n"
    assert tokenizer(text)["input_ids"] == store.tokenizer.encode(text)
    assert tokenizer.eos_token == "<|endoftext|>"
    assert model.config.eos_token_id == store.manifest["eos"]
    assert (trained / "generation_config.json").exists()
    kept = checkpoint.checkpoints(trained)[-1]
    assert kept.name == "step-00000012"
    saved = load_file(kept / "model.safetensors")
    ids = torch.tensor([store.tokenizer.encode(text)])
    again = AutoModelForCausalLM.from_config(model.config)
    again.load_state_dict(saved, strict=False)
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, again(ids).logits)


def test_the_card_the_plot_and_the_numbers_are_there(store: tm.TokenStore, trained: Path) -> None:
    card = (trained / "README.md").read_text(encoding="utf-8")
    assert store.content_hash in card and store.tokenizer.fingerprint in card
    assert (trained / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (trained / "loss.html").read_text(encoding="utf-8")
    lines = metrics.read(trained)
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert [line["step"] for line in lines if "validation_loss" in line] == [6, 12]
    assert all(0 <= line["data_share"] < 1 and line["tokens_per_second"] > 0 for line in lines)
    assert sorted(path.name for path in trained.iterdir() if path.name.startswith(".")) == []
    # Who may read one may read all.
    assert len({path.stat().st_mode for path in trained.rglob("*") if path.is_file()}) == 1


def test_the_validation_loss_is_that_of_its_tokens_and_bytes(
    store: tm.TokenStore, options: TrainOptions, tmp_path: Path
) -> None:
    run = Run(store, tmp_path, replace(options, document_mask=False, eval_tokens=1 << 20), ALONE)
    assert run.validation is not None and store.validation is not None
    ids = store.validation[:]
    found = run.validation.evaluate(run.losses, None, micro_rows=3)
    assert found.tokens == len(ids) - 1
    loss = 0.0
    with torch.no_grad():
        for start in range(0, len(ids) - 1, 32):
            window = torch.tensor(ids[start : start + 33].astype(np.int64))
            logits = run.model(input_ids=window[None, :-1]).logits[0]
            loss += float(torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum"))
    assert found.loss == pytest.approx(loss / (len(ids) - 1), rel=1e-4)
    size = len(store.tokenizer.decode_bytes(ids[1:].tolist(), skip_special_tokens=True))
    assert found.bits_per_byte == pytest.approx(loss / math.log(2) / size, rel=1e-4)
    shares = np.bincount(ids[1:]) / (len(ids) - 1)
    entropy = -sum(share * math.log(share) for share in shares if share)
    assert run.validation.unigram_loss() == pytest.approx(entropy, rel=1e-5)


# --- going on after a stop


def test_a_run_that_was_killed_goes_on_with_the_same_batches_and_ends_in_the_same_weights(
    store: tm.TokenStore, options: TrainOptions, trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    code = (
        "import os, sys, signal, tokenmill as tm\n"
        "from pathlib import Path\n"
        "from tokenmill.train import TrainOptions, train_model\n"
        "def progress(stage, unit, done, total):\n"
        "    if done == 8 * 128: os.kill(os.getpid(), signal.SIGKILL)\n"
        "options = TrainOptions(config=Path(sys.argv[3]), max_length=32, batch_rows=4, steps=12,\n"
        "    eval_tokens=512, device='cpu', save_every=5, eval_every=6)\n"
        "train_model(tm.TokenStore.open(sys.argv[1]), Path(sys.argv[2]), options, progress=progress)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, store.path, out, options.config], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (out / "model.safetensors").exists()
    assert [path.name for path in checkpoint.checkpoints(out)] == ["step-00000005"]
    assert len(metrics.read(out)) == 8
    train_model(store, out, replace(options, save_every=5, eval_every=6), resume=True)
    assert hashes(out) == hashes(trained)
    assert [line["step"] for line in metrics.read(out)] == list(range(1, 13))
    for (name, one), other in zip(weights(trained).items(), weights(out).values(), strict=True):
        torch.testing.assert_close(one, other, msg=name)


@pytest.mark.parametrize("begin", [1, 2])
def test_another_number_of_processes_goes_on_with_the_same_batches(
    store: tm.TokenStore, options: TrainOptions, trained: Path, tmp_path: Path, begin: int
) -> None:
    """Two by torchrun: the same global batch, shared otherwise."""
    out, script = tmp_path / "model", tmp_path / "part.py"
    script.write_text(
        "import sys, tokenmill as tm\n"
        "from pathlib import Path\n"
        "from tokenmill.train import TrainOptions, train_model\n"
        "def progress(stage, unit, done, total):\n"
        "    if sys.argv[4] == 'stop' and done == 6 * 128: raise SystemExit(3)\n"
        "options = TrainOptions(config=Path(sys.argv[3]), max_length=32, batch_rows=4, steps=12,\n"
        "    eval_tokens=512, device='cpu', save_every=5, eval_every=6)\n"
        "train_model(tm.TokenStore.open(sys.argv[1]), Path(sys.argv[2]), options, resume=True,\n"
        f"    progress=progress)\n{NO_THREADS_LEFT}",
        encoding="utf-8",
    )

    def part(processes: int, what: str) -> subprocess.CompletedProcess[bytes]:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        return subprocess.run(
            [sys.executable, *launcher, script, store.path, out, options.config, what],
            check=False,
            capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    assert part(begin, "stop").returncode != 0
    assert [path.name for path in checkpoint.checkpoints(out)] == ["step-00000005"]
    done = part(3 - begin, "go on")
    assert done.returncode == 0, done.stderr.decode()
    assert hashes(out) == hashes(trained)
    for (name, one), other in zip(weights(trained).items(), weights(out).values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4, msg=name)


def test_a_checkpoint_is_continued_only_by_a_run_of_the_same_plan(
    store: tm.TokenStore, options: TrainOptions, trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    shutil.copytree(trained, out)
    with pytest.raises(ValueError, match=r"is of another run: learning_rate was 0\.002 and is 0\.5"):
        train_model(store, out, replace(options, learning_rate=0.5), resume=True)
    with pytest.raises(FileExistsError, match="is not empty; go on with its run"):
        train_model(store, out, options)
    # As many parameters, and another model.
    other = tmp_path / "other.json"
    config = json.loads(Path(str(options.config)).read_text(encoding="utf-8"))
    other.write_text(json.dumps({**config, "num_attention_heads": 4, "head_dim": 8}), encoding="utf-8")
    with pytest.raises(ValueError, match="is of another run: model was"):
        train_model(store, out, replace(options, config=other), resume=True)
    newest = checkpoint.checkpoints(out)[-1] / "optimizer.safetensors"
    newest.write_bytes(newest.read_bytes()[:100])
    with pytest.raises(ValueError, match="is damaged"):
        train_model(store, out, options, resume=True)


def test_a_run_that_is_over_stays_what_it_was(
    store: tm.TokenStore, options: TrainOptions, trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    shutil.copytree(trained, out)
    again = train_model(store, out, replace(options, save_every=5, eval_every=6), resume=True)
    last = metrics.read(trained)[-1]
    assert (again.loss, again.validation_loss) == (last["loss"], last["validation_loss"])
    assert metrics.read(out) == metrics.read(trained)
    assert (out / "README.md").read_text(encoding="utf-8") == (trained / "README.md").read_text(
        encoding="utf-8"
    )


def test_an_unfinished_checkpoint_is_none(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    shutil.copytree(trained / "checkpoints", out / "checkpoints")
    (out / "checkpoints" / ".step-00000013.partial").mkdir()
    assert [path.name for path in checkpoint.checkpoints(out)] == ["step-00000010", "step-00000012"]


def test_the_hash_of_a_batch_does_not_depend_on_how_it_is_shared_and_tells_batches_apart(
    store: tm.TokenStore,
) -> None:
    batches = list(TorchLoader(tm.DataLoader(store, max_length=16, batch_size=6)))
    whole = [batch_hash(batch, ALONE) for batch in batches]
    assert len(set(whole)) == len(batches) > 100
    for batch, want in zip(batches[:20], whole, strict=False):
        halves = [int(batch_hash(part_of(batch, part), ALONE), 16) for part in (slice(0, 2), slice(2, 6))]
        assert sum(halves) % (1 << 64) == int(want, 16)


class FakeTracker:
    """What wandb and trackio have in common."""

    def __init__(self) -> None:
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.finished = False

    def init(self, **options: Any) -> FakeTracker:
        self.options = options
        return self

    def log(self, values: dict[str, Any], *, step: int) -> None:
        self.logged.append((step, values))

    def finish(self) -> None:
        self.finished = True


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_trackers_get_the_numbers_of_each_step(
    store: tm.TokenStore, options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fake = FakeTracker()
    monkeypatch.setitem(sys.modules, name, fake)  # type: ignore[arg-type]
    train_model(store, tmp_path / "m", replace(options, steps=2), loggers=[name])
    assert [step for step, _ in fake.logged] == [1, 2]
    assert fake.logged[1][1]["loss"] > 0 and fake.logged[1][1]["validation_loss"] > 0
    assert fake.options["config"]["steps"] == 2 and fake.finished


def test_a_tracker_that_is_not_there_is_named(
    store: tm.TokenStore, options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match="pip install wandb"):
        train_model(store, tmp_path / "m", options, loggers=["wandb"])


# --- plans


def plan(**changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "store": "", "tokenizer": "", "max_length": 8, "batch_rows": 2, "steps": 100, "learning_rate": 1.0,
        "schedule": "cosine", "warmup": 0.1, "weight_decay": 0.1, "clip": 1.0, "document_mask": True,
        "seed": 0, "model": "", "parameters": 1,
    }  # fmt: skip
    return Plan(**{**fields, **changes})


def test_schedules_rise_and_fall_as_described() -> None:
    cosine = [learning_rate(plan(), step) for step in range(100)]
    assert cosine[0] == 0.1 and cosine[9] == cosine[10] == 1.0
    assert all(later <= earlier for earlier, later in pairwise(cosine[10:]))
    assert cosine[55] == pytest.approx(0.55) and cosine[99] == pytest.approx(0.1, abs=1e-3)
    wsd = [learning_rate(plan(schedule="wsd"), step) for step in range(100)]
    assert wsd[9:81] == [1.0] * 72
    assert wsd[90] == pytest.approx(0.5) and wsd[99] == pytest.approx(0.05)


def test_budgets_come_to_steps(store: tm.TokenStore) -> None:
    windows = (store.num_tokens - 1) // 32
    options = TrainOptions(max_length=32, batch_rows=8)

    def steps(parameters: int = 10**6, **budget: Any) -> int:
        return make_plan(replace(options, **budget), store, CONFIG, parameters).steps

    assert steps(steps=7) == 7
    assert steps(tokens=10_000) == 10_000 // 256
    assert steps(epochs=0.5) == windows // 8 // 2
    # 20 tokens for each parameter, 4 epochs at most.
    assert steps(parameters=1000) == 20_000 // 256
    assert steps(parameters=10**9) == 4 * (windows // 8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": "2m"}, "there is no size '2m'; known are 1m, 10m"),
        ({"architecture": "rnn"}, "architecture='rnn'"),
        ({"schedule": "linear"}, "schedule='linear'"),
        ({"steps": 1, "tokens": 1}, "steps and tokens are two budgets"),
        ({"batch_rows": 0}, "batch_rows=0 is not above 0"),
        ({"warmup": 1.5}, "warmup=1.5"),
    ],
)
def test_options_that_cannot_be_right_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainOptions(**changes)


def test_a_window_longer_than_model_or_store_is_refused(store: tm.TokenStore) -> None:
    with pytest.raises(ValueError, match="max_length=128 is more than the model's 64"):
        make_plan(TrainOptions(max_length=128), store, CONFIG, 1)
    with pytest.raises(ValueError, match="less than one window"):
        make_plan(TrainOptions(max_length=1 << 30), store, LlamaConfig(max_position_embeddings=1 << 30), 1)
    with pytest.raises(ValueError, match=r"more than the \d+ windows"):
        make_plan(TrainOptions(batch_rows=1 << 30), store, CONFIG, 1)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_models_have_about_the_size_of_their_name(store: tm.TokenStore, architecture: Any) -> None:
    for name, size in SIZES.items():
        config = make_config(TrainOptions(size=name, architecture=architecture), store)
        config.vocab_size = 50_304 if size.hidden >= 768 else config.vocab_size
        with torch.device("meta"):  # shapes without numbers
            model = AutoModelForCausalLM.from_config(config)
        wanted = 1e9 if name == "1b" else float(name.removesuffix("m")) * 1e6
        assert 0.75 * wanted < num_parameters(model) < 1.35 * wanted
        assert flops_per_token(model, size.max_length) > 6 * 0.75 * wanted


def test_a_config_with_too_few_ids_is_refused(store: tm.TokenStore, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "llama", "vocab_size": 100, **TINY}), encoding="utf-8")
    with pytest.raises(ValueError, match="vocab_size=100, and the store's tokenizer has 384 ids"):
        make_config(TrainOptions(config=path), store)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="is no config"):
        make_config(TrainOptions(config=path), store)


# --- text from a model


def test_text_comes_in_whole_characters_and_the_same_for_the_same_seed(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Generator(trained, device="cpu")
    options: dict[str, Any] = {"max_tokens": 40, "temperature": 1.0, "top_p": 0.9}
    text = "".join(made.stream("def ", seed=1, **options))
    assert text == "".join(made.stream("def ", seed=1, **options))
    assert text != "".join(made.stream("def ", seed=2, **options))
    assert text == made.tokenizer.decode(list(made.ids("def ", seed=1, **options)), errors="replace")
    euro = [made.tokenizer.token_to_id(bytes([byte])) for byte in "€".encode()]
    monkeypatch.setattr(Generator, "ids", lambda self, prompt, **options: iter([*euro, *euro[:2]]))
    assert list(made.stream("")) == ["€", "�"]


def test_with_and_without_kept_keys_the_likeliest_tokens_are_the_same(trained: Path) -> None:
    made = Generator(trained, device="cpu")
    found = list(made.ids("import ", max_tokens=20, temperature=0))
    context = made.prompt_ids("import ")
    for number in found:
        with torch.no_grad():
            logits = made.model(input_ids=torch.tensor([context])).logits[0, -1, :384]
        assert float(logits.max() - logits[number]) < 1e-4
        context.append(number)


def test_text_goes_on_beyond_the_window_of_the_model(trained: Path) -> None:
    made = Generator(trained, device="cpu")
    assert made.prompt_ids("x") == made.tokenizer.encode("x")
    assert made.prompt_ids("") == [made.model.config.eos_token_id]
    made.model.config.eos_token_id = None
    made.model.config.bos_token_id = 10
    assert made.prompt_ids("x") == [10, *made.tokenizer.encode("x")]
    assert len(list(made.ids("x" * 90, max_tokens=100))) == 100
    assert len(list(made.ids("", max_tokens=100))) == 100


def test_top_p_leaves_only_the_likeliest() -> None:
    logits = torch.log(torch.tensor([0.1, 0.5, 0.15, 0.25]))
    random = torch.Generator().manual_seed(0)
    assert {choose(logits, 1.0, 0.6, random) for _ in range(200)} == {1, 3}
    assert {choose(logits, 1.0, 0.4, random) for _ in range(50)} == {1}
    assert {choose(logits, 1.0, 1.0, random) for _ in range(400)} == {0, 1, 2, 3}
    assert choose(logits, 0, 1.0, random) == 1


# --- the command line


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.delenv("RANK", raising=False)
    return lambda *args: CliRunner().invoke(main, [str(arg) for arg in args])


def test_train_and_generate_from_a_shell(
    run: Callable[..., Any],
    store: tm.TokenStore,
    options: TrainOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["tokenmill", "train", "a corpus.tm"])
    flags = ["--config", options.config, "--max-length", 32, "--batch-rows", 4, "--device", "cpu"]
    told = run("train", store.path, "-o", tmp_path / "m", *flags, "--steps", 3, "--dry-run", "--json")
    assert told.exit_code == 0, told.stderr
    estimate = json.loads(told.stdout)
    assert (estimate["steps"], estimate["tokens"]) == (3, 3 * 128)
    assert not (tmp_path / "m").exists()
    done = run(
        "train", store.path, "-o", tmp_path / "m", *flags, "--steps", 3, "--eval-tokens", 256, "--json",
        "--log-to", "tensorboard",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["steps"] == 3 and result["validation_loss"] > 0
    assert list((tmp_path / "m" / "tensorboard").iterdir())
    card = (tmp_path / "m" / "README.md").read_text(encoding="utf-8")
    assert "| command | `tokenmill train 'a corpus.tm'` |" in card
    text = run("generate", tmp_path / "m", "--prompt", "def ", "--max-tokens", 5, "--seed", 1, "--json")
    assert text.exit_code == 0, text.stderr
    assert json.loads(text.stdout)["text"]
    again = run("generate", tmp_path / "m", "--prompt", "def ", "--max-tokens", 5, "--seed", 1)
    assert again.stdout == "def " + json.loads(text.stdout)["text"] + "\n"


def test_the_verb_knows_all_sizes_and_loggers() -> None:
    """It names them itself: importing them would import PyTorch for `--help`."""
    assert tuple(SIZES) == cli_train.SIZES
    assert cli_train.LOGGERS == metrics.LOGGERS


def test_what_is_wrong_is_one_line(
    run: Callable[..., Any], store: tm.TokenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = run("train", store.path, "-o", tmp_path / "m", "--steps", 1, "--epochs", 1)
    assert (wrong.exit_code, wrong.stderr) == (
        2,
        "error: steps and epochs are two budgets; give one of them\n",
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    no_gpu = run("train", store.path, "-o", tmp_path / "m", "--steps", 1, "--device", "cuda")
    assert (no_gpu.exit_code, "device='cuda': PyTorch" in no_gpu.stderr) == (2, True)
    assert not (tmp_path / "m").exists()
    missing = run("generate", tmp_path)
    assert (missing.exit_code, "this is no model" in missing.stderr) == (1, True)
