"""Models of transformers, and what they cost."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, LlamaConfig
from transformers.utils import logging

from tokenmill.train.options import SIZES

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from tokenmill.store import TokenStore
    from tokenmill.train.options import TrainOptions

# Rows of the embedding in multiples of this: products of odd sizes leave units of a GPU idle.
VOCABULARY_MULTIPLE = 64


def make_config(options: TrainOptions, store: TokenStore) -> PretrainedConfig:
    """The configuration of a model for the ids of a store."""
    ids = special_ids(store)
    if options.config is not None:
        config = from_file(options.config)
        if config.vocab_size < store.vocab_size:
            raise ValueError(
                f"{options.config} has vocab_size={config.vocab_size}, and the store's tokenizer has "
                f"{store.vocab_size} ids"
            )
        config.update(ids)
        return config
    size = SIZES[options.size]
    rows = -(-store.vocab_size // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
    length = max(options.max_length or 0, size.max_length)
    if options.architecture == "gpt2":
        return GPT2Config(
            vocab_size=rows,
            n_positions=length,
            n_embd=size.hidden,
            n_layer=size.layers,
            n_head=size.heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **ids,
        )
    return LlamaConfig(
        vocab_size=rows,
        hidden_size=size.hidden,
        # Three matrices of 8/3 the width have as many parameters as two of 4 times (Shazeer 2020).
        intermediate_size=-(-size.hidden * 8 // 3 // 64) * 64,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        max_position_embeddings=length,
        tie_word_embeddings=True,
        **ids,
    )


def from_file(path: Path) -> PretrainedConfig:
    """A config.json of transformers."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        config: PretrainedConfig = AutoConfig.for_model(fields.pop("model_type"), **fields)
    except (json.JSONDecodeError, KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{path} is no config.json of transformers: {error}") from None
    return config


def special_ids(store: TokenStore) -> dict[str, Any]:
    """BOS and EOS as the store has them around documents; padding is EOS, as it is masked by position."""
    bos, eos = store.manifest["bos"], store.manifest["eos"]
    return {"bos_token_id": bos, "eos_token_id": eos, "pad_token_id": eos}


def make_model(
    config: PretrainedConfig, seed: int, device: torch.device, *, attention: str = "sdpa"
) -> PreTrainedModel:
    """A new model, with the same weights for the same seed."""
    torch.manual_seed(seed)
    made: Any = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
        config, attn_implementation=attention
    )
    model: PreTrainedModel = made.to(device)
    return model


def num_parameters(model: torch.nn.Module) -> int:
    """Parameters, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def flops_per_token(model: PreTrainedModel, max_length: int) -> int:
    """Forward and backward, after Kaplan et al. (2020) and Chowdhery et al. (2022, PaLM, appendix B).

    6 for each parameter that multiplies (embeddings only look up, unless they are the output too), and 12 for
    each layer, unit of width and position attended to.
    """
    config = model.config.get_text_config()
    embedding: Any = model.get_input_embeddings()
    looked_up = 0 if config.tie_word_embeddings else embedding.weight.numel()
    attention = 12 * config.num_hidden_layers * config.hidden_size * max_length
    return int(6 * (num_parameters(model) - looked_up) + attention)


# Dense bf16 FLOP/s that vendors state.
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "4090": 165e12}


def peak_flops(device: torch.device) -> float | None:
    """What the device can do at most; `None` where that is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS.items() if part in name), None)


@contextmanager
def no_advice() -> Iterator[None]:
    """Compiling without PyTorch's advice to round what is multiplied in 32 bits to 19.

    In bf16 that is the angles of positions alone, which take no time and must not be rounded.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")
        yield


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Reading and writing of models without transformers' bars between our lines."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
