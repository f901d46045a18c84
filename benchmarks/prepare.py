"""From a file of texts to a token store on disk, against peers that keep the ids in memory.

    python benchmarks/prepare.py [--texts NAME=FILE ...] [--vocabularies NAME ...] [--forms FORM ...]

Each run is a process of its own; contenders take turns. Ours reads a file, encodes with all threads, ends
each document with <|endoftext|>, and writes ids, document ends, origins and hashes to disk, synced; the
second row reads all of it again to verify it. gigatoken encodes the same file with all threads into arrays in
memory; tiktoken's texts are read before its time begins. Loading the vocabulary is no part of a time. It
counts only if the ids of every document are the same.

A text is JSON Lines or plain text, also .zst; without --texts: Python's standard library. It is written anew
as plain text (a document a line, line breaks as spaces), as JSON Lines, as JSON Lines in zstd, and as it is,
each line of it a document (without empty ones, which gigatoken leaves out).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _inputs
from _environments import Unavailable, python_of
from _harness import aligned, machine, one_line, times, worker
from train import documents

WORKER = Path(__file__).resolve().parent / "_prepare_worker.py"
FORMS = ("txt", "jsonl", "jsonl.zst", "lines.txt")
OURS, VERIFIED = "tokenmill", "tokenmill, then verify"
#: Which peers read which forms.
PEERS: dict[str, tuple[list[str], Sequence[str]]] = {
    "gigatoken": (["gigatoken==0.10.0", "numpy>=2"], ("txt", "jsonl", "lines.txt")),
    "tiktoken": ([], ("jsonl",)),
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", nargs="+", metavar="NAME=FILE", default=[], help="what to prepare")
    parser.add_argument("--megabytes", type=float, metavar="MB", help="take this much of each text (all)")
    parser.add_argument("--vocabularies", nargs="+", default=_inputs.VOCABULARIES, metavar="NAME")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS)
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS), metavar="PEER")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="runs of each (3)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every run to this file")
    return parser.parse_args()


def write_forms(file: str | None, folder: Path, megabytes: float | None, forms: Sequence[str]) -> float:
    """Writes the forms; the size of the text in millions of bytes."""
    import zstandard

    size = 0
    with (
        (folder / "text.txt").open("w", encoding="utf-8", newline="\n") as plain,
        (folder / "text.jsonl").open("w", encoding="utf-8", newline="\n") as lines,
        (folder / "text.lines.txt").open("w", encoding="utf-8", newline="\n") as short,
    ):
        for text in documents(file):
            if megabytes is not None and size >= megabytes * 1e6:
                break
            line = " ".join(text.splitlines()).strip() or "-"
            size += len(line.encode()) + 1
            plain.write(line + "\n")
            lines.write(json.dumps({"text": line}, ensure_ascii=False) + "\n")
            short.writelines(part + "\n" for part in text.splitlines() if part)
    if "jsonl.zst" in forms:
        with (folder / "text.jsonl").open("rb") as source, (folder / "text.jsonl.zst").open("wb") as packed:
            zstandard.ZstdCompressor().copy_stream(source, packed)
    return size / 1e6


def compare(
    pythons: dict[str, str], folder: Path, form: str, vocabulary: str, runs: int
) -> dict[str, list[dict[str, Any]]]:
    """All contenders that read a form in turn, several times."""
    names = [name for name in pythons if name not in PEERS or form in PEERS[name][1]]
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(runs):
        for name in names:
            results[name].append(worker(pythons[name], WORKER, name, str(folder), form, vocabulary))
    if len(digests := {one["digest"] for group in results.values() for one in group}) > 1:
        raise SystemExit(f"the ids differ ({', '.join(sorted(digests))}); the times say nothing")
    return results


def main() -> None:
    options = parse()
    texts = dict(entry.split("=", 1) for entry in options.texts) or {"Python's standard library": None}
    pythons = {OURS: sys.executable, VERIFIED: sys.executable}
    for peer in options.peers:
        try:
            pythons[peer] = python_of(f"prepare-{peer}", PEERS[peer][0])
        except Unavailable as error:
            print(f"{peer}: {error}", file=sys.stderr)
    report: dict[str, Any] = {"machine": machine(), "runs": options.runs, "cases": []}
    print(f"{one_line(report['machine'])}\nmedians of {options.runs} runs")
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as name:
        folder = Path(name)
        _inputs.write_vocabularies(folder, options.vocabularies)
        for text, file in texts.items():
            megabytes = write_forms(file, folder, options.megabytes, options.forms)
            for vocabulary in options.vocabularies:
                for form in options.forms:
                    results = compare(pythons, folder, form, vocabulary, options.runs)
                    title = f"### {text}, {megabytes:,.1f} MB, {form}, {vocabulary}"
                    print(f"\n{title}\n\n{aligned(times(results, megabytes, lambda name: OURS))}", flush=True)
                    case = {"text": text, "megabytes": megabytes, "form": form, "vocabulary": vocabulary}
                    report["cases"].append({**case, "results": results})
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
