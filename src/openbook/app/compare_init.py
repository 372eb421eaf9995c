"""`openbook compare init`: parse, call one library function, print."""

from __future__ import annotations

from pathlib import Path

import click

from openbook.app.opening import open_book
from openbook.app.options import book_option, json_option


@click.command("init")
@book_option
@click.option("-o", "--out", type=click.Path(path_type=Path), default="sweep.toml", show_default=True, help="The file.")
@click.option(
    "--questions",
    type=click.Path(path_type=Path),
    default=None,
    help="The questions to compare by.  [default: BOOK-questions.jsonl]",
)
@click.option("--models", is_flag=True, help="Compare the models that are here, by the book's own search.")
@json_option
def compare_init(folder: Path, out: Path, questions: Path | None, models: bool, as_json: bool) -> None:
    """Write a first sweep for a book: its documents, its recipe as the baseline, what to vary first."""
    from openbook.app import show
    from openbook.bench.starting import Start
    from openbook.errors import BookError
    from openbook.home import absolute
    from openbook.text import well_formed
    from openbook.writing import write

    if out.exists():
        raise BookError(f"{out} is there already. Name another file: -o FILE")
    questions = questions or Path(f"{folder.name}-questions.jsonl")  # as `questions make` calls them
    with open_book(folder) as book:
        start = Start(book, absolute(questions), absolute(out))
        text = start.models() if models else start.search()
    try:
        write(out, well_formed(text))
    except OSError as error:
        raise BookError(f"Cannot write {out}: {error.strerror}. Name another file: -o FILE") from error
    if as_json:
        show.as_json({"file": str(out), "questions": str(questions), "questions_there": questions.exists()})
        return
    click.echo(str(out))
    if not questions.exists():
        click.echo(f"{questions} is not there yet. Have some written: openbook questions make --help", err=True)
    click.echo(f"What it comes to: openbook compare {out} --dry-run", err=True)
