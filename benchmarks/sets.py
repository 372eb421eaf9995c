"""The evaluation sets: documents, questions, and what answers each of them.

A set is a folder in BEIR's layout, judged by document: `squad1` is corpus.jsonl, queries.jsonl and qrels.tsv,
`bible-kjv.nave` takes queries.nave.jsonl and qrels.nave.tsv. `kafka-docs.gold` and its like are the original files
through openbook's readers, judged by where the answer stands, whatever the chunks are: as `openbook compare` judges it
(openbook.bench.gold). `mtrag-un.history` has what the user said before in front of each question.
"""

from __future__ import annotations

import csv
import json
import re
import tempfile
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from answers import share

from openbook import registry
from openbook.bench.gold import Stretch, resolve
from openbook.bench.questions import Gold
from openbook.bench.questions import Question as Asked
from openbook.bench.ranking import Relevant
from openbook.demo import kjv
from openbook.recipe import Spec
from openbook.types import Chunk, Document

HALF = 0.5

LANGUAGES = {
    "bible-de-elb1905": ("de", "de"),
    "bible-kjv.de": ("en", "de"),
    "xquad-de": ("de", "de"),
    "xquad-de-questions-en-corpus": ("en", "de"),
    "xquad-en-questions-de-corpus": ("de", "en"),
    "xquad-zh": ("zh", "zh"),
}
"""Of documents and of questions, where they are not both English."""

Spans = dict[str, list[tuple[int, int]]]
"""Document's source -> the characters where an answer stands."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and what answers it."""

    text: str
    right: Callable[[Chunk], bool]  # of a chunk alone, for benchmarks that ask no more
    relevant: Relevant = field(default_factory=dict)  # documents that answer it, where these are known
    gold: tuple[Gold, ...] = ()  # where its answer stands
    id: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """Documents and what is asked about them; a chunk's document_id is its document's source."""

    documents: list[Document]
    questions: list[Question]
    by_document: bool = False  # judged: the documents that chunks are of, not the chunks

    def asked(self) -> list[Asked]:
        """The questions as `openbook compare` reads them."""
        return [Asked(one.id or str(number), one.text, gold=one.gold) for number, one in enumerate(self.questions, 1)]

    def golds(self) -> list[list[tuple[Stretch, ...]]]:
        """For each question where its golds stand.

        Raises:
            ValueError: One stands nowhere.
        """
        asked = self.asked()
        found = resolve(asked, {one.source: (one, [one.source]) for one in self.documents})
        if found.missing:
            raise ValueError(f"{len(found.missing)} golds are not in the documents, such as {found.missing[0]}")
        return [list(found.stretches[one.id].values()) for one in asked]


def chunk_id(chunk: Chunk) -> str:
    """Names a chunk of a set, to other programs too."""
    return f"{chunk.document_id}:{chunk.start}-{chunk.end}"


def load(data: Path, name: str, *, titles: bool = False) -> Case:
    """The set of that name; with `titles`, each document of a BEIR corpus begins with its title."""
    if name in GOLD:
        return GOLD[name](data)
    folder, _, variant = name.partition(".")
    return beir(data / folder, variant, titles=titles)


def languages(name: str) -> tuple[str, str]:
    """ISO 639-1 codes of a set's documents and of its questions."""
    return LANGUAGES.get(name, ("en", "en"))


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file."""
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def holds(gold: Spans, least: float) -> Callable[[Chunk], bool]:
    """Whether a chunk has at least that share of one of the stretches."""
    spans = {name: sorted(found) for name, found in gold.items()}
    longest = {name: max((end - start for start, end in found), default=0) for name, found in spans.items()}

    def right(chunk: Chunk) -> bool:
        found = spans.get(chunk.document_id, [])
        first = bisect_left(found, (chunk.start - longest.get(chunk.document_id, 0), 0))
        return any(
            min(chunk.end, end) - max(chunk.start, start) >= least * (end - start)
            for start, end in found[first : bisect_left(found, (chunk.end, 0))]
        )

    return right


def golds_of(spans: Spans) -> tuple[Gold, ...]:
    """As a file of questions says them."""
    return tuple(Gold(name, start=start, end=end) for name, found in spans.items() for start, end in found)


def mostly(chunk: Chunk, spans: Spans) -> bool:
    """Whether half of a chunk lies in one of the stretches."""
    return any(
        min(chunk.end, end) - max(chunk.start, start) >= HALF * (chunk.end - chunk.start)
        for start, end in spans.get(chunk.document_id, [])
    )


# Judged by document.


def beir(folder: Path, variant: str = "", *, titles: bool = False) -> Case:
    """Documents of a set in BEIR's layout; every chunk of a gold document is right."""
    found = []
    for one in lines(folder / "corpus.jsonl"):
        title = one.get("title", "")
        text = f"{title}\n{one['text']}" if titles and title else one["text"]
        found.append(Document(text, one["_id"], title))
    return Case(found, questions(folder, variant), by_document=True)


