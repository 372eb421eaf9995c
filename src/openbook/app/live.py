"""The table of a comparison while it runs, on stderr: on a terminal drawn anew as rows fill, else a line for each row
that is done, and now and then one for a row at work.

row  clean  questions  state      recipe
  1   61.7     60/60  done        splitter=chars(size=500)
  2   58.3     24/60  answering   splitter=chars(size=1000)
  3      -      0/60  waiting     splitter=structure(size=500)
About 14 min left.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self, TextIO

from openbook.app import show
from openbook.bench.telling import RowState
from openbook.text import well_formed
from openbook.types import Progress

EVERY_SECONDS = 0.2
ROOM = 3  # lines of the terminal that are not rows: heading, time left, and the cursor's
ENDED = ("done", "dropped")
UP, CLEAR = "\x1b[{}A\r", "\x1b[J"


class Live:
    """Draws on stderr while it is entered. A stderr that is closed is no reason to stop the work."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = show.on_terminal(self._stream) and sys.platform != "win32"
        self._bar = show.Bar()
        self._drawn = 0  # lines that are on the terminal
        self._told: set[int] = set()  # rows whose end was told
        self._last: tuple[Sequence[RowState], float | None] | None = None
        self._at = 0.0  # something was said last

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.__exit__(kind, error, trace)
        self._erase()

    def report(self, progress: Progress) -> None:
        """How far something is that belongs to no row; on a terminal, rows tell the rest."""
        if self._last is None or progress.step == "wait":
            with suppress(OSError, ValueError):
                self._bar(progress)

    def rows(self, states: Sequence[RowState], seconds_left: float | None) -> None:
        """All rows have come so far."""
        if self._last is None:
            self._bar.__exit__(None, None, None)  # what there was before rows began
            if not self._terminal:
                self._told = {one.trial.number for one in states if one.state in ENDED}
                self._at = time.monotonic()
        ended = {one.trial.number for one in states if one.state in ENDED}
        self._last = states, seconds_left
        if not self._terminal:
            for one in states:
                late = one.state not in (*ENDED, "waiting") and time.monotonic() - self._at >= show.LINE_SECONDS
                if late or one.trial.number in ended - self._told:
                    self._say(f"{_sentence(one, len(states))}{_left(seconds_left)}\n")
                    self._at = time.monotonic()
        elif ended != self._told or time.monotonic() - self._at >= EVERY_SECONDS:
            self._draw()
        self._told = ended

    def note(self, line: str) -> None:
        """A line that stays."""
        self._erase()
        self._say(f"{well_formed(line)}\n")

    def _draw(self) -> None:
        assert self._last is not None
        size = shutil.get_terminal_size()
        lines = [line[: max(1, size.columns - 1)] for line in drawing(*self._last, size.lines - ROOM)]
        back = UP.format(self._drawn) if self._drawn else ""
        self._say(back + CLEAR + "".join(f"{line}\n" for line in lines))
        self._drawn, self._at = len(lines), time.monotonic()

    def _erase(self) -> None:
        if self._drawn:
            self._say(UP.format(self._drawn) + CLEAR)
            self._drawn = 0

    def _say(self, text: str) -> None:
        with suppress(OSError, ValueError, AttributeError):
            self._stream.write(text)
            self._stream.flush()


def drawing(states: Sequence[RowState], seconds_left: float | None, most: int) -> list[str]:
    """The lines of the table; of more than `most` rows those that are at work or nearest to it."""
    most = max(1, most)
    first = next((place for place, one in enumerate(states) if one.state not in (*ENDED, "waiting")), 0)
    start = max(0, min(first - most // 2, len(states) - most))
    shown = states[start : start + most]
    lines = ["row   score  questions  state         recipe"]
    for one in shown:
        state = f"{one.state} {one.part:.0%}" if one.part else one.state
        lines.append(
            f"{one.trial.number:>3}  {_score(one):>6}  {f'{one.done}/{one.total}':>9}  {state:<13} {one.trial.label}"
        )
    ended = sum(one.state in ENDED for one in states)
    more = f"{ended} of {len(states)} rows done" if len(shown) < len(states) else ""
    lines.append(". ".join(filter(None, [more, _left(seconds_left).strip(" ().").capitalize()])) or "...")
    return [well_formed(" ".join(line.splitlines())) for line in lines]


def _score(one: RowState) -> str:
    return "-" if one.headline is None else f"{100 * one.headline:.1f}"


def _left(seconds: float | None) -> str:
    return "" if not seconds else f" (about {show.duration(seconds)} left)"


def _sentence(one: RowState, rows: int) -> str:
    if one.state not in ENDED:
        far = f"{one.part:.0%}" if one.part else f"{one.done:,} of {show.count(one.total, 'question')}"
        return f"Row {one.trial.number} of {rows} {one.state}: {far}"
    asked = show.count(one.done, "question")
    return f"Row {one.trial.number} of {rows} {one.state}: {_score(one)}, {asked}: {one.trial.label}"
