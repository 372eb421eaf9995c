"""The files that paths, folders and patterns mean."""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from openbook.errors import ReadError
from openbook.home import absolute

MADE = frozenset({"node_modules", "__pycache__"})  # folders of what programs make or fetch, not people


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file and what `stat` says of it; -1 when it says nothing."""

    path: str
    size_bytes: int = -1
    mtime_ns: int = -1
    named: bool = False  # by its path, not found in a folder


@dataclass(slots=True)
class Found:
    """What was found; every path is absolute."""

    files: list[FoundFile] = field(default_factory=list)  # each once
    skipped: list[str] = field(default_factory=list)  # files in folders that no reader knows
    folders: list[str] = field(default_factory=list)  # looked through
    unlisted: list[tuple[str, str]] = field(default_factory=list)  # folders that could not be, and why

    def leave_out(self, folder: Path) -> None:
        """Without the files in this folder: the book itself may lie where its documents do."""
        own = _prefixes([str(folder)])
        self.files = [file for file in self.files if not file.path.startswith(own)]
        self.skipped = [path for path in self.skipped if not path.startswith(own)]

    def gone(self, known: Iterable[str]) -> list[str]:
        """Those of the known files that were in one of the folders and are not any more.

        A folder that cannot be listed, or is wholly empty as where a disk is not mounted, says nothing about them.
        """
        here = {file.path for file in self.files}
        silent = _prefixes(path for path, _ in self.unlisted)
        looked = _prefixes(self.folders)
        return [
            path
            for path in known
            if path not in here
            and path.startswith(looked)
            and not path.startswith(silent)
            and not os.path.lexists(path)
        ]


def find(paths: str | Path | Iterable[str | Path], known: Callable[[Path], bool], without: Path | None = None) -> Found:
    """A file itself, the known files below a folder, what a pattern (`*`, `?`, `**`) matches.

    Hidden files and folders and those that programs fill are left out; links to folders are not followed, as they may
    lead in a circle. Files in the folder `without` are left out too.

    Raises:
        ReadError: A path does not exist, or a pattern matches nothing.
    """
    found = Found()
    seen: set[str] = set()
    for path in [paths] if isinstance(paths, str | Path) else paths:
        for file in _expand(str(absolute(path)), found):
            if file.path in seen:
                continue
            seen.add(file.path)
            if file.named or known(Path(file.path)):
                found.files.append(file)
            else:
                found.skipped.append(file.path)
    if without:
        found.leave_out(without)
    return found


def refuse_missing(paths: Iterable[str | Path]) -> None:
    """Raises: ReadError, when a path does not exist, or a pattern matches nothing."""
    for path in (str(absolute(path)) for path in paths):
        if not os.path.lexists(path) and (not glob.has_magic(path) or not any(glob.iglob(path, recursive=True))):  # noqa: PTH207
            raise _missing(path)


def _missing(path: str) -> ReadError:
    if glob.has_magic(path):
        return ReadError(f"Nothing matches {path}. Check the pattern.")
    return ReadError(f"{path} does not exist. Check the path.")


def _expand(path: str, found: Found) -> Iterator[FoundFile]:
    if os.path.isdir(path):  # noqa: PTH112 - thousands of files: a Path for each would cost more than the look
        yield from _walk(path, found)
    elif os.path.lexists(path):
        yield FoundFile(path, *_stat(path), named=True)
    elif glob.has_magic(path):
        matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - as above; and Path.glob takes no absolute one
        if not matches:
            raise _missing(path)
        for match in matches:
            yield from _expand(match, found)
    else:
        raise _missing(path)


def _walk(folder: str, found: Found) -> Iterator[FoundFile]:
    """Files in order of their names, folder by folder."""
    found.folders.append(folder)
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            with os.scandir(current) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            found.unlisted.append((current, f"{current} cannot be listed: {error.strerror or error}."))
            continue
        if not listed and current == folder:
            found.unlisted.append((current, ""))
        below = []
        for entry in listed:
            if entry.is_dir(follow_symlinks=False):
                hidden = entry.name.startswith(".") and not _is_maildir(entry.path)
                if not hidden and entry.name not in MADE:
                    below.append(entry.path)
            elif entry.name.startswith("."):
                continue
            elif file := _file(entry):
                yield file
        waiting += reversed(below)


def _file(entry: os.DirEntry[str]) -> FoundFile | None:
    """None: it is no file, or not any more."""
    try:
        if not entry.is_file():
            return None
        stat = entry.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        # A link to itself is none; of what may not be looked at it is said when it is read.
        return None if error.errno == errno.ELOOP else FoundFile(entry.path)
    return FoundFile(entry.path, stat.st_size, stat.st_mtime_ns)


def _is_maildir(folder: str) -> bool:
    """A Maildir's folders but the first are hidden, and hold mails all the same."""
    return os.path.isdir(os.path.join(folder, "cur"))  # noqa: PTH112, PTH118


def _stat(path: str) -> tuple[int, int]:
    try:
        stat = os.stat(path)  # noqa: PTH116
    except OSError:
        return -1, -1  # said when it is read
    return stat.st_size, stat.st_mtime_ns


def size_bytes(folder: Path) -> int:
    """Of all files in it; another process may be writing and removing some."""
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += Path(parent, name).stat().st_size
    return size


def _prefixes(folders: Iterable[str]) -> tuple[str, ...]:
    return tuple(folder.rstrip(os.sep) + os.sep for folder in folders)
