"""Passages in the order of a cross-encoder: a small network that reads question and passage together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from openbook.errors import SpecError
from openbook.machine import cores
from openbook.models.folders import find_folder
from openbook.types import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Score: TypeAlias = "Callable[[str, Sequence[str]], NDArray[np.float64]]"


@dataclass(frozen=True)
class CrossEncoder:
    """Orders the `top` passages by the model's score, 0 to 1; the others stay behind them as they were.

    A folder with a network in ONNX's or OpenVINO's form is run by OpenVINO, one with torch's weights alone by
    sentence-transformers.
    """

    VERSION: ClassVar[int] = 1

    model: str = "cross-encoder/ms-marco-MiniLM-L6-v2"  # a folder, or a name that lies in Hugging Face's cache
    top: int = 40
    file: str = ""  # of the folder, such as onnx/model_O4.onnx; '': the usual one
    window: int = 512  # tokens of question and passage, where the model takes that many

    def __post_init__(self) -> None:
        if self.top < 1:
            raise SpecError(f"cross-encoder(top={self.top}): write 1 or more.")
        if self.window < 16:
            raise SpecError(f"cross-encoder(window={self.window}): write 16 or more, such as 512.")

    def __call__(self, question: str, passages: list[Passage], k: int) -> list[Passage]:
        first, rest = passages[: self.top], passages[self.top :]
        if not first:
            return rest
        scores = _loaded(self.model, self.file, self.window)(question, [passage.chunk.indexed for passage in first])
        # Sorting keeps the retriever's order where scores are equal.
        order = sorted(range(len(first)), key=lambda index: -scores[index])
        return [replace(first[index], score=float(scores[index]), via="rerank") for index in order] + rest


_loading = threading.Lock()


def _loaded(model: str, file: str, window: int) -> Score:
    with _loading:
        return _load(find_folder(model), file, window)


@lru_cache(maxsize=2)
def _load(folder: Path, file: str, window: int) -> Score:
    from openbook.refiners.pairs import Pairs, network_file

    if network := network_file(folder, file):
        return Pairs(folder, network, window, cores())
    try:
        from openbook.refiners.pairs_torch import TorchPairs
    except ModuleNotFoundError as error:
        raise SpecError(
            f"{folder} has no network in ONNX's or OpenVINO's form, and for torch's weights {error.name} is missing. "
            "Install it with: pip install 'openbook[sentence-transformers]'"
        ) from error
    return TorchPairs(folder, window)
