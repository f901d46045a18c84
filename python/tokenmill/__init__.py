"""tokenmill: raw text in, LLM training batches out."""

from tokenmill._core import __version__

__all__ = ["__version__"]
