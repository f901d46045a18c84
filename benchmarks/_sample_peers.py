"""How each contender makes batches: its fastest public way that we know. Each runs in its own environment.

A contender takes the folder and the options, does all that is done once (opening, converting to its own
format) and returns an endless or one-epoch iterator of (inputs, labels), arrays or tensors of [rows, length].
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

#: One batch: inputs and labels.
Pairs = Iterator[tuple[Any, Any]]
FILE = "tokens.bin"
#: What is made of the first ids only: a store, and lists, which take 40 bytes an id.
STORE_TOKENS, LIST_TOKENS = 10_000_000, 4_000_000


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One contender. `requirements` is empty for those that run in our own environment."""

    open: Callable[[Path, argparse.Namespace], Pairs]
    requirements: Sequence[str] = ()
    #: Measured on so many batches at most.
    batches: int = 3000
    #: Tokens from the start of one of its rows to the start of the next, less max_length.
    gap: int = 0
    #: Measured on the first ids of the file only.
    tokens: int | None = None
    #: Whether a random start may come twice, and anywhere.
    with_replacement: bool = False


@cache
def memory_map(folder: Path, name: str = FILE) -> Any:
    """The file, mapped once a process, so that what touched its pages before the measurement counts."""
    import numpy as np

    return np.memmap(folder / name, np.uint16, "r")


def tokenmill(folder: Path, options: argparse.Namespace) -> Pairs:
    import tokenmill as tm

    loader = tm.DataLoader(memory_map(folder), max_length=options.max_length, batch_size=options.rows)
    return ((batch.input_ids, batch.labels) for batch in loader)


def tokenmill_blocks(folder: Path, options: argparse.Namespace) -> Pairs:
    import tokenmill as tm

    data = memory_map(folder)
    loader = tm.DataLoader(data, max_length=options.max_length, batch_size=options.rows, shuffle="block")
    return ((batch.input_ids, batch.labels) for batch in loader)


def tokenmill_torch(folder: Path, options: argparse.Namespace) -> Pairs:
    import tokenmill as tm
    from tokenmill.torch import TorchLoader

    data = memory_map(folder)
    loader = TorchLoader(tm.DataLoader(data, max_length=options.max_length, batch_size=options.rows))
    return ((batch.input_ids, batch.labels) for batch in loader)


def tokenmill_packed(folder: Path, options: argparse.Namespace) -> Pairs:
    """Document masks too: position_ids, document_ids and cu_seqlens are made and not counted."""
    import tokenmill as tm

    loader = tm.DataLoader(
        tm.TokenStore.open(folder / "store.tm"),
        max_length=options.max_length,
        batch_size=options.rows,
        document_mask=True,
    )
    return ((batch.input_ids, batch.labels) for batch in loader)


