"""Headings into marks: 'Chapter > Section', what a person would cite."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten

from openbook.types import Marks

Heading = tuple[int, int, str]
"""Offset, level (1 is the highest), words."""

STYLES = (
    r"(?:heading|überschrift|titre|título|titolo|kop|rubrik|overskrift|otsikko|nagłówek|nadpis|заголовок"
    r"|見出し|标题|標題)"
)
"""What word processors call the style of a heading, before its level. They write the English name of their own styles
into most files; old templates have their language's."""

LONGEST = 80  # characters of one heading in a label


def heading_marks(headings: Sequence[Heading], *, titled: bool = True) -> Marks:
    """A mark for each heading, with the headings it lies under.

    With `titled`, a first heading that is the only one of its level is the document's title, not repeated in each.

    >>> heading_marks([(0, 1, "Kafka"), (9, 2, "Design"), (30, 3, "Log"), (60, 2, "Use")])
    ((0, 'Kafka'), (9, 'Design'), (30, 'Design > Log'), (60, 'Use'))
    """
    top = min((level for _, level, _ in headings), default=0)
    only_one = bool(headings) and headings[0][1] == top and [level for _, level, _ in headings].count(top) == 1
    marks: list[tuple[int, str]] = []
    above: list[tuple[int, str]] = []
    for offset, level, words in headings:
        label = shorten(words, LONGEST, placeholder=" …")
        while above and above[-1][0] >= level:
            above.pop()
        path = [words for upper, words in above if not (titled and only_one and upper == top)]
        marks.append((offset, " > ".join([*path, label])))
        above.append((level, label))
    return tuple(marks)
