"""Zip packages of XML (docx, xlsx, odt, epub and the like), looked over before anything in them is unpacked."""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from openbook.errors import ReadError
from openbook.readers.files import empty, opened, shown
from openbook.readers.safe_xml import Element, parsed
from openbook.readers.strings import reason

MOST_MEMBERS = 10_000
MOST_BYTES = 512 << 20  # of all members together, unpacked
LARGEST_BYTES = 256 << 20  # of one member, unpacked
MOST_RATIO = 200  # unpacked to packed; XML of real sheets reaches 30
SMALL_BYTES = 10 << 20  # below this any ratio is harmless

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")

# What zipfile raises on hostile bytes, besides BadZipFile: found by cutting and flipping bytes of real files.
DAMAGE = (BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, RuntimeError, OverflowError)


@contextmanager
def package(path: Path) -> Generator[ZipFile, None, None]:
    """The open package, sure not to unpack to more than the limits above, as far as its own directory says the truth.

    Raises:
        ReadError: As `opened`, or it is empty, encrypted, damaged, no zip file, or too large once unpacked.
    """
    with opened(path) as file:
        head = file.read(len(OLE))
        if not head:
            raise empty(path)
        if head == OLE:
            raise _ole(path)
        try:
            archive = ZipFile(file)
        except DAMAGE as error:
            if not head.startswith(b"PK"):
                kind = path.suffix.lower().removeprefix(".")
                raise ReadError(
                    f"{shown(path)} is no {kind} file, only named like one. Give it the suffix of what it is."
                ) from error
            raise damaged(path, error) from error
        with archive:
            _check(archive.infolist(), path)
            yield archive


def member(archive: ZipFile, name: str, path: Path) -> bytes:
    """The bytes of one member; b'' when there is none of that name.

    Raises:
        ReadError: It is damaged.
    """
    if name not in archive.NameToInfo:
        return b""
    try:
        return archive.read(name)
    except DAMAGE as error:
        raise damaged(path, f"{name}: {error}") from error


def xml(content: bytes, path: Path, name: str) -> Element:
    """The root of a member of that name.

    Raises:
        ReadError: It is no well-formed XML.
    """
    try:
        return parsed(content)
    except ValueError as error:
        raise damaged(path, f"{name}: {error}") from error


def damaged(path: Path, error: object) -> ReadError:
    """What to raise for a package that cannot be unpacked or parsed."""
    return ReadError(
        f"{shown(path)} is damaged ({reason(error)}). Get it again, or open it in its program and save it anew."
    )


def encrypted(path: Path) -> ReadError:
    """What to raise for a package that opens with a password only."""
    return ReadError(f"{shown(path)} is encrypted. Open it in its program, remove its password and save it.")


def _check(members: list[ZipInfo], path: Path) -> None:
    """Raises: ReadError, when these members are too many, too large, encrypted or packed in an uncommon way."""
    if len(members) > MOST_MEMBERS:
        raise _too_large(path, f"{len(members):,} files, more than {MOST_MEMBERS:,}")
    total = sum(one.file_size for one in members)
    if total > MOST_BYTES:
        raise _too_large(path, f"{_mb(total)} when unpacked, more than {_mb(MOST_BYTES)}")
    for one in members:
        if one.file_size > LARGEST_BYTES:
            raise _too_large(path, f"a part of {_mb(one.file_size)}, more than {_mb(LARGEST_BYTES)}")
        if one.file_size > SMALL_BYTES and one.file_size > MOST_RATIO * one.compress_size:
            ratio = one.file_size // max(1, one.compress_size)
            raise _too_large(path, f"a part that unpacks to {ratio:,} times its size, more than {MOST_RATIO}")
        if one.flag_bits & 1:
            raise encrypted(path)
        if one.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:  # others unpack without bounds, and no format uses them
            raise damaged(path, f"a part is packed by method {one.compress_type}")


def _too_large(path: Path, reason: str) -> ReadError:
    return ReadError(
        f"{shown(path)} holds {reason}: it may be made to harm. Leave it out, or save it in smaller files."
    )


def _mb(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MB"


def _ole(path: Path) -> ReadError:
    """An older file format under a newer name, or the wrapping of a package with a password."""
    with opened(path) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(ENCRYPTED_STREAM) >= 0:
            return encrypted(path)
    old = path.suffix.lower()[:4]
    return ReadError(f"{shown(path)} is a file of Office 97-2003 under a newer name. Rename it to end in {old!r}.")
