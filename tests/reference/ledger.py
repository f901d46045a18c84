"""The account of a loader by looking at each row: the specification of `tokenmill.ledger`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from reference.packing import Row, Window, bounds


def account(
    lengths: Sequence[int], packing: str, windows: Sequence[Sequence[Window]], rows: Sequence[Row]
) -> dict[str, Any]:
    """Of documents of these lengths, all windows of an epoch, and the rows that came.

    >>> row = Row(label_tokens=[1, 2, None], labels=[7, 8, -100])
    >>> found = account([3, 3], "concat", [[(0, 2)], [(2, 2)]], [row, row])
    >>> found["times"], found["left_out"], found["dropped"], found["padding"]
    ({2: 2}, 2, 1, 2)
    """
    possible = Counter(
        token for parts in windows for start, valid in parts for token in range(start + 1, start + valid + 1)
    )
    learned = Counter(token for row in rows for token in row.label_tokens if token is not None)
    masked = Counter(token for row in rows for token in row.masked_tokens)
    tokens = set(range(sum(lengths)))
    openers = {0} & tokens
    if packing != "concat":
        openers = {start for start, end in bounds(lengths) if end > start}
    places = sum(len(row.labels) for row in rows)
    return {
        "tokens": len(tokens),
        "learned": len(learned),
        "times": dict(sorted(Counter(learned.values()).items())),
        "masked": len(set(masked) - set(learned)),
        "openers": len(openers),
        "dropped": len(tokens - set(possible) - openers),
        "left_out": len(set(possible) - set(learned) - set(masked)),
        "overlapped": sum(count > 1 for count in possible.values()),
        "rows": len(rows),
        "places": places,
        "repeats": learned.total() - len(learned),
        "masked_places": masked.total(),
        "padding": places - learned.total() - masked.total(),
    }
