r"""`openbook compare` beside benchmarks/retrieval.py: the same sets, the same recipes, the same numbers?

    python benchmarks/comparing.py --data ../shared/data --work WORK --cache VECTORS

For each set writes a file of questions and a sweep into WORK, runs `openbook compare` on it, then once more with all
kept; runs the benchmark's own search over the same documents; and prints every measure of every row with the largest
difference of any question, which should be 0. Kept results lie in $OPENBOOK_HOME. No refiners, no cleaners, 100
passages, as the benchmark searches.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import retrieval
from measure import machine, table
from sets import Case, load

from openbook import registry
from openbook.bench.questions import write_questions
from openbook.bench.results import Results
from openbook.bench.running import results_path
from openbook.bench.scoring import Scorer
from openbook.recipe import Spec

NAMES = {"R@1": "recall@1", "R@5": "recall@5", "R@10": "recall@10", "MRR@10": "MRR@10", "nDCG@10": "nDCG@10"}
SWEEP = """\
documents = {documents}
questions = "questions.jsonl"
[recipe]
store = {store}
cleaners = "none"
refiners = "none"
[vary]
splitter = {splitters}
embedder = {embedders}
retriever = {retrievers}
[run]
answers = false
k = {depth}
headline = "nDCG@10"
"""

Key = tuple[str, str, str]
"""Splitter, embedder, retriever."""


def written(options: argparse.Namespace, name: str) -> Path:
    """The sweep of a set, and its questions beside it."""
    folder = Path(options.work) / name
    folder.mkdir(parents=True, exist_ok=True)
    case = load(options.data, name)
    documents, prefix = _documents(options.data, name, case, folder)
    asked = [
        replace(one, gold=tuple(replace(gold, source=prefix + gold.source) for gold in one.gold))
        for one in case.asked()
    ]
    write_questions(asked, folder / "questions.jsonl")
    said = {
        "documents": [str(documents)],
        "store": options.store,
        "splitters": options.splitters,
        "embedders": options.embedders,
        "retrievers": options.retrievers,
        "depth": retrieval.DEPTH,
    }
    path = folder / "sweep.toml"
    path.write_text(SWEEP.format(**{key: json.dumps(value) for key, value in said.items()}), "utf-8")
    return path


def _documents(data: Path, name: str, case: Case, folder: Path) -> tuple[Path, str]:
    """What `openbook compare` reads, and what its documents' names begin with before those of the set."""
    if name == "kafka-docs.gold":
        return (data / "kafka-docs" / "source").resolve() / "**" / "*.html", ""
    rows = ({"_id": one.source, "title": one.title, "text": one.text} for one in case.documents)
    path = folder / "corpus.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path.resolve(), "corpus.jsonl#"


def run(sweep: Path, name: str) -> float:
    """Seconds that the command took.

    Raises:
        CalledProcessError: It failed.
    """
    began = time.perf_counter()
    program = "import sys; from openbook.app.cli import main; main()"
    command = [sys.executable, "-c", program, "compare", str(sweep), "--name", name, "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def of_compare(name: str, embedders: Sequence[str]) -> dict[Key, dict[str, list[float]]]:
    """Recipe -> measure -> of each question, from what was kept. bm25 is run once, whatever the embedder."""
    with Results(results_path()) as results:
        scorer = Scorer(results, results.run(name))
        found = {}
        for trial in scorer.run.trials:
            scores = {ours: scorer.scores(trial, theirs) for ours, theirs in NAMES.items()}
            key = trial.recipe["splitter"], trial.recipe["embedder"], trial.recipe["retriever"]
            scored = {ours: [by[one.id] for one in scorer.questions] for ours, by in scores.items()}
            found[key] = scored
            if key[2] == "bm25":
                for embedder in embedders:
                    found.setdefault((key[0], embedder, key[2]), scored)
        return found


def of_benchmark(options: argparse.Namespace, name: str) -> Iterator[tuple[Key, dict[str, list[float]]]]:
    """The same by benchmarks/retrieval.py."""
    for splitter in options.splitters:
        words = ["--data", str(options.data), "--splitter", splitter, "--store", options.store]
        words += ["--cache", str(options.cache)] if options.cache else []
        chosen = retrieval.arguments().parse_args(words)
        for spec in options.embedders:
            embedder = registry.make("embedder", Spec.parse(spec))
            task = retrieval.prepare(chosen, name, embedder)
            for row in retrieval.compared(chosen, task, spec, embedder, options.retrievers):
                yield (splitter, spec, row.retriever), dict(row.scores)


def beside(ours: dict[str, list[float]], theirs: dict[str, list[float]]) -> tuple[list[str], float]:
    """Means by both, and the largest difference of any question."""
    shown, most = [], 0.0
    for name in NAMES:
        means = [100 * statistics.fmean(of[name]) for of in (ours, theirs)]
        shown.append(f"{means[0]:.4f}" if means[0] == means[1] else f"{means[0]:.4f} / {means[1]:.4f}")
        most = max(most, *(abs(a - b) for a, b in zip(ours[name], theirs[name], strict=True)))
    return shown, most


def main(words: Sequence[str] | None = None) -> float:
    """Run both and print; the largest difference."""
    options = arguments().parse_args(words)
    print(f"{machine()}\n")
    lines: list[list[object]] = [["set", "splitter", "embedder", "retriever", *NAMES, "largest difference"]]
    times, most = [], 0.0
    for name in options.sets.split(","):
        sweep = written(options, name)
        first, again = run(sweep, name), run(sweep, name)
        times.append(f"{name}: {first:.1f} s, all of it kept {again:.1f} s.")
        ours = of_compare(name, options.embedders)
        for key, theirs in of_benchmark(options, name):
            shown, difference = beside(ours[key], theirs)
            most = max(most, difference)
            lines.append([name, *key, *shown, f"{difference:.2g}"])
    print(table(lines))
    print(f"\nOne set, one command. {' '.join(times)} Largest difference of any question: {most:.2g}")
    return most


def arguments() -> argparse.ArgumentParser:
    """What can be chosen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("OPENBOOK_DATA", "../shared/data")))
    parser.add_argument("--work", type=Path, required=True, help="folder for sweeps and questions")
    parser.add_argument("--sets", default="kafka-docs.gold,squad1,squad1.gold")
    parser.add_argument("--splitters", type=retrieval.parts, default="structure(size=500); structure(size=1000)")
    parser.add_argument("--embedders", type=retrieval.parts, default="minilm; e5-small", help="parted by ';'")
    parser.add_argument("--retrievers", type=retrieval.parts, default="bm25; dense; hybrid", help="parted by ';'")
    parser.add_argument("--store", default="lance")
    parser.add_argument("--cache", type=Path, help="folder that keeps the benchmark's vectors between runs")
    return parser


if __name__ == "__main__":
    main()
