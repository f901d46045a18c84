"""`tokenmill inspect`: what a tokenizer file or a token store holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokenmill.cli._common import (
    human_bytes,
    json_option,
    load_tokenizer,
    print_json,
    print_rows,
    token_text,
    visible,
)

if TYPE_CHECKING:
    from tokenmill import Tokenizer, TokenStore

# Characters of a document that are shown.
EXCERPT = 72


@click.command("inspect")
@click.argument("path")
@click.option(
    "--pattern", metavar="NAME|REGEX", help="How a .tiktoken file splits text: gpt2, gpt4, gpt4o, a regex."
)
@click.option(
    "--show", type=click.IntRange(min=0), default=5, show_default=True, help="How many examples to show."
)
@click.option(
    "--where",
    type=int,
    metavar="TOKEN",
    help="Trace a token of a store, by its number, to file and byte, with the text around it.",
)
@click.option(
    "--content-hash",
    metavar="HASH",
    help="Show a store as it was with this content hash, before documents were appended to it.",
)
@json_option
def command(
    path: str, pattern: str | None, show: int, where: int | None, content_hash: str | None, as_json: bool
) -> None:
    """Say what PATH is, a tokenizer or a token store, what it holds, and show some of it.

    \b
    tokenmill inspect tokenizer.json
    tokenmill inspect corpus.tm --show 3
    tokenmill inspect corpus.tm --where 1000000
    """
    from tokenmill import TokenStore

    if where is not None:
        print_place(TokenStore.open(path, content_hash=content_hash), where, as_json=as_json)
        return
    if (Path(path) / "manifest.json").exists() or content_hash is not None:
        store = TokenStore.open(path, content_hash=content_hash)
        facts, examples = store_facts(store), documents_of(store, show)
    else:
        tokenizer = load_tokenizer(path, pattern)
        facts, examples = tokenizer_facts(tokenizer), tokens_of(tokenizer, show)
    if as_json:
        print_json({"path": path, **facts, "examples": examples})
        return
    print_rows(
        [("path", path), *((name.replace("_", " "), text_of(name, value)) for name, value in facts.items())]
    )
    for example in examples:
        click.echo(
            "  ".join([f"{example['id']:>10,}", *(visible(str(v)) for v in list(example.values())[1:])])
        )


def print_place(store: TokenStore, token: int, *, as_json: bool) -> None:
    """Where a token comes from."""
    try:
        place = store.where(token)
    except IndexError as error:
        raise click.UsageError(f"{error}.") from None
    facts = asdict(place)
    if as_json:
        print_json({"path": str(store.path), **facts})
        return
    origin = facts.pop("origin")
    context = f"{visible(facts.pop('before'))}[{visible(facts.pop('text'))}]{visible(facts.pop('after'))}"
    rows = {**facts, "read_from": place.read_from, **origin, "text": context}
    print_rows([(name.replace("_", " "), value) for name, value in rows.items() if value is not None])


def text_of(name: str, value: Any) -> Any:
    """A fact for people."""
    if name == "bytes":
        return human_bytes(value)
    if isinstance(value, dict):
        return ", ".join(f"{token} = {number}" for token, number in value.items()) or "none"
    if name == "before_appends":
        return "\n".join(
            f"{was['content_hash']} ({was['tokens']:,} tokens, {was['documents']:,} documents)"
            for was in value
        )
    return "none" if value is None else value


def tokenizer_facts(tokenizer: Tokenizer) -> dict[str, Any]:
    """What a tokenizer is."""
    return {
        "kind": "tokenizer",
        "model": tokenizer.model,
        "vocab_size": tokenizer.vocab_size,
        "special_tokens": dict(tokenizer.special_tokens),
        "fingerprint": tokenizer.fingerprint,
    }


def tokens_of(tokenizer: Tokenizer, show: int) -> list[dict[str, Any]]:
    """Tokens from all over the vocabulary."""
    step = max(1, tokenizer.vocab_size // max(1, show))
    numbers = range(step - 1, tokenizer.vocab_size, step)[:show]
    return [{"id": number, "text": token_text(tokenizer, number)} for number in numbers]


def store_facts(store: TokenStore) -> dict[str, Any]:
    """What a store is."""
    manifest = store.manifest
    return {
        "kind": "token store",
        "tokens": store.num_tokens,
        "documents": store.num_documents,
        **validation_facts(store),
        "inputs": len(manifest["inputs"]),
        "shards": len(manifest["shards"]),
        "dtype": manifest["dtype"],
        "vocab_size": store.tokenizer.vocab_size,
        "bos": manifest["bos"],
        "eos": manifest["eos"],
        "tokenizer": store.tokenizer.fingerprint,
        "content_hash": store.content_hash,
        **history_facts(manifest),
    }


def history_facts(manifest: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What the store was before documents were appended to it, if any were."""
    earlier = [
        {
            "content_hash": was["content_hash"],
            "tokens": was["num_tokens"],
            "documents": was["num_documents"],
            "inputs": was["inputs"],
        }
        for was in manifest.get("history", [])
    ]
    return {"before_appends": earlier} if earlier else {}


def validation_facts(store: TokenStore) -> dict[str, int]:
    """What is kept from training."""
    if store.validation is None:
        return {}
    return {
        "validation_tokens": store.validation.num_tokens,
        "validation_documents": store.validation.num_documents,
    }


def documents_of(store: TokenStore, show: int) -> list[dict[str, Any]]:
    """The first documents: number, tokens, the beginning of the text."""
    examples = []
    for number in range(min(show, store.num_documents)):
        ids = store.document(number)
        # A token is a byte at least, and a character four at most.
        text = store.tokenizer.decode(ids[: EXCERPT * 4].tolist())[:EXCERPT]
        examples.append({"id": number, "tokens": len(ids), "text": text})
    return examples
