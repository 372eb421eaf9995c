"""`openbook compare sweep.toml`: runs a comparison, or says what it would come to."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openbook.app import show
from openbook.app.leaving import Leaving
from openbook.app.live import Live
from openbook.bench.results import MOST_NAMED, named
from openbook.bench.running import Runner
from openbook.bench.sweep import read_sweep
from openbook.errors import BookError
from openbook.models.catalogue import readable
from openbook.recipe import did_you_mean

if TYPE_CHECKING:
    from openbook.bench.forecasting import Forecast
    from openbook.costing import Forecast as Cost


def no_sweep(path: Path, runs: Sequence[str]) -> BookError:
    """The error that there is no such file, with what was meant perhaps: a comparison that was run, another sweep."""
    said = f"Cannot read {path}: there is no such file."
    if path.name in runs:
        again = path.with_name(f"{path.name}.toml")
        other = f", and {again} runs it again" if again.is_file() else ""
        return BookError(f"{said} A comparison is called so: openbook compare show {shlex.quote(path.name)}{other}.")
    there = [str(one) for one in sorted(path.parent.glob("*.toml")) if _is_sweep(one)]
    hint = did_you_mean(str(path), there) or did_you_mean(path.stem, list(runs))
    if there:
        return BookError(f"{said}{hint} Sweeps: {', '.join(there[:MOST_NAMED])}.")
    if runs:
        return BookError(f"{said}{hint} {named(runs)} Their tables: openbook compare show RUN")
    return BookError(f"{said} Write one with: openbook compare init -b BOOK")


def _is_sweep(path: Path) -> bool:
    try:
        return {"documents", "questions"} <= tomllib.loads(path.read_text("utf-8")).keys()
    except (OSError, ValueError, RecursionError):
        return False


def run(path: Path, name: str) -> None:
    """Run the sweep of a file under that name."""
    with Live() as live:
        sweep = read_sweep(path)
        runner = Runner(sweep, name, live.report, live.rows, live.note)
        plan, leaving = runner.plan(), Leaving()
        for recipe in runner.recipes:
            leaving.compared(recipe, documents=plan.indexes > 0, answers=plan.answers > 0)
        runner.run()


def forecast(path: Path, name: str, *, as_json: bool) -> None:
    """Say what is still to do, how long it takes, how much disk and money."""
    with Live() as live:
        sweep = read_sweep(path)
        runner = Runner(sweep, name, live.report, note=live.note)
        plan, found = runner.plan(), runner.forecast()
    if as_json:
        services = [
            {name: getattr(one, name) for name in ("model", "remote", "prompt_tokens", "answer_tokens", "dollars")}
            for one in found.services
        ]
        said = asdict(replace(found, services=())) | {"seconds": found.seconds, "services": services}
        show.as_json(asdict(plan) | said)
        return
    click.echo(
        f"{show.count(plan.trials, 'recipe')}, {show.count(plan.questions, 'question')}. Still to do: "
        f"{show.count(plan.indexes, 'index', 'indexes')}, {show.count(plan.searches, 'search', 'searches')}, "
        f"{show.count(plan.answers, 'answer')}."
    )
    if plan.indexes or plan.searches or plan.answers:
        click.echo(_seconds(found))
        click.echo(f"About {readable(found.disk_bytes)} on the disk, which has {readable(found.free_bytes)} free.")
    for one in found.services:
        click.echo(_service(one))
    if sweep.run.minutes:
        minutes = "a minute" if sweep.run.minutes == 1 else f"{sweep.run.minutes:g} minutes"
        click.echo(f"One run takes {minutes} at most; the same command goes on.")
    if sweep.run.risk is not None:
        click.echo("A race: rows that clearly lose are dropped on the way, about half of the work where many do.")


def _seconds(found: Forecast) -> str:
    parts = {"indexes": found.index_seconds, "searches": found.search_seconds, "answers": found.answer_seconds}
    each = ", ".join(f"{name} {show.duration(seconds)}" for name, seconds in parts.items() if seconds)
    return f"About {show.duration(found.seconds)}: {each}. Known from: {', '.join(found.basis)}."


def _service(one: Cost) -> str:
    tokens = f"About {show.round_number(one.prompt_tokens)} tokens to {one.model} at {one.remote}"
    answers = f" and at most {show.round_number(one.answer_tokens)} back" if one.answer_tokens else ""
    price = "no price of it is known" if one.dollars is None else f"at most {show.dollars(one.dollars)}"
    return f"{tokens}{answers}: {price}."
