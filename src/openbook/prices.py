"""What services ask for their work: a table, `llms/prices.toml`, and one of the same form in the home folder."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from openbook.errors import ModelError
from openbook.home import home
from openbook.recipe import did_you_mean
from openbook.types import Usage

BUILTIN = Path(__file__).with_name("llms") / "prices.toml"
NAME = "prices.toml"
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens."""

    host: str
    model: str  # a pattern: * stands for any characters
    input: float
    read: date  # when the page was looked up
    source: str
    output: float = 0.0
    cached: float | None = None  # of the prompt's; None: as much as the others
    above: int = 0  # tokens: for prompts of more than these
    until: date | None = None  # the last day

    def of(self, usage: Usage) -> float:
        """Dollars for one call."""
        cached = self.input if self.cached is None else self.cached
        prompt = (usage.prompt_tokens - usage.cached_tokens) * self.input + usage.cached_tokens * cached
        return (prompt + usage.answer_tokens * self.output) / MILLION


def own_prices() -> Path:
    """Where a user keeps prices."""
    return home() / NAME


def price(host: str, model: str, prompt_tokens: int, today: date) -> Price | None:
    """The price of a prompt of so many tokens; None where none is known.

    Raises:
        ModelError: The user's own table is not right.
    """
    for path in (own_prices(), BUILTIN):
        rows = [
            row
            for row in (_rows(path) if path.is_file() else ())
            if row.host == host
            and fnmatchcase(model, row.model)
            and (not row.above or row.above < prompt_tokens)
            and (row.until is None or today <= row.until)
        ]
        if rows:
            # The highest step that the prompt reaches; of two of the same step the first, as one may end.
            return max(rows, key=lambda row: row.above)
    return None


def _rows(path: Path) -> Iterator[Price]:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"Cannot read {path}: {error}. Correct it, or remove it.") from error
    rows = table.get("price", [])
    if not isinstance(rows, list) or set(table) - {"price"}:
        raise ModelError(f"{path} has more or other things than prices. Each begins with a line [[price]].")
    for number, row in enumerate(rows, 1):
        yield _row(f"{path}, price {number}", row)


def _row(where: str, row: Any) -> Price:
    known = {part.name: part for part in fields(Price)}
    if not isinstance(row, dict):
        raise ModelError(f"{where} is not a table. Write [[price]] and its keys below.")
    for key in row:
        if key not in known:
            raise ModelError(f"{where}: no key is called {key!r}.{did_you_mean(key, list(known))}")
    for key, part in known.items():
        value = row.get(key)
        if value is None:
            if part.default is MISSING:
                raise ModelError(f"{where}: {key} is missing. Add it.")
        elif not _fits(key, value):
            raise ModelError(f"{where}: {key} = {value!r} cannot be. Write {_wanted(key)}.")
    return Price(**row)


def _wanted(key: str) -> str:
    if key in {"host", "model", "source"}:
        return "a text in quotes"
    return "a day, such as 2026-11-23" if key in {"read", "until"} else "a number from 0 on"


def _fits(key: str, value: object) -> bool:
    if key in {"host", "model", "source"}:
        return isinstance(value, str) and bool(value)
    if key in {"read", "until"}:
        return type(value) is date
    return isinstance(value, int if key == "above" else (int, float)) and not isinstance(value, bool) and value >= 0
