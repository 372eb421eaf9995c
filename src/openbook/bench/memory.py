"""How much memory this process and those it started hold, at the most."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

EVERY_SECONDS = 0.05
FIELD = re.compile(r"^(VmHWM|VmRSS|RssAnon|RssFile|RssShmem):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes at the most. Where the system does not tell files apart, all is anonymous."""

    total: int = 0
    anonymous: int = 0  # what the processes wrote themselves
    mapped: int = 0  # of files, such as weights: the system may take it back


class Watch:
    """While it is entered, looks now and then at this process and all below it.

    Of this process alone the system itself keeps the highest value, so a peak between two looks is not lost.
    """

    def __init__(self) -> None:
        self._peak = Peak()
        self._own = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def peak(self) -> Peak:
        """The most so far."""
        self._look()
        return Peak(max(self._peak.total, self._own), self._peak.anonymous, self._peak.mapped)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            self._look()

    def _look(self) -> None:
        if not Path("/proc/self/status").exists():
            total = _own_peak()
            self._peak = Peak(total, total, 0)
            return
        totals = anonymous = mapped = 0
        for pid in family(os.getpid()):
            held = _held(pid)
            if pid == os.getpid():
                self._own = max(self._own, held.get("VmHWM", 0))
            totals += held.get("VmRSS", 0)
            anonymous += held.get("RssAnon", 0) + held.get("RssShmem", 0)
            mapped += held.get("RssFile", 0)
        if totals > self._peak.total:
            self._peak = Peak(totals, anonymous, mapped)


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
