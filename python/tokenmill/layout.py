"""How tokens become rows: which packing, how long, and what is marked."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from tokenmill import _core
from tokenmill.tokens import TokenSource, check_bool, check_integer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    import numpy as np
    from numpy.typing import NDArray

    from tokenmill.store import TokenStore

    #: Makes an array of a shape and a dtype.
    Allocate: TypeAlias = Callable[[tuple[int, int, int], str], NDArray[Any]]

Packing = Literal["concat", "document", "best_fit"]
Tail = Literal["drop", "pad", "shift"]
BoundaryLabels = Literal["keep", "mask"]
#: As the core calls them.
CoreShuffle = Literal["off", "full", "block"]

#: The label of padding: what PyTorch's cross-entropy ignores by default.
IGNORE_INDEX = -100


def check_choice(name: str, value: object, choices: Any) -> Any:
    """`value`, which must be one of the strings of a Literal."""
    names = get_args(choices)
    listed = ", ".join(f'"{choice}"' for choice in names[:-1]) + f' or "{names[-1]}"'
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}; choose {listed}")
    if value not in names:
        raise ValueError(f'{name}="{value}" is unknown; choose {listed}')
    return value


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The arrays of a batch, each of shape [rows, max_length]; the last four only with document masks."""

    input_ids: NDArray[Any]
    labels: NDArray[Any]
    position_ids: NDArray[Any] | None = None
    document_ids: NDArray[np.int32] | None = None
    cu_seqlens: NDArray[np.int32] | None = None
    max_seqlen: int | None = None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The rows over one source, all options checked. Made by `make_layout`."""

    source: TokenSource
    plan: _core.Plan
    packing: Packing
    max_length: int
    stride: int
    tail: Tail
    pad_id: int | None
    document_mask: bool
    boundary_labels: BoundaryLabels

    @property
    def plain(self) -> bool:
        """Whether each row is max_length + 1 tokens next to each other and nothing is marked."""
        full = self.tail != "pad" and self.packing != "best_fit"
        return full and not self.document_mask and self.boundary_labels == "keep"

    def cut(self, parts: int) -> Layout:
        """The rows of this layout, each cut into `parts` rows."""
        return replace(self, plan=self.plan.cut(parts), max_length=self.max_length // parts)

    def describe(self) -> dict[str, Any]:
        """What decides which tokens are in which row, JSON-able."""
        return {
            "packing": self.packing,
            "num_windows": self.plan.num_windows,
            "max_length": self.max_length,
            "stride": self.stride,
            "tail": self.tail,
        }


def gather(
    layouts: Sequence[Layout],
    windows: NDArray[np.uint64],
    chosen: NDArray[np.uint32] | None = None,
    *,
    dtype: str = "int64",
    allocate: Allocate | None = None,
) -> Columns:
    """Rows of layouts that differ in their source alone; `chosen`: which of them each row is from.

    `allocate(shape, dtype)` makes the memory, default `numpy.empty`: first one array of shape [2 or 3, rows,
    max_length] for input_ids, labels and position_ids, then with document masks one of shape [1, ...] for
    document_ids. (One array, because the C library gives two large ones that are freed together back to the
    system, and taking them again costs more than filling them.)
    """
    import numpy as np

    style = layouts[0]
    shape = (len(windows), style.max_length)
    make: Allocate = allocate or np.empty
    position_ids = document_ids = None
    if style.document_mask:
        input_ids, labels, position_ids = make((3, *shape), dtype)
        [document_ids] = make((1, *shape), "int32")
    else:
        input_ids, labels = make((2, *shape), dtype)
    if not len(windows):  # nothing to fill; and views of nothing count as overlapping
        return Columns(
            input_ids=input_ids,
            labels=labels,
            position_ids=position_ids,
            document_ids=document_ids,
            cu_seqlens=np.zeros(1, np.int32) if style.document_mask else None,
            max_seqlen=0 if style.document_mask else None,
        )
    lengths = _core.gather_columns(
        [(layout.source.core, layout.plan) for layout in layouts],
        chosen,
        windows,
        pad_id=style.pad_id,
        documents=style.document_mask or style.boundary_labels == "mask",
        mask_boundaries=style.boundary_labels == "mask",
        input_ids=input_ids,
        labels=labels,
        position_ids=position_ids,
        document_ids=document_ids,
    )
    cu_seqlens, max_seqlen = lengths if lengths is not None and style.document_mask else (None, None)
    return Columns(
        input_ids=input_ids,
        labels=labels,
        position_ids=position_ids,
        document_ids=document_ids,
        cu_seqlens=cu_seqlens,
        max_seqlen=max_seqlen,
    )


def make_layout(
    source: TokenSource,
    *,
    packing: object = "concat",
    max_length: object,
    stride: object = None,
    tail: object = None,
    pad_id: object = None,
    document_mask: object = False,
    boundary_labels: object = "keep",
    shuffle: CoreShuffle = "off",
    seed: int = 0,
) -> Layout:
    """The rows over a source; raises what `tokenmill.DataLoader` documents."""
    kind: Packing = check_choice("packing", packing, Packing)
    labels: BoundaryLabels = check_choice("boundary_labels", boundary_labels, BoundaryLabels)
    mask = check_bool("document_mask", document_mask)
    length = check_integer("max_length", max_length, 1)
    step = length if stride is None else check_integer("stride", stride, 1)
    rule: Tail = _default_tail(kind) if tail is None else check_choice("tail", tail, Tail)
    if source.store is None and (kind != "concat" or mask or labels == "mask"):
        option = f'packing="{kind}"' if kind != "concat" else ("document_mask" if mask else "boundary_labels")
        raise ValueError(
            f"{option} needs to know where documents end, which an array does not say; give a TokenStore"
        )
    if kind == "best_fit" and (step != length or rule != "pad"):
        raise ValueError(
            'packing="best_fit" keeps documents whole: it has no stride other than max_length and no tail '
            f'other than "pad" (stride={step}, tail="{rule}"); leave both out'
        )
    if kind == "best_fit" and shuffle == "block":
        raise ValueError(
            'shuffle="block" reads neighbouring rows together, and a row of packing="best_fit" has documents '
            "from anywhere; choose shuffle=True"
        )
    return Layout(
        source=source,
        plan=_plan(source, kind, length, step, rule, shuffle, seed),
        packing=kind,
        max_length=length,
        stride=step,
        tail=rule,
        pad_id=_pad_id(source, kind, rule, pad_id),
        document_mask=mask,
        boundary_labels=labels,
    )


def _default_tail(packing: Packing) -> Tail:
    return "drop" if packing == "concat" else "pad"


def _plan(
    source: TokenSource,
    packing: Packing,
    length: int,
    step: int,
    tail: Tail,
    shuffle: CoreShuffle,
    seed: int,
) -> _core.Plan:
    if packing == "concat":
        return _core.Plan.concat(
            num_tokens=source.num_tokens,
            max_length=length,
            stride=step,
            tail=tail,
            shuffle=shuffle,
            seed=seed,
        )
    if packing == "document":
        return _core.Plan.document(
            store=source.core, max_length=length, stride=step, tail=tail, shuffle=shuffle, seed=seed
        )
    return _packed(source.store, length, shuffle, seed)


def _packed(store: TokenStore | None, length: int, shuffle: CoreShuffle, seed: int) -> _core.Plan:
    """Rows of whole documents, which are kept beside the store once they have been found."""
    assert store is not None  # make_layout has checked
    path = store.path.with_name(f"{store.path.name}.best_fit-{length}-{store.content_hash[:8]}.index")
    plan, kept, reason = _core.Plan.best_fit(
        store=store._core, max_length=length, shuffle=shuffle, seed=seed, index=path
    )
    if kept == "replaced":
        warnings.warn(f"{path} was of no use, {reason}: it has been made anew", RuntimeWarning, stacklevel=5)
    elif kept == "unsaved":
        warnings.warn(
            f"the index of packed rows cannot be written ({reason}): each process packs the documents anew. "
            f"Make the folder writable once, or copy an index there as {path.name}",
            RuntimeWarning,
            stacklevel=5,
        )
    return plan


def _pad_id(source: TokenSource, packing: Packing, tail: Tail, pad_id: object) -> int | None:
    """The id that fills short rows: the one given, or the tokenizer's pad or end-of-text token."""
    if pad_id is not None:
        return check_integer("pad_id", pad_id, 0, 2**32 - 1)
    if tail != "pad":
        return None
    found = source.special_token("pad", "eos")
    if found is None:
        what = 'tail="pad"' if packing == "concat" else f'packing="{packing}"'
        raise ValueError(
            f"{what} needs an id to pad with and the data has none; give pad_id= (labels are masked by "
            "position, so an id in use, such as end-of-text, is safe)"
        )
    return found
