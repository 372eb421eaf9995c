"""Questions made from a book's own documents by a model, each proven by the model as a reader, never by a search.

span --write--> question, answer --words--> --read the span--> --from memory--> gold: the sentence that says it
span --miss---> question ---------words--> --read the span--> --read what a search finds--> no answer anywhere

Every span that was tried is a line of a journal beside the file of questions: what was stopped goes on behind it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePath
from random import Random
from statistics import fmean
from threading import Lock
from typing import Any

from openbook.bench.generation.drafting import (
    AS_IT_LIKES,
    ASK,
    ASK_TOKENS,
    ASPECTS,
    MISS,
    READ,
    READ_TOKENS,
    RECALL_TOKENS,
    SENTENCE,
    about,
    asked,
    from_memory,
    written,
)
from openbook.bench.generation.golding import golds_of
from openbook.bench.generation.journal import Journal, Tried
from openbook.bench.generation.picking import Pick, pick
from openbook.bench.generation.proving import (
    ANSWERED,
    COMMON,
    DOUBLED,
    ECHO,
    MEMORY,
    READER,
    doubled,
    echoes,
    fault,
    overlap,
    right,
)
from openbook.bench.generation.spans import Span, spans
from openbook.bench.questions import Question
from openbook.book import Book
from openbook.completing import complete, in_order
from openbook.errors import BookError, ModelError
from openbook.home import absolute, comparisons_folder
from openbook.judging import refuses
from openbook.lock import locked
from openbook.recipe import digest
from openbook.remembering import fingerprint
from openbook.text import beginning
from openbook.types import LLM, Passage, Progress, Report

UNANSWERABLE = 0.2  # of the questions
FOUND = 3  # passages of a search that must not answer a question without answer
FOUND_CHARACTERS = 600  # of each that are read
HOPELESS = 60  # spans one after the other of which nothing was kept: the model cannot do it


@dataclass(frozen=True, slots=True)
class Made:
    """What came of making questions; all counts are of the file's whole making, earlier runs included."""

    path: Path
    journal: Path
    questions: tuple[Question, ...]  # in the file now
    tried: int  # spans
    rejected: dict[str, int]  # reason -> spans, the commonest first
    short: str = ""  # why they are fewer than wanted

    @property
    def unanswerable(self) -> int:
        """How many have no answer."""
        return sum(not one.answerable for one in self.questions)

    @property
    def overlap(self) -> float:
        """The mean share of a question's words that stand in its gold: 0 to 1."""
        shares = [float(one.made["overlap"]) for one in self.questions if "overlap" in one.made]
        return fmean(shares) if shares else 0.0

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "file": str(self.path),
            "journal": str(self.journal),
            "questions": len(self.questions),
            "unanswerable": self.unanswerable,
            "tried": self.tried,
            "rejected": self.rejected,
            "overlap": round(self.overlap, 3),
            "short": self.short,
        }


