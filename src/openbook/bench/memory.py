"""How much memory this process and those it started hold, at the most.

Of each process what Linux calls its resident size, added up. A page that two of them share, of a library, is counted
twice: some tens of megabytes. The proportional size (PSS) would not, but weights that a stranger has mapped too would
be halved, and to read it walks all pages: 36 ms of a process of 2 GB, where the resident size takes 0.02.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from openbook.machine import graphics_held

EVERY_SECONDS = 0.05
GRAPHICS_SECONDS = 1.0  # nvidia-smi is a program: it takes some 50 ms
FIELD = re.compile(r"^(VmHWM|VmRSS|RssAnon|RssFile|RssShmem):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes at the most. Where the system does not tell files apart, all is anonymous."""

    total: int = 0  # of all processes at one moment
    anonymous: int = 0  # of that moment: what the processes wrote themselves
    mapped: int = 0  # of that moment: of files, such as weights, which the system may take back
    largest: int = 0  # of the largest process alone: what `time -v` calls the maximum resident set size
    vram: int = 0  # of graphics cards, where nvidia-smi tells


class Watch:
    """While it is entered, looks now and then at this process and all below it.

    Of each process the system itself keeps the highest value, so a peak of one alone between two looks is not lost.
    """

    def __init__(self) -> None:
        self._peak = Peak()
        self._vram = 0
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._others: int | None = None  # graphics memory that was held before
        self._threads = [
            threading.Thread(target=self._run, args=(self._look, EVERY_SECONDS), daemon=True),
            threading.Thread(target=self._run, args=(self._look_at_cards, GRAPHICS_SECONDS), daemon=True),
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def peak(self) -> Peak:
        """The most so far."""
        self._look()
        return replace(self._peak, total=max(self._peak.total, self._peak.largest), vram=self._vram)

    def _run(self, look: Callable[[], None], seconds: float) -> None:
        look()
        while not self._stop.wait(seconds):
            look()

    def _look(self) -> None:
        if not Path("/proc/self/status").exists():
            total = _own_peak()
            self._peak = replace(self._peak, total=total, anonymous=total, largest=total)
            return
        totals = anonymous = mapped = largest = 0
        for pid in family(os.getpid()):
            held = _held(pid)
            largest = max(largest, held.get("VmHWM", 0))
            totals += held.get("VmRSS", 0)
            anonymous += held.get("RssAnon", 0) + held.get("RssShmem", 0)
            mapped += held.get("RssFile", 0)
        with self._lock:
            found = replace(self._peak, largest=max(self._peak.largest, largest))
            if totals > found.total:
                found = replace(found, total=totals, anonymous=anonymous, mapped=mapped)
            self._peak = found

    def _look_at_cards(self) -> None:
        ours, everyones = graphics_held(family(os.getpid()))
        if self._others is None:
            self._others = everyones - ours
        # Without a process of ours in the list, in a container: what has been taken since the first look.
        self._vram = max(self._vram, ours or everyones - self._others)


def _own_peak() -> int:
    """Of this process alone, where the system has no /proc."""
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _held(pid: int) -> dict[str, int]:
    """Bytes by what they are; none of a process that has just ended."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
        return {name: int(kilobytes) * 1024 for name, kilobytes in FIELD.findall(status)}
    return {}


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                todo += map(int, children.read_text(encoding="ascii").split())
    return found
