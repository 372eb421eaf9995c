"""A mail as documents: its words first, then what is attached to it.

The text begins with one paragraph of the mail's own head:

    Subject Invoice for October
    From Anna Berg <anna@berg.example>
    To Bob
    Date 2024-03-05 14:22 +0100
    Attached invoice.pdf

    Hello Bob, ...

so that 'the mail from Anna about the invoice' is found by its words, and can be cited, in the same text. It has no
colons: lines such as 'From: ' are what tells that a reader let a mail through unread. The same is in `fields`, to
filter by.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from textwrap import shorten

from selectolax.lexbor import LexborHTMLParser

from openbook.readers import known
from openbook.readers.auto import Auto
from openbook.readers.html import page_text
from openbook.readers.limits import TooDeepError
from openbook.readers.mail_quotes import Part, tell_apart
from openbook.readers.nested import read_inside
from openbook.readers.strings import clean, one_line
from openbook.readers.unique import Names
from openbook.types import Document, Field, Marks, Unread

LONGEST_FIELD = 10_000  # characters; more is no address book but an attack
LONGEST_LINE = 500  # characters of a line of the head: a mail to 900 people need not say so in what is searched
MANY_BLANKS = re.compile(r"\n(?:[ \t]*\n){2,}")

# What a mail program writes around what it quotes, and around a signature. Gmail's `gmail_quote` holds the answers
# between quotations too; its blockquotes do not.
QUOTES = "blockquote, .gmail_attr, .gmail_quote:not(:has(blockquote)), .moz-cite-prefix, .yahoo_quoted"
SIGNATURES = ".gmail_signature, .moz-signature, #Signature, #ms-outlook-mobile-signature"
# A preview for lists of mails, or what another program is to show instead. In a page a script may show it; not here.
HIDDEN = '[style*="display:none" i], [style*="display: none" i]'
MARKERS = re.compile("([\ue000-\ue003])")  # put into the page around these: quote on, off, signature on, off
MOST_MARKED = 10_000  # elements; a page of more is no mail, and marking takes time

# What stands in a text that only says that there is another one.
PLACEHOLDER = re.compile(
    r"\b(?:html|browser|view this|e-?mail[ -](?:client|programm?|reader)|mime|darstell\w*|anzeig\w*|navigateur)\b",
    re.IGNORECASE,
)
SHORT = 400  # characters of a text that may be such a one
MARKUP = re.compile(r"<(?:html|body|table|div|p|br)\b[^>]*>", re.IGNORECASE)

# What an attachment without a name, or with one that says nothing, is.
SUFFIX_OF = {
    "application/pdf": ".pdf",
    "application/rtf": ".rtf",
    "application/zip": ".zip",
    "application/x-zip-compressed": ".zip",
    "application/json": ".json",
    "application/epub+zip": ".epub",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "application/vnd.oasis.opendocument.presentation": ".odp",
    "text/plain": ".txt",
    "text/html": ".html",
    "text/csv": ".csv",
    "text/markdown": ".md",
    "text/rtf": ".rtf",
    "message/rfc822": ".eml",
}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a mail."""

    name: str
    kind: str  # 'application/pdf'
    content: bytes  # empty when it is of no kind we read
    shown: bool = True  # whether it is named in the mail's head: the pictures of a page are not

    @property
    def file_name(self) -> str:
        """Its name, with a suffix that says its kind where the name has none that does."""
        name = self.name or "attachment"
        suffix = SUFFIX_OF.get(self.kind.lower(), "")
        if known(name) or not suffix or (PurePosixPath(name).suffix and suffix == ".txt"):
            return name
        return name + suffix

    @property
    def readable(self) -> bool:
        """Whether it is of a kind we read."""
        return known(self.file_name)


@dataclass(slots=True)
class Letter:
    """A mail, whatever kind of file it was in."""

    subject: str = ""
    sender: str = ""
    to: str = ""
    cc: str = ""
    date: datetime | None = None
    message_id: str = ""
    in_reply_to: str = ""
    labels: str = ""
    bodies: list[tuple[str, str]] = field(default_factory=list)  # ('plain' or 'html', text), one below the other
    attachments: list[Attachment] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)  # mails attached to this one
    unread: list[str] = field(default_factory=list)  # why words of it are missing


def documents(letter: Letter, source: str, auto: Auto, *, alone: bool) -> Iterator[Document | Unread]:
    """The mail, what is attached to it, and the mails attached to it, each with what is attached to it.

    `alone`: the mail is a file of its own, so that its attachments are 'a.eml#b.pdf' rather than 'a.mbox#id/b.pdf'.
    """
    document = _document(letter, source)
    if document.text:
        yield document
    elif not letter.unread:
        letter.unread.append("has neither words nor a subject nor an author. Leave it out, or check how it was saved.")
    for reason in letter.unread:
        yield Unread(source, f"{source} {reason}")
    names = Names()
    sign = "#" if alone else "/"
    inside = auto.inside
    for attachment in letter.attachments:
        if not attachment.readable or not attachment.content.strip():
            continue
        name = attachment.file_name
        place = f"{source}{sign}{names.unique(name)}"
        try:
            # An attachment is as large as it is: only an archive in it, which has a budget of its own, can grow.
            deeper = inside.deeper(place)
        except TooDeepError as error:
            yield Unread(place, str(error))
            continue
        yield from read_inside(auto, deeper, name, [attachment.content], place)
    for attached in letter.letters:
        name = shorten(one_line(attached.subject.replace("/", " ")), 80, placeholder="…") or "message"
        place = f"{source}{sign}{names.unique(f'{name}.eml')}"
        yield from documents(attached, place, auto, alone=False)


