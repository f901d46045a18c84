"""Windows over tokens: inputs, and the same tokens one place later as labels."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from tokenmill import _core
from tokenmill.special_tokens import find
from tokenmill.store import TokenStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from tokenmill.special_tokens import Role

Tail = Literal["drop", "pad", "shift"]

#: The label of padding: what PyTorch's cross-entropy ignores by default.
IGNORE_INDEX = -100

_LARGEST = 2**63 - 1
_BORROWED = ("uint16", "uint32", "int32", "int64")
_CONVERTED = {"uint8": "uint16", "int8": "int32", "int16": "int32", "uint64": "int64"}


def as_integer(name: str, value: object) -> int:
    """`value` as an int; a bool is refused, it is a misplaced argument."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}; give an integer") from None


def check_integer(name: str, value: object, least: int, most: int = _LARGEST) -> int:
    """`value` as an int between `least` and `most`."""
    number = as_integer(name, value)
    if not least <= number <= most:
        raise ValueError(f"{name}={number} is out of range; it must be between {least} and {most}")
    return number


def check_bool(name: str, value: object) -> bool:
    """`value`, which must be True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}; give True or False")
    return value


@dataclass(frozen=True, eq=False)
class TokenSource:
    """Tokens as the core reads them: an array, or the memory maps of a store."""

    core: Any
    num_tokens: int
    store: TokenStore | None = None

    def identity(self) -> dict[str, Any]:
        """What tells these tokens from others, JSON-able. Reads a whole array (1 s per GB), no store."""
        if self.store is not None:
            return {"kind": "store", "content_hash": self.store.content_hash}
        import hashlib

        little = self.core.astype(self.core.dtype.newbyteorder("<"), copy=False)
        digest = hashlib.sha256(memoryview(little)).hexdigest()
        return {
            "kind": "array",
            "dtype": self.core.dtype.name,
            "num_tokens": self.num_tokens,
            "sha256": digest,
        }

    def special_token(self, *roles: Role) -> int | None:
        """The id of the first of these roles ("pad", "eos") that the store's tokenizer has."""
        if self.store is None:
            return None
        tokens = self.store.tokenizer.special_tokens
        names = (find(tokens, role) for role in roles)
        return next((tokens[name] for name in names if name is not None), None)


def as_tokens(data: Any) -> TokenSource:
    """The tokens of a TokenStore or of a 1-d integer array (or list).

    Arrays of uint16, uint32, int32 and int64 are borrowed, not copied, so a `numpy.memmap` of any size will
    do; their ids are not looked at. Others are converted and checked.
    """
    if isinstance(data, TokenStore):
        return TokenSource(core=data._core, num_tokens=data.num_tokens, store=data)
    array = _as_array(data)
    return TokenSource(core=array, num_tokens=len(array))


def _as_array(data: Any) -> NDArray[Any]:
    import numpy as np

    if isinstance(data, (str, bytes)):
        raise TypeError("data is text; encode it first: tokenizer.encode_to_numpy(text)")
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(f"data is not a 1-d array of token ids: {error}") from None
    if array.ndim != 1:
        raise ValueError(f"data has shape {array.shape}; give a 1-d array of token ids, e.g. data.ravel()")
    if array.size == 0 and not hasattr(data, "dtype"):
        return np.empty(0, np.int64)  # NumPy makes floats of []
    name = array.dtype.name
    if name not in _BORROWED and name not in _CONVERTED:
        raise TypeError(f"data has dtype {array.dtype}; token ids are integers, e.g. data.astype('uint32')")
    if name in _CONVERTED or not hasattr(data, "dtype"):
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        if low < 0 or high > _LARGEST:
            raise ValueError(
                f"data has ids from {low} to {high}; token ids are 0 to {_LARGEST}. Is {name} its dtype?"
            )
    return np.require(array, np.dtype(_CONVERTED.get(name, name)), ["C", "A"])


def resolve_pad_id(source: TokenSource, tail: str, pad_id: object) -> int | None:
    """The id that fills short windows: the one given, or the tokenizer's pad or end-of-text token."""
    if pad_id is not None:
        return check_integer("pad_id", pad_id, 0, 2**32 - 1)
    if tail != "pad":
        return None
    found = source.special_token("pad", "eos")
    if found is None:
        raise ValueError(
            'tail="pad" needs an id to pad with and the data has none; give pad_id= (labels are masked by '
            "position, so an id in use, such as end-of-text, is safe)"
        )
    return found


