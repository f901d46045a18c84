"""Which special token of a tokenizer plays which role, by the spellings that published tokenizers use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Role = Literal["bos", "eos", "pad", "unk"]
MarkerRole = Literal["bos", "eos"]

# In order of preference. <|endoftext|> begins and ends documents in GPT-2's family: the last choice for BOS.
SPELLINGS: dict[Role, tuple[str, ...]] = {
    "bos": ("[BOS]", "<s>", "<bos>", "<|begin_of_text|>", "<|bos|>", "<|startoftext|>", "<|endoftext|>"),
    "eos": ("[EOS]", "<|endoftext|>", "</s>", "<eos>", "<|end_of_text|>", "<|eos|>"),
    "pad": ("[PAD]", "<pad>", "<|pad|>", "<|padding|>"),
    "unk": ("[UNK]", "<unk>", "<|unk|>"),
}


def find(special_tokens: Collection[str], role: Role) -> str | None:
    """Return the token that plays ``role``, or None where the tokenizer has none of the known spellings.

    >>> find({"<|endoftext|>": 50256}, "eos")
    '<|endoftext|>'
    >>> find({"<s>": 1, "</s>": 2}, "bos")
    '<s>'
    >>> find({"<s>": 1, "</s>": 2}, "pad") is None
    True
    """
    return next((token for token in SPELLINGS[role] if token in special_tokens), None)


def require(special_tokens: Mapping[str, int], role: MarkerRole, token: str | None = None) -> int:
    """Return the id of ``token``, or of the one found for ``role``; a ValueError names what there is instead.

    >>> require({"<s>": 1, "</s>": 2}, "eos")
    2
    >>> require({"<s>": 1, "</s>": 2}, "eos", token="<s>")
    1
    """
    name = token if token is not None else find(special_tokens, role)
    if name is not None and name in special_tokens:
        return special_tokens[name]
    missing = (
        f"no special token {name!r}" if name is not None else f"no {role.upper()} token of a known spelling"
    )
    have = f"it has {', '.join(map(repr, special_tokens))}" if special_tokens else "it has no special tokens"
    raise ValueError(f'the tokenizer has {missing} ({have}); pass add_{role}=False or {role}_token="..."')
