r"""Peak memory of the stages of a comparison: as openbook tells it, beside what others say of the same process.

    python benchmarks/peak_memory.py --llm "llamacpp(model='qwen2.5-coder-1.5b')"

Makes a book of part of the King James Bible, then runs `python -m openbook.bench.stages` for index, search and answer,
each below GNU `time -v`, whose maximum resident set size is that of the largest process alone. Meanwhile the tree of
processes is looked at from outside, ten times a second, through /proc: resident and proportional size, added up.
Linux, with GNU time installed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from measure import machine, table

from openbook import Book, Recipe
from openbook.bench.results import Results
from openbook.demo import kjv
from openbook.recipe import digest

QUESTIONS = ("Who was swallowed by a great fish?", "Who built the ark?", "What did Esau sell?", "Who slew Abel?")
MB = 1 << 20


class Outside:
    """The most that a tree of processes held, by looks from another process; in bytes."""

    def __init__(self, pid: int) -> None:
        self.resident = self.proportional = 0
        self._pid, self._stop = pid, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """End looking."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            found = [_sizes(pid) for pid in _tree(self._pid)]
            self.resident = max(self.resident, sum(resident for resident, _ in found))
            self.proportional = max(self.proportional, sum(proportional for _, proportional in found))


def _tree(pid: int) -> list[int]:
    """A process and all below it, by the parents that /proc tells: another way than openbook's."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text("utf-8").rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def _sizes(pid: int) -> tuple[int, int]:
    with contextlib.suppress(OSError):
        said = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8")
        numbers = dict(re.findall(r"^(Rss|Pss): +(\d+) kB", said, re.MULTILINE))
        return 1024 * int(numbers.get("Rss", 0)), 1024 * int(numbers.get("Pss", 0))
    return 0, 0


def staged(task: dict[str, Any]) -> tuple[int, Outside, dict[str, Any]]:
    """One stage: what `time -v` says in bytes, what was seen from outside, and what was kept of the stage.

    Raises:
        RuntimeError: The stage failed.
    """
    command = [shutil.which("time") or "/usr/bin/time", "-v", sys.executable, "-P", "-m", "openbook.bench.stages"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        outside = Outside(process.pid)
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        said = process.stdout.read()
        told = process.stderr.read()
        process.wait()
        outside.stop()
    most = re.search(r"Maximum resident set size \(kbytes\): (\d+)", told)
    if process.returncode or most is None:
        raise RuntimeError(f"{task['kind']}: {said[-300:]} {told[-300:]}")
    with Results(Path(task["results"])) as results:
        return 1024 * int(most[1]), outside, results.measured(task["key"])


def tasks(folder: Path, share: float, llm: str, store: str) -> Iterator[dict[str, Any]]:
    """Of the three stages, one after the other."""
    text = kjv(folder).read_text("utf-8")
    (folder / "part.txt").write_text(text[: int(share * len(text))], "utf-8")
    light = Recipe().with_step("embedder", "hashed(dim=64)").with_step("store", "flat")
    with Book.open(folder / "documents", light, create=True) as book:
        book.add([folder / "part.txt"])
    recipe = Recipe().with_step("llm", llm).with_step("store", store).to_dict()
    common = {"results": str(folder / "results.db"), "folder": str(folder / "index"), "recipe": recipe}
    asked = [{"key": digest(one), "text": one, "history": []} for one in QUESTIONS]
    yield {"kind": "index", "key": "index", "documents": str(folder / "documents"), **common}
    yield {"kind": "search", "key": "search", "questions": asked, "k": 10, **common}
    yield {"kind": "answer", "key": "answer", "questions": asked, "max_tokens": 40, **common}


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llm", default=str(Recipe().llm))
    parser.add_argument("--store", default=str(Recipe().store))
    parser.add_argument("--share", type=float, default=0.1, help="of the Bible that is indexed")
    options = parser.parse_args(words)
    print(f"{machine()}\n\nMB of 1,048,576 bytes.\n")
    shown: list[list[Any]] = [
        [
            "stage",
            "largest process",
            "time -v",
            "",
            "all processes",
            "seen from outside",
            "",
            "PSS",
            "anonymous",
            "mapped",
        ]
    ]
    with tempfile.TemporaryDirectory() as scratch:
        for task in tasks(Path(scratch), options.share, options.llm, options.store):
            theirs, outside, ours = staged(task)
            pairs = (ours["largest_bytes"], theirs), (ours["peak_bytes"], outside.resident)
            cells = [f"{of / MB:.0f}" if of > 1 else "" for pair in pairs for of in (*pair, 0)]
            cells[2], cells[5] = (f"{100 * (mine / other - 1):+.1f} %" for mine, other in pairs)
            more = (outside.proportional, ours["anonymous_bytes"], ours["mapped_bytes"])
            shown.append([task["kind"], *cells, *(f"{one / MB:.0f}" for one in more)])
    print(table(shown))


if __name__ == "__main__":
    main()
