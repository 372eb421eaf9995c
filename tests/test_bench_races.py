"""A race and a limit of time, run for real: what is dropped, what is left out, and what the next run makes of it."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contracts import Write
from openbook.bench.board import board
from openbook.bench.pacing import Clock, pace
from openbook.bench.results import Results, RunRow, TrialRow, index_folder
from openbook.bench.running import Runner, results_path
from openbook.bench.scoring import Scorer
from openbook.bench.sweep import read_sweep
from openbook.errors import BookError

COUNT = 30
SWEEP = """
documents = ["docs"]
questions = "questions.jsonl"
[recipe]
embedder = "hashed(dim=4)"
store = "flat"
llm = "quote"
[vary]
retriever = ["bm25", "dense", "hybrid"]
[run]
mode = "race"
answers = false
headline = "recall@1"
"""


def word(number: int) -> str:
    return "".join("bcdfghjklm"[int(digit)] + "aeiou"[int(digit) // 2] for digit in f"{number:03}")


@pytest.fixture
def sweep(write: Write) -> Path:
    """By words each question finds its document; by vectors of four numbers hardly one does."""
    for number in range(COUNT):
        write(f"docs/{number}.txt", f"The harbour of {word(number)} was built by {word(number + 500)} in a dry year.")
    questions = [
        {"id": str(number), "question": f"Who built {word(number)}?", "answers": [word(number + 500)],
         "gold": [{"source": f"docs/{number}.txt"}]}
        for number in range(COUNT)
    ]  # fmt: skip
    write("questions.jsonl", "".join(json.dumps(one) + "\n" for one in questions))
    return write("sweep.toml", SWEEP)


def dropped(sweep: Path) -> dict[str, int]:
    Runner(read_sweep(sweep), "race").run()
    with Results(results_path()) as results:
        found: dict[str, int] = results.run("race").settings["dropped"]
    return found


def asked(trial: TrialRow) -> int:
    with Results(results_path()) as results:
        return len(results.of(trial.search_key))


@pytest.mark.slow
def test_a_row_that_loses_is_dropped_and_asked_nothing_more(sweep: Path) -> None:
    assert dropped(sweep) == {"2": 5}
    with Results(results_path()) as results:
        row = results.run("race")
    assert [asked(one) for one in row.trials] == [COUNT, 5, COUNT]


@pytest.mark.slow
def test_the_baseline_stays_to_the_end_however_far_behind(sweep: Path) -> None:
    sweep.write_text(SWEEP.replace("[recipe]", 'baseline = { retriever = "dense" }\n[recipe]'), encoding="utf-8")
    assert dropped(sweep) == {}
    with Results(results_path()) as results:
        row = results.run("race")
        first, *others = board(Scorer(results, row)).lines
    assert [asked(one) for one in row.trials] == [COUNT, COUNT, COUNT]
    assert row.trials[0].label == "retriever=dense"
    assert first.p is not None
    assert first.p < 0.05  # against all questions of the baseline
    assert others[-1].trial.number == 1


def stopping(child: Callable[..., None], most: int) -> Callable[..., None]:
    """Runs that many stages, then is interrupted."""
    counted = itertools.count()

    def some(*arguments: object) -> None:
        if next(counted) == most:
            raise KeyboardInterrupt
        child(*arguments)

    return some


@pytest.mark.slow
def test_a_race_that_is_stopped_ends_with_the_same_decisions(
    sweep: Path, openbook_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = dropped(sweep)
    for stopped_at in (2, 5):
        shutil.rmtree(openbook_home)
        with monkeypatch.context() as patch:
            patch.setattr(Runner, "_child", stopping(Runner._child, stopped_at))
            with pytest.raises(KeyboardInterrupt):
                Runner(read_sweep(sweep), "race").run()
        assert dropped(sweep) == fresh


@pytest.mark.slow
def test_what_a_grid_has_asked_does_not_change_a_race(sweep: Path) -> None:
    sweep.write_text(SWEEP.replace('mode = "race"', 'mode = "grid"'), encoding="utf-8")
    Runner(read_sweep(sweep), "grid").run()
    sweep.write_text(SWEEP, encoding="utf-8")
    assert dropped(sweep) == {"2": 5}


@pytest.mark.slow
def test_answers_race_by_answers(sweep: Path) -> None:
    text = SWEEP.replace("answers = false", "answers = true").replace("recall@1", "contains")
    sweep.write_text(text, encoding="utf-8")
    runner = Runner(read_sweep(sweep), "race")
    runner.run()
    with Results(results_path()) as results:
        row = results.run("race")
        counts = [len(results.of(one.answer_key)) for one in row.trials]
    assert row.settings["dropped"] == {"2": counts[1]}
    assert counts[1] < COUNT
    assert [counts[0], counts[2]] == [COUNT, COUNT]


# A limit of time.


def many(sweep: Path, minutes: float) -> None:
    """So many answers are asked for that they never fit into the minutes: 570 of each of three rows."""
    text = SWEEP.replace('mode = "race"', f"minutes = {minutes}").replace("answers = false", "answers = true")
    sweep.write_text(text.replace("recall@1", "contains"), encoding="utf-8")
    lines = (sweep.parent / "questions.jsonl").read_text("utf-8").splitlines()
    more = [
        line.replace('"id": "', f'"id": "{copy}-').replace('?"', "?" * copy + '"')
        for copy in range(1, 20)
        for line in lines
    ]
    (sweep.parent / "questions.jsonl").write_text("\n".join(more), encoding="utf-8")


class Pretended:
    """Stages without processes, and a clock that nothing but they move: what is kept of minutes is exact."""

    START, EACH = 2.0, {"search": 0.01, "answer": 0.2}  # seconds of a process, and of a question

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic

    def child(
        self, runner: Runner, results: Results, trial: TrialRow, kind: str, key: str, options: Mapping[str, Any]
    ) -> None:
        began, starts = self.now, list[float]()
        self.now += self.START
        if kind == "index":
            index_folder(key).mkdir(parents=True)
            return
        for question in options["questions"]:
            if self.now + self.EACH[kind] / 2 > options["until"]:
                break
            starts.append(self.now)
            self.now += self.EACH[kind]
            results.add(key, question["key"], {"text": "", "passages": [], "seconds": self.EACH[kind]})
        if found := pace(began, starts, self.now):
            runner._paces[key] = found


def asked_of_each(runner: Runner) -> list[int]:
    with Results(results_path()) as results:
        return [len(results.of(one.answer_key)) for one in runner._trials]


def test_minutes_are_kept_and_every_row_is_asked_the_same(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(sweep, 0.75)
    clock = Pretended()
    monkeypatch.setattr("openbook.bench.pacing.time", clock)
    monkeypatch.setattr("openbook.bench.running.time", clock)
    monkeypatch.setattr(Runner, "_child", lambda *arguments: clock.child(*arguments))
    monkeypatch.setattr(
        "openbook.bench.running.Forecaster.index_seconds", lambda _, rows: {one.index_key: 2.0 for one in rows}
    )
    before = [0, 0, 0]
    for _ in range(2):  # the same command goes on
        notes: list[str] = []
        runner = Runner(read_sweep(sweep), "minutes", note=notes.append)
        runner._clock = Clock(0.75, began=clock.now)
        began = clock.now
        runner.run()
        assert clock.now - began == pytest.approx(45, rel=0.1)  # all would take 342
        counts = asked_of_each(runner)
        said = re.match(r"Time is up: (\d+) of 570 questions were asked of every row\. The same command", notes[0])
        assert said
        assert before[0] < int(said[1]) <= min(counts)
        assert min(counts) >= 0.9 * max(counts)
        before = counts


SLOW = """
import time
from openbook.llms.quote import Quote
real = Quote.stream
def stream(self, *arguments, **options):
    time.sleep(0.2)
    yield from real(self, *arguments, **options)
