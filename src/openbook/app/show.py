"""What commands print: tables, passages, answers, progress; and the same as JSON."""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from math import floor, log10
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

import click

from openbook.errors import OpenbookError
from openbook.phrases import phrases
from openbook.text import count as count  # every command counts
from openbook.text import well_formed
from openbook.types import Answer, Passage, Progress, Searched, Thought, Timing

if TYPE_CHECKING:
    from tqdm import tqdm

    from openbook.asking import Part
    from openbook.book import Book
    from openbook.recipe import Recipe

NOTHING = "No passage was found: none has a word of the question. Find by meaning too with: --set retriever=hybrid"
WORTH_SAYING = 5.0  # seconds of work that is told of beforehand
LINE_SECONDS = 20.0  # between two lines of a work that no terminal shows
BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}, {rate_fmt}{postfix}]"


def as_json(value: object) -> None:
    """One line of JSON."""
    click.echo(well_formed(json.dumps(value, ensure_ascii=False)))


def error(line: str) -> None:
    """One line on stderr."""
    click.echo(well_formed(f"openbook: {line}"), err=True)


def failed(asked: str, error_: OpenbookError, *, json_too: bool) -> None:
    """One line of many that are read could not be done: programs find it in its place among those that could."""
    line = " ".join(str(error_).split())
    error(line)
    if json_too:
        as_json({"command" if asked.startswith("/") else "question": asked, "error": line})


def note(line: str) -> None:
    """One line on stderr that is no error."""
    click.echo(well_formed(line), err=True)


def command(line: str) -> None:
    """A command as it could be typed."""
    click.secho(f"$ {line}", bold=True)


def table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.secho(line, bold=number == 0)


def path(source: str) -> str:
    """A source as short as it can be said from here."""
    try:
        relative = os.path.relpath(source)
    except (ValueError, OSError):  # another drive, or a folder that is deleted
        return source
    return source if relative.startswith("..") else relative


def duration(seconds: float) -> str:
    """Seconds as one says them of a guess.

    >>> [duration(seconds) for seconds in (0.4, 42.4, 95, 800, 5700, 90_000)]
    ['1 s', '42 s', '95 s', '13 min', '1.6 h', '25 h']
    """
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 10 else f"{round(hours)} h"


def round_number(number: int) -> str:
    """Two figures of a guess, or three if the first is 1.

    >>> round_number(9758), round_number(1249), round_number(7)
    ('9,800', '1,250', '7')
    """
    figures = 3 if str(number)[0] == "1" else 2
    return f"{round(number, figures - len(str(number))):,}" if len(str(number)) > figures else str(number)


class Bar:
    """Shows Progress on stderr: on a terminal a bar with rate and time left, else a line now and then.

    Prints nothing when nothing takes long.
    """

    LABELS = {
        "read": "reading",
        "embed": "embedding",
        "store": "storing",
        "index": "indexing",
        "download": "downloading",
        "verify": "verifying",
        "check": "checking",
        "ask": "asking",
        "merge": "merging",
        "quantize": "quantizing",
        "compare": "comparing",
        "search": "searching",
    }

    def __init__(self) -> None:
        self._terminal = on_terminal(sys.stderr)
        self._bar: tqdm[Any] | None = None
        self._unit = ""
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, progress: Progress) -> None:
        """Show how far the work is."""
        if progress.step == "wait":
            click.echo("Another openbook is changing this book; waiting for it to end.", err=True)
            return
        if progress.step == "estimate":
            if (seconds := progress.seconds_left or 0.0) >= WORTH_SAYING:
                note(f"About {round_number(progress.total)} chunks, about {duration(seconds)}.")
            return
        if not self._terminal:
            self._line(progress)
            return
        if self._bar is None or self._unit != progress.unit:
            if not progress.total:
                return
            self._start(progress)
        assert self._bar is not None
        self._bar.set_description(self.LABELS.get(progress.step, progress.step), refresh=False)
        if progress.seconds_left is not None:  # tqdm itself knows only the latest rate, and not what is still unread
            self._bar.bar_format = BAR
            self._bar.set_postfix_str(f"{duration(progress.seconds_left)} left", refresh=False)
        if progress.total:
            self._bar.total = progress.total
            self._bar.update(progress.done - self._bar.n)

    def _line(self, progress: Progress) -> None:
        if not progress.total or time.monotonic() - self._said < LINE_SECONDS:
            return
        self._said = time.monotonic()
        note(progress_line(progress, self.LABELS.get(progress.step, progress.step)))

    def _start(self, progress: Progress) -> None:
        from tqdm import tqdm

        if self._bar is not None:
            self._bar.close()
        self._unit = progress.unit
        bytes_ = progress.unit == "bytes"
        self._bar = tqdm(
            total=progress.total,
            initial=progress.done,
            unit="B" if bytes_ else f" {progress.unit}",
            unit_scale=bytes_,
            file=sys.stderr,
            dynamic_ncols=True,
            delay=0.5,  # seconds: what is done by then needs no bar
            miniters=0,  # shown also while the first of them is not done
        )


