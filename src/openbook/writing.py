"""Text files that are written whole: under its own name a file is all of what it should be, or what it was before."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

LONGEST = 50  # characters of the name that are in the temporary one's: a file's may have 255 bytes
ALONE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY)  # nothing may be put beside a file, or in its place


def write(path: Path, text: str) -> None:
    """Write a file in one step: stopped at any moment, or on a full disk, what was there before is there still.

    One that cannot be replaced, such as a file mounted into a container, is written over instead.

    Raises:
        OSError: It cannot be written; names the file.
    """
    if path.exists() and not path.is_file():  # a pipe, a terminal: nothing is kept there
        path.write_text(text, encoding="utf-8")
        return
    target = Path(os.path.realpath(path))  # a link stays one
    if target.is_symlink():  # links that lead to each other; Path.resolve says so by a RuntimeError, or not at all
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    try:
        _replace(target, text)
    except OSError as error:
        if error.errno not in ALONE or not target.exists():
            error.filename = str(path)
            raise
        path.write_text(text, encoding="utf-8")


def _replace(target: Path, text: str) -> None:
    new = target.with_name(f"{target.name[:LONGEST]}.{os.getpid()}.tmp")
    try:
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, new)
        new.replace(target)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
