"""A cross-encoder that has only torch's weights, by sentence-transformers; on a GPU where torch finds one."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openbook.errors import ModelError, one_line
from openbook.text import well_formed

if TYPE_CHECKING:
    from numpy.typing import NDArray

sentence_transformers: Any = importlib.import_module("sentence_transformers")  # an extra: not there to be type-checked
torch: Any = importlib.import_module("torch")


class TorchPairs:
    """As `pairs.Pairs`; it cuts the longer of question and passage."""

    def __init__(self, folder: Path, window: int) -> None:
        """Load it; nothing is downloaded, and no code out of the folder is run.

        Raises:
            ModelError: The folder holds no cross-encoder.
        """
        try:
            self._model = sentence_transformers.CrossEncoder(
                str(folder), local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{folder} holds no cross-encoder: {one_line(error)}") from error
        if self._model.num_labels != 1:
            raise ModelError(f"{folder} gives {self._model.num_labels} numbers a pair instead of one score.")
        self._model.max_length = min(window, self._model.max_length or window)

    def __call__(self, question: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """How well each text answers the question, 0 to 1, in order."""
        pairs = [(well_formed(question), well_formed(text)) for text in texts]
        found = self._model.predict(pairs, activation_fn=torch.sigmoid, show_progress_bar=False)
        return np.asarray(found, np.float64)
