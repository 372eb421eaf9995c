"""Text of a picture by tesseract, a program of its own that is used where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from openbook.readers import TESSERACT

INSTALL = "Install tesseract (Debian: apt install tesseract-ocr), then add it again."
SECONDS = 100  # for one page; a dense one takes 5, and on a busy machine ten times as long
SURE = 40.0  # percent: below, tesseract guesses letters into a photograph
NO_LANGUAGES = frozenset({"osd", "equ", "snum"})  # other models that tesseract lists
FIRST = ("eng", "deu")
MOST_LANGUAGES = 3  # each adds its time


class OcrError(Exception):
    """What happened, and the next step."""


@dataclass(frozen=True, slots=True)
class Tesseract:
    """Tesseract as it is installed here."""

    program: str
    languages: str  # 'eng+deu'
    turns: bool  # whether it can tell which way up a page is

    @classmethod
    def find(cls, languages: str = "") -> Tesseract:
        """Raises: OcrError, when it is not installed or has none of these languages ('': what is installed)."""
        program = shutil.which(TESSERACT)
        if program is None:
            raise OcrError(INSTALL)
        listed = _run([program, "--list-langs"], b"").decode("utf-8", "replace").split("\n")[1:]
        installed = sorted(
            (name for name in map(str.strip, listed) if name and name not in NO_LANGUAGES),
            key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name),
        )
        missing = [name for name in languages.split("+") if name and name not in installed]
        if missing or not installed:
            what = missing[0] if missing else "eng"
            known = ", ".join(installed) or "none"
            raise OcrError(
                f"tesseract lacks the language {what!r} (installed: {known}). "
                f"Debian: apt install tesseract-ocr-{what.replace('_', '-')}"
            )
        return cls(program, languages or "+".join(installed[:MOST_LANGUAGES]), "osd" in listed)

    def __call__(self, picture: bytes) -> str:
        """Text of a picture in a format such as PGM, at 300 dpi; '' when it shows none.

        Raises:
            OcrError: It takes too long or fails, or what was found is no text.
        """
        mode = "1" if self.turns else "3"
        command = [self.program, "stdin", "stdout", "-l", self.languages, "--psm", mode, "--dpi", "300", "tsv"]
        words = list(_words(_run(command, picture).decode("utf-8", "replace").split("\n")))
        kept = [paragraph for _, run in groupby(words, lambda word: word.paragraph) if (paragraph := _sure(run))]
        if words and not kept:
            sure = sum(word.sure for word in words) / len(words)
            raise OcrError(f"tesseract is sure of only {sure:.0f} % of the letters. Scan it again, at 300 dpi.")
        return "\n\n".join(
            "\n".join(" ".join(word.text for word in line) for _, line in groupby(words, lambda word: word.line))
            for words in kept
        )


@dataclass(frozen=True, slots=True)
class _Word:
    paragraph: tuple[str, ...]
    line: tuple[str, ...]
    sure: float
    text: str


def _words(rows: Iterable[str]) -> Iterator[_Word]:
    """Words of tesseract's table: level, page, block, paragraph, line, word, four of the box, percent sure, text."""
    for row in rows:
        cells = row.rstrip("\r").split("\t")
        if len(cells) == 12 and cells[0] == "5" and cells[11].strip():
            yield _Word(tuple(cells[2:4]), tuple(cells[2:5]), float(cells[10]), cells[11].strip())


def _sure(paragraph: Iterable[_Word]) -> list[_Word]:
    """The words of a paragraph, or none when it is no text."""
    words = list(paragraph)
    letters = sum(len(word.text) for word in words)
    return words if sum(word.sure * len(word.text) for word in words) >= SURE * letters else []


def _run(command: list[str], picture: bytes) -> bytes:
    # One thread: with more, its threads wait for each other and a page takes longer on two cores, not shorter.
    environment = os.environ | {"OMP_THREAD_LIMIT": "1"}
    try:
        done = subprocess.run(
            command, input=picture, capture_output=True, timeout=SECONDS, env=environment, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OcrError(
            f"tesseract took longer than {SECONDS} seconds. Read the page by eye, or scan it again."
        ) from error
    except OSError as error:
        raise OcrError(f"tesseract cannot be started: {error.strerror or error}. {INSTALL}") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().split("\n")
        raise OcrError(f"tesseract failed: {lines[-1][:200] or done.returncode}. Try: tesseract --version")
    return done.stdout
