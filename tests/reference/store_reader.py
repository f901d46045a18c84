"""A reader of token stores in pure Python and NumPy: what docs/format.md says, and nothing from tokenmill."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def read_store(folder: str | Path, split: str = "train") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ids[n], the end of each document [d], and origins [d, 2] (input number, position) of a split."""
    manifest = json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["format"] == "tokenmill-store" and manifest["format_version"] == 1
    ids = [np.empty(0, manifest["dtype"])]
    ends, origins, first = [np.empty(0, np.uint64)], [np.empty((0, 2), np.uint64)], 0
    table = manifest if split == "train" else manifest["validation"]
    for shard in table["shards"]:
        path = str(Path(folder) / shard["name"])
        ids.append(np.fromfile(path + ".tokens", "<u2" if manifest["dtype"] == "uint16" else "<u4"))
        ends.append(np.fromfile(path + ".docs", "<u8") + np.uint64(first))
        origins.append(np.fromfile(path + ".origin", "<u8").reshape(-1, 2))
        first += shard["num_tokens"]
    return np.concatenate(ids), np.concatenate(ends), np.concatenate(origins)
