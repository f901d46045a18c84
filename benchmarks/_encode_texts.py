"""The texts: six kinds made of what is on the machine, or corpora of your own, as documents of 4 to 64 KiB.

A kind is one file of UTF-8, its documents back to back, beside a JSON list of where each ends. KIND.part is
its beginning, for contenders that are slow.
"""

from __future__ import annotations

import json
import random
import struct
import sys
import sysconfig
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

#: Languages of message catalogues (gettext's *.mo), which most systems have some of.
LATIN = ("fr", "es", "pt", "de", "it", "nl", "sv", "da", "pl", "cs", "hu", "fi", "tr", "vi", "ro", "hr", "ca")
OTHER = ("ja", "zh", "ru")
#: Where they lie. The second one is of packages.
CATALOGUES = ("/usr/share/locale", sysconfig.get_path("purelib"))
#: Less than this share of what was asked for, and invented text is added.
ENOUGH = 0.2

#: Categories of code points that are no characters, or not yet.
UNKNOWN = ("Cn", "Co", "Cs")

KINDS = ("english", "multilingual", "cjk-cyrillic", "code", "random", "no-spaces")


class Made:
    """What a kind consists of: where from, and the texts."""

    def __init__(self, label: str, texts: Iterable[str]) -> None:
        self.label = label
        self.texts = texts


def write(folder: Path, kind: str, made: Made, megabytes: float, part_megabytes: float) -> dict[str, object]:
    """Writes a kind and its part; returns what it is."""
    limit = round(megabytes * 1e6)
    documents, size = [], 0
    cut = (text for text in made.texts if text) if kind == "no-spaces" else regrouped(made.texts)
    for document in cut:
        # White space at the very end is one piece to tiktoken's gpt4, and not to published tokenizer.json.
        documents.append((document.rstrip() + "\n").encode())
        size += len(documents[-1])
        if size >= limit:
            break
    if not documents:
        raise SystemExit(f"the text kind {kind} is empty: {made.label}")
    write_documents(folder, kind, documents)
    write_documents(folder, f"{kind}.part", _beginning(documents, round(part_megabytes * 1e6)))
    return {"label": made.label, "MB": round(size / 1e6, 2), "documents": len(documents)}


def text_path(folder: Path, name: str) -> Path:
    """Of a kind, or of a kind's part."""
    return folder / f"{name}.txt"


def write_documents(folder: Path, name: str, documents: Sequence[bytes]) -> None:
    """The file of texts, and its list."""
    path = text_path(folder, name)
    ends = [0]
    with path.open("wb") as file:
        for document in documents:
            ends.append(ends[-1] + file.write(document))
    _ends_path(path).write_text(json.dumps(ends), encoding="utf-8")


def _ends_path(path: Path) -> Path:
    return path.with_suffix(".ends.json")


def _beginning(documents: Sequence[bytes], limit: int) -> list[bytes]:
    """Whole documents, or the beginning of the first."""
    taken, size = [], 0
    for document in documents:
        if taken and size + len(document) > limit:
            break
        taken.append(document)
        size += len(document)
    if size > limit:
        taken = [taken[0][:limit].decode(errors="ignore").encode()]
    return taken


def read(path: Path, *, whole: bool) -> list[str]:
    """The documents, or one string of all."""
    data = path.read_bytes()
    if whole:
        return [data.decode()]
    ends = json.loads(_ends_path(path).read_text(encoding="utf-8"))
    return [data[start:stop].decode() for start, stop in pairwise(ends)]


def regrouped(texts: Iterable[str]) -> Iterator[str]:
    """Documents of 4 to 64 KiB: short texts joined, long ones cut after a line where there is one."""
    sizes = random.Random(0)
    wanted, held = 0, ""
    for text in texts:
        held = f"{held}\n\n{text}" if held else text
        while len(held) >= (wanted := wanted or round(4096 * 16 ** sizes.random())):
            # Sizes are bytes: a character takes up to four.
            taken = len(held[:wanted].encode()[:wanted].decode(errors="ignore"))
            if taken == len(held[:wanted]) and taken < wanted:
                break
            line = held.rfind("\n", taken // 2, taken) + 1
            yield held[: line or taken]
            held, wanted = held[line or taken :], 0
    if held:
        yield held


def builtin(kind: str, megabytes: float) -> Made:
    """A kind that needs no download."""
    makers: dict[str, Callable[[float], Made]] = {
        "english": _english,
        "multilingual": lambda size: _catalogue_text(LATIN, size, "Latin letters"),
        "cjk-cyrillic": lambda size: _catalogue_text(OTHER, size, "Japanese, Chinese, Russian"),
        "code": _code,
        "random": _random,
        "no-spaces": _no_spaces,
    }
    if kind not in makers:
        raise SystemExit(
            f"no text kind {kind!r}; there are {', '.join(makers)}, and those of --data NAME=PATH"
        )
    return makers[kind](megabytes)


def from_files(kind: str, paths: Sequence[str], field: str) -> Made:
    """Text, JSON Lines, compressed or not: what tokenmill reads."""
    import tokenmill as tm

    documents = tm.Documents.from_files(list(paths), text_field=field)
    texts = (document.text for document in documents)
    return Made(" ".join(Path(path).name for path in paths), texts)


def _sources(everywhere: bool) -> Iterator[str]:
    """Python files, those of the standard library first."""
    folder = Path(sysconfig.get_path("stdlib"))
    paths = sorted(folder.rglob("*.py"), key=lambda path: ("site-packages" in path.parts, path))
    if everywhere and sys.prefix != sys.base_prefix:
        paths += sorted(Path(sysconfig.get_path("purelib")).rglob("*.py"))
    for path in paths:
        if not everywhere and "site-packages" in path.parts:
            break
        try:
            text = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError):  # a few tests of the decoders
            continue
        if text:
            yield text


