"""How long what is left will take, by what was measured, and how many questions fit into the time that is left.

a row's stage:  |--start--|-each-|-each-|-each-|      `start`: its process, the model, the index are loaded
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

START_SECONDS = 2.0  # of a stage, until it was measured
WORTH = 9.0  # a block asks so much longer than its processes take to start
FIRST = 2  # questions of each row while nothing was measured: one loads the model, the other tells its pace


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of one row's stage."""

    start: float = START_SECONDS
    each: float | None = None  # of a question; None: not known

    def seconds(self, questions: int) -> float:
        """For so many questions; none take no time."""
        return self.start + questions * (self.each or 0.0) if questions else 0.0


def pace(began: float, starts: Sequence[float], ended: float) -> Pace | None:
    """The pace of a stage that began its questions at `starts`; None where none was asked.

    The first question loads what it needs: that counts as the start.
    """
    if not starts:
        return None
    if len(starts) == 1:
        return Pace(max(0.0, starts[0] - began), ended - starts[0])
    each = (ended - starts[1]) / (len(starts) - 1)
    return Pace(max(0.0, ended - began - len(starts) * each), each)


@dataclass
class Clock:
    """The time a comparison may take."""

    minutes: float = 0.0  # 0: as long as it takes
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds; inf without a limit, below 0 when it is over."""
        return self.began + 60 * self.minutes - time.monotonic() if self.minutes else math.inf

    @property
    def deadline(self) -> float | None:
        """The same as a time of day, for another process."""
        return time.time() + self.left if self.minutes else None


def block(paces: Sequence[Pace], seconds: float, most: int) -> int:
    """How many questions to ask of every row next, 1 to `most`, so that starting costs little and all rows get them.

    With `seconds` for all rows together; fewer than one fits: 1, which some rows will not be asked.
    """
    known = [one.each for one in paces if one.each is not None]
    if len(known) < len(paces):
        return min(most, FIRST)
    start, each = sum(one.start for one in paces), sum(known)
    fits = math.floor((seconds - start) / each) if each else most
    worth = math.ceil(WORTH * start / each) if each else most
    # A last small block would pay the start again for little: what is left then goes into this one.
    wanted = worth if fits > 2 * worth else fits
    return max(1, min(most, wanted))


def typical(paces: Sequence[Pace]) -> Pace:
    """The mean of those that are known, for a row that is not yet."""
    known = [one for one in paces if one.each is not None]
    if not known:
        return Pace()
    return Pace(fmean(one.start for one in known), fmean(one.each or 0.0 for one in known))
