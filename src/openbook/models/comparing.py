"""Sets models side by side on a user's own text: size, speed, memory, and how well each foresees the words.

text --windows of 512 tokens--> child: one model reads --> perplexity; beside the largest: KL divergence, same choice
     --a piece as a prompt----> llama.cpp's server, as `ask` runs it --> tokens/s, peak memory

One model at a time, each in a process of its own. What a model said of a window is on the disk at once, so that a
comparison goes on where it was stopped, and is not done twice.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from openbook.errors import ModelError
from openbook.home import absolute, home
from openbook.llamacpp.client import Client
from openbook.machine import cores
from openbook.models.catalogue import catalogue
from openbook.models.facts import gguf_file
from openbook.models.gguf import Header, read_header
from openbook.models.identity import identity
from openbook.models.transfer import check_room, size_of
from openbook.recipe import digest
from openbook.types import Progress, Report

CHILD = Path(__file__).with_name("compare_child.py")
INSTALL = "pip install 'openbook[quantize]'"
WINDOW = 512  # tokens: the context that most published numbers of llama.cpp's are for
SCORED = WINDOW // 2 - 1  # tokens of each window
TOKENS = 4096
CHARACTERS = 16  # of the text that are looked at for each token: more than any vocabulary's tokens have on average
CONTEXT = 4096  # that `ask` runs with: memory depends on it
SPEED_PROMPT, SPEED_ANSWER = 256, 48  # tokens to read and to write,
SPEED_ROUNDS = 3  # so many times; the median counts
VERSION = 1  # of the lines that are kept


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its standard error, the tokens taken as independent, as llama.cpp does."""

    mean: float
    error: float


@dataclass(frozen=True, slots=True)
class Compared:
    """One model. What is measured against the largest is None for it, and where the vocabularies differ."""

    name: str
    path: Path
    size_bytes: int
    quantisation: str
    bits: float  # for each parameter
    tokens_per_second: float  # writing
    prompt_tokens_per_second: float  # reading
    peak_bytes: int  # of the server's process; 0 where the system does not tell
    scored: int  # tokens
    perplexity: Estimate  # e to the mean surprise at a token, in nats: comparable within one vocabulary
    bits_per_byte: float  # the same surprise, comparable among all
    change: Estimate | None  # of the log of the perplexity, token by token: 0.02 is 2 % worse
    kl: Estimate | None  # nats
    kl_p99: float | None  # one token in a hundred is worse than this
    same_choice: Estimate | None  # share of tokens where both like the same one best


