"""From a token store to a language model that transformers loads.

The model, its optimizer and file formats are PyTorch's and transformers'; what is here is the way of the data
into them, and the glue.

    from pathlib import Path
    import tokenmill as tm
    from tokenmill.train import TrainOptions, train_model

    trained = train_model(tm.TokenStore.open("corpus.tm"), Path("model"), TrainOptions(size="10m"))

Needs `pip install tokenmill[train]`. Under `torchrun` the processes share each batch.
"""

from __future__ import annotations

try:
    import safetensors  # noqa: F401
    import torch  # noqa: F401
    import transformers  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"training needs PyTorch and transformers ({error}); install them: pip install 'tokenmill[train]'",
        name=error.name,
    ) from None

from tokenmill.train.loop import Trained, train_model
from tokenmill.train.options import SIZES, Plan, Size, TrainOptions, make_plan

__all__ = ["SIZES", "Plan", "Size", "TrainOptions", "Trained", "make_plan", "train_model"]
