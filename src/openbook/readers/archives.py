"""Archives: each file in one is unpacked into a temporary folder, read by `auto`, and deleted, one after the other.

Nothing is ever written where a name in the archive says. What counts against the limits (see `limits`) is what was
inflated, not what the archive claims.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import posixpath
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, ClassVar, Protocol, cast

from openbook.errors import ReadError
from openbook.readers import PACKED, hidden, known
from openbook.readers.auto import Auto
from openbook.readers.files import opened, shown
from openbook.readers.limits import Budget, Inside
from openbook.readers.nested import read_inside
from openbook.readers.strings import one_line, reason
from openbook.readers.unique import Names
from openbook.types import Document, Unread

BLOCK = 1 << 20
SHORT = {".tgz": ".gz", ".tbz2": ".bz2", ".txz": ".xz"}
ABSOLUTE = re.compile(r"/|[A-Za-z]:")
LEFT_BY_SYSTEMS = frozenset({"__MACOSX", "lost+found", "$RECYCLE.BIN"})
LONGEST_LINK = 4096  # bytes of the place a link leads to

# What the standard library's readers of archives raise when the archive is cut or changed at random.
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,  # of gzip and bz2
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,  # headers about headers, without end
)


@dataclass(frozen=True, slots=True)
class Archive:
    """Files in a zip or tar as 'old.zip#folder/a.pdf', the one file in a gz, bz2 or xz as 'a.txt.gz#a.txt'.

    As in a folder, hidden files and those of unknown kind are passed over, and links to what is in the archive anyway.
    """

    VERSION: ClassVar[int] = 1

    _auto: Auto = field(default=Auto(), repr=False, compare=False)

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        inside = self._auto.inside.deeper(shown(path))
        with opened(path) as file:
            budget = inside.budget or Budget(shown(path), path.stat().st_size)
            unpack = _Unpack(path, self._auto, Inside(inside.depth, budget), budget)
            suffix = path.suffix.lower()
            packed = SHORT.get(suffix, suffix)
            if suffix == ".zip":
                yield from _zip(file, unpack)
            elif packed in PACKED and suffix not in SHORT and not path.stem.lower().endswith(".tar"):
                yield from _single(_inflated(file, packed, budget), unpack)
            else:
                yield from _tar(_inflated(file, packed, budget) if packed in PACKED else _Counted(file, budget), unpack)


@dataclass(frozen=True, slots=True)
class _Unpack:
    """What it takes to read a member of one archive."""

    path: Path
    auto: Auto
    inside: Inside
    budget: Budget
    names: Names = field(default_factory=Names)

    def source(self, name: str) -> str:
        return f"{self.path}#{self.names.unique(name)}"

    def read(self, name: str, blocks: Iterator[bytes]) -> Iterator[Document | Unread]:
        self.budget.member()
        source = self.source(name)
        yield from read_inside(self.auto, self.inside, name, self._whole(blocks, source), source)

    def _whole(self, blocks: Iterator[bytes], source: str) -> Iterator[bytes]:
        try:
            yield from blocks
        except DAMAGE as error:
            raise self.damaged(error, source) from error

    def damaged(self, error: Exception, source: str = "") -> ReadError:
        return ReadError(f"{source or shown(self.path)} is damaged ({reason(error)}). Get the archive again.")

    def outside(self, name: str) -> Unread:
        source = self.source(name)
        return Unread(source, f"{source}: its path leads out of the archive, so it was refused. Unpack it by hand.")

    def refused(self, name: str, why: str) -> Unread:
        source = self.source(name)
        return Unread(source, f"{source} {why}")


def leads_out(name: str) -> bool:
    r"""Whether a member would be written somewhere else than below the folder it is unpacked in.

    >>> leads_out("a/../../b"), leads_out("C:\\b"), leads_out("./a/..b")
    (True, True, False)
    """
    parts = name.replace("\\", "/").split("/")
    return bool(ABSOLUTE.match(name.replace("\\", "/"))) or ".." in parts


def link_leads_out(name: str, target: str) -> bool:
    """Whether a link of that name in an archive leads to what is not in it."""
    target = target.replace("\\", "/")
    if ABSOLUTE.match(target):
        return True
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), target)).split("/")[0] == ".."


def wanted(name: str) -> bool:
    """Whether a file of an archive would be read if it lay in a folder."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in {"", "."}]
    return bool(parts) and not hidden(parts) and LEFT_BY_SYSTEMS.isdisjoint(parts) and known("/".join(parts))


