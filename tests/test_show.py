"""What is printed while a long work goes on."""

from __future__ import annotations

import sys

import pytest

from openbook.app import show
from openbook.app.show import Bar, duration, round_number
from openbook.types import Progress


def test_a_long_work_is_told_of_beforehand(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar() as report:
        report(Progress("estimate", 0, 9758, seconds_left=41.7))
    assert capsys.readouterr().err == "About 9,800 chunks, about 42 s.\n"


def test_of_a_short_work_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar() as report:
        report(Progress("estimate", 0, 312, seconds_left=1.4))
        report(Progress("embed", 312, 312, seconds_left=0.0))
    assert capsys.readouterr().err == ""


def test_where_no_terminal_shows_it_a_long_work_says_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bar() as report:
        monkeypatch.setattr(show, "LINE_SECONDS", 0.0)
        report(Progress("read", 0, 0, "files"))
        report(Progress("making", 0, 100, "questions"))  # also while nothing is done: that it goes on is something
        report(Progress("embed", 4200, 9758, seconds_left=800.0))
        monkeypatch.setattr(show, "LINE_SECONDS", 1e9)
        report(Progress("embed", 9000, 9758, seconds_left=80.0))
    assert capsys.readouterr().err == ("making: 0 of 100 questions\nembedding: 4,200 of 9,758 chunks, 13 min left\n")


def test_the_bar_shows_the_time_left_that_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Bar() as report:
        report(Progress("embed", 0, 1000, seconds_left=800.0))
        assert report._bar is not None
        assert str(report._bar).endswith(", 13 min left]")
        report(Progress("embed", 500, 1000, seconds_left=60.4))
        assert "500/1000" in str(report._bar)
        assert str(report._bar).endswith("chunks/s, 60 s left]")


def test_a_rounded_number_is_within_five_of_a_hundred() -> None:
    for number in range(3000):
        assert int(round_number(number).replace(",", "")) == pytest.approx(number, rel=0.05)


def test_what_takes_no_time_takes_a_second() -> None:
    assert duration(0) == "1 s"
