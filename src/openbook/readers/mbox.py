"""A mailbox in one file, read as a stream: Google's Takeout gives one of many GB."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, ClassVar

from openbook.errors import ReadError
from openbook.readers.auto import Auto
from openbook.readers.files import empty, opened, shown
from openbook.readers.mail_documents import documents
from openbook.readers.mime import LARGEST, NoMailError, letter_of
from openbook.readers.unique import Names
from openbook.types import Document, Unread

LONGEST_LINE = 1 << 16  # bytes read at once; a longer line comes in pieces
DATED = re.compile(rb"From .*\d\d:\d\d.*\d{4}")
FIELD = re.compile(rb">?[!-9;-~]+:")
USUAL = re.compile(
    rb"(received|return-path|delivered-to|envelope-to|from|to|subject|date|message-id|mime-version|status|content-\w+"
    rb"|dkim-\w+|x-[\w-]+):",
    re.IGNORECASE,
)
ESCAPED = re.compile(rb"^>(>*From )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mbox:
    """Each mail as `Mail` reads it, its source being 'a.mbox#its-message-id', or its number when it has none.

    A mail that cannot be read costs that mail.
    """

    VERSION: ClassVar[int] = 1

    _auto: Auto = field(default=Auto(), repr=False, compare=False)

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        names = Names()
        number = 0
        with opened(path) as file:
            for number, content in enumerate(mails(file), 1):
                try:
                    letter = letter_of(content)
                except NoMailError as error:
                    source = f"{path}#{names.unique(str(number))}"
                    yield Unread(source, f"{source} {error}")
                    continue
                source = f"{path}#{names.unique(letter.message_id or str(number))}"
                yield from documents(letter, source, self._auto, alone=False)
            if not number:
                if not file.tell():
                    raise empty(path)
                raise ReadError(f"{shown(path)} has no mail in it: no line begins with 'From '. Check what it is.")


def mails(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of each mail of a mailbox, without the line 'From ...' above it and with lines such as '>From ' undone.

    A mail that is too large comes as its first LARGEST bytes and some more: enough to be refused.
    """
    lines: list[bytes] = []
    size = 0
    begun, blank, whole = False, True, True  # blank: the line before is empty; whole: it ended with a line end
    line = file.readline(LONGEST_LINE)
    while line:
        following = file.readline(LONGEST_LINE)
        if whole and line.startswith(b"From ") and _begins(line, following, blank=blank):
            if begun and any(map(bytes.strip, lines)):
                yield _unescaped(lines)
            lines, size, begun = [], 0, True
        else:
            begun = begun or bool(FIELD.match(line))  # the first mail of a file that is not quite a mailbox
            if begun and size <= LARGEST:
                lines.append(line)
                size += len(line)
        whole = line.endswith(b"\n")
        blank = not line.strip()
        line = following
    if begun and any(map(bytes.strip, lines)):
        yield _unescaped(lines)


def _begins(line: bytes, following: bytes, *, blank: bool) -> bool:
    """Whether a line 'From ...' begins a mail: programs that should write '>From ' in a text do not always.

    A date and a field below it are enough; without a date it needs an empty line above and a usual field below.
    """
    if DATED.match(line):
        return bool(FIELD.match(following) or (blank and not following.strip()))
    return blank and bool(USUAL.match(following))


def _unescaped(lines: list[bytes]) -> bytes:
    content = b"".join(lines)
    return ESCAPED.sub(rb"\1", content) if b"\n>From " in content or b"\n>>" in content else content
