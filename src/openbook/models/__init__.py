"""Files of weights: catalogue, pull, GGUF header. Knows nothing of books."""

from openbook.models.listing import find

__all__ = ["find"]
