"""The processes of one run: one, or those that torchrun has started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Group:
    """This process among those of the run."""

    rank: int
    size: int
    device: torch.device
    #: Whether torchrun has started it; it may have started only one.
    launched: bool = False

    @property
    def is_first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in each of them."""
        if self.launched:
            dist.all_reduce(values)
        return values

    def wait(self) -> None:
        """Until all have come here."""
        if self.launched:
            dist.barrier()


@contextmanager
def group(device: str | None) -> Iterator[Group]:
    """The group of this process; torchrun says which by WORLD_SIZE, RANK and LOCAL_RANK."""
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(kind)
    if chosen.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(f"device={device!r}: PyTorch {torch.__version__} finds no GPU here")
        if chosen.index is None:
            chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    if "WORLD_SIZE" not in os.environ:
        yield Group(0, 1, chosen)
        return
    if chosen.type == "cuda":
        dist.init_process_group("nccl", device_id=chosen)
    else:
        dist.init_process_group("gloo")
    try:
        yield Group(dist.get_rank(), dist.get_world_size(), chosen, launched=True)
    finally:
        dist.destroy_process_group()
