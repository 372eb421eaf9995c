"""file -> Document. `auto` picks one by the file's suffix."""

from collections.abc import Sequence
from pathlib import Path, PurePath

from openbook.registry import Entry

ENTRIES = {
    "auto": Entry("openbook.readers.auto:Auto", "picks the reader by the file's suffix"),
    "text": Entry("openbook.readers.text:Text", "txt and anything that is plain text; marks the verses of a Bible"),
    "markdown": Entry("openbook.readers.markdown:Markdown", "md, its headings as marks"),
    "html": Entry("openbook.readers.html:Html", "html, navigation left out, headings as marks"),
    "rows": Entry("openbook.readers.rows:Rows", "jsonl and csv, one document a row"),
    "pypdfium2": Entry(
        "openbook.readers.pypdfium2:Pypdfium2", "pdf with page numbers, by PDFium: fast, keeps table rows together"
    ),
    "pypdf": Entry("openbook.readers.pypdf:Pypdf", "pdf with page numbers, in pure Python"),
    "mail": Entry("openbook.readers.mail:Mail", "eml and the mails of a Maildir, with what is attached"),
    "mbox": Entry("openbook.readers.mbox:Mbox", "mailboxes of any size, one document a mail, with what is attached"),
    "msg": Entry("openbook.readers.msg:Msg", "Outlook's msg, with what is attached"),
    "mhtml": Entry("openbook.readers.mhtml:Mhtml", "pages saved whole by a browser"),
    "archive": Entry("openbook.readers.archives:Archive", "the files in zip, tar, gz, bz2 and xz, archives in it too"),
}

SUFFIXES = {
    ".txt": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".jsonl": "rows",
    ".ndjson": "rows",
    ".csv": "rows",
    ".tsv": "rows",
    ".pdf": "pdf",
    ".eml": "mail",
    ".emlx": "mail",
    ".mbox": "mbox",
    ".mbx": "mbox",
    ".msg": "msg",
    ".mhtml": "mhtml",
    ".mht": "mhtml",
    ".zip": "archive",
    ".tar": "archive",
    ".tgz": "archive",
    ".tbz2": "archive",
    ".txz": "archive",
    ".gz": "archive",
    ".bz2": "archive",
    ".xz": "archive",
}
"""Suffix -> reader; 'pdf' is the one the option `pdf` of `auto` names. Other files are text if they look like it."""

NOT_YET = frozenset({".rtf", ".ipynb", ".ps", ".svg"})
"""Text only on the outside: read as text they would give markup, which is worse than saying no."""

HOLD_FILES = frozenset({"mail", "mbox", "msg", "archive"})
"""Readers that give what they find to `auto`: what is attached, what is packed."""

PACKED = frozenset({".gz", ".bz2", ".xz"})
"""Suffixes that say how one file is packed; the one before says what it is."""


def known(name: str | Path) -> bool:
    """Whether a file of this name, found in a folder, is one we read. A mail in a Maildir has no suffix.

    >>> known("a.pdf"), known("a.png"), known("a.png.gz"), known("Mail/cur/1700000000.M1P2.host:2,S")
    (True, False, False, True)
    """
    path = PurePath(name)
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes and suffixes[-1] in PACKED and len(suffixes) == 2:
        return suffixes[0] in SUFFIXES
    return bool(suffixes and suffixes[-1] in SUFFIXES) or in_maildir(path)


def hidden(parts: Sequence[str]) -> bool:
    """Whether a file below a folder, or in an archive, is one that systems and programs keep out of sight.

    A Maildir's folders but the first are hidden for no reader of mails.

    >>> hidden((".git", "config")), hidden(("Mail", ".Sent", "cur", "1700000000.M1P2.host"))
    (True, False)
    """
    if in_maildir(PurePath(*parts)):
        parts = [*parts[:-3], *parts[-2:]]
    return any(part.startswith(".") for part in parts)


def in_maildir(path: PurePath) -> bool:
    """Whether a file lies where a Maildir keeps mails: its name begins with the time, and is `cur` or `new` in it."""
    return path.parent.name in {"cur", "new"} and path.name.split(".")[0].isdecimal() and path.name.count(".") >= 2
