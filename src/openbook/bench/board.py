"""The table of a comparison: a row for each recipe, and which of them cannot be told apart.

Each row is tested against the baseline, paired by question, with Holm's correction over the table; and all rows at
once, to say which are as good as the best for all that these questions can tell, and whether any stands out at all.
While a comparison runs, or after it was stopped, rows that are not done are shown by what they have, and not tested.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from openbook.bench import pareto
from openbook.bench.constraints import Constraint
from openbook.bench.judge import prompt, told
from openbook.bench.quantities import QUANTITIES
from openbook.bench.ranking import depth
from openbook.bench.results import BASELINE, RunRow, TrialRow, no_row
from openbook.bench.scoring import ANSWERS, SEARCH, Scorer, Scores
from openbook.bench.statistics import Together, holm, interval, needed, p_values, together
from openbook.errors import BookError
from openbook.text import count

LEVEL = 0.05
WORTH = 0.10  # a difference worth finding: 10 points


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table."""

    trial: TrialRow
    state: Literal["done", "running", "waiting", "dropped"]  # dropped: by a race, as clearly losing
    asked: int  # questions it was asked, of those of the run
    tested: bool  # among the rows that are compared; the others have no interval, p or star
    means: Mapping[str, float]  # measure -> mean over questions, 0 to 1; of the headline, over those of all rows tested
    quantities: Mapping[str, float]  # by the names of quantities.QUANTITIES
    measured: Mapping[str, Mapping[str, Any]]
    spoiled: frozenset[str] = frozenset()  # quantities that were measured while other work kept the cores busy
    low: float = 0.0  # 95 % bootstrap interval of the headline
    high: float = 0.0
    difference: float | None = None  # of the headline, to the baseline; None: no question in common with it
    p: float | None = None  # of that difference, corrected; None: it is the baseline, or was not tested
    best: bool = False  # cannot be told from the best
    apart: float = 1.0  # p of the headline's distance from the mean of all rows, corrected
    front: bool | None = None  # on Pareto's front of quality, speed and memory; None: one of them is not known
    misfits: tuple[str, ...] = ()  # why it is not what was asked for

    @property
    def noisy(self) -> bool:
        """Whether any of its speeds was measured while other work kept the cores busy."""
        return bool(self.spoiled)


@dataclass(frozen=True, slots=True)
class Board:
    """A comparison's table, best first; rows that were not tested, and then those that do not fit, come last."""

    run: str
    headline: str
    questions: int  # judged by the headline in every row that was tested
    asked: int  # of the run
    lines: tuple[Line, ...]
    verdict: str  # what it says, in a sentence
    failures: tuple[str, ...]  # why answers are missing, a line for each
    fit: tuple[Constraint, ...] = ()
    paired: int = 0  # questions that all tested rows have in common with the baseline too: those of p
    judge: Mapping[str, Any] = field(default_factory=dict)  # the model that judges; empty without one

    @property
    def fitting(self) -> tuple[Line, ...]:
        """Rows that are what was asked for."""
        return tuple(line for line in self.lines if not line.misfits)

    @property
    def unfinished(self) -> str:
        """Which rows are not done, in sentences; '' when all are."""
        said = [*_unfinished(self.lines, self.asked), *_dropped(self.lines)]
        if 0 < self.paired < self.questions:
            common = f"{self.paired:,} questions" if self.paired > 1 else "one question"
            said.append(f"Differences and p are over the {common} that the baseline was asked too.")
        return " ".join(said)

    def best(self) -> tuple[Line, tuple[Line, ...]]:
        """The row with the highest headline, and all that cannot be told from it, itself included.

        Raises:
            BookError: No row was tested, or none fits.
        """
        group = tuple(line for line in self.fitting if line.tested and line.best)
        if not group:
            raise BookError(f"{self.run} has no best row. {self.verdict}")
        return group[0], group


