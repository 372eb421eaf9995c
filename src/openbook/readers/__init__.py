"""file -> Document. `auto` picks one by the file's suffix."""

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
}
"""Suffix -> reader; 'pdf' is the one the option `pdf` of `auto` names. Other files are text if they look like it."""

CODE = """
    asm bas bash bat c cc cfg cjs clj cmake cmd conf cpp cs css cts cu cxx dart diff el env erl ex exs f90 glsl go
    gradle graphql groovy h hcl hh hpp hs hxx ini java jl js jsx kt kts ksh less lisp lua m mjs mk ml mli mm mts nim pas
    patch php pl pm properties proto ps1 py pyi pyw pyx r rake rb rs scala scm scss sh sql svelte swift tcl tf toml ts
    tsx vb vue yaml yml zig zsh
"""
SUFFIXES |= {f".{suffix}": "code" for suffix in CODE.split()}

NOT_YET = frozenset({".eml", ".mbox", ".mhtml"})
"""Text only on the outside: read as text they would give markup, which is worse than saying no."""

REFUSED = {
    ".svg": "it is a drawing. Save it as PDF, or leave it out",
    ".ps": "PostScript is a program that draws pages. Make a PDF of it, for example with: ps2pdf",
    ".eps": "PostScript is a program that draws pages. Make a PDF of it, for example with: epstopdf",
}
"""Never read, and why."""
