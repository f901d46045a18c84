"""Reading a file of counts by its specification, docs/counts-format.md, and by nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def read_counts(data: bytes) -> tuple[dict[str, Any], list[tuple[bytes, list[int]]]]:
    """The header, and each piece with its count in each source."""
    assert data[:8] == b"tmcounts"
    size = int.from_bytes(data[8:12], "little")
    header = json.loads(data[12 : 12 + size])
    place = 12 + size

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    rows: list[tuple[bytes, list[int]]] = []
    piece = b""
    while True:
        shared, more = varint(), varint()
        if shared == more == 0:
            break
        piece = piece[:shared] + data[place : place + more]
        place += more
        rows.append((piece, [varint() for _ in header["sources"]]))

    def u64() -> int:
        nonlocal place
        place += 8
        return int.from_bytes(data[place - 8 : place], "little")

    assert u64() == len(rows)
    assert [u64() for _ in header["sources"]] == [
        sum(column) for column in zip(*(c for _, c in rows), strict=True)
    ]
    assert data[place:] == hashlib.sha256(data[:place]).digest()
    return header, rows
