"""How fast folders become chunks, without embedding; and how little a second `add` of many unchanged files costs.

    python benchmarks/ingest.py FOLDER [--again 20000]    prints Markdown tables

FOLDER holds any documents; `make_corpus.py` writes 1.6 GB of them.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from measure import machine, measured, table

from openbook import registry
from openbook.finding import find
from openbook.indexing import identity
from openbook.readers import known
from openbook.reading import End, Job, Reading
from openbook.recipe import Recipe
from openbook.types import Document, Splitter

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
        import os

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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--again", type=int, default=20_000, metavar="FILES")
    parser.add_argument("--set", dest="choices", action="append", default=[], metavar="STEP=SPEC")
    options = parser.parse_args()
    recipe = Recipe()
    for choice in options.choices:
        step, _, spec = choice.partition("=")
        recipe = recipe.with_step(step, spec)
    print(machine())
    head = ["splitter", "cleaners", "files", "GB", "documents", "failed", "chunks", "seconds", "MB/s", "peak MB"]
    print(table([head, read_and_split(options.folder, recipe)]), flush=True)
    if options.again:
        print()
        print(table([["add", "files", "seconds", "peak MB"], *again(options.again)]))


if __name__ == "__main__":
    main()
