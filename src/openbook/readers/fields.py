"""What a document says about itself, as fields a search can be limited by."""

from __future__ import annotations

import re
from datetime import date
from email.utils import parsedate_to_datetime
from functools import lru_cache

from openbook.readers.strings import one_line
from openbook.types import Field

LONGEST = 300  # characters of a field: a description is a line or two
LONGEST_NAME = 40
LONGEST_SCALAR = 120  # longer ones are text, and found as such
LARGEST = 1 << 63  # what a database can keep
TAKEN = frozenset({"source", "title", "text"})  # what a document has anyway
NO_WORD = re.compile(r"\W+")
DIGITS = frozenset("-0123456789")
NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,9})?")  # not 007 nor a telephone number
LANGUAGE = re.compile(r"([A-Za-z]{2})(?:[-_].*)?$")
ISO = re.compile(r"(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})(?!\d)")
PARTIAL = re.compile(r"[12]\d{3}(?:-(?:0[1-9]|1[0-2]))?")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# '17 May 2023', 'May 17, 2023', '17. Mai 2023' is left alone: only English months are known.
WORDED = re.compile(r"(?:(\d{1,2})\.? )?([A-Za-z]{3,9})\.? (?:(\d{1,2}),? )?(\d{4})$")


def put(fields: dict[str, Field], name: str, words: object) -> None:
    """Add a field, if there are words; long ones are shortened."""
    if isinstance(words, str) and (line := one_line(words)):
        fields[name] = line[:LONGEST]


def put_date(fields: dict[str, Field], words: object) -> None:
    """Add the field 'date', if these words are one."""
    if isinstance(words, str) and (day := iso_date(words)):
        fields["date"] = day


def put_scalar(fields: dict[str, Field], name: str, value: object) -> None:
    """Add one of a list of unknown names and values, if the value is a number or a short line; the first of a name.

    >>> fields = {}
    >>> for name, value in {"Year": "2023", "Zip Code": "01067", "Pub. date": "May 17, 2023", "on": True}.items():
    ...     put_scalar(fields, name, value)
    >>> fields
    {'year': 2023, 'zip_code': '01067', 'pub_date': '2023-05-17'}
    """
    known = field_name(name)
    if not known or known in fields:
        return
    if isinstance(value, str):
        value = scalar(value, known)
    elif isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:  # NaN, too
        return
    if value != "":
        fields[known] = value


@lru_cache(maxsize=4096)
def field_name(name: str) -> str:
    """A column's name as that of a field: 'Pub. date' is 'pub_date'; '' for one that cannot be a field's."""
    known = NO_WORD.sub("_", name[:LONGEST_NAME].casefold()).strip("_")
    return known if known.isidentifier() and known == known.lower() and known not in TAKEN else ""


def scalar(words: str, name: str) -> str | int | float:
    """A number where it is written as one, a date where the name says so, the words if they are few, else ''."""
    if len(words) > LONGEST_SCALAR or not (words := words.strip()) or not words.isprintable():
        return ""
    if words[0] in DIGITS and NUMBER.fullmatch(words):
        return float(words) if "." in words else int(words)
    return (iso_date(words) if "date" in name else "") or words


@lru_cache(maxsize=4096)
def iso_date(words: str) -> str:
    """The day that some words name, as YYYY-MM-DD, or as much of it; '' when it is not sure, as for 05/06/2023.

    >>> iso_date("2023-05-17T10:00:00Z"), iso_date("May 17, 2023"), iso_date("Wed, 17 May 2023 10:00:00 +0200")
    ('2023-05-17', '2023-05-17', '2023-05-17')
    >>> iso_date("05/06/2023"), iso_date("2023-02-30"), iso_date("yesterday")
    ('', '', '')
    """
    words = " ".join(words[:LONGEST].split())
    if PARTIAL.fullmatch(words):
        return words
    if found := ISO.match(words):
        return _day(int(found[1]), int(found[2]), int(found[3]))
    if found := WORDED.match(words):
        day = found[1] or found[3]
        month = found[2][:3].lower()
        if day and month in MONTHS:
            return _day(int(found[4]), MONTHS.index(month) + 1, int(day))
    try:
        return parsedate_to_datetime(words).date().isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""


def _day(year: int, month: int, day: int) -> str:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return ""


def iso_language(tag: object) -> str:
    """The two letters of a language tag such as 'en-US', or ''.

    >>> iso_language("en-US"), iso_language("de"), iso_language("English")
    ('en', 'de', '')
    """
    found = LANGUAGE.match(tag.strip()) if isinstance(tag, str) else None
    return found[1].lower() if found else ""
