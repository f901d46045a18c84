"""Documents from files, iterables and Arrow: texts, origins and errors."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from tokenmill._core import DocumentError, Source
from tokenmill.documents import Document, Documents

RECORDS = [{"id": 1, "text": "Hello\n"}, {"meta": {"text": 0}, "text": ""}, {"text": "日本 😀"}]
TEXTS = [record["text"] for record in RECORDS]


def jsonl() -> bytes:
    return "".join(json.dumps(record) + "\n" for record in RECORDS).encode()


def texts(documents: Documents) -> list[str]:
    return [document.text for document in documents]


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.zst", ".JSONL.ZST"])
def test_json_lines_are_read_plain_and_compressed(tmp_path: Path, suffix: str) -> None:
    data = jsonl()
    if suffix.endswith(".gz"):
        data = gzip.compress(data[:20]) + gzip.compress(data[20:])
    elif suffix.lower().endswith(".zst"):
        compress = zstandard.ZstdCompressor().compress
        data = compress(data[:20]) + compress(data[20:])
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    documents = Documents.from_files(path)
    assert texts(documents) == TEXTS
    assert texts(documents) == TEXTS


def test_positions_are_offsets_in_the_uncompressed_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(jsonl()))
    lines = jsonl().split(b"\n")
    assert list(Documents.from_files(path))[1] == Document("", str(path), len(lines[0]) + 1)


def test_text_files_are_whole_or_separated(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\n\nb\n\n")
    assert texts(Documents.of(path)) == ["a\n\nb\n\n"]
    assert texts(Documents.from_files(path, separator="\n\n")) == ["a", "b"]


def test_folders_patterns_and_formats(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ["b.txt", "a.txt", "sub/c.txt", "d.md"]:
        (tmp_path / name).write_text(name)
    assert texts(Documents.of(tmp_path)) == ["a.txt", "b.txt", "sub/c.txt"]
    assert texts(Documents.of([tmp_path / "b.txt", str(tmp_path / "*.txt")])) == ["b.txt", "a.txt"]
    assert texts(Documents.from_files(tmp_path / "d.md", format="text")) == ["d.md"]
    with pytest.raises(ValueError, match=r"d\.md: the suffix does not tell the format"):
        Documents.of(tmp_path / "d.md")
    with pytest.raises(FileNotFoundError, match="none"):
        Documents.of(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="no file matches"):
        Documents.of(str(tmp_path / "*.csv"))


def test_of_returns_documents_as_they_are() -> None:
    documents = Documents.from_texts([])
    assert Documents.of(documents) is documents


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": 1}', r'a\.jsonl, line 2, byte 14: field "text" is a number, not a string'),
        (b'{"body": ""}', r'a\.jsonl, line 2, byte 14: there is no field "text": the record has "body"'),
        (b"{", r"a\.jsonl, line 2, byte 14: invalid JSON: EOF"),
        (b'{"text": "\xff"}', r"a\.jsonl, line 2, byte 24: the text is not valid UTF-8"),
    ],
)
def test_bad_records_are_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n' + line)
    with pytest.raises(DocumentError, match=message):
        list(Documents.of(path))


def test_iterables_of_texts_have_rows() -> None:
    documents = Documents.from_texts(["a", "", "b" * 3_000_000, "c"])
    assert [document.position for document in documents] == [0, 1, 2, 3]
    assert texts(documents)[3] == "c"
    once = Documents.from_texts(text for text in ["a", "b"])
    assert texts(once) == ["a", "b"]
    with pytest.raises(ValueError, match="can be read only once"):
        list(once)


def test_texts_of_a_wrong_type_are_refused() -> None:
    with pytest.raises(TypeError, match=r"pass \[text\]"):
        Documents.from_texts("Hello")
    with pytest.raises(TypeError, match="text 1 is a bytes, not a str"):
        list(Documents.from_texts(["a", b"b"]))  # type: ignore[list-item]


def test_errors_of_the_iterator_pass_through() -> None:
    def failing():
        yield "a"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        list(Documents.from_texts(failing()))


def test_half_surrogates_are_replaced_as_python_does() -> None:
    units = ["a", "\ud83d", "\ude00", "\ufeff", "\U0001f600"]
    cases = ["".join(case) for case in itertools.product(units, repeat=4)]
    expected = [case.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for case in cases]
    assert texts(Documents.from_texts(cases)) == expected


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_arrow_strings_of_every_kind(kind: pa.DataType) -> None:
    column = pa.chunked_array(
        [pa.array(chunk, pa.string()).cast(kind) for chunk in (["x", "a"], [], ["", "日本"])]
    )
    table = pa.table({"id": range(4), "body": column}).slice(1)
    assert texts(Documents.from_arrow(table)) == ["a", "", "日本"]
    assert list(Documents.from_arrow(column.slice(1)))[2] == Document("日本", "<arrow>", 2)


def test_arrow_errors_name_the_column_and_the_row() -> None:
    table = pa.table({"text": ["a", None], "n": [1, 2]})
    with pytest.raises(DocumentError, match="row 1: the text is null"):
        list(Documents.from_arrow(table))
    with pytest.raises(TypeError, match='column "n" holds Int64'):
        Documents.from_arrow(table, column="n")
    with pytest.raises(ValueError, match='no column "x"; there are "text", "n"'):
        Documents.from_arrow(table, column="x")
    with pytest.raises(TypeError, match="neither __arrow_c_stream__ nor __arrow_c_array__"):
        Documents.from_arrow([1])
    reader = Documents.from_arrow(pa.table({"text": ["a"]}).to_reader())
    assert texts(reader) == ["a"]
    with pytest.raises(ValueError, match="can be read only once"):
        list(reader)


def test_inputs_identify_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("abc")
    source = Source.files([str(path)], None, "text", None)
    assert source.inputs() == []
    while source.next_batch() is not None:
        pass
    digest = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
    assert source.inputs() == [(str(path), "byte", 3, digest)]
