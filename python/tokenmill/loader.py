"""Batches of windows for training: shuffled, shared among ranks, resumable by one number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenmill import _core
from tokenmill.batch import Batch
from tokenmill.explain import Explanation, explain
from tokenmill.layout import BoundaryLabels, Packing, Tail, gather
from tokenmill.ledger import Ledger
from tokenmill.make_order import make_order
from tokenmill.mixture import Mixture
from tokenmill.order import ENDLESS, Shuffle, SingleOrder
from tokenmill.tokens import check_bool, check_integer, check_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tokenmill.layout import Allocate
    from tokenmill.tokenizer import Tokenizer

_STATE_VERSION = 1


class Step(NamedTuple):
    """One step of one rank."""

    section: int
    """The epoch, or of a curriculum the stage; 0 in a mixture."""
    number: int
    start: int
    """The first sample of all ranks."""
    size: int
    """How many samples this rank has."""
    rows: list[tuple[int, int]]
    """They, as (first, count); one or more, of which the only one may have none."""
    after: int
    """The position behind it."""


class DataLoader:
    """Iterates over `data` in batches of `batch_size` windows per rank.

    >>> loader = DataLoader(range(1000), max_length=4, batch_size=8, shuffle=False)
    >>> len(loader)
    31
    >>> batch = next(iter(loader))
    >>> batch.input_ids[1], batch.labels[1]
    (array([4, 5, 6, 7]), array([5, 6, 7, 8]))

    data: a TokenStore, a 1-d integer array or list of ids, or a `Mixture` of such sources.
    max_length, stride, tail, pad_id, packing, boundary_labels: as for `Windows`.
    batch_size: rows per rank; a global batch is batch_size * world_size windows.
    shuffle: each epoch is an exact permutation of all windows, computed from (seed, epoch): no memory, no
        start-up time.
        "block", for data that is not in memory: stretches of 2^20 tokens are put in random order, and windows
        are shuffled within each 64 stretches that then follow each other (67 million tokens, 128 MB of
        uint16). As exact, and a disk reads 2 MB at a time in place of one window; but a batch holds windows
        of 64 places of the data only, so sort documents by nothing that matters before `prepare`.
    max_length by stages: {0: 512, 100_000: 1024, 400_000: 2048} has rows of 512 tokens before sample 100,000
        (a row of a global batch, counted from 0), and so on. Windows are of the greatest length, which the
        others must divide, and a stage cuts each into equal rows: no token is repeated or left out where the
        length changes. A batch has rows of one stage. All `epochs` are one sequence, as in a mixture, and
        `windows` number the rows of the stage's length. With "best_fit" shorter rows cut documents that the
        packed row holds whole; where a window is short (tail="pad") some rows are all padding, and with
        packing="document" so many would be that it is refused.
    skip: samples to leave out, [(first, end), ...], for example those after which the loss went up: what was
        sample 1000 is sample 1000 with and without it. Steps are numbered without them.
    drop_last: leave out an epoch's last windows that fill no global batch (they differ from epoch to epoch
        under shuffle). With False the last batch is divided evenly; a rank may get a batch of 0 rows, never
        fewer steps. A stage of max_length ends as an epoch does.
    rank, world_size: this process among those that share each global batch. Together the ranks see what one
        alone would.
    epochs: epochs of one pass, or None for a pass without end (which has no `len()`).
    dtype: "int64" or "int32".
    document_mask: batches have position_ids, document_ids, cu_seqlens and max_seqlen, for attention that
        stays within a document. They come from the store's record of where documents end, never from looking
        for a token. Whether the first token of a document is a label of the last one before it is another
        question: see boundary_labels.

    **Position.** A loader has one, which moves on with each batch taken. `iter(loader)` goes on from it: a
    `for` loop that was left early is continued by the next one. When a pass of `epochs` epochs is over, the
    next `iter` starts the next pass with the following epoch numbers, so `for _ in range(3): for batch in
    loader` sees three orders, the ones that `epochs=3` would show, as with PyTorch's DataLoader.
    `state_dict()` in the loop describes the position after the batch just taken; a new loader that loads it
    goes on exactly there. Two iterators of one loader share its position.
    """

    def __init__(
        self,
        data: Any,
        *,
        max_length: int | Mapping[int, int],
        stride: int | None = None,
        batch_size: int,
        shuffle: Shuffle = True,
        seed: int = 0,
        drop_last: bool = True,
        tail: Tail | None = None,
        pad_id: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        epochs: int | None = 1,
        dtype: Any = "int64",
        packing: Packing = "concat",
        document_mask: bool = False,
        boundary_labels: BoundaryLabels = "keep",
        skip: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.mixture = data if isinstance(data, Mixture) else None
        self.shuffle = _check_shuffle(shuffle)
        self.seed = check_integer("seed", seed, 0, 2**64 - 1)
        self.batch_size = check_integer("batch_size", batch_size, 1)
        self.world_size = check_integer("world_size", world_size, 1)
        self.rank = _check_rank(rank, self.world_size)
        self.epochs = None if epochs is None else check_integer("epochs", epochs, 1)
        self.dtype = _check_dtype(dtype)
        self.order = make_order(
            data,
            shuffle=self.shuffle,
            epochs=self.epochs,
            pad_id=pad_id,
            packing=packing,
            max_length=max_length,
            stride=stride,
            tail=tail,
            document_mask=document_mask,
            boundary_labels=boundary_labels,
            seed=self.seed,
        )
        self.layout = self.order.layouts[0]
        self.max_length, self.stride = self.layout.max_length, self.layout.stride
        self.tail, self.pad_id = self.layout.tail, self.layout.pad_id
        self.skip = _check_skip(skip)
        # Where rows are nothing but tokens of one source, one call gathers them.
        plain = self.layout.plain and isinstance(self.order, SingleOrder)
        self._plain = (self.layout.source.core, self.layout.plan) if plain else None
        self._drop_last = check_bool("drop_last", drop_last)
        self._samples = self.order.num_samples or ENDLESS
        self._batches = _core.Batches(
            samples=self._samples,
            starts=self.order.starts,
            skip=self.skip,
            batch_size=self.batch_size,
            world_size=self.world_size,
            drop_last=self._drop_last,
        )
        self.position = 0

    def __len__(self) -> int:
        """Batches of the whole pass that the position is in, on this rank (every rank has as many)."""
        if self.order.starts is not None:
            if self.order.num_samples is None and self.mixture is not None:
                raise TypeError(
                    'a Mixture with on_exhausted="repeat" and no max_epochs has no len(); it never ends'
                )
            if self.order.num_samples is not None:
                return self._batches.steps_before(len(self.order.starts))
        if self.epochs is None:
            raise TypeError("a DataLoader with epochs=None has no len(); it never ends")
        first = self.position // (self._samples * self.epochs) * self.epochs
        return self._batches.steps_before(first + self.epochs) - self._batches.steps_before(first)

    def __iter__(self) -> Iterator[Batch]:
        end = self.pass_end()
        while (step := self.step_at(self.position, end)) is not None:
            batch = self.make(step)
            self.position = step.after
            yield batch

    def pass_end(self) -> int | None:
        """The sample at which the pass that the position is in ends; None: never."""
        if self.order.starts is not None:
            return self.order.num_samples
        if self.epochs is None:
            return None
        one_pass = self._samples * self.epochs
        return (self.position // one_pass + 1) * one_pass

    def step_at(self, position: int, end: int | None) -> Step | None:
        """What comes at a position: a pure function, so that a batch can be made before it is taken."""
        found = self._batches.step(position, self.rank) if end is None or position < end else None
        if found is not None:
            step = Step(*found)
            if end is None or step.start < end:
                return step
        self.order.check_end()
        return None

    def make(self, step: Step, allocate: Allocate | None = None) -> Batch:
        """The batch of a step. Does not look at the position; several threads may call it.

        With `allocate` every array of the batch is contiguous and made by it: see `tokenmill.layout.gather`.
        """
        import numpy as np

        if self._plain is not None and allocate is None:
            data, plan = self._plain
            rows = np.empty((step.size, self.max_length + 1), self.dtype)
            windows = _core.gather(data, plan, step.rows, rows)
            return Batch(rows[:, :-1], rows[:, 1:], windows, step.section, step.number)
        layouts = self.order.layouts_of(step.section)
        epoch = step.section if self.order.starts is None else 0
        samples = _numbers(step.rows)
        drawn, chosen = self.order.draw(samples), None
        if drawn.sources is not None and len(samples):
            # Of a thousand sources only those in the batch are opened up.
            used, places = np.unique(drawn.sources, return_inverse=True)
            layouts, chosen = [layouts[source] for source in used], places.astype(np.uint32)
        columns = gather(layouts, drawn.windows, chosen, dtype=self.dtype, allocate=allocate)
        return Batch(
            windows=drawn.windows, epoch=epoch, step=step.number, sources=drawn.sources, **vars(columns)
        )

    def check_model(self, *, vocab_size: int | None = None, tokenizer: Tokenizer | None = None) -> None:
        """Refuses a model that does not fit the data, before it trains on ids that mean something else.

        vocab_size: how many ids the model has. Every id of the data must be below; of an array all are looked
            at (about 1 s per GB), of a store its tokenizer's number. tokenizer: the model's. The stores must
            have been encoded by the same one; of an array nobody knows.

        Raises ValueError, saying what differs.
        """
        if vocab_size is None and tokenizer is None:
            raise TypeError(
                "check_model compares nothing; give the model's vocab_size, its tokenizer, or both"
            )
        if vocab_size is not None:
            check_integer("vocab_size", vocab_size, 1)
        if tokenizer is not None and not hasattr(tokenizer, "fingerprint"):
            raise TypeError(
                f"tokenizer={tokenizer!r} is a {type(tokenizer).__name__}; give a tokenmill.Tokenizer, for "
                "example Tokenizer.load(path)"
            )
        check_model([layout.source for layout in self.order.layouts], vocab_size, tokenizer)

    def explain(self, step: int, row: int, column: int) -> Explanation:
        """What stands at `row` and `column` of this rank's batch `step`, traced to file, document and byte.

        Steps are counted from the start of epoch 0, with this loader's batch_size and world_size throughout.
        IndexError: there is no such place.
        """
        start = self._batches.find(check_integer("step", step, 0))
        found = None if start is None else self.step_at(start, None)
        if found is None:
            raise IndexError(f"step {step} does not exist")
        samples, layouts = _numbers(found.rows), self.order.layouts_of(found.section)
        for name, value, size in (("row", row, len(samples)), ("column", column, layouts[0].max_length)):
            if not 0 <= check_integer(name, value, -(2**63)) < size:
                raise IndexError(f"{name} {value} does not exist; this batch has {size}, counted from 0")
        source, epoch, window = self.order.one(int(samples[row]))
        return explain(
            layouts[source],
            step=step,
            row=row,
            column=column,
            epoch=epoch,
            source=source,
            window=window,
        )

    def ledger(self, source: int = 0, *, samples: int | None = None) -> Ledger:
        """What becomes of every stored token, and of every place, in the batches of all ranks together.

        source: of a mixture, which one is counted. samples: how many samples are gone through, from the first
            on; default: those of the first pass, of all stages, or up to the mixture's end.

        Counted is what comes, with this loader's batch_size and world_size throughout: what drop_last and
        skip leave out is not. Looks at each window once, at each sample that lies in no whole epoch, and at
        where all documents end, if packing or masks depend on it: about a second for 10^7 windows.
        Raises ValueError where a mixture never ends and `samples` is not given.
        """
        layouts = self.order.layouts
        if not 0 <= check_integer("source", source, -(2**63)) < len(layouts):
            raise IndexError(f"source {source} does not exist; there are {len(layouts)}, counted from 0")
        layout = layouts[source]
        times, numbers = layout.plan.ledger(
            batches=self._batches,
            end=self._ledger_end(samples),
            source=source,
            masked_at=layout.source.core if layout.boundary_labels == "mask" else None,
            **self.order.counting(),
        )
        return Ledger(times=times, **numbers)

    def _ledger_end(self, samples: int | None) -> int:
        of_all = self.order.num_samples
        last = ENDLESS if self.order.starts is None or of_all is None else of_all
        if samples is not None:
            return check_integer("samples", samples, 1, last)
        if self.order.starts is None:
            return self._samples * (self.epochs or 1)
        if of_all is None:
            raise ValueError("this sequence never ends; say how many samples to count: ledger(samples=N)")
        return of_all

    @property
    def dropped_tokens(self) -> int:
        """How many tokens, of all sources, are a label of no window (see `ledger` for what else is not)."""
        return sum(layout.plan.dropped_tokens() for layout in self.order.layouts)

    def state_dict(self) -> dict[str, Any]:
        """The position, and what it is a position in, as a small dict for `json.dumps`.

        It is the same on all ranks. The first call hashes the data where that is an array (about 1 s per GB).
        """
        return {
            "version": _STATE_VERSION,
            "next_sample": self.position,
            **self.order.describe(),
            "skip": [list(samples) for samples in self.skip],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Moves to the position of a `state_dict`.

        batch_size, world_size and rank may differ from those of the loader that made it: the windows not yet
        seen are divided anew, none is repeated, and none is left out but by drop_last. Raises ValueError,
        saying what differs, for another version, plan or data; the position is then unchanged. What is to be
        skipped may differ from the position on.
        """
        version = state.get("version")
        if version != _STATE_VERSION:
            raise ValueError(
                f"this state has version {version!r}, this DataLoader reads version {_STATE_VERSION}"
            )
        position = check_integer("next_sample", state.get("next_sample"), 0)
        differences = self.order.differences(state)
        ours, theirs = (_skipped_before(position, skip) for skip in (self.skip, state.get("skip") or []))
        if ours != theirs:
            differences.append(f"skip before sample {position} is {ours} here and {theirs} in the state")
        if differences:
            raise ValueError(
                "this state belongs to another loader: "
                + "; ".join(differences)
                + ". Use the data and options that the state was made with, or start anew without it"
            )
        self.position = position

    def __repr__(self) -> str:
        layout = self.layout
        what = f"{self._samples} windows of {layout.source.num_tokens} tokens"
        if self.mixture is not None:
            what = repr(self.mixture)
        return (
            f"DataLoader({what}, max_length={self.max_length}, stride={self.stride}, "
            f"batch_size={self.batch_size}, rank {self.rank} of {self.world_size})"
        )


