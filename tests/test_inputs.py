"""Documents from columns, datasets and URLs, alone and in a row with others."""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

import tokenmill as tm
from tokenmill import inputs
from tokenmill.prepare import finished_shards

TEXTS = ["eins", "zwei\nzwei", "", "dr\u00fc\u00fc \U0001f600"]


def read(*paths: Any, **options: Any) -> list[tuple[str, str, int]]:
    documents = tm.Documents.from_files(list(paths), **options)
    first = [tuple(document) for document in documents]
    assert [tuple(document) for document in documents] == first  # they can be read again
    return [(text, Path(name).name, position) for text, name, position in first]


def rows(name: str, texts: list[str] = TEXTS) -> list[tuple[str, str, int]]:
    return [(text, name, row) for row, text in enumerate(texts)]


def table(**columns: Any) -> pa.Table:
    return pa.table(columns or {"id": [1, 2, 3, 4], "text": TEXTS})


def write_stream(path: Path, data: pa.Table, rows_each: int = 3) -> None:
    with path.open("wb") as file, pa.ipc.new_stream(file, data.schema) as writer:
        writer.write_table(data, max_chunksize=rows_each)


@pytest.fixture
def memory() -> Iterator[Any]:
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()
    fs.pseudo_dirs.clear()


def test_columns_of_each_format_are_read_row_by_row(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "a.parquet", row_group_size=2)
    feather.write_feather(table(), tmp_path / "b.feather", compression="zstd")
    write_stream(tmp_path / "c.arrow", table())
    with pa.OSFile(str(tmp_path / "d.ipc"), "wb") as file, pa.ipc.new_file(file, table().schema) as writer:
        writer.write_table(table())
    for name in ("a.parquet", "b.feather", "c.arrow", "d.ipc"):
        assert read(tmp_path / name) == rows(name)
    # A folder holds them in the order of their names.
    assert read(tmp_path) == [
        row for name in sorted(p.name for p in tmp_path.iterdir()) for row in rows(name)
    ]


def test_the_column_is_the_one_named_or_the_only_one_of_strings(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(table(id=[1, 2], body=["x", "y"]), path)
    assert read(path) == rows("a.parquet", ["x", "y"])
    pq.write_table(table(body=["x", "y"], title=["p", "q"]), path)
    assert read(path, text_field="title") == rows("a.parquet", ["p", "q"])
    with pytest.raises(ValueError, match="column"):
        read(path)
    with pytest.raises(ValueError, match="no column"):
        read(path, text_field="missing")
    with pytest.raises(ValueError, match="a separator divides plain text"):
        read(path, separator="|")


def test_files_of_all_kinds_in_a_row_keep_their_order_and_origins(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one|two", encoding="utf-8")
    pq.write_table(table(), tmp_path / "b.parquet")
    (tmp_path / "c.jsonl").write_text('{"text": "json"}\n', encoding="utf-8")
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(b'{"text": "zip"}\n'))
    assert read(tmp_path, separator="|") == [
        ("one", "a.txt", 0),
        ("two", "a.txt", 4),
        *rows("b.parquet"),
        ("json", "c.jsonl", 0),
        ("zip", "d.jsonl.gz", 0),
    ]
    documents = tm.Documents.from_files(tmp_path, separator="|")
    tok = tm.train_bpe(documents, vocab_size=260)
    store = tm.prepare(documents, tokenizer=tok, out=tmp_path / "x.tm")
    names = [Path(entry["name"]).name for entry in store.manifest["inputs"]]
    assert names == ["a.txt", "b.parquet", "c.jsonl", "d.jsonl.gz"]
    for index, text in enumerate(["one", "two", *TEXTS, "json", "zip"]):
        assert tok.decode(store.document(index), skip_special_tokens=True) == text
    last = store.origin(len(store) - 1)
    assert Path(last.input).name == "d.jsonl.gz"
    assert store.verify().ok


def test_a_stopped_preparation_of_columns_goes_on(tmp_path: Path) -> None:
    for name in "abc":
        pq.write_table(table(text=[f"{name} {i} " * 20 for i in range(50)]), tmp_path / f"{name}.parquet")
    tok = tm.train_bpe(tmp_path / "a.parquet", vocab_size=260)
    options: dict[str, Any] = {"tokenizer": tok, "shard_tokens": 1000, "specials": "error"}
    whole = tm.prepare(tmp_path, out=tmp_path / "whole.tm", **options)
    good = (tmp_path / "c.parquet").read_bytes()
    pq.write_table(table(text=["c 0", "<|endoftext|>"]), tmp_path / "c.parquet")
    with pytest.raises(tm.DocumentError, match=r"c\.parquet.*spells the special token"):
        tm.prepare(tmp_path, out=tmp_path / "x.tm", **options)
    assert finished_shards(tmp_path / "x.tm") > 2
    (tmp_path / "c.parquet").write_bytes(good)
    again = tm.prepare(tmp_path, out=tmp_path / "x.tm", **options, resume=True)
    assert again.content_hash == whole.content_hash
    assert again.manifest == whole.manifest


def saved_dataset(folder: Path, texts: list[list[str]], **state: Any) -> None:
    """As `datasets.save_to_disk` writes it."""
    folder.mkdir(parents=True)
    names = [f"data-{i:05}-of-{len(texts):05}.arrow" for i in range(len(texts))]
    for name, part in zip(names, texts, strict=True):
        write_stream(folder / name, table(text=part))
    write_stream(folder / "cache-1234.arrow", table(text=["of no account"]))
    files = [{"filename": name} for name in names]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, **state}), encoding="utf-8")
    (folder / "dataset_info.json").write_text("{}", encoding="utf-8")


