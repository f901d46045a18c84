"""What the encoding benchmark prints: a table a case, and the one of the README."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from _encode_peers import OURS, PEERS
from _encode_run import Case, Contender
from _harness import aligned, digits

#: Those that have a column of their own in the README.
NAMED = ("gigatoken", "tiktoken", "tokenizers")
#: Characters of a note: some peers' messages hold whole patterns.
NOTE = 200


def ratio(ours: Contender, other: Contender, key: str) -> float | None:
    """How many times as fast we are: the median over rounds, whose runs follow each other closely."""
    pairs = list(zip(ours.speeds(key), other.speeds(key), strict=False))
    return median(one / two for one, two in pairs) if pairs else None


def case_table(contenders: Sequence[Contender]) -> str:
    """Speeds of the first pass and of a repeat, memory; below, why others have none."""
    header = "|MB/s|min – max|ours is|CPU s|by CPU s|again MB/s|min – max|ours is|loading s|loaded MB|peak MB"
    rows = [header.split("|")]
    ours, notes = contenders[0], []
    for contender in contenders:
        if not contender.runs:
            notes.append(f"{contender.name}: {contender.note[:NOTE]}")
            continue
        by_cpu = ratio(ours, contender, "cpu_seconds")
        rows.append(
            [
                _label(contender),
                *_speed_cells(ours, contender, "seconds"),
                f"{contender.middle('cpu_seconds'):.2f}",
                "" if by_cpu is None else f"{by_cpu:.2f} ×",
                *_speed_cells(ours, contender, "warm_seconds"),
                f"{contender.middle('load_seconds'):.2f}",
                f"{contender.middle('loaded_mb'):.0f}",
                f"{contender.middle('peak_mb'):.0f}",
            ]
        )
    return "\n".join([aligned(rows), *(f"\nno times: {note}" for note in notes)])


def _label(contender: Contender) -> str:
    """The name, and what is different about its runs."""
    (run, *_) = contender.runs
    notes = [f"first {run['MB']:.2g} MB"] if PEERS[contender.name].slow else []
    notes += ["lists"] if run["lists"] else []
    return f"{contender.name} ({', '.join(notes)})" if notes else contender.name


def _speed_cells(ours: Contender, contender: Contender, key: str) -> list[str]:
    speeds = contender.speeds(key)
    if not speeds:
        return ["", "", ""]
    times = ratio(ours, contender, key)
    return [
        digits(median(speeds)),
        f"{digits(min(speeds))} – {digits(max(speeds))}",
        "" if times is None else f"{times:.2f} ×",
    ]


def readme_table(cases: dict[Case, list[Contender]], modes: Sequence[str], one_thread: bool) -> str:
    """Rows of text and vocabulary; each contender in the faster of the given modes. First pass only."""
    rows = [["text, vocabulary", OURS, "gigatoken", "best other", "tiktoken", "tokenizers"]]
    chosen = [case for case in cases if case.mode in modes and case.one_thread == one_thread]
    for kind, vocabulary in dict.fromkeys((case.kind, case.vocabulary) for case in chosen):
        here = [case for case in chosen if (case.kind, case.vocabulary) == (kind, vocabulary)]
        best = _fastest([contender for case in here for contender in cases[case]])
        others = [name for name in best if name not in (*NAMED, OURS) and best[name].runs]
        other = max(others, key=lambda name: median(best[name].speeds("seconds")), default=None)
        cells = [_readme_cell(best, name) for name in NAMED]
        cells.insert(1, "–" if other is None else f"{other} {_readme_cell(best, other)}")
        ours = digits(median(best[OURS].speeds("seconds")))
        rows.append([f"{kind}, {vocabulary}", f"**{ours}**", *cells])
    return aligned(rows) if len(rows) > 1 else ""


def _fastest(contenders: Sequence[Contender]) -> dict[str, Contender]:
    """Each contender's faster one; one that has times goes before one that has none."""
    best: dict[str, Contender] = {}
    for contender in contenders:
        held = best.get(contender.name)
        if held is None or _speed(contender) > _speed(held):
            best[contender.name] = contender
    return best


def _speed(contender: Contender) -> float:
    return median(contender.speeds("seconds")) if contender.runs else 0.0


def _readme_cell(best: dict[str, Contender], name: str) -> str:
    contender = best.get(name)
    if contender is None:
        return "–"
    if not contender.runs:
        return contender.note.partition(":")[0]
    times = ratio(best[OURS], contender, "seconds")
    return f"{digits(_speed(contender))} ({times:.1f} ×)"
