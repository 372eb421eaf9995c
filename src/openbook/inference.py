"""Networks that run inside this process: OpenVINO, which tells nobody, with one stream for each thread.

    rows of token ids --sort by length--> batches --streams, one thread each--> one row of numbers for each

Everything that needs openvino takes it from here: `from openbook.inference import openvino`.
"""

from __future__ import annotations

import importlib
import os
import queue
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


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


# What oneDNN inside of OpenVINO keeps for each shape (1024 of them): 270 MB after 240 shapes, for nothing, as OpenVINO
# has a cache of its own, limited below. Read when the first network is loaded.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "0")

with _without_telemetry():
    # Not by statements: what openvino says of its types is wrong in places.
    openvino: Any = importlib.import_module("openvino")
    op: Any = importlib.import_module("openvino.opset14")

__all__ = ["Ids", "Network", "batches", "has_vnni", "op", "openvino", "padded", "refuse_after_fork"]

BATCH_TOKENS = 2048  # of a batch, padding included. 1024 to 4096 are equally fast, 256 costs a quarter more.

TOKEN_STEP, ROW_STEP = 16, 4  # of a batch's shape

Ids = list[int]
"""One row: the tokens of a text, or of a question and a passage."""


class Network:
    """A network that is ready to run, with a request for each thread; any number of callers may share it."""

    def __init__(self, source: Path | Any, threads: int, settings: Mapping[str, Any] | None = None) -> None:
        """`source` is a file of OpenVINO or ONNX, or a model built with `op`; `settings` of OpenVINO win over ours."""
        refuse_after_fork()
        compiled = openvino.Core().compile_model(source, "CPU", {**_settings(threads), **(settings or {})})
        self._threads = threads
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(threads):
            self._requests.put(compiled.create_infer_request())

    def __call__(self, *inputs: NDArray[Any]) -> Any:
        """The first output, for the inputs in the network's own order."""
        request = self._requests.get()
        try:
            return request.infer(list(inputs))[0]  # a copy: the next batch may take the request
        finally:
            self._requests.put(request)

    def by_length(self, lengths: Sequence[int], work: Callable[[list[int]], None]) -> None:
        """Call `work` with the positions of each batch, as many at once as there are threads."""
        todo = list(batches(lengths))
        if len(todo) < 2 or self._threads == 1:
            for batch in todo:
                work(batch)
            return
        with ThreadPoolExecutor(min(self._threads, len(todo))) as pool:
            for _ in pool.map(work, todo):
                pass


def _settings(threads: int) -> dict[str, Any]:
    return {
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,
        # bf16 would be a tenth faster where there is any, and give other vectors there than elsewhere.
        "INFERENCE_PRECISION_HINT": "f32",
        # Where an int8 network fixes no range for an activation, it is rounded as it comes, in groups of this many
        # numbers. Left as floats (0), which gives nearly the same vectors, MiniLM takes a quarter longer.
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "32" if has_vnni() else "0",
        # A pinned thread waits for its core even if another one is free.
        "ENABLE_CPU_PINNING": False,
        # What each stream keeps of the shapes that batches had, of which there is no end; oneDNN keeps more, see above.
        # MiniLM after 400 calls of all lengths, two threads: 690 MB with 256 and oneDNN's own cache, 420 MB so. A
        # question takes 2 ms longer, many texts take as long.
        "CPU_RUNTIME_CACHE_CAPACITY": 64,
    }


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


_loaded_in: set[int] = set()  # the process that has loaded a network; a forked child inherits its parent's


def refuse_after_fork() -> None:
    """OpenVINO's threads do not live on in a forked child, where it would wait for them for ever: say so instead.

    Raises:
        RuntimeError: A network was loaded before this process was forked.
    """
    if _loaded_in and os.getpid() not in _loaded_in:
        raise RuntimeError("A model was loaded before this process was forked. Start processes with 'spawn'.")
    _loaded_in.add(os.getpid())


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


def padded(rows: Sequence[Ids], padding: int, most: int) -> NDArray[np.int32]:
    """Shape (rows, longest), both rounded up, at `most` tokens; `padding`, which the network ignores, after each end.

    The network keeps what it made for each shape (see `_settings`), so there should be few. 3,072 chunks of the Bible,
    512 a call, leave 406 MB instead of 522, for the same CPU seconds. What comes of rows beyond those given is to be
    cut off.
    """
    longest = min(-(-max(map(len, rows)) // TOKEN_STEP) * TOKEN_STEP, most)
    count = len(rows) if len(rows) < ROW_STEP else -(-len(rows) // ROW_STEP) * ROW_STEP
    ids = np.full((count, longest), padding, np.int32)
    for number in range(count):
        row = rows[min(number, len(rows) - 1)]  # padding alone would be a mean of nothing
        ids[number, : len(row)] = row
    return ids
