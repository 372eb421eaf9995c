"""Every question of the page: what each row found, showed, cited and answered."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from openbook.bench.board import Board, Line
from openbook.bench.diagnosis.why import lost
from openbook.bench.labels import file_name
from openbook.bench.questions import Question
from openbook.bench.report.detail import Detail, detail
from openbook.bench.report.parts import escaped
from openbook.bench.scoring import Scorer
from openbook.text import beginning, count

MOST = 1_000  # characters shown of an answer
LEAST = 120
ROOM = 1_600_000  # characters of all answers: the page is to stay below 3 MB
GROUPS = ("Rows differ", "All rows are alike", "Not judged by this measure")
HEADS = ("row", "score", "found", "shown", "cited", "lost by")


def questions(scorer: Scorer, found: Board, *, texts: bool = True) -> str:
    """All questions, those on which rows differ most first."""
    lines = [line for line in found.fitting if line.state != "waiting"]
    scores = {line.trial.number: scorer.scores(line.trial, found.headline) for line in lines}
    limit = max(LEAST, min(MOST, ROOM // max(1, len(lines) * len(scorer.questions))))
    told: dict[str, list[tuple[float, str]]] = {name: [] for name in GROUPS}
    for number, question in enumerate(scorer.questions, 1):
        of = {row: score for row, by in scores.items() if (score := by.get(question.id)) is not None}
        spread = max(of.values()) - min(of.values()) if of else 0.0
        title = question.text if texts else f"Question {number} ({question.id})"
        part = _Question(question, scorer, found, of, limit, texts).told(title, lines)
        told[GROUPS[0 if spread > 0 else 1 if of else 2]].append((-spread if spread else _mean(of), part))
    parts = [
        f"<p>Points of {escaped(found.headline)}, the mean of the rows, stand before each question. Found: the rank of "
        "the first passage that holds the answer, of those searched for; shown: its number among those the model read; "
        f"cited: passages the answer names, {RIGHT} with the answer, {WRONG} without."
        + (f" Answers are cut after {limit} characters.</p>" if texts else " The words are left out.</p>")
    ]
    for name in GROUPS:
        if told[name]:
            parts.append(f"<h3>{name}: {count(len(told[name]), 'question')}</h3>")
            parts += [text for _, text in sorted(told[name], key=lambda one: one[0])]
    return "\n".join(parts)


RIGHT, WRONG = "\u2713", "\u2717"


def _mean(scores: Mapping[int, float]) -> float:
    return statistics.fmean(scores.values()) if scores else -1.0


class _Question:
    """One question with what all rows did."""

    def __init__(
        self,
        question: Question,
        scorer: Scorer,
        found: Board,
        scores: Mapping[int, float],
        limit: int,
        texts: bool,
    ) -> None:
        self.question, self.scorer, self.found, self.scores = question, scorer, found, scores
        self.limit, self.texts = limit, texts

    def told(self, title: str, lines: list[Line]) -> str:
        mean = f"{100 * _mean(self.scores):.0f}" if self.scores else "-"
        return (
            f"<details><summary><b>{mean}</b> {escaped(title)}</summary>{self._expected()}"
            f'<div class="scroll"><table class="q"><thead><tr>{self._heads()}</tr></thead><tbody>'
            f"{''.join(self._rows(lines))}</tbody></table></div></details>"
        )

    def _expected(self) -> str:
        question, said = self.question, []
        if not question.answerable:
            said.append("The documents do not answer it.")
        elif question.answers and self.texts:
            said.append(f"Expected: {escaped(' | '.join(question.answers))}")
        golds = [
            escaped(f"{gold.source}: {gold.quote or gold.place}" if self.texts else file_name(gold.source))
            for gold in question.gold
        ]
        said += [f"<small>Stands in {'; '.join(dict.fromkeys(golds))}</small>"] if golds else []
        return f"<p>{'<br>'.join(said)}</p>" if said else ""

    def _heads(self) -> str:
        return "".join(f'<th scope="col">{name}</th>' for name in HEADS if self._has(name))

    def _has(self, name: str) -> bool:
        return name not in {"shown", "cited"} or self._answers

    @property
    def _answers(self) -> bool:
        return bool(self.scorer.run.settings["answers"])

    def _rows(self, lines: list[Line]) -> list[str]:
        """A table's row for each row; those that did the same stand together."""
        alike: dict[tuple[tuple[str, ...], str], list[int]] = {}
        for line in lines:
            one = detail(self.scorer, line.trial, self.question)
            if one.asked:
                cells = self._cells(line, one)
                told = tuple(cells[name] for name in HEADS[1:] if self._has(name))
                alike.setdefault((told, self._answer(one)), []).append(line.trial.number)
        return [
            f'<tr><th scope="row"{" rowspan=2" if said else ""}>{", ".join(map(str, sorted(rows)))}</th>'
            f"<td>{'</td><td>'.join(told)}</td></tr>"
            + (f'<tr><td colspan="{len(told)}">{said}</td></tr>' if said else "")
            for (told, said), rows in alike.items()
        ]

    def _answer(self, one: Detail) -> str:
        """Under the row's numbers, so that it can be read on a phone."""
        if not self._answers or not self.texts:
            return "failed" if one.error else ""
        said = escaped(one.error or beginning(one.text, self.limit))
        return said + (" <small>(cut off at its most tokens)</small>" if one.stopped else "")

    def _cells(self, line: Line, one: Detail) -> dict[str, str]:
        score = self.scores.get(line.trial.number)
        gold = bool(self.question.gold)
        marks = {number: RIGHT if number in one.right else WRONG for number in sorted((*one.right, *one.wrong))}
        return {
            "score": "-" if score is None else f"{score:.2f}".rstrip("0").rstrip("."),
            "found": (f"{one.found}/{one.searched}" if one.found else "no") if gold and one.searched else "-",
            "shown": (str(one.shown) if one.shown else "no") if gold and (one.text or one.shown) else "-",
            "cited": " ".join(f"{number}{mark if gold else ''}" for number, mark in marks.items()) or "-",
            "lost by": lost(self.scorer, line.trial, self.question) or "-",
        }
