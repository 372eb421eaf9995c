"""What refiners do to what the model sees: is the answer still shown, and how many tokens does it take.

    python benchmarks/refining.py --data ../shared/data --cache vectors
    python benchmarks/refining.py --data ../shared/data --cache vectors --shown squad1 --orders '' --ask 60

Prints Markdown. Paragraphs of an article, pages of a report and verses of a biblical book are put together again, so
that passages have neighbours. `p` is a paired randomisation test against the first row of the set, without correction
for the number of rows.

1. `--shown`: an answer is shown when one of its occurrences in the question's own paragraph lies within a passage.
   `tokens` are those of all that the model reads but the system text, as the embedder counts them.
2. `--orders`: `diverse` and `per-source`. `documents@5` are the different ones among the first five passages,
   `likeness@5` is the cosine of each to the nearest before it. Of `reports-pdf` the questions that several reports
   answer are asked, and the reports are what is to be found.
3. `--ask`: so many questions are put to the default model. Right is an answer that contains a reference answer.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from measure import machine, table
from retrieval import embedded, fill
from sets import lines, questions

from openbook import registry
from openbook.bench.statistics import p_value
from openbook.prompts.citations import is_refusal
from openbook.prompts.cited import Cited
from openbook.recipe import Recipe, Spec, parse_many
from openbook.refiners.stretches import sentences
from openbook.types import LLM, Chunk, Document, Embedder, Kind, Passage, Refiner, Usage, Vectors

POOL = 40  # passages a book finds where refiners may drop some
TIMED = 15  # questions that are refined with vectors made anew, for the milliseconds

SHOWN: dict[str, Sequence[tuple[str, int]]] = {  # splitter -> refiners, passages; the first is the one compared with
    "structure(size=500)": (
        *(("", k) for k in (3, 1, 2, 5, 8)),
        ("compress(keep=0.5)", 3),
        *((f"compress(keep={keep})", 5) for keep in (0.45, 0.6)),
        *((f"compress(keep={keep})", 8) for keep in (0.25, 0.4)),
        *(("neighbours(size=1000)", k) for k in (1, 2, 3)),
        ("neighbours(size=1000) + compress(keep=0.5)", 3),
    ),
    "structure(size=250)": (("", 6), ("neighbours(size=500)", 3)),
    "structure(size=1000)": (("", 2), ("compress(keep=0.5)", 3), ("compress(keep=0.35)", 5)),
}
SHOWN_HEADING = ["set", "splitter", "refiners", "passages", "answer shown", "characters", "tokens", "CPU ms", "p"]

ORDERS = ("", "diverse(weight=0.1)", "diverse(weight=0.3)", "diverse(weight=1.0)", "per-source(n=1)", "per-source(n=2)")
ORDERS_HEADING = ["set", "refiners", "R@5", "R@10", "MRR@10", "documents@5", "likeness@5", "CPU ms", "p of MRR"]
BEST = 10  # passages of an order

ASKED = (("", 3), ("compress(keep=0.5)", 3), ("compress(keep=0.4)", 8))
ASKED_HEADING = [
    "set",
    "refiners",
    "passages",
    "shown",
    "right",
    "refused",
    "prompt tokens",
    "first word s",
    "p of right",
]
ANSWER_TOKENS = 64

PART = re.compile(r"[~-]\d+$|#p\d+$| \d+:.*$")  # of an id: the paragraph, page or verses

Span = tuple[str, int, int]  # document, start, end


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and where its answers stand."""

    text: str
    answers: Sequence[str]
    spans: Sequence[Span]

    def shown(self, passages: Sequence[Passage]) -> bool:
        """Whether one of the answers is within a passage."""
        return any(
            (one.chunk.document_id, True, True) == (name, one.chunk.start <= start, end <= one.chunk.end)
            for name, start, end in self.spans
            for one in passages
        )


