"""How large a chunk should be: seconds to embed and what is found, for chunks of 250 to 4,000 characters.

    python benchmarks/chunk_size.py --data ../shared/data --cache vectors --picture docs/chunk-size.svg

Prints Markdown. A chunk is right when it holds the answer (squad1, xquad: inside its paragraph, paragraphs joined to
articles; bible: half of a verse that Nave lists; kafka: half of a quote), or is of the right document (til, scifact).
Larger chunks show more text, so that the first five of
them are no fair match: R@1500c asks whether the answer is in the first 1,500 characters shown, the last chunk cut off
there. p: paired randomisation test of the column before it against chunks of 500, with Holm's correction over all
tests of the table.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import sets
from measure import machine, table
from picture import Line, picture
from retrieval import ROUNDS, embedded, fill, small
from sets import Case, Question

from openbook import registry
from openbook.bench.statistics import holm, p_values
from openbook.fitting import fitting
from openbook.recipe import Recipe, Spec
from openbook.types import Chunk, Embedder, Passage, Retriever

SIZES = (250, 500, 1000, 2000, 4000)
BASE = "structure(size=500)"
SPLITTERS = (*(f"structure(size={size})" for size in SIZES), "chars(size=500)")
DEPTH = 20  # chunks asked for: fills the larger budget even with the smallest ones
BUDGETS = (1500, 4000)  # characters shown
SAMPLE = 150_000  # characters whose embedding is timed
MEASURES = ("R@1", "R@5", "MRR@10", *(f"R@{budget}c" for budget in BUDGETS))
COST = "CPU seconds to embed a megabyte"
TESTED = ("MRR@10", f"R@{BUDGETS[0]}c")

SETS: dict[str, Callable[[Path], Case]] = {
    "squad1": lambda data: sets.squad(data / "squad1"),
    "xquad": lambda data: sets.squad(data / "xquad-en"),
    "til": sets.til,
    "scifact": lambda data: sets.beir(data / "scifact-small"),
    "bible": sets.nave,
    "kafka": sets.kafka,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One splitter on one set."""

    set: str
    splitter: str
    chunks: int
    mean_size: float
    scores: dict[str, list[float]]  # measure -> of each question

    def mean(self, measure: str) -> float:
        """Per cent."""
        return 100 * statistics.fmean(self.scores[measure])


def smaller(case: Case, most: int) -> Case:
    """Of many documents, the first that answer a question, then others, up to so many characters; what they answer."""
    answers = set(chain.from_iterable(question.relevant for question in case.questions))
    if not answers:
        return case
    kept, room = set(), most
    for document in sorted(case.documents, key=lambda document: document.source not in answers):
        room -= len(document.text)
        if room >= 0:
            kept.add(document.source)
    documents = [document for document in case.documents if document.source in kept]
    return replace(
        case, documents=documents, questions=[one for one in case.questions if kept.issuperset(one.relevant)]
    )


def scores(question: Question, passages: Sequence[Passage]) -> dict[str, float]:
    """Right among the first 1 and 5, reciprocal rank, right among the first characters."""
    right = [question.right(passage.chunk) for passage in passages[:10]]
    rank = next((rank for rank, yes in enumerate(right, 1) if yes), 0)
    found = [float(any(right[:1])), float(any(right[:5])), 1 / rank if rank else 0.0]
    found += [float(any(map(question.right, within(passages, budget)))) for budget in BUDGETS]
    return dict(zip(MEASURES, found, strict=True))


def within(passages: Sequence[Passage], budget: int) -> Iterator[Chunk]:
    """The first characters of what is shown: the last chunk is cut off."""
    for passage in passages:
        chunk = passage.chunk
        if len(chunk.text) > budget:
            chunk = replace(chunk, end=chunk.start + budget, text=chunk.text[:budget])
        if chunk.text:
            yield chunk
        budget -= len(chunk.text)


def measured(options: argparse.Namespace, name: str, case: Case, spec: str, embedder: Embedder) -> Row:
    """One splitter on one set."""
    chunks = split(case, spec, embedder)
    vectors = embedded(embedder, [chunk.indexed for chunk in chunks], "document", options.cache)
    asked = embedded(embedder, [question.text for question in case.questions], "query", options.cache)
    retrieve: Retriever = registry.make("retriever", Spec.parse(options.retriever))
    with tempfile.TemporaryDirectory() as folder:
        store = registry.make("store", Spec.parse(options.store), folder=Path(folder), dim=embedder.dim)
        with closing(store):
            fill(store, chunks, vectors)
            found = [
                scores(question, retrieve(question.text, DEPTH, store, lambda _, vector=vector: vector))  # type: ignore[misc]
                for question, vector in zip(case.questions, asked, strict=True)
            ]
    mean_size = statistics.fmean(len(chunk.text) for chunk in chunks)
    return Row(name, spec, len(chunks), mean_size, {measure: [one[measure] for one in found] for measure in MEASURES})


def split(case: Case, spec: str, embedder: Embedder) -> list[Chunk]:
    """As a book splits: what does not fit into the embedder's window is cut."""
    splitter = fitting(registry.make("splitter", Spec.parse(spec), spans=embedder.tokens), embedder)
    return [chunk for document in case.documents for chunk in splitter(document, document.source)]


