"""Runs the contenders of one case in turns, each in a process of its own, and compares their ids."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import _encode_texts
from _encode_peers import OURS, PEERS
from _encode_vocabularies import vocabulary
from _environments import Unavailable, python_of

WORKER = Path(__file__).with_name("_encode_worker.py")
#: All that the contenders' thread pools listen to.
POOLS = ("RAYON_NUM_THREADS", "TOKENMILL_NUM_THREADS", "FASTOKENS_BPE_THREADS", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class Case:
    """What the contenders of one table do."""

    kind: str
    vocabulary: str
    #: A field of `_encode_peers.Encoder`.
    mode: str
    #: 1, or as many as there are CPUs.
    one_thread: bool

    @property
    def title(self) -> str:
        """For people."""
        what = {
            "document": "a call a document, lists",
            "document-numpy": "a call a document, NumPy",
            "batch": "one batch, lists",
            "batch-numpy": "one batch, NumPy",
            "file": "all as one string",
        }[self.mode]
        threads = "one thread" if self.one_thread else "all threads"
        return f"{self.kind}, {self.vocabulary}, {what}, {threads}"

    @property
    def whole(self) -> bool:
        """Whether all documents are one text."""
        return self.mode == "file"


@dataclass
class Contender:
    """What became of one contender in one case."""

    name: str
    #: Empty where all is well.
    note: str = ""
    runs: list[dict[str, Any]] = field(default_factory=list)

    def speeds(self, key: str) -> list[float]:
        """Of each run; `key` is "seconds", "cpu_seconds" or "warm_seconds"."""
        return [run["MB"] / run[key] for run in self.runs if run.get(key)]

    def middle(self, key: str) -> float:
        """The median of a number that every run has."""
        return median(run[key] for run in self.runs)


def threads() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Runner:
    """Starts workers on the texts and vocabularies of one folder."""

    def __init__(self, folder: Path, *, runs: int, warm: bool, limit: float) -> None:
        self.folder, self.runs, self.warm, self.limit = folder, runs, warm, limit
        #: Contender → what is installed, or why nothing is.
        self.versions: dict[str, dict[str, str]] = {}
        self.unavailable: dict[str, str] = {}
        #: Text, vocabulary, whole or not → our hashes.
        self._ours: dict[tuple[str, str, bool], list[str]] = {}
        self._checked: set[tuple[str, str, bool]] = set()

    def compare(self, case: Case, names: list[str]) -> list[Contender]:
        """All runs of a case, A B C A B C."""
        self.check(case)
        contenders = [Contender(name) for name in names]
        for _ in range(self.runs):
            for contender in contenders:
                if not contender.note:
                    self._add_run(case, contender)
        return contenders

    def _add_run(self, case: Case, contender: Contender) -> None:
        slow = PEERS[contender.name].slow
        texts = f"{case.kind}.part" if slow else case.kind
        result = self.work(contender.name, case.vocabulary, texts, case.mode, case.one_thread)
        contender.note = result.get("error", "")
        if not contender.note:
            contender.note = self._difference(case, contender.name, texts, result.pop("digests"))
        if contender.note:
            if contender.name == OURS:
                raise SystemExit(f"{case.title}: {OURS}: {contender.note}")
            contender.runs.clear()
            return
        contender.runs.append(result)

    def _difference(self, case: Case, name: str, texts: str, digests: list[str]) -> str:
        """How the ids differ from ours, or nothing. Ours are compared with those of our other calls."""
        wanted = self._ours.setdefault((texts, case.vocabulary, case.whole), digests)
        place = first_difference(wanted, digests)
        if place is None:
            return ""
        where = f"text {place}" if not case.whole else f"id {place * 4096} or soon after"
        if name == OURS or case.whole or place >= len(wanted):
            return f"different ids at {where}"
        judge = self._judge(case, texts, place)
        return f"different ids at {where} of {len(wanted)}, where {judge} has ours"

    def _judge(self, case: Case, texts: str, place: int) -> str:
        """Asks the reference who is right about one text, and ends the run where it is not us."""
        document = _encode_texts.read(_encode_texts.text_path(self.folder, texts), whole=False)[place]
        _encode_texts.write_documents(self.folder, "judged", [document.encode()])
        self._check_text("judged", case.vocabulary, whole=False)
        return vocabulary(self.folder, case.vocabulary).reference

    def check(self, case: Case) -> None:
        """Compares our ids of the first part with the reference's, once. A difference ends the run."""
        key = (case.kind, case.vocabulary, case.whole)
        if key in self._checked:
            return
        self._checked.add(key)
        ours = self._check_text(f"{case.kind}.part", case.vocabulary, whole=case.whole)
        self._ours[(f"{case.kind}.part", case.vocabulary, case.whole)] = ours

    def _check_text(self, texts: str, name: str, *, whole: bool) -> list[str]:
        reference = vocabulary(self.folder, name).reference
        mode = "file" if whole else "document"
        results = [self.work(one, name, texts, mode, False, warm=False) for one in (OURS, reference)]
        for one, result in zip((OURS, reference), results, strict=True):
            if "error" in result:
                raise SystemExit(f"{texts}, {name}: cannot check the ids: {one}: {result['error']}")
        place = first_difference(results[1]["digests"], results[0]["digests"])
        if place is not None:
            unit = "block of 4,096 ids" if whole else "text"
            raise SystemExit(
                f"{texts}, {name}: our ids are not those of {reference} at {unit} {place}; no time counts"
            )
        ours: list[str] = results[0]["digests"]
        return ours

    def work(
        self,
        name: str,
        vocabulary_name: str,
        texts: str,
        mode: str,
        one_thread: bool,
        warm: bool | None = None,
        limit: float | None = None,
    ) -> dict[str, Any]:
        """One process. The result is the worker's, with "MB"; "error" says why there are no times."""
        try:
            python = self.python(name)
        except Unavailable as error:
            return {"error": str(error)}
        path = _encode_texts.text_path(self.folder, texts)
        job, out = self.folder / "job.json", self.folder / "result.json"
        content = {
            "peer": name,
            "vocabulary": str(self.folder / f"{vocabulary_name}.vocabulary.json"),
            "texts": str(path),
            "mode": mode,
            "threads": 1 if one_thread else threads(),
            "warm": self.warm if warm is None else warm,
            "result": str(out),
        }
        job.write_text(json.dumps(content), encoding="utf-8")
        out.unlink(missing_ok=True)
        error = run_limited([python, str(WORKER), str(job)], environment(one_thread), limit or self.limit)
        if error or not out.exists():
            return {"error": error or "left no result"}
        result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        self.versions[name] = result.pop("versions")
        return result | {"MB": path.stat().st_size / 1e6}

    def python(self, name: str) -> str:
        """The interpreter of a contender's environment; what cannot be installed is tried once."""
        if name in self.unavailable:
            raise Unavailable(self.unavailable[name])
        try:
            return python_of(name, PEERS[name].requirements)
        except Unavailable as error:
            self.unavailable[name] = str(error)
            raise


