"""`openbook compare`, `report` and `use`: parse, call one library function, print."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from openbook.app.compare_init import compare_init
from openbook.app.opening import open_book
from openbook.app.options import Sorted, book_option, json_option

if TYPE_CHECKING:
    from openbook.bench.board import Board
    from openbook.bench.results import Results, TrialRow

F = TypeVar("F", bound=Callable[..., Any])


class _Compare(Sorted):
    """`openbook compare sweep.toml` runs it."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """What is no command is the file of a sweep."""
        if args and args[0] not in self.commands:
            from openbook.recipe import did_you_mean

            if args[0].endswith(".toml") or os.path.lexists(args[0]) or not did_you_mean(args[0], [*self.commands]):
                return super().resolve_command(ctx, ["run", *args])
        return super().resolve_command(ctx, args)


@click.group(cls=_Compare)
def compare() -> None:
    """Compare recipes over the same questions: `compare init -b BOOK` writes a sweep, `compare sweep.toml` runs it.

    `compare show` shows the table. Then: `openbook report`, `openbook why` and `openbook use`.
    """


compare.add_command(compare_init)


@compare.command("run")
@click.argument("sweep", type=click.Path(path_type=Path))
@click.option("--name", default="", help="What the comparison is called.  [default: the file's name]")
@click.option("--dry-run", is_flag=True, help="Only say what it would come to.")
@json_option
def compare_run(sweep: Path, name: str, dry_run: bool, as_json: bool) -> None:
    """Run the sweep of a file; stopped at any moment, the same command goes on where it was."""
    from openbook.app import comparing

    if not os.path.lexists(sweep):
        with _results() as results:
            raise comparing.no_sweep(sweep, results.runs())
    if dry_run:
        comparing.forecast(sweep, name or sweep.stem, as_json=as_json)
        return
    comparing.run(sweep, name or sweep.stem)
    _show(name or sweep.stem, "", 1, as_json=as_json)


against_option = click.option(
    "--against", default=1, metavar="ROW", help="The row the others are tested against.", show_default=True
)


def judged_options(command: F) -> F:
    """--by and --fit: how the rows of a comparison are judged."""
    for option in (
        click.option(
            "--fit",
            default="",
            metavar="CONDITIONS",
            help='Only rows that keep these, such as: "ram<8GB, first_token<5s, disk<1GB, cost<0.01, recall@5>0.8"',
        ),
        click.option(
            "--by", "headline", default="", metavar="MEASURE", help="The measure that decides, such as nDCG@10."
        ),
    ):
        command = option(command)
    return command


@compare.command("show")
@click.argument("run", default="")
@judged_options
@against_option
@click.option("--wide", is_flag=True, help="Every column, however wide the table gets.")
@json_option
def compare_show(run: str, headline: str, against: int, fit: str, wide: bool, as_json: bool) -> None:
    """Show the table of a comparison, the last one when none is named; also while it runs."""
    _show(run, headline, against, fit, wide=wide, as_json=as_json)


@compare.command("list")
@json_option
def compare_list(as_json: bool) -> None:
    """List the comparisons, the latest last."""
    from openbook.app import show
    from openbook.bench.scoring import Scorer

    with _results() as results:
        found = []
        for run in map(results.run, results.runs()):
            scorer, headline = Scorer(results, run), str(run.settings["headline"])
            done = sum(scorer.done(trial, headline) == len(run.questions) for trial in run.trials)
            found.append({
                "name": run.name,
                "made": run.made,
                "rows": len(run.trials),
                "done": done,
                "questions": len(run.questions),
                "headline": headline,
            })  # fmt: skip
    if as_json:
        show.as_json(found)
    elif not found:
        click.echo("Nothing was compared yet. Begin with: openbook compare init -b BOOK")
    else:
        rows = [[str(value) for value in one.values()] for one in found]
        for row in rows:
            row[1] = row[1][:16].replace("T", " ")
        show.table([["name", "last run (UTC)", "rows", "done", "questions", "judged by"], *rows])


@click.command()
@click.argument("run", default="")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=None, help="The file, - for stdout.  [default: RUN.html]"
)
@judged_options
@against_option
@click.option("--without-texts", is_flag=True, help="Leave out the words of questions, answers and documents.")
@json_option
def report(
    run: str, out: Path | None, headline: str, against: int, fit: str, without_texts: bool, as_json: bool
) -> None:
    """Write a comparison as one page, the last one when none is named: table, pictures, every question.

    The page is one file that opens without a network. With --without-texts it can be shown to people who may not read
    the documents: it has numbers, recipes and the names of files.
    """
    from openbook.app import show
    from openbook.bench.constraints import constraints
    from openbook.bench.report.page import page
    from openbook.errors import BookError
    from openbook.writing import write

    if str(out) == "-" and as_json:
        raise BookError("--json says which file was written, and -o - writes none. Leave one of them out.")
    with _results() as results:
        text = page(results, run, headline, against, constraints(fit), texts=not without_texts)
        if str(out) == "-":
            click.echo(text.encode(), nl=False)  # as in a file, whatever the terminal's encoding
            return
        path = out or Path(f"{_file_name(results.run(run).name)}.html")
    try:
        write(path, text)
    except OSError as error:
        raise BookError(f"Cannot write {path}: {error.strerror}. Name another file: -o FILE") from error
    if as_json:
        show.as_json({"path": str(path), "size_bytes": len(text.encode())})
    else:
        click.echo(str(path))


def _file_name(name: str) -> str:
    """A comparison's name, without what would lead into another folder."""
    return "".join("-" if letter in "/\\:\0" else letter for letter in name) or "report"


