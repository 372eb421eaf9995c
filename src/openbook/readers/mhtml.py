"""Pages saved whole by a browser (mhtml): a page in the clothes of a mail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.message import Message
from pathlib import Path
from typing import ClassVar

from openbook.errors import ReadError
from openbook.readers.files import read_bytes, shown
from openbook.readers.html import read_page
from openbook.readers.mail_documents import utc
from openbook.readers.mime import DAMAGE, body_text, date_of, parsed, words
from openbook.readers.strings import safe
from openbook.types import Document, Field

PAGES = frozenset({"text/html", "application/xhtml+xml"})


@dataclass(frozen=True, slots=True)
class Mhtml:
    """The first page in the file, which is the one that was saved; the others are its frames. Pictures are left out."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document]:
        content = read_bytes(path)
        try:
            message = parsed(content.lstrip())
            page = _page(message)
            html = body_text(page) if page else ""
            fields = _fields(message)
        except DAMAGE as error:
            raise ReadError(f"{shown(path)} is damaged ({type(error).__name__}). Save the page again.") from error
        if not page:
            raise ReadError(f"{shown(path)} has no page in it. Save the page again, as a single file.")
        document = read_page(safe(html), path)
        title = document.title or words(str(message.get("subject", "")))
        yield replace(document, title=title, fields=fields)


def _page(message: Message) -> Message | None:
    return next((part for part in message.walk() if part.get_content_type() in PAGES), None)


def _fields(message: Message) -> dict[str, Field]:
    address = words(str(message.get("snapshot-content-location", "")))
    date = utc(date_of(str(message.get("date", ""))))
    return {name: said for name, said in (("url", address), ("date", date)) if said}
