from __future__ import annotations

import pytest

from tokenmill import special_tokens


@pytest.mark.parametrize("role", ["bos", "eos", "pad", "unk"])
def test_every_known_spelling_is_found(role: special_tokens.Role):
    for spelling in special_tokens.SPELLINGS[role]:
        assert special_tokens.find({"other": 0, spelling: 1}, role) == spelling


def test_endoftext_serves_as_bos_only_where_there_is_no_other():
    assert special_tokens.find({"<|endoftext|>": 0}, "bos") == "<|endoftext|>"
    assert special_tokens.find({"<|endoftext|>": 0, "<|bos|>": 1}, "bos") == "<|bos|>"


def test_a_missing_token_names_what_there_is_and_the_remedy():
    with pytest.raises(ValueError) as error:
        special_tokens.require({"[A]": 3, "[B]": 4}, "eos")
    for part in ("'[A]', '[B]'", "add_eos=False", 'eos_token="..."'):
        assert part in str(error.value)
    with pytest.raises(ValueError, match="no special tokens"):
        special_tokens.require({}, "bos")
    with pytest.raises(ValueError, match="no special token '<x>'"):
        special_tokens.require({"<s>": 0}, "bos", "<x>")