@dataclass
class Maker:
    """Makes questions of one book into one file.

    Raises:
        BookError: The book is empty, or the file was not made by the same model and seed.
        ModelError: The model has no words of its own, or is missing.
    """

    book: Book
    path: Path
    wanted: int
    share: float = UNANSWERABLE
    seed: int = 1
    report: Report | None = None
    _looking: Lock = field(default_factory=Lock, init=False)  # one thread at a time looks into the book

    def __post_init__(self) -> None:
        self.path = absolute(self.path)
        self._llm: LLM = self.book.llm
        if self._llm.name == "quote":
            raise ModelError("quote has no words of its own to ask with. Name a model, such as: --llm llamacpp")
        self._made_by = {"by": self._llm.name, "model": digest(fingerprint(self.book.recipe.llm)), "seed": self.seed}
        if not len(self.book.documents):
            raise BookError("This book is empty: there is nothing to ask about. Add documents: openbook add FILE...")

    def run(self) -> Made:
        """Make what is missing; stopped at any moment, the same call goes on where it was.

        Raises:
            BookError: The file was made otherwise, or cannot be written.
            ModelError: The model failed; what was made before is kept.
        """
        guard = comparisons_folder() / "guards" / digest(str(self.path))
        guard.mkdir(parents=True, exist_ok=True)
        with locked(guard, self.report), Journal(self.path, self._made_by) as journal:
            short = self._fill(journal)
            reasons = Counter(one.reason for one in journal.tried if one.reason)
            return Made(
                self.path,
                journal.path,
                tuple(journal.questions.values()),
                len(journal.tried),
                dict(reasons.most_common()),
                short,
            )

    def _fill(self, journal: Journal) -> str:
        """Try spans until there are enough questions; why there are not, or ''."""
        left = self._left({one.id for one in journal.tried})
        began, before, vain = time.monotonic(), len(journal.questions), 0
        self._tell(before, before, 0.0)
        while len(journal.questions) < self.wanted:
            kinds = self._kinds(journal)
            tasks = list(zip(islice(left, len(kinds)), kinds, strict=False))
            if not tasks:
                return f"all {len(journal.tried):,} stretches that can be asked about were tried"
            with closing(in_order(lambda task, _: self._try(*task, journal), tasks, len(kinds))) as results:
                for tried, question in results:
                    if question is not None and len(journal.questions) >= self.wanted:
                        break
                    if question is not None and doubled(question.text, journal.asked):
                        tried, question = tried.rejected(DOUBLED), None
                    journal.add(tried, question)
                    vain = 0 if question else vain + 1
                    self._tell(len(journal.questions), before, time.monotonic() - began)
            if vain >= HOPELESS:
                return f"of {vain} stretches one after the other nothing was kept; a larger model may do better"
        return ""

    def _left(self, known: set[str]) -> Iterator[_Work]:
        """What was not tried yet, each span's words once: many documents may have the same."""
        for span in spans(self.book.documents, self.seed):
            document = self.book.documents.get(span.document_id)
            if document is not None and (name := _id(span)) not in known and (picked := pick(document, span)):
                known.add(name)
                sources = self.book.documents.origins([span.document_id])[span.document_id].sources
                heading = span.about if document.title else f"{PurePath(min(sources)).stem} > {span.about}".rstrip(" >")
                yield _Work(self._llm, span, picked, heading, document.language)

    def _kinds(self, journal: Journal) -> list[bool]:
        """Whether each of the next spans, one for each slot of the model, is for a question with an answer."""
        goal = round(self.share * self.wanted)
        silent = sum(not one.answerable for one in journal.questions.values())
        tries, silents = len(journal.tried), sum(not one.answerable for one in journal.tried)
        kinds: list[bool] = []
        for _ in range(self._llm.parallel):
            if silent >= goal:
                answerable = True
            elif len(journal.questions) - silent >= self.wanted - goal:
                answerable = False
            else:
                answerable = silents >= self.share * (tries + 1)
            kinds.append(answerable)
            tries, silents = tries + 1, silents + (not answerable)
        return kinds

    def _tell(self, done: int, before: int, seconds: float) -> None:
        if self.report:
            each = seconds / (done - before) if done > before else None
            left = each * (self.wanted - done) if each is not None else None
            self.report(Progress("making", done, self.wanted, "questions", left))

    def _try(self, work: _Work, answerable: bool, journal: Journal) -> tuple[Tried, Question | None]:
        tried = Tried(_id(work.span), answerable, work.heading)
        return self._answerable(work, tried, journal) if answerable else self._silent(work, tried, journal)

    def _answerable(self, work: _Work, tried: Tried, journal: Journal) -> tuple[Tried, Question | None]:
        picked = work.pick
        start, end = picked.start - work.span.start, picked.end - work.span.start
        sentence = beginning(work.span.text[start:end], SENTENCE)
        begin = "|".join(picked.begins) or AS_IT_LIKES
        question = work.write(ASK.format(sentence=sentence, answer=picked.answer, begin=begin), picked.begins)
        tried = tried.wrote(question, picked.answer)
        if reason := fault(question, work.heading, work.language, picked.answer):
            return tried.rejected(reason), None
        if echoes(question, f"{work.heading} {work.span.text}"):
            return tried.rejected(ECHO), None
        if doubled(question, journal.asked):
            return tried.rejected(DOUBLED), None
        read = work.read(question)
        if not right(read, picked.answer):
            return tried.rejected(READER, reader=read), None
        guess = work.recall(question)
        if right(guess, picked.answer):
            return tried.rejected(MEMORY, reader=read, memory=guess), None
        with self._looking:
            golds = golds_of(work.span, picked, self.book.documents, self.book.store)
        if not golds:
            return tried.rejected(COMMON, reader=read, memory=guess), None
        said = {
            "by": self._llm.name,
            "heading": work.heading,
            "reader": read,
            "memory": guess,
            "overlap": round(overlap(question, golds[0].quote), 2),
        }
        tried = tried.kept(reader=read, memory=guess)
        return tried, Question(tried.id, question, (picked.answer,), golds, made=said)

    def _silent(self, work: _Work, tried: Tried, journal: Journal) -> tuple[Tried, Question | None]:
        """A question that neither the span answers nor what a search finds, as far as the reader tells."""
        aspect = Random(work.span.text).choice(ASPECTS)
        question = work.write(MISS.format(aspect=aspect))
        tried = tried.wrote(question)
        if reason := fault(question, work.heading, work.language):
            return tried.rejected(reason), None
        if echoes(question, f"{work.heading} {work.span.text}"):
            return tried.rejected(ECHO), None
        if doubled(question, journal.asked):
            return tried.rejected(DOUBLED), None
        if not refuses(read := work.read(question)):
            return tried.rejected(ANSWERED, reader=read), None
        with self._looking:
            passages = [one for one in self.book.search(question, FOUND + 1) if not _within(one, work.span)][:FOUND]
        text = "\n\n".join(one.chunk.indexed[:FOUND_CHARACTERS] for one in passages)
        if text and not refuses(read := work.read(question, heading="", text=text)):
            return tried.rejected(ANSWERED, reader=read), None
        said = {"by": self._llm.name, "heading": work.heading, "reader": read, "searched": len(passages)}
        return tried.kept(reader=read), Question(tried.id, question, answerable=False, made=said)


@dataclass(frozen=True, slots=True)
class _Work:
    """A span with a model to ask about it."""

    llm: LLM
    span: Span
    pick: Pick
    heading: str
    language: str

    def write(self, task: str, begins: Sequence[str] = ()) -> str:
        """The question that the model writes."""
        return written(complete(self.llm, about(self.heading, self.span.text, task), ASK_TOKENS, asked(begins))[0])

    def read(self, question: str, *, heading: str | None = None, text: str = "") -> str:
        """What the reader answers from the span, or from another text."""
        task = READ.format(question=question)
        shown = about(self.heading if heading is None else heading, text or self.span.text, task)
        return complete(self.llm, shown, READ_TOKENS)[0]

    def recall(self, question: str) -> str:
        return complete(self.llm, from_memory(question), RECALL_TOKENS)[0]


def _within(passage: Passage, span: Span) -> bool:
    chunk = passage.chunk
    return chunk.document_id == span.document_id and span.start <= chunk.start and chunk.end <= span.end


def _id(span: Span) -> str:
    """Of what it says, not of where: the same stretch of another book is the same question."""
    return digest(" ".join(span.text.split()))[:8]
