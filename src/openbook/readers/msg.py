"""Outlook's msg: properties of a mail in the folders of an OLE file, into a Letter.

python-oxmsg finds folders and properties; their values are taken here, as it gives up on a charset that it does not
know, a property whose value is missing, and a mail in a mail.
"""

from __future__ import annotations

import email.policy
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import Message as Fields
from email.parser import HeaderParser
from pathlib import Path
from typing import ClassVar

from olefile import OleFileIO  # type: ignore[import-untyped]
from oxmsg.storage import Storage

from openbook.errors import ReadError
from openbook.readers.auto import Auto
from openbook.readers.compressed_rtf import decompressed
from openbook.readers.files import read_bytes, shown
from openbook.readers.limits import DEEPEST
from openbook.readers.mail_documents import Attachment, Letter, documents, is_placeholder
from openbook.readers.mime import LARGEST, address, characters, head_of
from openbook.readers.rtf import rich_text
from openbook.readers.strings import one_line, reason
from openbook.types import Document, Unread

# Bytes before the first property: of the mail, of a mail in a mail, of an attachment or a recipient ([MS-OXMSG] 2.4).
MAIL, INNER, PART = 32, 24, 8
STRING8, STRING, BINARY, TIME, INTEGER = 0x001E, 0x001F, 0x0102, 0x0040, 0x0003