@dataclass(slots=True)
class _Reading:
    """What one model said: of the text, then of each window."""

    path: Path
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return bool(self.lines) and len(self.lines) == 1 + self.lines[0]["windows"]

    @property
    def windows(self) -> int:
        return max(0, len(self.lines) - 1)

    def values(self, name: str) -> np.ndarray[Any, Any]:
        return np.array([value for line in self.lines[1:] for value in line[name]], np.float64)

    def keep(self, windows: int) -> None:
        """Forget what comes after so many windows."""
        self.lines = self.lines[: windows + 1] if windows else []
        text = "".join(json.dumps(line) + "\n" for line in self.lines)
        self.path.write_text(text, encoding="utf-8")

    def add(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


@dataclass(slots=True)
class _Comparison:
    """A folder of the cache for one text and one largest model."""

    folder: Path
    base: Header
    tokens: int
    report: Report | None
    total: int  # windows of all models
    done: int = 0

    @property
    def text(self) -> Path:
        return self.folder / "text.txt"

    @property
    def probabilities(self) -> Path:
        return self.folder / "base.f16"

    @property
    def window_bytes(self) -> int:
        """Of the probabilities of one window."""
        return max(1, SCORED * self.base.vocabulary * 2)

    def reading(self, header: Header) -> _Reading:
        """What was kept of a model; the half line of one that was killed is cut off."""
        path = self.folder / f"{identity(header.path)}.jsonl"
        content = path.read_bytes() if path.exists() else b""
        if (end := content.rfind(b"\n") + 1) < len(content):
            os.truncate(path, end)
        return _Reading(path, [json.loads(line) for line in content[:end].splitlines()])

    def tell(self, windows: int) -> None:
        self.done += windows
        if self.report:
            self.report(Progress("compare", self.done, self.total, "windows"))


def compare(
    names: Sequence[str],
    text: Path,
    *,
    tokens: int = TOKENS,
    report: Report | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Compared]:
    """Every model on the beginning of a text, the largest file first: the others are measured against it.

    Args:
        names: Models as `models.find` takes them.
        text: A file of plain text, UTF-8.
        tokens: How many of the largest model's tokens to read; rounded down to whole windows.
        report: Is told how many windows are done.
        say: Is told in one line what a user should know of the result.

    Raises:
        ModelError: A model is missing or fails, the text is too short, or there is no room for the probabilities.
    """
    say = say or (lambda line: None)
    if importlib.util.find_spec("cyllama") is None:
        raise ModelError(f"Comparing needs cyllama. Install it with: {INSTALL}")
    if tokens < WINDOW:
        raise ModelError(f"{tokens} tokens are less than one window of {WINDOW}. Write --tokens {WINDOW} or more.")
    paths = {name: gguf_file(name) for name in names}
    labels = {path: name if name in catalogue() else path.stem for name, path in paths.items()}
    headers = sorted(map(read_header, labels), key=lambda one: -one.size_bytes)
    if not headers:
        raise ModelError("No model to compare. Name one or more: openbook models")
    found: list[Compared] = []
    with _opened(headers, text, tokens // WINDOW, report) as comparison:
        base = _read_base(comparison, headers, say)
        for header in headers:
            reading = base if header is headers[0] else _read(comparison, header, base)
            speed = _speed(labels[header.path], header, comparison.text)
            found.append(_compared(labels[header.path], header, reading, base, speed))
        comparison.probabilities.unlink(missing_ok=True)
    if any(one.kl is None for one in found[1:]):
        say("Not all models have the same vocabulary: compare bits/byte there, not perplexity.")
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > cores():
        say("This machine is busy with other work: the speeds are lower than they could be.")
    return found


@contextmanager
def _opened(headers: Sequence[Header], text: Path, windows: int, report: Report | None) -> Generator[_Comparison]:
    """The folder of a comparison with its text in it; nobody else's meanwhile."""
    content = _beginning(text, windows * WINDOW * CHARACTERS)
    folder = home() / "cache" / "compare" / digest(VERSION, content, windows, identity(headers[0].path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            comparison = _Comparison(folder, headers[0], windows * WINDOW, report, windows * len(headers))
            comparison.text.write_bytes(content.encode())
            yield comparison
    except Timeout:
        raise ModelError("Another openbook is at this comparison. Wait for it.") from None
    except OSError as error:
        raise ModelError(
            f"Cannot write {error.filename or folder}: {error.strerror or error}. Free some room."
        ) from error


def _beginning(path: Path, size: int) -> str:
    """The first bytes of a text, whole characters.

    Raises:
        ModelError: It cannot be read, or is no text in UTF-8.
    """
    advice = "Get the text of any file with: openbook read FILE > text.txt"
    try:
        with absolute(path).open("rb") as file:
            content = file.read(size)
    except OSError as error:
        raise ModelError(f"Cannot read {path}: {error.strerror or error}. Name a file of plain text.") from error
    if b"\0" in content:
        raise ModelError(f"{path} is not plain text. {advice}")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        if error.start < len(content) - 3:  # bytes of the longest character, but one
            raise ModelError(f"{path} is not UTF-8: {error.reason} at byte {error.start:,}. {advice}") from error
        return content[: error.start].decode()


def _read_base(comparison: _Comparison, headers: Sequence[Header], say: Callable[[str], None]) -> _Reading:
    """The largest model; its probabilities too when another has to be measured against them."""
    reading = comparison.reading(headers[0])
    if any(not comparison.reading(header).whole for header in headers[1:]):
        comparison.probabilities.touch()
        there = size_of(comparison.probabilities) // comparison.window_bytes
        if there < reading.windows:
            reading.keep(there)
        check_room(comparison.folder, (comparison.tokens // WINDOW - there) * comparison.window_bytes)
    if not reading.whole:
        _run(comparison, headers[0], reading, ids="", length=0, base=comparison.probabilities.exists())
    else:
        comparison.tell(reading.windows)
    if not reading.windows:
        count = reading.lines[0]["tokens"]
        raise ModelError(f"The text has {count} tokens, less than one window of {WINDOW}. Name a longer text.")
    if reading.windows < comparison.tokens // WINDOW:
        say(f"The text has only {reading.lines[0]['tokens']:,} tokens: {reading.windows} windows of {WINDOW} are read.")
    return reading


def _read(comparison: _Comparison, header: Header, base: _Reading) -> _Reading:
    reading = comparison.reading(header)
    if reading.whole:
        comparison.tell(reading.windows)
    else:
        first = base.lines[0]
        _run(comparison, header, reading, ids=first["ids"], length=first["bytes"], base=True)
    return reading


def _run(comparison: _Comparison, header: Header, reading: _Reading, *, ids: str, length: int, base: bool) -> None:
    """Let a child read the windows that are not read yet.

    Raises:
        ModelError: It failed; says why.
    """
    settings = {
        "path": str(header.path),
        "text": str(comparison.text),
        "tokens": comparison.tokens,
        "window": WINDOW,
        "threads": cores(),
        "start": reading.windows,
        "base": str(comparison.probabilities) if base else "",
        "ids": ids,
        "bytes": length,
    }
    comparison.tell(reading.windows)
    for line in _child(header, settings):
        if "windows" not in line:
            reading.add(line)
            comparison.tell(1)
        elif not reading.lines:
            reading.add(line)


def _child(header: Header, settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    process = subprocess.Popen(
        # -P: the folder of the child is not where it finds libraries.
        [sys.executable, "-P", str(CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Decision 0003; and an assertion of llama.cpp's would run a debugger.
        env={"OMP_WAIT_POLICY": "passive", "GGML_NO_BACKTRACE": "1", **os.environ},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    log: deque[bytes] = deque(maxlen=50)
    reader = Thread(target=log.extend, args=(process.stderr,), daemon=True)
    reader.start()
    try:
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        process.stdin.close()
        for line in process.stdout:
            yield json.loads(line)
        code = process.wait()
    finally:  # Ctrl-C
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
        process.stderr.close()
    if code:
        lines = [line.decode("utf-8", "replace").strip() for line in log]
        why = next((line for line in reversed(lines) if line), "it said nothing")
        if code < 0:
            why = "its process was killed, most likely for memory"
        raise ModelError(f"{header.path.name} could not read the text: {why[:200]}. Compare without it, or try again.")


def _speed(name: str, header: Header, text: Path) -> tuple[float, float, int]:
    """Tokens written and read in a second, as a median, and the most memory the server ever held."""
    context = min(CONTEXT, header.context_length or CONTEXT)
    settings = {"context": context, "threads": 0, "gpu_layers": -1}
    with closing(Client(name, header.path, settings, keep_minutes=60)) as client, client.running():
        prompt = client.tokenize(text.read_text("utf-8")[: SPEED_PROMPT * CHARACTERS])[:SPEED_PROMPT]
        body = {
            "prompt": prompt,
            "n_predict": SPEED_ANSWER,
            "temperature": 0,
            "ignore_eos": True,
            "cache_prompt": False,
        }
        timings = [client.post("/completion", body).json()["timings"] for _ in range(SPEED_ROUNDS)]
        assert client.server is not None
        peak = client.server.peak_bytes()
    writing, reading = (
        statistics.median(one[f"{what}_per_second"] for one in timings) for what in ("predicted", "prompt")
    )
    return writing, reading, peak


def _compared(name: str, header: Header, mine: _Reading, base: _Reading, speed: tuple[float, float, int]) -> Compared:
    surprise = mine.values("nll")
    mean = _mean(surprise)
    perplexity = math.exp(mean.mean)
    same = mine is not base and mine.lines[0]["same"]
    divergence = mine.values("kl") if same else None
    choice = _mean(mine.values("same")) if same else None
    return Compared(
        name,
        header.path,
        header.size_bytes,
        header.quantisation,
        header.bits,
        *speed,
        len(surprise),
        Estimate(perplexity, perplexity * mean.error),
        float(surprise.sum()) / math.log(2) / max(1, sum(line["bytes"] for line in mine.lines[1:])),
        _mean(surprise - base.values("nll")) if same else None,
        _mean(divergence) if divergence is not None else None,
        float(np.percentile(divergence, 99)) if divergence is not None else None,
        choice,
    )


def _mean(values: np.ndarray[Any, Any]) -> Estimate:
    return Estimate(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values)))