@click.command()
@click.argument("row", metavar="[RUN][:ROW]", default="")
@book_option
@judged_options
@json_option
def use(row: str, folder: Path, headline: str, fit: str, as_json: bool) -> None:
    """Make the recipe of a row the recipe of a book, of the best row when none is named.

    Where several rows cannot be told from the best, the one with the highest mean is taken; --fit narrows the choice.
    Chunks and vectors are made again where the recipe needs others.
    """
    from openbook.app import show, show_board
    from openbook.app.leaving import Leaving
    from openbook.manifest import MADE_OF, READING
    from openbook.recipe import Recipe

    trial, why, found = _chosen(row, headline, fit)
    recipe = Recipe.from_dict(trial.recipe)
    for line in filter(None, [why, show_board.instead(found, folder) if found else ""]):
        show.note(line)
    with open_book(folder) as book:
        again = [step for step in MADE_OF if book.recipe.specs(step) != recipe.specs(step)]
        reading = [step for step in READING if book.recipe.specs(step) != recipe.specs(step)]
        chunks = None
        if again:
            Leaving().documents(recipe)
            with show.Bar() as bar:
                chunks = book.rebuild(recipe, report=bar)
        else:
            book.recipe = recipe
            book.keep_recipe()
        if reading:
            show.note(f"The book was read with another {' and '.join(reading)}: this holds from the next add on.")
        if as_json:
            show.as_json({"row": trial.number, "why": why, "recipe": book.recipe.to_dict(), "rebuilt": chunks})
            return
        if chunks is not None:
            click.echo(f"Rebuilt: {show.count(chunks, 'chunk')}.")
        show.recipe(book.recipe)


def _chosen(row: str, headline: str, fit: str) -> tuple[TrialRow, str, Board | None]:
    """The row that is named, or the best, why that one, and the table it was taken from."""
    from openbook.app.show_board import chosen
    from openbook.errors import BookError

    name, sign, number = row.rpartition(":")
    if sign and number.isdecimal():
        if fit or headline:
            raise BookError(f"{row} names the row itself. Leave out --by and --fit, or the number.")
        with _results() as results:
            return results.trial(row), "", None
    found = _board(name if sign and not number else row, headline, 1, fit)
    return found.best()[0].trial, " ".join(filter(None, [chosen(found), found.unfinished])), found


def _show(run: str, headline: str, against: int, fit: str = "", *, wide: bool = False, as_json: bool) -> None:
    from openbook.app import show, show_board

    found = _board(run, headline, against, fit)
    if as_json:
        show.as_json(show_board.as_json(found))
    else:
        show_board.table(found, wide=wide)


def _board(run: str, headline: str, against: int, fit: str) -> Board:
    from openbook.bench.board import board
    from openbook.bench.constraints import constraints
    from openbook.bench.scoring import Scorer

    wanted = constraints(fit)
    with _results() as results:
        return board(Scorer(results, results.run(run)), headline, against, wanted)


@contextmanager
def _results() -> Generator[Results]:
    from openbook.bench.results import Results, results_path

    with Results(results_path()) as results:
        yield results