def make_plan(
    source: TokenSource,
    *,
    max_length: object,
    stride: object,
    tail: object,
    shuffle: bool = False,
    seed: int = 0,
) -> tuple[_core.Plan, int, int]:
    """The plan, its max_length and its stride, checked."""
    length = check_integer("max_length", max_length, 1)
    step = length if stride is None else check_integer("stride", stride, 1)
    if not isinstance(tail, str):
        raise TypeError(f'tail={tail!r} is a {type(tail).__name__}; choose "drop", "pad" or "shift"')
    plan = _core.Plan(
        num_tokens=source.num_tokens, max_length=length, stride=step, tail=tail, shuffle=shuffle, seed=seed
    )
    return plan, length, step


def labels_of(rows: NDArray[Any], plan: _core.Plan, windows: NDArray[np.uint64], tail: str) -> NDArray[Any]:
    """The labels in rows of max_length + 1 ids: a view of them, or a copy where padding is masked."""
    labels = rows[:, 1:]
    if tail != "pad":
        return labels
    _, valid = plan.locate(windows)
    short = (valid < labels.shape[1]).nonzero()[0]
    if len(short):
        labels = labels.copy()
        for row in short:
            labels[row, int(valid[row]) :] = IGNORE_INDEX
    return labels


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
        window that ends with the last token and overlaps the one before.
    pad_id: default for a store is its tokenizer's pad token, else its end-of-text token; required for an
        array.

    Raises ValueError where the data is too short for one window (max_length tokens or fewer, unless
    tail="pad"). Follows the map-style protocol of torch.utils.data (len, items, batches of items; picklable).
    """

    def __init__(
        self,
        data: Any,
        *,
        max_length: int,
        stride: int | None = None,
        tail: Tail = "drop",
        pad_id: int | None = None,
    ) -> None:
        self._data = data
        self._source = as_tokens(data)
        self._plan, self.max_length, self.stride = make_plan(
            self._source, max_length=max_length, stride=stride, tail=tail
        )
        self.tail = tail
        self.pad_id = resolve_pad_id(self._source, tail, pad_id)

    def __len__(self) -> int:
        return self._plan.num_windows

    def __getitem__(self, index: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Several windows in one call; torch's DataLoader uses it where it is there."""
        import numpy as np

        windows = np.array([self._number(index) for index in indices], dtype=np.uint64)
        rows = np.empty((len(windows), self.max_length + 1), dtype=np.int64)
        _core.gather_windows(self._source.core, self._plan, windows, self.pad_id, rows)
        labels = labels_of(rows, self._plan, windows, self.tail)
        # Copies: changing an input in place must not change a label.
        return [(row[:-1].copy(), label.copy()) for row, label in zip(rows, labels, strict=True)]

    def start(self, index: int) -> int:
        """Which token of the data is the first input of window `index`."""
        import numpy as np

        starts, _ = self._plan.locate(np.array([self._number(index)], dtype=np.uint64))
        return int(starts[0])

    @property
    def dropped_tokens(self) -> int:
        """How many tokens are never a label. The first token is not counted: nothing comes before it."""
        return self._plan.dropped_tokens

    def _number(self, index: int) -> int:
        if isinstance(index, slice):
            raise TypeError("windows[a:b] is not supported; use [windows[i] for i in range(a, b)]")
        count = len(self)
        number = as_integer("index", index)
        if not -count <= number < count:
            raise IndexError(f"window {number} does not exist; there are {count}, counted from 0")
        return number % count

    def __reduce__(self) -> tuple[Any, ...]:
        make = partial(
            Windows, max_length=self.max_length, stride=self.stride, tail=self.tail, pad_id=self.pad_id
        )
        return make, (self._data,)

    def __repr__(self) -> str:
        return (
            f"Windows({len(self)} windows of {self._source.num_tokens} tokens, max_length={self.max_length}, "
            f"stride={self.stride}, tail={self.tail!r})"
        )