def numpy_gather(folder: Path, options: argparse.Namespace) -> Pairs:
    """One indexing for all rows of a batch: the fastest that we know in NumPy."""
    import numpy as np

    data, length = memory_map(folder), options.max_length
    order = np.random.default_rng(0).permutation((len(data) - 1) // length)
    for first in range(0, len(order) - options.rows + 1, options.rows):
        starts = order[first : first + options.rows] * length
        rows = data[starts[:, None] + np.arange(length + 1)].astype(np.int64)
        yield rows[:, :-1], rows[:, 1:]


def nanogpt(folder: Path, options: argparse.Namespace) -> Pairs:
    """As its get_batch: random starts with replacement, a slice and a conversion for each row."""
    import numpy as np
    import torch

    length = options.max_length
    while True:
        # It opens the map anew for each batch, against a leak of memory.
        data = np.memmap(folder / FILE, np.uint16, "r")
        starts = torch.randint(len(data) - length, (options.rows,))
        rows = [torch.from_numpy(data[i : i + length].astype("int64")) for i in starts]
        ahead = [torch.from_numpy(data[i + 1 : i + 1 + length].astype("int64")) for i in starts]
        yield torch.stack(rows), torch.stack(ahead)


def torch_dataloader(workers: int) -> Callable[[Path, argparse.Namespace], Pairs]:
    """torch's DataLoader over a map-style dataset that slices a memory map."""

    def open_(folder: Path, options: argparse.Namespace) -> Pairs:
        from torch.utils.data import DataLoader

        dataset = MappedWindows(folder, options.max_length)
        loader: Any = DataLoader(
            dataset,
            options.rows,
            shuffle=True,
            drop_last=True,
            num_workers=workers,  # type: ignore[arg-type]
        )
        return iter(loader)

    return open_


class MappedWindows:
    """Windows of a memory map, one at a time."""

    def __init__(self, folder: Path, length: int, name: str = FILE) -> None:
        self.data, self.length = memory_map(folder, name), length

    def __len__(self) -> int:
        return (len(self.data) - 1) // self.length

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        import torch

        start = i * self.length
        row = torch.from_numpy(self.data[start : start + self.length + 1].astype("int64"))
        return row[:-1], row[1:]


def lists(folder: Path, options: argparse.Namespace) -> Pairs:
    """As PyTorch courses do: all windows made beforehand, as tensors of lists."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    ids, length = memory_map(folder)[:LIST_TOKENS].tolist(), options.max_length
    starts = range(0, len(ids) - length, length)
    inputs = torch.stack([torch.tensor(ids[i : i + length]) for i in starts])
    labels = torch.stack([torch.tensor(ids[i + 1 : i + length + 1]) for i in starts])
    loader: Any = DataLoader(TensorDataset(inputs, labels), options.rows, shuffle=True, drop_last=True)
    return iter(loader)


def litdata(folder: Path, options: argparse.Namespace) -> Pairs:
    import torch
    from litdata import StreamingDataLoader, StreamingDataset, TokensLoader
    from litdata.streaming.writer import BinaryWriter

    width, out = options.max_length + 1, folder / "litdata"
    if not out.exists():
        writer = BinaryWriter(str(out), chunk_size=width * 8192, item_loader=TokensLoader(block_size=width))
        data = memory_map(folder)
        for number, start in enumerate(range(0, len(data) // width * width, width * 64)):
            writer[number] = torch.from_numpy(data[start : start + width * 64].astype("int32"))
        writer.done()
        writer.merge()
    dataset = StreamingDataset(
        str(out), item_loader=TokensLoader(block_size=width), shuffle=True, drop_last=True
    )
    for rows in StreamingDataLoader(dataset, batch_size=options.rows, num_workers=0):
        yield rows[:, :-1], rows[:, 1:]


def mosaic(folder: Path, options: argparse.Namespace) -> Pairs:
    import numpy as np
    from streaming import MDSWriter, StreamingDataset
    from torch.utils.data import DataLoader

    length, out = options.max_length, folder / "mds"
    if not out.exists():
        data = memory_map(folder)
        with MDSWriter(out=str(out), columns={"tokens": "ndarray:uint16"}) as writer:
            for start in range(0, len(data) - length, length):
                writer.write({"tokens": np.asarray(data[start : start + length + 1])})
    dataset = StreamingDataset(local=str(out), shuffle=True, batch_size=options.rows)
    loader: Any = DataLoader(dataset, options.rows, drop_last=True, collate_fn=_stack)
    for rows in loader:
        yield rows[:, :-1], rows[:, 1:]


def _stack(items: list[dict[str, Any]]) -> Any:
    import numpy as np
    import torch

    return torch.from_numpy(np.stack([item["tokens"] for item in items]).astype(np.int64))


def grain(folder: Path, options: argparse.Namespace) -> Pairs:
    import grain as google_grain

    dataset = google_grain.MapDataset.source(NumpyWindows(folder, options.max_length))
    for rows in dataset.shuffle(seed=0).batch(options.rows, drop_remainder=True):
        yield rows[:, :-1], rows[:, 1:]


class NumpyWindows:
    """Windows of a memory map as one array each."""

    def __init__(self, folder: Path, length: int, name: str = FILE, stride: int | None = None) -> None:
        self.data, self.length, self.stride = memory_map(folder, name), length, stride or length

    def __len__(self) -> int:
        return (len(self.data) - 1 - self.length) // self.stride + 1

    def __getitem__(self, i: int) -> Any:
        start = int(i) * self.stride
        return self.data[start : start + self.length + 1].astype("int64")


def tokbin(folder: Path, options: argparse.Namespace) -> Pairs:
    """Random windows with replacement: it has no order of all windows."""
    import numpy as np
    from tokbin import Source

    source, random = Source(tokbin_source(folder)), np.random.default_rng(0)
    while True:
        rows = source.sample_windows(options.rows, options.max_length + 1, random).astype(np.int64)
        yield rows[:, :-1], rows[:, 1:]


def tokbin_source(folder: Path) -> Path:
    """The first ids in its format. It takes texts only, so the ids go in as numbers between spaces."""
    from tokbin import Dataset, WriterConfig
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    out = folder / "tokbin"
    if not out.exists():
        tokenizer = Tokenizer(WordLevel({str(number): number for number in range(50_257)}, unk_token="0"))
        tokenizer.pre_tokenizer = WhitespaceSplit()
        data = memory_map(folder)[:STORE_TOKENS]
        texts = (
            " ".join(map(str, data[start : start + 10_000].tolist())) for start in range(0, len(data), 10_000)
        )
        Dataset(out).write("ids", texts, tokenizer, config=WriterConfig(append_eos=False))
    return out / "ids"


TORCH = ("torch", "numpy<3")
PEERS = {
    "tokenmill.DataLoader": Peer(open=tokenmill),
    'tokenmill, shuffle="block"': Peer(open=tokenmill_blocks),
    "tokenmill.torch.TorchLoader": Peer(open=tokenmill_torch),
    "tokenmill, with document masks": Peer(open=tokenmill_packed, tokens=STORE_TOKENS),
    "NumPy, one indexing a batch": Peer(open=numpy_gather, batches=1500),
    "nanoGPT's get_batch": Peer(open=nanogpt, batches=500, with_replacement=True),
    "torch DataLoader, 0 workers": Peer(open=torch_dataloader(0), batches=500),
    "torch DataLoader, 2 workers": Peer(open=torch_dataloader(2), batches=500),
    "torch DataLoader, windows as lists": Peer(open=lists, tokens=LIST_TOKENS),
    "litdata": Peer(open=litdata, batches=500, gap=1, requirements=("litdata==0.2.61", *TORCH)),
    "mosaicml-streaming": Peer(
        open=mosaic, batches=300, requirements=("mosaicml-streaming==0.13.0", "setuptools<81", *TORCH)
    ),
    "grain": Peer(open=grain, batches=500, requirements=("grain==0.2.18", "numpy<3")),
    "tokbin": Peer(
        open=tokbin,
        tokens=STORE_TOKENS,
        with_replacement=True,
        requirements=("tokbin==0.1.0", "numpy<3"),
    ),
}


def check(pairs: Pairs, folder: Path, options: argparse.Namespace, peer: Peer, count: int) -> str:
    """Says that the first batches are windows of the file, labels one ahead, and none of them twice."""
    import numpy as np

    data, seen = memory_map(folder), set()
    step = options.max_length + peer.gap
    heads = {
        data[start : start + 8].tobytes(): start for start in range(0, len(data) - options.max_length, step)
    }
    for inputs, labels in islice(pairs, count):
        inputs, labels = np.asarray(inputs), np.asarray(labels)
        if inputs.shape != (options.rows, options.max_length) or (inputs[:, 1:] != labels[:, :-1]).any():
            return "rows of another shape, or labels that are not one token ahead"
        if peer.with_replacement:
            continue
        for row, last in zip(inputs, labels[:, -1], strict=True):
            start = heads.get(row[:8].astype(np.uint16).tobytes())
            if start is None or start in seen:
                return "a row that is no window of the file, or comes twice"
            seen.add(start)
            if (data[start : start + options.max_length] != row).any():
                return "a row that is no window of the file"
            if data[start + options.max_length] != last:
                return "a wrong last label"
    return "windows of the file, none twice"
