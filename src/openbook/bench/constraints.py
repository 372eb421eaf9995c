"""What a row has to keep to be of use: `ram<8GB, first_token<5s, recall@5>0.8`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from openbook.bench.quantities import BYTES, QUANTITIES, SECONDS, Unit, written
from openbook.bench.ranking import measure
from openbook.bench.scoring import OF_ANSWERS
from openbook.errors import BookError
from openbook.recipe import did_you_mean

PART = re.compile(
    r"([A-Za-z][\w@/-]*(?: [A-Za-z]+)?)\s*([<>]=?)\s*(\$?)(\d+(?:\.\d*)?(?:[eE]-?\d+)?|\.\d+)\s*([A-Za-z%]*)"
)
SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# What the table's columns are called, too; but for dollars, which are of 1000 questions there.
ALIASES = {one.label: name for name, one in QUANTITIES.items() if name != "cost"} | {"peak": "ram", "price": "cost"}
UNITS: Mapping[Unit, Mapping[str, float]] = {
    "bytes": BYTES,
    "seconds": SECONDS,
    "dollars": {"": 1.0, "USD": 1.0},
    "number": {"": 1.0},
}
SHARE = {"": 1.0, "%": 0.01}
EXAMPLE = {"bytes": "8GB", "seconds": "5s", "dollars": "0.01", "number": "10", "": "0.8 or 80%"}


@dataclass(frozen=True, slots=True)
class Constraint:
    """One condition."""

    name: str  # of a quantity, or of a measure
    sign: str
    limit: float  # in bytes, seconds, dollars, or a share from 0 to 1

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {self.said(self.limit)}"

    def said(self, value: float) -> str:
        """A value of what it limits."""
        return written(self.name, value) if self.name in QUANTITIES else f"{100 * value:.1f} %"

    def broken(self, value: float | None) -> str:
        """Why a row does not keep it, '' when it does. What is not known is not kept."""
        if value is None:
            return f"{self.name} is not known"
        return "" if SIGNS[self.sign](value, self.limit) else f"{self.name} is {self.said(value)}"


def constraints(text: str) -> tuple[Constraint, ...]:
    """The conditions of a text, parted by commas.

    >>> [str(one) for one in constraints("ram<8GB, first_token < 500ms, recall@5>80%")]
    ['ram < 8.0 GB', 'first_token < 500 ms', 'recall@5 > 80.0 %']

    Raises:
        BookError: A part is no condition, or names what is not measured, or has a unit that does not fit.
    """
    return tuple(_constraint(part) for part in text.split(",") if part.strip())


def _constraint(part: str) -> Constraint:
    found = PART.fullmatch(part.strip())
    if not found:
        raise BookError(
            f"{part.strip()!r} is no condition. Write a name, < or >, and a quantity, such as: ram<8GB, first_token<5s"
        )
    name, sign, dollar, number, unit = found.groups()
    name = next((known for one in (name, name.lower()) if (known := ALIASES.get(one, one)) in QUANTITIES), name)
    kind: Unit | str = QUANTITIES[name].unit if name in QUANTITIES else ""
    if not kind and name not in OF_ANSWERS:
        _refuse_unknown(name)
    units = UNITS[QUANTITIES[name].unit] if name in QUANTITIES else SHARE
    # kb, gb, mS: what people write; where two differ by case alone (none do) the exact one would win.
    factor = units.get(unit, {known.lower(): value for known, value in units.items()}.get(unit.lower()))
    if factor is None or (dollar and kind != "dollars"):
        what = {"": "a share of the questions", "number": "a plain number"}.get(kind, f"in {kind}")
        raise BookError(
            f"{part.strip()!r}: {name} is {what}. Write it like {EXAMPLE[kind]} (units: "
            f"{', '.join(known or 'none' for known in units)})."
        )
    limit = float(number) * factor
    if not kind and limit > 1:
        raise BookError(f"{part.strip()!r}: {name} is a share of the questions, from 0 to 1. Write 0.8 or 80%.")
    return Constraint(name, sign, limit)


def _refuse_unknown(name: str) -> None:
    """Raises: BookError, when neither a quantity nor a measure has that name."""
    try:
        measure(name)
    except BookError as error:
        known = [*QUANTITIES, *OF_ANSWERS, "recall@5", "MRR@10", "nDCG@10"]
        raise BookError(
            f"Nothing that is measured is called {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}."
        ) from error
