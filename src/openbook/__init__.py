"""Ask your own documents on your own machine, with citations to the exact characters.

>>> from openbook import Book, Recipe
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openbook.book import Book
    from openbook.errors import OpenbookError
    from openbook.recipe import Recipe, Spec
    from openbook.types import Answer, Chunk, Document, Message, Passage, Progress

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Book",
    "Chunk",
    "Document",
    "Message",
    "OpenbookError",
    "Passage",
    "Progress",
    "Recipe",
    "Spec",
]

_HOME = {
    "Book": "openbook.book",
    "OpenbookError": "openbook.errors",
    "Recipe": "openbook.recipe",
    "Spec": "openbook.recipe",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `openbook --help` needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module 'openbook' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME.get(name, "openbook.types")), name)
