"""Data-parallel training: each process takes its part of the same global batches.

    torchrun --nproc-per-node 2 examples/loaders/torchrun_ddp.py corpus.tm state.json

Run again, with any number of processes, it goes on where it stopped: the state is one number.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

# Before there is a process group: its functions keep the one they find, and DistributedDataParallel imports
# them later. Then gloo's threads outlive destroy_process_group, and may abort a Python that is just ending.
import torch.distributed.nn
from torch.nn.parallel import DistributedDataParallel

import tokenmill as tm
from tokenmill.torch import TorchLoader

GLOBAL_BATCH = 8


def main(path: Path, state: Path, steps: int = 5) -> None:
    """Takes some steps, and saves where it is."""
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    store = tm.TokenStore.open(path)
    loader = TorchLoader(
        tm.DataLoader(
            store, max_length=16, batch_size=GLOBAL_BATCH // world, rank=rank, world_size=world, epochs=None
        )
    )
    saved = json.loads(state.read_text()) if state.exists() else {"windows": []}
    if "loader" in saved:
        loader.load_state_dict(saved["loader"])
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Embedding(store.vocab_size, 32), torch.nn.Linear(32, store.vocab_size)
    )
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(parallel.parameters(), 1e-2)
    for _, batch in zip(range(steps), loader, strict=False):
        logits = parallel(batch.input_ids)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.labels.flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        parts: list[list[int]] = [[] for _ in range(world)]
        dist.all_gather_object(parts, batch.windows.tolist())
        saved["windows"].append([window for part in parts for window in part])
    if rank == 0:
        state.write_text(json.dumps({"loader": loader.state_dict(), "windows": saved["windows"]}))
        print(f"{len(saved['windows'])} steps, {world} processes, loss {loss.item():.3f}")
    dist.barrier()  # nobody leaves while another still talks to it
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
