"""file -> Document. `auto` picks one by the file's suffix."""

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
    "docx": Entry("openbook.readers.docx:Docx", "Word files: headings, lists, tables, notes"),
    "pptx": Entry("openbook.readers.pptx:Pptx", "PowerPoint files: slides as marks, tables, charts, notes"),
    "sheets": Entry("openbook.readers.sheets:Sheets", "xlsx, xls, xlsb and ods: sheets as marks, a line for each row"),
    "odf": Entry("openbook.readers.odf:Odf", "odt, odp and odg: headings, lists, tables, slides, notes"),
    "libreoffice": Entry("openbook.readers.libreoffice:LibreOffice", "old doc and ppt, where LibreOffice is installed"),
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
}
"""Suffix -> reader; 'pdf' is the one the option `pdf` of `auto` names. Other files are text if they look like it."""

NOT_YET = frozenset({".rtf", ".eml", ".mbox", ".ipynb", ".mhtml", ".ps", ".svg"})
"""Text only on the outside: read as text they would give markup, which is worse than saying no."""
