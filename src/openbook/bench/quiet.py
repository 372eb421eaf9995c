"""Whether the machine was quiet while something was timed: what others used of its cores meanwhile.

all cores, from /proc/stat:  |#### this process and those it started ####|== others ==|.... idle ....|

Where the system has no /proc, the load average stands in, in which one's own work counts too.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openbook.bench.memory import family
from openbook.machine import cores

NOISY_SHARE = 0.1  # of the cores, used by others: so much slower is what needs all of them
NOISY_LOAD = 1.3  # processes for each core, our own included, where the share is not known
ENOUGH = 3  # quiet measurements that a median needs
WINDOW = 1.0  # seconds looked back at least: the system counts in hundredths
BUSY = (0, 1, 2, 5, 6, 7)  # of a line of /proc/stat: user, nice, system, irq, softirq, steal


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    all: float  # seconds of the cores we may use, by anybody
    own: float  # and by this process and all below it


class Others:
    """What other processes use of the cores, question by question."""

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        self._stat = stat
        self._looks: deque[_Look] = deque(maxlen=256)
        self.look()

    def look(self) -> None:
        """A question begins."""
        if (look := self._now()) is not None:
            while len(self._looks) > 1 and look.at - self._looks[1].at >= WINDOW:
                self._looks.popleft()  # the oldest that is kept is a second old, or the last question's beginning
            self._looks.append(look)

    def share(self) -> float | None:
        """Of all cores, 0 to 1: since the question began, or a second back where it took less; None: not known."""
        now = self._now()
        if now is None or not self._looks:
            return None
        last = self._looks[-1]
        since = last if now.at - last.at >= WINDOW else self._looks[0]
        seconds = now.at - since.at
        if seconds <= 0:
            return None
        used = (now.all - since.all) - (now.own - since.own)
        return round(min(1.0, max(0.0, used / seconds / cores())), 3)

    def _now(self) -> _Look | None:
        try:
            lines = self._stat.read_text("ascii").splitlines()
            ticks = os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, AttributeError):
            return None
        ours = {f"cpu{core}" for core in os.sched_getaffinity(0)} if hasattr(os, "sched_getaffinity") else set()
        found = [line.split() for line in lines if line.split(" ", 1)[0] in ours]
        if not any(any(map(int, values[1:])) for values in found):  # a container that is not told
            return None
        used = sum(int(values[1 + place]) for values in found for place in BUSY if 1 + place < len(values))
        return _Look(time.monotonic(), used / ticks, _own() / ticks)


def _own() -> int:
    """Ticks used by this process and all below it; those that have ended count with the one that waited for them."""
    total = 0
    for pid in family(os.getpid()):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total


def load() -> float:
    """Processes that wanted a core in the last minute, ours included; 0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def others_now(seconds: float = WINDOW) -> float:
    """The share of the cores that others use now; looks for so many seconds."""
    watched = Others()
    time.sleep(seconds)
    share = watched.share()
    return max(0.0, load() / cores() - 1.0) if share is None else share


def is_noisy(value: Mapping[str, Any]) -> bool:
    """Whether others kept the cores busy while a question was timed, or an index made."""
    others = value.get("others")
    if others is not None:
        return bool(others > NOISY_SHARE)
    return bool(value.get("load", 0.0) > NOISY_LOAD * cores())


@dataclass(frozen=True, slots=True)
class Timed:
    """What the speed of a stage is told from."""

    values: Sequence[Mapping[str, Any]]
    noisy: bool  # none of them quiet, or too few


def timed(values: Sequence[Mapping[str, Any]], measured: Mapping[str, Any]) -> Timed:
    """The quiet ones of a stage's warm questions, those included that were asked again for their time alone; all of
    them where fewer than `ENOUGH` are quiet.

    `measured` is what is kept of the stage as a whole. A model at a service is not slowed down by what happens here.
    """
    warm = [one for one in values if not one.get("cold", True) and "error" not in one]
    again: Sequence[Mapping[str, Any]] = measured.get("speeds", ())
    if measured.get("remote"):
        return Timed(warm, noisy=False)
    quiet = [one for one in (*warm, *again) if not is_noisy(one)]
    if len(quiet) >= min(ENOUGH, len(warm)):
        return Timed(quiet, noisy=False)
    return Timed([*warm, *again], noisy=True)