@dataclass
class Remembering:
    """An embedder that keeps what it embedded, so that many variants cost one."""

    embedder: Embedder
    vectors: dict[tuple[str, Kind], Vectors] = field(default_factory=dict)

    @property
    def dim(self) -> int:
        """As the embedder's."""
        return self.embedder.dim

    @property
    def fingerprint(self) -> str:
        """As the embedder's."""
        return self.embedder.fingerprint

    @property
    def window(self) -> int:
        """As the embedder's."""
        return self.embedder.window

    @property
    def languages(self) -> frozenset[str]:
        """As the embedder's."""
        return self.embedder.languages

    @property
    def remote(self) -> str:
        """As the embedder's."""
        return self.embedder.remote

    def tokens(self, text: str) -> Sequence[tuple[int, int]]:
        """As the embedder."""
        return self.embedder.tokens(text)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """As the embedder does."""
        if new := sorted({text for text in texts if (text, kind) not in self.vectors}):
            self.vectors.update(zip(((text, kind) for text in new), self.embedder.embed(new, kind), strict=True))
        return np.array([self.vectors[text, kind] for text in texts], np.float32)

    def load(self, path: Path) -> None:
        """Take what `save` wrote, if it was."""
        if path.exists():
            with np.load(path) as kept:
                keys = zip(map(str, kept["texts"]), map(str, kept["kinds"]), strict=True)
                self.vectors.update(zip(keys, kept["vectors"], strict=True))  # type: ignore[arg-type]

    def save(self, path: Path) -> None:
        """Keep it for the next run."""
        texts, kinds = zip(*self.vectors, strict=True)
        np.savez(path, texts=np.array(texts), kinds=np.array(kinds), vectors=np.array(list(self.vectors.values())))


def articles(folder: Path) -> tuple[dict[str, Document], dict[str, Span]]:
    """Documents of all paragraphs of an article, by its id; and where each paragraph stands."""
    paragraphs: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    for one in lines(folder / "corpus.jsonl"):
        paragraphs[PART.sub("", one["_id"])].append(one)
    found, spans = {}, {}
    for name, those in paragraphs.items():
        at = 0
        for one in those:
            spans[one["_id"]] = (name, at, at + len(one["text"]))
            at += len(one["text"]) + 2
        found[name] = Document("\n\n".join(one["text"] for one in those), f"{name}.txt", those[0].get("title", ""))
    return found, spans


def asked(folder: Path, texts: dict[str, Document], paragraphs: dict[str, Span]) -> list[Question]:
    """The questions of a set with every place where an answer stands in its paragraph."""
    with (folder / "qrels.tsv").open(encoding="utf-8", newline="") as file:
        gold = {row["query-id"]: paragraphs[row["corpus-id"]] for row in csv.DictReader(file, delimiter="\t")}
    found = []
    for one in lines(folder / "queries.jsonl"):
        name, start, end = gold[one["_id"]]
        text = texts[name].text[start:end]
        places = [hit for answer in one["answers"] for hit in re.finditer(re.escape(answer), text)]
        spans = [(name, start + hit.start(), start + hit.end()) for hit in places]
        if spans:
            found.append(Question(one["text"], one["answers"], spans))
    return found


def retrieved(
    embedder: Remembering, chunks: Sequence[Chunk], texts: dict[str, Document], asked: Sequence[str], cache: Path | None
) -> Iterator[list[Passage]]:
    """What a book with the default recipe gives its refiners after `duplicates`, for each question."""
    vectors = embedded(embedder.embedder, [chunk.indexed for chunk in chunks], "document", cache)
    asked_vectors = embedded(embedder.embedder, asked, "query", cache)
    embedder.vectors.update(zip(((chunk.indexed, "document") for chunk in chunks), vectors, strict=True))
    embedder.vectors.update(zip(((question, "query") for question in asked), asked_vectors, strict=True))
    retrieve = registry.make("retriever", Recipe().retriever)
    duplicates = registry.make("refiners", Spec("duplicates"))
    with tempfile.TemporaryDirectory() as scratch:
        store = registry.make("store", Recipe().store, folder=Path(scratch), dim=embedder.dim)
        with closing(store):
            fill(store, chunks, vectors)
            for question, vector in zip(asked, asked_vectors, strict=True):
                passages = retrieve(question, POOL, store, lambda _, vector=vector: vector)
                sources = ((one, texts[one.chunk.document_id]) for one in passages)
                passages = [replace(one, sources=(of.source,), title=of.title) for one, of in sources]
                yield duplicates(question, passages, POOL)


def parts(found: Sequence[list[Passage]], texts: dict[str, Document], k: int) -> Iterator[str]:
    """The sentences of the first k passages."""
    for chunk in {one.chunk for passages in found for one in passages[:k]}:
        text = texts[chunk.document_id]
        yield from (text.text[start:end] for start, end in sentences(text, chunk.start, chunk.end))


def made(specs: str, embedder: Embedder, texts: dict[str, Document]) -> list[Refiner]:
    """The refiners of a recipe."""
    given = {"embedder": embedder, "document": lambda passage: texts[passage.chunk.document_id]}
    return [
        registry.make("refiners", spec, **{name: given[name] for name in registry.needs("refiners", spec.name)})
        for spec in parse_many(specs)
    ]


def refined(refiners: Sequence[Refiner], question: str, passages: list[Passage], k: int) -> list[Passage]:
    """As a book does it."""
    for refine in refiners:
        passages = refine(question, passages, k)
    return passages[:k]


