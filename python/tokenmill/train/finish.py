"""The folder that a run leaves: a model as transformers reads it, a card, a plot of the loss."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenmill.report.page import svg
from tokenmill.train.checkpoint import sync
from tokenmill.train.model import no_progress_bars

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from transformers import PreTrainedModel

    from tokenmill.store import TokenStore


def write_model(
    out: Path,
    model: PreTrainedModel,
    store: TokenStore,
    *,
    facts: Mapping[str, Any],
    lines: Sequence[Mapping[str, Any]],
) -> None:
    """Writes all files into a folder beside, and then each to its place."""
    with tempfile.TemporaryDirectory(dir=out, prefix=".model-") as folder:
        partial = Path(folder)
        with no_progress_bars():
            model.save_pretrained(partial)
        write_tokenizer(partial, store, model)
        plot = figure(lines)
        plot.savefig(partial / "loss.png", dpi=150, metadata={"Software": None})
        (partial / "loss.html").write_text(page(plot), encoding="utf-8")
        (partial / "README.md").write_text(card(facts), encoding="utf-8")
        mode = (partial / "README.md").stat().st_mode
        for path in sorted(partial.iterdir()):
            path.chmod(mode)  # safetensors makes files that their owner alone may read
            sync(path)
            path.replace(out / path.name)
    sync(out)


def write_tokenizer(folder: Path, store: TokenStore, model: PreTrainedModel) -> None:
    """tokenizer.json as it is in the store, and what transformers wants to know besides."""
    shutil.copyfile(store.path / "tokenizer.json", folder / "tokenizer.json")
    spelled = store.tokenizer.id_to_token
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": getattr(model.config, "max_position_embeddings", None),
        "clean_up_tokenization_spaces": False,
        **{
            f"{name}_token": (spelled(number) or b"").decode(errors="replace")
            for name in ("bos", "eos", "pad")
            if (number := getattr(model.config, f"{name}_token_id")) is not None
        },
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")


def card(facts: Mapping[str, Any]) -> str:
    """A model card: what was trained, on what, how, and what came of it."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return (
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags: [tokenmill]\n---\n\n"
        f"# {facts['model']}\n\n"
        "A causal language model, trained by tokenmill from the token store below.\n\n"
        f"| | |\n|---|---|\n{rows}\n\n"
        "![loss](loss.png)\n\n"
        "```python\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'model = AutoModelForCausalLM.from_pretrained(".")\n'
        'tokenizer = AutoTokenizer.from_pretrained(".")\n'
        "```\n"
    )


def figure(lines: Sequence[Mapping[str, Any]]) -> Figure:
    """The loss by tokens, in training and on the validation split."""
    from matplotlib.figure import Figure

    plot = Figure(figsize=(8, 4.5), layout="constrained")
    axes = plot.subplots()
    for key, label, marker in (("loss", "training", None), ("validation_loss", "validation", "o")):
        points = [(line["tokens"], line[key]) for line in lines if key in line]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, marker=marker, linewidth=1)
    unigram = next((line["unigram_loss"] for line in lines if "unigram_loss" in line), None)
    if unigram is not None:
        axes.axhline(unigram, color="gray", linestyle="--", label="unigram entropy")
    axes.set(xlabel="tokens", ylabel="nats per token", title="Loss")
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    return plot


def page(plot: Figure) -> str:
    """The plot as a page of its own."""
    return f"<!doctype html>\n<meta charset=utf-8>\n<title>Loss</title>\n{svg(plot)}\n"