def board(scorer: Scorer, headline: str = "", against: int = BASELINE, fit: Sequence[Constraint] = ()) -> Board:
    """The table by one measure; '' is the run's own. `against` is the number of the baseline's row.

    With `fit`, rows are tested among those that keep all of it; the baseline need not.

    Raises:
        BookError: There is no such measure or row.
    """
    run = scorer.run
    headline = headline or str(run.settings["headline"])
    if all(trial.number != against for trial in run.trials):
        raise no_row(run, against)
    scores = {trial.number: scorer.scores(trial, headline) for trial in run.trials}
    lines = [_line(scorer, trial, headline, scores[trial.number], fit) for trial in run.trials]
    wanted = _tested(lines, scores)
    common = [one.id for one in scorer.questions if wanted and all(one.id in scores[number] for number in wanted)]
    values = {number: [scores[number][name] for name in common] for number in wanted}
    at_once = together(list(values.values())) if common and len(values) > 1 else None
    lines = _judged(lines, headline, values if common else {}, at_once)
    lines = _against(lines, scores, values, against)
    lines = _fronted(lines, headline)
    lines.sort(
        key=lambda line: (bool(line.misfits), not line.tested, -line.means.get(headline, -1.0), line.trial.number)
    )
    first = [line for line in lines if line.tested]
    verdict = _verdict(first, list(values.values()), at_once, len(common))
    raced = headline == run.settings["headline"] and any(line.state == "dropped" for line in lines)
    if raced and first and all(line.tested or line.state == "dropped" for line in lines):
        verdict = _of_race(first, verdict, len(common))
    if first and any(line.state in {"running", "waiting"} for line in lines):
        verdict = f"So far: {verdict[0].lower()}{verdict[1:]}"
    if fit:
        verdict = _of_fitting(lines, fit, verdict)
    failures = tuple(why for trial in run.trials for why in scorer.failures(trial))
    paired = sum(name in scores[against] for name in common)
    judge, asked = _judge(run, scorer), len(scorer.questions)
    return Board(run.name, headline, len(common), asked, tuple(lines), verdict, failures, tuple(fit), paired, judge)


def _judge(run: RunRow, scorer: Scorer) -> dict[str, Any]:
    """The model that judges, its prompt, and how far it can be believed."""
    by = run.settings.get("judged_by")
    if not by:
        return {}
    agreements, words = [asdict(one) for one in scorer.agreements], prompt(by["prompt"])
    return {"llm": by["llm"], "agreements": agreements, "said": told(by, scorer.agreements), "prompt": words}


def _line(scorer: Scorer, trial: TrialRow, headline: str, scores: Scores, fit: Sequence[Constraint]) -> Line:
    """What a row has by itself."""
    run = scorer.run
    searched = [name for name in SEARCH if depth(name) <= run.settings["k"]]
    judged = ("judged",) if run.settings.get("judged_by") else ()
    names = list(dict.fromkeys([headline, *(ANSWERS if run.settings["answers"] else ()), *judged, *searched]))
    found = {name: scores if name == headline else scorer.scores(trial, name) for name in names}
    means = {name: statistics.fmean(of.values()) for name, of in found.items() if of}
    quantities = scorer.quantities(trial)
    dropped = run.settings.get("dropped", {})
    asked = dropped.get(str(trial.number), scorer.done(trial, headline))  # a race looked no further
    state: Literal["done", "running", "waiting", "dropped"] = (
        "dropped" if str(trial.number) in dropped
        else "done" if asked == len(scorer.questions)
        else "running" if asked else "waiting"
    )  # fmt: skip
    misfits = []
    for one in fit:
        value = quantities.get(one.name) if one.name in QUANTITIES else means.get(one.name)
        if value is None and one.name not in QUANTITIES and (of := scorer.scores(trial, one.name)):
            value = statistics.fmean(of.values())
        misfits += [why] if (why := one.broken(value)) else []
    return Line(
        trial,
        state,
        asked,
        False,
        means,
        quantities,
        scorer.measured(trial),
        scorer.noisy(trial),
        misfits=tuple(misfits),
    )