Quote.stream = stream
"""


@pytest.mark.slow
def test_a_stage_ends_by_itself_when_the_time_is_up(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(SLOW, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "slow"), os.environ.get("PYTHONPATH", "")]))
    sweep.write_text(SWEEP.replace('mode = "race"', 'mode = "grid"'), encoding="utf-8")
    Runner(read_sweep(sweep), "indexes").run()  # on a busy machine, one alone would take more than six seconds
    many(sweep, 0.1)
    notes: list[str] = []
    runner = Runner(read_sweep(sweep), "minutes", note=notes.append)
    runner.run()
    assert re.match(r"Time is up: \d+ of 570 questions were asked of every row\. The same command", notes[0])
    counts = asked_of_each(runner)
    assert max(counts) < 570  # whatever else this machine does: a stage that went on would have asked them all
    again = Runner(read_sweep(sweep), "minutes")
    again.run()
    assert all(now >= count for now, count in zip(asked_of_each(again), counts, strict=True))


def test_an_index_that_does_not_fit_into_the_time_is_said_first(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep.write_text(SWEEP.replace('mode = "race"', "minutes = 5"), encoding="utf-8")
    monkeypatch.setattr(
        "openbook.bench.running.Forecaster.index_seconds", lambda _, rows: {one.index_key: 2000.0 for one in rows}
    )
    with pytest.raises(
        BookError, match=r"^Even one index takes about 34 minutes, more than the 5 of \[run\] minutes\."
    ):
        Runner(read_sweep(sweep), "minutes").run()


def only(seconds: dict[str, float]) -> Callable[..., dict[str, float]]:
    """What the indexes of these rows take."""
    return lambda _, rows: {one.index_key: seconds[one.index_key] for one in rows}


@pytest.mark.slow
def test_time_that_is_left_makes_further_indexes(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SWEEP.replace('mode = "race"', "minutes = 60").replace(', "dense", "hybrid"', "")
    text = text.replace("[vary]", '[vary]\nsplitter = ["chars(size=60)", "chars(size=90)", "chars"]')
    sweep.write_text(text, encoding="utf-8")
    notes: list[str] = []
    runner = Runner(read_sweep(sweep), "minutes", note=notes.append)
    takes = {one.index_key: 10.0 if one.number == 1 else 1810.0 for one in runner._trials}
    monkeypatch.setattr("openbook.bench.running.Forecaster.index_seconds", only(takes))
    row = runner.run()
    assert notes[0] == "The indexes alone take about 61 minutes, more than the 60 of [run] minutes: some wait."
    assert not any("There was no time" in one for one in notes)
    assert row.settings["left_out"] == []
    assert [asked(one) for one in row.trials] == [COUNT] * 3


@pytest.mark.slow
def test_of_indexes_that_do_not_all_fit_some_are_made_and_their_rows_asked(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SWEEP.replace('mode = "race"', "minutes = 60").replace(
        "[vary]", '[vary]\nsplitter = ["chars(size=60)", "chars"]'
    )
    sweep.write_text(text, encoding="utf-8")
    notes: list[str] = []
    runner = Runner(read_sweep(sweep), "minutes", note=notes.append)
    takes = {one.index_key: 10.0 if one.number < 4 else 7190.0 for one in runner._trials}
    monkeypatch.setattr("openbook.bench.running.Forecaster.index_seconds", only(takes))
    row = runner.run()
    assert notes[0] == "The indexes alone take about 120 minutes, more than the 60 of [run] minutes: some wait."
    assert row.settings["left_out"] == [4, 5, 6]
    assert [asked(one) for one in row.trials] == [COUNT, COUNT, COUNT, 0, 0, 0]
    assert notes[1] == "There was no time to make the indexes of rows 4, 5, 6. The same command goes on."


# Speeds that are noisy.


def once_quiet(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> RunRow:
    """A run of one row, and nothing of it is noisy."""
    text = SWEEP.replace('mode = "race"', 'mode = "grid"').replace(', "dense", "hybrid"', "")
    sweep.write_text(text, encoding="utf-8")
    monkeypatch.setattr("openbook.bench.quiet.NOISY_SHARE", 2.0)  # whatever else this machine does
    return Runner(read_sweep(sweep), "run").run()


def disturbed(row: RunRow) -> list[object]:
    """Make all that was timed noisy; the passages of the first row."""
    (key,) = {one.search_key for one in row.trials}
    with Results(results_path()) as results:
        for question, value in results.of(key).items():
            results.add(key, question, value | {"others": 5.0})
        return [value["passages"] for value in results.of(key).values()]


@pytest.mark.slow
def test_noisy_speeds_are_measured_again_once_the_machine_is_quiet(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = once_quiet(sweep, monkeypatch)
    passages, (trial,), notes = disturbed(row), row.trials, list[str]()
    with monkeypatch.context() as patch:
        patch.setattr("openbook.bench.quiet.others_now", lambda: 3.0)
        Runner(read_sweep(sweep), "run", note=notes.append).run()
    assert notes == [
        "Other work keeps 300% of the cores busy: the speeds of row 1 are noisy. The same command measures them again "
        "when the machine is quiet."
    ]
    with Results(results_path()) as results:
        assert Scorer(results, row).noisy(trial)
    monkeypatch.setattr("openbook.bench.quiet.others_now", lambda: 0.0)
    told: list[str] = []
    Runner(read_sweep(sweep), "run", watch=lambda states, _: told.append(states[0].state)).run()
    assert "timing" in told
    assert told[-1] == "done"
    with Results(results_path()) as results:
        assert len(results.measured(trial.search_key)["speeds"]) == 7  # of eight, the first loads the index
        assert not Scorer(results, row).noisy(trial)
        assert [value["passages"] for value in results.of(trial.search_key).values()] == passages
    monkeypatch.setattr(Runner, "_child", lambda *_: pytest.fail("nothing is left to do"))
    Runner(read_sweep(sweep), "run").run()


@pytest.mark.slow
def test_speeds_that_another_comparison_has_timed_meanwhile_are_not_timed_again(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = once_quiet(sweep, monkeypatch)
    disturbed(row)

    @contextmanager
    def waited(_: Runner, key: str) -> Generator[None]:
        with Results(results_path()) as results:
            results.note(key, {"speeds": [{"seconds": 0.1, "cold": False, "others": 0.0}] * 7})
        yield

    monkeypatch.setattr(Runner, "_alone", waited)
    monkeypatch.setattr("openbook.bench.quiet.others_now", lambda: 0.0)
    monkeypatch.setattr(Runner, "_child", lambda *_: pytest.fail("nothing is left to do"))
    Runner(read_sweep(sweep), "run").run()
