"""A sweep: which recipes are compared, over which documents and questions, as `sweep.toml` says it.

documents = ["kafka/*.html"]
questions = "kafka-questions.jsonl"
baseline  = { splitter = "chars(size=1000)" }      # the recipe all others are tested against
[recipe]                                           # what all have in common; the rest is the default recipe
prompt    = "cited(passages=5)"
[vary]
splitter  = ["chars(size=500)", "chars(size=1000)"]
retriever = ["bm25", "hybrid"]
[run]
mode = "grid"                                      # or one-at-a-time, random(n=20), race
"""

from __future__ import annotations

import itertools
import math
import os
import random
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from openbook import registry
from openbook.bench.labels import settings
from openbook.bench.racing import RISK
from openbook.bench.ranking import depth, measure
from openbook.errors import OpenbookError, SpecError
from openbook.recipe import Recipe, Spec, check_step, did_you_mean

EXAMPLES = {"minutes": 60, "headline": "nDCG@10"}
KEYS = ("documents", "questions", "baseline", "recipe", "vary", "run")
MODES = ("grid", "one-at-a-time", "random(n=20)", "race")
MOST = 10_000  # recipes; more is a mistyped list
# Of answers, each a mean over questions: openbook.judging.
ANSWER_MEASURES = ("clean", "contains", "exact", "f1", "numbers", "cited", "cited_recall", "refused", "ended", "judged")


@dataclass(frozen=True, slots=True)
class Trial:
    """One recipe of a sweep."""

    recipe: Recipe
    varied: Mapping[str, str]  # step -> spec, of the steps in which recipes differ

    @property
    def label(self) -> str:
        """What tells it from the others, in the notation of --set."""
        return settings(self.varied)


@dataclass(frozen=True, slots=True)
class Run:
    """How a sweep is run."""

    mode: str = "grid"
    minutes: float = 0.0  # 0: as long as it takes
    headline: str = ""  # the measure that decides; '': 'clean' with answers, 'nDCG@10' without
    k: int = 10  # passages searched for
    answers: bool = True  # False: only the search is judged, no model is asked
    max_tokens: int = 200
    judge: str = ""  # a model that says of each answer whether it is right, such as 'quote'; '': none
    seed: int = 1

    @property
    def risk(self) -> float | None:
        """Of a race: the chance that it drops the row that would win; None where nothing is dropped."""
        mode = Spec.parse(self.mode)
        return float(mode.options.get("risk", RISK)) if mode.name == "race" else None


@dataclass(frozen=True, slots=True)
class Sweep:
    """What `sweep.toml` says, checked."""

    documents: tuple[str, ...]  # paths and patterns, relative ones from the folder of the file
    questions: Path
    trials: tuple[Trial, ...]  # the first is the baseline
    run: Run = field(default_factory=Run)
    text: str = ""  # of the file

    @property
    def headline(self) -> str:
        """The measure that decides."""
        return self.run.headline or ("clean" if self.run.answers else f"nDCG@{min(self.run.k, 10)}")


def read_sweep(path: Path) -> Sweep:
    """The sweep of a file. Every recipe is checked: names, options, types, values.

    Raises:
        SpecError: Not TOML, or a key, step, component or option that does not exist; says where.
    """
    try:
        text = path.read_text("utf-8")
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SpecError(f"Cannot read {path}: {why}. Check the path.") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SpecError(f"{path} is not TOML: {error}.") from error
    try:
        return replace(_sweep(table, path.parent), text=text)
    except OpenbookError as error:
        raise SpecError(f"{path}: {error}") from error


def _sweep(table: Mapping[str, Any], folder: Path) -> Sweep:
    _refuse_unknown(table, KEYS, "")
    documents = table.get("documents")
    if not isinstance(documents, list) or not documents or not all(isinstance(one, str) and one for one in documents):
        raise SpecError('documents is a list of paths, such as documents = ["reports/*.pdf"].')
    questions = table.get("questions")
    if not isinstance(questions, str) or not questions or "\0" in questions:
        raise SpecError('questions is a path, such as questions = "questions.jsonl".')
    run = _run(_table(table, "run"))
    common = Recipe.from_dict(_table(table, "recipe"))
    vary = {step: _choices(step, specs) for step, specs in _table(table, "vary").items()}
    trials = _trials(common, _table(table, "baseline"), vary, run)
    for trial in trials:
        try:
            registry.check_recipe(trial.recipe)
        except SpecError as error:
            raise SpecError(f"{trial.label}: {error}") from error
    # Absolute: what was read of them is kept by these names, whatever folder the command is called in.
    paths = tuple(os.path.abspath(folder / Path(one).expanduser()) for one in documents)  # noqa: PTH100 - links stay
    return Sweep(paths, folder / Path(questions).expanduser(), trials, run)


