"""Why a row lost a question, step by step, with evidence: what `openbook why` runs.

kept results --why.Case--> which step, roughly --the row's index, searched again--> which step, the ranks, what helps
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from openbook import judging
from openbook.bench.diagnosis import why
from openbook.bench.diagnosis.advice import Advice, Try
from openbook.bench.diagnosis.seeking import DEEP, FARTHEST, Sought
from openbook.bench.diagnosis.targets import Target, Text, places
from openbook.bench.diagnosis.unread import Unfound, unfound
from openbook.bench.diagnosis.why import STEPS, Case, lost
from openbook.bench.gold import Stretch
from openbook.bench.questions import Question
from openbook.bench.results import TrialRow, index_folder
from openbook.bench.scoring import Scorer, chunks_of, places_of
from openbook.book import Book
from openbook.recipe import Recipe
from openbook.text import beginning
from openbook.types import Chunk, Document, Progress, Report

SHORT = 100  # characters of what is quoted
AROUND = 40  # characters on each side of a cut
LIKELY = 200  # chunks with the words of an answer: where it is looked for when a question has no gold
FEW = 10  # places of an answer: with more of them nothing says which is meant


@dataclass(frozen=True, slots=True)
class Why:
    """What became of one question in one row."""

    question: Question
    lost: str  # a step of STEPS; '' when nothing lost it, or nothing can be said
    because: str  # one line, with the evidence
    steps: tuple[tuple[str, str], ...] = ()  # what each step made of it, in their order
    tries: tuple[Try, ...] = ()
    right_in: tuple[int, ...] = ()  # rows that have it right, those most like this one first


@dataclass(frozen=True, slots=True)
class Lost:
    """What became of all questions in one row."""

    asked: int  # that can be judged
    by_step: Mapping[str, tuple[str, ...]]  # step -> ids of the questions it lost, the commonest first
    tries: tuple[tuple[str, int], ...]  # a setting, and how many of them it was found to help; the best first
    unknown: int  # questions that were not asked yet, or cannot be judged


class Tracer:
    """One row of a comparison with its index opened, if that is still there. Use it with `with`."""

    def __init__(self, scorer: Scorer, trial: TrialRow) -> None:
        self.scorer, self.trial = scorer, trial
        folder = index_folder(trial.index_key)
        there = (folder / "book.toml").exists()
        self.book = Book.open(folder, Recipe.from_dict(trial.recipe)) if there else None
        self._documents: dict[str, Document | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.book is not None:
            self.book.close()

    def all(self, report: Report | None = None) -> Lost:
        """Every question of the run that this row got wrong, by the step that lost it."""
        by_step: defaultdict[str, list[str]] = defaultdict(list)
        tries: Counter[str] = Counter()
        asked, questions = 0, self.scorer.questions
        for number, question in enumerate(questions):
            if report:
                report(Progress("search", number, len(questions), "questions"))
            right = Case(self.scorer, self.trial, question).right
            asked += right is not None
            if right is False:
                found = self.why(question, brief=True)
                by_step[found.lost].append(question.id)
                helping = [name for one in found.tries if one.sure for name in (one.setting, *one.also)]
                tries.update(dict.fromkeys(helping).keys())  # each once, and in their order: so are equal counts
        ordered = sorted(by_step.items(), key=lambda one: (-len(one[1]), STEPS.index(one[0])))
        return Lost(
            asked,
            {step: tuple(ids) for step, ids in ordered},
            tuple(tries.most_common()),
            len(questions) - asked,
        )

    def why(self, question: Question, *, brief: bool = False) -> Why:
        """One question: no model is asked, but its embedder embeds the question again.

        `brief` leaves out the evidence, for which it is searched for most often: no steps, no ranks of each side.
        """
        case = Case(self.scorer, self.trial, question, self._text_of if self.book else None)
        if case.right is None:
            return Why(question, "", self._unjudged(case))
        right_in = self._right_in(case)
        if self.book is None:
            gone = "The row's index is gone, so nothing can be searched again: run the comparison again, then this."
            return Why(question, lost(self.scorer, self.trial, question), gone, right_in=right_in)
        return _Trace(self, self.book, case, right_in, brief).told()

    def _unjudged(self, case: Case) -> str:
        asked = case.answer if self.trial.answer_key else case.found
        if not asked:
            return "This row was not asked yet. Run the comparison to its end."
        return "Nothing says what is right: the question has neither answers nor gold that this row is judged by."

    def _right_in(self, case: Case) -> tuple[int, ...]:
        rows = [
            one
            for one in self.scorer.run.trials
            if one.number != self.trial.number and Case(self.scorer, one, case.question).right
        ]
        own = self.trial.recipe
        return tuple(
            one.number for one in sorted(rows, key=lambda one: sum(one.recipe[step] != own[step] for step in own))
        )

    def document(self, document_id: str) -> Document | None:
        """A document of the row's index."""
        assert self.book is not None
        if document_id not in self._documents:
            self._documents[document_id] = self.book.documents.get(document_id)
        return self._documents[document_id]

    def _text_of(self, number: int, stretch: Stretch) -> Text:
        document = self.document(stretch.document_id)
        return (document.text if document else ""), 0


