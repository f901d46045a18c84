"""Batch: what one is beside its arrays."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle

import numpy as np
import pytest

import tokenmill as tm


def batch(**options: object) -> tm.Batch:
    return next(iter(tm.DataLoader(range(100), max_length=4, batch_size=2, shuffle=False, **options)))  # type: ignore[arg-type]


def test_fields_are_those_that_the_constructor_takes() -> None:
    names = [field.name for field in dataclasses.fields(tm.Batch)]
    parameters = inspect.signature(tm.Batch).parameters
    assert list(parameters) == names
    for field in dataclasses.fields(tm.Batch):
        default = parameters[field.name].default
        assert default is (inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default)
    values = {name: object() for name in names}
    assert vars(tm.Batch(**values)) == values  # type: ignore[arg-type]
    assert vars(tm.Batch(*values.values())) == values  # type: ignore[arg-type]


def test_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch().epoch = 1  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del batch().step


def test_equals_only_itself() -> None:
    one, other = batch(), batch()
    assert one == one and one != other and len({one, other}) == 2


def test_shows_every_field() -> None:
    assert repr(dataclasses.replace(batch(), step=7)) == (
        "Batch(input_ids=array([[0, 1, 2, 3],\n       [4, 5, 6, 7]]), labels=array([[1, 2, 3, 4],\n"
        "       [5, 6, 7, 8]]), windows=array([0, 1], dtype=uint64), epoch=0, step=7, sources=None, "
        "position_ids=None, document_ids=None, cu_seqlens=None, max_seqlen=None)"
    )


@pytest.mark.parametrize("again", [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy, copy.copy])
def test_is_copied_and_pickled_whole(again: object) -> None:
    one = batch(dtype="int32")
    other = again(one)  # type: ignore[operator]
    assert list(vars(other)) == list(vars(one))
    for name, value in vars(one).items():
        np.testing.assert_array_equal(getattr(other, name), value)
    assert other.labels.dtype == np.int32 and (other.epoch, other.step) == (0, 0)
