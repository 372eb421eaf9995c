"""all-MiniLM-L6-v2 in int8, bundled: 384 numbers for an English text, by OpenVINO on the processor.

texts --tokens--> windows of at most 512 --sort by length--> batches --streams, one thread each--> vectors
                                                                   mean of a text's windows <------+

weights/ is made by tools/make_minilm.py; docs/decisions/0001-embedding-runtime.md says why it is what it is.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from tokenizers import Tokenizer

from openbook.errors import SpecError
from openbook.machine import cores
from openbook.types import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from openbook.types import Vectors


@contextmanager
def _without_telemetry() -> Generator[None]:
    """Make `import openvino_telemetry` fail, and leave everything as it was.

    `import openvino` 2026.4 alone sends an event to Google Analytics and writes an id into ~/intel. Where its
    telemetry package cannot be imported, openvino takes a stub instead, for as long as the process lives.
    """
    name = "openvino_telemetry"
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # ty: ignore[invalid-assignment]
    try:
        yield
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before


with _without_telemetry():
    import openvino  # type: ignore[import-untyped]

WEIGHTS = Path(__file__).with_name("weights")
SHA256 = {
    "minilm.bin": "72e4cf576c755a85981f2a5374e5abfe3a4779565c7cad98eca08555c0e3dc31",
    "minilm.xml": "1f4746f8f32b42acb6092da7bc9b2879c9101f88fccb1e739bc9e73bfb157178",
    "tokenizer.json": "9114256b104cca80e04367526f03f46aa3c443c2ed174904142a73bbf13b9fbb",
}

BEGIN, END = 101, 102  # [CLS] and [SEP] of the tokenizer
DIM = 384
WINDOW = 512  # tokens, the two that mark begin and end among them
BATCH_TOKENS = 2048  # of a batch, padding included. 1024 to 4096 are equally fast, 256 costs a quarter more.
SLAB = 8192  # texts tokenised at a time, so that memory does not grow with the number of texts

Ids = list[int]


@dataclass
class MiniLM:
    """Reads English. A question and a document are embedded alike."""

    threads: int = 0  # 0: one for each core this process may use

    VERSION: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise SpecError(f"threads must be 0 (all cores) or more, not {self.threads}.")
        self._lock = threading.Lock()
        self._engine: _Engine | None = None
        self._tokenizer: Tokenizer | None = None

    @property
    def dim(self) -> int:
        return DIM

    @property
    def fingerprint(self) -> str:
        return f"minilm-{SHA256['minilm.bin'][:8]}{SHA256['minilm.xml'][:8]}"

    @property
    def window(self) -> int:
        return WINDOW - 2

    @property
    def languages(self) -> frozenset[str]:
        return frozenset({"en"})

    def tokens(self, text: str) -> list[tuple[int, int]]:
        self._tokenizer = self._tokenizer or _tokenizer()
        return list(self._tokenizer.encode(_readable(text), add_special_tokens=False).offsets)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        vectors = np.empty((len(texts), DIM), np.float32)
        engine = self._loaded()
        for start in range(0, len(texts), SLAB):
            slab = texts[start : start + SLAB]
            vectors[start : start + len(slab)] = engine.embed(slab)
        return vectors

    def _loaded(self) -> _Engine:
        with self._lock:
            _refuse_after_fork()
            if self._engine is None:
                self._engine = _Engine(self.threads or cores())
            return self._engine


_loaded_in: set[int] = set()  # the process that has loaded the model; a forked child inherits its parent's


def _refuse_after_fork() -> None:
    """OpenVINO's threads do not live on in a forked child, where it would wait for them for ever: say so instead."""
    if _loaded_in and os.getpid() not in _loaded_in:
        raise RuntimeError("The embedder was loaded before this process was forked. Start processes with 'spawn'.")
    _loaded_in.add(os.getpid())


