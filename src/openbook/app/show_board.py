"""A comparison's table in a terminal: what differs, as much of it as there is room for."""

from __future__ import annotations

import shlex
import shutil
import string
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from openbook.app import show
from openbook.bench.board import Board, Line, measured, numbered
from openbook.bench.labels import factors
from openbook.bench.quantities import QUANTITIES, written, written_p
from openbook.manifest import name_of

WIDTH, LEAST = 100, 80  # columns where no terminal says how many it has, and those that are counted on
LONG = 20  # characters of an option; longer ones stand below the table when there is no room
EMPTY = "-"

# What goes first when there is no room is what stands last here; what is not here goes before these.
WANTED = (
    "clean",
    "nDCG@10",
    "first",
    "memory",
    "refused",
    "answer",
    "cited",
    "$/1000",
    "search",
    "recall@5",
    "tok/s",
    "disk",
)
HIDDEN = ("p95", "its memory")  # in --wide, --json and the page


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table."""

    head: str
    cells: tuple[str, ...]
    fixed: bool = False  # is never left out

    @property
    def width(self) -> int:
        """Characters of the widest cell."""
        return max(map(len, (self.head, *self.cells)))


def table(found: Board, *, wide: bool = False) -> None:
    """The table and what it means, on stdout."""
    lines = [line for line in found.fitting if wide or line.state != "waiting"]
    if lines:
        _print(found, lines, wide=wide)
    if found.failures:
        show.note(
            f"{show.count(len(found.failures), 'answer')} failed and counted as wrong; the same comparison asks again. "
            f"The first: {found.failures[0]}"
        )
    for line in _misfits(found):
        click.echo(line)
    click.echo(f"\n{show.count(found.questions, 'question')}, judged by {found.headline}. {found.verdict}")
    if found.unfinished:
        click.echo(found.unfinished)
    if found.judge:
        click.echo(found.judge["said"])
    said = [
        "* cannot be told from the best." if any(line.best for line in lines) else "",
        "+ no other row is better in quality, speed and memory." if any(line.front for line in lines) else "",
        "~ measured while the machine was busy." if any(line.noisy for line in lines) else "",
        "p: against the baseline, Holm's correction." if any(line.p is not None for line in lines) else "",
    ]
    click.echo(" ".join([*filter(None, said), "More: openbook compare show --help"]))


def _misfits(found: Board) -> list[str]:
    """Rows that do not fit, those with the same reasons together."""
    alike: dict[str, list[Line]] = {}
    for line in sorted(found.lines, key=lambda line: line.trial.number):
        if line.misfits:
            alike.setdefault(", ".join(line.misfits), []).append(line)
    return [
        f"{numbered(lines)} {'do' if len(lines) > 1 else 'does'} not fit: {reason}." for reason, lines in alike.items()
    ]


def _print(found: Board, lines: Sequence[Line], *, wide: bool) -> None:
    columns, equal = _without_equal(_columns(found, lines), found.headline)
    left_out: list[str] = []
    legend: list[str] = []
    if not wide:
        room = max(LEAST, shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH)
        columns = [column for column in columns if column.head not in HIDDEN]
        columns, left_out, legend = _fitted(columns, room)
    rows = [[column.head for column in columns], *map(list, zip(*(column.cells for column in columns), strict=True))]
    show.table(rows)
    for line in legend:
        click.echo(line)
    for what, names in (("Equal in all rows", equal), ("No room for", left_out)):
        if names:
            more = "; all of them: --wide" if names is left_out else ""
            click.echo(textwrap.fill(f"{what}: {', '.join(names)}{more}.", WIDTH))


def _columns(found: Board, lines: Sequence[Line]) -> list[Column]:
    measures, quantities = measured(found, lines)
    heads, values = factors([line.trial.recipe for line in lines])
    columns = [
        Column("row", tuple(_marked(line) for line in lines), fixed=True),
        *(
            Column(name, tuple(_points(line.means.get(name)) for line in lines), fixed=name == found.headline)
            for name in measures
        ),
        Column("95 %", tuple(_interval(line) for line in lines), fixed=True),
        Column("diff", tuple(_difference(line) for line in lines), fixed=True),
        Column("p", tuple(EMPTY if one.p is None else written_p(one.p) for one in lines), fixed=True),
        *(Column(QUANTITIES[name].label, tuple(_quantity(name, line) for line in lines)) for name in quantities),
        *(Column(head, tuple(row[number] for row in values), fixed=True) for number, head in enumerate(heads)),
    ]  # fmt: skip
    if any(line.state != "done" for line in lines):
        columns.insert(1, Column("asked", tuple(str(line.asked) for line in lines), fixed=True))
    return [column for column in columns if column.fixed or set(column.cells) != {EMPTY}]


def _marked(line: Line) -> str:
    return f"{line.trial.number}{'*' if line.best else ''}{'+' if line.front else ''}"


def _interval(line: Line) -> str:
    return f"{100 * line.low:.0f}-{100 * line.high:.0f}" if line.tested else EMPTY


def _difference(line: Line) -> str:
    return EMPTY if line.difference is None else f"{100 * line.difference:+.1f}"


def _points(mean: float | None) -> str:
    return EMPTY if mean is None else f"{100 * mean:.1f}"


def _quantity(name: str, line: Line) -> str:
    value = line.quantities.get(name)
    if value is None:
        return EMPTY
    if name == "cost":
        return f"{1000 * value:.2f}"
    return f"{'~' if name in line.spoiled else ''}{written(name, value)}"


def _without_equal(columns: Sequence[Column], headline: str) -> tuple[list[Column], list[str]]:
    """The columns in which rows differ, and what the others say of all rows."""
    kept, equal = [], []
    for column in columns:
        if len(column.cells) > 1 and len(set(column.cells)) == 1 and column.head not in {headline, "row", "95 %"}:
            equal += [f"{column.head} {column.cells[0]}"] if column.head not in {"diff", "p", *HIDDEN} else []
        else:
            kept.append(column)
    return kept, equal


def _fitted(columns: Sequence[Column], room: int) -> tuple[list[Column], list[str], list[str]]:
    """The columns that there is room for, the names of the others, and what letters in the columns stand for."""
    legend: list[str] = []
    if _wide(columns) > room:
        columns = [_lettered(column, legend) if column.fixed else column for column in columns]
    ranks = {name: rank for rank, name in enumerate(WANTED)}
    least = [column for column in columns if column.fixed]
    for column in sorted((one for one in columns if not one.fixed), key=lambda one: ranks.get(one.head, len(WANTED))):
        if _wide([*least, column]) <= room:
            least.append(column)
    return (
        [column for column in columns if column in least],
        [column.head for column in columns if column not in least],
        legend,
    )


def _lettered(column: Column, legend: list[str]) -> Column:
    """A column with letters for its values, where one of them is long; what they stand for goes into the legend."""
    values = list(dict.fromkeys(column.cells))
    if column.width <= LONG or len(values) > len(string.ascii_uppercase) or len(column.head) > LONG:
        return column
    letters = dict(zip(values, string.ascii_uppercase, strict=False))
    legend += [f"{column.head} {letter}: {value}" for value, letter in letters.items()]
    return replace(column, cells=tuple(letters[value] for value in column.cells))


def _wide(columns: Sequence[Column]) -> int:
    return sum(column.width + 2 for column in columns) - 2


def as_json(found: Board) -> dict[str, Any]:
    """The whole of it, for programs."""
    return {
        "run": found.run,
        "headline": found.headline,
        "questions": found.questions,
        "verdict": found.verdict,
        "unfinished": found.unfinished,
        "failures": found.failures,
        "fit": [str(one) for one in found.fit],
        "judge": found.judge or None,
        "rows": [
            {
                "row": line.trial.number,
                "recipe": line.trial.recipe,
                "varied": line.trial.varied,
                "state": line.state,
                "asked": line.asked,
                "means": line.means,
                "interval": [line.low, line.high] if line.tested else None,
                "difference": line.difference,
                "p": line.p,
                "best": line.best,
                "front": line.front,
                "misfits": line.misfits,
                "quantities": line.quantities,
                "noisy": sorted(line.spoiled),
                "measured": line.measured,
            }
            for line in found.lines
        ],
    }


def chosen(found: Board) -> str:
    """Which row is taken as the best, and of which it cannot be told."""
    first, group = found.best()
    if len(group) == 1:
        return f"Row {first.trial.number}. {found.verdict}"
    taken = f"row {first.trial.number} is taken, which has the highest {found.headline}"
    return f"{numbered(group)} cannot be told apart: {taken}."


def instead(found: Board, folder: Path) -> str:
    """Which of the rows that cannot be told from the one taken are faster or smaller, and how to take them; or ''."""
    first, group = found.best()
    speed = "answer" if first.trial.answer_key else "search"
    rows: dict[int, list[str]] = {}
    for name, most in ((speed, "the fastest"), ("ram", "the smallest")):
        known = [line for line in group if name in line.quantities]
        if first not in known:
            continue
        least = min(known, key=lambda line: line.quantities[name])
        if _quantity(name, least).strip("~") != _quantity(name, first).strip("~"):
            beside = f"{QUANTITIES[name].label} {_quantity(name, least)} and not {_quantity(name, first)}"
            rows.setdefault(least.trial.number, []).append(f"{most} ({beside})")
    book = name_of(folder)
    said = [
        f"row {number} is {' and '.join(what)}: openbook use {shlex.quote(f'{found.run}:{number}')} -b {book}"
        for number, what in rows.items()
    ]
    return f"Of these {'; '.join(said)}" if said else ""
