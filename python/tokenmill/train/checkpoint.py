"""Checkpoints: weights, optimizer and the position in the data, in a folder that is whole or not there.

    checkpoints/step-00000200/
        model.safetensors
        optimizer.safetensors    the moments of each parameter, by its name
        state.json               step, loader state, plan

A folder is written under another name, each file synced, and then renamed: a kill leaves the last checkpoint.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from tokenmill.train.options import Plan

VERSION = 1
FOLDER = "checkpoints"
NAME = re.compile(r"step-(\d{8})")


def save(
    out: Path,
    step: int,
    *,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loader: Mapping[str, Any],
    plan: Plan,
    keep: int,
) -> Path:
    """Writes the checkpoint of a step, and removes those older than the last `keep`.

    One that is there already is of the same plan, or the run had been refused, and so the same: it stays.
    """
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"step-{step:08}"
    if target.exists():
        return target
    partial = folder / f".{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    save_file(weights(model), partial / "model.safetensors")
    save_file(moments(model, optimizer), partial / "optimizer.safetensors")
    state = {"version": VERSION, "step": step, "loader": dict(loader), "plan": asdict(plan)}
    (partial / "state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")
    mode = (partial / "state.json").stat().st_mode
    for path in partial.iterdir():
        path.chmod(mode)  # safetensors makes files that their owner alone may read
        sync(path)
    sync(partial)
    partial.rename(target)
    sync(folder)
    for old in checkpoints(out)[:-keep]:
        shutil.rmtree(old)
    return target


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def checkpoints(out: Path) -> list[Path]:
    """The whole checkpoints of a run, oldest first."""
    folder = out / FOLDER
    return sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name)) if folder.is_dir() else []


def load(
    folder: Path, *, model: torch.nn.Module, optimizer: torch.optim.Optimizer, plan: Plan
) -> tuple[int, dict[str, Any]]:
    """Goes back to a checkpoint; its step and loader state.

    Raises ValueError for one of another plan, saying what differs, or a damaged one.
    """
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        if state["version"] != VERSION:
            raise ValueError(f"{folder} has version {state['version']}, this tokenmill reads {VERSION}")
        if differences := plan.differences(state["plan"]):
            raise ValueError(f"{folder} is of another run: {'; '.join(differences)}")
        step, loader = int(state["step"]), dict(state["loader"])
        device = next(model.parameters()).device
        named = load_file(folder / "model.safetensors", device=str(device))
        restored = load_file(folder / "optimizer.safetensors", device=str(device))
    except (OSError, KeyError, json.JSONDecodeError, SafetensorError) as error:
        raise ValueError(
            f"{folder} is damaged ({error}); remove it, and the one before it is continued"
        ) from None
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(named[name])
    for name, parameter in parameters.items():
        prefix = name + "/"
        optimizer.state[parameter] = {
            key.removeprefix(prefix): value for key, value in restored.items() if key.startswith(prefix)
        }
    return step, loader


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters by name, shared ones once."""
    return {name: parameter.detach().contiguous() for name, parameter in model.named_parameters()}


def moments(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """What the optimizer remembers of each parameter."""
    return {
        f"{name}/{key}": value.detach().contiguous()
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state[parameter].items()
    }
