"""Tells when something changes below some paths: what `openbook add --watch` waits for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

QUIET_MS = 1600  # without a change, before a burst of them is over


def changes(paths: Sequence[Path], but: Path) -> Iterator[None]:
    """Yields after each burst of changes below the paths, except in the folder `but`; ends at Ctrl-C."""
    from watchfiles import DefaultFilter, watch

    usual = DefaultFilter()
    own = str(but) + os.sep
    for _ in watch(
        *paths,
        debounce=QUIET_MS * 4,
        step=QUIET_MS,
        watch_filter=lambda change, path: usual(change, path) and not path.startswith(own),
        raise_interrupt=False,
        ignore_permission_denied=True,
    ):
        yield
