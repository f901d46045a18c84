from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest

from reference.store_reader import read_store
from reference.store_writer import write_store
from tokenmill import _core
from tokenmill.documents import Documents
from tokenmill.prepare import prepare
from tokenmill.store import Origin, TokenStore
from tokenmill.tokenizer import Tokenizer
from tokenmill.train_tokenizer import train_bpe

TEXTS = ["the cat sat", "", "on the mat, naïve", "the end"]


def assert_same_files(one: Path, other: Path) -> None:
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe(Documents.from_texts(TEXTS), vocab_size=270, special_tokens=["<s>", "</s>"])


def test_prepare_writes_exactly_what_the_specification_says(tmp_path: Path, tokenizer: Tokenizer):
    store = prepare(
        Documents.from_texts(TEXTS), tokenizer=tokenizer, out=tmp_path / "a.tm", add_bos=True, shard_tokens=9
    )
    bos, eos = tokenizer.special_tokens["<s>"], tokenizer.special_tokens["</s>"]
    documents = [([bos, *tokenizer.encode(text), eos], 0, row, text) for row, text in enumerate(TEXTS)]
    write_store(
        tmp_path / "b.tm",
        documents,
        vocab_size=tokenizer.vocab_size,
        inputs=store.manifest["inputs"],
        shard_tokens=9,
        tokenizer_json=(store.path / "tokenizer.json").read_bytes(),
        fingerprint=tokenizer.fingerprint,
        bos=bos,
        eos=eos,
        created_by=store.manifest["created_by"],
    )
    assert_same_files(tmp_path / "a.tm", tmp_path / "b.tm")
    assert store.verify().ok
    assert store.manifest["num_empty_documents"] == 1
    assert store.validation is None
    np.testing.assert_array_equal(read_store(store.path)[0], store[:])


def test_validation_documents_are_told_by_their_text_and_written_as_specified(
    tmp_path: Path, tokenizer: Tokenizer
):
    texts = [f"the cat {i}" for i in range(40)] + ["the cat 3"]
    options = {"tokenizer": tokenizer, "shard_tokens": 40, "val_fraction": 0.3}
    store = prepare(Documents.from_texts(texts), out=tmp_path / "a.tm", **options)
    eos = tokenizer.special_tokens["</s>"]
    splits: dict[bool, list] = {False: [], True: []}
    for row, text in enumerate(texts):
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
        splits[number < 0.3 * 2**64].append(([*tokenizer.encode(text), eos], 0, row, text))
    write_store(
        tmp_path / "b.tm",
        splits[False],
        vocab_size=tokenizer.vocab_size,
        inputs=store.manifest["inputs"],
        shard_tokens=40,
        tokenizer_json=(store.path / "tokenizer.json").read_bytes(),
        fingerprint=tokenizer.fingerprint,
        eos=eos,
        created_by=store.manifest["created_by"],
        fraction=0.3,
        validation=splits[True],
    )
    assert_same_files(tmp_path / "a.tm", tmp_path / "b.tm")
    assert len(store.manifest["validation"]["shards"]) > 1 and store.verify().ok
    validation = TokenStore.open(store.path, split="validation")
    np.testing.assert_array_equal(read_store(store.path, "validation")[0], validation[:])
    assert store.validation is not None and store.validation.content_hash == validation.content_hash
    assert pickle.loads(pickle.dumps(validation)).split == "validation"

    added = prepare(Documents.from_texts(["new", *texts, "more"]), out=tmp_path / "c.tm", **options)
    kept = {tuple(validation.document(i)) for i in range(validation.num_documents)}
    assert added.validation is not None
    assert kept <= {tuple(added.validation.document(i)) for i in range(added.validation.num_documents)}


