"""A file's bytes as text: what every reader needs before it looks at a format."""

from __future__ import annotations

import codecs
import re
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from openbook.errors import ReadError

BOMS = (  # the longer first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAMPLE = 1 << 16
LARGEST = 1 << 28  # bytes of one text: four times that, as characters, must fit into memory with all that is made of it
CONTROL = bytes(set(range(32)) - set(b"\t\n\v\f\r\b\x1a\x1b"))
HIGH = bytes(range(128, 256))
# Letters of DOS (code page 850) inside a word, where Windows-1252 has quotation marks, bullets and nothing at all.
DOS = re.compile(rb"(?<=[A-Za-z])(?:[\x81\x82\x84\x88-\x8d\x8f\x90]|[\x85\x87\x93-\x95\x99](?=[a-z]))")
FEWEST_DOS = 2

ALIVE: ContextVar[Callable[[], None]] = ContextVar("ALIVE", default=lambda: None)


def alive() -> None:
    """A reader that works long on one document says so, so that it is not stopped."""
    ALIVE.get()()


@contextmanager
def opened(path: Path) -> Generator[BinaryIO, None, None]:
    """The open file.

    Raises:
        ReadError: It is missing, a folder, not allowed, no ordinary file, or fails while it is read.
    """
    name = shown(path)
    if not _is_utf8(path):
        raise ReadError(f"The name of {name} is not UTF-8, so no citation could show it. Rename the file.")
    try:
        if path.is_dir():
            raise ReadError(f"{name} is a folder. Give the files in it.")
        # Opening a pipe waits until somebody writes to it, and a device may never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ReadError(f"{name} is a pipe, a socket or a device. Write what it gives into a file, and read that.")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise ReadError(f"{name} does not exist. Check the path.") from error
    except PermissionError as error:
        raise ReadError(f"{name} may not be read: permission denied. Allow it with: chmod u+r {name}") from error
    except OSError as error:
        raise ReadError(
            f"{name} cannot be read: {error.strerror or error}. Copy it to a local disk and try again."
        ) from error


def read_bytes(path: Path, most: int = -1) -> bytes:
    """The bytes of a file, all or the first so many.

    Raises:
        ReadError: As `opened`, or there is nothing but white space.
    """
    with opened(path) as file:
        content = file.read(most)
        if not content or (content.isspace() and not file.read(1)):
            raise empty(path)
    return content


def read_text(path: Path, declared: re.Pattern[bytes] | None = None) -> str:
    r"""The characters of a text file, with `\n` for every line end.

    `declared` finds in its group 1 the name of the encoding, where the format has a place for it.

    Raises:
        ReadError: As `opened`, or the file is empty, looks binary, or is in an encoding that cannot be told.
    """
    with opened(path) as file:
        content = file.read(SAMPLE)
        if not any(content.startswith(bom) for bom, _ in BOMS):
            check_text(content, path)  # before gigabytes of something else are read
        content += file.read(LARGEST - SAMPLE)
        if file.read(1):
            raise ReadError(
                f"{shown(path)} is larger than {LARGEST >> 20} MB, too much for one text. Split it, for example with: "
                "split -C 100M"
            )
    found = declared.search(content[:SAMPLE]) if declared else None
    text = decode(content, path, found[1].decode("ascii", "replace") if found else "")
    if not text or text.isspace():
        raise empty(path)
    return text


def decode(content: bytes, path: Path, declared: str = "") -> str:
    r"""Characters of bytes: by their BOM, as UTF-8, as declared, else as Western European; `\n` for every line end."""
    text = _decode(content, path, declared)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _decode(content: bytes, path: Path, declared: str) -> str:
    for bom, encoding in BOMS:
        if content.startswith(bom):
            return content.decode(encoding, "replace")
    check_text(content, path)
    if not content.isascii() or not _is_text_encoding(declared):
        try:
            return content.decode()
        except UnicodeDecodeError:
            pass
    if _is_text_encoding(declared):
        return content.decode(declared, "replace")
    # A few bad bytes in much UTF-8 (a cut character, a pasted line) are not a reason to misread all the others.
    text = content.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    if 10 * bad < len(text.encode("utf-8", "replace")) - len(text) - 2 * bad:
        return text
    return content.decode(western(content, path), "replace")


def western(content: bytes, path: Path) -> str:
    """The encoding of a text that is not UTF-8: of Western European letters, or another script where it can be told.

    Raises:
        ReadError: So many bytes are no ASCII that it is some other script, and no encoding makes sense of them.
    """
    if 3 * len(content.translate(None, HIGH)) < 2 * len(content):
        from charset_normalizer import from_bytes

        if found := from_bytes(content[:SAMPLE]).best():
            return found.encoding
        raise ReadError(
            f"{shown(path)} is in an unknown encoding. Convert it, for example with: iconv -f SHIFT_JIS -t UTF-8"
        )
    sample = content[:SAMPLE]
    dos = len(DOS.findall(sample))
    if dos >= FEWEST_DOS and 2 * dos > len(sample) - len(sample.translate(None, HIGH)):
        return "cp850"
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def check_text(content: bytes, path: Path) -> None:
    """Raises: ReadError, when these bytes are no text."""
    sample = content[:SAMPLE]
    if b"\0" in content or 50 * (len(sample) - len(sample.translate(None, CONTROL))) > len(sample):
        raise ReadError(
            f"{shown(path)} looks binary, not like text. If it is UTF-16, save it with a byte order mark or as UTF-8."
        )


def encoding_of(path: Path) -> str:
    """The encoding of a whole file, told without holding it in memory.

    Raises:
        ReadError: As `read_text`.
    """
    with opened(path) as file:
        head = file.read(SAMPLE)
        for bom, encoding in BOMS:
            if head.startswith(bom):
                return encoding
        is_utf8, blank, strict = True, True, codecs.getincrementaldecoder("utf-8")()
        block = head
        while block:
            check_text(block, path)
            blank = blank and block.isspace()
            if is_utf8:
                try:
                    strict.decode(block)
                except UnicodeDecodeError:
                    is_utf8 = False
            block = file.read(SAMPLE)
    if blank:
        raise empty(path)
    return "utf-8" if is_utf8 else western(head, path)


def empty(path: Path) -> ReadError:
    """What to raise for a file without a character to read."""
    return ReadError(f"{shown(path)} is empty. Leave it out, or check how it was saved.")


def shown(path: Path | str) -> str:
    """A path, or what a citation names, to put into a message of one line."""
    return str(path) if str(path).isprintable() else repr(str(path))


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_text_encoding(name: str) -> bool:
    try:
        return bool(name and b"a".decode(name))  # some codecs, such as 'hex', make no text; UTF-16 cannot be declared
    except (LookupError, ValueError):
        return False