SUBJECT, HEAD, BODY, HTML, RTF = 0x0037, 0x007D, 0x1000, 0x1013, 0x1009
SENDER_NAME, SENDER_SMTP, SENDER_ADDRESS, SENT_FOR = 0x0C1A, 0x5D01, 0x0C1F, 0x0042
DISPLAY_TO, DISPLAY_CC, SUBMITTED, DELIVERED, MESSAGE_ID, IN_REPLY_TO = 0x0E04, 0x0E03, 0x0039, 0x0E06, 0x1035, 0x1042
NAME, SMTP, ADDRESS, RECIPIENT_TYPE = 0x3001, 0x39FE, 0x3003, 0x0C15
FILE_NAME, SHORT_NAME, KIND, CONTENT, CONTENT_ID, HIDDEN = 0x3707, 0x3704, 0x370E, 0x3701, 0x3712, 0x7FFE
INNER_MAIL = "__substg1.0_3701000D"
CODEPAGES = (0x3FDE, 0x3FFD)  # of the body, of the other strings
ENCODINGS = {
    65000: "utf-7",
    65001: "utf-8",
    1200: "utf-16-le",
    20127: "",
    936: "gb18030",
    20866: "koi8-r",
    51949: "cp949",
}
ISO = range(28591, 28606)
# What olefile and oxmsg raised when their input was cut and changed at random; OSError is 'not an OLE file'.
DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, struct.error, RecursionError)
MONDAY_1601 = datetime(1601, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Msg:
    """The mail (an appointment, a task or a note in the same form), then what is attached, as `Mail` gives it."""

    VERSION: ClassVar[int] = 1

    _auto: Auto = field(default=Auto(), repr=False, compare=False)

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        content = read_bytes(path, LARGEST + 1)
        if len(content) > LARGEST:
            raise ReadError(f"{shown(path)} has more than {LARGEST >> 20} MB. Save its attachments and add them.")
        try:
            with OleFileIO(content) as ole:
                letter = _letter(_Properties.of(Storage.from_ole(ole), MAIL), 0)
        except DAMAGE as error:
            raise ReadError(
                f"{shown(path)} is no msg file of Outlook's, or damaged ({reason(error)}). Save it again."
            ) from error
        yield from documents(letter, str(path), self._auto, alone=True)


@dataclass(frozen=True, slots=True)
class _Properties:
    """The values of one folder: of the mail, an attachment or a recipient."""

    storage: Storage
    kinds: dict[int, list[int]]  # property -> types it is there in
    fixed: dict[int, int]  # the numbers and times
    charset: str

    @classmethod
    def of(cls, storage: Storage, header: int, charset: str = "") -> _Properties:
        kinds: dict[int, list[int]] = {}
        fixed: dict[int, int] = {}
        content = storage.properties_stream_bytes[header:]
        for kind, name, _, value in struct.iter_unpack("<HHIQ", content[: len(content) // 16 * 16]):
            kinds.setdefault(name, []).append(kind)
            fixed[name] = value & 0xFFFFFFFF if kind == INTEGER else value
        page = next((fixed[name] for name in CODEPAGES if fixed.get(name)), 0)
        return cls(storage, kinds, fixed, _encoding(page) or charset)

    def bytes_of(self, name: int, kind: int) -> bytes:
        try:
            return self.storage.property_stream_bytes(name, kind)
        except KeyError:
            return b""

    def text(self, *names: int) -> str:
        """The first of these properties that says something."""
        for name in names:
            for kind in self.kinds.get(name, []):
                content = self.bytes_of(name, kind)
                said = content.decode("utf-16-le", "replace") if kind == STRING else ""
                said = characters(content, self.charset) if kind in {STRING8, BINARY} else said
                if said.strip(" \0\t\r\n"):
                    return said.strip("\0")
        return ""

    def time(self, name: int) -> datetime | None:
        ticks = self.fixed.get(name, 0) if TIME in self.kinds.get(name, []) else 0
        try:
            return MONDAY_1601 + timedelta(microseconds=ticks // 10) if ticks else None
        except OverflowError:
            return None


def _encoding(codepage: int) -> str:
    if codepage in ISO:
        return f"iso-8859-{codepage - ISO.start + 1}"
    return ENCODINGS.get(codepage, f"cp{codepage}" if codepage else "")


def _letter(mail: _Properties, depth: int) -> Letter:
    fields: Fields = HeaderParser(policy=email.policy.compat32).parsestr(mail.text(HEAD))
    letter = head_of(fields)  # as it was sent; what is missing there, as Outlook keeps it
    recipients = [_Properties.of(part, PART, mail.charset) for part in mail.storage.iter_recipient_storages()]
    letter.subject = one_line(mail.text(SUBJECT)) or letter.subject
    letter.sender = (
        letter.sender or _person(mail, SENDER_NAME, SENDER_SMTP, SENDER_ADDRESS) or one_line(mail.text(SENT_FOR))
    )
    letter.to = letter.to or _people(recipients, 1) or one_line(mail.text(DISPLAY_TO))
    letter.cc = letter.cc or _people(recipients, 2) or one_line(mail.text(DISPLAY_CC))
    letter.date = letter.date or mail.time(SUBMITTED) or mail.time(DELIVERED)
    letter.message_id = letter.message_id or one_line(mail.text(MESSAGE_ID)).strip("<>")
    letter.in_reply_to = letter.in_reply_to or one_line(mail.text(IN_REPLY_TO)).strip("<>")
    plain, page = mail.text(BODY), mail.text(HTML)
    letter.bodies = [("html", page)] if page and is_placeholder(plain, page) else [("plain", plain)] if plain else []
    if not letter.bodies and (packed := mail.bytes_of(RTF, BINARY)):
        try:
            letter.bodies = [("plain", rich_text(decompressed(packed).decode("latin-1")))]
        except ValueError:
            letter.unread.append("has damaged Rich Text: its words were not read. Save it from Outlook as text or eml.")
    for storage in mail.storage.iter_attachment_storages():
        _attach(storage, mail, letter, depth)
    return letter


def _person(properties: _Properties, name: int, *addresses: int) -> str:
    """'Name <address>'; Exchange's own addresses, '/O=...', say nothing to a person."""
    called = one_line(properties.text(name)).strip("'\"")
    mailbox = next((found for at in addresses if "@" in (found := one_line(properties.text(at)))), "")
    if not called or called == mailbox:
        return mailbox
    return address(f"{called} <{mailbox}>") if mailbox else called


def _people(recipients: list[_Properties], kind: int) -> str:
    people = [
        _person(recipient, NAME, SMTP, ADDRESS)
        for recipient in recipients
        if recipient.fixed.get(RECIPIENT_TYPE, 1) == kind
    ]
    return ", ".join(filter(None, people))


def _attach(storage: Storage, mail: _Properties, letter: Letter, depth: int) -> None:
    part = _Properties.of(storage, PART, mail.charset)
    inner = next((folder for folder in storage.storages if folder.name == INNER_MAIL), None)
    if inner is not None:
        if depth < DEEPEST:
            letter.letters.append(_letter(_Properties.of(inner, INNER, mail.charset), depth + 1))
        else:
            letter.unread.append(f"holds mails in mails, more than {DEEPEST} deep: the deeper ones were not read.")
        return
    name = one_line(part.text(FILE_NAME, SHORT_NAME))
    kind = one_line(part.text(KIND))
    pictured = bool(part.fixed.get(HIDDEN)) or bool(part.text(CONTENT_ID) and kind.startswith("image/"))
    letter.attachments.append(Attachment(name, kind, part.bytes_of(CONTENT, BINARY), shown=not pictured))