class _Engine:
    """The loaded model: one request for each thread, shared by all callers."""

    def __init__(self, threads: int) -> None:
        self._tokenizer = _tokenizer()
        compiled = _compiled(threads)
        self._threads = threads
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(threads):
            self._requests.put(compiled.create_infer_request())

    def embed(self, texts: Sequence[str]) -> Vectors:
        windows, counts = self._windows(texts)
        vectors = np.empty((len(windows), DIM), np.float32)

        def work(batch: list[int]) -> None:
            vectors[batch] = self._infer(padded([windows[index] for index in batch]))

        todo = list(batches([len(window) for window in windows]))
        if len(todo) < 2 or self._threads == 1:
            for batch in todo:
                work(batch)
        else:
            with ThreadPoolExecutor(min(self._threads, len(todo))) as pool:
                for _ in pool.map(work, todo):
                    pass
        return vectors if len(windows) == len(texts) else means(vectors, counts)

    def _windows(self, texts: Sequence[str]) -> tuple[list[Ids], list[int]]:
        """The windows of all texts, and how many each text has."""
        windows, counts = [], []
        for encoding in self._tokenizer.encode_batch_fast(
            [_readable(text) for text in texts], add_special_tokens=False
        ):
            parts = even_parts(encoding.ids, WINDOW - 2)
            windows += [[BEGIN, *part, END] for part in parts]
            counts.append(len(parts))
        return windows, counts

    def _infer(self, ids: NDArray[np.int32]) -> Any:
        request = self._requests.get()
        try:
            return request.infer([ids])[0]  # a copy: the next batch may take the request
        finally:
            self._requests.put(request)


def _tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(WEIGHTS / "tokenizer.json"))


def _readable(text: str) -> str:
    """Half of a surrogate pair is a string, but not text: it becomes a '?'."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _compiled(threads: int) -> Any:
    """The network, ready to run."""
    settings = {
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,
        # bf16 would be a tenth faster where there is any, and give other vectors there than elsewhere.
        "INFERENCE_PRECISION_HINT": "f32",
        # Where the network fixes no range for an activation, it is rounded as it comes, in groups of this many numbers.
        # Left as floats (0), which gives nearly the same vectors, these four layers cost a quarter of the time more.
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "32" if has_vnni() else "0",
        # A pinned thread waits for its core even if another one is free.
        "ENABLE_CPU_PINNING": False,
    }
    return openvino.Core().compile_model(WEIGHTS / "minilm.xml", "CPU", settings)


def has_vnni() -> bool:
    """Whether the processor multiplies 8-bit numbers in one instruction, as far as Linux tells.

    Held to AVX2 (DNNL_MAX_CPU_ISA), OpenVINO 2026.4 cannot round as it comes, which it notices at the first run; after
    that even a network that it can run goes wrong. So it is not asked to without knowing.
    """
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_vnni" in flags or "avx_vnni" in flags


def even_parts(ids: Ids, most: int) -> list[Ids]:
    """Cut into as few parts as possible, as equal as possible, so that their plain mean is fair.

    >>> even_parts([1, 2, 3, 4, 5], 3), even_parts([], 3)
    ([[1, 2, 3], [4, 5]], [[]])
    """
    count = max(1, -(-len(ids) // most))
    size = -(-len(ids) // count)
    return [ids[index * size : (index + 1) * size] for index in range(count)]


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Positions, longest first, in batches of at most BATCH_TOKENS once padded: next to nothing is padding then."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def padded(windows: Sequence[Ids]) -> NDArray[np.int32]:
    """One row for each window, 0 (which the model ignores) after its end."""
    ids = np.zeros((len(windows), max(map(len, windows))), np.int32)
    for row, window in zip(ids, windows, strict=True):
        row[: len(window)] = window
    return ids


def means(vectors: Vectors, counts: Sequence[int]) -> Vectors:
    """Mean of each text's windows, of length 1 again."""
    starts = np.cumsum([0, *counts[:-1]])
    summed = np.add.reduceat(vectors, starts, axis=0)
    return np.asarray(summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-9), np.float32)