def test_a_split_that_is_not_there_or_unknown_is_refused(tmp_path: Path, tokenizer: Tokenizer):
    store = prepare(Documents.from_texts(TEXTS), tokenizer=tokenizer, out=tmp_path / "s.tm")
    with pytest.raises(_core.StoreError, match="no validation split; prepare it with val_fraction above 0"):
        TokenStore.open(store.path, "validation")
    with pytest.raises(ValueError, match="split is 'test'"):
        TokenStore.open(store.path, "test")
    for fraction in (-0.1, 1.0):
        with pytest.raises(ValueError, match=r"val_fraction is .*at least 0 and below 1"):
            prepare(
                Documents.from_texts(TEXTS),
                tokenizer=tokenizer,
                out=tmp_path / "t.tm",
                val_fraction=fraction,
            )


def test_origin_gives_input_document_row_and_byte_of_every_token(tmp_path: Path, tokenizer: Tokenizer):
    data = Documents.from_texts(TEXTS)
    store = prepare(data, tokenizer=tokenizer, out=tmp_path / "s.tm", add_bos=True)
    token = 0
    for row, text in enumerate(TEXTS):
        pieces = [tokenizer.decode_bytes([i]) for i in tokenizer.encode(text)]
        offsets = [0, *np.cumsum([0, *map(len, pieces)]).tolist()]  # BOS, each piece, EOS at the end
        for byte in offsets:
            expected = Origin(input="<texts>", document=row, position=row, unit="row", byte=byte)
            assert store.origin(token) == expected
            token += 1
    assert token == len(store)


def test_the_store_keeps_its_tokenizer(tmp_path: Path, tokenizer: Tokenizer):
    store = prepare(Documents.from_texts(TEXTS), tokenizer=tokenizer, out=tmp_path / "s.tm", add_eos=False)
    assert store.tokenizer.fingerprint == tokenizer.fingerprint
    assert store.tokenizer is store.tokenizer
    assert [store.tokenizer.decode(store.document(i).tolist()) for i in range(len(TEXTS))] == TEXTS


def test_what_is_there_already_is_left_alone(tmp_path: Path, tokenizer: Tokenizer):
    (tmp_path / "s.tm").mkdir()
    with pytest.raises(_core.StoreError, match="already exists; remove it or choose another name"):
        prepare(Documents.from_texts(TEXTS), tokenizer=tokenizer, out=tmp_path / "s.tm")


def test_a_failure_leaves_nothing_behind(tmp_path: Path, tokenizer: Tokenizer):
    def texts():
        yield "fine"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        prepare(Documents.from_texts(texts()), tokenizer=tokenizer, out=tmp_path / "s.tm")
    assert list(tmp_path.iterdir()) == []


def test_markers_without_effect_or_without_a_token_are_refused(tmp_path: Path, tokenizer: Tokenizer):
    out = tmp_path / "s.tm"
    with pytest.raises(ValueError, match="eos_token='</s>' without add_eos=True"):
        prepare(Documents.from_texts(TEXTS), tokenizer=tokenizer, out=out, add_eos=False, eos_token="</s>")
    with pytest.raises(ValueError, match="no special token '<x>'"):
        prepare(Documents.from_texts(TEXTS), tokenizer=tokenizer, out=out, eos_token="<x>")
    with pytest.raises(ValueError, match="shard_tokens is 0"):
        prepare(Documents.from_texts(TEXTS), tokenizer=tokenizer, out=out, shard_tokens=0)
    assert not out.exists()


def test_the_store_is_the_same_for_any_number_of_workers(tmp_path: Path, tokenizer: Tokenizer):
    # A text that is encoded in parts, by all workers, between many that are not.
    texts = [f"the cat {i}" for i in range(3000)] + ["on the mat, " * 150_000] + TEXTS * 500
    for workers in (1, 2, 8):
        prepare(
            Documents.from_texts(texts),
            tokenizer=tokenizer,
            out=tmp_path / f"{workers}.tm",
            workers=workers,
            shard_tokens=5000,
            val_fraction=0.1,
        )
        assert_same_files(tmp_path / "1.tm", tmp_path / f"{workers}.tm")
    with pytest.raises(ValueError, match="workers is 0; at least 1 thread has to encode"):
        prepare(Documents.from_texts(TEXTS), tokenizer=tokenizer, out=tmp_path / "0.tm", workers=0)
