"""The command line: parse, call one library function, print."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import openbook
from openbook.errors import BookError, ModelError, OpenbookError, SpecError
from openbook.home import books_folder
from openbook.text import well_formed

if TYPE_CHECKING:
    from openbook.book import Book
    from openbook.recipe import Recipe

F = TypeVar("F", bound=Callable[..., Any])

USER_ERROR, USAGE_ERROR, STOPPED = 1, 2, 130


class BookFolder(click.ParamType[Path]):
    """`-b NAME` is a book under the home folder, `-b ./folder` a folder anywhere."""

    name = "book"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The book's folder."""
        text = str(value)
        if not text.strip():
            self.fail("the name of a book is empty")
        if text in {".", "..", "~"} or "/" in text or os.sep in text or text.startswith("~"):
            return Path(text).expanduser().absolute()
        if text.startswith(".") or "\x00" in text:
            self.fail(f"{text!r} is no name for a book; a folder is written ./{text}")
        return books_folder() / text


class Sorted(click.Group):
    """Lists the commands in the order they are written below."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in order of definition."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a hint for a mistyped name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from openbook.recipe import did_you_mean

            hint = did_you_mean(args[0], list(self.commands))
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx) from error


def book_option(command: F) -> F:
    """-b, the book to work on."""
    return click.option(
        "-b",
        "--book",
        "folder",
        type=BookFolder(),
        default="default",
        show_default=True,
        metavar="NAME|./FOLDER",
        help="The book: a name (kept under $OPENBOOK_HOME/books), or a folder.",
    )(command)


def set_option(help_text: str) -> Callable[[F], F]:
    """--set step=spec, any number of times."""
    return click.option("--set", "choices", multiple=True, metavar="STEP=SPEC", help=help_text)


def json_option(command: F) -> F:
    """--json, for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)


def verbose_option(command: F) -> F:
    """-v, say more."""
    return click.option("-v", "--verbose", is_flag=True, help="Show the recipe and the timings too.")(command)


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
    from openbook.app import show
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
        show.added(added, book)
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
@json_option
@verbose_option
def add(paths: tuple[str, ...], folder: Path, choices: tuple[str, ...], as_json: bool, verbose: bool) -> None:
    """Read, split and embed files and folders into a book; makes the book if it is new.

    Adding again looks only at what changed, and goes on where an earlier run was stopped. Ends with 1 if any file
    failed.
    """
    from openbook.app import show

    with _open(folder, choices, create=True) as book:
        if choices:
            book.keep_recipe()
        with show.Bar() as report:
            added = book.add(paths, report=report)
        if as_json:
            show.as_json(show.added_json(added, book))
        else:
            show.added(added, book, verbose=verbose)
    if added.failed or added.partial:
        raise click.exceptions.Exit(USER_ERROR)


@cli.command()
@click.argument("question", nargs=-1, required=True)
@book_option
@click.option("-k", default=0, metavar="N", help="How many passages.  [default: 5]")
@set_option("Another retriever for this search, such as: retriever=bm25. Repeatable.")
@json_option
@verbose_option
def search(
    question: tuple[str, ...], folder: Path, k: int, choices: tuple[str, ...], as_json: bool, verbose: bool
) -> None:
    """Find the passages nearest to QUESTION, best first."""
    from openbook.app import show
    from openbook.book import PASSAGES

    words = well_formed(" ".join(question))
    given = click.get_current_context().get_parameter_source("k")
    count = PASSAGES if given is click.core.ParameterSource.DEFAULT else k
    with _open(folder, choices) as book:
        passages, timing = book.retrieve(words, count)
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
@set_option("Another component for this question, such as: llm=quote or retriever=bm25. Repeatable.")
@click.option("--llm", metavar="SPEC|MODEL", default="", help="Another model: short for --set llm=...")
@click.option("--max-tokens", default=0, metavar="N", help="Longest answer in tokens.  [default: 512]")
@click.option("--show-prompt", is_flag=True, help="Print the exact characters that were sent to the model.")
@json_option
@verbose_option
def ask(
    question: tuple[str, ...],
    folder: Path,
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
            parts = book.stream(words, max_tokens=max_tokens or MAX_ANSWER_TOKENS)
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
    from openbook.app import show

    show.books(books_folder(), as_json=as_json)


@cli.command()
@book_option
@json_option
@verbose_option
def status(folder: Path, as_json: bool, verbose: bool) -> None:
    """Show one book: recipe, documents and their state, model, index."""
    from openbook.app import show

    with _open(folder) as book:
        found = book.status()
        if as_json:
            show.as_json(show.status_json(found))
        else:
            show.status(found, verbose=verbose)


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
def models_remove(name: str) -> None:
    """Delete the file of a pulled model."""
    from openbook.models.pull import remove as remove_model

    click.echo(f"Removed {remove_model(name)}")


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
