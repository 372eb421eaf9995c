"""What the readers make of a folder of sample files, beside what another program's Markdown of them holds.

python benchmarks/formats.py DATA/formats [--suffix docx] [--verbose] [--peer markitdown]    prints a Markdown table

DATA/formats has files/SUFFIX/NAME and, for some, expected/NAME.md. Counted are, of the expected Markdown: words, as a
multiset, found in our text, title or marks; headings whose words are among ours; table rows that stand on one line.
"""

from __future__ import annotations

import argparse
import html
import importlib
import re
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from openbook.errors import ReadError
from openbook.readers.auto import Auto
from openbook.types import Document, Unread

WORD = re.compile(r"\w+")
COMMENT = re.compile(
    r"<!--.*?-->(?:\s*(?:Bar|Line|Pie|Scatter) chart$)?", re.DOTALL | re.MULTILINE
)  # docling: <!-- image -->
AUTHOR = re.compile(r"\[author: ([^\],]*)(?:, time: [^\]]*)?\]:")  # docling's way to say whose comment it is
PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+.!|<>~$&%-])")
LATEX = re.compile(r"\$\$?([^$\n]+)\$\$?")  # a formula: its commands are words that no other notation has
COMMAND = re.compile(r"\\[A-Za-z]+")
HEADING = re.compile(r"#{1,6}[ \t]+(.+)")
RULE = re.compile(r"[\s|:+-]*")
EMPHASIS = re.compile(r"\*+|~~|`+|(?<!\w)_+(?=\w)|(?<=\w)_+(?!\w)")
TAG = re.compile(r"</?[a-z]+/?>")


@dataclass(slots=True)
class Result:
    """What came of one file; shares are None when nothing was expected."""

    path: Path
    seconds: float = 0.0
    documents: int = 0
    refused: list[str] = field(default_factory=list)
    crash: str = ""
    recall: float | None = None
    headings: float | None = None
    rows: float | None = None
    missing: list[str] = field(default_factory=list)


def words(text: str) -> list[str]:
    """Lower-case words."""
    return WORD.findall(text.lower())


def plain(markdown: str) -> str:
    """Markdown without what only Markdown needs."""
    markdown = AUTHOR.sub(r"\1:", PICTURE.sub(" ", COMMENT.sub(" ", markdown)))
    markdown = LATEX.sub(lambda found: COMMAND.sub(" ", found[1]), markdown)
    return EMPHASIS.sub("", html.unescape(TAG.sub("", ESCAPE.sub(r"\1", LINK.sub(r"\1", markdown)))))


def share(wanted: Iterable[bool]) -> float | None:
    """How many are true, of all; None when there are none."""
    found = list(wanted)
    return sum(found) / len(found) if found else None


def is_row(line: str) -> bool:
    """Whether a line of Markdown is a row of a table and not its rule."""
    return line.lstrip().startswith("|") and not RULE.fullmatch(line)


def judge(result: Result, documents: list[Document], expected: str) -> None:
    """Compare what was read with the expected Markdown."""
    expected = plain(expected)
    places = "\n".join(label for document in documents for _, label in document.marks)  # a sheet's name stands there
    ours = places + "\n" + "\n".join(f"{document.title}\n{document.text}" for document in documents)
    have = Counter(words(ours))
    want = Counter(words(expected))
    lacking = want - have
    result.recall = 1 - lacking.total() / want.total() if want else None
    result.missing += [f"{word} {count}x" for word, count in lacking.most_common(25)]

    labels = [words(f"{d.title} {label}") for d in documents for _, label in (*d.headings, *d.marks)]
    headings = [words(found[1]) for line in expected.splitlines() if (found := HEADING.fullmatch(line.strip()))]
    kept = [any(not Counter(one) - Counter(label) for label in labels) for one in headings if one]
    result.headings = share(kept)
    result.missing += [
        f"# {' '.join(one)}" for one, is_kept in zip(filter(None, headings), kept, strict=True) if not is_kept
    ]

    lines = [Counter(words(line)) for line in ours.splitlines()]
    rows = [Counter(words(line)) for line in expected.splitlines() if is_row(line)]
    whole = [any(not row - line for line in lines) for row in rows]
    result.rows = share(whole)
    result.missing += [f"| {' '.join(row)}" for row, is_whole in zip(rows, whole, strict=True) if not is_whole]


