"""From a name in a recipe to the class behind it, imported on first use.

Each component package holds a table `ENTRIES` of name -> Entry. Another installed package adds its own with an
entry point in the group `openbook.<kind>` whose value is an Entry.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from typing import Any

from openbook.errors import SpecError
from openbook.recipe import Recipe, Spec, Value, did_you_mean, digest

KINDS: Mapping[str, str] = {
    "reader": "openbook.readers",
    "cleaners": "openbook.cleaners",
    "splitter": "openbook.splitters",
    "embedder": "openbook.embedders",
    "store": "openbook.stores",
    "rewriter": "openbook.rewriters",
    "retriever": "openbook.retrievers",
    "refiners": "openbook.refiners",
    "prompt": "openbook.prompts",
    "llm": "openbook.llms",
}
"""Step of a recipe -> the package that holds its table."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One component: where its class is, what it is for, and the extra to install for it."""

    target: str  # 'package.module:Class'
    purpose: str
    extra: str = ""


CHOSEN: Mapping[str, str] = {"llm": "llm"}
"""What a component is given by the book and a user may choose all the same -> its step: llm-rerank(llm='NAME')."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a component, read from its dataclass field."""

    name: str
    type: Any
    default: Any  # a Value


@cache
def entries(kind: str) -> dict[str, Entry]:
    """All components of one kind by name, those of other installed packages included."""
    from importlib.metadata import entry_points

    table: dict[str, Entry] = dict(importlib.import_module(KINDS[kind]).ENTRIES)
    for point in entry_points(group=f"openbook.{kind}"):
        table.setdefault(point.name, point.load())
    return table


def find(kind: str, name: str) -> Entry:
    """The entry of that name.

    Raises:
        SpecError: There is none; says what is known.
    """
    known = entries(kind)
    if name not in known:
        hint = did_you_mean(name, list(known))
        raise SpecError(f"No {kind.removesuffix('s')} is called {name!r}.{hint} Known: {', '.join(sorted(known))}.")
    return known[name]


def load(kind: str, name: str) -> type[Any]:
    """The class of that name; imports its module.

    Raises:
        SpecError: Unknown name, or a library it needs is not installed.
    """
    entry = find(kind, name)
    module, _, attribute = entry.target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]
    except ModuleNotFoundError as error:
        if not entry.extra or (error.name or "").startswith("openbook"):
            raise
        raise _missing(kind, name, error.name or "") from error


def need(kind: str, name: str, library: str) -> None:
    """For a component that imports its library late, as that takes seconds: say at once when it is not there.

    Raises:
        SpecError: The library is not installed; says how to install it.
    """
    try:
        found = importlib.util.find_spec(library)
    except ModuleNotFoundError:  # of 'google.genai' not even google
        found = None
    if found is None:
        raise _missing(kind, name, library)


def _missing(kind: str, name: str, library: str) -> SpecError:
    extra = find(kind, name).extra
    return SpecError(f"{kind} {name!r} needs {library}. Install it with: pip install 'openbook[{extra}]'")


def options(cls: type[Any]) -> dict[str, Option]:
    """What a user may write in a spec of this class: its fields that have a default, and what is CHOSEN."""
    chosen = [
        part for part in fields(cls) if part.init and part.default is not MISSING and not part.name.startswith("_")
    ]
    # Only these are resolved: the type of a private field may name what is imported under TYPE_CHECKING alone.
    written = type("Written", (), {"__annotations__": {part.name: part.type for part in chosen}})
    hints = typing.get_type_hints(written, vars(sys.modules[cls.__module__]))
    given = {part.name: Option(part.name, str, "") for part in fields(cls) if _given(part) and part.name in CHOSEN}
    return given | {part.name: Option(part.name, hints[part.name], part.default) for part in chosen}


def _given(part: Field[Any]) -> bool:
    return part.init and part.default is MISSING


