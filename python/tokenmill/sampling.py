"""Windows over tokens: inputs, and the same tokens one place later as labels."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from tokenmill.layout import BoundaryLabels, Packing, Tail, gather, make_layout
from tokenmill.tokens import as_integer, as_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


class Windows:
    """All windows over `data`, in order, as a map-style dataset: `windows[i] -> (input_ids, labels)`.

    Both are int64 arrays of shape (max_length,), independent of the data and of each other; `labels` is one
    token ahead.

    >>> windows = Windows(range(100, 108), max_length=4, stride=1)
    >>> len(windows)
    4
    >>> windows[0]
    (array([100, 101, 102, 103]), array([101, 102, 103, 104]))

    data: a TokenStore, or a 1-d integer array or list of ids (see `as_tokens`).
    max_length: inputs of a window, L. A window reads L + 1 tokens.
    stride: tokens from the start of one window to the start of the next; default max_length, so that every
        token but the first is a label exactly once. (In Hugging Face's truncation, `stride` is the *overlap*
        of two windows: theirs is max_length minus ours.)
    tail: the tokens after the last full window. "drop": they are never labels (`dropped_tokens` says how many
        tokens are not). "pad": one shorter window, its inputs padded with `pad_id` and its labels with -100;
        padding is known by position, so a genuine `pad_id` in the text stays a label. "shift": one more full
        window that ends with the last token and overlaps the one before. Default: "drop", but "pad" for the
        packings that follow documents.
    pad_id: default for a store is its tokenizer's pad token, else its end-of-text token; required for an
        array.
    packing: "concat": windows over all tokens, whatever documents they are in. "document": the windows of
        each document by itself, so that none holds two documents. "best_fit": whole documents, several to a
        row, by best-fit-decreasing; one longer than max_length gives full rows and a rest. A document of n
        tokens takes n - 1 places, its last token being a label only. The rows are computed once and kept in a
        file beside the store (`NAME.best_fit-LENGTH-HASH.index`); where that is damaged, or cannot be
        written, a RuntimeWarning says so, and the rows are computed anew.
    boundary_labels: "mask" gives -100 to labels that are the first token of another document.

    All but "concat" and "keep" need a TokenStore, as an array does not say where documents end. Raises
    ValueError where the data is too short for one window (max_length tokens or fewer, unless tail="pad").
    Follows the map-style protocol of torch.utils.data (len, items, batches of items; picklable).
    """

    def __init__(
        self,
        data: Any,
        *,
        max_length: int,
        stride: int | None = None,
        tail: Tail | None = None,
        pad_id: int | None = None,
        packing: Packing = "concat",
        boundary_labels: BoundaryLabels = "keep",
    ) -> None:
        self._data = data
        self.layout = make_layout(
            as_tokens(data),
            packing=packing,
            max_length=max_length,
            stride=stride,
            tail=tail,
            pad_id=pad_id,
            boundary_labels=boundary_labels,
        )
        self.max_length, self.stride = self.layout.max_length, self.layout.stride
        self.tail, self.pad_id = self.layout.tail, self.layout.pad_id

    def __len__(self) -> int:
        return self.layout.plan.num_windows

    def __getitem__(self, index: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Several windows in one call; torch's DataLoader uses it where it is there."""
        import numpy as np

        windows = np.array([self._number(index) for index in indices], dtype=np.uint64)
        columns = gather([self.layout], windows)
        return list(zip(columns.input_ids, columns.labels, strict=True))

    def start(self, index: int) -> int:
        """Which token of the data is the first input of window `index`."""
        return self.layout.plan.parts(self._number(index))[0][0]

    @property
    def dropped_tokens(self) -> int:
        """How many tokens are never a label. The first, which nothing comes before, is not counted."""
        return self.layout.plan.dropped_tokens()

    def _number(self, index: int) -> int:
        if isinstance(index, slice):
            raise TypeError("windows[a:b] is not supported; use [windows[i] for i in range(a, b)]")
        count = len(self)
        number = as_integer("index", index)
        if not -count <= number < count:
            raise IndexError(f"window {number} does not exist; there are {count}, counted from 0")
        return number % count

    def __reduce__(self) -> tuple[Any, ...]:
        layout = self.layout
        make = partial(
            type(self),
            max_length=layout.max_length,
            stride=layout.stride,
            tail=layout.tail,
            pad_id=layout.pad_id,
            packing=layout.packing,
            boundary_labels=layout.boundary_labels,
        )
        return make, (self._data,)

    def __repr__(self) -> str:
        layout = self.layout
        packing = "" if layout.packing == "concat" else f", packing={layout.packing!r}"
        return (
            f"Windows({len(self)} windows of {layout.source.num_tokens} tokens, "
            f"max_length={layout.max_length}, stride={layout.stride}, tail={layout.tail!r}{packing})"
        )