def milliseconds(refiners: Sequence[Refiner], asked: Sequence[str], found: Sequence[list[Passage]], k: int) -> str:
    """Of the processor, on all cores: the median of the first questions."""
    seconds = []
    for question, passages in list(zip(asked, found, strict=True))[:TIMED] if refiners else []:
        began = time.process_time()
        refined(refiners, question, passages, k)
        seconds.append(time.process_time() - began)
    return f"{1000 * statistics.median(seconds):.0f}" if seconds else ""


def shown(name: str, options: argparse.Namespace, embedder: Remembering) -> Iterator[list[str]]:
    """A row for each choice of splitter, refiners and number of passages."""
    texts, paragraphs = articles(options.data / name)
    those = asked(options.data / name, texts, paragraphs)
    first: list[bool] = []
    for splitter, variants in SHOWN.items():
        split = registry.make("splitter", Spec.parse(splitter))
        chunks = [chunk for identity, text in texts.items() for chunk in split(text, identity)]
        words = [question.text for question in those]
        found = list(retrieved(embedder, chunks, texts, words, options.cache))
        embedder.embed(list(parts(found, texts, max(k for _, k in variants))), "document")  # in large batches
        for specs, k in variants:
            refiners = made(specs, embedder, texts)
            given = [refined(refiners, *pair, k) for pair in zip(words, found, strict=True)]
            hits = [question.shown(passages) for question, passages in zip(those, given, strict=True)]
            first = first or hits
            said = [Cited().messages(*pair)[1].content for pair in zip(words, given, strict=True)]
            yield [
                f"{name}: {len(those)} questions" if hits is first else "",
                splitter,
                specs or "none",
                str(k),
                f"{100 * statistics.fmean(hits):.1f}",
                f"{statistics.fmean(sum(len(one.chunk.text) for one in passages) for passages in given):.0f}",
                f"{statistics.fmean(len(embedder.embedder.tokens(one)) for one in said):.0f}",
                milliseconds(made(specs, embedder.embedder, texts), words, found, k),
                "" if hits is first else f"{p_value(hits, first):.4f}",
            ]


def relevant(data: Path, name: str) -> Iterator[tuple[str, frozenset[str]]]:
    """(question, ids of what answers it) of a set."""
    folder, _, variant = name.partition(".")
    if folder == "reports-pdf":
        for one in lines(data / folder / "questions_docugami.jsonl"):
            if len(one["docs"]) > 1:
                yield one["text"], frozenset(one["docs"])
        return
    for question in questions(data / folder, variant):
        yield question.text, frozenset(question.relevant)


def orders(name: str, options: argparse.Namespace, embedder: Remembering) -> Iterator[list[str]]:
    """A row for each refiner that puts passages into another order."""
    texts, paragraphs = articles(options.data / name.partition(".")[0])
    starts = {
        one: sorted((span[1], span[2], id_) for id_, span in paragraphs.items() if span[0] == one) for one in texts
    }
    those = list(relevant(options.data, name))
    words = [text for text, _ in those]
    split = registry.make("splitter", Recipe().splitter)
    chunks = [chunk for identity, text in texts.items() for chunk in split(text, identity)]
    found = list(retrieved(embedder, chunks, texts, words, options.cache))
    within = {
        one.chunk: {
            id_ for start, end, id_ in starts[one.chunk.document_id] if start < one.chunk.end and one.chunk.start < end
        }
        | {one.chunk.document_id}
        for passages in found
        for one in passages
    }
    first: list[float] = []
    for specs in ORDERS:
        refiners = made(specs, embedder, texts)
        given = [refined(refiners, *pair, BEST) for pair in zip(words, found, strict=True)]
        hits = [
            [within[one.chunk] & wanted for one in passages] for passages, (_, wanted) in zip(given, those, strict=True)
        ]
        ranks = [next((1 / rank for rank, hit in enumerate(of, 1) if hit), 0.0) for of in hits]
        first = first or ranks
        yield [
            f"{name}: {len(chunks)} chunks, {len(those)} questions" if ranks is first else "",
            specs or "none",
            *(f"{100 * recalled(hits, those, k):.1f}" for k in (5, 10)),
            f"{100 * statistics.fmean(ranks):.1f}",
            f"{statistics.fmean(len({one.chunk.document_id for one in passages[:5]}) for passages in given):.2f}",
            f"{statistics.fmean(likeness(passages[:5], embedder) for passages in given if len(passages) > 1):.2f}",
            milliseconds(made(specs, embedder.embedder, texts), words, found, 5),
            "" if ranks is first else f"{p_value(ranks, first):.4f}",
        ]


