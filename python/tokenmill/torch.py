"""Batches as PyTorch tensors: a loader that works ahead of the model, and a dataset for torch's own loaders.

>>> import tokenmill as tm
>>> loader = TorchLoader(tm.DataLoader(range(1000), max_length=4, batch_size=8, shuffle=False))
>>> batch = next(iter(loader))
>>> batch.input_ids[1], batch.labels[1]
(tensor([4, 5, 6, 7]), tensor([5, 6, 7, 8]))

Needs `pip install tokenmill[torch]`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
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

from tokenmill.sampling import Tail, Windows, check_bool, check_integer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tokenmill.loader import Batch, DataLoader, Step


@dataclass(frozen=True, eq=False, kw_only=True)
class TorchBatch:
    """`tokenmill.Batch` in tensors. L is max_length; ids are int64 (or int32, the loader's dtype).

    input_ids: shape [rows, L], on the loader's device.
    labels: shape [rows, L]: the token after each input; -100 where the window is padded.
    windows: shape [rows], a NumPy array of uint64: the number of each row's window.
    epoch, step: as in `tokenmill.Batch`.

    The tensors are contiguous, so that `labels.view(-1)` works, and share memory with nothing.
    """

    input_ids: Tensor
    labels: Tensor
    windows: NDArray[np.uint64]
    epoch: int
    step: int

    def for_transformers(self) -> dict[str, Tensor]:
        """The arguments for a causal language model of transformers: `model(**batch.for_transformers())`.

        Those models move `labels` one token ahead themselves; `shift_labels` says that this has been done.
        """
        return for_transformers(self.input_ids, self.labels)


def for_transformers(input_ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Inputs and labels one token ahead, under the names that models of transformers take them by."""
    return {"input_ids": input_ids, "labels": labels, "shift_labels": labels}


class TorchLoader:
    """Iterates over a `DataLoader` in tensors on `device`, made by a thread while the model works.

    One thread is enough: a batch is one call into Rust without the GIL, and needs no worker process. For a
    CUDA device batches lie in page-locked memory, and are copied from there while the device computes.

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
        maker = _CudaMaker if self.device.type == "cuda" else _Maker
        makers = [maker(self.loader, self.device) for _ in range(self.prefetch + 1)]
        if self.prefetch == 0:
            yield from self._iterate(makers, lambda maker, step: _Made(maker.make(step)))
            return
        executor = ThreadPoolExecutor(1, thread_name_prefix="tokenmill-batches")
        try:
            yield from self._iterate(makers, lambda maker, step: executor.submit(maker.make, step))
        finally:
            executor.shutdown(cancel_futures=True)

    def _iterate(
        self, makers: list[_Maker], start: Callable[[_Maker, Step], _Made | Future[TorchBatch]]
    ) -> Iterator[TorchBatch]:
        """Each maker has at most one batch under way; they take turns."""
        loader = self.loader
        position, end = loader.position, loader.pass_end()
        under_way: deque[tuple[_Maker, Step, _Made | Future[TorchBatch]]] = deque()
        while True:
            while len(under_way) < max(self.prefetch, 1):
                step = loader.step_at(position, end)
                if step is None:
                    break
                position = step.after
                makers.append(makers.pop(0))
                under_way.append((makers[-1], step, start(makers[-1], step)))
            if not under_way:
                return
            maker, step, made = under_way.popleft()
            batch = maker.hand_over(made.result())
            loader.position = step.after
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The position after the batch just taken: see `DataLoader.state_dict`."""
        return self.loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Moves to the position of a `state_dict`; an iterator that runs does not heed it."""
        self.loader.load_state_dict(state)


@dataclass(frozen=True)
class _Made:
    """A future that is there already."""

    batch: TorchBatch

    def result(self) -> TorchBatch:
        return self.batch


def _tensors(batch: Batch, input_ids: Tensor, labels: Tensor) -> TorchBatch:
    return TorchBatch(
        input_ids=input_ids, labels=labels, windows=batch.windows, epoch=batch.epoch, step=batch.step
    )


class _Maker:
    """Makes batches in ordinary memory, each in its own."""

    def __init__(self, loader: DataLoader, device: torch.device) -> None:
        self.loader = loader
        self.device = device

    def make(self, step: Step) -> TorchBatch:
        """The batch of a step; runs in the thread."""
        batch = self.loader.make(step)
        inputs, labels = (torch.from_numpy(ids).contiguous() for ids in (batch.input_ids, batch.labels))
        return _tensors(batch, inputs.to(self.device), labels.to(self.device))

    def hand_over(self, batch: TorchBatch) -> TorchBatch:
        """The batch, fit for use by the caller's thread; runs there."""
        return batch


class _CudaMaker(_Maker):
    """Makes batches in page-locked memory of its own and copies them to the device on a stream of its own."""

    def __init__(self, loader: DataLoader, device: torch.device) -> None:
        super().__init__(loader, device)
        shape, dtype = (2, loader.batch_size, loader.max_length), getattr(torch, loader.dtype)
        self.memory = torch.empty(shape, dtype=dtype, pin_memory=True)
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.copied = torch.cuda.Event()  # type: ignore[no-untyped-call]

    def make(self, step: Step) -> TorchBatch:
        self.copied.synchronize()  # the batch before has left this memory
        batch = self.loader.make(step)
        inputs, labels = self.memory[:, : step.count]
        inputs.copy_(torch.from_numpy(batch.input_ids))
        labels.copy_(torch.from_numpy(batch.labels))
        with torch.cuda.stream(self.stream):
            ready = _tensors(
                batch,
                inputs.to(self.device, non_blocking=True),
                labels.to(self.device, non_blocking=True),
            )
            self.copied.record(self.stream)
        return ready

    def hand_over(self, batch: TorchBatch) -> TorchBatch:
        current = torch.cuda.current_stream(self.device)
        current.wait_event(self.copied)
        for tensor in (batch.input_ids, batch.labels):
            tensor.record_stream(current)  # or its memory may be given to the next batch while in use
        return batch


class WindowDataset(Dataset[dict[str, Tensor]]):
    """All windows over `data` as a map-style dataset of dicts.

    For torch's DataLoader, torchdata's StatefulDataLoader and transformers' Trainer.

    >>> dataset = WindowDataset(range(100, 108), max_length=4, stride=1)
    >>> len(dataset), dataset[0]
    (4, {'input_ids': tensor([100, 101, 102, 103]), 'labels': tensor([101, 102, 103, 104])})

    data, max_length, stride, tail, pad_id: as for `tokenmill.Windows`. The tensors are int64, of shape
    [max_length]; a whole batch is read in one call (`__getitems__`).
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
        tail: Tail = "drop",
        pad_id: int | None = None,
        transformers: bool = False,
    ) -> None:
        self.windows = Windows(data, max_length=max_length, stride=stride, tail=tail, pad_id=pad_id)
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
            items.append(
                for_transformers(input_ids, labels)
                if self.transformers
                else {"input_ids": input_ids, "labels": labels}
            )
        return items