def progress_line(progress: Progress, label: str) -> str:
    """How far a work is, in a line.

    >>> progress_line(Progress("embed", 4200, 9758, seconds_left=42.0), "embedding")
    'embedding: 4,200 of 9,758 chunks, 42 s left'
    >>> progress_line(Progress("download", 40_000_000, 1_100_000_000, "bytes"), "downloading")
    'downloading: 40 MB of 1.1 GB'
    """
    if progress.unit == "bytes":
        from openbook.models.catalogue import readable

        far = f"{readable(progress.done)} of {readable(progress.total)}"
    else:
        far = f"{progress.done:,} of {progress.total:,} {progress.unit}"
    left = "" if progress.seconds_left is None else f", {duration(progress.seconds_left)} left"
    return f"{label}: {far}{left}"


def on_terminal(stream: TextIO | None) -> bool:
    """Whether a person sees a stream as it is written; one that is closed nobody sees."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def where(passage: Passage) -> str:
    """Source, place and span of a passage."""
    chunk = passage.chunk
    place = f", {chunk.place}" if chunk.place else ""
    # The name of a row, a mail or a member of an archive says little.
    title = f' "{passage.title}"' if passage.title and "#" in passage.source else ""
    more = f" (and {len(passage.sources) - 1} more like it)" if len(passage.sources) > 1 else ""
    return f"{path(passage.source)}{title}{more}{place}, characters {chunk.start}-{chunk.end}"


def passages(found: Iterable[Passage]) -> None:
    """Passages with their text, best first."""
    number = 0
    for number, passage in enumerate(found, 1):
        click.secho(f"[{number}] {where(passage)}  ({passage.via} {passage.score:.3f})", bold=True)
        click.echo(textwrap.indent(passage.chunk.text, "    "))
        click.echo()
    if not number:
        note(NOTHING)


def unheld(question: str, found: Sequence[Passage]) -> None:
    """What the question quotes and no passage says: of that, words are looked for as of any other."""
    texts = [_plain(passage.chunk.indexed) for passage in found]
    for phrase in phrases(question) if found else ():
        if not any(_plain(phrase) in text for text in texts):
            note(f'None of these passages holds "{phrase}" word for word.')


def _plain(text: str) -> str:
    """Letters and digits, with a space around each word."""
    return " " + re.sub(r"[\W_]+", " ", text).strip().casefold() + " "


def passage_json(number: int, passage: Passage) -> dict[str, object]:
    """One passage as `search --json` and `ask --json` say it."""
    chunk = passage.chunk
    return {
        "n": number,
        "text": chunk.text,
        "source": passage.source,
        "sources": list(passage.sources),
        "title": passage.title,
        "fields": dict(passage.fields),
        "place": chunk.place,
        "start": chunk.start,
        "end": chunk.end,
        "score": round(passage.score, 6),
        "via": passage.via,
    }


def search_json(question: str, found: Sequence[Passage], timing: Timing) -> dict[str, object]:
    """As `passages`."""
    return {
        "question": question,
        "passages": [passage_json(number, passage) for number, passage in enumerate(found, 1)],
        "seconds": {
            "embed": round(timing.embed, 4),
            "search": round(timing.retrieve - timing.embed, 4),
            "total": round(timing.retrieve, 4),
        },
    }


def search_timing(timing: Timing) -> None:
    """Seconds of a search."""
    click.echo(
        f"embed {timing.embed * 1000:.0f} ms, search {(timing.retrieve - timing.embed) * 1000:.0f} ms, "
        "loading the model and the index included"
    )


def stream(
    parts: Iterator[Part],
    book: Book,
    *,
    verbose: bool = False,
    show_prompt: bool = False,
    thoughts: bool = False,
    texts: bool = True,
) -> None:
    """Sources when they are found, words as they come, then, with `texts`, the passages that are cited.

    `thoughts`, too, as they come: dim, and on stderr, as they are no part of the answer.
    """
    thinking = False
    for part in _ending_its_line(parts):
        if isinstance(part, Thought):
            if thoughts:
                click.secho(well_formed(part.text), nl=False, dim=True, err=True)
                thinking = True
            continue
        if thinking:
            note("\n")
            thinking = False
        if isinstance(part, str):
            click.echo(part, nl=False)
            sys.stdout.flush()
        elif isinstance(part, Answer):
            _after_answer(part, book, verbose=verbose, show_prompt=show_prompt, texts=texts)
        elif isinstance(part, Searched):
            click.secho(f"Searching for: {part.question}", dim=True)
        else:
            sources(part)


def _ending_its_line(parts: Iterator[Part]) -> Iterator[Part]:
    """The parts; an error amid the words of an answer is then said on a line of its own."""
    part: Part | None = None
    try:
        for part in parts:
            yield part
    except OpenbookError:
        if isinstance(part, str):
            click.echo()
        raise


def sources(found: Sequence[Passage]) -> None:
    """Where each passage is from."""
    if not found:
        note(NOTHING)
        return
    click.secho("Sources", dim=True)
    for number, passage in enumerate(found, 1):
        click.secho(f"  [{number}] {where(passage)}", dim=True)
    click.echo()
    sys.stdout.flush()


def _after_answer(answer: Answer, book: Book, *, verbose: bool, show_prompt: bool, texts: bool) -> None:
    click.echo("\n")
    if answer.remote:
        click.secho(f"Answered by {answer.model} at {answer.remote}.\n", dim=True)
    unheld(answer.question, answer.passages)
    if answer.thought and not answer.text:
        error("The model only thought, and came to no answer. Allow more with: --max-tokens N")
    elif answer.timing.usage.stopped == "length":
        error("The answer was cut off at its longest length. Allow more with: --max-tokens N")
    for line in answer.left_out:
        note(f"{line[:1].upper()}{line[1:]}.")
    if texts:
        cited(answer)
    if answer.invented:
        numbers = ", ".join(f"[{number}]" for number in answer.invented)
        error(f"The model cited {numbers}, which no passage has: taken out of the citations.")
    if show_prompt:
        click.secho("\nPrompt", bold=True)
        click.echo(answer.prompt)
    if verbose:
        click.echo()
        recipe(book.recipe)
        timing = answer.timing
        usage = timing.usage
        click.echo(
            f"sources after {timing.retrieve:.2f} s, first word after {timing.first_token:.2f} s, all after "
            f"{timing.total:.2f} s; {usage.prompt_tokens} prompt tokens ({usage.cached_tokens} of them cached), "
            f"{usage.answer_tokens} answer tokens; {answer.model}"
            + (f"; {dollars(cost)}" if (cost := _cost(answer)) is not None else "")
        )
        if book.llm.format:
            click.echo(f"How {answer.model} is spoken to: {book.llm.format}")


def cited(answer: Answer) -> None:
    """The passages that an answer cites, by their numbers."""
    if answer.cited:
        click.secho("Cited", bold=True)
    for number, passage in answer.cited.items():
        click.secho(f"  [{number}] {where(passage)}", bold=True)
        click.echo(textwrap.indent(passage.chunk.text, "      "))


def _cost(answer: Answer) -> float | None:
    from openbook.costing import of_answer

    return of_answer(answer.remote, answer.model, answer.timing.usage, today())


def today() -> date:
    """By the clock of this machine."""
    return datetime.now().astimezone().date()


def dollars(amount: float) -> str:
    """Two figures of what is less than a cent, else cents.

    >>> [dollars(amount) for amount in (0.000312, 0.0096, 0.0123, 1.5, 0)]
    ['$0.00031', '$0.0096', '$0.01', '$1.50', '$0.00']
    """
    if 0 < amount < 0.01:
        return f"${amount:.{1 - floor(log10(amount))}f}"
    return f"${amount:,.2f}"


def answer_json(answer: Answer) -> dict[str, object]:
    """As `stream`."""
    timing = answer.timing
    return {
        "question": answer.question,
        "searched": answer.searched,
        "answer": answer.text,
        "thought": answer.thought,
        "cited": list(answer.cited),
        "invented": list(answer.invented),
        "left_out": list(answer.left_out),
        "passages": [passage_json(number, passage) for number, passage in enumerate(answer.passages, 1)],
        "model": answer.model,
        "remote": answer.remote,
        "prompt": answer.prompt,
        "tokens": {
            "prompt": timing.usage.prompt_tokens,
            "cached": timing.usage.cached_tokens,
            "answer": timing.usage.answer_tokens,
        },
        "dollars": _cost(answer),
        "seconds": {
            "retrieve": round(timing.retrieve, 4),
            "first_token": round(timing.first_token, 4),
            "total": round(timing.total, 4),
        },
    }


def recipe(chosen: Recipe) -> None:
    """Each step's component, in the notation that --set reads."""
    for step, text in chosen.to_dict().items():
        click.secho(f"{step:>10} = {text or 'none'}", dim=True)


def components(kind: str | None, *, as_json: bool) -> None:
    """What each step can be, with options and defaults."""
    from openbook import registry
    from openbook.errors import SpecError
    from openbook.recipe import Recipe, Spec, did_you_mean

    if kind is not None and kind not in registry.KINDS:
        known = list(registry.KINDS)
        raise SpecError(f"There is no step {kind!r}.{did_you_mean(kind, known)} Steps: {', '.join(known)}.")
    default = Recipe()
    found: list[dict[str, object]] = []
    for step in [kind] if kind else registry.KINDS:
        names = {spec.name for spec in default.specs(step)}
        for name, entry in registry.entries(step).items():
            try:
                spec = str(Spec(name, registry.check(step, Spec(name))))
            except SpecError as missing:
                spec = f"{name}  ({missing})"
            is_default = name in names
            found.append({"step": step, "name": name, "spec": spec, "purpose": entry.purpose, "default": is_default})
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    shown = ""
    for one in found:
        if one["step"] != shown:
            shown = str(one["step"])
            click.secho(shown, bold=True)
        click.echo(f"  {'*' if one['default'] else ' '} {one['spec']}\n        {one['purpose']}")
    click.echo("\n* the default. Choose with: --set STEP=SPEC")
