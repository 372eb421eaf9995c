"""What the commands have in common: how a book is named, options that several of them take."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from openbook.home import absolute, books_folder

F = TypeVar("F", bound=Callable[..., Any])

USER_ERROR = 1  # the exit code where something is wrong that the user can act on


class BookFolder(click.ParamType[Path]):
    """`-b NAME` is a book under the home folder, `-b ./folder` a folder anywhere."""

    name = "book"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The book's folder."""
        text = str(value)
        if not text.strip():
            self.fail("the name of a book is empty")
        if text in {".", "..", "~"} or "/" in text or os.sep in text or text.startswith("~"):
            return absolute(text)
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


def limit_options(command: F) -> F:
    """--time-limit and --memory-limit, of reading one file."""
    for option in (
        click.option(
            "--memory-limit",
            type=click.IntRange(64),
            default=2048,
            metavar="MB",
            show_default=True,
            help="Most memory that reading one file may take.",
        ),
        click.option(
            "--time-limit",
            type=click.FloatRange(1),
            default=120.0,
            metavar="SECONDS",
            show_default=True,
            help="Longest time a file may be read without a document coming out.",
        ),
    ):
        command = option(command)
    return command


def where_option(command: F) -> F:
    """--where, a condition on documents."""
    return click.option(
        "--where",
        default="",
        metavar="CONDITION",
        help="Only in documents that fit, such as: \"year >= 2023 and name like '%10K%'\". See: status -v",
    )(command)


def json_option(command: F) -> F:
    """--json, for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)


def verbose_option(command: F) -> F:
    """-v, say more."""
    return click.option("-v", "--verbose", is_flag=True, help="Show the recipe and the timings too.")(command)
