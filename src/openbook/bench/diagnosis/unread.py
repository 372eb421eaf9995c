"""Why a gold is not in a row's documents: not read, or taken out by a cleaner. Files still there are read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from openbook.bench.diagnosis.targets import places
from openbook.bench.questions import Gold
from openbook.book import Book
from openbook.documents import File
from openbook.reading import Edits, End, Job, Reading
from openbook.text import beginning
from openbook.types import Document, Unread

SHORT = 80  # characters of what is quoted


@dataclass(frozen=True, slots=True)
class Unfound:
    """What became of a gold that is not in the documents."""

    step: Literal["reading", "cleaning", "question"]  # question: it was all read, and the answer is not in it
    because: str
    said: str  # of the documents, for the list of steps
    tries: tuple[tuple[str, str], ...] = ()


def unfound(
    book: Book, golds: Sequence[Gold], answers: Sequence[str], *, others: Sequence[Mapping[str, str]]
) -> Unfound:
    """Where the golds' words, or the answers where a gold is a whole document, were lost.

    `others` are the recipes of rows whose documents hold a gold.
    """
    wanted = [one.quote for one in golds if one.quote] or list(answers)
    files = [file for file in book.documents.files() if any(_is(file, one) for one in golds)]
    name = Path(files[0].path).name if files else golds[0].source
    said = f"{name}: {beginning(wanted[0], SHORT)!r} is not in it" if wanted else f"{name}: the place is not in it"
    recipe = book.recipe.to_dict()
    tries = tuple(
        (f"{step}={one[step] or 'none'}", "its documents hold it")
        for one in others
        for step in ("reader", "cleaners")
        if one[step] != recipe[step]
    )[:1]
    if not files:
        return Unfound("reading", f"No file of the documents gave {golds[0].source}.", said, tries)
    for file in files:
        if not Path(file.path).exists():
            continue
        seen = _read(file, recipe["reader"], recipe["cleaners"], wanted)
        if seen.raw:
            with_what = f" as {seen.reason}" if seen.reason else ""
            return Unfound("cleaning", f"{name} has it, but cleaning ({recipe['cleaners']}) took it out{with_what}.",
                           said, tries or (("cleaners=none", "keeps it"),))  # fmt: skip
        if seen.unread:
            return Unfound("reading", seen.unread, said, tries)
    for file in files:
        if file.state != "ok":
            return Unfound("reading", f"{name}: {file.reason}", said, tries)
    if others and tries:
        gave = f"{recipe['reader']} did not give it, {others[0]['reader']} does"
        step: Literal["reading", "cleaning"] = "reading"
        if others[0]["reader"] == recipe["reader"]:
            step, gave = "cleaning", f"cleaners={others[0]['cleaners'] or 'none'} keep it"
        return Unfound(step, f"{name}: {gave}.", said, tries)
    return Unfound("question", f"All of {name} was read, and it does not say {beginning(wanted[0], SHORT)!r}."
                   if wanted else f"{name} was read, and has no such place.", said)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Seen:
    raw: bool  # it is there before cleaning
    reason: str  # of the edit that took it out
    unread: str  # the first part that could not be read


def _read(file: File, reader: str, cleaners: str, wanted: Sequence[str]) -> _Seen:
    """A file read once more, as it was, and if what is wanted is not there, without cleaning."""
    unread, raw = "", False
    with Reading(reader, "") as reading:
        for _, event in reading.read([Job(file.path)]):
            if isinstance(event, Document):
                raw = raw or any(True for _ in places(event.text, wanted))
            elif isinstance(event, Unread):
                unread = unread or str(event)
            elif isinstance(event, End) and event.error:
                unread = unread or event.error
    return _Seen(raw, _edit(file, reader, cleaners, wanted) if raw and cleaners else "", unread)


def _edit(file: File, reader: str, cleaners: str, wanted: Sequence[str]) -> str:
    """The reason of the edit that took away what is wanted, or some of it."""
    words = {word for one in wanted for word in one.split()}
    best, most = "", 0
    with Reading(reader, cleaners, explain=True) as reading:
        for _, event in reading.read([Job(file.path)]):
            for reason, before, after in event.edits if isinstance(event, Edits) else ():
                gone = len(words & set(before.split())) - len(words & set(after.split()))
                if gone > most:
                    best, most = reason, gone
    return repr(best) if best else ""


def _is(file: File, gold: Gold) -> bool:
    """Whether a gold's source is this file, or in it."""
    source = gold.source.replace("\\", "/").partition("#")[0]
    path = file.path.replace("\\", "/")
    return path == source or path.endswith(f"/{source}") or Path(path).stem == source
