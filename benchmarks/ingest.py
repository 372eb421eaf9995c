"""How fast folders become chunks, without embedding; how little a second `add` of many unchanged files costs.

    python benchmarks/ingest.py FOLDER [--again 20000]            prints Markdown tables
    python benchmarks/ingest.py FOLDER --whole BOOK --set embedder=hashed

FOLDER holds any documents; `make_corpus.py` writes 1.6 GB of them. With `--whole` all of it is added to a new book in
that folder, which stays, and the book is searched.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from measure import machine, measured, table

from openbook import Book, registry
from openbook.finding import find
from openbook.indexing import identity
from openbook.readers import known
from openbook.reading import End, Job, Reading
from openbook.recipe import Recipe
from openbook.types import Document, Progress, Splitter

LOOK_SECONDS = 0.2


def resident_mb(group: set[int]) -> float:
    """Memory of these processes and all below them, as Linux counts it; what they share is counted once for each."""
    parents: dict[int, int] = {}
    sizes: dict[int, float] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines() if ":" in line)
        except OSError:
            continue
        pid = int(lines["Pid"])
        parents[pid], sizes[pid] = int(lines["PPid"]), int(lines.get("VmRSS", "0 kB").split()[0]) / 1024 * 1.048576
    found = set(group)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sum(sizes.get(pid, 0.0) for pid in found)


class Peak:
    """Largest memory of this process and its workers, looked at now and then."""

    def __init__(self) -> None:
        self.mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self.mb = max(self.mb, resident_mb({os.getpid()}))

    def end(self) -> float:
        """The peak in MB."""
        self._stop.set()
        self._thread.join()
        return self.mb


def read_and_split(folder: Path, recipe: Recipe) -> list[object]:
    """One row: what came of a folder, and the seconds it took."""
    splitter: Splitter = registry.make("splitter", recipe.splitter)
    steps = recipe.to_dict()
    peak = Peak()
    began = time.perf_counter()
    files = find([folder], known).files
    documents = chunks = characters = failed = 0
    with Reading(steps["reader"], steps["cleaners"]) as reading:
        for _, event in reading.read(Job(file.path) for file in files):
            if isinstance(event, Document):
                document_id = identity(event)
                documents += 1
                characters += len(event.text)
                chunks += sum(1 for _ in splitter(event, document_id))
            elif isinstance(event, End) and event.error:
                failed += 1
    seconds = time.perf_counter() - began
    size = sum(file.size_bytes for file in files)
    return [
        steps["splitter"], steps["cleaners"] or "none", f"{len(files):,}", f"{size / 1e9:.2f}", f"{documents:,}",
        failed, f"{chunks:,}", f"{seconds:.1f}", f"{size / seconds / 1e6:.1f}", f"{peak.end():.0f}",
    ]  # fmt: skip


def again(files: int) -> list[list[object]]:
    """Add many small files, then add them again; whole processes."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, home = Path(temporary) / "documents", Path(temporary) / "home"
        for number in range(files):
            path = folder / f"{number % 100}" / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"Note {number}: the fish was seen at {number * 7} m.\n", encoding="utf-8")
        add = [sys.executable, "-m", "openbook", "add", "-b", "notes", str(folder)]
        rows: list[list[object]] = []
        for what in ("first", "again, unchanged", "again, unchanged"):
            options = ["--set", "embedder=hashed"] if what == "first" else []
            run = measured([*add, *options], env={"OPENBOOK_HOME": str(home)})
            rows.append([what, f"{files:,}", f"{run.seconds:.2f}", f"{run.peak_mb:.0f}"])
        shutil.rmtree(home)
    return rows


QUESTIONS = (
    "How does the scheduler pick the next task?", "memory allocation in the kernel", "usb device driver probe",
    "boost asio timer example", "Python list comprehension syntax", "policy on configuration files",
    "network packet receive path", "how to parse command line options", "java class loader", "regular expressions",
)  # fmt: skip


def whole(folder: Path, recipe: Recipe, target: Path) -> list[list[object]]:
    """Add everything and search: two tables of a head and a row each; memory is that of all processes together."""
    peak, adding = Peak(), 0.0
    said: list[tuple[float, Progress]] = []

    def report(progress: Progress) -> None:
        nonlocal adding
        if progress.step == "index":
            adding = peak.mb
        said.append((time.perf_counter() - began, progress))

    with Book.open(target, recipe, create=True) as book:
        began = time.perf_counter()
        added = book.add(folder, report=report)
        seconds = time.perf_counter() - began
    spent = os.times()
    late = [one.total / added.chunks - 1 for _, one in said if one.step == "embed" and one.done > added.chunks / 10]
    with Book.open(target) as book:
        book.search(QUESTIONS[0])
        times = sorted(book.retrieve(question, 10)[1].retrieve * 1000 for question in QUESTIONS * 3)
        size = book.status().size_bytes
    estimates = [one for _, one in said if one.step == "estimate"]
    return [
        ["chunks", "said before", "expected on the way", "seconds", "said before", "of it optimize"],
        [
            f"{added.chunks:,}", f"{estimates[0].total:,}" if estimates else "-",
            f"{min(late, default=0):+.0%} to {max(late, default=0):+.0%}", f"{seconds:.0f}",
            f"{estimates[0].seconds_left or 0:.0f}" if estimates else "-", f"{seconds - added.seconds:.0f}",
        ],
        ["CPU s, parent", "workers", "embedding", "peak MB", "before optimize", "disk GB; search p50, p95 ms"],
        [
            f"{spent.user + spent.system:.0f}", f"{spent.children_user + spent.children_system:.0f}",
            f"{added.seconds_embedding / seconds:.0%}", f"{peak.end():.0f}", f"{adding:.0f}",
            f"{size / 1e9:.1f}; {times[len(times) // 2]:.0f}, {times[len(times) * 95 // 100]:.0f}",
        ],
    ]  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--whole", type=Path, metavar="BOOK", help="add it all to a new book")
    parser.add_argument("--again", type=int, default=20_000, metavar="FILES")
    parser.add_argument("--set", dest="choices", action="append", default=[], metavar="STEP=SPEC")
    options = parser.parse_args()
    recipe = Recipe()
    for choice in options.choices:
        step, _, spec = choice.partition("=")
        recipe = recipe.with_step(step, spec)
    print(machine())
    if options.whole:
        rows = whole(options.folder, recipe, options.whole)
        print(table(rows[:2]) + "\n\n" + table(rows[2:]))
        return
    head = ["splitter", "cleaners", "files", "GB", "documents", "failed", "chunks", "seconds", "MB/s", "peak MB"]
    print(table([head, read_and_split(options.folder, recipe)]), flush=True)
    if options.again:
        print()
        print(table([["add", "files", "seconds", "peak MB"], *again(options.again)]))


if __name__ == "__main__":
    main()