def _document(letter: Letter, source: str) -> Document:
    head = _head(letter)
    text, marks = _body(letter)
    if text:
        text, offset = f"{head}\n\n{text}" if head else text, len(head) + 2 if head else 0
        marks = tuple((at + offset, part) for at, part in marks)
    else:
        text = head
    first = next((number for number, (_, part) in enumerate(marks) if part != "text"), len(marks))
    return Document(text, source, letter.subject[:LONGEST_FIELD], parts=marks[first:], fields=_fields(letter))


def _head(letter: Letter) -> str:
    attached = ", ".join(attachment.name for attachment in letter.attachments if attachment.shown and attachment.name)
    said = {
        "Subject": letter.subject,
        "From": letter.sender,
        "To": letter.to,
        "Cc": letter.cc,
        "Date": f"{letter.date:%Y-%m-%d %H:%M %z}".strip() if letter.date else "",
        "Attached": attached,
    }
    return "\n".join(
        shorten(f"{name} {words}", LONGEST_LINE, placeholder=" …") for name, words in said.items() if words.strip()
    )


def _fields(letter: Letter) -> dict[str, Field]:
    said = {
        "subject": letter.subject,
        "from": letter.sender,
        "to": letter.to,
        "cc": letter.cc,
        "date": utc(letter.date),
        "message_id": letter.message_id,
        "in_reply_to": letter.in_reply_to,
        "labels": letter.labels,
    }
    return {name: words[:LONGEST_FIELD] for name, words in said.items() if words}


def utc(date: datetime | None) -> str:
    """A moment as all dates of mails are written, so that they compare as text: '2024-03-05T13:22:00Z', or ''."""
    if date is None:
        return ""
    try:
        moment = date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (OverflowError, ValueError):  # the year 1, or 9999
        return ""
    return f"{moment.replace(tzinfo=None, microsecond=0).isoformat()}Z"


def _body(letter: Letter) -> tuple[str, Marks]:
    lines: list[str] = []
    parts: list[Part] = []
    for kind, text in letter.bodies:
        more, known_parts = _page_lines(text) if kind == "html" else (_plain_lines(text), [])
        if more:
            kinds = tell_apart(more, known_parts)
            if lines:
                lines.append("")
                parts.append(parts[-1])
            lines += more
            parts += kinds
    return _joined(lines, parts)


def _joined(lines: Sequence[str], parts: Sequence[Part]) -> tuple[str, Marks]:
    marks: list[tuple[int, str]] = []
    offset = 0
    for line, part in zip(lines, parts, strict=True):
        if not marks or marks[-1][1] != part:
            marks.append((offset, part))
        offset += len(line) + 1
    return "\n".join(lines), tuple(marks)


def _tidy(text: str) -> str:
    """Without white space at ends of lines, and without several empty lines."""
    return MANY_BLANKS.sub("\n\n", "\n".join(line.rstrip() for line in clean(text).split("\n"))).strip("\n")


def _plain_lines(text: str) -> list[str]:
    # '-- ' loses its space here, as it often does on the way; a line of two dashes is the same sign.
    cleaned = _tidy(text)
    return cleaned.split("\n") if cleaned.strip() else []


def _page_lines(html: str) -> tuple[list[str], list[Part]]:
    page = LexborHTMLParser(MARKERS.sub("", html))
    for node in page.css(HIDDEN):
        node.attrs["hidden"] = ""
    _mark(page, QUOTES, "\ue000", "\ue001")
    _mark(page, SIGNATURES, "\ue002", "\ue003")
    lines: list[str] = []
    parts: list[Part] = []
    quoted = signed = 0
    for piece in MARKERS.split(page_text(page)[0]):
        if MARKERS.match(piece):
            quoted += {"\ue000": 1, "\ue001": -1}.get(piece, 0)
            signed += {"\ue002": 1, "\ue003": -1}.get(piece, 0)
        elif cleaned := _tidy(piece).strip():
            part: Part = "quote" if quoted > 0 else "signature" if signed > 0 else "text"
            if lines:
                lines.append("")
                parts.append(parts[-1])
            more = cleaned.split("\n")
            lines += more
            parts += [part] * len(more)
    return lines, parts


def _mark(page: LexborHTMLParser, selector: str, begin: str, end: str) -> None:
    for node in page.css(selector)[:MOST_MARKED]:
        node.insert_before(begin)
        node.insert_after(end)


def is_placeholder(plain: str, html: str) -> bool:
    """Whether a mail's plain text only stands there because one has to.

    >>> is_placeholder("Please view this mail in an HTML browser.", "<p>Dear Bob, the fish " + "swims. " * 99)
    True
    """
    words = plain.strip()
    if len(words) > SHORT:
        return bool(MARKUP.search(words[:SHORT])) and words[:1] == "<"
    if not words or MARKUP.search(words):
        return True
    return bool(PLACEHOLDER.search(words)) and len(page_text(LexborHTMLParser(html))[0]) > 2 * len(words)
