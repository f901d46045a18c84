"""What becomes of every stored token and of every place of a batch in one epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenmill.layout import Layout


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """One epoch over one source, counted. Both sums hold:

    - tokens = learned + masked + openers + dropped
    - windows * max_length = learned + repeats + masked_places + padding

    tokens: stored.
    learned: tokens that are a label at least once.
    masked: tokens that are a label only where boundary_labels="mask" takes it out.
    openers: tokens that nothing comes before: the first of all, or with packing by documents of each
        document.
    dropped: tokens that no window has as a label (tail="drop", a stride above max_length, short documents).
    windows, max_length: rows, and places of a row.
    repeats: places whose label another place has, too (a stride below max_length, tail="shift").
    masked_places: places whose label is masked at the beginning of a document.
    padding: places without a label.
    left_out: windows that drop_last leaves out, which windows they are differing from epoch to epoch under
        shuffle. The sums count them as if they came.
    """

    tokens: int
    learned: int
    masked: int
    openers: int
    dropped: int
    windows: int
    max_length: int
    repeats: int
    masked_places: int
    padding: int
    left_out: int = 0

    def __str__(self) -> str:
        places = self.windows * self.max_length
        return "\n".join(
            [
                f"{self.tokens:,} tokens: {self.learned:,} learned, {self.masked:,} masked, "
                f"{self.openers:,} with nothing before them, {self.dropped:,} dropped",
                f"{places:,} places in {self.windows:,} windows: {self.learned:,} learned, "
                f"{self.repeats:,} repeats, {self.masked_places:,} masked, {self.padding:,} padding",
                f"{self.left_out:,} windows of each epoch left out by drop_last",
            ]
        )


def count(layout: Layout, *, left_out: int = 0) -> Ledger:
    """Count an epoch of a layout."""
    masked_at = layout.source.core if layout.boundary_labels == "mask" else None
    tokens, windows, learned, masked, openers, dropped, repeats, masked_places, padding = layout.plan.ledger(
        masked_at
    )
    return Ledger(
        tokens=tokens,
        learned=learned,
        masked=masked,
        openers=openers,
        dropped=dropped,
        windows=windows,
        max_length=layout.max_length,
        repeats=repeats,
        masked_places=masked_places,
        padding=padding,
        left_out=left_out,
    )
