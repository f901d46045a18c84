"""Tokens to sample from: a store, or an array; and checks of arguments."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenmill.special_tokens import find
from tokenmill.store import TokenStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tokenmill.special_tokens import Role
    from tokenmill.tokenizer import Tokenizer

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


def check_same_tokenizer(sources: Sequence[TokenSource]) -> None:
    """ValueError where two stores have ids of different tokenizers."""
    known: tuple[int, TokenStore, str] | None = None
    for number, source in enumerate(sources):
        if source.store is None:
            continue
        fingerprint = source.store.manifest["tokenizer_fingerprint"]
        if known is None:
            known = (number, source.store, fingerprint)
        elif fingerprint != known[2]:
            raise ValueError(
                f"sources {known[0]} ({known[1]!r}, tokenizer {known[2][:16]}) and {number} "
                f"({source.store!r}, tokenizer {fingerprint[:16]}) have ids of different tokenizers; prepare "
                "them with the same one"
            )


def check_model(sources: Sequence[TokenSource], vocab_size: int | None, tokenizer: Tokenizer | None) -> None:
    """ValueError where a model with so many ids, or made for a tokenizer, cannot take these tokens."""
    for number, source in enumerate(sources):
        where = f"source {number} of the mixture" if len(sources) > 1 else "the data"
        if source.store is not None and tokenizer is not None:
            _check_tokenizer(where, source.store, tokenizer)
        if vocab_size is not None and source.num_tokens:
            _check_ids(where, source, vocab_size)


def _check_tokenizer(where: str, store: TokenStore, tokenizer: Tokenizer) -> None:
    fingerprint = store.manifest["tokenizer_fingerprint"]
    if fingerprint != tokenizer.fingerprint:
        raise ValueError(
            f"{where} ({store!r}) was encoded by the tokenizer {fingerprint[:16]}, the model is for "
            f"{tokenizer.fingerprint[:16]}: the same id means another token; prepare the text anew with the "
            "model's tokenizer, or train a new model"
        )


def _check_ids(where: str, source: TokenSource, vocab_size: int) -> None:
    if source.store is not None:
        smallest, largest = 0, source.store.vocab_size - 1
    else:
        smallest, largest = int(source.core.min()), int(source.core.max())
    if smallest < 0:
        raise ValueError(
            f"{where} has id {smallest}; ids are 0 or more. Padding or ignored labels do not belong into the "
            "data"
        )
    if largest >= vocab_size:
        what = f"id {largest}" if source.store is None else f"ids up to {largest} by its tokenizer"
        raise ValueError(
            f"{where} has {what}, the model has {vocab_size} ids (0 to {vocab_size - 1}); make the model "
            f"with vocab_size={largest + 1} or more"
        )


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
