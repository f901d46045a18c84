"""A checker of token stores in Python and NumPy: what docs/format.md says, and nothing from tokenmill."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

BLOCK = 4 << 20


def check_store(folder: Path) -> None:
    """AssertionError, ValueError or OSError: the store is not what the page demands."""
    manifest = _unseal(folder / "manifest.json")
    assert manifest["format"] == "tokenmill-store" and manifest["format_version"] == 1
    assert manifest["dtype"] == ("uint16" if manifest["vocab_size"] <= 65_536 else "uint32")
    tokenizer = (folder / "tokenizer.json").read_bytes()
    assert hashlib.sha256(tokenizer).hexdigest() == manifest["tokenizer_sha256"]
    plan = _unseal(folder / "prepare.json")
    assert {plan[name] == manifest[name] for name in ("created_by", "tokenizer_sha256", "bos", "eos")} == {
        True
    }
    tables = {
        "shard": manifest,
        **({"validation": manifest["validation"]} if "validation" in manifest else {}),
    }
    names = {"manifest.json", "tokenizer.json", "prepare.json"}
    for prefix, table in tables.items():
        hashes = [_check_shard(folder, manifest, shard) for shard in table["shards"]]
        assert [shard["name"] for shard in table["shards"]] == [
            f"{prefix}-{i:05}" for i in range(len(hashes))
        ]
        for total in ("num_tokens", "num_documents"):
            assert table[total] == sum(shard[total] for shard in table["shards"])
        fingerprint = manifest["tokenizer_fingerprint"].encode()
        sequence = b"tokenmill-store-1\n" + manifest["dtype"].encode() + b"\n" + _u64(manifest["vocab_size"])
        sequence += _u64(2**64 - 1 if manifest["bos"] is None else manifest["bos"])
        sequence += _u64(2**64 - 1 if manifest["eos"] is None else manifest["eos"])
        sequence += _u64(len(fingerprint)) + fingerprint + _u64(len(hashes)) + b"".join(hashes)
        assert hashlib.sha256(sequence).hexdigest() == table["content_hash"]
        for shard in table["shards"]:
            names |= {f"{shard['name']}.{extension}" for extension in ("tokens", "docs", "origin", "json")}
    assert {path.name for path in folder.iterdir()} == names


def _check_shard(folder: Path, manifest: dict[str, Any], shard: dict[str, Any]) -> bytes:
    record = _unseal(folder / f"{shard['name']}.json")
    sequence = b"tokenmill-shard-1\n" + _u64(record["num_tokens"]) + _u64(record["num_documents"])
    for extension in ("tokens", "docs", "origin"):
        data = (folder / f"{shard['name']}.{extension}").read_bytes()
        blocks = [blake3(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
        assert record[extension] == {"bytes": len(data), "blake3": [block.hexdigest() for block in blocks]}
        sequence += _u64(len(blocks)) + b"".join(block.digest() for block in blocks)
    assert hashlib.sha256(sequence).hexdigest() == shard["content_hash"]
    ids = np.fromfile(folder / f"{shard['name']}.tokens", "<u2" if manifest["dtype"] == "uint16" else "<u4")
    ends = np.fromfile(folder / f"{shard['name']}.docs", "<u8").astype(np.int64)
    origins = np.fromfile(folder / f"{shard['name']}.origin", "<u8").reshape(-1, 2)
    assert len(ids) == ends[-1] == record["num_tokens"] == shard["num_tokens"]
    assert len(ends) == len(origins) == record["num_documents"] == shard["num_documents"] > 0
    lengths = np.diff(ends, prepend=0)
    added = (manifest["bos"] is not None) + (manifest["eos"] is not None)
    assert lengths.min() >= added and record["num_empty_documents"] == (lengths == added).sum()
    assert ids.max(initial=0) < manifest["vocab_size"] and origins[:, 0].max() < len(manifest["inputs"])
    return bytes.fromhex(shard["content_hash"])


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "little")


def _unseal(path: Path) -> dict[str, Any]:
    text = path.read_bytes()
    content, ending = text[:-85], text[-85:]
    digits = hashlib.sha256(content).hexdigest().encode()
    assert ending == b',\n  "checksum": "' + digits + b'"\n}\n'
    value: dict[str, Any] = json.loads(text)
    return value
