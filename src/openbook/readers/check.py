"""The last look at what a reader gives: markup and NULs are a failure, not a document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from openbook.errors import ReadError
from openbook.readers.files import shown
from openbook.types import Document, Unread

HEAD = 4000  # characters that are looked at: further down, a text may speak of markup
RTF = re.compile(r"\s*\{\\rtf\d?\s*[\\{]")
MIME = re.compile(
    r"^(?:content-transfer-encoding|mime-version|content-type|x-mailer|return-path|received):", re.IGNORECASE
)
MAIL_FIELD = re.compile(r"[!-9;-~]+:(?:[ \t]|$)|[ \t]+\S|>?From ")
FEWEST_FIELDS = 2


def checked(parts: Iterable[Document | Unread], path: Path, *, is_mail: bool = False) -> Iterator[Document | Unread]:
    """The parts as they are. One that is no text is an Unread, or an error where it is all of the file.

    In a mail the head of another may stand, as somebody pasted it there: with `is_mail` it is no failure.

    Raises:
        ReadError: The document of a file came out as markup.
    """
    for part in parts:
        reason = flaw(part.text, is_mail=is_mail) if isinstance(part, Document) else ""
        if not reason:
            yield part
        elif part.source == str(path):
            raise ReadError(f"{shown(path)} {reason}")
        else:
            yield Unread(part.source, f"{shown(part.source)} {reason}")


def flaw(text: str, *, is_mail: bool = False) -> str:
    r"""Why a text is none, or ''. Only its beginning is looked at: a text about RTF has words before its examples.

    >>> flaw(r"{\rtf1\ansi Fish}")
    'came out as markup (RTF), not text. Give it the suffix .rtf.'
    >>> flaw(r"A file begins with {\rtf1\ansi and ends with }.")
    ''
    """
    if not text or text.isspace():
        return "has no text in it. Leave it out, or check how it was saved."
    if "\0" in text:
        return "came out with NULs in it, not as text. Check how it was saved."
    if RTF.match(text):
        return "came out as markup (RTF), not text. Give it the suffix .rtf."
    if not is_mail and _is_head_of_mail(text[:HEAD]):
        return "came out as a mail's raw source, not text. Give it the suffix .eml."
    return ""


def _is_head_of_mail(head: str) -> bool:
    fields = 0
    for line in head.lstrip().split("\n"):
        if not MAIL_FIELD.match(line):
            break
        fields += MIME.match(line) is not None
    return fields >= FEWEST_FIELDS
