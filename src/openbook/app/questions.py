"""`openbook questions`: parse, call one library function, print."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from openbook.app.opening import open_book
from openbook.app.options import BookFolder, Sorted, json_option

USER_ERROR = 1


@click.group(cls=Sorted)
def questions() -> None:
    """Sets of questions with what answers them, to compare recipes by."""


@questions.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-b", "--book", "folder", type=BookFolder(), default=None, metavar="NAME|./FOLDER", help="The documents.")
@json_option
def questions_check(file: Path, folder: Path | None, as_json: bool) -> None:
    """Say what is wrong with the questions of FILE; with a book, also whether it holds the golds.

    Ends with 1 if a question is wrong.
    """
    from openbook.app import show
    from openbook.bench.checking import check_questions
    from openbook.bench.questions import read_questions

    found = read_questions(file)
    with ExitStack() as stack:
        book = stack.enter_context(open_book(folder)) if folder else None
        findings = check_questions(found, book)
    wrong = [one for one in findings if one.question]
    if as_json:
        show.as_json({
            "questions": len(found),
            "findings": [{"question": one.question, "said": one.said} for one in findings],
        })  # fmt: skip
    else:
        for one in findings:
            click.echo(f"{one.question}: {one.said}" if one.question else one.said)
        answers, gold = sum(bool(one.answers) for one in found), sum(bool(one.gold) for one in found)
        click.echo(f"{show.count(len(found), 'question')}, {answers:,} with answers, {gold:,} with gold.")
    if wrong:
        raise click.exceptions.Exit(USER_ERROR)


@questions.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The file to write, JSON Lines.")
@json_option
def questions_import(source: Path, out: Path, as_json: bool) -> None:
    """Write the questions of SOURCE (a folder in BEIR's layout, SQuAD's .json, a .csv) as openbook reads them."""
    from openbook.app import show
    from openbook.bench.questions import import_questions, write_questions
    from openbook.errors import BookError

    if out.exists():
        raise BookError(f"{out} is there already. Name another file: -o FILE")
    found = import_questions(source)
    write_questions(found, out)
    if as_json:
        show.as_json({"questions": len(found), "file": str(out)})
    else:
        click.echo(f"{show.count(len(found), 'question')} in {out}")
