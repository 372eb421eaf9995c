"""Is a set of questions fit to compare with? What is wrong with it, question by question, without a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from openbook.bench.gold import Stretch, documents_of, resolve, score
from openbook.bench.questions import Question, alike
from openbook.bench.statistics import SURE
from openbook.book import Book
from openbook.judging import plain
from openbook.text import count

FEW = 100  # questions: with fewer, ten points are not found
DIFFER = 0.2  # of the questions are judged otherwise by another recipe
CEILING = 0.97  # of the questions answered by words alone: no recipe can be better
K = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a question, or about the set as a whole."""

    question: str  # its id; '' for the set
    said: str


def check_questions(questions: Sequence[Question], book: Book | None = None) -> list[Finding]:
    """What is wrong: of each question, then of the set. With a book also whether it holds the golds, and how easily.

    Raises:
        BookError: The book cannot be searched.
    """
    found = [*_of_each(questions), *_doubled(questions)]
    if book is not None:
        found += _in_book(questions, book)
    answerable = [one for one in questions if one.answerable]
    if not any(one.gold for one in answerable):
        found.append(Finding("", "No question has gold: only answers can be judged, not what a search finds."))
    if not any(one.answers for one in answerable):
        found.append(Finding("", "No question has answers: only the search can be judged."))
    if len(answerable) == len(questions):
        found.append(Finding("", "Every question has an answer: an invented one is never caught. Add some without."))
    return [*found, *_few(questions)]


def _of_each(questions: Sequence[Question]) -> Iterator[Finding]:
    for one in questions:
        if one.answerable and not (one.answers or one.gold):
            yield Finding(one.id, "has neither answers nor gold, so nothing of it can be judged")
        said = f" {plain(one.text)} "
        for answer in one.answers:
            if plain(answer) and f" {plain(answer)} " in said:
                yield Finding(one.id, f"says its answer itself: {answer!r}")
        if len(one.text.split()) < 3:
            yield Finding(one.id, f"is very short: {one.text!r}")


def _doubled(questions: Sequence[Question]) -> Iterator[Finding]:
    seen: list[tuple[str, set[str]]] = []
    for one in questions:
        words = set(plain(one.text).split())
        for other, others in seen:
            if alike(words, others):
                yield Finding(one.id, f"asks what {other} asks")
                break
        seen.append((one.id, words))


def _in_book(questions: Sequence[Question], book: Book) -> Iterator[Finding]:
    documents = documents_of(book.documents)
    resolved = resolve(questions, documents)
    for line in resolved.missing:
        question, _, said = line.partition(": ")
        yield Finding(question, f"gold {said}")
    texts = [f" {plain(document.text)} " for document, _ in documents.values()]
    for one in questions:
        if not one.answerable or not one.answers:
            continue
        if not any(f" {plain(answer)} " in text for answer in one.answers for text in texts if plain(answer)):
            yield Finding(one.id, f"none of its answers stands in the documents word for word: {one.answers[0]!r}")
    yield from _ceiling(questions, resolved.stretches, book)


def _few(questions: Sequence[Question]) -> Iterator[Finding]:
    """Which differences are lost in luck, by the questions that a measure of a search and one of answers judge."""
    judged = {
        "a search": sum(bool(one.gold) for one in questions if one.answerable),
        "answers": sum(bool(one.answers) or not one.answerable for one in questions),
    }
    few = {what: number for what, number in judged.items() if 0 < number < FEW}
    if few:
        numbers = ", ".join(f"{count(number, 'question')} for {what}" for what, number in few.items())
        points = " and ".join(f"{100 * SURE * (DIFFER / number) ** 0.5:.0f}" for number in few.values())
        yield Finding("", f"{numbers}: differences below about {points} points are not found.")


def _ceiling(
    questions: Sequence[Question], stretches: Mapping[str, Mapping[int, tuple[Stretch, ...]]], book: Book
) -> Iterator[Finding]:
    scores = []
    for one in questions:
        golds = list(stretches[one.id].values())
        if golds:
            found = [passage.chunk for passage in book.store.match(one.text, K)]
            scores.append(float(score(f"recall@{K}", found, golds) > 0))
    if scores and sum(scores) / len(scores) >= CEILING:
        share = sum(scores) / len(scores)
        yield Finding("", f"{share:.0%} are found by their words alone: too easy to tell searches apart.")
