"""`openbook questions`: parse, call one library function, print."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from openbook.app.opening import open_book, with_llm
from openbook.app.options import USER_ERROR, BookFolder, Sorted, book_option, json_option


class Share(click.FloatRange):
    """Of something: 'nan', which is in no range and out of none, is refused too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        share = float(super().convert(value, param, ctx))
        return share if share == share else self.fail(f"{value!r} is no number.", param, ctx)


@click.group(cls=Sorted)
def questions() -> None:
    """Sets of questions with what answers them, to compare recipes by."""


@questions.command("make")
@book_option
@click.option("-n", "wanted", type=click.IntRange(1), default=200, show_default=True, help="How many questions.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=None, help="The file.  [default: BOOK-questions.jsonl]"
)
@click.option("--llm", metavar="SPEC|MODEL", default="", help="Another model than the book's to write and to read.")
@click.option(
    "--unanswerable",
    type=Share(0, 1),
    default=0.2,
    show_default=True,
    help="The share of questions that the documents do not answer.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Other stretches are asked about.")
@json_option
def questions_make(
    folder: Path, wanted: int, out: Path | None, llm: str, unanswerable: float, seed: int, as_json: bool
) -> None:
    """Let a model write questions about a book's documents, with answers and where these stand.

    A question is kept when the model answers it from the text and not without it. Read them: lines may be deleted or
    edited. Stopped at any moment, the same command goes on; what was tried and not kept is in FILE.tried.jsonl.
    """
    from openbook.app import show
    from openbook.app.leaving import Leaving
    from openbook.bench.generation.making import Maker
    from openbook.manifest import name_of

    out = out or Path(f"{folder.name}-questions.jsonl")
    with open_book(folder, with_llm((), llm)) as book, show.Bar() as report:
        maker = Maker(book, out, wanted, unanswerable, seed, report)
        leaving = Leaving()
        leaving.say("Questions and parts of the documents", book.llm.remote)
        if unanswerable:
            leaving.search(book)
        made = maker.run()
    if as_json:
        show.as_json(made.to_dict())
        return
    click.echo(
        f"{show.path(str(made.path))}: {show.count(len(made.questions), 'question')}, {made.unanswerable:,} of them "
        f"without an answer. Tried: {made.tried:,} {'stretch' if made.tried == 1 else 'stretches'}."
    )
    if made.rejected:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in made.rejected.items())
        click.echo(f"Not kept: {reasons}. See {show.path(str(made.journal))}")
    if made.overlap:
        click.echo(
            f"Of a question's words {made.overlap:.0%} stand in the sentence that answers it, on average: a search by "
            "words has it easier with them than with a person's."
        )
    if made.short:
        show.note(f"Fewer than {wanted:,}: {made.short}.")
    if made.questions:
        click.echo("\nRead them, delete or edit lines. Then:")
        show.command(f"openbook questions check {show.path(str(made.path))} -b {name_of(folder)}")
        show.command("openbook compare sweep.toml")


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
