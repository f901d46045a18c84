"""A writer of token stores in pure Python: docs/format.md read the other way, slow and short."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xxhash
from blake3 import blake3

BLOCK = 4 << 20

Documents = Sequence[tuple[Any, ...]]


def write_store(
    out: Path,
    documents: Documents,
    *,
    vocab_size: int,
    inputs: list[dict[str, Any]],
    shard_tokens: int,
    tokenizer_json: bytes = b"{}",
    fingerprint: str = "none",
    bos: int | None = None,
    eos: int | None = None,
    created_by: str = "reference",
    fraction: float = 0.0,
    validation: Documents = (),
    planned: Sequence[dict[str, Any]] = (),
    dedup: bool = False,
    reading: dict[str, Any] | None = None,
    duplicates: int = 0,
) -> None:
    """Write a store of (ids, input number, position) documents, or (ids, input number, position, text)."""
    out.mkdir()
    (out / "tokenizer.json").write_bytes(tokenizer_json)
    dtype = "uint16" if vocab_size <= 65_536 else "uint32"
    added = (bos is not None) + (eos is not None)
    manifest: dict[str, Any] = {
        "format": "tokenmill-store",
        "format_version": 1,
        "created_by": created_by,
        "tokenizer_fingerprint": fingerprint,
        "tokenizer_sha256": hashlib.sha256(tokenizer_json).hexdigest(),
        "vocab_size": vocab_size,
        "dtype": dtype,
        "bos": bos,
        "eos": eos,
        "inputs": inputs,
        "summary": {
            "text_bytes": sum(
                len(text.encode()) for _, _, _, *texts in [*documents, *validation] for text in texts
            ),
            "rejected": 0,
            "duplicates": duplicates,
            "special_text": 0,
        },
    }
    sequence = b"tokenmill-store-1\n" + dtype.encode() + b"\n" + _u64(vocab_size)
    sequence += b"".join(_u64(2**64 - 1 if token is None else token) for token in (bos, eos))
    sequence += _u64(len(fingerprint.encode())) + fingerprint.encode()

    def table(prefix: str, documents: Documents) -> dict[str, Any]:
        pieces = enumerate(_split(documents, shard_tokens))
        shards = [_write_shard(out, f"{prefix}-{i:05}", piece, dtype, added) for i, piece in pieces]
        hashes = b"".join(bytes.fromhex(shard["content_hash"]) for shard in shards)
        return {
            "shards": shards,
            "num_tokens": sum(shard["num_tokens"] for shard in shards),
            "num_documents": len(documents),
            "num_empty_documents": sum(len(document[0]) <= added for document in documents),
            "content_hash": hashlib.sha256(sequence + _u64(len(shards)) + hashes).hexdigest(),
        }

    manifest.update(table("shard", documents))
    if fraction > 0:
        manifest["validation"] = {"fraction": fraction, **table("validation", validation)}
    _seal(out / "manifest.json", manifest)
    plan = {name: manifest[name] for name in ("created_by", "tokenizer_sha256", "bos", "eos")}
    plan |= {"shard_tokens": shard_tokens, "val_fraction": fraction, "specials": "text"}
    plan |= {"dedup": dedup, "reading": reading, "inputs": list(planned)}
    _seal(out / "prepare.json", plan)


def write_sparse_store(out: Path, *, shard_tokens: int, shards: int) -> None:
    """A store of so many shards with one document each; all ids are 0 but the last hundred, which count up.

    Its files have holes and take no room. What would be hashed is not read: `verify` would say so.
    """
    inputs = [{"name": "a.txt", "position": "byte", "bytes": 0, "blake3": "0" * 64}]
    write_store(out, [([1], 0, 0)], vocab_size=1000, inputs=inputs, shard_tokens=10)
    manifest = json.loads((out / "manifest.json").read_text())
    del manifest["checksum"]
    hashes = [hashlib.sha256(str(number).encode()) for number in range(shards)]
    entry = {"num_tokens": shard_tokens, "num_documents": 1}
    manifest["shards"] = [
        {"name": f"shard-{number:05}", **entry, "content_hash": digest.hexdigest()}
        for number, digest in enumerate(hashes)
    ]
    manifest |= {"num_tokens": shard_tokens * shards, "num_documents": shards}
    of_all = b"tokenmill-store-1\nuint16\n" + struct.pack("<4Q", 1000, 2**64 - 1, 2**64 - 1, 4) + b"none"
    of_all += _u64(shards) + b"".join(digest.digest() for digest in hashes)
    manifest["content_hash"] = hashlib.sha256(of_all).hexdigest()
    for shard in manifest["shards"]:
        tokens = out / f"{shard['name']}.tokens"
        with tokens.open("wb") as file:
            file.truncate(2 * shard_tokens)
        tokens.with_suffix(".docs").write_bytes(_u64(shard_tokens))
        tokens.with_suffix(".origin").write_bytes(bytes(16))
    with tokens.open("r+b") as file:
        file.seek(-200, 2)
        file.write(struct.pack("<100H", *range(1, 101)))
    _seal(out / "manifest.json", manifest)


def _split(documents: Documents, shard_tokens: int) -> list[list[Any]]:
    shards: list[list[Any]] = []
    tokens = shard_tokens
    for document in documents:
        if tokens >= shard_tokens:
            shards.append([])
            tokens = 0
        shards[-1].append(document)
        tokens += len(document[0])
    return shards


def _write_shard(out: Path, name: str, documents: list[Any], dtype: str, added: int) -> dict[str, Any]:
    total = empty = 0
    tokens = docs = origin = source = b""
    for ids, number, position, *text in documents:
        empty += len(ids) <= added
        total += len(ids)
        tokens += struct.pack(f"<{len(ids)}{'H' if dtype == 'uint16' else 'I'}", *ids)
        docs += _u64(total)
        origin += _u64(number) + _u64(position)
        source += _u64(number) + _u64(position)
        source += xxhash.xxh3_128_intdigest("".join(text).encode()).to_bytes(16, "little")
    record: dict[str, Any] = {
        "num_tokens": total,
        "num_documents": len(documents),
        "num_empty_documents": empty,
    }
    record["source"] = hashlib.sha256(source).hexdigest()
    sequence = b"tokenmill-shard-1\n" + _u64(total) + _u64(len(documents))
    for extension, data in [("tokens", tokens), ("docs", docs), ("origin", origin)]:
        (out / f"{name}.{extension}").write_bytes(data)
        blocks = [blake3(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
        record[extension] = {"bytes": len(data), "blake3": [block.hexdigest() for block in blocks]}
        sequence += _u64(len(blocks)) + b"".join(block.digest() for block in blocks)
    _seal(out / f"{name}.json", record)
    content_hash = hashlib.sha256(sequence).hexdigest()
    return {"name": name, "num_tokens": total, "num_documents": len(documents), "content_hash": content_hash}


def _u64(number: int) -> bytes:
    return struct.pack("<Q", number)


def _seal(path: Path, value: dict[str, Any]) -> None:
    content = json.dumps(value, indent=2, ensure_ascii=False).encode().removesuffix(b"\n}")
    checksum = hashlib.sha256(content).hexdigest().encode()
    path.write_bytes(content + b',\n  "checksum": "' + checksum + b'"\n}\n')
