"""One place of a batch, traced to the text it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tokenmill.layout import IGNORE_INDEX

if TYPE_CHECKING:
    from tokenmill.layout import Layout
    from tokenmill.store import Origin


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What stands at one row and column of one batch, and why. `str(explanation)` is for people.

    The fields about tokens are None on padding; `text`, `label_text`, `origin` and `tokenizer` (its
    fingerprint) are None where the data is an array.
    """

    step: int
    row: int
    column: int
    epoch: int
    source: int
    """Which of a mixture's sources; 0 otherwise."""
    window: int
    """Number of the window (or packed row) in its source."""
    token: int | None
    """Index of the input token in the data."""
    input_id: int | None
    text: str | None
    label: int
    """What the batch has as label: -100 where nothing is to be learned."""
    label_text: str | None
    why_no_label: Literal["padding", "last token", "boundary"] | None
    """Why the label is -100: no token here; the next token is not in the window; it begins a document."""
    origin: Origin | None
    """Input file, document and byte of the input token."""
    tokenizer: str | None

    def __str__(self) -> str:
        place = f"step {self.step}, row {self.row}, column {self.column}"
        where = f"{place}: epoch {self.epoch}, window {self.window}"
        if self.token is None:
            return f"{where}\npadding, label {self.label}"
        shown = "" if self.text is None else f" {self.text!r}"
        label = f"label {self.label}" + ("" if self.label_text is None else f" {self.label_text!r}")
        if self.why_no_label is not None:
            reason = {
                "last token": "the next token is not in the window",
                "boundary": "the next token begins another document",
                "padding": "padding",
            }[self.why_no_label]
            label += f" ({reason})"
        lines = [where, f"token {self.token:,} of the data, id {self.input_id}{shown}, {label}"]
        if self.origin is not None:
            origin = self.origin
            lines.append(
                f"{origin.input}, document {origin.document:,} at {origin.unit} {origin.position:,}, "
                f"byte {origin.byte:,} of its text"
            )
            lines.append(f"tokenizer {self.tokenizer}")
        return "\n".join(lines)


def explain(
    layout: Layout, *, step: int, row: int, column: int, epoch: int, source: int, window: int
) -> Explanation:
    """Trace one place of a window; its step, row, epoch and source are as the caller says."""
    token, successor, why = _place(layout, window, column)
    ids = layout.source.core if layout.source.store is None else layout.source.store
    store = layout.source.store
    target = None if successor is None else int(ids[successor])
    input_id = None if token is None else int(ids[token])

    def text(number: int | None) -> str | None:
        if store is None or number is None:
            return None
        return (store.tokenizer.id_to_token(number) or b"").decode(errors="replace")

    return Explanation(
        step=step,
        row=row,
        column=column,
        epoch=epoch,
        source=source,
        window=window,
        token=token,
        input_id=input_id,
        text=text(input_id),
        label=IGNORE_INDEX if target is None else target,
        label_text=text(target),
        why_no_label=why,
        origin=None if store is None or token is None else store.origin(token),
        tokenizer=None if store is None else store.tokenizer.fingerprint,
    )


def _place(
    layout: Layout, window: int, column: int
) -> tuple[int | None, int | None, Literal["padding", "last token", "boundary"] | None]:
    """(input token, label token, why there is no label) of a column."""
    before, last = 0, None
    for start, valid in layout.plan.parts(window):
        last = start + valid
        if column < before + valid:
            token = start + column - before
            store = layout.source.store
            if layout.boundary_labels == "mask" and store is not None:
                _, end = store._core.document_range(store._core.document_at(token))
                if token + 1 == end:
                    return token, None, "boundary"
            return token, token + 1, None
        before += valid
    if column == before and last is not None:
        return last, None, "last token"
    return None, None, "padding"
