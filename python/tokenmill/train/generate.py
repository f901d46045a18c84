"""Text from a model, piece by piece as it comes."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache

from tokenmill.tokenizer import Tokenizer
from tokenmill.train.model import no_progress_bars

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Generator:
    """A model and its tokenizer, from a folder that `tokenmill train` or transformers has written.

    Raises OSError where a file is missing, ValueError where the tokenizer has ids that the model has not.
    """

    def __init__(self, folder: Path, *, device: str | None = None) -> None:
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(2, "there is no config.json, so this is no model", str(folder))
        self.tokenizer = Tokenizer.load(folder / "tokenizer.json")
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        with no_progress_bars():
            model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
        self.model: PreTrainedModel = model.to(self.device).eval()
        if self.model.config.vocab_size < self.tokenizer.vocab_size:
            raise ValueError(
                f"{folder}: the tokenizer has {self.tokenizer.vocab_size} ids, the model "
                f"{self.model.config.vocab_size}; they do not belong together"
            )

    def prompt_ids(self, prompt: str) -> list[int]:
        """The prompt as the beginning of a document: behind BOS, where the model was trained with one.

        Where not, nothing comes before: documents see nothing of what was before them. Only the first token
        of a document was learned from the end of another, so an empty prompt is that end.
        """
        config = self.model.config
        ids = self.tokenizer.encode(prompt)
        if config.bos_token_id is not None:
            return [config.bos_token_id, *ids]
        if not ids and config.eos_token_id is not None:
            return [config.eos_token_id]
        if not ids:
            raise ValueError("the prompt is empty, and the model knows no token that begins a document")
        return ids

    def ids(
        self, prompt: str, *, max_tokens: int, temperature: float = 1.0, top_p: float = 1.0, seed: int = 0
    ) -> Iterator[int]:
        """The ids that follow the prompt, up to the end of the document or `max_tokens`.

        temperature: 0 takes the likeliest token each time.
        top_p: of the likeliest tokens only those that together have this probability (Holtzman et al. 2020).
        """
        if max_tokens < 1:
            raise ValueError(f"max_tokens={max_tokens} is not above 0")
        if not temperature >= 0:
            raise ValueError(f"temperature={temperature} is below 0")
        if not 0 < top_p <= 1:
            raise ValueError(f"top_p={top_p} is no probability above 0")
        random = torch.Generator().manual_seed(seed)
        context = self.prompt_ids(prompt)
        most = getattr(self.model.config, "max_position_embeddings", None) or len(context) + max_tokens
        end = self.model.config.eos_token_id
        window = Window(self.model, self.device, most)
        for _ in range(max_tokens):
            logits = window.logits(context)[: self.tokenizer.vocab_size]
            number = choose(logits, temperature, top_p, random)
            if number == end:
                return
            context.append(number)
            yield number

    def stream(self, prompt: str, **options: Any) -> Iterator[str]:
        """The text that follows, as soon as characters are whole. Arguments as for `ids`."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for number in self.ids(prompt, **options):
            if text := decoder.decode(self.tokenizer.id_to_token(number) or b""):
                yield text
        if text := decoder.decode(b"", final=True):
            yield text


class Window:
    """What the model has seen: keys and values are kept, and each token is looked at once.

    A model has only so many positions. When they are used up, it sees the last half of them anew.
    """

    def __init__(self, model: PreTrainedModel, device: torch.device, most: int) -> None:
        self.model, self.device, self.most = model, device, most
        # transformers 5.24 calls it cache, and warned of the old name before it goes.
        self.argument = "cache" if "cache" in signature(model.forward).parameters else "past_key_values"
        self.begin = 0
        self.forget()

    def forget(self) -> None:
        """Begins anew."""
        self.seen = 0
        self.cache = DynamicCache(config=self.model.config)

    def logits(self, context: list[int]) -> torch.Tensor:
        """For the token behind the context, which has grown since the last call."""
        if len(context) - self.begin > self.most:
            self.begin = len(context) - max(self.most // 2, 1)
            self.forget()
        ids = torch.tensor([context[self.begin + self.seen :]], device=self.device)
        with torch.inference_mode():
            out = self.model(input_ids=ids, use_cache=True, **{self.argument: self.cache})
        self.seen += ids.shape[1]
        logits: torch.Tensor = out.logits[0, -1].float().cpu()
        return logits


def choose(logits: torch.Tensor, temperature: float, top_p: float, random: torch.Generator) -> int:
    """Draws an id."""
    if temperature == 0:
        return int(logits.argmax())
    probabilities = torch.softmax(logits / temperature, dim=-1)
    if top_p < 1:
        ordered, ids = probabilities.sort(descending=True)
        # A token stays if those before it have not come to top_p: the first always does.
        ordered[ordered.cumsum(dim=-1) - ordered >= top_p] = 0
        return int(ids[torch.multinomial(ordered, 1, generator=random)])
    return int(torch.multinomial(probabilities, 1, generator=random))
