"""What programs do to the characters and lines of a text on its way into a file, done on purpose.

The same text is damaged in the same way each time.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections import Counter
from collections.abc import Callable
from random import Random

WIDTH = 72
QUOTE = 12  # words
LETTERS = re.compile(r"[^\W\d_]{6,}")  # a word is cut with three letters or more on each side
HALF = re.compile(r"[^\W\d_]{5}(?=[^\W\d_]{5})")
# Windows-1252, with the control characters of Latin-1 where it has nothing, as browsers read it.
WINDOWS = {byte: sign for byte in range(128, 160) if (sign := bytes([byte]).decode("cp1252", "ignore"))}


def decomposed(text: str) -> str:
    """Letters and their accents apart, as file systems of Macs and some PDFs have them."""
    return unicodedata.normalize("NFD", text)


def misread(text: str) -> str:
    """UTF-8 read as Windows-1252.

    >>> misread("für „Mut“")
    'fÃ¼r â€žMutâ€œ'
    """
    return text.encode().decode("latin-1").translate(WINDOWS)


def softened(text: str) -> str:
    """A soft hyphen after every five letters of words of ten or more, as web pages have them.

    >>> softened("kein Weltmeister").replace(chr(173), "~")
    'kein Weltm~eister'
    """
    return HALF.sub("\\g<0>\xad", text)


def filled(text: str) -> str:
    """Lines of at most 72 columns as Python and most editors break them: words stay whole, but for compounds."""
    return textwrap.fill(text, WIDTH)


def wrapped(text: str, hyphen: str = "-\n") -> str:
    """Lines of at most 72 columns; a word that does not fit is cut at its own hyphen, else by the toss of a coin."""
    random = Random(text)
    lines, line = [], ""
    for word in text.split():
        room = WIDTH - len(line) - bool(line)
        while len(word) > room:
            if at := word.rfind("-", 1, max(0, min(room, len(word) - 1))) + 1:
                head, word = f"{line} {word[: at - 1]}", word[at:]
            elif (places := _places(word, room)) and random.random() < 0.5:
                at = random.choice(places[-3:])
                head, word = f"{line} {word[:at]}", word[at:]
            else:
                lines.append(f"{line}\n" if line else "")
                line, room = "", max(WIDTH, len(word))
                continue
            lines.append(head.strip() + hyphen)
            line, room = "", WIDTH
        line = f"{line} {word}" if line else word
    return "".join([*lines, line])


def _places(word: str, room: int) -> list[int]:
    """Where a word may be cut so that the first piece and a hyphen fit."""
    return [at for run in LETTERS.finditer(word) for at in range(run.start() + 3, run.end() - 2) if at < room]


def from_pdf(text: str) -> str:
    """As `wrapped`, with the sign that PDFium gives for a hyphen and the line break after it."""
    return wrapped(text, "\ufffe")


DAMAGES: dict[str, Callable[[str], str]] = {
    "undamaged": str,
    "decomposed": decomposed,
    "misread": misread,
    "soft hyphens": softened,
    "wrapped": filled,
    "wrapped, words cut": wrapped,
    "wrapped, words cut, U+FFFE": from_pdf,
}


def quotes_found(text: str, after: str) -> tuple[int, int]:
    """How many of the text's quotes of 12 words, side by side, are in the other word for word, and of how many."""
    words, there = text.split(), f" {' '.join(after.split())} "
    quotes = [" ".join(words[at : at + QUOTE]) for at in range(0, len(words) - QUOTE + 1, QUOTE)]
    return sum(f" {quote} " in there for quote in quotes), len(quotes)


def words_lost(text: str, after: str) -> tuple[int, int]:
    """How many words of the text the other has no more, and how many it has that were none."""
    before, now = Counter(text.split()), Counter(after.split())
    return (before - now).total(), (now - before).total()
