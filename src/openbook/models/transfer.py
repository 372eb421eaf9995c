"""What all ways of getting a file share: how far it is, room on the disk, and why a source failed."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from openbook.errors import ModelError
from openbook.models.catalogue import readable
from openbook.types import Progress, Report

PIECE = 1 << 20  # bytes read and written at once
SLACK = 32 << 20  # bytes to leave free on the disk
BETWEEN_REPORTS = 0.1  # seconds


class SourceError(Exception):
    """One source did not give the file. The next one is tried; when none is left, a user reads all reasons."""


@dataclass(slots=True)
class Meter:
    """Tells a report how many bytes are there: never less than before, and not for every piece."""

    report: Report | None
    total: int
    before: int = 0  # bytes of the files that came before this one
    done: int = 0
    step: str = "download"
    told: float = float("-inf")

    def __call__(self, done: int) -> None:
        self.done = max(self.done, min(self.before + done, self.total))
        now = time.monotonic()
        if self.report and (now - self.told >= BETWEEN_REPORTS or self.done == self.total):
            self.told = now
            self.report(Progress(self.step, self.done, self.total, "bytes"))


def size_of(path: Path) -> int:
    """Bytes in a file, 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def check_room(folder: Path, wanted: int) -> None:
    """Refuse before the first byte what will not fit.

    Raises:
        ModelError: Less than `wanted` bytes are free where `folder` lies.
    """
    free = shutil.disk_usage(folder).free
    if free < wanted + SLACK:
        raise ModelError(
            f"Not enough room in {folder}: {readable(wanted)} wanted, {readable(free)} free."
            " Free some, or set OPENBOOK_HOME to a larger disk."
        )
