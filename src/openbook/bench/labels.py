"""What tells the recipes of a comparison from each other, and nothing else: a column for each option that differs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from openbook.recipe import STEPS, parse_many

ABSENT = "-"
# The folders of an absolute path, after a quote, white space or the like: 'https://' is none.
FOLDERS = re.compile(r"(?<![^\s'\"=(\[,])(?:~|[A-Za-z]:)?[/\\](?:[^'\"\n/\\]+[/\\]+)*(?=[^/\\\s])")


def factors(recipes: Sequence[Mapping[str, str]]) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row of values for each recipe; of one recipe, or of equal ones, no heading at all.

    >>> factors([{"splitter": "chars(size=500)", "llm": "quote"}, {"splitter": "chars(size=1000)", "llm": "quote"}])
    (['size'], [['500'], ['1000']])
    """
    columns: list[tuple[str, str, list[str]]] = []  # step, option or '', values
    for step in STEPS:
        texts = [recipe.get(step, "") for recipe in recipes]
        if len(set(texts)) > 1:
            columns += [(step, option, values) for option, values in _of_step(texts)]
    named = Counter(option or step for step, option, _ in columns)
    heads = [f"{step}.{option}" if option and named[option] > 1 else option or step for step, option, _ in columns]
    return heads, [[values[row] for _, _, values in columns] for row in range(len(recipes))]


def _of_step(texts: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Option -> its values where all are one component; else the whole specs, under ''."""
    specs = [parse_many(text) for text in texts]
    if any(len(one) != 1 for one in specs) or len({one[0].name for one in specs}) > 1:
        return [("", [text or "none" for text in texts])]
    options = list(dict.fromkeys(option for one in specs for option in one[0].options))
    found = [(option, [str(one[0].options.get(option, ABSENT)) for one in specs]) for option in options]
    return [(option, values) for option, values in found if len(set(values)) > 1]


def settings(varied: Mapping[str, str]) -> str:
    """What tells a recipe from the others, in the notation of --set: the specs of the steps in which they differ."""
    return " ".join(f"{step}={spec}" for step, spec in varied.items()) or "default"


def label(heads: Sequence[str], values: Sequence[str]) -> str:
    """One line for a row: 'size 500, retriever bm25'; what is absent is left out.

    >>> label(["model", "template"], ["smollm2-135m", "-"])
    'model smollm2-135m'
    """
    return (
        ", ".join(f"{head} {value}" for head, value in zip(heads, values, strict=True) if value != ABSENT) or "default"
    )


def without_folders(text: str) -> str:
    """A spec, or any text, with the last parts alone of absolute paths; relative ones stay as they are.

    >>> without_folders("llamacpp(model='/home/me/models/a.gguf')")
    "llamacpp(model='a.gguf')"
    """
    return FOLDERS.sub("", text)


def file_name(path: str) -> str:
    """The last part of a path of any system."""
    return PurePath(path.replace("\\", "/")).name