def recalled(hits: Sequence[Sequence[set[str]]], those: Sequence[tuple[str, frozenset[str]]], k: int) -> float:
    """Mean share of what answers a question among the first k passages."""
    return statistics.fmean(
        len(set().union(*of[:k])) / len(wanted) for of, (_, wanted) in zip(hits, those, strict=True)
    )


def likeness(passages: Sequence[Passage], embedder: Embedder) -> float:
    """Mean cosine of each passage to the nearest before it."""
    vectors = embedder.embed([one.chunk.indexed for one in passages], "document")
    near = np.tril(vectors @ vectors.T, -1)[1:]
    return float(near.max(axis=1).mean())


def answered(name: str, options: argparse.Namespace, embedder: Remembering) -> Iterator[list[str]]:
    """A row for each choice of refiners and number of passages, as the default model answers."""
    texts, paragraphs = articles(options.data / name)
    those = asked(options.data / name, texts, paragraphs)
    split = registry.make("splitter", Recipe().splitter)
    chunks = [chunk for identity, text in texts.items() for chunk in split(text, identity)]
    found = list(retrieved(embedder, chunks, texts, [one.text for one in those], options.cache))
    chosen = np.random.default_rng(5).permutation(len(those))[: options.ask]
    llm: LLM = registry.make("llm", Recipe().llm)
    runs: dict[tuple[str, int], list[Run]] = {variant: [] for variant in ASKED}
    with closing(llm):
        for turn, index in enumerate(chosen):
            # Each variant is first as often as any other, as the load of a machine comes and goes.
            for specs, k in ASKED[turn % len(ASKED) :] + ASKED[: turn % len(ASKED)]:
                passages = refined(made(specs, embedder, texts), those[index].text, found[index], k)
                runs[specs, k].append(Run.of(llm, those[index], passages))
    first = [run.right for run in runs[ASKED[0]]]
    for (specs, k), those_runs in runs.items():
        right = [run.right for run in those_runs]
        yield [
            f"{name}: {len(chosen)} questions" if (specs, k) == ASKED[0] else "",
            specs or "none",
            str(k),
            *(str(sum(getattr(run, part) for run in those_runs)) for part in ("shown", "right", "refused")),
            *(f"{statistics.median(getattr(run, part) for run in those_runs):.0f}" for part in ("tokens", "seconds")),
            "" if (specs, k) == ASKED[0] else f"{p_value(right, first):.4f}",
        ]


@dataclass(frozen=True, slots=True)
class Run:
    """One answer of a model."""

    shown: bool
    right: bool
    refused: bool
    tokens: int  # of the prompt
    seconds: float  # until the first word

    @classmethod
    def of(cls, llm: LLM, question: Question, passages: Sequence[Passage]) -> Run:
        """Ask."""
        began, first, words, usage = time.perf_counter(), 0.0, [], Usage()
        for part in llm.stream(Cited().messages(question.text, passages), ANSWER_TOKENS):
            if isinstance(part, Usage):
                usage = part
            elif isinstance(part, str):
                first = first or time.perf_counter() - began
                words.append(part)
        text = "".join(words)
        right = any(plain(answer) in plain(text) for answer in question.answers)
        return cls(question.shown(passages), right, is_refusal(text), usage.prompt_tokens, first)


def plain(text: str) -> str:
    """Its words."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("OPENBOOK_DATA", "../shared/data")))
    parser.add_argument("--shown", default="squad1,xquad-de,xquad-zh", help="sets of which answers are looked for")
    parser.add_argument("--orders", default="squad1,clapnq,bible-kjv.nave,reports-pdf", help="sets to be ordered anew")
    parser.add_argument("--ask", type=int, default=0, help="questions of each set of --shown for the default model")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    options = parser.parse_args()

    print(f"{machine()}\n")
    embedder = Remembering(registry.make("embedder", Recipe().embedder))
    kept = options.cache and options.cache / f"refining-{embedder.embedder.fingerprint}.npz"
    if kept:
        embedder.load(kept)
    sets = list(filter(None, options.shown.split(",")))
    if options.ask:
        print(table([ASKED_HEADING, *(row for name in sets for row in answered(name, options, embedder))]), "\n")
    else:
        print(table([SHOWN_HEADING, *(row for name in sets for row in shown(name, options, embedder))]), "\n")
    sets = list(filter(None, options.orders.split(",")))
    print(table([ORDERS_HEADING, *(row for name in sets for row in orders(name, options, embedder))]))
    if kept:
        embedder.save(kept)


if __name__ == "__main__":
    main()
