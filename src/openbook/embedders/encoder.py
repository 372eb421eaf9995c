"""What embedders that run in this process share: everything between texts and vectors but the model itself.

texts --prefix, tokens--> windows --batches by length--> network --> vectors --mean of a text's windows-->
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer

from openbook.embedders.windows import unit
from openbook.errors import ModelError, OpenbookError, SpecError
from openbook.inference import Ids, Network, padded, refuse_after_fork
from openbook.machine import cores
from openbook.text import well_formed

if TYPE_CHECKING:
    from openbook.types import Vectors

SLAB = 8192  # texts tokenised at a time, so that memory does not grow with the number of texts


@dataclass
class Encoder:
    """Embeds with one network, loaded on first use.

    The network takes int32 ids of shape (texts, tokens), padded, and gives unit vectors of shape (texts, dim).
    """

    network: Callable[[], Path | Any]  # a file, or a model as OpenVINO has it
    tokenizer: Callable[[], Tokenizer]  # neither cuts off nor pads
    dim: int
    window: int  # tokens, those that mark begin and end among them
    padding: int
    threads: int = 0  # 0: one for each core this process may use
    again: str = "Install openbook again."  # what to do when a file is damaged

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise SpecError(f"threads must be 0 (all cores) or more, not {self.threads}.")
        self._lock = threading.Lock()
        self._network: Network | None = None
        self._tokenizer: Tokenizer | None = None

    def tokens(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each token in the text."""
        return list(self._words().encode(well_formed(text), add_special_tokens=False).offsets)

    def room(self, *prefixes: str) -> int:
        """Tokens of a text that fit into one window beside the longest of these prefixes."""
        words = self._words()
        return self.window - sum(map(len, frame(words))) - max(len(prefix_ids(words, one)) for one in prefixes)

    def embed(self, texts: Sequence[str], prefix: str = "") -> Vectors:
        """Vectors of the texts in order, each text with the prefix before it."""
        vectors = np.empty((len(texts), self.dim), np.float32)
        network = self._loaded()
        for start in range(0, len(texts), SLAB):
            slab = texts[start : start + SLAB]
            windows, counts = self._windows([well_formed(prefix + text) for text in slab], prefix)
            vectors[start : start + len(slab)] = self._embed(network, windows, counts)
        return vectors

    def _embed(self, network: Network, windows: list[Ids], counts: list[int]) -> Vectors:
        vectors = np.empty((len(windows), self.dim), np.float32)

        def work(batch: list[int]) -> None:
            ids = padded([windows[index] for index in batch], self.padding, self.window)
            vectors[batch] = network(ids)[: len(batch)]

        network.by_length([len(window) for window in windows], work)
        return vectors if len(windows) == len(counts) else means(vectors, counts)

    def _windows(self, texts: list[str], prefix: str) -> tuple[list[Ids], list[int]]:
        """The windows of all texts, and how many each text has. Each window begins with the prefix."""
        words = self._words()
        begin, end = frame(words)
        most = self.window - len(begin) - len(end)
        before = prefix_ids(words, prefix)
        if most <= len(before):
            raise SpecError(f"Beside the prefix {prefix!r} a window of {self.window} tokens has no room. Give it more.")
        windows, counts = [], []
        for encoding in words.encode_batch_fast(texts, add_special_tokens=False):
            ids = encoding.ids
            if len(ids) <= most:
                parts = [ids]
            else:
                parts = [before + part for part in even_parts(ids[len(before) :], most - len(before))]
            windows += [[*begin, *part, *end] for part in parts]
            counts.append(len(parts))
        return windows, counts

    def _words(self) -> Tokenizer:
        with self._lock:
            if self._tokenizer is None:
                with self._damage("tokenizer"):
                    self._tokenizer = self.tokenizer()
            return self._tokenizer

    def _loaded(self) -> Network:
        with self._lock:
            refuse_after_fork()
            if self._network is None:
                with self._damage("network"):
                    self._network = Network(self.network(), self.threads or cores())
            return self._network

    @contextmanager
    def _damage(self, what: str) -> Generator[None]:
        try:
            yield
        except (OpenbookError, MemoryError):
            raise
        except Exception as error:  # tokenizers raises plain Exception, openvino RuntimeError with a trace of its own
            said = " ".join(str(error).split()).rpartition(": ")[2][:160]
            raise ModelError(f"The embedder's {what} cannot be loaded ({said}). {self.again}") from error


def frame(tokenizer: Tokenizer) -> tuple[Ids, Ids]:
    """The tokens that the model wants before and after every text."""
    marked = tokenizer.encode("a")
    special = [bool(one) for one in marked.special_tokens_mask]
    first = special.index(False)
    last = len(special) - special[::-1].index(False)
    return marked.ids[:first], marked.ids[last:]


def prefix_ids(tokenizer: Tokenizer, prefix: str) -> Ids:
    """Tokens of a prefix, without the space at its end, which belongs to the next word."""
    return list(tokenizer.encode(prefix.rstrip(), add_special_tokens=False).ids) if prefix else []


def even_parts(ids: Ids, most: int) -> list[Ids]:
    """Cut into as few parts as possible, as equal as possible, so that their plain mean is fair.

    >>> even_parts([1, 2, 3, 4, 5], 3), even_parts([], 3)
    ([[1, 2, 3], [4, 5]], [[]])
    """
    count = max(1, -(-len(ids) // most))
    size = -(-len(ids) // count)
    return [ids[index * size : (index + 1) * size] for index in range(count)]


def means(vectors: Vectors, counts: Sequence[int]) -> Vectors:
    """Mean of each text's windows, of length 1 again."""
    starts = np.cumsum([0, *counts[:-1]])
    return unit(np.add.reduceat(vectors, starts, axis=0))
