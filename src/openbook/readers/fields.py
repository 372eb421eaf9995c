"""What a document says about itself, as fields a search can be limited by."""

from __future__ import annotations

import re
from datetime import date
from email.utils import parsedate_to_datetime

from openbook.types import Field

LONGEST = 300  # characters of a field: a description is a line or two
LANGUAGE = re.compile(r"([A-Za-z]{2})(?:[-_].*)?$")
ISO = re.compile(r"(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})(?!\d)")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# '17 May 2023', 'May 17, 2023', '17. Mai 2023' is left alone: only English months are known.
WORDED = re.compile(r"(?:(\d{1,2})\.? )?([A-Za-z]{3,9})\.? (?:(\d{1,2}),? )?(\d{4})$")


def put(fields: dict[str, Field], name: str, words: object) -> None:
    """Add a field, if there are words; long ones are shortened."""
    if isinstance(words, str) and (line := " ".join(words.split())):
        fields[name] = line[:LONGEST]


def put_date(fields: dict[str, Field], words: object) -> None:
    """Add the field 'date', if these words are one."""
    if isinstance(words, str) and (day := iso_date(words)):
        fields["date"] = day


def iso_date(words: str) -> str:
    """The day that some words name, as YYYY-MM-DD; '' when it is not sure, as for 05/06/2023.

    >>> iso_date("2023-05-17T10:00:00Z"), iso_date("May 17, 2023"), iso_date("Wed, 17 May 2023 10:00:00 +0200")
    ('2023-05-17', '2023-05-17', '2023-05-17')
    >>> iso_date("05/06/2023"), iso_date("2023-02-30"), iso_date("yesterday")
    ('', '', '')
    """
    words = " ".join(words[:LONGEST].split())
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