def environment(one_thread: bool) -> dict[str, str]:
    """Of a worker. One that uses one thread also binds itself to one CPU: no pool gets round that."""
    kept = {key: value for key, value in os.environ.items() if key not in POOLS}
    settings = dict.fromkeys(POOLS, "1") if one_thread else {}
    fixed = {"TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1", "OPENBLAS_NUM_THREADS": "1"}
    return kept | settings | fixed


def run_limited(command: list[str], environment: dict[str, str], limit: float) -> str:
    """Runs a worker; returns what went wrong, or nothing."""
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return f"took over {limit:g} s"
    except BaseException:
        process.kill()
        raise
    if not process.returncode:
        return ""
    last = next((line.strip() for line in reversed(errors.splitlines()) if line.strip()), "")
    if process.returncode < 0:
        return f"crashed: {signal.Signals(-process.returncode).name} {last}".strip()
    return f"exit status {process.returncode}: {last}"


def first_difference(wanted: list[str], found: list[str]) -> int | None:
    """Where two lists part; the shorter one's length where it is the other's beginning."""
    for place, (one, other) in enumerate(zip(wanted, found, strict=False)):
        if one != other:
            return place
    return None if len(wanted) == len(found) else min(len(wanted), len(found))


def progress(text: str) -> None:
    """To the terminal, not into the report."""
    print(text, file=sys.stderr, flush=True)
