"""Tells when something changes below some paths: what `openbook add --watch` waits for."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from openbook.errors import ReadError
from openbook.home import absolute

QUIET_MS = 1600  # without a change, before a burst of them is over
BEGIN_MS = 500


def changes(paths: Sequence[Path], but: Path) -> Iterator[None]:
    """Yields once, when it watches, and after each burst of changes below the paths; ends at Ctrl-C.

    What changes while the first `add` runs is seen too. Nothing in the folder `but` counts. Of a pattern, the folder
    that its names lie in is watched.

    Raises:
        ReadError: A path does not exist.
    """
    from watchfiles import DefaultFilter, watch

    usual = DefaultFilter()
    own = str(but) + os.sep
    began = False
    for found in watch(
        *map(_watched, paths),
        rust_timeout=BEGIN_MS,
        yield_on_timeout=True,  # a timeout is the only sign that it has begun
        debounce=QUIET_MS * 4,
        step=QUIET_MS,
        watch_filter=lambda change, path: usual(change, path) and not path.startswith(own),
        raise_interrupt=False,
        ignore_permission_denied=True,
    ):
        if found or not began:
            began = True
            yield


def _watched(path: Path) -> Path:
    path = absolute(path)
    while glob.has_magic(str(path)) and not path.exists():
        path = path.parent
    if not path.exists():
        raise ReadError(f"{path} does not exist. Check the path.")
    return path
