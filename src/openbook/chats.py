"""Conversations on disk: `chats/NAME.jsonl` in a book's folder, a line for each turn, only ever added to.

{"question": ..., "searched": ..., "answer": ..., "passages": [...], ...}   one turn; "again": it replaces the last one
{"summary": ..., "turns": 4}                                                what the first 4 turns are remembered as

A process that is killed while it writes leaves a torn last line, which is cut off when the file is opened again.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbook.errors import BookError
from openbook.text import well_formed
from openbook.types import Answer, Chunk, Passage

if TYPE_CHECKING:
    from filelock import BaseFileLock

FOLDER = "chats"
SUFFIX = ".jsonl"
WORDS = 6  # of the first question, in the name of a conversation
LONGEST = 80  # bytes of that name: a file's may have 255
NAME = re.compile(r"[^\W_][\w.-]{0,99}")


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer."""

    question: str
    answer: str  # citations as [1], [2], counting `passages` from 1
    passages: tuple[Passage, ...]  # that were shown to the model
    cited: tuple[int, ...]
    model: str
    time: str  # ISO 8601, with its zone
    searched: str = ""  # the question as it stands alone, where that is not the question itself
    remote: str = ""

    @classmethod
    def of(cls, answer: Answer, time: datetime) -> Turn:
        """What is kept of an answer."""
        return cls(
            answer.question,
            answer.text,
            answer.passages,
            tuple(answer.cited),
            answer.model,
            time.isoformat(timespec="seconds"),
            answer.searched,
            answer.remote,
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "question": self.question,
            "searched": self.searched,
            "answer": self.answer,
            "cited": list(self.cited),
            "passages": [_passage_to_dict(passage) for passage in self.passages],
            "model": self.model,
            "remote": self.remote,
            "time": self.time,
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Turn:
        """What `to_dict` gave. Raises: ValueError and its like, of anything else."""
        passages = tuple(map(_passage_from_dict, table["passages"]))
        cited = tuple(map(int, table["cited"]))
        if not all(1 <= number <= len(passages) for number in cited):
            raise ValueError(f"{cited} of {len(passages)} passages are cited")
        return cls(
            str(table["question"]),
            str(table["answer"]),
            passages,
            cited,
            str(table["model"]),
            str(table["time"]),
            str(table["searched"]),
            str(table["remote"]),
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation, as a list shows it."""

    name: str
    turns: int
    first: str  # question
    time: str  # of the last turn


@dataclass(frozen=True, slots=True)
class State:
    """What a file holds."""

    turns: tuple[Turn, ...] = ()
    summary: str = ""
    summarised: int = 0  # turns that the summary stands for, the first ones

    def after(self, table: Mapping[str, Any]) -> State:
        """With one more line."""
        if "summary" in table:
            return replace(self, summary=str(table["summary"]), summarised=int(table["turns"]))
        turns = self.turns[:-1] if table.get("again") else self.turns
        return replace(self, turns=(*turns, Turn.from_dict(table)), summarised=min(self.summarised, len(turns)))


class Kept:
    """One conversation, open for writing: another process that opens it is refused."""

    def __init__(self, book: Path, name: str = "") -> None:
        """The conversation of that name, made when its first turn is added; without a name it then gets one.

        Raises:
            BookError: Not a name, another process has it open, or the file is damaged.
        """
        if name and not NAME.fullmatch(name):
            raise BookError(f"{name!r} is no name for a conversation. Use letters, digits, '-', '_' and '.'.")
        self._book, self.name = book, name
        self._lock: BaseFileLock | None = None
        self.state = State()
        if name:
            self._hold(name)
            try:
                self.state = _read(self.path)
            except BaseException:
                self.close()
                raise

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return self._book / FOLDER / f"{self.name}{SUFFIX}"

    def add(self, turn: Turn, *, again: bool = False) -> None:
        """Keep one more turn; `again`: in the place of the last one."""
        if not self.name:
            self._name(turn)
        self._append({"again": True, **turn.to_dict()} if again else turn.to_dict())

    def summarise(self, summary: str, turns: int) -> None:
        """Keep what the first turns are remembered as."""
        self._append({"summary": summary, "turns": turns})

    def delete(self) -> None:
        """Take it off the disk."""
        if self.name:
            self.path.unlink(missing_ok=True)
            self.close()
            self._lock_path(self.name).unlink(missing_ok=True)
        self.name, self.state = "", State()

    def refuse_closed(self) -> None:
        """Raises: BookError, when it was closed: another process may have it open now."""
        if self.name and self._lock is None:
            raise BookError(f"The conversation {self.name} was closed. Open it again by its name.")

    def close(self) -> None:
        """Let others open it. Closing twice is allowed."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _append(self, table: Mapping[str, Any]) -> None:
        self.refuse_closed()
        line = well_formed(json.dumps(table, ensure_ascii=False)).encode() + b"\n"
        try:
            with self.path.open("ab", buffering=0) as file:
                _add(file, line)
        except OSError as error:
            raise BookError(f"{self.path} cannot be written: {error.strerror}. The answer is not kept.") from error
        self.state = self.state.after(table)

    def _name(self, turn: Turn) -> None:
        """The day and the first words of the question; a number after them where that is taken."""
        words = re.findall(r"[^\W_]+", turn.question.casefold())[:WORDS]
        stem = "-".join([turn.time[:10], *words]).encode()[:LONGEST].decode(errors="ignore")
        number = 1
        while True:
            name = stem if number == 1 else f"{stem}-{number}"
            number += 1
            if (self._book / FOLDER / f"{name}{SUFFIX}").exists():
                continue
            try:
                self._hold(name)
            except BookError:  # another process is just beginning one of this name
                if number > 99:
                    raise
                continue
            self.name = name
            if not self.path.exists():
                return
            self.close()

    def _hold(self, name: str) -> None:
        from filelock import FileLock, Timeout

        path = self._lock_path(name)
        lock = FileLock(path)
        try:
            path.parent.mkdir(exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout as error:
            raise BookError(
                f"The conversation {name} is open in another openbook. Close it there, or begin a new one."
            ) from error
        except OSError as error:
            raise BookError(
                f"{path.parent} cannot be written: {error.strerror}. Conversations are kept there."
            ) from error
        self._lock = lock

    def _lock_path(self, name: str) -> Path:
        return self._book / FOLDER / f".{name}.lock"


def names(book: Path) -> list[str]:
    """Of the conversations about a book, the one that was last written to last; damaged ones too."""
    found = []
    for path in (book / FOLDER).glob(f"*{SUFFIX}"):
        with suppress(OSError):  # another process just deleted it
            if (about := path.stat()).st_size:
                found.append((about.st_mtime_ns, path.name.removesuffix(SUFFIX)))
    return [name for _, name in sorted(found)]


def listed(book: Path) -> list[Listed]:
    """The conversations about a book, the latest last; damaged ones are left out."""
    found = []
    for name in names(book):
        with suppress(BookError):
            if turns := _read(book / FOLDER / f"{name}{SUFFIX}", repair=False).turns:
                found.append(Listed(name, len(turns), turns[0].question, turns[-1].time))
    return found


def markdown(turns: tuple[Turn, ...], title: str) -> str:
    """A conversation to be read elsewhere: questions, answers, and the text of every passage that is cited."""
    return "\n\n".join([f"# {title}", *(part for turn in turns for part in _turn_markdown(turn))]) + "\n"


def _turn_markdown(turn: Turn) -> Iterator[str]:
    yield f"## {' '.join(turn.question.split())}"
    if turn.searched:
        yield f"*Searched for: {' '.join(turn.searched.split())}*"
    yield turn.answer
    for number in turn.cited:
        passage = turn.passages[number - 1]
        chunk = passage.chunk
        place = ", ".join(filter(None, (passage.source, chunk.place, f"characters {chunk.start}-{chunk.end}")))
        quoted = "\n".join(f"> {line}".rstrip() for line in chunk.text.strip().splitlines())
        yield f"**[{number}]** {place}\n\n{quoted}"
    yield f"*{turn.model}, {turn.time.replace('T', ' ')}*"


def _read(path: Path, *, repair: bool = True) -> State:
    """What a file holds; nothing where there is none. `repair` cuts off a line that was not written to its end."""
    try:
        written = path.read_bytes()
    except FileNotFoundError:
        return State()
    except OSError as error:
        raise BookError(f"{path} cannot be read: {error.strerror}.") from error
    whole = written[: written.rfind(b"\n") + 1]
    state = State()
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            state = state.after(json.loads(line))
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise BookError(f"Line {number} of {path} is damaged. Remove that line, or the file.") from error
    if repair and len(whole) < len(written):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return state


def _add(file: FileIO, line: bytes) -> None:
    """Add all of a line, on the disk when this returns, or nothing.

    Raises:
        OSError: It was not added.
    """
    end = file.seek(0, os.SEEK_END)
    try:
        # One write: a process that is killed leaves all of the line or its beginning.
        if file.write(line) < len(line):  # a disk takes what it has room for, and says nothing
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file.fileno())
    except OSError:
        file.truncate(end)  # the next line would go on where this one broke off
        raise


def _passage_to_dict(passage: Passage) -> dict[str, Any]:
    chunk = passage.chunk
    return {
        "document": chunk.document_id,
        "start": chunk.start,
        "end": chunk.end,
        "text": chunk.text,
        "place": chunk.place,
        "sources": list(passage.sources),
        "title": passage.title,
        "score": passage.score,
        "via": passage.via,
    }


def _passage_from_dict(table: Mapping[str, Any]) -> Passage:
    chunk = Chunk(
        str(table["document"]), int(table["start"]), int(table["end"]), str(table["text"]), str(table["place"])
    )
    sources = tuple(map(str, table["sources"]))
    return Passage(chunk, float(table["score"]), str(table["via"]), sources, str(table["title"]))
