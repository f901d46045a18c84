"""How each contender encodes: its fastest public API for each job. Runs in that contender's own environment.

Every adapter takes special tokens as text and adds none. None stands for no such call: then lists do for
NumPy. What a call imports is imported while loading; the worker has NumPy before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from _encode_vocabularies import Vocabulary, encoding

#: Cuts files for the peers that insist on cutting them. No text has it.
SEPARATOR = b"\x00 never in a text \x00"


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """One loaded vocabulary of one contender."""

    #: A text → its ids.
    document: Callable[[str], list[int]]
    document_numpy: Callable[[str], Any] | None = None
    #: Texts → ids of each.
    batch: Callable[[list[str]], list[list[int]]]
    batch_numpy: Callable[[list[str]], Any] | None = None
    #: The text and the file that has it → its ids, in whichever form is fastest.
    file: Callable[[str, Path], Any]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One contender. `requirements` is empty for ours, which the running environment has."""

    load: Callable[[Vocabulary, int], Encoder]
    requirements: Sequence[str] = ()
    #: Gets the first part of the text only.
    slow: bool = False
    #: Done once before loading; no part of the loading time.
    prepare: Callable[[Vocabulary], None] = lambda vocabulary: None


def tokenmill(vocabulary: Vocabulary, threads: int) -> Encoder:
    import tokenmill as tm

    tokenizer = tm.Tokenizer.load(vocabulary.ours, pattern=vocabulary.pattern)
    return Encoder(
        document=tokenizer.encode,
        document_numpy=tokenizer.encode_to_numpy,
        batch=tokenizer.encode_batch,
        batch_numpy=tokenizer.encode_batch_to_numpy,
        file=lambda text, path: tokenizer.encode_to_numpy(text),
    )


def gigatoken(vocabulary: Vocabulary, threads: int) -> Encoder:
    import awkward  # noqa: F401  its batches are awkward arrays, and the import takes 0.3 s
    from gigatoken import TextFileSource, Tokenizer

    if vocabulary.by_rank:
        scheme = {"gpt4": "gpt4", "gpt4o": "o200k"}[vocabulary.family]
        tokenizer = Tokenizer.from_tiktoken(vocabulary.ranks, pretokenizer=scheme, special_tokens={})
    else:
        tokenizer = Tokenizer(vocabulary.hugging_face)
    parallel = threads > 1
    return Encoder(
        document=lambda text: tokenizer.encode(text).tolist(),
        document_numpy=tokenizer.encode,
        batch=partial(tokenizer.encode_batch_list, parallel=parallel),
        batch_numpy=partial(tokenizer.encode_batch, parallel=parallel),
        # In one thread, one call is faster than its files.
        file=lambda text, path: (
            tokenizer.encode_files(TextFileSource([path])) if parallel else tokenizer.encode(text)
        ),
    )


def snaptokens(vocabulary: Vocabulary, threads: int) -> Encoder:
    from snaptokens import Tokenizer

    return _flat_encoder(Tokenizer.from_file(str(vocabulary.hugging_face)))


def fastokens(vocabulary: Vocabulary, threads: int) -> Encoder:
    from fastokens import Tokenizer

    # Four times as fast as from_tiktoken with tiktoken's spelling of the pattern, a regex engine's.
    return _flat_encoder(Tokenizer.from_file(str(vocabulary.hugging_face)))


def _flat_encoder(tokenizer: Any) -> Encoder:
    """Of a tokenizer with the methods that these two have in common."""
    return Encoder(
        document=lambda text: tokenizer.encode(text).ids,
        document_numpy=lambda text: _flat(tokenizer.encode_batch_flat([text]))[0],
        batch=lambda texts: [one.ids for one in tokenizer.encode_batch(texts)],
        batch_numpy=lambda texts: _flat(tokenizer.encode_batch_flat(texts)),
        file=lambda text, path: _flat(tokenizer.encode_batch_flat([text])),
    )


def _flat(pair: tuple[bytes, bytes]) -> tuple[Any, Any]:
    """Ids and ends out of their bytes, without a copy."""
    import numpy as np

    return np.frombuffer(pair[0], np.uint32), np.frombuffer(pair[1], np.uint64)


def tokie(vocabulary: Vocabulary, threads: int) -> Encoder:
    from tokie import Tokenizer

    tokenizer = Tokenizer.from_json(str(vocabulary.hugging_face))
    return Encoder(
        document=lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
        batch=lambda texts: [one.ids for one in tokenizer.encode_batch(texts, add_special_tokens=False)],
        file=lambda text, path: tokenizer.encode_files([str(path)], separator=SEPARATOR),
    )