def _numbers(ranges: Sequence[tuple[int, int]]) -> NDArray[np.uint64]:
    """The samples of ranges (first, count)."""
    import numpy as np

    numbers = [np.arange(first, first + count, dtype=np.uint64) for first, count in ranges]
    return numbers[0] if len(numbers) == 1 else np.concatenate(numbers)


def _check_skip(skip: object) -> list[tuple[int, int]]:
    """Ranges in order, those that touch made one."""
    try:
        pairs = [(first, end) for first, end in skip]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise TypeError(f"skip={skip!r} is not a list of pairs (first sample, end)") from None
    merged: list[tuple[int, int]] = []
    for first, end in sorted((check_integer("skip", a, 0), check_integer("skip", b, 0)) for a, b in pairs):
        if first >= end:
            raise ValueError(
                f"skip has ({first}, {end}), which is no sample; the end must be above the first"
            )
        if merged and first <= merged[-1][1]:
            first, end = merged[-1][0], max(merged.pop()[1], end)
        merged.append((first, end))
    return merged


def _skipped_before(position: int, skip: Sequence[Sequence[int]]) -> list[list[int]]:
    return [[first, min(end, position)] for first, end in skip if first < position]


def _check_rank(rank: object, world_size: int) -> int:
    number = check_integer("rank", rank, 0)
    if number >= world_size:
        raise ValueError(
            f"rank={number} is not below world_size={world_size}; ranks are 0 to {world_size - 1}"
        )
    return number


def _check_shuffle(shuffle: object) -> Shuffle:
    if isinstance(shuffle, bool):
        return shuffle
    if isinstance(shuffle, str) and shuffle == "block":
        return "block"
    error = ValueError if isinstance(shuffle, str) else TypeError
    raise error(f'shuffle={shuffle!r} is unknown; choose True, False or "block"')


def _check_dtype(dtype: object) -> str:
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", getattr(dtype, "__name__", None))
    if name not in ("int64", "int32"):
        raise ValueError(f'dtype={dtype!r} is not supported; choose "int64" or "int32"')
    return str(name)