def test_a_saved_dataset_is_its_data_files_in_their_order(tmp_path: Path) -> None:
    saved_dataset(tmp_path / "set", [["a", "b"], ["c"]])
    names = ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    assert read(tmp_path / "set") == [*rows(names[0], ["a", "b"]), *rows(names[1], ["c"])]
    saved_dataset(tmp_path / "all" / "train", [["t"]])
    (tmp_path / "all" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"holds the splits train, test; name one: .*train"):
        read(tmp_path / "all")
    assert [text for text, _, _ in read(tmp_path / "all" / "train")] == ["t"]
    saved_dataset(tmp_path / "picked", [["a"]], _indices_data_files=[{"filename": "indices.arrow"}])
    with pytest.raises(ValueError, match="selection of rows"):
        read(tmp_path / "picked")
    (tmp_path / "set" / "state.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="is no dataset"):
        read(tmp_path / "set")


def test_urls_are_files_folders_and_patterns(memory: Any, tmp_path: Path) -> None:
    memory.pipe("/data/b.txt", b"from b")
    memory.pipe("/data/a.jsonl.gz", gzip.compress(b'{"text": "from a"}\n'))
    memory.pipe("/data/README.md", b"no text of ours")
    with memory.open("/data/sub/c.parquet", "wb") as file:
        pq.write_table(table(), file)
    assert read("memory://data/b.txt") == [("from b", "b.txt", 0)]
    found = read("memory://data")
    assert found == [("from a", "a.jsonl.gz", 0), ("from b", "b.txt", 0), *rows("c.parquet")]
    assert read("memory://data/*.txt") == [("from b", "b.txt", 0)]
    (tmp_path / "local.txt").write_text("local", encoding="utf-8")
    mixed = read(tmp_path / "local.txt", "memory://data/b.txt", "memory://data/b.txt")
    assert mixed == [("local", "local.txt", 0), ("from b", "b.txt", 0)]


def test_the_input_is_called_by_its_url_and_its_copy_does_not_stay(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in "ab":
        memory.pipe(f"/data/{name}.txt", name.encode() * 1000)
    documents = tm.Documents.from_files("memory://data")
    assert [document.input for document in documents] == ["memory:///data/a.txt", "memory:///data/b.txt"]
    assert list(tmp_path.iterdir()) == []
    memory.pipe("/data/a.txt", b"\xff")
    with pytest.raises(tm.DocumentError, match=r"memory:///data/a\.txt, line 1, byte 0"):
        list(documents)


def test_what_cannot_be_read_is_one_error_that_names_it(memory: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="memory:///nothing"):
        read("memory://nothing.txt")
    with pytest.raises(ValueError, match="nothing to read at memory://data/"):
        read("memory://data/*.txt")
    memory.pipe("/data/x.bin", b"abc")
    with pytest.raises(ValueError, match=r"x\.bin: the suffix does not tell the format"):
        read("memory://data/x.bin")
    assert read("memory://data/x.bin", format="text") == [("abc", "x.bin", 0)]
    for name in ("x.parquet", "x.arrow", "x.feather"):
        (tmp_path / name).write_bytes(
            b"ARROW1 but no more" if name == "x.feather" else b"nothing of the kind"
        )
        with pytest.raises(tm.DocumentError, match=f"{name}: the file is damaged"):
            read(tmp_path / name)
    pq.write_table(table(text=["a", None]), tmp_path / "null.parquet")
    with pytest.raises(tm.DocumentError, match=r"null\.parquet, row 1: the text is null"):
        read(tmp_path / "null.parquet")
    pq.write_table(table(text=["long text " * 500] * 50), tmp_path / "cut.parquet")
    damaged = bytearray((tmp_path / "cut.parquet").read_bytes())
    damaged[40:60] = bytes(20)
    (tmp_path / "cut.parquet").write_bytes(damaged)
    with pytest.raises(tm.DocumentError, match=r"cut\.parquet"):
        read(tmp_path / "cut.parquet")


@pytest.mark.parametrize(
    ("module", "path", "extra"),
    [("pyarrow", "a.parquet", "arrow"), ("fsspec.core", "memory://a.txt", "remote")],
)
def test_what_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, path: str, extra: str
) -> None:
    pq.write_table(table(), tmp_path / "a.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=rf"tokenmill\[{extra}\]"):
        list(tm.Documents.from_files(path))


def test_memory_is_that_of_a_batch_of_rows(tmp_path: Path) -> None:
    """A group of rows may be larger than memory; a thousand rows are taken at a time."""
    pq.write_table(table(text=["x" * 100] * 5000), tmp_path / "a.parquet", row_group_size=5000)
    _, batches = inputs.table_of("a.parquet", str(tmp_path / "a.parquet"), "text")
    assert max(batch.num_rows for batch in batches) == 1024
