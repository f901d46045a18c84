"""How each contender makes batches: its fastest public way that we know. Each runs in its own environment.

A contender takes the folder and the options and returns an endless or one-epoch iterator of (inputs, labels),
arrays or tensors of [rows, length]. What is done once (opening, drawing an order) may come with the first
batch.
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
    #: Writes a format of its own into the folder, where it has one.
    convert: Callable[[Path, argparse.Namespace], None] | None = None
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
def memory_map(folder: Path) -> Any:
    """The file, mapped once a process, so that what touched its pages before the measurement counts."""
    import numpy as np

    return np.memmap(folder / FILE, np.uint16, "r")


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

    def __init__(self, folder: Path, length: int) -> None:
        self.data, self.length = memory_map(folder), length

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


def convert_litdata(folder: Path, options: argparse.Namespace) -> None:
    import torch
    from litdata import TokensLoader
    from litdata.streaming.writer import BinaryWriter

    width = options.max_length + 1
    loader = TokensLoader(block_size=width)
    writer = BinaryWriter(str(folder / "litdata"), chunk_size=width * 8192, item_loader=loader)
    data = memory_map(folder)
    for number, start in enumerate(range(0, len(data) // width * width, width * 64)):
        writer[number] = torch.from_numpy(data[start : start + width * 64].astype("int32"))
    writer.done()
    writer.merge()


def litdata(folder: Path, options: argparse.Namespace) -> Pairs:
    return ((rows[:, :-1], rows[:, 1:]) for rows in litdata_loader(folder, options))


def litdata_loader(folder: Path, options: argparse.Namespace) -> Any:
    from litdata import StreamingDataLoader, StreamingDataset, TokensLoader

    loader = TokensLoader(block_size=options.max_length + 1)
    dataset = StreamingDataset(str(folder / "litdata"), item_loader=loader, shuffle=True, drop_last=True)
    return StreamingDataLoader(dataset, batch_size=options.rows, num_workers=0)


def convert_mosaic(folder: Path, options: argparse.Namespace) -> None:
    import numpy as np
    from streaming import MDSWriter

    data, length = memory_map(folder), options.max_length
    with MDSWriter(out=str(folder / "mds"), columns={"tokens": "ndarray:uint16"}) as writer:
        for start in range(0, len(data) - length, length):
            writer.write({"tokens": np.asarray(data[start : start + length + 1])})


def mosaic(folder: Path, options: argparse.Namespace) -> Pairs:
    return ((rows[:, :-1], rows[:, 1:]) for rows in mosaic_loader(folder, options))


def mosaic_loader(folder: Path, options: argparse.Namespace) -> Any:
    from streaming import StreamingDataLoader, StreamingDataset

    dataset = StreamingDataset(local=str(folder / "mds"), shuffle=True, batch_size=options.rows)
    return StreamingDataLoader(dataset, batch_size=options.rows, drop_last=True, collate_fn=_stack)


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

    def __init__(self, folder: Path, length: int, stride: int | None = None) -> None:
        self.data, self.length, self.stride = memory_map(folder), length, stride or length

    def __len__(self) -> int:
        return (len(self.data) - 1 - self.length) // self.stride + 1

    def __getitem__(self, i: int) -> Any:
        start = int(i) * self.stride
        return self.data[start : start + self.length + 1].astype("int64")


def convert_tokbin(folder: Path, options: argparse.Namespace) -> None:
    """It takes texts only, so the first ids go in as numbers between spaces."""
    from tokbin import Dataset, WriterConfig
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    tokenizer = Tokenizer(WordLevel({str(number): number for number in range(50_257)}, unk_token="0"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    data = memory_map(folder)[:STORE_TOKENS]
    texts = (
        " ".join(map(str, data[start : start + 10_000].tolist())) for start in range(0, len(data), 10_000)
    )
    Dataset(folder / "tokbin").write("ids", texts, tokenizer, config=WriterConfig(append_eos=False))


def tokbin(folder: Path, options: argparse.Namespace) -> Pairs:
    """Random windows with replacement: it has no order of all windows."""
    import numpy as np
    from tokbin import Source

    source, random = Source(folder / "tokbin" / "ids"), np.random.default_rng(0)
    while True:
        rows = source.sample_windows(options.rows, options.max_length + 1, random).astype(np.int64)
        yield rows[:, :-1], rows[:, 1:]


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
    "litdata": Peer(
        open=litdata,
        convert=convert_litdata,
        batches=500,
        gap=1,
        requirements=("litdata==0.2.76", *TORCH),
    ),
    "mosaicml-streaming": Peer(
        open=mosaic,
        convert=convert_mosaic,
        batches=300,
        requirements=("mosaicml-streaming==0.13.0", "setuptools<81", *TORCH),
    ),
    "grain": Peer(open=grain, batches=500, requirements=("grain==0.2.18", "numpy<3")),
    "tokbin": Peer(
        open=tokbin,
        convert=convert_tokbin,
        tokens=STORE_TOKENS,
        with_replacement=True,
        requirements=("tokbin==0.1.0", "numpy<3"),
    ),
}


def convert(name: str, folder: Path, options: argparse.Namespace) -> None:
    """Makes a contender's own format, if it has one and it is not there."""
    made = folder / f"{name}.made"
    write = PEERS[name].convert
    if write is not None and not made.exists():
        write(folder, options)
        made.touch()


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
