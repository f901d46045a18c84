"""From the options of a DataLoader to its order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from tokenmill.curriculum import CurriculumOrder, check_layout, stages_of
from tokenmill.layout import Layout, make_layout
from tokenmill.mixture import Mixture
from tokenmill.order import MixtureOrder, Shuffle, SingleOrder, core_shuffle
from tokenmill.tokens import TokenSource, as_tokens, check_same_tokenizer

Order: TypeAlias = SingleOrder | MixtureOrder | CurriculumOrder


def make_order(
    data: Any,
    *,
    shuffle: Shuffle,
    seed: int,
    epochs: int | None,
    max_length: object,
    pad_id: object,
    **options: Any,
) -> Order:
    """The order of samples of the data; raises what `tokenmill.DataLoader` documents."""
    if isinstance(data, Mixture) and epochs not in (1, None):
        raise ValueError(
            f"epochs={epochs} means nothing for a mixture, whose sources have epochs of their own; "
            "give max_epochs to the Mixture"
        )
    options |= {"shuffle": core_shuffle(shuffle), "seed": seed}
    if not isinstance(max_length, Mapping):
        return _uniform(data, shuffle, seed, pad_id, options | {"max_length": max_length})
    stages = stages_of(max_length)
    greatest = max(length for _, length in stages)
    inner = _uniform(data, shuffle, seed, pad_id, options | {"max_length": greatest})
    check_layout(inner.layouts[0])
    return CurriculumOrder(inner, stages, epochs=epochs, shuffled=shuffle is not False)


def _uniform(
    data: Any, shuffle: Shuffle, seed: int, pad_id: object, options: dict[str, Any]
) -> SingleOrder | MixtureOrder:
    """Rows of one length."""
    if not isinstance(data, Mixture):
        return SingleOrder(_layout(as_tokens(data), pad_id, options), shuffle=shuffle, seed=seed)
    sources = [as_tokens(source) for source in data.data]
    check_same_tokenizer(sources)
    layouts: list[Layout] = []
    for number, source in enumerate(sources):
        try:
            layouts.append(_layout(source, pad_id, options))
        except ValueError as error:
            if type(error) is not ValueError:
                raise  # a StoreError names its file
            raise ValueError(f"source {number} of the mixture: {error}") from None
        pad_id = layouts[0].pad_id  # one for all rows of a batch
    return MixtureOrder(data, layouts, shuffle=shuffle, seed=seed)


def _layout(source: TokenSource, pad_id: object, options: dict[str, Any]) -> Layout:
    return make_layout(source, pad_id=pad_id, **options)
