"""Runs contenders in processes of their own and compares them: what the files of this folder share.

A benchmark is a `Benchmark`: cases, each a table of contenders that do the same work, the first of them ours.
A contender is a function `load(folder, options)` that does all that is not measured (imports, vocabularies,
texts) and returns the `Section` that is.

- Every run is a fresh process: no cache, allocator or thread pool is warm.
- The contenders take turns (A B C A B C), so that a machine that slows down slows all of them.
- What a run made is hashed, and a time counts only if the hash is the one of the first contender.
- Medians of N runs; the spread is shown.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from _environments import Unavailable, python_of

PEERS = ("tokenmill", "numpy", "tiktoken", "tokenizers", "rustbpe")
SETUP = "setup"


@dataclass(frozen=True, kw_only=True)
class Section:
    """What is measured, and how its result is checked."""

    run: Callable[[], Any]
    #: name → hash of (a part of) what `run` returned. Compared are the names shared with the first contender.
    digests: Callable[[Any], dict[str, str]]
    #: How much `run` works through, in the benchmark's unit.
    amount: float


Load = Callable[[Path, argparse.Namespace], Section]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One claim."""

    description: str | None
    #: Of the speed: "MB/s".
    unit: str
    #: Title → contenders, by the options.
    cases: Callable[[argparse.Namespace], Mapping[str, Mapping[str, Load]]]
    #: Writes what the contenders read into the folder; what it returns is printed and goes into the JSON.
    setup: Callable[[Path, argparse.Namespace], dict[str, Any]]
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    #: Contender → packages of an environment of its own. Others run in the one that runs this.
    requirements: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One process of one contender."""

    load_seconds: float
    seconds: float
    #: Of all threads. In a section of one thread it is less than `seconds` by what others took away.
    cpu_seconds: float
    amount: float
    #: Resident memory when the measured section began, and the highest until it ended, loading included.
    loaded_mb: float
    peak_mb: float
    digests: dict[str, str]

    @property
    def speed(self) -> float:
        return self.amount / self.seconds


def main(benchmark: Benchmark) -> None:
    """The command line of a benchmark; also the entry of its worker processes."""
    options = _parse(benchmark)
    if options.worker:
        _work(benchmark, options)
        return
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        input_ = _spawn(benchmark, Path(folder), SETUP, "")
        report: dict[str, Any] = {"machine": machine(), "input": input_, "runs": options.runs, "cases": {}}
        print(f"{one_line(report['machine'])}\ninput: {one_line(input_)}\nmedians of {options.runs} runs")
        for title, contenders in benchmark.cases(options).items():
            runs = _compare(benchmark, Path(folder), title, list(contenders), options.runs)
            print(f"\n### {title}\n\n{table(runs, benchmark.unit)}", flush=True)
            report["cases"][title] = {name: _summary(runs[name]) for name in runs}
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _parse(benchmark: Benchmark) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=benchmark.description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="processes per contender (3)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every run to this file")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    benchmark.add_arguments(parser)
    return parser.parse_args()


def _compare(
    benchmark: Benchmark, folder: Path, title: str, names: Sequence[str], count: int
) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {}
    for name in names:
        try:
            _python(benchmark, name)
            runs[name] = []
        except Unavailable as error:
            print(f"\n{name}: {error}", flush=True)
    wanted: dict[str, str] = {}
    for _ in range(count):
        for name in runs:
            run = Run(**_spawn(benchmark, folder, title, name))
            wanted = wanted or run.digests
            problem = _difference(wanted, run.digests)
            if problem:
                raise SystemExit(f"{title}: {name} and {names[0]} {problem}; the times say nothing")
            runs[name].append(run)
    return runs


def _difference(wanted: Mapping[str, str], digests: Mapping[str, str]) -> str:
    shared = wanted.keys() & digests.keys()
    different = [what for what in shared if wanted[what] != digests[what]]
    if different:
        return f"differ in {' and '.join(different)}"
    return "" if shared else "made nothing that could be compared"


def _spawn(benchmark: Benchmark, folder: Path, title: str, name: str) -> dict[str, Any]:
    """Runs this script again as a worker, and reads the result that it leaves in the folder."""
    command = [_python(benchmark, name), *sys.argv, "--worker", str(folder), title, name]
    variables = os.environ | {"TOKENIZERS_PARALLELISM": "true"}
    if subprocess.run(command, env=variables, check=False).returncode:
        raise SystemExit(f"{title} {name}: the process failed; its message is above")
    result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return result


def _python(benchmark: Benchmark, name: str) -> str:
    """The interpreter of a contender; raises Unavailable where its packages cannot be installed."""
    environment = "".join(char if char.isalnum() else "-" for char in name)
    return python_of(environment, benchmark.requirements.get(name, ()))


def _work(benchmark: Benchmark, options: argparse.Namespace) -> None:
    folder, title, name = Path(options.worker[0]), options.worker[1], options.worker[2]
    if title == SETUP:
        result = benchmark.setup(folder, options)
    else:
        result = vars(_measure(benchmark.cases(options)[title][name], folder, options))
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def _measure(load: Load, folder: Path, options: argparse.Namespace) -> Run:
    started = time.perf_counter()
    section = load(folder, options)
    load_seconds = time.perf_counter() - started
    gc.collect()
    loaded_mb = resident_mb()
    cpu_started, started = time.process_time(), time.perf_counter()
    result = section.run()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    highest_mb = peak_mb()
    return Run(
        load_seconds=load_seconds,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        amount=section.amount,
        loaded_mb=loaded_mb,
        peak_mb=highest_mb,
        digests=section.digests(result),
    )


def peak_mb() -> float:
    """Highest resident memory so far.

    Where the system does not tell that of this program (Linux does), it is getrusage's, which may be what
    the parent had when it started this process: therefore the parent loads nothing, and the setup has a
    process of its own.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def resident_mb() -> float:
    """Resident memory now; the peak where the system does not say."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return peak_mb()
    return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def table(runs: Mapping[str, Sequence[Run]], unit: str) -> str:
    """Markdown that is aligned too. "ours is" says how many times as fast the first contender is."""
    header = ["", unit, "min – max", "ours is", "seconds", "CPU s", "loading s", "loaded MB", "peak MB"]
    ours = median(run.speed for run in next(iter(runs.values())))
    rows = [header]
    for name, group in runs.items():
        speeds = [run.speed for run in group]
        rows.append(
            [
                name,
                digits(median(speeds)),
                f"{digits(min(speeds))} – {digits(max(speeds))}",
                f"{ours / median(speeds):.2f} ×",
                f"{median(run.seconds for run in group):.3f}",
                f"{median(run.cpu_seconds for run in group):.3f}",
                f"{median(run.load_seconds for run in group):.2f}",
                f"{median(run.loaded_mb for run in group):.0f}",
                f"{median(run.peak_mb for run in group):.0f}",
            ]
        )
    return aligned(rows)


def worker(python: str, script: Path, *arguments: str) -> dict[str, Any]:
    """What a script that runs one contender prints as JSON in its last line, in a process of its own."""
    done = subprocess.run([python, str(script), *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{arguments[0]}: the process failed; its message is above")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def times(
    results: Mapping[str, Sequence[Mapping[str, Any]]], megabytes: float, ours: Callable[[str], str]
) -> list[list[str]]:
    """Medians of what workers print, below a header. `ours` names whose time a contender's is divided by."""
    middle = {name: median(one["seconds"] for one in group) for name, group in results.items()}
    rows = [["", "seconds", "min – max", "MB/s", "time / ours", "CPU s", "peak MB"]]
    for name, group in results.items():
        seconds = [one["seconds"] for one in group]
        rows.append(
            [
                name,
                f"{middle[name]:.2f}",
                f"{min(seconds):.2f} – {max(seconds):.2f}",
                f"{megabytes / middle[name]:.0f}",
                f"{middle[name] / middle[ours(name)]:.2f} ×",
                f"{median(one['cpu_seconds'] for one in group):.2f}",
                f"{median(one['peak_mb'] for one in group):.0f}",
            ]
        )
    return rows


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first row its header, that reads well as it stands. Numbers are on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        f"| {row[0]:<{widths[0]}} | "
        + " | ".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        + " |"
        for row in (rows[0], rule, *rows[1:])
    )


def digits(speed: float) -> str:
    """Three digits that mean something."""
    return f"{speed:,.0f}" if speed >= 100 else f"{speed:.1f}" if speed >= 10 else f"{speed:.2f}"


def _summary(group: Sequence[Run]) -> dict[str, Any]:
    return {"median_speed": median(run.speed for run in group), "runs": [vars(run) for run in group]}


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        model = next(names, model)
    versions = {}
    for name in PEERS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), **versions}


def one_line(values: Mapping[str, Any]) -> str:
    """Keys and values."""
    return ", ".join(f"{key} {value}" for key, value in values.items())