def _zip(file: BinaryIO, unpack: _Unpack) -> Iterator[Document | Unread]:
    try:
        archive = zipfile.ZipFile(file)
    except NotImplementedError as error:
        raise ReadError(f"{shown(unpack.path)} cannot be read ({error}). Pack it again as a plain zip.") from error
    except DAMAGE as error:
        raise unpack.damaged(error) from error
    with archive:
        for info in archive.infolist():
            name = _name(info)
            if not name or name.endswith("/"):
                continue
            if leads_out(name):
                yield unpack.outside(name)
            elif stat.S_ISLNK(info.external_attr >> 16):
                if link_leads_out(name, _target(archive, info)):
                    yield unpack.outside(name)
            elif wanted(name):
                if info.flag_bits & 1:
                    yield unpack.refused(name, "is encrypted. Unpack it with its password and add the folder.")
                else:
                    yield from unpack.read(name, _member(archive, info, unpack.budget))


def _name(info: zipfile.ZipInfo) -> str:
    """A member's name: programs that write it in UTF-8 do not always say so, and zipfile then takes it as cp437."""
    if not info.flag_bits & 0x800:
        try:
            return info.filename.encode("cp437").decode()
        except UnicodeError:
            pass
    return info.filename


def _target(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    try:
        with archive.open(info) as member:
            return member.read(LONGEST_LINK).decode("utf-8", "replace")
    except (*DAMAGE, RuntimeError):
        return "/"  # it cannot be told: refused


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> Iterator[bytes]:
    try:
        with archive.open(info) as member:
            while block := member.read(BLOCK):
                budget.inflate(len(block))
                yield block
    except (NotImplementedError, RuntimeError) as error:  # a compression Python does not know, a password
        raise ReadError(f"{one_line(_name(info))} cannot be unpacked ({error}). Unpack it by hand.") from error


class _Stream(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(slots=True)
class _Counted:
    """A stream whose bytes count against the budget as they are inflated, those passed over too."""

    stream: _Stream
    budget: Budget
    count: int = 0

    def read(self, size: int = -1) -> bytes:
        block = self.stream.read(min(size, BLOCK) if size > 0 else BLOCK)
        self.budget.inflate(len(block))
        self.count += len(block)
        return block


def _inflated(file: BinaryIO, packed: str, budget: Budget) -> _Counted:
    if packed == ".gz":
        return _Counted(gzip.GzipFile(fileobj=file, mode="rb"), budget)
    return _Counted(bz2.BZ2File(file) if packed == ".bz2" else lzma.LZMAFile(file), budget)


def _single(stream: _Stream, unpack: _Unpack) -> Iterator[Document | Unread]:
    """The one file; that it cannot be read is an error of the archive."""
    found = unpack.read(unpack.path.stem, _blocks(stream))
    for part in found:
        if isinstance(part, Unread) and part.source == f"{unpack.path}#{unpack.path.stem}":
            raise ReadError(part.reason)
        yield part


def _blocks(stream: _Stream) -> Iterator[bytes]:
    while block := stream.read(BLOCK):
        yield block


def _tar(stream: _Counted, unpack: _Unpack) -> Iterator[Document | Unread]:
    try:
        # Read from beginning to end, as from a tape: going back in a packed file means to inflate it again.
        archive = tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|", errors="surrogateescape")  # noqa: SIM115
    except DAMAGE as error:
        raise unpack.damaged(error) from error
    with archive:
        while (info := _next(archive, stream, unpack)) is not None:
            yield from _tar_member(archive, info, unpack)
            vars(archive)["members"].clear()  # it remembers each, for going back


def _next(archive: tarfile.TarFile, stream: _Counted, unpack: _Unpack) -> tarfile.TarInfo | None:
    """The next member. tarfile takes a header that is none for the end: what follows the end says that it is not."""
    try:
        info = archive.next()
        rest = iter(()) if info else _blocks(cast(_Stream, archive.fileobj))
        complete = not any(block.strip(b"\0") for block in rest) and (info or stream.count % tarfile.BLOCKSIZE == 0)
    except DAMAGE as error:
        raise unpack.damaged(error) from error
    if not complete:
        raise ReadError(f"{shown(unpack.path)} is damaged: what comes after its last whole file was not read.")
    return info


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo, unpack: _Unpack) -> Iterator[Document | Unread]:
    name = info.name
    if leads_out(name):
        yield unpack.outside(name)
    elif info.issym() or info.islnk():
        if link_leads_out("" if info.islnk() else name, info.linkname):
            yield unpack.outside(name)
    elif info.isdev():
        yield unpack.refused(name, "is a device or a pipe, not a file, so it was refused.")
    elif info.isfile() and wanted(name):
        member = archive.extractfile(info)
        if member is not None:
            # The holes of a sparse file are not in the stream, and so are not counted by it.
            content: _Stream = _Counted(member, unpack.budget) if info.issparse() else member
            yield from unpack.read(name, _blocks(content))
