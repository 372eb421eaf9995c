"""file -> Document. `auto` picks one by the file's suffix."""

from collections.abc import Sequence
from pathlib import Path, PurePath

from openbook.registry import Entry

ENTRIES = {
    "auto": Entry("openbook.readers.auto:Auto", "picks the reader by the file's suffix"),
    "text": Entry("openbook.readers.text:Text", "txt and anything that is plain text; marks the verses of a Bible"),
    "markdown": Entry("openbook.readers.markdown:Markdown", "md, its headings as marks"),
    "html": Entry("openbook.readers.html:Html", "html, navigation left out, headings as marks"),
    "epub": Entry("openbook.readers.epub:Epub", "epub, its chapters as marks"),
    "rtf": Entry("openbook.readers.rtf:Rtf", "rtf, table rows on one line, headings as marks"),
    "rst": Entry("openbook.readers.rst:Rst", "reStructuredText as written, its headings as marks"),
    "latex": Entry("openbook.readers.latex:Latex", "LaTeX as written, its sections as marks"),
    "code": Entry("openbook.readers.code:Code", "source code, functions and classes as marks"),
    "notebook": Entry("openbook.readers.notebook:Notebook", "Jupyter notebooks: text, code, what it printed"),
    "subtitles": Entry("openbook.readers.subtitles:Subtitles", "srt and vtt, times as marks"),
    "xml": Entry("openbook.readers.xml:Xml", "xml, its paragraphs, or its values by name"),
    "json": Entry("openbook.readers.json:Json", "json, one document an object of a list"),
    "rows": Entry("openbook.readers.rows:Rows", "jsonl and csv, one document a row"),
    "pypdfium2": Entry(
        "openbook.readers.pypdfium2:Pypdfium2", "pdf with page numbers, by PDFium: fast, keeps table rows together"
    ),
    "pypdf": Entry("openbook.readers.pypdf:Pypdf", "pdf with page numbers, in pure Python"),
    "docx": Entry("openbook.readers.docx:Docx", "Word files: headings, lists, tables, notes"),
    "pptx": Entry("openbook.readers.pptx:Pptx", "PowerPoint files: slides as marks, tables, charts, notes"),
    "sheets": Entry("openbook.readers.sheets:Sheets", "xlsx, xls, xlsb and ods: sheets as marks, a line for each row"),
    "odf": Entry("openbook.readers.odf:Odf", "odt, odp and odg: headings, lists, tables, slides, notes"),
    "libreoffice": Entry("openbook.readers.libreoffice:LibreOffice", "old doc and ppt, where LibreOffice is installed"),
    "mail": Entry("openbook.readers.mail:Mail", "eml and the mails of a Maildir, with what is attached"),
    "mbox": Entry("openbook.readers.mbox:Mbox", "mailboxes of any size, one document a mail, with what is attached"),
    "msg": Entry("openbook.readers.msg:Msg", "Outlook's msg, with what is attached"),
    "mhtml": Entry("openbook.readers.mhtml:Mhtml", "pages saved whole by a browser"),
    "archive": Entry("openbook.readers.archives:Archive", "the files in zip, tar, gz, bz2 and xz, archives in it too"),
}

SUFFIXES = {
    ".txt": "text",
    ".log": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".epub": "epub",
    ".rtf": "rtf",
    ".rst": "rst",
    ".rest": "rst",
    ".tex": "latex",
    ".ipynb": "notebook",
    ".srt": "subtitles",
    ".vtt": "subtitles",
    ".xml": "xml",
    ".json": "json",
    ".geojson": "json",
    ".jsonl": "rows",
    ".ndjson": "rows",
    ".csv": "rows",
    ".tsv": "rows",
    ".pdf": "pdf",
    ".docx": "docx",
    ".docm": "docx",
    ".dotx": "docx",
    ".dotm": "docx",
    ".pptx": "pptx",
    ".pptm": "pptx",
    ".ppsx": "pptx",
    ".ppsm": "pptx",
    ".potx": "pptx",
    ".xlsx": "sheets",
    ".xlsm": "sheets",
    ".xltx": "sheets",
    ".xlsb": "sheets",
    ".xls": "sheets",
    ".xlt": "sheets",
    ".ods": "sheets",
    ".ots": "sheets",
    ".odt": "odf",
    ".ott": "odf",
    ".odp": "odf",
    ".otp": "odf",
    ".odg": "odf",
    ".doc": "libreoffice",
    ".dot": "libreoffice",
    ".ppt": "libreoffice",
    ".pps": "libreoffice",
    ".pot": "libreoffice",
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

CODE = """
    asm bas bash bat c cc cfg cjs clj cmake cmd conf cpp cs css cts cu cxx dart diff el env erl ex exs f90 glsl go
    gradle graphql groovy h hcl hh hpp hs hxx ini java jl js jsx kt kts ksh less lisp lua m mjs mk ml mli mm mts nim pas
    patch php pl pm properties proto ps1 py pyi pyw pyx r rake rb rs scala scm scss sh sql svelte swift tcl tf toml ts
    tsx vb vue yaml yml zig zsh
"""
SUFFIXES |= {f".{suffix}": "code" for suffix in CODE.split()}

REFUSED = {
    ".svg": "it is a drawing. Save it as PDF, or leave it out",
    ".ps": "PostScript is a program that draws pages. Make a PDF of it, for example with: ps2pdf",
    ".eps": "PostScript is a program that draws pages. Make a PDF of it, for example with: epstopdf",
}
"""Never read, and why."""

TESSERACT = "tesseract"
LIBREOFFICE = ("soffice", "libreoffice", "/Applications/LibreOffice.app/Contents/MacOS/soffice")  # the first found
PROGRAMS = (TESSERACT, *LIBREOFFICE)
"""Programs that readers use where they are installed."""

HOLD_FILES = frozenset({"mail", "mbox", "msg", "archive"})
"""Readers that give what they find to `auto`: what is attached, what is packed."""

PACKED = frozenset({".gz", ".bz2", ".xz"})
"""Suffixes that say how one file is packed; the one before says what it is."""


def known(name: str | Path) -> bool:
    """Whether a file of this name, found in a folder, is one we read. A mail in a Maildir has no suffix.

    What Office leaves beside an open file, `~$letter.docx`, is none.

    >>> known("a.pdf"), known("a.png"), known("a.png.gz"), known("Mail/cur/1700000000.M1P2.host:2,S")
    (True, False, False, True)
    """
    path = PurePath(name)
    if path.name.startswith("~$"):
        return False
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