def _english(megabytes: float) -> Made:
    def texts() -> Iterator[str]:
        seen = set()
        for source in _sources(everywhere=True):
            # Between the first and the second, the third and the fourth.
            for text in source.split('"""')[1::2]:
                lines = [line.strip() for line in text.splitlines()]
                # A page of code, data or a table is no prose: there, few characters are letters and spaces.
                plain = sum(character.isalpha() or character == " " for character in text)
                if len(text) >= 80 and text not in seen and plain > 0.8 * len(text):
                    seen.add(text)
                    yield "\n".join(lines) + "\n"

    return _topped_up("docstrings of the installed Python", _shuffled(texts()), megabytes, "abc", 0)


def _code(megabytes: float) -> Made:
    def texts() -> Iterator[str]:
        headers = sorted(Path(sysconfig.get_path("include")).rglob("*.h"))
        yield from (path.read_bytes().decode(errors="replace") for path in headers)
        yield from _sources(everywhere=False)

    return Made("Python's C headers and standard library", _shuffled(texts()))


def _catalogue_text(languages: Sequence[str], megabytes: float, what: str) -> Made:
    def texts() -> Iterator[str]:
        seen = set()
        for folder in CATALOGUES:
            for path in sorted(Path(folder).rglob("*.mo")):
                language = path.parent.parent.name.split("_")[0].split("@")[0]
                if path.parent.name != "LC_MESSAGES" or language not in languages:
                    continue
                for text in _messages(path.read_bytes()):
                    if len(text) >= 10 and text not in seen:
                        seen.add(text)
                        yield f"{text}\n"

    # Messages of one program stay together, as sentences of a document do.
    groups: list[str] = []
    for text in texts():
        if groups and len(groups[-1]) < 8000:
            groups[-1] += text
        else:
            groups.append(text)
    letters = "aáàâãäåæbcčçdďđeéèêëęfgğhiíìîïıjklłmnńňñoóòôõöøpqrřsśšşßtťuúùûüůvwxyýzźžż"
    if languages is OTHER:
        letters = "абвгдежзийклмнопрстуфхцчшщъыьэюя" + "".join(map(chr, range(0x4E00, 0x5400)))
    random.Random(1).shuffle(groups)
    return _topped_up(f"message catalogues ({what})", groups, megabytes, letters, 1)


def _messages(data: bytes) -> Iterator[str]:
    """The translations of a *.mo file, placeholders and all."""
    order = "<" if data[:4] == b"\xde\x12\x04\x95" else ">"
    count, table = struct.unpack_from(f"{order}I4xI", data, 8)
    for entry in range(count):
        length, start = struct.unpack_from(f"{order}II", data, table + 8 * entry)
        try:
            text = data[start : start + length].decode()
        except UnicodeDecodeError:  # another encoding: old
            return
        if not text.isascii():  # ASCII is English, untranslated, or the header
            yield text.replace("\0", "\n")


def _shuffled(texts: Iterable[str]) -> list[str]:
    found = list(texts)
    random.Random(0).shuffle(found)
    return found


def _topped_up(label: str, texts: list[str], megabytes: float, letters: str, seed: int) -> Made:
    """Adds invented words where the machine has too little text, and says so."""
    size = sum(len(text.encode()) for text in texts) / 1e6
    if size >= ENOUGH * megabytes:
        return Made(label, texts)
    if letters == "abc":
        letters = "etaoinshrdlucmfwypvbgk"
    return Made(
        f"{label}, {size:.1f} MB, and invented words", [*texts, *_invented(letters, megabytes - size, seed)]
    )


def _invented(letters: str, megabytes: float, seed: int) -> Iterator[str]:
    """Sentences of words whose frequency falls as 1 / rank, one in fifty new."""
    chance = random.Random(seed)

    def word() -> str:
        return "".join(chance.choices(letters, k=chance.randint(1, 10)))

    words = [word() for _ in range(50_000)]
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    size = 0.0
    while size < megabytes * 1e6:
        some = chance.choices(words, weights, k=2000)
        text = " ".join(word() if chance.random() < 0.02 else one for one in some) + ".\n"
        size += len(text.encode())
        yield text


def _random(megabytes: float) -> Made:
    """Turn by turn: characters of all planes, and bytes, each of which is a character of Latin-1.

    Assigned ones: contenders know different versions of Unicode, and what they take new ones for differs.
    """

    def texts() -> Iterator[str]:
        import numpy as np

        chance = np.random.default_rng(2)
        ranges = [(0, 0x3000), (0x3000, 0xD800), (0xE000, 0x20000), (0x20000, 0x110000)]
        # Without surrogates, private use and what has no name yet.
        known = [
            np.array([code for code in range(*bounds) if unicodedata.category(chr(code)) not in UNKNOWN])
            for bounds in ranges
        ]
        while True:
            codes = chance.permutation(np.concatenate([chance.choice(some, 900) for some in known]))
            yield codes.astype("<u4").tobytes().decode("utf-32-le")
            yield chance.bytes(8000).decode("latin-1")

    return Made("random characters; random bytes as Latin-1", texts())


def _no_spaces(megabytes: float) -> Made:
    """What there is of English, then of other Latin letters, without white space: one document."""
    sources = [_english(megabytes), _catalogue_text(LATIN, megabytes, "Latin letters")]
    text = "".join("".join(text.split()) for source in sources for text in source.texts)
    labels = "; ".join(source.label for source in sources)
    text = text.encode()[: round(megabytes * 1e6)].decode(errors="ignore")
    return Made(f"one document, its white space taken out: {labels}", [text])
