"""Pages a second of the PDF readers, and MB a second of the splitter beside LangChain's where that is installed.

python benchmarks/reading.py FOLDER_OF_PDFS [--most-pages 1000]    prints Markdown tables
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pypdfium2  # type: ignore[import-untyped]

from openbook.demo import kjv
from openbook.errors import ReadError
from openbook.readers.html import Html
from openbook.readers.pypdf import Pypdf
from openbook.readers.pypdfium2 import Pypdfium2
from openbook.splitters.chars import Chars
from openbook.types import Document, Reader

SIZE = 500


def best(work: Callable[[], int], times: int = 3) -> tuple[float, int]:
    """CPU seconds of the quickest run, and what it counted. CPU time, as the machine may be shared."""
    seconds, count = float("inf"), 0
    for _ in range(times):
        began = time.process_time()
        count = work()
        seconds = min(seconds, time.process_time() - began)
    return seconds, count


def machine() -> str:
    """What the numbers were taken on."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.is_file() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def pages(reader: Reader, paths: list[Path]) -> int:
    """Pages with text in these files."""
    count = 0
    for path in paths:
        try:
            count += sum(len(part.marks) for part in reader(path) if isinstance(part, Document))
        except ReadError as error:
            print(f"> {error}")
    return count


def text_only(path: Path) -> Iterator[Document]:
    """What PDFium takes for the letters alone; the reader's headings, fields, forms and whole words come on top."""
    with closing(pypdfium2.PdfDocument(path)) as file:
        marks: list[tuple[int, str]] = []
        for index in range(len(file)):
            with closing(file[index]) as page, closing(page.get_textpage()) as letters:
                if letters.get_text_range().strip():
                    marks.append((index, f"page {index + 1}"))
        yield Document("", str(path), marks=tuple(marks))


def compare_pdfs(folder: Path, most: int) -> None:
    """Each PDF reader on the same files, in the order of their names until `most` pages; without OCR."""
    chosen: list[Path] = []
    total = 0
    for path in sorted(folder.rglob("*.pdf")):
        if total < most:
            chosen.append(path)
            total += pages(text_only, [path])
    columns = ("PDF reader", "files", "pages with text", "CPU seconds", "pages a second", "CPU seconds for 1,000 pages")
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    readers: dict[str, Reader] = {
        "pypdfium2, text only": text_only,
        "pypdfium2, with headings": Pypdfium2(ocr=False),
        "pypdf, with bookmarks": Pypdf(),
    }
    for name, reader in readers.items():
        # pypdf takes minutes: once is enough to rank it.
        times = 1 if reader == Pypdf() else 3
        seconds, count = best(lambda reader=reader: pages(reader, chosen), times)  # type: ignore[misc]
        each = seconds / count
        print(f"| {name} | {len(chosen)} | {count} | {seconds:.1f} | {1 / each:.0f} | {1000 * each:.1f} |")


def compare_html(folder: Path) -> None:
    """MB of HTML a second."""
    paths = sorted(folder.rglob("*.html"))
    size = sum(path.stat().st_size for path in paths)
    seconds, count = best(lambda: sum(1 for path in paths for _ in Html()(path)))
    print(f"\n| HTML reader | files | MB a second |\n|{'---|' * 3}\n| html | {count} | {size / 1e6 / seconds:.1f} |")


def compare_splitters() -> None:
    """Ours and LangChain's on the King James Bible."""
    with tempfile.TemporaryDirectory() as folder:
        text = kjv(Path(folder)).read_text(encoding="utf-8")
    document = Document(text, "kjv.txt")
    print(f"\n| splitter, {SIZE} characters, whole KJV | chunks | CPU seconds | MB a second |\n|{'---|' * 4}")

    def row(name: str, work: Callable[[], int]) -> None:
        seconds, count = best(work)
        print(f"| {name} | {count} | {seconds:.3f} | {len(text) / 1e6 / seconds:.0f} |")

    row(f"openbook chars(size={SIZE})", lambda: sum(1 for _ in Chars(SIZE)(document, "")))
    row(f"openbook chars(size={SIZE}, overlap=50)", lambda: sum(1 for _ in Chars(SIZE, 50)(document, "")))
    try:
        splitter: Any = importlib.import_module("langchain_text_splitters").RecursiveCharacterTextSplitter
    except ModuleNotFoundError:
        print("\nLangChain is not installed: pip install langchain-text-splitters")
        return
    plain = splitter(chunk_size=SIZE, chunk_overlap=0)
    offsets = splitter(chunk_size=SIZE, chunk_overlap=0, add_start_index=True)
    overlapping = splitter(chunk_size=SIZE, chunk_overlap=50, add_start_index=True)
    row("LangChain recursive, no offsets", lambda: len(plain.split_text(text)))
    row("LangChain recursive, with offsets", lambda: len(offsets.create_documents([text])))
    row("LangChain recursive, overlap 50, with offsets", lambda: len(overlapping.create_documents([text])))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", type=Path, nargs="?", help="folder of PDFs and HTML pages; without it only the splitter"
    )
    parser.add_argument("--most-pages", type=int, default=1000)
    options = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}")
    compare_splitters()
    if options.folder:
        compare_pdfs(options.folder, options.most_pages)
        if any(options.folder.rglob("*.html")):
            compare_html(options.folder)


if __name__ == "__main__":
    main()
