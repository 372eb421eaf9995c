"""Specs and recipes: the one notation for a choice, and a choice for every step."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from openbook.errors import SpecError

Value = str | int | float | bool

PLUS = re.compile(r"\+(?![^(]*\))")  # not one in parentheses
NAME = re.compile(r"[a-z][a-z0-9_]*(-[a-z0-9_]+)*")
SECRET = re.compile(r"(api_?)?(key|token)|password|secret", re.IGNORECASE)  # an option of that name


@dataclass(frozen=True, slots=True)
class Spec:
    """A component and the options it is given, as typed: `chars(size=500)`.

    >>> Spec.parse("chars( size = 500 )")
    Spec(name='chars', options={'size': 500})
    >>> str(Spec("minilm"))
    'minilm'
    >>> Spec.parse(str(Spec("pdf", {"reader": "py'pdf", "ocr": True}))).options
    {'reader': "py'pdf", 'ocr': True}
    """

    name: str
    options: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Read the notation `name` or `name(option=value, ...)`; values are Python literals.

        Raises:
            SpecError: The text is not in that notation, or holds a key; that is not shown.
        """
        text = text.strip()
        if NAME.fullmatch(text):
            return cls(text)
        name, _, rest = text.partition("(")
        if not NAME.fullmatch(name.strip()) or not rest.endswith(")"):
            raise _not_a_spec(text)
        try:
            call = ast.parse(f"_({rest}", mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise _not_a_spec(text) from error
        if not isinstance(call, ast.Call) or call.args:
            raise _not_a_spec(text)
        return cls(name.strip(), dict(_options(call, text)))

    def __str__(self) -> str:
        if not self.options:
            return self.name
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.options.items())})"

    def __hash__(self) -> int:
        return hash((self.name, frozenset(self.options.items())))


def _options(call: ast.Call, text: str) -> Iterator[tuple[str, Value]]:
    seen: set[str] = set()
    for keyword in call.keywords:
        try:
            value = ast.literal_eval(keyword.value)
        except ValueError as error:
            raise _not_a_spec(text) from error
        if keyword.arg is None or keyword.arg in seen or not isinstance(value, str | int | float | bool):
            raise _not_a_spec(text)
        if SECRET.fullmatch(keyword.arg):
            raise _holds_a_secret()
        seen.add(keyword.arg)
        yield keyword.arg, value


def _not_a_spec(text: str) -> SpecError:
    if re.search(rf"\b({SECRET.pattern})\s*=", text, re.IGNORECASE):
        return _holds_a_secret()
    return SpecError(f"{text!r} is not a component. Write a name, or name(option=value), such as chars(size=500).")


def _holds_a_secret() -> SpecError:
    return SpecError(
        "A key is never written into a recipe. Set it with: export OPENAI_API_KEY=... (or the variable of your "
        "service), and where it has another name, write that: key_env='MY_KEY'."
    )


def parse_many(text: str) -> tuple[Spec, ...]:
    """Specs joined by ` + `; an empty text, or `none`, is no spec.

    >>> [str(spec) for spec in parse_many("repair + boilerplate(menus=True)")]
    ['repair', 'boilerplate(menus=True)']
    """
    if text.strip() == "none":  # what is shown where there is none
        return ()
    return tuple(Spec.parse(part) for part in PLUS.split(text) if part.strip())


@dataclass(frozen=True, slots=True)
class Recipe:
    """A component for each step of the line. The defaults of openbook are the defaults here.

    >>> str(Recipe().with_step("splitter", "chars(size=1000)").splitter)
    'chars(size=1000)'
    """

    reader: Spec = Spec("auto")
    cleaners: tuple[Spec, ...] = (Spec("repair"),)
    splitter: Spec = Spec("structure", {"size": 500})
    embedder: Spec = Spec("minilm")
    store: Spec = Spec("lance")
    rewriter: Spec = Spec("followup")
    retriever: Spec = Spec("hybrid")
    refiners: tuple[Spec, ...] = (Spec("duplicates"),)
    prompt: Spec = Spec("cited")
    llm: Spec = Spec("llamacpp", {"model": "qwen2.5-coder-1.5b"})

    def with_step(self, step: str, text: str) -> Recipe:
        """This recipe with another choice for one step, given in the notation of Spec.

        Raises:
            SpecError: No such step, or the text is not a spec.
        """
        check_step(step)
        chosen: Any = parse_many(text) if step in MANY else Spec.parse(text)
        return replace(self, **{step: chosen})

    def specs(self, step: str) -> tuple[Spec, ...]:
        """The specs of one step, in order; most steps have exactly one."""
        value: Spec | tuple[Spec, ...] = getattr(self, step)
        return value if isinstance(value, tuple) else (value,)

    def to_dict(self) -> dict[str, str]:
        """Each step in the notation that `with_step` reads."""
        return {step: " + ".join(map(str, self.specs(step))) for step in STEPS}

    @classmethod
    def from_dict(cls, steps: Mapping[str, str]) -> Recipe:
        """The recipe that `to_dict` wrote; steps left out keep their default.

        Raises:
            SpecError: As `with_step`.
        """
        recipe = cls()
        for step, text in steps.items():
            if not isinstance(text, str):
                raise SpecError(
                    f"{step} = {text!r} in a recipe must be a text such as {getattr(cls(), step, '')!s:.40}."
                )
            recipe = recipe.with_step(step, text)
        return recipe

    def to_toml(self) -> str:
        """One line a step, readable by `from_toml`."""
        return "".join(f"{step} = {json.dumps(text, ensure_ascii=False)}\n" for step, text in self.to_dict().items())

    @classmethod
    def from_toml(cls, text: str) -> Recipe:
        """The recipe in a TOML text; its keys are steps.

        Raises:
            SpecError: Not TOML, or as `with_step`.
        """
        try:
            return cls.from_dict(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise SpecError(
                f"This recipe is not TOML: {error}. Write lines such as: splitter = 'chars(size=500)'."
            ) from error


STEPS: tuple[str, ...] = tuple(part.name for part in fields(Recipe))
MANY = frozenset({"cleaners", "refiners"})


def check_step(step: str) -> None:
    """Raises: SpecError, when a recipe has no such step."""
    if step not in STEPS:
        raise SpecError(f"A recipe has no step {step!r}.{did_you_mean(step, STEPS)} Steps: {', '.join(STEPS)}.")


def did_you_mean(word: str, known: tuple[str, ...] | list[str]) -> str:
    """A hint to put into a message, with a leading space, or ''.

    >>> did_you_mean("splittr", ["splitter", "store"])
    " Did you mean 'splitter'?"
    """
    import difflib

    near = difflib.get_close_matches(word, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def digest(*parts: Any) -> str:
    """A short stable name (16 hex digits of SHA-256) for JSON-like values."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
