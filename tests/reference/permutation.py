"""The shuffles of an epoch in plain Python: the specification of `permute.rs` and `shuffle.rs`."""

from __future__ import annotations

import hashlib
import struct

WORD = 2**64 - 1
ROUNDS = 8


def mix(x: int) -> int:
    """The finalizer of splitmix64."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & WORD
    x = (x ^ x >> 27) * 0x94D049BB133111EB & WORD
    return x ^ x >> 31


def key(seed: int, epoch: int, source: int = 0) -> tuple[int, int]:
    """128 bits for one epoch of one source."""
    digest = hashlib.sha256(b"tokenmill permutation v1" + struct.pack("<3Q", seed, epoch, source)).digest()
    low, high = struct.unpack("<2Q", digest[:16])
    return low, high


def permutation(n: int, keys: tuple[int, int]) -> list[int]:
    """Where each of 0..n goes.

    >>> sorted(permutation(5, (1, 2)))
    [0, 1, 2, 3, 4]
    """
    half = 1
    while 4**half < n:
        half += 1
    mask = 2**half - 1
    round_keys = [mix(mix(keys[0] + (i + 1) * 0x9E3779B97F4A7C15 & WORD) ^ keys[1]) for i in range(ROUNDS)]

    def network(x: int) -> int:
        left, right = x >> half, x & mask
        for round_key in round_keys:
            left, right = right, left ^ mix(right ^ round_key) & mask
        return left << half | right

    places = []
    for i in range(n):
        x = network(i)
        while x >= n:
            x = network(x)
        places.append(x)
    return places


def blocks(n: int, rows: int, keys: tuple[int, int]) -> list[int]:
    """The block shuffle of n rows, `rows` in a block and 64 blocks in a group, made of lists.

    >>> sorted(blocks(7, 2, (1, 2)))
    [0, 1, 2, 3, 4, 5, 6]
    """
    all_blocks = [list(range(first, min(first + rows, n))) for first in range(0, n, rows)]
    order = [row for block in permutation(len(all_blocks), keys) for row in all_blocks[block]]
    places: list[int] = []
    for number, first in enumerate(range(0, n, 64 * rows)):
        group = order[first : first + 64 * rows]
        within = permutation(len(group), ((keys[0] + number + 1) & WORD, keys[1]))
        places += [group[place] for place in within]
    return places
