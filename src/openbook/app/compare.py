"""`openbook compare`: parse, call one library function, print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openbook.app.compare_init import compare_init
from openbook.app.opening import open_book
from openbook.app.options import Sorted, book_option, json_option

if TYPE_CHECKING:
    from openbook.bench.board import Board, Line


class _Compare(Sorted):
    """`openbook compare sweep.toml` runs it."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """What is no command is the file of a sweep."""
        if args and args[0] not in self.commands and (args[0].endswith(".toml") or Path(args[0]).is_file()):
            return super().resolve_command(ctx, ["run", *args])
        return super().resolve_command(ctx, args)


@click.group(cls=_Compare)
def compare() -> None:
    """Compare recipes over the same questions: `compare sweep.toml` runs them, `compare show` shows the table."""


compare.add_command(compare_init)


@compare.command("run")
@click.argument("sweep", type=click.Path(path_type=Path))
@click.option("--name", default="", help="What the comparison is called.  [default: the file's name]")
@click.option("--dry-run", is_flag=True, help="Only say what it would come to.")
@json_option
def compare_run(sweep: Path, name: str, dry_run: bool, as_json: bool) -> None:
    """Run the sweep of a file; stopped at any moment, the same command goes on where it was."""
    from openbook.app import show
    from openbook.app.leaving import Leaving
    from openbook.bench.running import Runner
    from openbook.bench.sweep import read_sweep

    with show.Bar() as report:
        found = read_sweep(sweep)
        runner = Runner(found, name or sweep.stem, report)
        plan = runner.plan()
        if not dry_run:
            leaving = Leaving()
            for trial in found.trials:
                leaving.compared(trial.recipe, documents=plan.indexes > 0, answers=plan.answers > 0)
            runner.run()
    if not dry_run:
        _show(runner.name, "", 1, as_json=as_json)
    elif as_json:
        from dataclasses import asdict

        show.as_json(asdict(plan))
    else:
        click.echo(
            f"{show.count(plan.trials, 'recipe')}, {show.count(plan.questions, 'question')}. Still to do: "
            f"{plan.indexes:,} indexes, {plan.searches:,} searches, {plan.answers:,} answers."
        )


@compare.command("show")
@click.argument("run", default="")
@click.option("--by", "headline", default="", metavar="MEASURE", help="The measure that decides, such as nDCG@10.")
@click.option("--against", default=1, metavar="ROW", help="The row the others are tested against.", show_default=True)
@json_option
def compare_show(run: str, headline: str, against: int, as_json: bool) -> None:
    """Show the table of a comparison, the last one when none is named."""
    _show(run, headline, against, as_json=as_json)


@compare.command("report")
@click.argument("run", default="")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=None, help="The file.  [default: RUN.html]")
@click.option("--by", "headline", default="", metavar="MEASURE", help="The measure that decides, such as nDCG@10.")
@click.option("--against", default=1, metavar="ROW", help="The row the others are tested against.", show_default=True)
def compare_report(run: str, out: Path | None, headline: str, against: int) -> None:
    """Write a comparison as one page: table, pictures, every question. It opens without a network."""
    from openbook.bench.report import page
    from openbook.bench.results import Results
    from openbook.bench.running import results_path
    from openbook.errors import BookError

    with Results(results_path()) as results:
        text = page(results, run, headline, against)
        path = out or Path(f"{results.run(run).name}.html")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BookError(f"Cannot write {path}: {error.strerror}. Name another file: -o FILE") from error
    click.echo(str(path))


@compare.command("use")
@click.argument("row", metavar="[RUN]:ROW")
@book_option
def compare_use(row: str, folder: Path) -> None:
    """Make the recipe of a row the recipe of a book; chunks and vectors are made again where it needs others."""
    from openbook.app import show
    from openbook.app.leaving import Leaving
    from openbook.bench.results import Results
    from openbook.bench.running import results_path
    from openbook.manifest import MADE_OF
    from openbook.recipe import Recipe

    with Results(results_path()) as results:
        recipe = Recipe.from_dict(results.trial(row).recipe)
    with open_book(folder) as book:
        again = [step for step in MADE_OF if book.recipe.specs(step) != recipe.specs(step)]
        if again:
            Leaving().documents(recipe)
            with show.Bar() as report:
                chunks = book.rebuild(recipe, report=report)
            click.echo(f"Rebuilt: {show.count(chunks, 'chunk')}.")
        else:
            book.recipe = recipe
            book.keep_recipe()
        show.recipe(book.recipe)


def _show(run: str, headline: str, against: int, *, as_json: bool) -> None:
    from openbook.app import show
    from openbook.bench.board import board
    from openbook.bench.results import Results
    from openbook.bench.running import results_path
    from openbook.bench.scoring import Scorer

    with Results(results_path()) as results:
        found = board(Scorer(results, results.run(run)), headline, against)
    if as_json:
        show.as_json(_json(found))
        return
    _table(found)


def _table(found: Board) -> None:
    from openbook.app import show

    measures = list(dict.fromkeys(name for line in found.lines for name in line.means))
    rows = [["row", *measures, "95 %", "diff", "p", "search", "first", "tok/s", "memory", "recipe"]]
    for line in found.lines:
        means = [f"{100 * line.means[name]:.1f}" if name in line.means else "-" for name in measures]
        rows.append([
            f"{line.trial.number}{'*' if line.best else ''}",
            *means,
            f"{100 * line.low:.0f}-{100 * line.high:.0f}",
            f"{100 * line.difference:+.1f}",
            "-" if line.p is None else f"{line.p:.3f}",
            f"{1000 * line.speeds['search']:.0f} ms" if "search" in line.speeds else "-",
            f"{line.speeds['first_token']:.1f} s" if "first_token" in line.speeds else "-",
            f"{line.speeds['tokens_per_second']:.1f}" if "tokens_per_second" in line.speeds else "-",
            _memory(line),
            line.trial.label,
        ])  # fmt: skip
    show.table(rows)
    if found.failures:
        show.note(
            f"{show.count(len(found.failures), 'answer')} failed and counted as wrong; the same comparison asks again. "
            f"The first: {found.failures[0]}"
        )
    click.echo(f"\n{show.count(found.questions, 'question')}, judged by {found.headline}. {found.verdict}")
    click.echo(
        "* cannot be told from the best. p: against the baseline, Holm's correction. More: openbook compare show --help"
    )


def _memory(line: Line) -> str:
    from openbook.models.catalogue import readable

    peak = max((stage.get("peak_bytes", 0) for stage in line.measured.values()), default=0)
    return readable(peak) if peak else "-"


def _json(found: Board) -> dict[str, Any]:
    return {
        "run": found.run,
        "headline": found.headline,
        "questions": found.questions,
        "verdict": found.verdict,
        "failures": found.failures,
        "rows": [
            {
                "row": line.trial.number,
                "recipe": line.trial.recipe,
                "varied": line.trial.varied,
                "means": line.means,
                "interval": [line.low, line.high],
                "difference": line.difference,
                "p": line.p,
                "best": line.best,
                "seconds": line.speeds,
                "measured": line.measured,
            }
            for line in found.lines
        ],
    }
