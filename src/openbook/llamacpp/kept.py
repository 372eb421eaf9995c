"""The prompt that a server read last, kept on disk: what follows on it in the next run is not read again.

server --save--> FILE --taken by one process--> server --restore--> its first slot
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Post = Callable[[str, Mapping[str, Any]], bool]
"""Asks the server for something; whether it was done."""


@dataclass(frozen=True, slots=True)
class KeptPrompt:
    """One file for one model as it is set up. It holds the words of the prompt: only its owner may read it."""

    path: Path

    def restore(self, post: Post) -> bool:
        """Give the server what was kept; whether there was something that it could take.

        The file is gone afterwards: one that brings the server down does so once, and no two processes share it.
        """
        taken = self._own("taken")
        try:
            self.path.replace(taken)
        except OSError:
            return False
        try:
            return post("/slots/0?action=restore", {"filename": taken.name})
        finally:
            with contextlib.suppress(OSError):
                taken.unlink()

    def save(self, post: Post, slot: int) -> bool:
        """Keep what a slot of the server has read; whether it could be."""
        part = self._own("part")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not post(f"/slots/{slot}?action=save", {"filename": part.name}):
                return False
            part.replace(self.path)
        except OSError:
            return False
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        return True

    def _own(self, state: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{os.getpid()}.{state}")
