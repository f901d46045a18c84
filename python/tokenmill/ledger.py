"""What becomes of every stored token, and of every place of the batches, counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The batches of a loader, of all ranks together, counted for one source. Both sums hold:

    - tokens = learned + masked + openers + dropped + left_out
    - places = learned + repeats + masked_places + padding

    `str(ledger)` is for people.
    """

    tokens: int
    """Stored."""
    learned: int
    """Tokens that are a label at least once."""
    times: dict[int, int]
    """How many tokens are a label so many times, from once on: {1: 900, 2: 100}."""
    masked: int
    """Tokens that are a label only where boundary_labels="mask" takes it out."""
    openers: int
    """Tokens that nothing comes before: the first of all, or with packing by documents of each document."""
    dropped: int
    """Tokens that no window has as a label: tail="drop", a stride above max_length, short documents."""
    left_out: int
    """Tokens that are labels only in rows which do not come: by drop_last, by skip, or not reached."""
    overlapped: int
    """Tokens that several windows of an epoch have as a label: a stride below max_length, tail="shift"."""
    rows: int
    """Rows of batches, of this source."""
    places: int
    """All columns of these rows."""
    repeats: int
    """Places whose label another place has, too: windows overlap, or come again in another epoch."""
    masked_places: int
    """Places whose label is masked at the beginning of a document."""
    padding: int
    """Places without a label."""
    samples: int
    """The samples that were gone through, of all sources."""
    samples_skipped: int
    """Of these, those that skip leaves out."""
    samples_left_out: int
    """Of these, those that drop_last leaves out; which windows they are differs from epoch to epoch."""

    @property
    def waste(self) -> float:
        """The share of places that teach nothing: padding and masked labels."""
        return (self.padding + self.masked_places) / self.places if self.places else 0.0

    def __str__(self) -> str:
        lines = [
            f"{self.tokens:,} tokens: {self.learned:,} learned, {self.masked:,} masked, "
            f"{self.openers:,} with nothing before them, {self.dropped:,} dropped, "
            f"{self.left_out:,} left out",
            f"{self.places:,} places in {self.rows:,} rows: {self.learned:,} learned, "
            f"{self.repeats:,} repeats, {self.masked_places:,} masked, {self.padding:,} padding "
            f"({self.waste:.1%} teach nothing)",
            f"{self.samples:,} samples: {self.samples_skipped:,} skipped, "
            f"{self.samples_left_out:,} left out by drop_last",
        ]
        if list(self.times) not in ([], [1]):
            times = ", ".join(f"{times} times: {tokens:,}" for times, tokens in self.times.items())
            lines.insert(1, f"learned {times}")
        return "\n".join(lines)
