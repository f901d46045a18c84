"""Encoding against every fast encoder that we know of: the same texts, the same vocabulary, the same ids.

    python benchmarks/encode.py [--quick] [--json OUT] [--readme]
    python benchmarks/encode.py --data english=en.jsonl.zst code=linux.jsonl.zst --kinds english code
    python benchmarks/encode.py --kinds code --vocabularies gpt2 --modes file batch:1 --peers gigatoken

- Each contender has a virtual environment of its own (made on first use, in .bench/envs; nothing else is
  downloaded), and each run is a fresh process. They take turns: A B C A B C.
- Two speeds: the first pass over text that the process has not seen, which is what a corpus costs, and
  "again", the same texts a second time. "ours is": the median, over the rounds, of our speed by theirs;
  "by CPU s": the same of the first pass by processor time, which other programs disturb less.
- Modes: `document` and `document-numpy` (a call a document), `batch` and `batch-numpy` (all documents in one
  call), `file` (all documents as one string, or the file itself where a contender reads files; the result in
  its fastest form). Where a contender has no NumPy output it gives lists, and its row says so. `:1` is one
  thread: the pools' variables are set, and the process is bound to one CPU. `:all` is as many threads as
  CPUs. Without either, a call a document has one thread and the others have all.
- Ids are hashed, text by text. Ours must be the reference's (tiktoken's for vocabularies of ranks, that of
  tokenizers for lists of merges) on the first part of each text and wherever a contender disagrees; if not,
  the run ends with exit status 1. A contender whose ids are not ours, that fails, or that cannot be
  installed, is named below the table with the reason.
- tiktoken and tokenizers are so slow that they get the first part only.
- `scaling` compares our threads on 60 MB; `memory` prepares 1.2 GB and reports the peak. Only on request.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice, product
from pathlib import Path
from typing import Any

import _encode_extra
import _encode_report
import _encode_texts
import _encode_vocabularies
from _encode_peers import OURS, PEERS
from _encode_run import Case, Contender, Runner, progress
from _harness import machine, one_line

MODES = ("document", "document-numpy", "batch", "batch-numpy", "file")
PROSE = ("english", "multilingual", "cjk-cyrillic", "code")
#: Kinds, vocabularies, modes: what runs when nothing is chosen. Some 45 cases, an hour on two cores.
PLAN = (
    (PROSE, _encode_vocabularies.NAMES, ("document-numpy",)),
    (PROSE, ("gpt2", "cl100k_base"), ("document",)),
    (PROSE, ("gpt2", "o200k_base"), ("batch-numpy",)),
    (PROSE, ("o200k_base",), ("batch",)),
    (PROSE, ("cl100k_base",), ("file",)),
    (("random",), ("gpt2", "o200k_base"), ("document-numpy",)),
    (("no-spaces",), ("gpt2", "o200k_base"), ("file",)),
)
QUICK = (
    (("english", "cjk-cyrillic"), ("gpt2", "cl100k_base"), ("document-numpy",)),
    (("english",), ("cl100k_base",), ("document", "batch-numpy", "file")),
)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="few cases, 6 MB, 1 run: under five minutes")
    add("--data", nargs="+", default=[], metavar="KIND=PATH", help="your corpora; a kind may have several")
    add("--text-field", default="text", metavar="NAME", help='field of JSON lines ("text")')
    add("--kinds", nargs="+", metavar="KIND", help=f"{' '.join(_encode_texts.KINDS)}, and those of --data")
    add("--vocabularies", nargs="+", choices=_encode_vocabularies.NAMES, metavar="V")
    add("--modes", nargs="+", metavar="MODE", help=f"{' '.join(MODES)}, with :1 or :all; scaling, memory")
    add("--peers", nargs="+", choices=PEERS, metavar="PEER", help=f"of {' '.join(PEERS)}")
    add("--megabytes", type=float, metavar="MB", help="of each kind (20; 6 with --quick)")
    add("--part", type=float, default=2, metavar="MB", help="for slow contenders and the reference (2)")
    add("--runs", type=int, metavar="N", help="processes a contender (3; 1 with --quick)")
    add("--limit", type=float, default=90, metavar="S", help="of one process (90)")
    add("--json", type=Path, metavar="OUT", help="write every run to this file")
    add("--readme", action="store_true", help="print the README's tables at the end")
    add("--from", dest="source", type=Path, metavar="JSON", help="run nothing; print what --json wrote")
    add("--setup", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.megabytes = options.megabytes or (6 if options.quick else 20)
    options.runs = options.runs or (1 if options.quick else 3)
    options.corpora = {}
    for entry in options.data:
        kind, equals, path = entry.partition("=")
        if not equals:
            parser.error(f"--data takes KIND=PATH, as english=corpus.jsonl.zst; got {entry!r}")
        options.corpora.setdefault(kind, []).append(path)
    options.cases, options.extra = cases(options, parser)
    return options


def cases(options: argparse.Namespace, parser: argparse.ArgumentParser) -> tuple[list[Case], list[str]]:
    """What to run, and which of `scaling` and `memory`."""
    extra = [mode for mode in options.modes or () if mode in _encode_extra.MODES]
    modes = [mode for mode in options.modes or () if mode not in extra]
    for mode in modes:
        name, _, threads = mode.partition(":")
        if name not in MODES or threads not in ("", "1", "all"):
            parser.error(f"no mode {mode!r}; there are {', '.join((*MODES, *_encode_extra.MODES))}")
    if extra and not modes:
        return [], extra
    found: dict[Case, None] = {}
    for kinds, vocabularies, planned in QUICK if options.quick else PLAN:
        if options.corpora and not options.kinds and kinds[0] in PROSE:
            # One's own corpora stand for all that people write.
            kinds = tuple(kind for kind in kinds if kind in options.corpora) or tuple(options.corpora)
        chosen = product(options.kinds or kinds, options.vocabularies or vocabularies, modes or planned)
        for kind, vocabulary, mode in chosen:
            name, _, threads = mode.partition(":")
            one_thread = threads == "1" or (not threads and name.startswith("document"))
            found[Case(kind, vocabulary, name, one_thread)] = None
    return list(found), extra


def setup(options: argparse.Namespace) -> None:
    """Writes texts and vocabularies. A process of its own: its memory is not to count."""
    folder = options.setup
    made = {}
    extra_kinds = _encode_extra.kinds(options) if options.extra else []
    for kind in dict.fromkeys([*(case.kind for case in options.cases), *extra_kinds]):
        progress(f"writing the text {kind}")
        if kind in options.corpora:
            source = _encode_texts.from_files(kind, options.corpora[kind], options.text_field)
        else:
            source = _encode_texts.builtin(kind, options.megabytes)
        made[kind] = _encode_texts.write(folder, kind, source, options.megabytes, options.part)
    extra_names = _encode_extra.vocabularies(options) if options.extra else []
    names = dict.fromkeys([*(case.vocabulary for case in options.cases), *extra_names])
    _encode_vocabularies.write(folder, list(names), training_texts(folder, list(made)))
    (folder / "made.json").write_text(json.dumps(made), encoding="utf-8")


def training_texts(folder: Path, kinds: list[str]) -> Iterator[str]:
    """Of our own vocabulary: some documents of each kind that is language."""
    for kind in [kind for kind in kinds if kind not in ("random", "no-spaces")] or kinds:
        documents = _encode_texts.read(_encode_texts.text_path(folder, kind), whole=False)
        yield from islice(documents, 300)


def main() -> None:
    """Runs, prints, writes."""
    options = parse()
    if options.setup:
        setup(options)
        return
    if options.source:
        report = json.loads(options.source.read_text(encoding="utf-8"))
        results = {
            Case(**entry["case"]): [Contender(**one) for one in entry["contenders"]]
            for entry in report["cases"]
        }
        for case, contenders in results.items():
            print(f"\n### {case.title}\n\n{_encode_report.case_table(contenders)}")
        print_readme(options, results)
        return
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        run(options, Path(folder))


def run(options: argparse.Namespace, folder: Path) -> None:
    """All that was asked for."""
    subprocess.run([sys.executable, *sys.argv, "--setup", str(folder)], check=True)
    made = json.loads((folder / "made.json").read_text(encoding="utf-8"))
    print(one_line(machine()))
    for kind, what in made.items():
        print(f"{kind}: {what['MB']} MB, {what['documents']} documents: {what['label']}")
    print(f"{options.runs} runs", flush=True)
    runner = Runner(folder, runs=options.runs, warm=True, limit=options.limit)
    names = [OURS, *(name for name in options.peers or PEERS if name != OURS)]
    results: dict[Case, list[Contender]] = {}
    report: dict[str, Any] = {
        "machine": machine(),
        "texts": made,
        "megabytes": options.megabytes,
        "cases": [],
    }
    for number, case in enumerate(options.cases, 1):
        progress(f"{number} of {len(options.cases)}: {case.title}")
        results[case] = contenders = runner.compare(case, names)
        print(f"\n### {case.title}\n\n{_encode_report.case_table(contenders)}", flush=True)
        report["cases"].append({"case": asdict(case), "contenders": [asdict(one) for one in contenders]})
        report["versions"] = runner.versions
        if options.json:
            options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for mode in options.extra:
        report[mode] = _encode_extra.MODES[mode](runner, options)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    versions = {name: found for one in runner.versions.values() for name, found in one.items()}
    print(f"\n{one_line(versions)}")
    print_readme(options, results)


def print_readme(options: argparse.Namespace, results: dict[Case, list[Contender]]) -> None:
    """The tables of the README: a call a document in one thread, and batches with all."""
    if not options.readme:
        return
    for title, modes, one_thread in (
        ("First pass, a call a document, one thread, MB/s", ("document", "document-numpy"), True),
        ("First pass, one batch, all threads, MB/s", ("batch", "batch-numpy"), False),
        ("First pass, all as one string, all threads, MB/s", ("file",), False),
    ):
        table = _encode_report.readme_table(results, modes, one_thread)
        if table:
            print(f"\n{title}\n\n{table}")


if __name__ == "__main__":
    main()