def _tested(lines: Sequence[Line], scores: Mapping[int, Scores]) -> list[int]:
    """Numbers of the rows to compare: two or more of those that were asked most, so that rows times questions is most.

    So rows that have just begun do not cut the questions in common to a few; nor does, where all rows are asked block
    by block, one that is a block ahead leave the others behind.
    """
    begun = [line for line in lines if not line.misfits and line.state != "dropped" and scores[line.trial.number]]
    counts = sorted((len(scores[line.trial.number]) for line in begun), reverse=True)
    least = max(counts[1:], key=lambda count: (count * sum(other >= count for other in counts), count), default=0)
    return [line.trial.number for line in begun if len(scores[line.trial.number]) >= least]


def _judged(
    lines: Sequence[Line], headline: str, values: Mapping[int, Sequence[float]], at_once: Together | None
) -> list[Line]:
    """The lines with what the questions in common say of each."""
    places = {number: place for place, number in enumerate(values)}
    top = max(places.values(), key=lambda place: sum(list(values.values())[place]), default=0)
    found = []
    for line in lines:
        number = line.trial.number
        if number in places:
            low, high = interval(values[number])
            place = places[number]
            line = replace(
                line,
                tested=True,
                means={**line.means, headline: statistics.fmean(values[number])},
                low=low,
                high=high,
                best=at_once is None or at_once.pairs[top][place] >= LEVEL,
                apart=at_once.apart[place] if at_once else 1.0,
            )
        found.append(line)
    return found


def _against(
    lines: Sequence[Line], scores: Mapping[int, Scores], values: Mapping[int, Sequence[float]], against: int
) -> list[Line]:
    """The lines with their difference to the baseline, over the questions in common with it; and p of those tested."""
    base = scores[against]
    pairs = {
        number: [(score, base[name]) for name, score in of.items() if name in base] for number, of in scores.items()
    }
    others = [number for number in values if number != against and pairs[number]]
    found: dict[int, float] = {}
    if others:
        same = [name for name in base if all(name in scores[number] for number in values)]
        found = dict(zip(others, holm(_p_values(scores, base, others, same)), strict=True)) if same else {}
    return [
        replace(
            line,
            difference=statistics.fmean(a - b for a, b in of) if (of := pairs[line.trial.number]) else None,
            p=found.get(line.trial.number),
        )
        for line in lines
    ]


def _p_values(scores: Mapping[int, Scores], base: Scores, others: Sequence[int], names: Sequence[str]) -> list[float]:
    return p_values([base[name] for name in names], [[scores[number][name] for name in names] for number in others])


def _fronted(lines: Sequence[Line], headline: str) -> list[Line]:
    """The lines with whether they are on the front, of the rows that were tested: over the same questions."""
    found = pareto.front({line.trial.number: point(line, headline) for line in lines if line.tested})
    return [replace(line, front=found.get(line.trial.number)) for line in lines]


def measured(found: Board, lines: Sequence[Line]) -> tuple[list[str], list[str]]:
    """Names of the measures and of the quantities that some of these rows have; the cost only where one is paid."""
    measures = list(dict.fromkeys([found.headline, *(name for line in lines for name in line.means)]))
    has = {name for line in lines for name, value in line.quantities.items() if name != "cost" or value}
    return measures, [name for name in QUANTITIES if name in has]


def point(line: Line, headline: str) -> tuple[float | None, float | None, float | None]:
    """Quality, speed and memory of a row, more is better: seconds of an answer, of a search where none is asked for."""
    seconds, ram = line.quantities.get("answer" if line.trial.answer_key else "search"), line.quantities.get("ram")
    return line.means.get(headline), None if seconds is None else -seconds, None if ram is None else -ram


def _verdict(lines: Sequence[Line], values: Sequence[Sequence[float]], at_once: Together | None, judged: int) -> str:
    """Who won, or that nobody did and how many questions it would take."""
    if not judged:
        return "No question was judged in every row yet."
    asked = count(judged, "question")
    if at_once is None:
        return f"One recipe, {asked}: nothing to compare."
    first, group = lines[0], [line for line in lines if line.best]
    if len(group) == 1:
        return f"Row {first.trial.number} is better than every other one, by more than luck ({asked})."
    if len(group) < len(lines):
        more = _more(values, judged)
        return f"{numbered(group)} cannot be told apart with {asked}{more}; the others are worse than the best."
    if first.apart < LEVEL:
        p = f"p = {first.apart:.3f}, {asked}"
        more = _more(values, judged)
        return f"Row {first.trial.number} stands out ({p}), though it cannot be told from any single other row{more}."
    return f"No difference found between these {len(lines)} recipes with {asked}{_more(values, judged)}."


