"""Training BPE against every trainer there is: the same file, the same pattern, the same merges.

    python benchmarks/train.py [--texts NAME=FILE ...] [--vocab-sizes V ...] [--peers NAME ...] [--runs N]

Each run is a process of its own, in the contender's own environment; contenders take turns. A time counts
only if the tokens learned are those of the contender that has the same rule: gigabpe and tokenizers learn
what compat="hf" does, rustbpe what compat="gpt" does (the two differ in ties only). minibperust breaks ties
by first occurrence and sentencepiece has another rule: they are timed, and not compared.

A text is a file of JSON Lines (also .zst) or plain text. It is written anew with a document a line, line
breaks as spaces: some trainers take a line as a document, some the whole file. Without --texts: Python's
standard library.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from _environments import Unavailable, python_of
from _harness import aligned, machine, one_line, times, worker
from _inputs import standard_library

WORKER = Path(__file__).resolve().parent / "_train_worker.py"
OURS = "tokenmill"
OURS_GPT = 'tokenmill, compat="gpt"'
#: What each needs besides Python, and whose merges it must learn.
PEERS: dict[str, tuple[list[str], str | None]] = {
    "gigabpe": (["gigabpe==0.1.0"], OURS),
    "tokenizers": (["tokenizers>=0.23"], OURS),
    "rustbpe": (["rustbpe==0.1.0"], OURS_GPT),
    "minibperust": (["minibperust==0.1.0"], None),
    "sentencepiece": (["sentencepiece==0.2.3"], None),
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", nargs="+", metavar="NAME=FILE", default=[], help="what to train on")
    parser.add_argument("--megabytes", type=float, metavar="MB", help="take this much of each text (all)")
    parser.add_argument("--vocab-sizes", nargs="+", type=int, default=[32_000, 50_000], metavar="V")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS), metavar="PEER")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="runs of each (3)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every run to this file")
    return parser.parse_args()


def documents(file: str | None) -> Iterator[str]:
    """The texts of a file; of Python's standard library where there is none."""
    import tokenmill as tm

    if file is None:
        yield from standard_library()
    else:
        for document in tm.Documents.from_files(file):
            yield document.text


def write_lines(file: str | None, path: Path, megabytes: float | None) -> float:
    """Writes a document a line; its size in millions of bytes."""
    size = 0
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for text in documents(file):
            if megabytes is not None and size >= megabytes * 1e6:
                break
            line = " ".join(text.splitlines()).strip()
            size += len(line.encode()) + 1
            out.write(line + "\n")
    return size / 1e6


def interpreters(peers: Sequence[str]) -> dict[str, str]:
    """The Python of each contender; peers that cannot be installed are named and left out."""
    found = {OURS: sys.executable}
    for peer in peers:
        try:
            found[peer] = python_of(f"train-{peer}", PEERS[peer][0])
        except Unavailable as error:
            print(f"{peer}: {error}", file=sys.stderr)
    if "rustbpe" in found:
        found[OURS_GPT] = sys.executable
    return found


def compare(
    pythons: dict[str, str], path: Path, vocab_size: int, runs: int
) -> dict[str, list[dict[str, Any]]]:
    """All contenders in turn, several times."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in pythons}
    for _ in range(runs):
        for name, python in pythons.items():
            results[name].append(worker(python, WORKER, name, str(path), str(vocab_size)))
    for name, group in results.items():
        like = PEERS[name][1] if name in PEERS else name
        if like is not None and {one["digest"] for one in group} != {results[like][0]["digest"]}:
            raise SystemExit(f"{name} learned other tokens than {like}; the times say nothing")
    return results


def table(results: dict[str, list[dict[str, Any]]], megabytes: float) -> str:
    """Medians, and how many times as long a contender takes as we do by its rule."""
    like = {name: PEERS[name][1] if name in PEERS else None for name in results}
    header, *rows = times(results, megabytes, lambda name: like[name] or OURS)
    named = [like[name] or ("" if name in (OURS, OURS_GPT) else "not compared") for name in results]
    return aligned(
        [[*header, "same tokens as"], *([*row, same] for row, same in zip(rows, named, strict=True))]
    )


def stages(results: dict[str, list[dict[str, Any]]]) -> str:
    """Where our time goes."""
    ours = results[OURS]
    shares = {stage: median(one["stages"][stage] for one in ours) for stage in ours[0]["stages"]}
    return ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in shares.items())


def main() -> None:
    options = parse()
    texts = dict(entry.split("=", 1) for entry in options.texts) or {"Python's standard library": None}
    pythons = interpreters(options.peers)
    report: dict[str, Any] = {"machine": machine(), "runs": options.runs, "cases": []}
    print(f"{one_line(report['machine'])}\nmedians of {options.runs} runs")
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        for name, file in texts.items():
            path = Path(folder) / "text.txt"
            megabytes = write_lines(file, path, options.megabytes)
            for vocab_size in options.vocab_sizes:
                results = compare(pythons, path, vocab_size, options.runs)
                print(
                    f"\n### {name}, {megabytes:,.1f} MB, {vocab_size:,} tokens\n\n{table(results, megabytes)}"
                )
                print(f"\nof ours: {stages(results)}", flush=True)
                case = {"text": name, "megabytes": megabytes, "vocab_size": vocab_size, "results": results}
                report["cases"].append(case)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