@dataclass
class _Trace:
    """Of one question whose answer was judged; `told` goes through the steps."""

    tracer: Tracer
    book: Book
    case: Case
    right_in: tuple[int, ...]
    brief: bool

    def __post_init__(self) -> None:
        case = self.case
        self.question = case.question
        self.steps: list[tuple[str, str]] = []
        self.tries: list[Try] = []
        self.wanted: Sequence[Target] = case.targets or self._by_answers()
        # A row whose answers are judged searches for what its prompt takes, one that only searches for more.
        take = case.take if case.answer else max(case.take, int(case.scorer.run.settings["k"]))
        self.sought = Sought(self.book, case.answer.get("searched") or self.question.text, self.wanted, take)
        self.advice = Advice(case, self.book, self.sought, self.right_in)

    def told(self) -> Why:
        lost, because = self._decided()
        return Why(self.question, lost, because, tuple(self.steps), tuple(dict.fromkeys(self.tries)), self.right_in)

    def _say(self, step: str, what: str) -> None:
        self.steps.append((step, what))

    def _decided(self) -> tuple[str, str]:
        case = self.case
        if "error" in case.answer:
            return "failed", f"The call failed: {case.answer['error']}"
        if not self.question.answerable:
            return self._without_answer()
        if missing := self._unread():
            return missing
        if not self.wanted:
            return self._without_place()
        if not self.brief:
            self._look()
        if case.right:
            shown = self._shown()
            luck = "" if shown or not case.answer else " What answers it was not in the prompt: the model guessed well."
            return "", f"Nothing is lost: the row has it right.{luck}"
        if not self._shown():
            other = self.sought.elsewhere(self._passages(), self.question.answers) if case.answer else 0
            return self._said_wrong(other) if other else self._not_shown()
        if self.sought.enough(self._passages()):
            return self._said_wrong()
        if left_out := "; ".join(case.answer["left_out"]):
            self.tries += self.advice.room()
            return "budget", f"Only a part of it was shown, as [{self._shown()}]: {left_out}."
        return self._split()

    # Whether it was there to be found.

    def _unread(self) -> tuple[str, str] | None:
        """Reading or cleaning, where the row's documents do not hold the answer; None where they do."""
        gold, case = self.question.gold, self.case
        answers = self.question.answers if case.trial.answer_key else ()
        wholes = bool(case.targets) and all(one.answer is None and one.stretch.whole for one in case.targets)
        if not gold or (case.targets and not (wholes and answers)):
            return None
        found: Unfound = unfound(self.book, gold, answers, others=self._readings())
        if case.targets and found.step == "question":
            return None  # the answer is said in other words than those of the document
        self._say("documents", found.said)
        self.tries += [Try(setting, known) for setting, known in found.tries]
        return found.step, found.because

    def _readings(self) -> list[Mapping[str, str]]:
        """The recipes of rows whose documents hold a gold of it."""
        case = self.case
        return [one.recipe for one in case.scorer.run.trials if any(Case(case.scorer, one, self.question).golds)]

    def _by_answers(self) -> list[Target]:
        """Where the answers stand, of a question without gold; [] where that says nothing: in too many places."""
        answers = self.question.answers
        if self.question.gold or not answers or why.POLAR & {judging.plain(one) for one in answers}:
            return []
        found: dict[tuple[str, int], Target] = {}
        for answer in answers:
            for passage in self.book.store.match(answer, LIKELY):
                chunk = passage.chunk
                for start, end in places(chunk.text, [answer]):
                    begin = chunk.start + start
                    stretch = Stretch(chunk.document_id, chunk.start, chunk.end)
                    span = (begin, chunk.start + end)
                    found[chunk.document_id, begin] = Target(stretch, -1, *span, span)
        return list(found.values()) if len(found) <= FEW else []

    def _without_place(self) -> tuple[str, str]:
        """Of a question without gold, whose answers stand nowhere or everywhere."""
        if self.case.shown:
            return self._said_wrong()
        somewhere = any(
            judging.contains(passage.chunk.text, self.question.answers)
            for answer in self.question.answers
            for passage in self.book.store.match(answer, LIKELY)
        )
        if somewhere:
            return "search", "What was shown does not hold the answer; without gold nothing says where it was."
        return "question", "It has no gold, and none of its answers stands in the documents word for word."

    def _without_answer(self) -> tuple[str, str]:
        self._say("model", f"said {self._quoted()}{self._ended()}")
        if self.case.right:
            return "", "Nothing is lost: the documents do not say, and the row says so."
        if format_ := why.misspoken(self.case):
            self.tries += self.advice.format()
            return "format", f"The documents do not say, and it answered; {format_}."
        self.tries += self.advice.models()
        return "unanswerable", f"It answered although the documents do not say: {self._quoted()}"

    # What each step made of it.

    def _look(self) -> None:
        sought = self.sought
        best = next((one for one in sought.found if why.rank_of(self.wanted, [[one]])), None)
        target = next((one for one in self.wanted if best and one.is_in(best)), self.wanted[0])
        others = len(self.wanted) - 1
        more = f", and in {others} other place{'s' if others > 1 else ''}" if others else ""
        guessed = "" if self.question.gold else " (no gold: it is looked for by the answer's words)"
        self._say("documents", f"{self._source(target)} holds it: {self._text(target)!r}{more}{guessed}")
        whole = sought.whole()
        if whole is not None:
            self._say("splitting", f"whole in one chunk, characters {whole.start}-{whole.end}")
        elif self._cut():
            self._say("splitting", f"in no chunk whole: {self._cut_text(self._cut_target())}")
        if searched := self.case.answer.get("searched"):
            self._say("rewriting", f"searched for {searched!r}")
        (retriever, rank), *refined = sought.ranks
        if self._cut() and not rank:
            parts = ", ".join(_number(one, DEEP) for one in sought.part_ranks(self._cut_target()))
            self._say("search", f"{retriever}: its parts are {parts}")
        else:
            self._say("search", f"{retriever}: {_number(rank, DEEP)} ({self._sides()})")
        before = rank
        for name, after in refined:
            self._say("refiners", f"{name}: {_number(before, DEEP)} -> {_number(after, 0)}")
            before = after
        if sought.unknown:
            self._say("refiners", f"{sought.unknown}: asks a model, so it was not run again")
        if self.case.answer:
            shown = self._shown()
            out = "".join(f"; {line}" for line in self.case.answer["left_out"])
            where = f"shown as [{shown}]" if shown else "not shown"
            self._say("prompt", f"{where}, of {len(self.case.answer['passages'])}{out}")
            self._say("model", f"said {self._quoted()}{self._ended()}")

    def _sides(self) -> str:
        said = [
            f"{_number(rank, FARTHEST)} by {'words' if side == 'words' else 'meaning'}"
            for side, rank in self.sought.sides.items()
        ]
        words = ", ".join(self.sought.shared) or "none"
        return f"{', '.join(said)}; of its words there: {words}"

    def _shown(self) -> int:
        return why.rank_of(self.wanted, places_of(self.case.answer.get("passages", [])))

    def _passages(self) -> list[Chunk]:
        """What the prompt shows, with its text."""
        found = []
        for one in chunks_of(self.case.answer.get("passages", [])):
            document = self.tracer.document(one.document_id)
            found.append(replace(one, text=document.text[one.start : one.end] if document else ""))
        return found

    # The model.

    def _said_wrong(self, other: int = 0) -> tuple[str, str]:
        case, shown = self.case, self._shown() or other
        where = f"The answer was in the prompt as [{shown}]" if shown else "An answer's words were in the prompt"
        where += ", which says it too though it is not the gold" if other else ""
        if format_ := why.misspoken(case):
            self.tries += self.advice.format()
            return "format", f"{where}, but {format_}."
        if doubt := why.doubted(case):
            return "question", f"{where}; {doubt}: the model said {self._quoted()}. Look at the gold and the answers."
        self.tries += self.advice.models()
        if case.answer.get("stopped") == "length":
            most = int(case.scorer.run.settings["max_tokens"])
            self.tries.append(self.advice.tokens(most))
            return "model", f"{where}, and it was still writing after {most} tokens: {self._quoted()}"
        if judging.contains(case.text, self.question.answers):
            return "model", f"{where}; the answer is right, but says also that there is none: {self._quoted()}"
        cited = [f"[{one}]" for one in case.answer.get("cited", []) if one != shown]
        otherwise = "answered otherwise" + (f", citing {', '.join(cited)}" if cited else "")
        what = "refused" if judging.refuses(case.text) else otherwise
        return "model", f"{where}, and the model {what}: {self._quoted()}"

    # Before the model.

    def _not_shown(self) -> tuple[str, str]:
        case, sought, take = self.case, self.sought, self.case.take
        left_out = "; ".join(case.answer.get("left_out", []))
        names = [name for name, _ in sought.ranks]
        ranks = [rank for _, rank in sought.ranks]
        if " cut after" in left_out and ranks[-1] == 1:
            self.tries += self.advice.room()
            return "budget", f"It is number 1 of the search, but only a part of it fitted: {left_out}."
        for before, after, name in zip(ranks, ranks[1:], names[1:], strict=False):
            if 0 < before <= take < (after or DEEP):
                self.tries.append(self.advice.without(name))
                put = f"put it from {before} to {after}" if after else f"took it out, which was number {before}"
                return "refiners", f"{name} {put}; the prompt takes {take}."
        if 0 < ranks[-1] <= take and sought.unknown:
            self.tries.append(self.advice.without(sought.unknown))
            return "refiners", f"It was number {ranks[-1]} before {sought.unknown}, and the prompt takes {take}."
        if 0 < ranks[-1] <= take and case.answer:
            if left_out:
                self.tries += self.advice.room()
                return "budget", f"It is number {ranks[-1]} of the search, but {left_out}."
            return "search", f"It is number {ranks[-1]} now, but was not shown: the index was made anew meanwhile."
        if case.answer.get("searched") and 0 < case.rank <= take:
            self.tries.append(self.advice.rewriter())
            searched = case.answer["searched"]
            return "rewriting", f"The question as typed finds it as number {case.rank}, but {searched!r} does not."
        if self._cut():
            return self._split()
        return self._badly_ranked(ranks[-1])

    def _badly_ranked(self, rank: int) -> tuple[str, str]:
        sought, take = self.sought, self.case.take
        self.tries += self.advice.rank(rank)
        if not sought.shares and "words" in sought.used:
            why_not = "stands in what answers it" if sought.words else "is there to search for"
            return "search", f"No word of the question but stop words {why_not}. {self._both()}"
        if 0 < rank <= sought.pool:
            return "rank", f"It is at {rank}, and the prompt takes {take}. {self._both()}"
        if not self.tries:
            self.tries.append(self.advice.embedder())
        return "search", f"It is {_number(rank, DEEP)} of {sought.ranks[0][0]}. {self._both()}"

    def _both(self) -> str:
        sides = {} if self.brief else self.sought.sides
        said = [f"{_number(sides[side], FARTHEST)} by {side}" for side in self.sought.used if side in sides]
        return f"It is {' and '.join(said)} alone." if said else ""

    # Splitting.

    def _cut(self) -> bool:
        """Whether no chunk holds a target whole, though one could."""
        longest = max((chunk.end - chunk.start for chunk in self.sought.chunks), default=0)
        could = [one for one in self.wanted if one.answer is not None or one.end - one.start <= longest]
        return bool(could) and self.sought.whole() is None

    def _cut_target(self) -> Target:
        return next((one for one in self.wanted if one.answer is not None), self.wanted[0])

    def _split(self) -> tuple[str, str]:
        target = self._cut_target()
        ranks = self.sought.part_ranks(target)
        self.tries += self.advice.splitters()
        stand = ", ".join(_number(rank, DEEP) for rank in ranks)
        return "splitting", f"The answer lies {self._cut_text(target)}; the parts are {stand} of the search."

    def _cut_text(self, target: Target) -> str:
        parts = self.sought.parts(target)
        numbers = [self._number_of(one) for one in parts]
        document = self.tracer.document(target.stretch.document_id)
        text = document.text if document else ""
        cuts = [
            f"{' '.join(text[max(target.start, one.end - AROUND) : one.end].split())} | "
            f"{' '.join(text[after.start : min(target.end, after.start + AROUND)].split())}"
            for one, after in zip(parts, parts[1:], strict=False)
        ]
        return f"across chunks {', '.join(map(str, numbers))} ({'; '.join(cuts)})"

    def _number_of(self, chunk: Chunk) -> int:
        own = [one for one in self.sought.chunks if one.document_id == chunk.document_id]
        return own.index(chunk) + 1

    # Words.

    def _quoted(self) -> str:
        return repr(beginning(self.case.text, SHORT))

    def _ended(self) -> str:
        cited = "".join(f"[{one}]" for one in self.case.answer.get("cited", []))
        ended = "" if self.case.answer.get("stopped") == "end" else ", and did not end by itself"
        return f"{f', citing {cited}' if cited else ''}{ended}"

    def _source(self, target: Target) -> str:
        document = self.tracer.document(target.stretch.document_id)
        return Path(document.source).name if document else target.stretch.document_id

    def _text(self, target: Target) -> str:
        document = self.tracer.document(target.stretch.document_id)
        return beginning(document.text[target.start : target.end], SHORT) if document else ""


def _number(rank: int, farthest: int) -> str:
    """'number 3', or how far it is not."""
    if rank:
        return f"number {rank}"
    return f"not among the first {farthest:,}" if farthest else "not there"