def questions(folder: Path, variant: str = "") -> list[Question]:
    """Those with at least one relevant document."""
    suffix = "" if variant in {"", "history"} else f".{variant}"
    relevant: dict[str, dict[str, int]] = {}
    with (folder / f"qrels{suffix}.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if int(row["score"]) > 0:
                relevant.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    return [
        Question(
            _asked(one, variant),
            partial(_of_document, frozenset(relevant[one["_id"]])),
            relevant[one["_id"]],
            tuple(map(Gold, relevant[one["_id"]])),
            str(one["_id"]),
        )
        for one in lines(folder / f"queries{suffix}.jsonl")
        if one["_id"] in relevant
    ]


def _asked(query: dict[str, Any], variant: str) -> str:
    if variant != "history":
        return str(query["text"])
    return "\n".join([*(turn["text"] for turn in query["history"] if turn["speaker"] == "user"), query["text"]])


def _of_document(ids: frozenset[str], chunk: Chunk) -> bool:
    return chunk.document_id in ids


# Judged by where the answer stands.


def bible(data: Path) -> Case:
    """The Bible of the package; a few plain questions with gold verses."""
    document, verses = whole_bible()
    asked = [
        _of_spans(one["question"], {document.source: [verses[verse.replace(" ", "")] for verse in one["verses"]]})
        for one in lines(data / "bible-kjv" / "gold.jsonl")
    ]
    return Case([document], asked)


def _of_spans(text: str, spans: Spans) -> Question:
    return Question(text, holds(spans, HALF), gold=golds_of(spans))


def nave(data: Path) -> Case:
    """The Bible again; Nave's topics with the verses he lists, in runs such as 'Genesis 1:1-6'."""
    document, verses = whole_bible()
    asked = []
    for one in questions(data / "bible-kjv", "nave"):
        spans = [span for name in one.relevant for span in run_of_verses(name, verses)]
        asked.append(_of_spans(one.text, {document.source: spans}))
    return Case([document], asked)


def whole_bible() -> tuple[Document, dict[str, tuple[int, int]]]:
    """The Bible of the package as one document, and where each verse stands."""
    with tempfile.TemporaryDirectory() as folder:
        (document,) = registry.make("reader", Spec("auto"))(kjv(Path(folder)))
    starts = [offset for offset, _ in document.marks] + [len(document.text)]
    verses = {
        label.replace(" ", ""): (starts[index], starts[index + 1]) for index, (_, label) in enumerate(document.marks)
    }
    return replace(document, source="kjv.txt"), verses


def run_of_verses(name: str, verses: dict[str, tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The verses of 'Genesis 1:1-6'."""
    chapter, _, run = name.replace(" ", "").rpartition(":")
    first, _, last = run.partition("-")
    for verse in range(int(first), int(last or first) + 1):
        if span := verses.get(f"{chapter}:{verse}"):
            yield span


def kafka(data: Path) -> Case:
    """Kafka's documentation from its HTML pages; gold quotes."""
    source = data / "kafka-docs" / "source"
    read = registry.make("reader", Spec("auto"))
    pages = [
        replace(page, source=page.source.removeprefix(f"{source}/"))
        for path in sorted(source.rglob("*.html"))
        for page in read(path)
        if isinstance(page, Document)
    ]
    asked = []
    for one in lines(data / "kafka-docs" / "gold.jsonl"):
        quotes = [" ".join(gold["quote"].split()) for gold in one["gold"]]
        golds = [Gold(file, gold["quote"]) for gold in one["gold"] for file in gold["files"]]
        asked.append(Question(one["question"], partial(_quotes, quotes), gold=tuple(golds), id=one["query_id"]))
    return Case(pages, asked)


def _quotes(quotes: list[str], chunk: Chunk) -> bool:
    text = " ".join(chunk.text.split())
    return any(share(quote, text) >= HALF for quote in quotes)


def reports(data: Path) -> Case:
    """Companies' reports from PDFs; gold pages."""
    read = registry.make("reader", Spec("auto"))
    found = {
        path.stem: replace(document, source=path.stem)
        for path in sorted((data / "reports-pdf" / "pdfs").glob("*.pdf"))
        for document in read(path)
        if isinstance(document, Document)
    }
    asked = []
    for one in lines(data / "reports-pdf" / "gold.jsonl"):
        spans: Spans = defaultdict(list)
        for gold in one["gold"]:
            spans[gold["doc"]].append(_page(found[gold["doc"]], gold["page"]))
        asked.append(Question(one["question"], partial(mostly, spans=spans), gold=golds_of(spans)))
    return Case(list(found.values()), asked)


def named_reports(data: Path) -> Case:
    """As `reports`, each document with its file's name as title."""
    case = reports(data)
    named = [replace(document, title=document.source.replace("_", " ")) for document in case.documents]
    return replace(case, documents=named)


def _page(document: Document, number: int) -> tuple[int, int]:
    starts = [*document.marks, (len(document.text), "")]
    return next(
        ((start, starts[i + 1][0]) for i, (start, label) in enumerate(starts[:-1]) if label == f"page {number}"), (0, 0)
    )


def squad(folder: Path) -> Case:
    """Wikipedia articles: paragraphs joined that are of one; gold are the answers inside the gold paragraph.

    A paragraph's article is its title, or the number before the '-' of its id.
    """
    texts: dict[str, str] = {}
    where: dict[str, tuple[str, int, int]] = {}
    for one in lines(folder / "corpus.jsonl"):
        article = one["title"] or one["_id"].partition("-")[0]
        text = texts.get(article, "")
        start = len(text) + 2 if text else 0
        texts[article] = f"{text}\n\n{one['text']}" if text else one["text"]
        where[one["_id"]] = (article, start, start + len(one["text"]))
    answers = {one["text"]: one["answers"] for one in lines(folder / "queries.jsonl")}
    asked = []
    for question in questions(folder):
        spans: Spans = defaultdict(list)
        for article, start, end in (where[name] for name in question.relevant):
            for answer in answers[question.text]:
                found = re.finditer(re.escape(answer), texts[article][start:end])
                spans[article] += [(start + match.start(), start + match.end()) for match in found]
        if spans:
            relevant: Relevant = dict.fromkeys(spans, 1)
            asked.append(Question(question.text, holds(spans, 1.0), relevant, golds_of(spans), question.id))
    titles = {article: "" if article.isdigit() else article.replace("_", " ") for article in texts}
    return Case([Document(text, article, titles[article]) for article, text in texts.items()], asked)


def til(data: Path) -> Case:
    """Short notes, read as Markdown."""
    case, read = beir(data / "til-posts"), registry.make("reader", Spec("markdown"))
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for document in case.documents:
            path = Path(folder) / f"{document.source}.md"
            path.write_text(document.text, encoding="utf-8")
            found += [replace(one, source=document.source) for one in read(path)]
    return replace(case, documents=found)


GOLD: dict[str, Callable[[Path], Case]] = {
    "bible-kjv.gold": bible,
    "bible-kjv.nave.gold": nave,
    "kafka-docs.gold": kafka,
    "reports-pdf.gold": reports,
    "squad1.gold": lambda data: squad(data / "squad1"),
}
