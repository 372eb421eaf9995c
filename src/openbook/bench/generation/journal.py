"""What was made so far: the file of questions, and beside it a line for each stretch that was tried.

A person may edit or delete lines of questions at any time: what was deleted is not made again.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from openbook.bench.questions import Question, read_questions
from openbook.errors import BookError
from openbook.text import well_formed
from openbook.writing import write

SUFFIX = ".tried.jsonl"


@dataclass(frozen=True, slots=True)
class Tried:
    """A stretch of a document, and what a model made of it."""

    id: str  # of the stretch, and of its question
    answerable: bool  # whether a question with an answer was wanted
    heading: str = ""
    question: str = ""
    answer: str = ""
    reader: str = ""  # what the reader answered
    memory: str = ""  # what the model answered without the text
    reason: str = ""  # why it was not kept; '' when it was

    def wrote(self, question: str, answer: str = "") -> Tried:
        """With what the model wrote."""
        return replace(self, question=question, answer=answer)

    def rejected(self, reason: str, *, reader: str = "", memory: str = "") -> Tried:
        """Not kept, with what was heard until then."""
        return replace(self, reason=reason, reader=reader or self.reader, memory=memory or self.memory)

    def kept(self, *, reader: str, memory: str = "") -> Tried:
        """Kept."""
        return replace(self, reader=reader, memory=memory, reason="")


class Journal:
    """The two files, open for more. What is added outlives this process once `add` returns."""

    def __init__(self, path: Path, made_by: dict[str, Any]) -> None:
        """`made_by` is what a file must have been begun with to be gone on with.

        Raises:
            BookError: The file of questions is another's, or one of the files cannot be read or written.
        """
        if not path.name:
            raise BookError(f"{path} is no name of a file. Name one: -o FILE")
        self._questions_path, self.path = path, path.with_name(path.stem + SUFFIX)
        self._made_by = made_by
        with _disk(self.path):
            self._begin()

    def _begin(self) -> None:
        path = self._questions_path
        lines = list(_lines(self.path))
        if path.exists() and not lines:
            raise BookError(f"{path} is there already and was not made by this command. Name another file: -o FILE")
        if lines and {key: lines[0].get(key) for key in self._made_by} != self._made_by:
            other = ", ".join(f"{key} {lines[0].get(key)}" for key in ("by", "seed"))
            raise BookError(f"{path} was begun otherwise ({other}). Name another file: -o FILE, or delete {self.path}")
        try:
            kept = {str(one["question"]["id"]): one["question"] for one in lines[1:] if one["question"]}
            self.tried = [Tried(**one["tried"]) for one in lines[1:]]
        except (LookupError, TypeError) as error:
            raise BookError(f"{self.path} is not as it was written ({error}). Name another file: -o FILE") from error
        self.asked = [one.question for one in self.tried if not one.reason]
        if not path.exists() and kept:  # moved away, perhaps: all is known but what a person changed
            write(path, "".join(map(_line, kept.values())))
        _mend(path)
        self.questions: dict[str, Question] = {}
        if path.exists() and path.stat().st_size:
            self.questions = {one.id: one for one in read_questions(path)}
        if not lines:
            self.path.write_text(_line(self._made_by), encoding="utf-8")
        self._files: list[BinaryIO] = [self._questions_path.open("ab"), self.path.open("ab")]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            with suppress(OSError):  # a full disk was said already
                file.close()

    def add(self, tried: Tried, question: Question | None) -> None:
        """A stretch was tried, and gave a question or none.

        Raises:
            BookError: It cannot be written.
        """
        # The question first: killed between the two, the stretch is tried again and its question is there already.
        with _disk(self.path):
            if question is not None and question.id not in self.questions:
                self._write(0, _line(question.to_dict()))
            self._write(1, _line({"tried": asdict(tried), "question": question.to_dict() if question else None}))
        if question is not None:
            self.questions.setdefault(question.id, question)
            self.asked.append(question.text)
        self.tried.append(tried)

    def _write(self, number: int, line: str) -> None:
        self._files[number].write(line.encode("utf-8"))
        self._files[number].flush()


@contextmanager
def _disk(path: Path) -> Generator[None]:
    """A failure of the disk as one line."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise BookError(
                "The disk is full: what was made before is kept. Free some space, then run the same command again."
            ) from error
        raise BookError(
            f"Cannot write {error.filename or path}: {error.strerror}. Name another file: -o FILE"
        ) from error


def _line(value: dict[str, Any]) -> str:
    return well_formed(json.dumps(value, ensure_ascii=False)) + "\n"


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The journal's lines, without a last one that was cut off.

    Raises:
        BookError: It is damaged otherwise.
    """
    if not path.exists():
        return
    _mend(path)
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line:
            continue
        try:
            found = json.loads(line)
            yield {**found}
        except (ValueError, TypeError, RecursionError) as error:
            raise BookError(
                f"{path}, line {number} is damaged. Delete that line, then run the command again."
            ) from error


def _mend(path: Path) -> None:
    """Cut off a last line that was written in part, and end one that a person wrote without an end."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        text = file.read()
        if not text or text.endswith(b"\n"):
            return
        start = text.rfind(b"\n") + 1
        try:
            json.loads(text[start:])
        except ValueError:
            file.truncate(start)
        else:
            file.write(b"\n")
