"""Batches as JAX arrays, on one device or sharded over many, of one host or several; and a source for Grain.

>>> import tokenmill as tm
>>> loader = JaxLoader(tm.DataLoader(range(1000), max_length=4, batch_size=8, dtype="int32", shuffle=False))
>>> batch = next(iter(loader))
>>> batch.input_ids[1].tolist(), batch.labels[1].tolist()
([4, 5, 6, 7], [5, 6, 7, 8])

Needs `pip install tokenmill[jax]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsIndex

try:
    import jax
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"tokenmill.jax needs JAX ({error}); install it: pip install 'tokenmill[jax]'", name=error.name
    ) from None

from tokenmill.ahead import ahead
from tokenmill.sampling import Windows
from tokenmill.tokens import check_integer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tokenmill.loader import DataLoader, Step


@dataclass(frozen=True, eq=False, kw_only=True)
class JaxBatch:
    """`tokenmill.Batch` in JAX arrays; `windows` and `sources` stay NumPy arrays, of this process's rows."""

    input_ids: jax.Array
    labels: jax.Array
    windows: NDArray[np.uint64]
    epoch: int
    step: int
    sources: NDArray[np.uint32] | None = None
    position_ids: jax.Array | None = None
    document_ids: jax.Array | None = None


class JaxLoader:
    """Iterates over a `DataLoader` in JAX arrays, made by a thread while the devices compute.

    loader: the DataLoader. Its position is this loader's: do not iterate over both. Its `rank` and
        `world_size` are those of the process (`jax.process_index()`, `jax.process_count()`) and its
        batch_size the rows of one process. JAX works with 32-bit integers unless told otherwise, so
        dtype="int32" is needed unless `jax_enable_x64` is set.
    sharding: how the rows of the global batch lie on the devices, such as `NamedSharding(mesh, P("data"))`;
        each process gives its part. None: the default device.
    prefetch: batches made ahead; 0: none, and no thread.

    `state_dict()` is the DataLoader's, and counts the batches that were taken.
    """

    def __init__(
        self, loader: DataLoader, *, sharding: jax.sharding.Sharding | None = None, prefetch: int = 2
    ) -> None:
        if loader.dtype == "int64" and not jax.config.jax_enable_x64:  # type: ignore[attr-defined]
            raise ValueError(
                "the loader makes int64, which JAX would cut to 32 bits; give the DataLoader "
                'dtype="int32", or set jax_enable_x64'
            )
        if sharding is None and loader.world_size > 1:
            raise ValueError(
                f"the loader is rank {loader.rank} of {loader.world_size}; give the sharding of the global "
                "batch"
            )
        self.loader = loader
        self.sharding = sharding
        self.prefetch = check_integer("prefetch", prefetch, 0, 1000)

    def __len__(self) -> int:
        """Batches of one whole pass."""
        return len(self.loader)

    def __iter__(self) -> Iterator[JaxBatch]:
        return ahead(self.loader, self._make, self.prefetch)

    def _make(self, step: Step) -> JaxBatch:
        batch = self.loader.make(step)
        return JaxBatch(
            input_ids=self._array(batch.input_ids),
            labels=self._array(batch.labels),
            windows=batch.windows,
            epoch=batch.epoch,
            step=batch.step,
            sources=batch.sources,
            position_ids=None if batch.position_ids is None else self._array(batch.position_ids),
            document_ids=None if batch.document_ids is None else self._array(batch.document_ids),
        )

    def _array(self, rows: NDArray[Any]) -> jax.Array:
        array: jax.Array
        if self.sharding is None:
            array = jax.device_put(rows)
        else:
            array = jax.make_array_from_process_local_data(self.sharding, rows)  # type: ignore[no-untyped-call]
        return array

    def state_dict(self) -> dict[str, Any]:
        """The position after the batch just taken: see `DataLoader.state_dict`."""
        return self.loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Moves to the position of a `state_dict`; an iterator that runs does not heed it."""
        self.loader.load_state_dict(state)


class GrainSource(Windows):
    """Windows as a random-access source for Grain: `grain.MapDataset.source(GrainSource(store,
    max_length=1024))`.

    Takes the arguments of `tokenmill.Windows`. Items are dicts of NumPy arrays, for Grain to batch.

    >>> GrainSource(range(100, 108), max_length=4)[0]
    {'input_ids': array([100, 101, 102, 103]), 'labels': array([101, 102, 103, 104])}
    """

    def __getitem__(self, index: SupportsIndex) -> dict[str, NDArray[np.int64]]:  # type: ignore[override]
        [(input_ids, labels)] = self.__getitems__([index.__index__()])
        return {"input_ids": input_ids, "labels": labels}
