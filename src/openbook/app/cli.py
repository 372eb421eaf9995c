"""The command line: parse, call one library function, print."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

import openbook
from openbook.app.ask import ask
from openbook.app.chat import chat
from openbook.app.compare import compare, report, use
from openbook.app.model_commands import models, pull_if_missing
from openbook.app.notices import listen, unwritten
from openbook.app.opening import dry_book, open_book, recipe_of, recipe_with, with_llm
from openbook.app.options import (
    USER_ERROR,
    Sorted,
    book_option,
    json_option,
    limit_options,
    set_option,
    verbose_option,
    where_option,
)
from openbook.app.questions import questions
from openbook.app.whole import summarize
from openbook.app.why import why
from openbook.errors import OpenbookError
from openbook.home import books_folder
from openbook.text import well_formed

F = TypeVar("F", bound=Callable[..., Any])

USAGE_ERROR, STOPPED = 2, 130
# What goes on where it was stopped.
RESUMED = ("add", "compare", "demo", "models pull", "questions make", "rebuild", "summarize", "use")


@click.group(cls=Sorted, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(openbook.__version__, prog_name="openbook", message="%(prog)s %(version)s")
def cli() -> None:
    """Ask your own documents on your own machine, with citations to the exact characters.

    \b
    First steps:
      openbook demo                              see it work on the Bible
      openbook add -b reports ~/reports          read a folder into a book
      openbook search -b reports "net revenue"   find passages
      openbook ask -b reports "How did revenue change?"
    """  # noqa: D301 - click keeps the lines where the character itself stands


@cli.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask before downloading the model.")
@click.option("--llm", metavar="SPEC|MODEL", default="", help="Answer with another model, such as: quote")
def demo(yes: bool, llm: str) -> None:
    """Index the Bible, ask it one question, print the cited answer.

    Uses the book 'bible'. The Bible is part of openbook; the model that answers is downloaded (about 1.1 GB) unless it
    is there already.
    """
    from openbook.app import show, show_documents
    from openbook.app.leaving import Leaving
    from openbook.demo import kjv
    from openbook.home import home

    choices = with_llm((), llm)
    chosen = recipe_with(None, choices).llm
    if chosen.name == "llamacpp" and "model" in chosen.options:
        pull_if_missing(str(chosen.options["model"]), yes=yes)
    text = kjv(home() / "demo")
    question = "Who was swallowed by a great fish, and for how long?"
    show.command(f"openbook add -b bible {text}")
    with open_book(books_folder() / "bible", create=True) as book:
        with show.Bar() as report:
            added = book.add([text], report=report)
        show_documents.added(added, book)
    show.command(f'openbook ask -b bible "{question}"')
    with open_book(books_folder() / "bible", choices) as book:
        show.stream(Leaving().heard(book.stream(question), book), book, verbose=True)


@cli.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE|FOLDER...")
@book_option
@set_option("Another component for a step of a new book, such as: splitter='chars(size=1000)'. Repeatable.")
@click.option("--watch", is_flag=True, help="Stay, and add again whenever something below the paths changes.")
@click.option("--dry-run", is_flag=True, help="Only say what it would come to: chunks, time, disk. Changes nothing.")
@limit_options
@json_option
@verbose_option
def add(
    paths: tuple[str, ...],
    folder: Path,
    choices: tuple[str, ...],
    watch: bool,
    dry_run: bool,
    time_limit: float,
    memory_limit: int,
    as_json: bool,
    verbose: bool,
) -> None:
    """Read, split and embed files, folders, patterns and archives into a book; makes the book if it is new.

    Adding again looks only at what changed, removes what is gone from a folder, and goes on where an earlier run was
    stopped. Ends with 1 if any file failed.
    """
    from openbook.app import show, show_documents
    from openbook.app.leaving import Leaving, embedder_host
    from openbook.finding import refuse_missing
    from openbook.reading import Limits

    refuse_missing(paths)  # before a book is made, or its recipe changed, for a path that was mistyped
    failed, limits = False, Limits(time_limit, memory_limit)
    if dry_run and embedder_host(recipe_of(folder, choices)):
        from openbook.app.dry_run import add as dry_add

        dry_add(folder, choices, paths, limits, as_json=as_json)
        return
    if dry_run:
        with dry_book(folder, choices) as book:
            show_documents.estimate(book.estimate(paths, limits=limits), book.recipe, as_json=as_json)
        return
    Leaving().documents(recipe_of(folder, choices))
    with open_book(folder, choices, create=True) as book:
        if choices:
            book.keep_recipe()
        adding = False
        try:
            for _ in _again_and_again(paths, book.folder) if watch else [None]:
                adding = True
                with show.Bar() as report:
                    added = book.add(paths, limits=limits, report=report)
                adding, failed = False, bool(added.failed or added.partial)
                show_documents.added(added, book, verbose=verbose, as_json=as_json)
        except KeyboardInterrupt:
            if adding or not watch:  # nothing is cut short while it only watches
                raise
    if failed:
        raise click.exceptions.Exit(USER_ERROR)


def _again_and_again(paths: tuple[str, ...], book: Path) -> Iterator[None]:
    from openbook.watching import changes

    for number, _ in enumerate(changes([Path(path) for path in paths], book)):
        yield
        if number == 0:
            click.echo("Watching for changes; stop with Ctrl-C.", err=True)


@cli.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@set_option("Another reader or other cleaners, such as: cleaners=repair. Repeatable.")
@limit_options
@json_option
def read(paths: tuple[str, ...], choices: tuple[str, ...], time_limit: float, memory_limit: int, as_json: bool) -> None:
    """Show what openbook sees in files: text with pages and headings, fields, and what cleaning took out.

    Nothing is added to a book. Ends with 1 if a file, or a part of one, cannot be read.
    """
    from openbook.app import show, show_documents
    from openbook.finding import find
    from openbook.reading import Job, Limits, Reading

    recipe = recipe_with(None, choices)
    steps = recipe.to_dict()
    failed = False
    with Reading(steps["reader"], steps["cleaners"], Limits(time_limit, memory_limit), explain=True) as reading:
        for file in find(map(Path, paths), lambda path: True).files:
            events = (event for _, event in reading.read([Job(file.path)]))
            if as_json:
                said = show_documents.read_json(file.path, events)
                show.as_json(said)
                failed = failed or bool(said["error"] or said["unread"])
            else:
                failed = show_documents.read(file.path, events) or failed
    if failed:
        raise click.exceptions.Exit(USER_ERROR)


@cli.command()
@click.argument("question", nargs=-1, required=True)
@book_option
@click.option("-k", default=0, metavar="N", help="How many passages.  [default: 5]")
@where_option
@set_option("Another retriever for this search, such as: retriever=bm25. Repeatable.")
@json_option
@verbose_option
def search(
    question: tuple[str, ...],
    folder: Path,
    k: int,
    where: str,
    choices: tuple[str, ...],
    as_json: bool,
    verbose: bool,
) -> None:
    """Find the passages nearest to QUESTION, best first."""
    from openbook.app import show
    from openbook.app.leaving import Leaving

    words = well_formed(" ".join(question))
    with open_book(folder, choices) as book:
        Leaving().search(book)
        passages, timing = book.retrieve(words, _count(k), where=where)
        if as_json:
            show.as_json(show.search_json(words, passages, timing))
        else:
            show.passages(passages)
            show.unheld(words, passages)
            if verbose:
                show.recipe(book.recipe)
                show.search_timing(timing)


@cli.command()
@click.argument("question", nargs=-1, required=True)
@book_option
@click.option("-k", default=0, metavar="N", help="How many passages are shown.  [default: 5]")
@click.option("--passage", metavar="TEXT", default="", help="Some text of a passage that should be found.")
@where_option
@set_option("Another retriever or refiner for this search, such as: retriever=dense. Repeatable.")
@json_option
def explain(
    question: tuple[str, ...],
    folder: Path,
    k: int,
    passage: str,
    where: str,
    choices: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show what each step of a search made of QUESTION: ranks and scores, and where a passage was lost.

    The columns are ranks, with scores: by meaning alone (dense), by words alone (bm25), after each step of the recipe.
    """
    from openbook.app import show, show_search
    from openbook.app.leaving import Leaving

    words = well_formed(" ".join(question))
    with open_book(folder, choices) as book:
        Leaving().search(book)
        found = book.explain(words, _count(k), passage=passage, where=where)
        if as_json:
            show.as_json(show_search.explanation_json(found))
        else:
            show_search.explanation(found)