def _table(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise SpecError(f"{key} = {value!r} is no table. Write a line [{key}], and its keys below.")
    return value


def _refuse_unknown(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise SpecError(f"no key{where} is called {key!r}.{did_you_mean(key, known)} Keys: {', '.join(known)}.")


def _run(table: Mapping[str, Any]) -> Run:
    wanted = {part.name: part for part in fields(Run)}
    _refuse_unknown(table, tuple(wanted), " of [run]")
    for key, value in table.items():
        kind = type(wanted[key].default)
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise SpecError(f"[run] {key} = {value!r} must be like {EXAMPLES.get(key, wanted[key].default)!r}.")
    run = Run(**table)
    if not 0 <= run.minutes < math.inf:
        raise SpecError(f"[run] minutes = {run.minutes!r} is no time. Write how long it may take, such as 60.")
    if run.k < 1 or run.max_tokens < 1:
        raise SpecError("[run] k and max_tokens are 1 or more.")
    if run.headline and run.headline not in ANSWER_MEASURES:
        measure(run.headline, ANSWER_MEASURES)
        if depth(run.headline) > run.k:
            raise SpecError(f"[run] headline = {run.headline!r} needs k = {depth(run.headline)} or more.")
    if run.headline in ANSWER_MEASURES and not run.answers:
        raise SpecError(f"[run] headline = {run.headline!r} needs answers = true.")
    if run.judge and not run.answers:
        raise SpecError("[run] judge judges answers: it needs answers = true.")
    if run.headline == "judged" and (not run.judge or run.mode.startswith("race")):
        why = "drops rows before it judges" if run.judge else 'needs one: judge = "llamacpp"'
        raise SpecError(f"[run] headline = 'judged' is what the judge says, and this run {why}.")
    return run


def _choices(step: str, specs: object) -> list[str]:
    check_step(step)
    if not isinstance(specs, list) or not specs or not all(isinstance(one, str) for one in specs):
        raise SpecError(f'[vary] {step} is a list of specs, such as {step} = ["{getattr(Recipe(), step)}"].')
    return list(dict.fromkeys(" ".join(one.split()) for one in specs))


def _trials(common: Recipe, baseline: Mapping[str, Any], vary: Mapping[str, list[str]], run: Run) -> tuple[Trial, ...]:
    """The baseline, then the others, each recipe once."""
    steps = list(dict.fromkeys([*baseline, *vary]))
    first = Recipe.from_dict({**common.to_dict(), **{step: specs[0] for step, specs in vary.items()}, **baseline})
    start = first.to_dict()
    count = math.prod(map(len, vary.values()))
    if count > MOST and not run.mode.startswith("random"):
        raise SpecError(f"[vary] makes {count:,} recipes. Take fewer, or mode = 'one-at-a-time' or 'random(n=20)'.")
    found: dict[Recipe, None] = {first: None}
    for chosen in _chosen(start, vary, run):
        found.setdefault(Recipe.from_dict({**start, **chosen}))
    return tuple(Trial(one, {step: one.to_dict()[step] for step in steps}) for one in found)


def _is_race(mode: Spec) -> bool:
    """Whether its options are those of a race.

    Raises:
        SpecError: The risk is none.
    """
    risk = mode.options.get("risk", RISK)
    if not isinstance(risk, float) or not 0 < risk < 0.5:
        raise SpecError(f"[run] mode: risk = {risk!r} is none. Write a chance of losing the winner, such as {RISK}.")
    return set(mode.options) <= {"risk"}


def _chosen(start: Mapping[str, str], vary: Mapping[str, list[str]], run: Run) -> Iterator[dict[str, str]]:
    mode = Spec.parse(run.mode)
    if (mode.name == "grid" and not mode.options) or (mode.name == "race" and _is_race(mode)):
        for picks in itertools.product(*vary.values()):
            yield dict(zip(vary, picks, strict=True))
    elif mode.name == "one-at-a-time" and not mode.options:
        for step, specs in vary.items():
            yield from ({step: spec} for spec in specs)
    elif mode.name == "random" and set(mode.options) == {"n"} and isinstance(mode.options["n"], int):
        chance, sizes = random.Random(run.seed), [len(specs) for specs in vary.values()]
        total = math.prod(sizes)
        if mode.options["n"] < 1 or total > sys.maxsize:
            raise SpecError(
                f"[run] mode = {run.mode!r} cannot be drawn from {total:,} recipes. Take 1 or more of fewer."
            )
        # Numbered like the grid, so that none is drawn twice and none is made that is not drawn.
        for number in sorted(chance.sample(range(total), min(total, mode.options["n"]))):
            picked = {}
            for step, specs in vary.items():
                number, which = divmod(number, len(specs))
                picked[step] = specs[which]
            yield picked
    else:
        raise SpecError(f"[run] mode = {run.mode!r} is none.{did_you_mean(run.mode, MODES)} Modes: {', '.join(MODES)}.")
