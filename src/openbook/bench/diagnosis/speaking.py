"""Is a wrong answer the format's fault or the model's? Told from what a comparison kept, and from the model's file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from openbook import registry
from openbook.bench.results import RunRow, TrialRow
from openbook.errors import OpenbookError
from openbook.models.catalogue import catalogue
from openbook.prompts.deciding import PROBE, decide
from openbook.prompts.formats import FORMATS
from openbook.recipe import Spec

BRACKETS = re.compile(r"[<\[|#]")
# Not 'Answer:', which small models also write to a format that is right.
SPEAKERS = r"^\s*(?:USER|User|ASSISTANT|Assistant|SYSTEM|System|Human):"


def _pieces() -> re.Pattern[str]:
    marks = {mark for row in FORMATS.values() for mark in row.marks if BRACKETS.search(mark)}
    marks |= {"<s>", "</s>", "<|endoftext|>"}
    return re.compile("|".join([*map(re.escape, sorted(marks, key=len, reverse=True)), SPEAKERS]), re.MULTILINE)


PIECES = _pieces()
"""What formats put around the words of who speaks: in an answer it shows that the model does not know its turn."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """How a row speaks to its model, and how the model's file says it should."""

    used: str  # who said so, in a line for people
    own: str
    fits: bool  # both write the same
    guessed: bool  # nobody said so


@lru_cache(maxsize=256)
def spoken(llm: str) -> Spoken | None:
    """How a model is spoken to by its spec; None where no file here tells: of a service, or of a file that is gone."""
    spec = Spec.parse(llm)
    if spec.name != "llamacpp":
        return None
    try:
        model = registry.make("llm", spec)
        decided, known = model.decided, catalogue().get(model.model)
        own = decide(model.header, catalogue=known.template if known else "")
        fits = decided.render(PROBE) == own.render(PROBE)
    except OpenbookError:
        return None
    return Spoken(decided.origin, own.origin, fits, decided.guessed)


def piece(text: str) -> str:
    r"""The first piece of a format in an answer, '' where there is none.

    >>> piece("In 1911. <|im_end|>"), piece("In 1911.\nUSER: And then?"), piece("In 1911 [1].")
    ('<|im_end|>', 'USER:', '')
    """
    found = PIECES.search(text)
    return found[0].strip() if found else ""


def twins(run: RunRow, trial: TrialRow) -> Iterator[TrialRow]:
    """Rows that differ from one only in how the model is spoken to."""
    for other in run.trials:
        if other.number != trial.number and _but_for_format(other) == _but_for_format(trial):
            yield other


def _but_for_format(trial: TrialRow) -> dict[str, str]:
    spec = Spec.parse(trial.recipe["llm"])
    rest = Spec(spec.name, {name: value for name, value in spec.options.items() if name != "template"})
    return {**trial.recipe, "llm": str(rest)}
