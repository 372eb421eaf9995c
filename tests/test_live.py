"""While a comparison runs its table is shown: drawn anew on a terminal, a line for each row elsewhere."""

from __future__ import annotations

import io
import os
import re
import sys
from contextlib import suppress

import pytest

from openbook.app import show
from openbook.app.live import Live, drawing
from openbook.bench.results import TrialRow
from openbook.bench.telling import RowState


def row(
    number: int, state: str = "waiting", done: int = 0, headline: float | None = None, part: float = 0.0
) -> RowState:
    return RowState(
        TrialRow(number, {"splitter": f"chars(size={number})"}, {}, "", "", ""), state, done, 60, part, headline
    )


STATES = [row(1, "done", 60, 0.617), row(2, "answering", 24, 0.583), row(3, "indexing", part=0.5), row(4)]


def test_the_table_says_what_each_row_does() -> None:
    assert drawing(STATES, 840.0, 20) == [
        "row   score  questions  state         recipe",
        "  1    61.7      60/60  done          splitter=chars(size=1)",
        "  2    58.3      24/60  answering     splitter=chars(size=2)",
        "  3       -       0/60  indexing 50%  splitter=chars(size=3)",
        "  4       -       0/60  waiting       splitter=chars(size=4)",
        "About 14 min left",
    ]


def test_of_many_rows_those_at_work_are_shown() -> None:
    states = [row(number, "done") for number in range(1, 50)] + [row(50, "answering")] + [row(51)]
    lines = drawing(states, None, 5)
    assert len(lines) == 7
    assert any(line.startswith(" 50") for line in lines)
    assert lines[-1] == "49 of 51 rows done"
    assert len(drawing(states, None, -3)) == 3  # a terminal of two lines


def test_without_a_terminal_each_row_is_told_once() -> None:
    stream = io.StringIO()
    with Live(stream) as live:
        live.rows([row(1, "answering"), row(2)], None)
        live.rows([row(1, "done", 60, 0.617), row(2)], 90.0)
        live.rows([row(1, "done", 60, 0.617), row(2, "answering", 6)], 80.0)
        live.note("Something.")
        live.rows([row(1, "done", 60, 0.617), row(2, "dropped", 12, 0.1)], None)
    assert stream.getvalue() == (
        "Row 1 of 2 done: 61.7, 60 questions: splitter=chars(size=1) (about 90 s left)\n"
        "Something.\n"
        "Row 2 of 2 dropped: 10.0, 12 questions: splitter=chars(size=2)\n"
    )


def test_without_a_terminal_a_long_row_is_told_of_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    with Live(stream) as live:
        live.rows(STATES, 840.0)
        monkeypatch.setattr(show, "LINE_SECONDS", 0.0)
        live.rows(STATES, 840.0)
        monkeypatch.setattr(show, "LINE_SECONDS", 1e9)
        live.rows(STATES, 840.0)
    assert stream.getvalue().splitlines() == [
        "Row 2 of 4 answering: 24 of 60 questions (about 14 min left)",
        "Row 3 of 4 indexing: 50% (about 14 min left)",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.skipif(sys.platform == "win32", reason="lines only")
def test_a_terminal_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("LINES", "24")
    stream = Terminal()
    with Live(stream) as live:
        live.rows(STATES, 10.0)
        live.note("A line that stays.")
        live.rows([*STATES[:3], row(4, "done")], 5.0)
    said = stream.getvalue()
    assert all(len(line) < 30 for line in re.sub(r"\x1b\[\d*[A-Z]\r?", "", said).splitlines() if "stays" not in line)
    assert said.count("A line that stays.\n") == 1
    ups = [int(count) for count in re.findall(r"\x1b\[(\d+)A", said)]
    assert ups == [6, 6]  # before the note, and at the end
    assert said.endswith("\x1b[6A\r\x1b[J")


def test_a_stderr_that_is_closed_stops_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    with Live(stream) as live:
        live.rows(STATES, 10.0)
        live.rows([row(1, "done"), row(2, "done")], 10.0)
        live.note("Nobody hears it.")
    with suppress(BrokenPipeError):
        stream.close()