def llm_spec(text: str) -> Spec:
    """The spec of an LLM as it is typed: a component, or in short a model that llamacpp runs.

    >>> str(llm_spec("quote")), str(llm_spec("smollm2-135m"))
    ('quote', "llamacpp(model='smollm2-135m')")
    """
    if "(" in text or text in entries("llm"):
        return Spec.parse(text)
    return Spec("llamacpp", {"model": text})


def chosen_llm(spec: Spec) -> Spec | None:
    """The model that a component asks because its spec says so, by the option `llm`; None where it says none."""
    text = spec.options.get("llm")
    return llm_spec(str(text)) if text else None


def check(kind: str, spec: Spec) -> dict[str, Value]:
    """All options of a spec with defaults filled in.

    Raises:
        SpecError: Unknown component, unknown option, or an option of the wrong type.
    """
    cls = load(kind, spec.name)
    known = options(cls)
    for name, value in spec.options.items():
        if name not in known:
            hint = did_you_mean(name, list(known))
            allowed = ", ".join(known) or "none"
            raise SpecError(f"{spec.name} has no option {name!r}.{hint} Options: {allowed}.")
        if not _fits(value, known[name].type):
            wanted = _wanted(known[name].type)
            raise SpecError(f"{spec.name}({name}={value!r}): {name} must be {wanted}, such as {known[name].default!r}.")
    return {name: spec.options.get(name, option.default) for name, option in known.items()}


def _fits(value: Value, wanted: Any) -> bool:
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted in {str, bool}:
        return isinstance(value, wanted)
    choices = typing.get_args(wanted)  # a Literal
    return value in choices


def _wanted(kind: Any) -> str:
    """What a value must be, as a user says it.

    >>> _wanted(float), _wanted(typing.Literal["mean", "cls"])
    ('a number', "'mean' or 'cls'")
    """
    names = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "True or False"}
    return names.get(kind) or " or ".join(map(repr, typing.get_args(kind)))


def needs(kind: str, name: str) -> tuple[str, ...]:
    """What a component is given by the book: its fields without a default, such as a store's folder and dim."""
    return tuple(part.name for part in fields(load(kind, name)) if _given(part))


def make(kind: str, spec: Spec, **given: Any) -> Any:
    """The component a spec names, with what the book gives it; only what it needs is taken of that.

    Raises:
        SpecError: As `check`, or a value the component itself refuses.
    """
    check(kind, spec)
    wanted = {name: given[name] for name in needs(kind, spec.name)}
    return load(kind, spec.name)(**{**spec.options, **wanted})


def build(kind: str, spec: Spec, given: Callable[[str, Spec], Any]) -> Any:
    """As `make`; what the component needs is asked for by name, with the spec, which may choose it (CHOSEN)."""
    return make(kind, spec, **{name: given(name, spec) for name in needs(kind, spec.name)})


def at_least(name: str, component: object, **least: float) -> None:
    """Raises: SpecError, when an option of a component is below what it must be at the least; says both."""
    for option, bound in least.items():
        if getattr(component, option) < bound:
            raise SpecError(f"{name}({option}={getattr(component, option)}): write {bound} or more.")


def check_recipe(recipe: Recipe) -> None:
    """Names, options, types and values of every step, before anything is made of them.

    Raises:
        SpecError: As `make`.
    """
    for step in KINDS:
        for spec in recipe.specs(step):
            if step == "store":  # is made with a folder
                check(step, spec)
            else:
                make(step, spec, **dict.fromkeys(needs(step, spec.name)))
            for name, chosen in CHOSEN.items():
                if step != chosen and (text := spec.options.get(name)):
                    make(chosen, llm_spec(str(text)))


def fingerprint(kind: str, spec: Spec) -> str:
    """Names what a spec does: its options with defaults resolved and its component's VERSION."""
    return digest(spec.name, check(kind, spec), load(kind, spec.name).VERSION)


def fingerprint_of(recipe: Recipe, steps: Iterable[str]) -> str:
    """Names what some steps of a recipe do together."""
    return digest(*(fingerprint(step, spec) for step in steps for spec in recipe.specs(step)))