def by_markitdown(path: Path) -> Iterator[Document]:
    """What the package markitdown makes of a file; headings are the lines it begins with '#'."""
    converter = importlib.import_module("markitdown").MarkItDown
    text = plain(converter(enable_plugins=False).convert(path).markdown)
    titles = ((found.start(), found[1]) for found in re.finditer(HEADING.pattern, text))
    yield Document(text, str(path), headings=tuple(titles))


def by_python_docx(path: Path) -> Iterator[Document]:
    """What python-docx gives of a Word file's body in order: paragraphs and tables."""
    docx = importlib.import_module("docx")
    lines = []
    for block in docx.Document(str(path)).iter_inner_content():
        rows = block.rows if hasattr(block, "rows") else []
        lines += [" | ".join(cell.text for cell in row.cells) for row in rows] or [getattr(block, "text", "")]
    yield Document("\n".join(lines), str(path))


READERS: dict[str, Callable[[Path], Iterable[Document | Unread]]] = {
    "openbook": Auto(),
    "markitdown": by_markitdown,
    "python-docx": by_python_docx,
}


def outcome(path: Path, folder: Path, reader: str = "openbook") -> Result:
    """Read one file and judge it."""
    result = Result(path)
    documents: list[Document] = []
    began = time.perf_counter()
    try:
        for part in READERS[reader](path):
            if isinstance(part, Document):
                documents.append(part)
            else:
                result.refused.append(f"{part.source}: {part.reason}")
    except ReadError as error:
        result.refused.append(str(error))
    except Exception:  # noqa: BLE001 - a crash is what is looked for
        result.crash = traceback.format_exc()
    result.seconds = time.perf_counter() - began
    result.documents = len(documents)
    if any(not document.text.strip() for document in documents):
        result.crash += "an empty document came out"
    expected = folder / "expected" / f"{path.name}.md"
    if expected.is_file() and documents:
        judge(result, documents, expected.read_text(encoding="utf-8"))
    return result


def percent(values: Iterable[float | None], *, least: bool = False) -> str:
    """Median of the known values, or the mean share."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    return f"{median(known):.3f} / {min(known):.3f}" if least else f"{sum(known) / len(known):.2f}"


def row(name: str, results: list[Result]) -> str:
    """One line of the table."""
    judged = [result for result in results if result.recall is not None]
    cells = [
        name,
        str(len(results)),
        str(sum(1 for result in results if result.documents)),
        str(sum(1 for result in results if not result.documents and not result.crash)),
        str(sum(1 for result in results if result.crash)),
        f"{percent((result.recall for result in judged), least=True)} ({len(judged)})",
        percent(result.headings for result in judged),
        percent(result.rows for result in judged),
        f"{sum(result.seconds for result in results):.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Read every file and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds files/ and expected/")
    parser.add_argument("--suffix", action="append", default=[], help="only these folders of files/")
    parser.add_argument("--peer", default="openbook", choices=READERS, help="read with this instead, if installed")
    parser.add_argument("--verbose", action="store_true", help="a line for each file, and what it lacks")
    options = parser.parse_args()
    folder: Path = options.folder
    results: dict[str, list[Result]] = {}
    for path in sorted((folder / "files").glob("*/*")):
        if not options.suffix or path.parent.name in options.suffix:
            result = outcome(path, folder, options.peer)
            results.setdefault(path.parent.name, []).append(result)
            if options.verbose:
                shares = [
                    None if value is None else round(value, 3)
                    for value in (result.recall, result.headings, result.rows)
                ]
                print(f"{path.parent.name}/{path.name}: {result.documents} documents, recall, headings, rows {shares}")
                for line in result.missing[:40]:
                    print(f"    {line[:160]}")
    print(
        "| format | files | opened | refused | crashed | word recall, median / least (of) | headings | rows | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, some in results.items():
        print(row(name, some))
    print()
    for some in results.values():
        for result in some:
            for reason in [*result.refused, *([f"CRASH {result.path.name}: {result.crash}"] if result.crash else [])]:
                print(f"- {reason.replace(str(folder / 'files'), '').lstrip('/')}")


if __name__ == "__main__":
    main()