def seconds_per_mb(case: Case, splitters: Sequence[str], embedder: Embedder, times: int) -> dict[str, float]:
    """CPU seconds to embed a megabyte of the set's text: the median of some runs, the splitters taking turns."""
    texts = {spec: list(sample(split(case, spec, embedder))) for spec in splitters}
    embedder.embed(["loaded"], "document")
    seconds: dict[str, list[float]] = {spec: [] for spec in splitters}
    for _ in range(times):
        for spec, chosen in texts.items():
            began = time.process_time()
            embedder.embed(chosen, "document")
            seconds[spec].append((time.process_time() - began) / (sum(map(len, chosen)) / 1e6))
    return {spec: statistics.median(values) for spec, values in seconds.items()}


def sample(chunks: Sequence[Chunk]) -> Iterator[str]:
    """The first SAMPLE characters or so."""
    room = SAMPLE
    for chunk in chunks:
        if room <= 0:
            return
        room -= len(chunk.indexed)
        yield chunk.indexed


def against_base(rows: Sequence[Row]) -> dict[tuple[str, str, str], float]:
    """(set, splitter, measure) -> p, corrected."""
    found: dict[tuple[str, str, str], float] = {}
    for base in [row for row in rows if row.splitter == BASE]:
        others = [row for row in rows if row.set == base.set and row.splitter != BASE]
        for measure in TESTED if others else ():
            values = p_values(base.scores[measure], [row.scores[measure] for row in others], rounds=ROUNDS)
            found |= {(row.set, row.splitter, measure): p for row, p in zip(others, values, strict=True)}
    return dict(zip(found, holm(list(found.values())), strict=True))


def shown(rows: Sequence[Row], cases: dict[str, Case]) -> str:
    """The table."""
    tests = against_base(rows)
    lines = [
        ["set", "splitter", "chunks", "chars", *chain(*([one, "p"] if one in TESTED else [one] for one in MEASURES))]
    ]
    for row in rows:
        case = cases[row.set]
        megabytes = sum(len(document.text) for document in case.documents) / 1e6
        label = f"{row.set}: {megabytes:.1f} MB, {len(case.questions)} questions"
        line = [
            label if row.splitter == SPLITTERS[0] else "",
            f"`{row.splitter}`",
            f"{row.chunks:,}",
            f"{row.mean_size:.0f}",
        ]
        for measure in MEASURES:
            line.append(f"{row.mean(measure):.1f}")
            if measure in TESTED:
                p = tests.get((row.set, row.splitter, measure))
                line.append("" if p is None else small(p))
        lines.append(line)
    return table(lines)


def drawn(rows: Sequence[Row], seconds: dict[str, float]) -> str:
    """The picture: what is found and what it costs, by size."""

    def line(name: str, measure: str) -> Line:
        by_splitter = {row.splitter: row for row in rows if row.set == name}
        points = [(size, by_splitter[spec].mean(measure)) for size, spec in zip(SIZES, SPLITTERS, strict=False)]
        return Line(name, points)

    names = list(dict.fromkeys(row.set for row in rows))
    panels = {
        "MRR@10, %": [line(name, "MRR@10") for name in names],
        f"answer in the first {BUDGETS[0]:,} characters, %": [line(name, f"R@{BUDGETS[0]}c") for name in names],
    }
    if seconds:
        cost = [(size, seconds[spec]) for size, spec in zip(SIZES, SPLITTERS, strict=False)]
        panels[COST] = [Line("minilm", cost)]
    return picture("Characters in a chunk", panels, from_zero={COST})


def main() -> None:
    """Measure, print and draw."""
    recipe = Recipe()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("OPENBOOK_DATA", "../shared/data")))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--embedder", default="minilm")
    parser.add_argument("--store", default="lance")
    parser.add_argument("--retriever", default=str(recipe.retriever))
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--most", type=int, default=1_000_000, help="characters of a set of many documents")
    parser.add_argument("--times", type=int, default=3, help="runs of the timing; 0: none")
    parser.add_argument("--picture", type=Path, help="writes an SVG there")
    options = parser.parse_args()

    about = machine()  # before our own load
    embedder: Embedder = registry.make("embedder", Spec.parse(options.embedder))
    cases = {name: smaller(SETS[name](options.data), options.most) for name in options.sets.split(",")}
    first = next(iter(cases.values()))
    seconds = seconds_per_mb(first, SPLITTERS, embedder, options.times) if options.times else {}
    rows = [measured(options, name, case, spec, embedder) for name, case in cases.items() for spec in SPLITTERS]
    print(f"{about}\n\n`{options.embedder}`, `{options.store}`, `{options.retriever}`\n\n{shown(rows, cases)}\n")
    if seconds:
        print(
            table([["splitter", "CPU s per MB"], *([f"`{spec}`", f"{value:.1f}"] for spec, value in seconds.items())])
        )
    if options.picture:
        options.picture.write_text(drawn(rows, seconds), "utf-8")


if __name__ == "__main__":
    main()
