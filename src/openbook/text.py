"""What cleaning and splitting both know about characters."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, cycle, islice

from openbook.types import Cleaner, Document, Edit, Marks

ROUNDS = 20  # what one edit uncovers is found in the next round; more than three were never seen

# fmt: off
NAME_FOLLOWS = frozenset({  # no sentence ends after these, whatever follows
    "mr", "mrs", "ms", "dr", "prof", "st", "mt", "gen", "col", "capt", "lt", "sgt", "gov", "sen", "rep", "hon", "rev",
    "vs", "cf", "al", "approx", "messrs", "hr", "fr", "hl", "geb", "gest", "bzw", "ca", "evtl", "ggf", "vgl", "inkl",
    "zzgl", "sog", "bspw", "dipl", "ing", "mme", "sr", "sra", "incl", "resp",
})
NUMBER_FOLLOWS = frozenset({  # nor after these before a number
    "no", "nos", "nr", "pp", "vol", "vols", "fig", "figs", "eq", "sec", "ch", "art", "abs", "bd", "ed", "jan",
    "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "okt", "dez", "tel", "abb", "tab",
    "kap", "ver", "par", "item", "ex",
})
AFTER_ORDINAL = frozenset({  # '3. Mai'
    "januar", "jänner", "februar", "märz", "april", "mai", "juni", "juli", "august", "september", "oktober", "november",
    "dezember", "jahrhundert", "jahrhunderts", "jahrtausend", "jh", "kapitel", "auflage", "klasse",
})
# fmt: on

STOP = re.compile(
    r"""[.!?…]+["'”’»)\]]*(?=\s|$)"""
    r"""|[。！？]+["'”’」』）]*"""
    r"|\n[ \t]*\n"
    r"|\n(?=[ \t]{0,3}(?:[-*•]|\d{1,3}[.)])[ ])"  # a list item
)
LAST_WORD = re.compile(r"[^\s(\[{\"'“‘„«]*$")
NEXT_WORD = re.compile(r"\s*[(\[\"'“‘„«]*(\w*)")
LONGEST_WORD = 20  # of those that an abbreviation is looked for in


def apply(document: Document, edits: Sequence[Edit]) -> Document:
    """The document with its text edited, and every mark at the character it stood at.

    A mark inside an edit moves to the edit's beginning. Marks that then stand at one place, or at the end of the text,
    hold of no character: of each kind the last one at a place is kept.

    >>> edited = apply(Document("one  two", "a.txt", marks=((5, "page 2"),)), [Edit(3, 5, " ", "spaces")])
    >>> edited.text, edited.marks
    ('one two', ((4, 'page 2'),))

    Raises:
        ValueError: Edits overlap, fall, or lie outside of the text.
    """
    if not edits:
        return document
    pieces: list[str] = []
    done = 0
    for edit in edits:
        if not done <= edit.start <= edit.end <= len(document.text):
            raise ValueError(f"{edit} overlaps the edit before it or lies outside of the text.")
        pieces += [document.text[done : edit.start], edit.text]
        done = edit.end
    text = "".join([*pieces, document.text[done:]])
    starts = [edit.start for edit in edits]
    grown = [0, *accumulate(len(edit.text) - (edit.end - edit.start) for edit in edits)]

    def moved(marks: Marks) -> Marks:
        found: dict[int, str] = {}
        for offset, label in marks:
            index = bisect_right(starts, offset)  # edits that begin at or before the mark
            if index and offset < edits[index - 1].end:
                at = edits[index - 1].start + grown[index - 1]
            else:
                at = offset + grown[index]
            if at < len(text):
                found[at] = label
        return tuple(found.items())

    return replace(
        document, text=text, marks=moved(document.marks), headings=moved(document.headings), parts=moved(document.parts)
    )


def compose(first: Sequence[Edit], second: Sequence[Edit]) -> list[Edit]:
    """Edits that do at once what `first` and then, on its result, `second` do.

    >>> compose([Edit(3, 5, " ", "spaces")], [Edit(4, 7, "2", "number")])
    [Edit(start=3, end=5, text=' ', reason='spaces'), Edit(start=5, end=8, text='2', reason='number')]
    """
    if not first or not second:
        return list(first or second)
    return [_merged(*group) for group in _groups(first, second)]


Group = tuple[int, int, int, int, list[tuple[int, Edit]], list[Edit]]
"""Start and end in the text between, characters `first` has added before it and up to its end, edits of both."""


