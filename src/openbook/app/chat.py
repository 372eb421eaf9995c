"""`openbook chat`: a conversation with a book in the terminal."""

from __future__ import annotations

import shlex
import sys
import textwrap
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openbook.app.opening import open_book, recipe_with, with_llm
from openbook.app.options import USER_ERROR, book_option, json_option, set_option, verbose_option, where_option
from openbook.errors import BookError, OpenbookError
from openbook.text import well_formed

if TYPE_CHECKING:
    from openbook.asking import Part
    from openbook.book import Book
    from openbook.chatting import Chat

LATEST = "latest"

HELP = """\
/sources       the passages of the last answer, with their text
/retry         ask the last question again, of another model perhaps
/model SPEC    answer with another model from now on, such as: /model quote; what was said is kept
/recipe        what answers: the component of each step
/list          the conversations about this book
/save FILE     write this conversation as Markdown, with the text of what was cited
/forget        take this conversation off the disk and begin a new one
/help          these lines
/quit          end; so does Ctrl-D. Ctrl-C stops an answer."""


@click.command()
@book_option
@click.option(
    "--resume",
    metavar="[NAME]",
    is_flag=False,
    flag_value=LATEST,
    default="",
    help="Go on with a conversation; without NAME with the latest one.",
)
@where_option
@set_option("Another component for this conversation, such as: rewriter=none. Repeatable.")
@click.option("--llm", metavar="SPEC|MODEL", default="", help="Another model: short for --set llm=...")
@click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="Longest answer in tokens.  [default: 512]")
@json_option
@verbose_option
def chat(
    folder: Path,
    resume: str,
    where: str,
    choices: tuple[str, ...],
    llm: str,
    max_tokens: int | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Talk with a book: questions that follow on each other, answered with citations.

    What was said is kept in the book's folder after each answer. A question that leans on the ones before ("and what
    did he do then?") is written so that it stands alone before it is searched for. Lines that begin with / are
    commands: /help lists them. Without a terminal it reads questions line by line, and ends with 1 if one failed.
    """
    from openbook.asking import MAX_ANSWER_TOKENS

    with open_book(folder, with_llm(choices, llm)) as book, book.chat(_named(book, resume)) as talk:
        book.llm.prepare()  # loads while the first question is typed
        session = Session(book, talk, where, max_tokens or MAX_ANSWER_TOKENS, as_json=as_json, verbose=verbose)
        session.begin()
        for line in _lines(talk):
            if not session.take(line):
                break
        session.end()
        if session.failed and not _interactive():
            raise click.exceptions.Exit(USER_ERROR)


class Session:
    """One run of `openbook chat`: takes lines, prints what comes of them."""

    def __init__(
        self, book: Book, talk: Chat, where: str, max_tokens: int, *, as_json: bool = False, verbose: bool = False
    ) -> None:
        from openbook.app.leaving import Leaving

        self.book, self.talk, self.where, self.max_tokens = book, talk, where, max_tokens
        self.as_json, self.verbose = as_json, verbose
        self.leaving = Leaving()
        self.failed = False  # some line could not be done
        self.commands: dict[str, Callable[[str], bool]] = {
            "/sources": self._sources,
            "/retry": self._retry,
            "/model": self._model,
            "/recipe": self._recipe,
            "/list": self._list,
            "/save": self._save,
            "/forget": self._forget,
            "/help": self._help,
            "/quit": lambda _: False,
        }

    def begin(self) -> None:
        """Say what is here, and the last turn of a conversation that goes on."""
        from openbook.app import show
        from openbook.manifest import name_of

        if self.as_json:
            return
        if self.talk.turns:
            last = self.talk.turns[-1]
            show.note(f"{self.talk.name}: {show.count(len(self.talk.turns), 'turn')} so far. The last one:")
            click.secho(f"? {last.question}\n{last.answer}\n", dim=True)
        elif _interactive():
            show.note(f"{name_of(self.book.folder)}, {self.book.llm.name}. /help lists commands; Ctrl-D ends.")

    def end(self) -> None:
        """Say how to go on with it."""
        from openbook.app import show
        from openbook.manifest import name_of

        if self.talk.turns and not self.as_json:
            book = name_of(self.book.folder)
            show.note(f"Kept. Go on with: openbook chat -b {book} --resume {shlex.quote(self.talk.name)}")

    def take(self, line: str) -> bool:
        """A question or a command; False to end. What goes wrong with it costs this line only."""
        from openbook.app import show

        try:
            if line.startswith("/"):
                name, _, rest = line.partition(" ")
                return self._command(name)(rest.strip())
            self._answer(self.talk.stream(line, where=self.where, max_tokens=self.max_tokens), len(self.talk.turns))
        except OpenbookError as error:
            self.failed = True
            show.failed(line, error, json_too=self.as_json)
        except KeyboardInterrupt:
            if not _interactive():
                raise
            show.note("\nStopped. This question is not kept.")
        return True

    def _command(self, name: str) -> Callable[[str], bool]:
        from openbook.recipe import did_you_mean

        if name not in self.commands:
            known = list(self.commands)
            raise BookError(f"There is no command {name!r}.{did_you_mean(name, known)} Commands: {', '.join(known)}.")
        return self.commands[name]

    def _answer(self, parts: Generator[Part], turns: int) -> None:
        from openbook.app import show
        from openbook.asking import last_answer

        if turns:
            self.leaving.conversation(self.book)
        self.leaving.search(self.book)
        with closing(parts):
            heard = self.leaving.heard(parts, self.book)
            if self.as_json:
                answer = show.answer_json(last_answer(heard))
                show.as_json({"chat": self.talk.name, **answer})  # the first answer gives it its name
            else:
                show.stream(heard, self.book, verbose=self.verbose, texts=False)

    def _sources(self, _: str) -> bool:
        from openbook.app import show

        if not self.talk.turns:
            raise BookError("Nothing was asked yet, so there are no sources.")
        last = self.talk.turns[-1]
        if self.as_json:
            found = [show.passage_json(number, passage) for number, passage in enumerate(last.passages, 1)]
            show.as_json({"sources": found, "cited": list(last.cited)})
            return True
        for number, passage in enumerate(last.passages, 1):
            cited = "  (cited)" if number in last.cited else ""
            click.secho(f"[{number}] {show.where(passage)}{cited}", bold=True)
            click.echo(textwrap.indent(passage.chunk.text, "    ") + "\n")
        return True

    def _retry(self, _: str) -> bool:
        self._answer(self.talk.retry(where=self.where, max_tokens=self.max_tokens), len(self.talk.turns) - 1)
        return True

    def _model(self, spec: str) -> bool:
        from openbook import registry
        from openbook.app import show

        if spec:
            recipe = recipe_with(self.book.recipe, with_llm((), spec))
            registry.check_recipe(recipe)
            self.book.model(recipe.llm).prepare()  # a model that is not here is said now, and nothing has changed
            if recipe.llm != self.book.recipe.llm:
                self.book.llm.close()  # two models at once may be more than the memory holds
            self.book.recipe = recipe
        if self.as_json:
            show.as_json({"model": self.book.llm.name, "llm": str(self.book.recipe.llm)})
        else:
            show.note(f"{self.book.recipe.llm} answers{' from now on' if spec else ''}.")
        return True

    def _recipe(self, _: str) -> bool:
        from openbook.app import show

        if self.as_json:
            show.as_json({"recipe": self.book.recipe.to_dict()})
        else:
            show.recipe(self.book.recipe)
        return True

    def _list(self, _: str) -> bool:
        from dataclasses import asdict

        from openbook.app import show
        from openbook.chats import listed

        found = listed(self.book.folder)
        if self.as_json:
            show.as_json({"chats": [asdict(one) for one in found]})
        elif not found:
            show.note("No conversation about this book is kept yet.")
        else:
            rows = [[one.name, str(one.turns), one.time[:16].replace("T", " "), one.first] for one in found]
            show.table([["name", "turns", "last", "began with"], *rows])
        return True

    def _save(self, name: str) -> bool:
        from openbook.app import show
        from openbook.chats import markdown
        from openbook.home import absolute
        from openbook.writing import write

        if not name:
            raise BookError("Name the file to write, such as: /save talk.md")
        if not self.talk.turns:
            raise BookError("Nothing was asked yet, so there is nothing to save.")
        path = absolute(name)
        if path.exists():
            raise BookError(f"{path} is there already. Name another file.")
        try:
            write(path, well_formed(markdown(self.talk.turns, f"{self.book.folder.name}: {self.talk.name}")))
        except OSError as error:
            raise BookError(f"{path} cannot be written: {error.strerror}.") from error
        if self.as_json:
            show.as_json({"saved": str(path)})
        else:
            show.note(f"Saved {show.count(len(self.talk.turns), 'turn')} to {path}.")
        return True

    def _forget(self, _: str) -> bool:
        from openbook.app import show

        name = self.talk.name
        self.talk.forget()
        if self.as_json:
            show.as_json({"forgotten": name})
        else:
            show.note(f"{name} is deleted." if name else "Nothing was kept yet.")
        return True

    def _help(self, _: str) -> bool:
        from openbook.app import show

        show.note(HELP)
        return True


def _named(book: Book, resume: str) -> str:
    """The name of the conversation to go on with; '' for a new one."""
    from openbook.chats import names
    from openbook.recipe import did_you_mean

    if not resume:
        return ""
    known = names(book.folder)
    if resume in known:
        return resume
    if not known:
        raise BookError("No conversation about this book is kept yet. Begin one without --resume.")
    if resume == LATEST:
        return known[-1]
    raise BookError(
        f"No conversation is called {resume!r}.{did_you_mean(resume, known)} The latest: {', '.join(known[-5:])}."
    )


def _interactive() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _lines(talk: Chat) -> Iterator[str]:
    """What is typed, with the questions of before in the history of the arrow keys; or what is piped in."""
    if not _interactive():
        yield from (line.strip() for line in sys.stdin if line.strip())
        return
    with suppress(ImportError):  # Windows has none, and edits lines itself
        import readline

        for turn in talk.turns:
            readline.add_history(turn.question)
    while True:
        try:
            line = input("? ").strip()
        except EOFError:
            click.echo()
            return
        except KeyboardInterrupt:
            click.echo()
            continue
        if line:
            yield line
