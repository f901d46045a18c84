"""One virtual environment a peer, made on first use under `.bench/envs` and kept.

A peer that needs PyTorch (gigabytes, with CUDA) finds the one of the environment that runs this, if there is
one: the packages of that are seen behind the peer's own, and pip brings only what is missing or of another
version.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".bench" / "envs"
#: Of one `pip install`.
SECONDS = 600


class Unavailable(Exception):
    """A peer cannot be installed; the message says why in one line."""


def python_of(name: str, requirements: Sequence[str]) -> str:
    """The interpreter of the environment that has these packages; an empty list means our own environment."""
    if not requirements:
        return sys.executable
    folder = FOLDER / name
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    stamp = folder / "requirements.txt"
    wanted = "\n".join([sys.version, *requirements])
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return str(python)
    print(f"installing {' '.join(requirements)}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", str(folder)])
    if "torch" in requirements and find_spec("torch") is not None:
        _share_packages(python)
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements])
    stamp.write_text(wanted, encoding="utf-8")
    return str(python)


def _share_packages(python: Path) -> None:
    """Lets another environment see the packages of this one, behind its own."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=True)
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    lines = [f"import site; site.addsitedir({path!r})" for path in sorted(ours)]
    Path(done.stdout.strip(), "shared.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"not installed: took over {SECONDS} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["pip said nothing"]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise Unavailable(f"not installed: {errors[-1].strip()}")
