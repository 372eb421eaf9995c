"""What `add` says beforehand beside what it then takes, and how far the number of chunks it expects jumps about.

    python benchmarks/estimate.py [NAME=PATH...] [--embedder hashed]     prints a Markdown table

The Bible and a mailbox made of it are always measured; NAME=PATH adds files or folders.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

from measure import machine, table

from openbook import Book, Recipe
from openbook.demo import kjv
from openbook.types import Progress

MAILS = 4000
LONGEST_MAIL = 3000  # characters
ATTACHED = 0.05  # share of the mails with an attachment no reader knows


def mailbox(text: str, path: Path) -> Path:
    """Mails that quote a text, some with something attached."""
    chance = random.Random(7)
    with path.open("wb") as file:
        for number in range(MAILS):
            start = chance.randrange(len(text) - LONGEST_MAIL)
            mail = EmailMessage()
            mail["From"], mail["To"], mail["Subject"] = "a@example.org", "b@example.org", f"Reading {number}"
            mail.set_content(text[start : start + chance.randrange(50, LONGEST_MAIL)])
            if chance.random() < ATTACHED:
                mail.add_attachment(chance.randbytes(100_000), "image", "jpeg", filename="sea.jpg")
            file.write(b"From a@example.org Mon Nov 23 08:00:00 2026\n" + bytes(mail) + b"\n")
    return path


def row(name: str, path: Path, embedder: str) -> list[object]:
    """Add it to a new book and compare."""
    said: list[tuple[float, Progress]] = []
    with tempfile.TemporaryDirectory() as temporary:
        recipe = Recipe().with_step("embedder", embedder)
        with Book.open(Path(temporary) / "book", recipe, create=True) as book:
            book.embedder.embed(["warm"], "document")
            began = time.perf_counter()
            added = book.add(path, report=lambda progress: said.append((time.perf_counter() - began, progress)))
            took = time.perf_counter() - began
    told = [(seconds, one) for seconds, one in said if one.step == "estimate"]
    if not told:
        return [name, "-", f"{added.chunks:,}", "-", "-", f"{took:.0f}", "-", "-", "-"]
    cost, estimate = told[0]
    assert estimate.seconds_left
    return [
        name,
        f"{estimate.total:,}",
        f"{added.chunks:,}",
        f"{estimate.total / added.chunks - 1:+.0%}",
        f"{estimate.seconds_left:.0f}",
        f"{took - cost:.0f}",
        f"{estimate.seconds_left / (took - cost) - 1:+.0%}",
        f"{cost:.1f}",
        " to ".join(f"{jump:+.0%}" for jump in jumps([one for _, one in said], added.chunks)),
    ]


def jumps(said: list[Progress], chunks: int) -> Iterator[float]:
    """The lowest and the highest number of chunks that was expected after the first tenth, beside the real one."""
    late = [one.total / chunks - 1 for one in said if one.step == "embed" and one.done > chunks / 10]
    yield from (min(late, default=0.0), max(late, default=0.0))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="NAME=PATH")
    parser.add_argument("--embedder", default="minilm")
    parser.add_argument("--only", action="store_true", help="without the Bible and the mailbox")
    options = parser.parse_args()
    print(f"{machine()}, {options.embedder}\n")
    with tempfile.TemporaryDirectory() as temporary:
        sets = {name: Path(path) for name, _, path in (one.partition("=") for one in options.sets)}
        if not options.only:
            bible = kjv(Path(temporary))
            sets |= {"the Bible": bible}
            sets |= {"a mailbox": mailbox(bible.read_text(encoding="utf-8"), Path(temporary) / "box.mbox")}
        head: list[object] = [
            "",
            "chunks said",
            "came",
            "off",
            "seconds said",
            "took",
            "off",
            "s to find out",
            "expected on the way",
        ]
        rows: list[list[object]] = [head]
        for name, path in sets.items():
            rows.append(row(name, path, options.embedder))
            print(table(rows).splitlines()[-1], flush=True)
        print("\n" + table(rows))


if __name__ == "__main__":
    main()
