"""Where to end a chunk: what all splitters know about paragraphs, lines, sentences and words.

paragraph end  >  line end  >  sentence end  >  word end  >  anywhere (inside a word longer than `size`)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from openbook.errors import SpecError
from openbook.types import Document, join_labels

SMALLEST = 20  # characters: below this a chunk is shorter than many a word, and nothing can be found by it

# How full a chunk must be, in hundredths of `size`, to be ended there. A paragraph end is worth a half-empty chunk; a
# line end only one that is nearly full, as the next line end is seldom far. Retrieval does not see a difference between
# lines from 50, 75, 85 or 95 (BM25, 200 topics on the KJV: MRR within 0.02, the standard error), so fewer chunks win.
PARAGRAPH_FROM = 50
LINE_FROM = 85
SENTENCE_FROM = 75

# A heading belongs to what follows it: the chunk ends before a last paragraph shorter than this without a full stop.
HEADING = 80

# The last sentence end of a window; in Chinese and Japanese no space follows it. A character must be left over: the
# first of the next chunk.
SENTENCE_END = re.compile(r"""(?s:.*)(?:[.?!]["'”’)\]]{0,3}(?=\s)|[。！？](?=(?s:.)))""")
STOPS = frozenset(".!?:;,\"')”’»。！？：；…")

# Scripts without spaces between words: Thai, Lao, Burmese, Khmer; Chinese and Japanese.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)
WORD_START = re.compile(r"(?<=\s)\S")
SENTENCE_START = re.compile(r"(?:(?<=[.!?]\s)|(?<=\n)|(?<=[。！？]))[^\s。！？]")
TEXT = re.compile(r"\S")


def best_end(text: str, start: int, size: int, done: int) -> int:
    """Where a chunk from `start` ends: after `done`, at most `size` away."""
    limit = start + size
    if limit >= len(text):
        return len(text)
    floor = start + size * PARAGRAPH_FROM // 100
    if floor <= done:
        floor = done + 1
    paragraph = text.rfind("\n\n", floor, limit + 2)
    if paragraph > 0:
        return before_heading(text, paragraph, floor)
    floor = max(floor, start + size * LINE_FROM // 100)
    line = text.rfind("\n", floor, limit + 1)
    # Text that was wrapped at 70 columns has a line end in every window, and it means nothing: the next line
    # goes on in small letters. There a sentence end is the better place.
    if line > 0 and not text[line + 1 : line + 2].islower():
        return line
    if sentence := SENTENCE_END.match(text, max(done, start + size * SENTENCE_FROM // 100 - 1), limit + 1):
        return sentence.end()
    return line if line > 0 else _word_end(text, max(start, done) + 1, floor, limit)


def next_start(text: str, start: int, end: int, overlap: int) -> int:
    """Where the chunk after text[start:end] begins: at most `overlap` before its end, and after `start`."""
    earliest = max(end - overlap, start + 1)
    latest = earliest + max(end - earliest, 0) // 4
    for pattern, until in ((SENTENCE_START, latest), (WORD_START, end)):
        if found := pattern.search(text, earliest, until):
            return found.start()
    if UNSPACED.match(text, earliest):
        return _whole_character(text, earliest, start + 1)
    return skip(text, end)


def check_sizes(name: str, size: int, overlap: int, smallest: int, unit: str) -> None:
    """Raises: SpecError, when no chunk can be made with these options of the splitter `name`."""
    usual = 500 if unit == "characters" else 200
    if size < smallest:
        raise SpecError(f"{name}(size={size}): size must be at least {smallest} {unit}, such as {usual}.")
    if not 0 <= overlap < size:
        raise SpecError(
            f"{name}(overlap={overlap}): overlap must be at least 0 and less than size={size}, such as {size // 10}."
        )


def _word_end(text: str, first: int, floor: int, limit: int) -> int:
    """The last word end between `first` and `limit`; inside a word when it fills all of that."""
    *head, word = text[first : limit + 1].rsplit(None, 1) or [""]
    if not word or text[limit].isspace():
        return limit
    at = limit + 1 - len(word)
    if head and (at >= floor or not UNSPACED.match(text, limit)):
        return at
    return _whole_character(text, limit, floor)


def _whole_character(text: str, at: int, floor: int) -> int:
    """`at`, or a little before it, so that an accent stays with its letter."""
    for earlier in range(at, floor, -1):
        if not unicodedata.category(text[earlier]).startswith("M"):
            return earlier
    return at


def before_heading(text: str, paragraph: int, floor: int) -> int:
    """A paragraph end, moved before a heading that would be the chunk's last line."""
    paragraph = floor + len(text[floor:paragraph].rstrip())  # there may be more than one empty line
    earlier = text.rfind("\n\n", max(floor, paragraph - HEADING), paragraph)
    if earlier > 0 and text[paragraph - 1] not in STOPS:
        return earlier
    return paragraph


def skip(text: str, at: int) -> int:
    """The first character at or after `at` that is not white space."""
    # Between two words is one space, between two paragraphs are two line ends: looked at by hand, as a search costs
    # ten times as much. The search is for long stretches.
    for near in (at, at + 1, at + 2):
        if not text[near : near + 1].isspace():
            return min(near, len(text))
    found = TEXT.search(text, at)
    return found.start() if found else len(text)


def places(document: Document) -> Callable[[int, int], str]:
    """`document.place` for spans whose starts and ends rise: walks the marks once instead of searching them."""
    marks = document.places
    position = [0, 0]  # how many marks lie at or before the start, and before the end, of the last span

    def label(which: int, offset: int) -> str:
        index = position[which]
        while index < len(marks) and marks[index][0] <= offset:
            index += 1
        position[which] = index
        return marks[index - 1][1] if index else ""

    return lambda start, end: join_labels(label(0, start), label(1, end - 1))
