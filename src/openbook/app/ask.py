"""`openbook ask`: one question, or one after another, answered with citations."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

import click

from openbook.app.opening import open_book, with_llm
from openbook.app.options import USER_ERROR, book_option, json_option, set_option, verbose_option, where_option
from openbook.app.whole import all_option, show_all, yes_option
from openbook.errors import OpenbookError


@click.command()
@click.argument("question", nargs=-1)
@book_option
@where_option
@set_option("Another component for this question, such as: llm=quote or retriever=bm25. Repeatable.")
@click.option("--llm", metavar="SPEC|MODEL", default="", help="Another model: short for --set llm=...")
@click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="Longest answer in tokens.  [default: 512]")
@click.option("--show-prompt", is_flag=True, help="Print the exact characters that were sent to the model.")
@all_option
@yes_option
@click.option("--thoughts", is_flag=True, help="Show what a model thinks before it answers; -v does so too.")
@click.option("--dry-run", is_flag=True, help="Only say what it would come to: tokens, price. Sends nothing.")
@json_option
@verbose_option
def ask(
    question: tuple[str, ...],
    folder: Path,
    where: str,
    choices: tuple[str, ...],
    llm: str,
    max_tokens: int | None,
    show_prompt: bool,
    every: bool,
    yes: bool,
    thoughts: bool,
    dry_run: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Answer QUESTION from a book, with citations.

    The passages are shown when they are found, the answer as it comes, then the passages it cites. Without QUESTION it
    reads questions line by line: the model stays loaded between them. Piped in, it ends with 1 if one of them failed.

    With --all the question is put to every passage instead: for "list all ..." and "how many ...".
    """
    from openbook.app import show
    from openbook.app.leaving import Leaving
    from openbook.asking import MAX_ANSWER_TOKENS, last_answer

    choices, longest = with_llm(choices, llm), max_tokens or MAX_ANSWER_TOKENS
    questions = [" ".join(question)] if question else _questions()
    if every and (show_prompt or thoughts or max_tokens):
        raise click.UsageError("--show-prompt, --thoughts and --max-tokens are of one prompt; --all sends many.")
    if dry_run and not every:
        from openbook.app.dry_run import ask as dry_ask

        dry_ask(folder, choices, questions, where, longest, show_prompt=show_prompt, as_json=as_json)
        return
    leaving, failed = Leaving(), False
    with open_book(folder, choices) as book:
        if not every:
            leaving.search(book)
        for words in questions:
            try:
                if every:
                    show_all(words, book, where, yes=yes, only_say=dry_run, as_json=as_json, verbose=verbose)
                    continue
                parts = leaving.heard(book.stream(words, where=where, max_tokens=longest), book)
                if as_json:
                    show.as_json(show.answer_json(last_answer(parts)))
                else:
                    thought = thoughts or verbose
                    show.stream(parts, book, verbose=verbose, show_prompt=show_prompt, thoughts=thought)
            except OpenbookError as error:
                if question:
                    raise
                failed = True
                show.failed(words, error, json_too=as_json)  # one bad question of many costs that question
    if failed and not sys.stdin.isatty():
        raise click.exceptions.Exit(USER_ERROR)


def _questions() -> Iterator[str]:
    """Questions typed or piped in, one a line."""
    interactive = sys.stdin.isatty()
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # a byte that is no UTF-8 costs a character, not a traceback
    while True:
        if interactive:
            click.echo("? ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()