def _count(k: int) -> int:
    """-k, or how many passages are shown without it; a 0 that was typed stays one."""
    from openbook.book import PASSAGES

    given = click.get_current_context().get_parameter_source("k")
    return PASSAGES if given is click.core.ParameterSource.DEFAULT else k


cli.add_command(ask)


@cli.command("list")
@json_option
def list_books(as_json: bool) -> None:
    """List the books under $OPENBOOK_HOME."""
    from openbook.app import show_documents

    show_documents.books(books_folder(), as_json=as_json)


@cli.command()
@book_option
@json_option
@verbose_option
def status(folder: Path, as_json: bool, verbose: bool) -> None:
    """Show one book: recipe, documents and their state, model, index."""
    from openbook.app import show, show_documents

    with open_book(folder) as book:
        found = book.status()
        if as_json:
            show.as_json(show_documents.status_json(found))
        else:
            show_documents.status(found, verbose=verbose)


@cli.command()
@book_option
@click.option("--repair", is_flag=True, help="Make right what is wrong.")
@json_option
def check(folder: Path, repair: bool, as_json: bool) -> None:
    """Compare a book's documents, chunks and index with each other. Ends with 1 if something is wrong."""
    from openbook.app import show, show_documents
    from openbook.app.leaving import Leaving
    from openbook.manifest import name_of

    with open_book(folder) as book, show.Bar() as report:
        if repair:
            Leaving().documents(book.recipe)
        found = book.check(repair=repair, report=report)
    if as_json:
        show.as_json(show_documents.check_json(found))
    else:
        show_documents.check(found, name_of(folder))
    if not found.right:
        raise click.exceptions.Exit(USER_ERROR)