def tuetoken(vocabulary: Vocabulary, threads: int) -> Encoder:
    import numpy as np
    from tuetoken import Tokenizer

    tokenizer = Tokenizer(str(vocabulary.hugging_face))
    return Encoder(
        document=tokenizer.encode_ordinary,
        document_numpy=lambda text: np.frombuffer(tokenizer.encode_to_bytes(text), np.uint32),
        batch=lambda texts: tokenizer.encode_ordinary_batch(texts, num_threads=threads),
        batch_numpy=lambda texts: tokenizer.encode_ordinary_to_buffer(texts, num_threads=threads),
        file=lambda text, path: np.frombuffer(tokenizer.encode_to_bytes(text), np.uint32),
    )


def quicktok_prepare(vocabulary: Vocabulary) -> None:
    """Its importer writes the vocabulary into its data folder, and checks it against tokenizers."""
    folder = vocabulary.hugging_face.parent / "quicktok"
    os.environ["QUICKTOK_DATA"] = str(folder)
    import quicktok

    try:
        quicktok.get_encoding(vocabulary.name)
    except RuntimeError:
        folder.mkdir(exist_ok=True)
        quicktok.import_tokenizer(str(vocabulary.hugging_face), vocabulary.name)
    quicktok._CACHE.clear()


def quicktok(vocabulary: Vocabulary, threads: int) -> Encoder:
    import quicktok

    tokenizer = quicktok.get_encoding(vocabulary.name)
    return Encoder(
        document=tokenizer.encode_ordinary,
        document_numpy=lambda text: tokenizer.encode_batch([text], 1)[0],
        batch=lambda texts: _lists(*tokenizer.encode_batch(texts, threads)),
        batch_numpy=lambda texts: tokenizer.encode_batch(texts, threads),
        file=lambda text, path: tokenizer.encode_batch([text], threads),
    )


def _lists(ids: Any, ends: Any) -> list[list[int]]:
    return [ids[start:stop].tolist() for start, stop in pairwise(ends.tolist())]


def tiktoken(vocabulary: Vocabulary, threads: int) -> Encoder:
    tokenizer = encoding(vocabulary)
    return Encoder(
        document=tokenizer.encode_ordinary,
        document_numpy=partial(tokenizer.encode_to_numpy, disallowed_special=()),
        batch=partial(tokenizer.encode_ordinary_batch, num_threads=threads),
        file=lambda text, path: tokenizer.encode_to_numpy(text, disallowed_special=()),
    )


def tokenizers(vocabulary: Vocabulary, threads: int) -> Encoder:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(vocabulary.hugging_face))
    # The fast ones compute no offsets; for one text there is none.
    batch = partial(tokenizer.encode_batch_fast, add_special_tokens=False)
    return Encoder(
        document=lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
        batch=lambda texts: [one.ids for one in batch(texts)],
        file=lambda text, path: batch([text])[0].ids,
    )


NUMPY = "numpy>=1.26,<3"
#: Ours first; the versions are those that the adapters were written for.
PEERS: dict[str, Peer] = {
    "tokenmill": Peer(load=tokenmill),
    "gigatoken": Peer(load=gigatoken, requirements=("gigatoken==0.10.0", NUMPY)),
    "snaptokens": Peer(load=snaptokens, requirements=("snaptokens==0.2.6", NUMPY)),
    "fastokens": Peer(load=fastokens, requirements=("fastokens==0.3.5", NUMPY)),
    "tokie": Peer(load=tokie, requirements=("tokie==0.1.4", NUMPY)),
    "tuetoken": Peer(load=tuetoken, requirements=("tuetoken==0.1.3", NUMPY)),
    # tokenizers: its importer wants a reference.
    "quicktok": Peer(
        load=quicktok,
        prepare=quicktok_prepare,
        requirements=("quicktok-v1==0.4.0", "tokenizers==0.23.3", NUMPY),
    ),
    "tiktoken": Peer(load=tiktoken, requirements=("tiktoken==0.14.0", NUMPY), slow=True),
    "tokenizers": Peer(load=tokenizers, requirements=("tokenizers==0.23.3", NUMPY), slow=True),
}
OURS = "tokenmill"


def rows(result: Any) -> Iterator[Any]:
    """The ids of each text as `uint32[n]`, out of whatever a call above returned."""
    import numpy as np

    if isinstance(result, dict):  # tuetoken
        result = (result["data"], result["offsets"])
    if isinstance(result, tuple):
        ids, ends = result
        yield from (np.asarray(ids[start:stop], np.uint32) for start, stop in pairwise(ends.tolist()))
    elif type(result).__module__.startswith("awkward"):
        yield from (np.asarray(row, dtype=np.uint32) for row in result)
    elif len(result) and isinstance(result[0], int | np.integer):  # of one text
        yield np.asarray(result, np.uint32)
    else:
        yield from (np.asarray(row, np.uint32) for row in result)


def calls(encoder: Encoder, mode: str, texts: list[str], path: Path) -> Callable[[], Iterable[Any]]:
    """What is timed."""
    call: Any = getattr(encoder, mode.replace("-", "_")) or getattr(encoder, mode.removesuffix("-numpy"))
    if mode.startswith("document"):
        return lambda: [call(text) for text in texts]
    if mode == "file":
        return lambda: call(texts[0], path)
    return lambda: call(texts)
