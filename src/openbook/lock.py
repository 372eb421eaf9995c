"""Only one process at a time changes a book."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from openbook.types import Progress, Report


@contextmanager
def locked(folder: Path, report: Report | None) -> Generator[None]:
    """Hold the lock of a book's folder; says so through `report` when it must wait."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if report:
            report(Progress("wait", 0, 0))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
