"""Batches as PyTorch tensors: a loader that works ahead of the model, and a dataset for torch's own loaders.

>>> import tokenmill as tm
>>> loader = TorchLoader(tm.DataLoader(range(1000), max_length=4, batch_size=8, shuffle=False))
>>> batch = next(iter(loader))
>>> batch.input_ids[1], batch.labels[1]
(tensor([4, 5, 6, 7]), tensor([5, 6, 7, 8]))

Needs `pip install tokenmill[torch]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

try:
    import torch
    from torch import Tensor
    from torch.utils.data import Dataset
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"tokenmill.torch needs PyTorch ({error}); install it: pip install 'tokenmill[torch]'",
        name=error.name,
    ) from None

from tokenmill.ahead import ahead
from tokenmill.layout import BoundaryLabels, Packing, Tail
from tokenmill.sampling import Windows
from tokenmill.tokens import check_bool, check_integer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tokenmill.loader import DataLoader, Step


@dataclass(frozen=True, eq=False, kw_only=True)
class TorchBatch:
    """`tokenmill.Batch` in tensors on one device; `windows` and `sources` stay NumPy arrays.

    The tensors are contiguous, so that `labels.view(-1)` works, and share memory with nothing. `document_ids`
    and `cu_seqlens` are int32, the others int64 (or int32, the loader's dtype).
    """

    input_ids: Tensor
    labels: Tensor
    windows: NDArray[np.uint64]
    epoch: int
    step: int
    sources: NDArray[np.uint32] | None = None
    position_ids: Tensor | None = None
    document_ids: Tensor | None = None
    cu_seqlens: Tensor | None = None
    max_seqlen: int | None = None

    def to(self, device: torch.device | str | int, *, non_blocking: bool = False) -> TorchBatch:
        """The batch with its tensors on a device: itself where they are there already.

        Lightning and accelerate move batches by this method.
        """
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        moved: dict[str, Any] = {
            name: tensor.to(device, non_blocking=non_blocking) for name, tensor in tensors.items()
        }
        if all(moved[name] is tensor for name, tensor in tensors.items()):
            return self
        return replace(self, **moved)

    def for_transformers(self) -> dict[str, Tensor | bool]:
        """The arguments for a causal language model of transformers: `model(**batch.for_transformers())`.

        Those models move `labels` one token ahead themselves; `shift_labels` says that this has been done.
        From `position_ids`, where the loader has document masks, they see which tokens belong together, but
        only where nothing is kept for generating: `use_cache` is False.
        """
        arguments: dict[str, Tensor | bool] = {
            "input_ids": self.input_ids,
            "labels": self.labels,
            "shift_labels": self.labels,
        }
        if self.position_ids is not None:
            arguments |= {"position_ids": self.position_ids, "use_cache": False}
        return arguments


class TorchLoader:
    """Iterates over a `DataLoader` in tensors on `device`, made by a thread while the model works.

    One thread is enough: a batch is one call into Rust without the GIL, and needs no worker process. For a
    CUDA device batches are gathered into page-locked memory, and copied from there while the device computes.

    loader: the DataLoader. Its position is this loader's: do not iterate over both.
    device: where the tensors are to be.
    prefetch: batches made ahead; 0: none, and no thread.

    `state_dict()` is the DataLoader's, and counts the batches that were taken, not those made ahead. Code
    that saves and loads a `torchdata.stateful_dataloader.StatefulDataLoader` can do so with this loader.
    """

    def __init__(
        self, loader: DataLoader, *, device: torch.device | str | int = "cpu", prefetch: int = 2
    ) -> None:
        self.loader = loader
        self.device = torch.device(device)
        self.prefetch = check_integer("prefetch", prefetch, 0, 1000)

    def __len__(self) -> int:
        """Batches of one whole pass."""
        return len(self.loader)

    def __iter__(self) -> Iterator[TorchBatch]:
        transfer = _CudaTransfer(self.device) if self.device.type == "cuda" else _Transfer(self.device)
        batches = ahead(self.loader, partial(transfer.send, self.loader), self.prefetch)
        try:
            for batch in batches:
                yield transfer.receive(batch)
        finally:
            batches.close()  # ends the thread at once where the loop is left

    def state_dict(self) -> dict[str, Any]:
        """The position after the batch just taken: see `DataLoader.state_dict`."""
        return self.loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Moves to the position of a `state_dict`; an iterator that runs does not heed it."""
        self.loader.load_state_dict(state)


class _Transfer:
    """Batches from a DataLoader to a device: sent by one thread, received by another."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def send(self, loader: DataLoader, step: Step) -> TorchBatch:
        return self._moved(loader, step, pinned=False)

    def receive(self, batch: TorchBatch) -> TorchBatch:
        return batch

    def _moved(self, loader: DataLoader, step: Step, *, pinned: bool) -> TorchBatch:
        blocks: list[Tensor] = []

        def allocate(shape: tuple[int, int, int], dtype: str) -> NDArray[Any]:
            blocks.append(torch.empty(shape, dtype=getattr(torch, dtype), pin_memory=pinned))
            return blocks[-1].numpy()

        batch = loader.make(step, allocate)
        columns = [column for block in blocks for column in block.to(self.device, non_blocking=pinned)]
        if batch.cu_seqlens is not None:
            columns.append(torch.from_numpy(batch.cu_seqlens).to(self.device))
        input_ids, labels, position_ids, document_ids, cu_seqlens = columns + [None] * (5 - len(columns))
        return TorchBatch(
            input_ids=input_ids,
            labels=labels,
            windows=batch.windows,
            epoch=batch.epoch,
            step=batch.step,
            sources=batch.sources,
            position_ids=position_ids,
            document_ids=document_ids,
            cu_seqlens=cu_seqlens,
            max_seqlen=batch.max_seqlen,
        )


class _CudaTransfer(_Transfer):
    """Copies from page-locked memory, on a stream of its own.

    PyTorch's allocator keeps page-locked memory for reuse, and reuses it only when copies from it are done.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.events: dict[int, torch.cuda.Event] = {}

    def send(self, loader: DataLoader, step: Step) -> TorchBatch:
        with torch.cuda.stream(self.stream):
            batch = self._moved(loader, step, pinned=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record(self.stream)
        self.events[id(batch)] = event
        return batch

    def receive(self, batch: TorchBatch) -> TorchBatch:
        current = torch.cuda.current_stream(self.device)
        current.wait_event(self.events.pop(id(batch)))
        for tensor in (
            batch.input_ids,
            batch.labels,
            batch.position_ids,
            batch.document_ids,
            batch.cu_seqlens,
        ):
            if tensor is not None:
                tensor.record_stream(current)  # or its memory may go to the next batch while in use here
        return batch


class WindowDataset(Dataset[dict[str, Tensor]]):
    """All windows over `data` as a map-style dataset of dicts.

    For torch's DataLoader, torchdata's StatefulDataLoader and transformers' Trainer.

    >>> dataset = WindowDataset(range(100, 108), max_length=4, stride=1)
    >>> len(dataset), dataset[0]
    (4, {'input_ids': tensor([100, 101, 102, 103]), 'labels': tensor([101, 102, 103, 104])})

    data, max_length, stride, tail, pad_id, packing, boundary_labels: as for `tokenmill.Windows`. The tensors
    are int64, of shape [max_length]; a whole batch is read in one call (`__getitems__`).
    transformers: each dict has a third entry, "shift_labels", which tells models of transformers that the
        labels are one token ahead already (see `TorchBatch.for_transformers`). `TrainingArguments` need
        `remove_unused_columns=False`, or the Trainer removes it.

    `TorchLoader` is faster, shuffles in no memory and resumes on another number of ranks: use this class
    where a framework insists on building the loader.
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
        transformers: bool = False,
    ) -> None:
        self.windows = Windows(
            data,
            max_length=max_length,
            stride=stride,
            tail=tail,
            pad_id=pad_id,
            packing=packing,
            boundary_labels=boundary_labels,
        )
        self.transformers = check_bool("transformers", transformers)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Tensor]]:
        """Several windows in one call."""
        items = []
        for pair in self.windows.__getitems__(indices):
            input_ids, labels = (torch.from_numpy(ids) for ids in pair)
            item = {"input_ids": input_ids, "labels": labels}
            items.append(item | {"shift_labels": labels} if self.transformers else item)
        return items
