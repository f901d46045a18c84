"""The order of a mixture, with lists: the specification of `crates/tokenmill/src/sample/mixture.rs`."""

from __future__ import annotations

from collections.abc import Sequence

from reference.permutation import WORD, key, mix

GOLDEN = 0x9E3779B97F4A7C15


def block_bits(weights: Sequence[int]) -> int:
    """The least k such that each source has a place in 2^k samples on average.

    >>> block_bits([7, 2, 1]), block_bits([1, 1]), block_bits([5, 0])
    (4, 1, 0)
    """
    bits = 0
    while 2**bits * min(weight for weight in weights if weight) < sum(weights):
        bits += 1
    return bits


def sources(weights: Sequence[int], count: int, seed: int, stage: int = 0) -> list[int]:
    """The source of each of the first samples of a stage."""
    bits = block_bits(weights)
    sums = [sum(weights[:source]) for source in range(len(weights) + 1)]
    low, high = key(seed, stage, WORD)
    order: list[int] = []
    block = 0
    while len(order) < count:
        bounds = [
            ((block + 1) * 2**bits * before) // sums[-1] - (block * 2**bits * before) // sums[-1]
            for before in sums
        ]
        xor = mix((low ^ high) + block * GOLDEN & WORD) & (2**bits - 1)
        for place in range(2**bits):
            reverse = int(format(place, f"0{bits}b")[::-1], 2) if bits else 0
            number = reverse ^ xor
            order.append(next(s for s in range(len(weights)) if bounds[s] <= number < bounds[s + 1]))
        block += 1
    return order[:count]
