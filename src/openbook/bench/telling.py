"""How far each row of a comparison is, told to who shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from openbook.bench.pacing import Clock, Pace, typical
from openbook.bench.results import Results, RunRow, TrialRow
from openbook.bench.scoring import Scorer

EVERY_SECONDS = 3.0  # a row that does the same as before is looked at again
DOING: Mapping[str, str] = {
    "index": "indexing",
    "search": "searching",
    "answer": "answering",
    "speeds": "timing",
    "judge": "judging",
}  # by the kind of stage


@dataclass(frozen=True, slots=True)
class RowState:
    """How far a row is."""

    trial: TrialRow
    state: str = "waiting"  # one of DOING's, 'dropped', 'done'
    done: int = 0  # questions that the headline's stage has
    total: int = 0
    part: float = 0.0  # of an index that is made, 0 to 1
    headline: float | None = None  # mean so far


Watch = Callable[[Sequence[RowState], float | None], None]
"""Is told of all rows, and the seconds left for all of them where they are known."""


@dataclass
class Teller:
    """Looks at the rows of a run and tells how they are."""

    watch: Watch | None
    run: RunRow
    results: Results
    decides: str  # the stage that the headline judges
    left: Callable[[str], int]  # key of a stage -> questions it has to be asked
    paces: Mapping[str, Pace]  # by the key of a stage
    clock: Clock

    _states: dict[int, RowState] = field(init=False)
    _open: dict[str, int] = field(default_factory=dict, init=False)  # by key, as last looked
    _told: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        total = len(self.run.questions)
        self._states = {one.number: RowState(one, total=total) for one in self.run.trials}

    def tell(self, trial: TrialRow, state: str = "", part: float = 0.0) -> None:
        """Of a row that does something; '': it has just ended it."""
        if not self.watch:
            return
        now, before = time.monotonic(), self._states[trial.number]
        if state in DOING.values() and state == before.state and now - self._told < EVERY_SECONDS:
            return
        for key in keys_of(trial, ("search", "answer")):  # those of other rows are as they were
            self._open[key] = self.left(key)
        left = [self._open[key] for key in keys_of(trial, [self.decides])]
        scores = Scorer(self.results, self.run).scores(trial, self.run.settings["headline"])
        total = len(self.run.questions)
        self._told, self._states[trial.number] = (
            now,
            RowState(
                trial,
                state or ("waiting" if any(left) else "done"),
                total - sum(left),
                total,
                part,
                fmean(scores.values()) if scores else None,
            ),
        )
        self.watch([*self._states.values()], self._seconds_left())

    def _seconds_left(self) -> float | None:
        """For all rows, by the paces known so far; None while none is."""
        kinds = {
            key: kind
            for trial in self.run.trials
            if self._states[trial.number].state != "dropped"
            for kind in ("search", "answer")
            for key in keys_of(trial, [kind])
        }
        usual = {
            kind: typical([self.paces[key] for key in kinds if kinds[key] == kind and key in self.paces])
            for kind in ("search", "answer")
        }
        wanted = {key: self._open.get(key, len(self.run.questions)) for key in kinds}
        if any(wanted[key] and usual[kinds[key]].each is None for key in kinds):
            return None
        seconds = sum(self.paces.get(key, usual[kinds[key]]).seconds(wanted[key]) for key in kinds)
        return max(0.0, min(seconds, self.clock.left))


def keys_of(trial: TrialRow, kinds: Sequence[str]) -> list[str]:
    """Of those of its stages that a row has: 'search', 'answer'."""
    return [key for kind in kinds if (key := {"search": trial.search_key, "answer": trial.answer_key}[kind])]