@cli.command()
@click.argument("names", nargs=-1, required=True, metavar="SOURCE...")
@book_option
@json_option
def remove(names: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Remove documents from a book, by path, folder, file name, or source such as rows.jsonl#7."""
    from openbook.app import show

    with open_book(folder) as book:
        removed = book.remove(names)
    if as_json:
        show.as_json({"removed": removed})
    else:
        click.echo(f"Removed {show.count(len(removed), 'document')}.")


@cli.command()
@book_option
@set_option("Another component for a step, such as: splitter='chars(size=1000)'. Repeatable.")
@json_option
def rebuild(folder: Path, choices: tuple[str, ...], as_json: bool) -> None:
    """Make a book's chunks and vectors again from its documents, with another recipe if given.

    The book answers as before until the new index is whole.
    """
    from openbook.app import show
    from openbook.app.leaving import Leaving

    with open_book(folder) as book:
        recipe = recipe_with(book.recipe, choices)
        Leaving().documents(recipe)
        with show.Bar() as report:
            chunks = book.rebuild(recipe, report=report)
        if as_json:
            show.as_json({"chunks": chunks, "recipe": book.recipe.to_dict()})
        else:
            click.echo(f"Rebuilt: {show.count(chunks, 'chunk')}.")


@cli.command()
@click.argument("kind", required=False)
@json_option
def components(kind: str | None, as_json: bool) -> None:
    """List what --set can choose from: the components of each step, with their options."""
    from openbook.app import show

    show.components(kind, as_json=as_json)


for command in (chat, models, summarize, compare, report, use, why, questions):
    cli.add_command(command)


def main() -> None:
    """Run the command line: one line and a non-zero exit for everything a user can act on."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; its exit code."""
    if sys.stdout is None:  # closed by the shell: `openbook ask ... >&-`
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - as long as the process lives
    listen()
    try:
        result = cli.main(arguments, prog_name="openbook", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return USAGE_ERROR
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "openbook"
        said = " ".join(error.format_message().split())
        _say(f"{path}: {said}{'' if said[-1:] in '.?!' else '.'} See: {path} --help")
        return USAGE_ERROR
    except click.ClickException as error:
        _say(f"openbook: {error.format_message()}")
        return USER_ERROR
    except (click.Abort, KeyboardInterrupt):
        resumes = " ".join(arguments).startswith(RESUMED) or "--all" in arguments
        resumes = resumes and "--dry-run" not in arguments
        _say("Stopped." + (" The same command goes on where it stopped." if resumes else ""))
        return STOPPED
    except OpenbookError as error:
        _say(f"openbook: {' '.join(str(error).split())}")
        return USER_ERROR
    except OSError as error:
        if said := unwritten(error):
            _say(said)
        return USER_ERROR


def _say(line: str) -> None:
    click.echo(well_formed(line), err=True)
