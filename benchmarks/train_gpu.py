"""Training on one GPU: how fast, how near to what the device can do, and whether it ever waits for data.

    python benchmarks/train_gpu.py corpus.tm [--size 124m ...] [--steps N] [--json OUT]     (make bench-gpu)

Claims: batches come faster than any model takes them, attention within documents costs nothing beside plain
attention, and steps reach a share of the device's peak (MFU, as Chowdhery et al. 2022 count: attention as if
nothing were masked). Shown is also what the way of a batch to the device adds to a step that reads a number
at its end. Each part is a process of its own. The first step of a run is told apart: it compiles. Checkpoints
and evaluations are left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

#: How documents that share a row are kept apart: by the kernel for documents, by masks, or not at all.
ATTENTION = ("documents", "masks", "none")


def batches_a_second(batches: Iterator[Any], use: Callable[[Any], object], *, least: float = 1.0) -> float:
    """After ten to warm up, for about a second."""
    import torch

    for _ in range(10):
        use(next(batches))
    torch.cuda.synchronize()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < least:
        for _ in range(10):
            use(next(batches))
        count += 10
        torch.cuda.synchronize()
    return count / (time.perf_counter() - began)


def measure_loader(store: Path, rows: int, length: int) -> Iterator[dict[str, Any]]:
    """Tokens that reach the device in a second, and what they add to a step that computes for 10 ms."""
    import torch

    import tokenmill as tm
    from tokenmill.torch import TorchLoader

    device = torch.device("cuda")
    factor = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)

    def compute(batch: Any) -> None:
        for _ in range(6):
            torch.mm(factor, factor)
        factor[0, 0].item()  # as a loop does that reads its loss: the device waits for what comes next

    def loader(dtype: str, **more: Any) -> tm.DataLoader:
        options: dict[str, Any] = {"max_length": length, "batch_size": rows, "epochs": None, **more}
        return tm.DataLoader(tm.TokenStore.open(store), dtype=dtype, **options)

    def plain(dtype: str) -> Iterator[Any]:
        for batch in loader(dtype):
            yield tuple(torch.from_numpy(ids).to(device) for ids in (batch.input_ids, batch.labels))

    batch = None
    alone = batches_a_second(iter(lambda: batch, 0), compute)
    for dtype in ("int64", "int32"):
        ways: dict[str, Callable[[], Iterator[Any]]] = {
            "pinned, a thread": lambda dtype=dtype: iter(TorchLoader(loader(dtype), device=device)),
            "pinned, no thread": lambda dtype=dtype: iter(
                TorchLoader(loader(dtype), device=device, prefetch=0)
            ),
            "pageable, no thread": lambda dtype=dtype: plain(dtype),
            "pinned, a thread, documents": lambda dtype=dtype: iter(
                TorchLoader(loader(dtype, document_mask=True), device=device)
            ),
        }
        for name, way in ways.items():
            rate = batches_a_second(way(), lambda batch: None)
            beside = batches_a_second(way(), compute)
            yield {
                "part": "loader",
                "dtype": dtype,
                "way": name,
                "rows": rows,
                "tokens_per_second": rate * rows * length,
                "step_ms": 1000 / alone,
                "more_ms_with_batches": 1000 / beside - 1000 / alone,
            }


def measure_steps(store: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Steps on real batches."""
    import torch

    import tokenmill as tm
    from tokenmill.torch import TorchLoader
    from tokenmill.train import TrainOptions, attention
    from tokenmill.train.distributed import group
    from tokenmill.train.loop import Run, Watch
    from tokenmill.train.model import flops_per_token, no_advice

    if options.attention == "masks":
        attention.implementation = lambda *others: "sdpa"  # type: ignore[assignment]
    chosen = TrainOptions(
        size=options.size[0],
        steps=options.steps,
        document_mask=options.attention != "none",
        device=options.device,
    )
    if options.batch_rows:
        chosen = replace(chosen, batch_rows=options.batch_rows)
    if options.micro_rows:
        chosen = replace(chosen, micro_rows=options.micro_rows)
    with group(options.device) as processes, no_advice():
        run = Run(tm.TokenStore.open(store), Path("unused"), chosen, processes)
        module, batches = run.wrapped(), iter(TorchLoader(run.loader, device=processes.device))
        watch = Watch(flops_per_token(run.model, run.plan.max_length), run.plan, processes)
        steps = []
        for step in range(options.steps):
            watch.start()
            batch = next(batches)
            watch.got_batch()
            learned = run.step(module, batch, step)
            steps.append(learned | watch.stop())
            if options.profile and step == 2:
                profile(run, module, next(batches), options.profile)
        late = steps[len(steps) // 3 :]
        rate = median(line["tokens_per_second"] for line in late)
        return {
            "part": "steps",
            "device": torch.cuda.get_device_name() if processes.device.type == "cuda" else "cpu",
            "torch": torch.__version__,
            "size": options.size[0],
            "parameters": run.plan.parameters,
            "attention": options.attention,
            "tokens_per_step": run.plan.tokens_per_step,
            "micro_rows": run.micro_rows,
            "steps": options.steps,
            "first_step_seconds": steps[0]["seconds"],
            "tokens_per_second": rate,
            "mfu": watch.mfu(rate),
            "data_share": sum(line["data_share"] * line["seconds"] for line in late)
            / sum(line["seconds"] for line in late),
            "peak_gb": steps[-1].get("peak_memory_bytes", 0) / 1e9,
            "losses": [round(line["loss"], 4) for line in steps],
            "step_seconds": [round(line["seconds"], 4) for line in steps],
        }


def profile(run: Any, module: Any, batch: Any, path: Path) -> None:
    """Which kernels a step takes its time for."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    with profiler(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as found:
        run.step(module, batch, 0)
    table = found.key_averages().table(sort_by="self_cuda_time_total", row_limit=40, max_name_column_width=90)
    path.write_text(table, encoding="utf-8")


def in_processes(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """All parts, each in a process of its own."""
    common = [sys.executable, __file__, str(options.store), "--steps", str(options.steps)]
    parts = [["--part", "loader"]]
    for size in options.size:
        parts += [["--part", "steps", "--size", size, "--attention", name] for name in ATTENTION]
    for part in parts:
        done = subprocess.run([*common, *part], check=True, stdout=subprocess.PIPE, text=True)
        for line in done.stdout.splitlines():
            yield json.loads(line)


def show(line: dict[str, Any]) -> str:
    if line["part"] == "loader":
        return (
            f"{line['way']:28} {line['dtype']}  {line['tokens_per_second'] / 1e6:8,.0f} M tokens/s   "
            f"a step of {line['step_ms']:.1f} ms takes {line['more_ms_with_batches']:+.2f} ms"
        )
    return (
        f"{line['size']:5} {line['attention']:10} {line['tokens_per_second']:10,.0f} tokens/s   "
        f"MFU {100 * (line['mfu'] or 0):.1f} %   waits {100 * line['data_share']:.2f} %   "
        f"{line['peak_gb']:.1f} GB   first step {line['first_step_seconds']:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("store", type=Path, help="a token store of GPT-2's size or so")
    parser.add_argument("--size", nargs="+", default=["124m"])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch-rows", type=int, help="default: of the size")
    parser.add_argument("--micro-rows", type=int, help="default: what fits")
    parser.add_argument("--json", type=Path, help="a line of JSON for each result")
    parser.add_argument("--part", choices=["loader", "steps"], help="only that, as JSON, in this process")
    parser.add_argument("--attention", choices=ATTENTION, default="documents")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--profile", type=Path, help="with --part steps: the kernels of a step, as a table")
    options = parser.parse_args()
    if options.part == "loader":
        lines: Iterator[dict[str, Any]] = measure_loader(options.store, 32, 1024)
    elif options.part == "steps":
        lines = iter([measure_steps(options.store, options)])
    else:
        lines = in_processes(options)
    for line in lines:
        print(json.dumps(line) if options.part else show(line), flush=True)
        if options.json:
            with options.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
