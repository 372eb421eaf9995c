"""Commands that read documents from end to end: `summarize`, and `ask --all`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from openbook.app.opening import open_book, with_llm
from openbook.app.options import book_option, json_option, set_option, verbose_option
from openbook.text import well_formed

if TYPE_CHECKING:
    from openbook.book import Book
    from openbook.types import Progress
    from openbook.whole import Whole

F = TypeVar("F", bound=Callable[..., Any])

LONG_SECONDS = 180.0  # of work that is asked about before it goes on


def all_option(command: F) -> F:
    """--all, put the question to every passage."""
    return click.option("--all", "every", is_flag=True, help="Put the question to every passage of the book.")(command)


def yes_option(command: F) -> F:
    """-y, do not ask whether a long work shall go on."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask before work that takes some minutes.")(command)


@click.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@book_option
@click.option("--words", type=click.IntRange(1), metavar="N", help="About how many words.  [default: 150]")
@click.option("--focus", metavar="QUESTION", default="", help="Only what the documents say about this.")
@click.option("--llm", metavar="SPEC|MODEL", default="", help="Another model: short for --set llm=...")
@set_option('Another component for this summary, such as: "llm=llamacpp(parallel=4)". Repeatable.')
@yes_option
@click.option(
    "--dry-run", "only_say", is_flag=True, help="Only say what it would come to: tokens, price. Sends nothing."
)
@json_option
@verbose_option
def summarize(
    sources: tuple[str, ...],
    folder: Path,
    words: int | None,
    focus: str,
    llm: str,
    choices: tuple[str, ...],
    yes: bool,
    only_say: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Sum up documents of a book, each sentence with the passages that say it.

    SOURCE is a path, a folder, a file's name, or a source such as rows.jsonl#7; without one it is the whole book. The
    model reads everything once. What it wrote is kept with the book, so that the same command, stopped, goes on where
    it was.
    """
    from openbook.app import show
    from openbook.app.leaving import Leaving
    from openbook.summarizing import WORDS

    with open_book(folder, with_llm(choices, llm)) as book, show.Bar() as bar:
        if only_say:
            from openbook.app import dry_run
            from openbook.summarizing import summarize as sum_up

            work = partial(sum_up, words=words or WORDS, focus=well_formed(focus))
            dry_run.whole(book.readable(sources), work, merged=True, as_json=as_json)
            return
        Leaving().say("The text of the documents", book.llm.remote)
        found = book.summarize(sources, words=words or WORDS, focus=focus, report=_patient(bar, yes=yes))
    _show(found, as_json=as_json, verbose=verbose)


def show_all(question: str, book: Book, where: str, *, yes: bool, only_say: bool, as_json: bool, verbose: bool) -> None:
    """What every passage says about a question."""
    from openbook.app import show
    from openbook.app.leaving import Leaving

    if only_say:
        from openbook.app import dry_run
        from openbook.searching import refuse
        from openbook.surveying import survey

        refuse(question, 1)
        dry_run.whole(
            book.readable(where=where), partial(survey, question=well_formed(question)), merged=False, as_json=as_json
        )
        return
    Leaving().say("The text of the documents", book.llm.remote)
    with show.Bar() as bar:
        found = book.ask_all(question, where=where, report=_patient(bar, yes=yes))
    _show(found, as_json=as_json, verbose=verbose)


def _patient(bar: Callable[[Progress], None], *, yes: bool) -> Callable[[Progress], None]:
    """Shows how far it is, and asks once whether a work that takes minutes shall go on."""
    from openbook.app import show

    def report(progress: Progress) -> None:
        seconds = progress.seconds_left or 0.0
        if progress.step != "estimate":
            bar(progress)
        elif seconds >= LONG_SECONDS and not yes and sys.stdin.isatty():
            left = f"{show.count(progress.total - progress.done, progress.unit.removesuffix('s'))}"
            click.confirm(f"{left} to go, about {show.duration(seconds)}. Go on?", default=True, abort=True, err=True)
        elif seconds >= show.WORTH_SAYING:
            show.note(f"{show.count(progress.total, progress.unit.removesuffix('s'))}, about {show.duration(seconds)}.")

    return report


def _show(found: Whole, *, as_json: bool, verbose: bool) -> None:
    from openbook.app import show

    answer = found.answer
    if as_json:
        counts = {"documents": found.documents, "read": found.passages, "about": found.about, "dropped": found.dropped}
        show.as_json({**show.answer_json(answer), **counts, "calls": found.calls, "remembered": found.known})
        return
    if answer.question:
        click.echo(f"{found.about:,} of {show.count(found.passages, 'passage')} say something about it.\n")
    click.echo(answer.text or "Nothing was found to say.")
    click.echo()
    show.cited(answer)
    if answer.model == "quote":
        show.note("quote is no model: it says passages and cannot sum them up. Name a model with --llm.")
    if found.dropped:
        show.note(f"{show.count(found.dropped, 'sentence')} left out: no passage holds enough of the words.")
    if verbose:
        click.echo(
            f"{show.count(found.passages, 'passage')} of {show.count(found.documents, 'document')}, "
            f"{show.count(found.calls, 'call')} of {answer.model}, {found.known:,} of them remembered, "
            f"{show.duration(answer.timing.total)}"
        )
