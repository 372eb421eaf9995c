"""Strings as files hold them: without characters that no text keeps, on one line, as a number."""

from __future__ import annotations

import re

SURROGATE = re.compile("[\ud800-\udfff\0]")
# Control characters, soft hyphens, ...: nobody sees them, and no word is found that has one in it.
UNSEEN = re.compile("[\0-\x08\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2060-\u2064\ufeff]+")
LINE_END = re.compile("[\v\f\x1c-\x1f\x85\u2028\u2029]")
LONGEST_REASON = 200  # characters


def safe(text: str) -> str:
    r"""A text that every store can keep: half characters and NUL become U+FFFD, line ends `\n`."""
    if SURROGATE.search(text):
        whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        text = SURROGATE.sub("\ufffd", whole)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def clean(text: str) -> str:
    """As `safe`, without characters that nobody sees."""
    return safe(UNSEEN.sub("", LINE_END.sub("\n", text)))


def one_line(text: str) -> str:
    r"""Words on one line, without characters that nobody sees.

    >>> one_line(" a\n\u00a0b\u200b ")
    'a b'
    """
    line = " ".join(text.split())
    return line if line.isprintable() else " ".join(clean(text).split())


def reason(error: object) -> str:
    """What a library says went wrong, or its error's name: to put in brackets."""
    said = " ".join(safe(str(error)).split()).rstrip(".")[:LONGEST_REASON]
    return said or (type(error).__name__ if isinstance(error, Exception) else "no reason given")


def number(value: float) -> str:
    """A number without the noise of its binary form.

    >>> number(0.1 + 0.2), number(12.0), number(1e300), number(7)
    ('0.3', '12', '1e+300', '7')
    """
    return str(value) if isinstance(value, int) else f"{value:.15g}"


def whole(words: str | None, usual: int = 0, *, least: int = 0, most: int = 10**6) -> int:
    """A whole number as an attribute has it, or the usual one when there is none or none that makes sense.

    >>> whole("12"), whole("-1", 1), whole("9" * 5000), whole(None, 7)
    (12, 1, 0, 7)
    """
    digits = (words or "").removeprefix("-")
    if not words or not digits.isascii() or not digits.isdecimal() or len(digits) > len(str(most)):
        return usual
    found = int(words)
    return found if least <= found <= most else usual
