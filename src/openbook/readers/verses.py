"""Verses of a Bible into marks: 'Genesis 1:1', so that a citation says what people say."""

from __future__ import annotations

import re

from openbook.types import Marks

# '1:1 In the beginning' under a heading 'Genesis 1', or 'Genesis 1:1 In the beginning', 'Ge1:1 In the beginning'.
VERSE = re.compile(
    r"^(?:(?P<book>(?:[1-5]\.? ?)?[^\W\d_](?:[^\W\d_]|[ .](?! )){0,30}?)[ .]*)?"
    r"(?P<chapter>\d{1,3}):(?P<verse>\d{1,3})(?=[ \t])",
    re.MULTILINE,
)
HEADING = re.compile(r"^(?P<book>\S[^\n]{0,39}?) (?P<chapter>\d{1,3})[ \t]*\n\s*\Z", re.MULTILINE)
TITLE = re.compile(r"^(?P<title>\S[^\n]*?)[ \t]*\n\s*\Z", re.MULTILINE)
NO_BOOK = frozenset({"chapter", "chap.", "kapitel", "kap.", "chapitre", "capítulo", "capitolo"})
BEFORE = 200  # characters in which the heading of a chapter is looked for
FEWEST = 2  # verses that follow one: fewer prove nothing
GAP = 3  # some editions leave a verse out

Verse = tuple[str, int, int]


def verse_marks(text: str) -> Marks:
    r"""A mark for each verse, the first of a chapter at the chapter's heading; none where it is not sure.

    Sure are verses that count up from 1 under a heading that names book and chapter. A clock time never does.

    >>> verse_marks("JONAH\n\nJonah 1\n1:1 Now the word\n1:2 Arise\n1:3 But Jonah rose")
    ((0, 'Jonah 1:1'), (32, 'Jonah 1:2'), (42, 'Jonah 1:3'))
    """
    if "1:1" not in text:
        return ()
    marks: list[tuple[int, str]] = []
    last: Verse = ("", 0, 0)
    counted = 0
    for found in VERSE.finditer(text):
        at = found.start()
        book, chapter, verse = found["book"] or "", int(found["chapter"]), int(found["verse"])
        if verse == 1 and not book:
            book, at = _heading(text, at, chapter)
            if not book and chapter != last[1] + 1:
                return ()  # another book begins here, and nothing says which
        if verse == 1 and book in {"", last[0]} and chapter <= last[1]:
            return ()  # the same chapter begins again: these are scores, not verses
        if _follows((book, chapter, verse), last):
            counted += verse > 1
            last = (book or last[0], chapter, verse)
            marks.append((at, f"{last[0]} {chapter}:{verse}"))
    return tuple(marks) if counted >= FEWEST else ()


def _follows(this: Verse, last: Verse) -> bool:
    book, chapter, verse = this
    if verse == 1:
        return bool(book or last[0])
    return book in {"", last[0]} and chapter == last[1] and last[2] < verse <= last[2] + GAP


def _heading(text: str, at: int, chapter: int) -> tuple[str, int]:
    """Book and offset of the heading above `at`, with the book's title above it; ('', at) where there is none."""
    begin = max(0, at - BEFORE)
    found = HEADING.search(text[begin:at])
    if not found or int(found["chapter"]) != chapter or found["book"].casefold() in NO_BOOK:
        return "", at
    book, offset = found["book"], begin + found.start()
    title = TITLE.search(text[max(0, offset - BEFORE) : offset])
    if title and title["title"].casefold() == book.casefold():
        offset = max(0, offset - BEFORE) + title.start()
    return book, offset
