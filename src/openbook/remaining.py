"""How much of an `add` is still to come, guessed anew with every document that is read."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import exp

PRIOR = 0.1  # of the chunks that were estimated: as many must come before what came counts as much as the estimate
LONGEST_MEMORY = 60.0  # seconds by which the rate forgets, or
MEMORY = 0.3  # this share of the time that has passed


@dataclass
class Remaining:
    """Chunks that are still to come: those the estimate says of what is not read, corrected by what came of the rest.

    `expected` holds for each file how many chunks are expected of it, or, when nothing was estimated, its size.
    """

    expected: Mapping[str, float]
    estimated: bool = False
    seconds_per_chunk: float = 0.0  # estimated; 0: not known
    clock: Callable[[], float] = time.perf_counter
    chunks: int = field(default=0, init=False)  # that came

    def __post_init__(self) -> None:
        self._open = dict(self.expected)
        self._ahead = sum(self._open.values())
        self._prior = PRIOR * self._ahead if self.estimated else 0.0
        self._passed = 0.0  # of what was expected
        self._began = self._heard = self.clock()
        self._done = 0
        self._seconds = self._prior * self.seconds_per_chunk
        self._rated = self._prior if self.seconds_per_chunk else 0.0

    def came(self, path: str, characters: int, chunks: int) -> None:
        """A document of a file was split."""
        self.chunks += chunks
        self._pass(path, chunks if self.estimated else characters)

    def ended(self, path: str) -> None:
        """No more comes of a file."""
        self._pass(path, self._open.get(path, 0.0))

    def _pass(self, path: str, most: float) -> None:
        passed = min(most, self._open.get(path, 0.0))
        if passed:
            self._open[path] -= passed
            self._ahead -= passed
            self._passed += passed

    @property
    def total(self) -> int:
        """Chunks in all, those that came included."""
        passed = self._passed + self._prior
        return self.chunks + (round(self._ahead * (self.chunks + self._prior) / passed) if passed else 0)

    def seconds_left(self, done: int) -> float | None:
        """Until all chunks are done, when so many are by now; None: not known yet."""
        now = self.clock()
        passed, self._heard = now - self._heard, now
        keep = exp(-passed / max(LONGEST_MEMORY, MEMORY * (now - self._began)))
        self._seconds = self._seconds * keep + passed
        self._rated = self._rated * keep + done - self._done
        self._done = done
        return max(0, self.total - done) * self._seconds / self._rated if self._rated else None
