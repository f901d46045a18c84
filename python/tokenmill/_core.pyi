from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__version__: str

class DocumentError(ValueError): ...
class FormatError(ValueError): ...
class StoreError(ValueError): ...
class UnknownTokenError(ValueError): ...

# sample.rs

@final
class Plan:
    def __new__(
        cls, *, num_tokens: int, max_length: int, stride: int, tail: str, shuffle: bool, seed: int
    ) -> Plan: ...
    @property
    def num_windows(self) -> int: ...
    @property
    def dropped_tokens(self) -> int: ...
    def window(self, epoch: int, i: int) -> int: ...
    def windows(self, epoch: int, first: int, count: int) -> NDArray[np.uint64]: ...
    def locate(self, windows: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]: ...

@final
class Batches:
    def __new__(cls, *, samples: int, batch_size: int, world_size: int, drop_last: bool) -> Batches: ...
    @property
    def steps_per_epoch(self) -> int: ...
    def rows(self, first: int, rank: int) -> tuple[int, int, int] | None: ...

def gather(
    data: Any,
    plan: Plan,
    epoch: int,
    first: int,
    count: int,
    pad_id: int | None,
    out: NDArray[np.int64] | NDArray[np.int32],
) -> NDArray[np.uint64]: ...
def gather_windows(
    data: Any,
    plan: Plan,
    windows: NDArray[np.uint64],
    pad_id: int | None,
    out: NDArray[np.int64] | NDArray[np.int32],
) -> None: ...