def _groups(first: Sequence[Edit], second: Sequence[Edit]) -> Iterator[Group]:
    """Edits that overlap in the text between, together; rising."""
    grown = 0
    moved: list[tuple[int, int, Edit, bool]] = []
    for edit in first:
        start = edit.start + grown
        moved.append((start, start + len(edit.text), edit, True))
        grown += len(edit.text) - (edit.end - edit.start)
    moved += [(edit.start, edit.end, edit, False) for edit in second]
    moved.sort(key=lambda one: (one[0], one[1]))
    start = end = before = after = 0
    made: list[tuple[int, Edit]] = []
    done: list[Edit] = []
    for begins, ends, edit, is_first in moved:
        if begins >= end and (made or done):
            yield start, end, before, after, made, done
            made, done = [], []
        if not made and not done:
            start, end, before = begins, ends, after
        end = max(end, ends)
        if is_first:
            made.append((begins, edit))
            after += len(edit.text) - (edit.end - edit.start)
        else:
            done.append(edit)
    yield start, end, before, after, made, done


def _merged(start: int, end: int, before: int, after: int, made: list[tuple[int, Edit]], done: list[Edit]) -> Edit:
    pieces: list[str] = []
    at = start
    for begins, edit in made:
        # Characters between two edits of `first` are inside an edit of `second`: what they are does not matter.
        pieces += [" " * (begins - at), edit.text]
        at = begins + len(edit.text)
    between = "".join(pieces).ljust(end - start)
    pieces, at = [], start
    for edit in done:
        pieces += [between[at - start : edit.start - start], edit.text]
        at = edit.end
    pieces.append(between[at - start :])
    reasons = dict.fromkeys([edit.reason for _, edit in made] + [edit.reason for edit in done])
    return Edit(start - before, end - after, "".join(pieces), ", ".join(reasons))


def settled(document: Document, *steps: Cleaner) -> list[Edit]:
    """What the steps find one after the other, again and again until none of them finds more, as one list of edits."""
    edits: list[Edit] = []
    quiet = 0  # steps since the last that found something
    for step in islice(cycle(steps), ROUNDS * len(steps)):
        found = step(document)
        quiet = 0 if found else quiet + 1
        if quiet == len(steps):
            break
        edits = compose(edits, found)
        document = apply(document, found)
    return edits


def changed(start: int, old: str, new: str, reason: str) -> Edit:
    """The edit that makes `new` of `old`, without the characters that both begin or end with."""
    most = min(len(old), len(new))
    head = next((i for i in range(most) if old[i] != new[i]), most)
    tail = next((i for i in range(most - head) if old[-1 - i] != new[-1 - i]), most - head)
    return Edit(start + head, start + len(old) - tail, new[head : len(new) - tail], reason)


def well_formed(text: str) -> str:
    """The text with '?' for halves of UTF-16 pairs: a terminal or a file's name makes them of bytes it cannot read.

    No file, database or server takes them. As long as before, so that offsets stay.
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def count(number: int, noun: str, nouns: str = "") -> str:
    """A number with its noun; `nouns` is its plural where that is not an s more.

    >>> count(1, "chunk"), count(8494, "chunk"), count(0, "index", "indexes")
    ('1 chunk', '8,494 chunks', '0 indexes')
    """
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"


def beginning(text: str, characters: int) -> str:
    """A text in one line, cut after a word within so many characters.

    >>> beginning("Three days  and three nights.", 16)
    'Three days and ...'
    """
    text = " ".join(text.split())
    return text if len(text) <= characters else f"{text[:characters].rsplit(' ', 1)[0]} ..."


def sentence_ends(text: str) -> Iterator[int]:
    """Offset after the last character of each sentence, rising; empty lines and list items end one too.

    A line end alone does not: most texts are wrapped somewhere. Of a text without full stops nothing is said.

    >>> text = "Dr. Ahab paid 3.50 on 3. Mai, e.g. to J. Smith. He left. 鱼游。船行。"
    >>> [text[:end][-5:] for end in sentence_ends(text)]
    ['mith.', 'left.', '. 鱼游。', '游。船行。']
    """
    for found in STOP.finditer(text):
        if found[0].isspace():
            yield found.start()
        elif found[0][0] in "。！？" or _ends_a_sentence(text, found):
            yield found.end()


def _ends_a_sentence(text: str, found: re.Match[str]) -> bool:
    """Whether these full stops, question or exclamation marks do, with the quotes and brackets that close there."""
    following = NEXT_WORD.match(text, found.end())
    word_after = following[1] if following else ""
    if word_after[:1].islower():
        return False
    if found[0] != ".":
        return True
    stop = found.start()
    before = LAST_WORD.search(text, max(0, stop - LONGEST_WORD), stop)
    word = before[0].lower() if before else ""
    if "." in word or word in NAME_FOLLOWS or (len(word) == 1 and word.isalpha()):
        return False
    if word in NUMBER_FOLLOWS:
        return not word_after[:1].isdigit()
    if word.isdigit() and len(word) <= 2:
        # '3. Mai', and the number of a list item, which begins its line.
        begins_line = before is not None and (before.start() == 0 or text[before.start() - 1] == "\n")
        return not begins_line and word_after.lower() not in AFTER_ORDINAL
    return True
