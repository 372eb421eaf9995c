"""The command line: parse, call one library function, print."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import openbook
from openbook.app.options import (
    Sorted,
    book_option,
    json_option,
    limit_options,
    set_option,
    verbose_option,
    where_option,
)
from openbook.errors import BookError, ModelError, OpenbookError, SpecError
from openbook.home import books_folder
from openbook.text import well_formed

if TYPE_CHECKING:
    from openbook.book import Book
    from openbook.recipe import Recipe

F = TypeVar("F", bound=Callable[..., Any])

USER_ERROR, USAGE_ERROR, STOPPED = 1, 2, 130


@click.group(cls=Sorted, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(openbook.__version__, prog_name="openbook", message="%(prog)s %(version)s")
def cli() -> None:
    r"""Ask your own documents on your own machine, with citations to the exact characters.

    \b
    First steps:
      openbook demo                              see it work on the Bible
      openbook add -b reports ~/reports          read a folder into a book
      openbook search -b reports "net revenue"   find passages
      openbook ask -b reports "How did revenue change?"
    """


@cli.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask before downloading the model.")
@click.option("--llm", metavar="SPEC|MODEL", default="", help="Answer with another model, such as: quote")
def demo(yes: bool, llm: str) -> None:
    """Index the Bible, ask it one question, print the cited answer.

    Uses the book 'bible'. The Bible is part of openbook; the model that answers is downloaded (about 1.1 GB) unless it
    is there already.
    """
    from openbook.app import show, show_documents
    from openbook.demo import kjv
    from openbook.home import home

    choices = (f"llm={_llm_spec(llm)}",) if llm else ()
    chosen = _recipe_with(None, choices).llm
    if chosen.name == "llamacpp" and "model" in chosen.options:
        _pull_if_missing(str(chosen.options["model"]), yes=yes)
    text = kjv(home() / "demo")
    question = "Who was swallowed by a great fish, and for how long?"
    show.command(f"openbook add -b bible {text}")
    with _open(books_folder() / "bible", create=True) as book:
        with show.Bar() as report:
            added = book.add([text], report=report)
        show_documents.added(added, book)
    show.command(f'openbook ask -b bible "{question}"')
    with _open(books_folder() / "bible", choices) as book:
        show.stream(book.stream(question), book, verbose=True)


def _pull_if_missing(name: str, *, yes: bool) -> None:
    from openbook.models import find

    try:
        find(name)
    except ModelError as error:
        from openbook.app import show
        from openbook.models.catalogue import catalogue

        if name not in catalogue():
            raise
        if not yes and not click.confirm(f"{error}\nDownload it now?", default=True, err=True):
            raise
        show.command(f"openbook models pull {name}")
        _pull(name, None)


@cli.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE|FOLDER...")
@book_option
@set_option("Another component for a step of a new book, such as: splitter='chars(size=1000)'. Repeatable.")
@click.option("--watch", is_flag=True, help="Stay, and add again whenever something below the paths changes.")
@limit_options
@json_option
@verbose_option
def add(
    paths: tuple[str, ...],
    folder: Path,
    choices: tuple[str, ...],
    watch: bool,
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
    from openbook.reading import Limits

    failed = False
    with _open(folder, choices, create=True) as book:
        if choices:
            book.keep_recipe()
        for _ in _again_and_again(paths, book.folder) if watch else [None]:
            with show.Bar() as report:
                added = book.add(paths, limits=Limits(time_limit, memory_limit), report=report)
            failed = bool(added.failed or added.partial)
            if as_json:
                show.as_json(show_documents.added_json(added, book))
            else:
                show_documents.added(added, book, verbose=verbose)
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

    recipe = _recipe_with(None, choices)
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
    from openbook.book import PASSAGES

    words = well_formed(" ".join(question))
    given = click.get_current_context().get_parameter_source("k")
    count = PASSAGES if given is click.core.ParameterSource.DEFAULT else k
    with _open(folder, choices) as book:
        passages, timing = book.retrieve(words, count, where=where)
        if as_json:
            show.as_json(show.search_json(words, passages, timing))
        else:
            show.passages(passages)
            if verbose:
                show.recipe(book.recipe)
                show.search_timing(timing)


@cli.command()
@click.argument("question", nargs=-1)
@book_option
@where_option
@set_option("Another component for this question, such as: llm=quote or retriever=bm25. Repeatable.")
@click.option("--llm", metavar="SPEC|MODEL", default="", help="Another model: short for --set llm=...")
@click.option("--max-tokens", default=0, metavar="N", help="Longest answer in tokens.  [default: 512]")
@click.option("--show-prompt", is_flag=True, help="Print the exact characters that were sent to the model.")
@json_option
@verbose_option
def ask(
    question: tuple[str, ...],
    folder: Path,
    where: str,
    choices: tuple[str, ...],
    llm: str,
    max_tokens: int,
    show_prompt: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Answer QUESTION from a book, with citations.

    The passages are shown when they are found, the answer as it comes, then the passages it cites. Without QUESTION it
    reads questions line by line: the model stays loaded between them.
    """
    from openbook.app import show
    from openbook.book import MAX_ANSWER_TOKENS

    if llm:
        choices = (*choices, f"llm={_llm_spec(llm)}")
    with _open(folder, choices) as book:
        for words in [" ".join(question)] if question else _questions():
            parts = book.stream(words, where=where, max_tokens=max_tokens or MAX_ANSWER_TOKENS)
            try:
                if as_json:
                    show.as_json(show.answer_json(show.last_answer(parts)))
                else:
                    show.stream(parts, book, verbose=verbose, show_prompt=show_prompt)
            except OpenbookError as error:
                if question:
                    raise
                show.error(str(error))  # one bad question of many costs that question


