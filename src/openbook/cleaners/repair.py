"""Puts right what copying, old programs and line ends did to the characters of a text; its words stay.

Clean ASCII is told by a few searches that run at the speed of memory, so a good text costs nearly nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from openbook.cleaners.lines import broken_lines
from openbook.text import changed, settled
from openbook.types import Document, Edit, label_at

LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
SPACES = "\xa0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f"
INVISIBLE = "\u200b\u2060\ufeff\u180e"  # zero width space, word joiner, byte order mark, Mongolian vowel separator
LINE_ENDS = "\f\v\x85\u2028\u2029\r\x1c\x1d\x1e"
CONTROLS = set(map(chr, [*range(32), *range(127, 160)])).difference("\t\n", LINE_ENDS)
REASONS = (
    ("ligature", LIGATURES),
    ("space", dict.fromkeys(SPACES, " ")),
    ("invisible character", dict.fromkeys(INVISIBLE, "")),
    ("soft hyphen", {"\xad": ""}),
    ("line end", dict.fromkeys(LINE_ENDS, "\n")),
    ("control character", dict.fromkeys(CONTROLS, "")),
)
ODD = {sign: (instead, reason) for reason, signs in REASONS for sign, instead in signs.items()}
ODD_BYTES = "".join(ODD).encode("ascii", "ignore")

# What a terminal would show: colours (ESC [31m), bold and underlined letters (N, backspace, N).
TERMINAL = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]|[^\n\x08]\x08")
# A joiner shapes Persian, Indian scripts and emoji; between Latin letters it is left over from a web page.
JOINER = re.compile(r"(?<![^\0-\u024f])[\u200c\u200d]+(?![^\0-\u024f])")

# UTF-8 read as Windows-1252 or Latin-1: a first byte of a longer character, then another of its bytes. ftfy decides,
# on the foreign characters alone: it reads 2.8 MB/s, this finds them at 100.
AFTER = "[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
SUSPECT = re.compile(f"[\xc2-\xf4]{AFTER}")
FOREIGN = re.compile(r"[^\0-\x7f]+")
FILLED = re.compile(r"\S+")

HYPHEN = "\ufffe"  # what a reader puts for a hyphen and the line break after it
CUT = re.compile(rf"{HYPHEN}[ \t\n]*|-\n[ \t]*")
CUT_BY_HAND = re.compile(r"-\n[ \t]*")  # 5 times as quick where there is no other
LAST_WORD = re.compile(r"\w+\Z")
WORD = re.compile(r"\w+")
SHARED = frozenset({"and", "or", "und", "oder", "bzw", "sowie"})  # after 'first-' of 'first- and second-class'
# Characters to a hyphen at a line end. Programs that cut words: TeX in columns 240, others 500; those that break lines
# at compounds only: 11 000 to 70 000. A short text shows too little.
SELDOM, ENOUGH = 2500, 10_000
LONGEST = 60  # letters of a word before its hyphen that are looked at
KEPT = frozenset({"code", "table", "signature"})  # parts whose line breaks mean something
BETWEEN_WORDS = str.maketrans(dict.fromkeys(map(ord, ".,;:!?()[]{}<>\"'“”‘’«»„…/|*_=—–"), " "))


@dataclass(frozen=True, slots=True)
class Repair:
    """Wrong decodings, odd characters, hyphens at line ends and lines broken inside a paragraph; NFC, never NFKC."""

    VERSION: ClassVar[int] = 1

    def __call__(self, document: Document) -> Sequence[Edit]:
        # A line that got the second piece of a cut word is longer than its neighbours: no sign of a program any more.
        return settled(document, wrong_decoding, odd_characters, composed, broken_lines, cut_words)


def odd_characters(document: Document) -> list[Edit]:
    """Control characters, ligatures, soft hyphens, what has no width, line ends and spaces of other kinds."""
    text = document.text
    if text.isascii() and len(text.encode().translate(None, ODD_BYTES)) == len(text):
        return []
    if ("\x08" in text or "\x1b" in text) and (codes := list(TERMINAL.finditer(text))):
        return [Edit(*one.span(), "", "terminal code") for one in codes]  # the rest is found in the next round
    edits: list[Edit] = []
    if present := "".join(sign for sign in ODD if sign in text):
        signs = re.compile(f"\r\n|[{re.escape(present)}]")
        edits = [Edit(*one.span(), *ODD[one[0][0]]) for one in signs.finditer(text)]
    if "\u200c" in text or "\u200d" in text:
        edits += [Edit(*one.span(), "", "invisible character") for one in JOINER.finditer(text)]
        edits.sort(key=lambda edit: edit.start)
    return edits


def wrong_decoding(document: Document) -> list[Edit]:
    """'Ã¼' for 'ü': UTF-8 that was read as something else."""
    text = document.text
    if text.isascii() or not SUSPECT.search(text):
        return []
    from ftfy import fix_encoding  # 60 ms, so only now

    runs = list(FOREIGN.finditer(text))
    right = [fix_encoding(one[0]) if SUSPECT.search(one[0]) else one[0] for one in runs]
    if any(one[0] != fixed for one, fixed in zip(runs, right, strict=True)):
        # 'Å“' alone may be meant. In a text where all that is not ASCII can be read as UTF-8, and some must, it is 'œ'.
        with suppress(UnicodeError):
            right = [one[0].encode("sloppy-windows-1252").decode() for one in runs]
    return [
        changed(one.start(), one[0], fixed, "mojibake")
        for one, fixed in zip(runs, right, strict=True)
        if one[0] != fixed
    ]


def composed(document: Document) -> list[Edit]:
    """NFC: the letter 'é' for 'e' and an accent."""
    text = document.text
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return []
    return [
        changed(one.start(), one[0], unicodedata.normalize("NFC", one[0]), "accent")
        for one in FILLED.finditer(text)  # nothing composes with white space
        if not one[0].isascii() and not unicodedata.is_normalized("NFC", one[0])
    ]


def cut_words(document: Document) -> list[Edit]:
    """Words that a line break cut: as the document writes them elsewhere, else without the hyphen."""
    text = document.text
    if HYPHEN not in text and "-\n" not in text:
        return []
    cuts = list(_cuts(document))
    wanted = {form for _, first, second in cuts for form in (first + second, f"{first}-{second}")}
    forms = Counter(filter(wanted.__contains__, _words(text))) if wanted else Counter[str]()
    only_compounds = len(text) >= max(ENOUGH, SELDOM * len(cuts))
    edits = []
    for cut, first, second in cuts:
        whole, hyphenated = forms[first + second], forms[f"{first}-{second}"]
        is_cut = not only_compounds and first[-1:].isalpha() and text[cut.end() : cut.end() + 1].islower()
        if second in SHARED and not whole and text[cut.end() + len(second) :][:1].isspace():
            hyphen = "- "
        elif not first or not second or hyphenated > whole or (hyphenated == whole and not is_cut):
            hyphen = "-"
        else:
            hyphen = ""
        edits.append(Edit(*cut.span(), hyphen, "hyphen at a line end"))
    return edits


def _cuts(document: Document) -> Iterator[tuple[re.Match[str], str, str]]:
    """Each hyphen with the line break after it and, in lower case, the two pieces of the word."""
    text, starts = document.text, None
    for cut in (CUT if HYPHEN in text else CUT_BY_HAND).finditer(text):
        before = LAST_WORD.search(text, max(0, cut.start() - LONGEST), cut.start())
        after = WORD.match(text, cut.end(), cut.end() + LONGEST)
        if cut[0][0] == HYPHEN:
            yield cut, (before[0].lower() if before else ""), (after[0].lower() if after else "")
            continue
        # A hyphen that was in the text itself may be a dash, an option of a command or the end of a verse.
        if not before or not after or not (before[0][-1].isalpha() and after[0][0].islower()):
            continue
        starts = set(_starts(document)) if starts is None else starts
        if cut.end() not in starts and label_at(document.parts, cut.start()) not in KEPT:
            yield cut, before[0].lower(), after[0].lower()


def _starts(document: Document) -> Iterable[int]:
    return (offset for marks in (document.marks, document.headings, document.parts) for offset, _ in marks)


def _words(text: str) -> list[str]:
    return text.lower().translate(BETWEEN_WORDS).split()
