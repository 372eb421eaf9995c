"""A part of a large file that stands for all of it: lines in slices, some of a mailbox's mails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from openbook.readers import SUFFIXES

LARGE = 1 << 21  # bytes; an excerpt has about as many
SLICES = 16
LINES = frozenset({"text", "markdown", "code", "rows", "rst", "latex", "subtitles"})  # readers of such files
MAIL = b"\nFrom "
BLOCK = 1 << 23
SCANNED = 1 << 29  # bytes of a mailbox that are searched for mails: a second


def excerpt(path: Path, size_bytes: int, folder: Path) -> tuple[Path, int]:
    """What to read instead of a file, made in a folder, and how many of the file's bytes it stands for.

    The file itself and all its bytes, where it is small or cannot be cut.
    """
    kind = SUFFIXES.get(path.suffix.lower(), "")
    if size_bytes <= LARGE or kind not in LINES | {"mbox"}:
        return path, size_bytes
    part = folder / str(len([*folder.iterdir()])) / path.name
    with suppress(OSError), path.open("rb") as whole:
        part.parent.mkdir()
        with part.open("wb") as file:
            stands_for = sum(
                file.write(piece) if piece else skipped
                for piece, skipped in (_mails(whole, size_bytes) if kind == "mbox" else _slices(whole, size_bytes))
            )
        if b"\0" not in part.read_bytes():  # else UTF-16, or no text: the reader must see it as it is
            return part, max(1, stands_for)
    return path, size_bytes


def _slices(whole: BinaryIO, size_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Whole lines from all over the file; of a slice inside of one line no bytes, and how many it had."""
    for number in range(SLICES):
        whole.seek(size_bytes * number // SLICES)
        piece = whole.read(LARGE // SLICES)
        begin, end = piece.find(b"\n") + 1 if number else 0, piece.rfind(b"\n") + 1
        yield (piece[begin:end] if begin < end else b""), len(piece)


def _mails(whole: BinaryIO, size_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Every so many of the mails by their size: of those with something attached, which have most bytes, as many."""
    starts, at, tail = [0], 0, b""
    while at < SCANNED and (block := whole.read(BLOCK)):
        text, offset = tail + block, at - len(tail)
        found = text.find(MAIL)
        while found >= 0:
            starts.append(offset + found + 1)
            found = text.find(MAIL, found + 1)
        at, tail = at + len(block), text[-len(MAIL) + 1 :]
    step = -(-min(size_bytes, SCANNED) // LARGE)
    by_size = sorted(pairwise([*starts, at]), key=lambda span: span[1] - span[0])
    for begin, end in sorted(by_size[step // 2 :: step]):
        whole.seek(begin)
        yield whole.read(end - begin), 0