def _llm_spec(text: str) -> str:
    """`--llm quote` names a component, `--llm model.gguf` or `--llm smollm2-135m` a model of llamacpp."""
    from openbook import registry
    from openbook.recipe import Spec

    if "(" in text or text in registry.entries("llm"):
        return text
    return str(Spec("llamacpp", {"model": text}))


def _questions() -> Iterator[str]:
    """Questions typed or piped in, one a line."""
    interactive = sys.stdin.isatty()
    while True:
        if interactive:
            click.echo("? ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()


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

    with _open(folder) as book:
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

    with _open(folder) as book, show.Bar() as report:
        found = book.check(repair=repair, report=report)
    if as_json:
        show.as_json(show_documents.check_json(found))
    else:
        show_documents.check(found)
    if not found.right:
        raise click.exceptions.Exit(USER_ERROR)


@cli.command()
@click.argument("names", nargs=-1, required=True, metavar="SOURCE...")
@book_option
@json_option
def remove(names: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Remove documents from a book, by path, folder, file name, or source such as rows.jsonl#7."""
    from openbook.app import show

    with _open(folder) as book:
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

    with _open(folder) as book:
        recipe = _recipe_with(book.recipe, choices)
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


@cli.group(invoke_without_command=True, cls=Sorted)
@json_option
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """List the models: what is here, what can be had, size, licence."""
    if ctx.invoked_subcommand is None:
        from openbook.app import show

        show.models(as_json=as_json)


@models.command("pull")
@click.argument("name")
@click.option(
    "--from", "source", type=click.Path(path_type=Path), default=None, help="A folder that holds the file already."
)
@json_option
def models_pull(name: str, source: Path | None, as_json: bool) -> None:
    """Download a model, resumed if it was stopped, and verify its SHA-256."""
    from openbook.app import show

    path = _pull(name, source)
    if as_json:
        show.as_json({"name": name, "path": str(path), "size_bytes": path.stat().st_size})
    else:
        click.echo(f"{name} is in {path}")


def _pull(name: str, source: Path | None) -> Path:
    from openbook.app import show
    from openbook.models.catalogue import model, readable
    from openbook.models.pull import pull

    wanted = model(name)
    click.echo(f"{wanted.name}: {readable(wanted.size_bytes)}, licence {wanted.licence}", err=True)
    with show.Bar() as report:
        return pull(name, report=report, folder=source, say=show.note)


@models.command("remove")
@click.argument("name")
@json_option
def models_remove(name: str, as_json: bool) -> None:
    """Delete the file of a pulled model."""
    from openbook.app import show
    from openbook.models.pull import remove as remove_model

    removed = remove_model(name)
    if as_json:
        show.as_json({"removed": str(removed)})
    else:
        click.echo(f"Removed {removed}")


def _recipe_with(recipe: Recipe | None, choices: tuple[str, ...]) -> Recipe:
    from openbook.recipe import Recipe

    recipe = recipe or Recipe()
    for choice in choices:
        step, sign, spec = choice.partition("=")
        if not sign:
            raise SpecError(
                f"--set {choice!r} has no '='. Write --set step=spec, such as: --set \"splitter=chars(size=1000)\""
            )
        recipe = recipe.with_step(step.strip(), spec.strip())
    return recipe


def _open(folder: Path, choices: tuple[str, ...] = (), *, create: bool = False) -> Book:
    from openbook.book import Book
    from openbook.manifest import NAME, Manifest

    if not (folder / NAME).exists():
        if not create:
            raise BookError(_no_such_book(folder))
        return Book.open(folder, _recipe_with(None, choices), create=True)
    if not choices:
        return Book.open(folder)
    return Book.open(folder, _recipe_with(Manifest.read(folder).recipe, choices))


def _no_such_book(folder: Path) -> str:
    from openbook.manifest import name_of
    from openbook.recipe import did_you_mean

    name = name_of(folder)
    known = sorted(path.parent.name for path in books_folder().glob("*/book.toml"))
    hint = did_you_mean(name, known)
    books = f" Books: {', '.join(known)}." if known else ""
    return f"There is no book {name!r}.{hint}{books} Make it with: openbook add -b {name} FILE..."


def main() -> None:
    """Run the command line: one line and a non-zero exit for everything a user can act on."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; its exit code."""
    try:
        result = cli.main(arguments, prog_name="openbook", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return USAGE_ERROR
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "openbook"
        _say(f"{path}: {' '.join(error.format_message().split())} See: {path} --help")
        return USAGE_ERROR
    except click.ClickException as error:
        _say(f"openbook: {error.format_message()}")
        return USER_ERROR
    except (click.Abort, KeyboardInterrupt):
        resumes = arguments[:1] in (["add"], ["demo"], ["models"], ["rebuild"])
        _say("Stopped." + (" The same command goes on where it stopped." if resumes else ""))
        return STOPPED
    except OpenbookError as error:
        _say(f"openbook: {' '.join(str(error).split())}")
        return USER_ERROR
    except BrokenPipeError:  # `openbook search ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return USER_ERROR


def _say(line: str) -> None:
    click.echo(well_formed(line), err=True)
