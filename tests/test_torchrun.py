"""Two processes started by torchrun share each global batch, and go on as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tokenmill.loader import DataLoader

SCRIPT = """
import json, os, sys
import numpy as np, torch, torch.distributed as dist
import tokenmill as tm
from tokenmill.torch import TorchLoader

dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
loader = TorchLoader(tm.DataLoader(np.arange(999), max_length=4, batch_size=5, rank=rank, world_size=world))
torch.manual_seed(0)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Embedding(999, 8))
seen = []
for batch in loader:
    model(batch.input_ids).sum().backward()
    rows = [torch.empty_like(batch.input_ids) for _ in range(world)]
    dist.all_gather(rows, batch.input_ids)
    seen.append(torch.cat(rows).tolist())
    if len(seen) == 7:
        break
if rank == 0:
    with open(sys.argv[1], "w") as file:
        json.dump({"seen": seen, "state": loader.state_dict()}, file)
dist.destroy_process_group()
"""


def test_two_processes_see_together_what_one_sees_alone(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    result = subprocess.run(
        [*torchrun, str(tmp_path / "train.py"), str(tmp_path / "out.json")],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    out = json.loads((tmp_path / "out.json").read_text())
    alone = DataLoader(np.arange(999), max_length=4, batch_size=10)
    whole = [batch.input_ids.tolist() for batch in alone]
    assert out["seen"] == whole[:7]
    alone = DataLoader(np.arange(999), max_length=4, batch_size=10)
    alone.load_state_dict(out["state"])
    assert [batch.input_ids.tolist() for batch in alone] == whole[7:]