def _of_race(left: Sequence[Line], verdict: str, judged: int) -> str:
    """Who won a race, or what is said of the rows it left: the baseline is one of them in any case."""
    won, *others = left
    words = f"Row {won.trial.number} won the race: by these questions no other row would have caught up."
    if not others:
        # Equal rows too are dropped: benchmarks/luck.py.
        return f"{words} Whether it is better by more than luck, a race does not say."
    if [one.trial.number for one in others] == [BASELINE] and not others[0].best:
        asked = count(judged, "question")
        return (
            f"{words} It is better than the baseline, row {BASELINE}, by more than luck ({asked}); whether than those "
            "that were dropped, a race does not say."
        )
    for words in ("every other one", "the others"):
        verdict = verdict.replace(words, f"{words} that the race left")
    return verdict


def _of_fitting(lines: Sequence[Line], fit: Sequence[Constraint], verdict: str) -> str:
    said, kept = ", ".join(map(str, fit)), [line for line in lines if not line.misfits]
    if not kept:
        return f"No recipe fits {said}."
    if len(kept) == 1:
        return f"Of {len(lines)} recipes one fits {said}: row {kept[0].trial.number}."
    return f"{len(kept)} of {len(lines)} recipes fit {said}. Of these: {verdict[0].lower()}{verdict[1:]}"


def numbered(lines: Iterable[Line]) -> str:
    """'Rows 6, 2 and 5', in the order given; 'Row 2' alone; 'Rows 2 and 4 to 7' where some follow on each other."""
    parts: list[list[int]] = []
    for number in (line.trial.number for line in lines):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    said: list[str] = []
    for part in parts:
        said += [f"{part[0]} to {part[-1]}"] if len(part) > 2 else map(str, part)
    *all_but, last = said
    one = not all_but and " " not in last
    return f"Rows {', '.join(all_but)} and {last}" if all_but else f"Row{'' if one else 's'} {last}"


def _unfinished(lines: Sequence[Line], asked: int) -> list[str]:
    by_number = sorted(lines, key=lambda line: line.trial.number)
    running = [line for line in by_number if line.state == "running"]
    waiting = [line for line in by_number if line.state == "waiting"]
    if not running and not waiting:
        return []
    said = []
    for number, lines_of in itertools.groupby(
        sorted(running, key=lambda line: -line.asked), key=lambda line: line.asked
    ):
        group = [*lines_of]
        rows = numbered(group)
        said.append(f"r{rows[1:]} {'were' if len(group) > 1 else 'was'} asked {number} of {asked} questions")
    if waiting:
        said.append(f"r{numbered(waiting)[1:]} {'are' if len(waiting) > 1 else 'is'} not begun")
    open_rows = len(running) + len(waiting)
    return [f"{open_rows} of {len(lines)} rows {'are' if open_rows > 1 else 'is'} not done: {'; '.join(said)}."]


def _dropped(lines: Sequence[Line]) -> list[str]:
    dropped = sorted((line for line in lines if line.state == "dropped"), key=lambda line: line.trial.number)
    said = []
    for number, lines_of in itertools.groupby(
        sorted(dropped, key=lambda line: line.asked), key=lambda line: line.asked
    ):
        said.append(f"r{numbered(lines_of)[1:]} after {number} question{'s' if number != 1 else ''}")
    return [f"Dropped as losing: {', '.join(said)}."] if said else []


def _more(values: Sequence[Sequence[float]], count: int) -> str:
    """How many questions would show a difference worth finding, if more than there are."""
    if count < 2:
        return ""
    pairs = itertools.pairwise(values)  # each is as good as another: what is wanted is the usual spread
    spreads = [needed([a - b for a, b in zip(one, other, strict=True)], WORTH) for one, other in pairs]
    enough = statistics.median_high(spreads)
    return f" (about {enough} would show one of {WORTH * 100:.0f} points)" if enough > count else ""
