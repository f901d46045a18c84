"""Batches made by a thread before they are taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tokenmill.loader import DataLoader, Step

T = TypeVar("T")


def ahead(loader: DataLoader, make: Callable[[Step], T], prefetch: int) -> Generator[T, None, None]:
    """What `make` makes of each step of the loader's pass, up to `prefetch` of them before they are taken.

    `make` runs in one thread of its own (with prefetch=0 in the caller's), step after step. The loader's
    position moves when a batch is taken.
    """
    if prefetch == 0:
        end = loader.pass_end()
        while (step := loader.step_at(loader.position, end)) is not None:
            made = make(step)
            loader.position = step.after
            yield made
        return
    executor = ThreadPoolExecutor(1, thread_name_prefix="tokenmill-batches")
    try:
        for step, future in _started(loader, lambda step: executor.submit(make, step), prefetch):
            made = future.result()
            loader.position = step.after
            yield made
    finally:
        executor.shutdown(cancel_futures=True)


def _started(
    loader: DataLoader, start: Callable[[Step], Future[T]], prefetch: int
) -> Iterator[tuple[Step, Future[T]]]:
    """The steps from the loader's position on, `prefetch` of them started before the first is waited for."""
    position, end = loader.position, loader.pass_end()
    started: deque[tuple[Step, Future[T]]] = deque()
    while True:
        while len(started) < prefetch:
            step = loader.step_at(position, end)
            if step is None:
                break
            started.append((step, start(step)))
            position = step.after
        if not started:
            return
        yield started.popleft()
