"""One document of any size through `tokenmill prepare`, with the memory that it takes: `make test-5gb`.

The text is one line of which each token is known: a unit again and again, whose borders no token crosses.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import zstandard

import tokenmill as tm

#: What the processes that prepare may take at most, however large the document is.
MOST_MEMORY = 500 << 20
#: From standard input, and from a file.
FORMS = ("text", "jsonl", "txt.zst", "jsonl.zst")


#: Runs a command and prints the most memory that it took. It is small, as a child counts what its parent had.
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
sys.exit(code)
"""


class Told(NamedTuple):
    """What preparing a document took."""

    form: str
    bytes: int
    tokens: int
    memory: int
    seconds: float


def unit_of(path: Path) -> str:
    """A text as one line. It begins with a space and ends with a letter: no token lies across two of it."""
    return " " + " ".join(path.read_text(encoding="utf-8").split()) + ' "again" and again'


def write(out: IO[bytes], unit: str, times: int, form: str) -> None:
    """The document, as plain text or as the text of one record."""
    is_record = form.startswith("jsonl")
    block = 64 * (json.dumps(unit)[1:-1] if is_record else unit).encode()
    out.write(b'{"id": [1, {"text": "no"}], "text": "' if is_record else b"")
    for _ in range(times // 64):
        out.write(block)
    out.write(b'", "source": "x"}\n' if is_record else b"")


def run(folder: Path, tokenizer: Path, unit: str, times: int, form: str) -> tuple[int, float]:
    """Prepares the document to folder/s.tm; memory in bytes and seconds."""
    file = folder / f"long.{form}"
    if form.endswith(".zst"):
        with file.open("wb") as raw, zstandard.ZstdCompressor(level=1).stream_writer(raw) as out:
            write(out, unit, times, form)
    data = [str(file)] if form.endswith(".zst") else ["-", "--format", form]
    options = ["-t", str(tokenizer), "-o", str(folder / "s.tm"), "--no-add-eos", "--json"]
    command = [sys.executable, "-m", "tokenmill", "prepare", *data, *options]
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", MEASURE, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdin is not None and process.stdout is not None
        with process.stdin as pipe:
            if not form.endswith(".zst"):
                write(pipe, unit, times, form)
        memory = process.stdout.read()
    assert process.returncode == 0, f"{form}: exit code {process.returncode}"
    file.unlink(missing_ok=True)
    return int(memory), time.perf_counter() - start


def check(folder: Path, text: Path, size: int, form: str) -> Told:
    """Prepares about so many bytes and compares every id of the store."""
    unit = unit_of(text)
    times = max(1, size // len(unit.encode()) // 64) * 64
    tokenizer = tm.train_bpe(tm.Documents.from_texts([unit]), vocab_size=2000)
    tokenizer.save(folder / "tokenizer.json")
    ids = tokenizer.encode_to_numpy(unit)
    assert tokenizer.encode(unit * 3) == ids.tolist() * 3
    memory, seconds = run(folder, folder / "tokenizer.json", unit, times, form)
    store = tm.TokenStore.open(folder / "s.tm")
    assert (store.num_documents, store.num_tokens) == (1, len(ids) * times)
    assert store.manifest["summary"]["text_bytes"] == len(unit.encode()) * times
    expected = np.tile(ids, 64).astype(store[:1].dtype)
    for start in range(0, store.num_tokens, len(expected)):
        assert np.array_equal(store[start : start + len(expected)], expected), f"behind token {start}"
    shutil.rmtree(store.path)
    return Told(form, len(unit.encode()) * times, len(ids) * times, memory, seconds)


def main() -> None:
    """Checks each form; ends with an error if one takes too much memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=float, default=5e9)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where 1.2 times that fits")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=["text", "jsonl.zst"])
    arguments = parser.parse_args()
    # The ids, in two bytes each, and once more until the document is known to be whole.
    needed = 1.2 * arguments.bytes
    if shutil.disk_usage(arguments.folder).free < needed:
        sys.exit(f"{arguments.folder} has no room for {needed / 1e9:.1f} GB; name another with --folder")
    text = Path(__file__).parent / "cases" / "the-verdict.txt"
    for form in arguments.forms:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            told = check(Path(folder), text, int(arguments.bytes), form)
        print(
            f"{form:10} {told.bytes / 1e9:.2f} GB in one line, {told.tokens:,} tokens as they should be: "
            f"{told.memory / 1e6:.0f} MB of memory, {told.seconds:.0f} s",
            flush=True,
        )
        if told.memory > MOST_MEMORY:
            sys.exit(f"more than {MOST_MEMORY / 1e6:.0f} MB of memory")


if __name__ == "__main__":
    main()
