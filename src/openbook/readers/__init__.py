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
}
