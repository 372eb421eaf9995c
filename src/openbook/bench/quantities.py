"""What a row costs: time, memory, disk, money. Names, units and how they are written: tables, pictures, --fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Unit = Literal["seconds", "bytes", "dollars", "number"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One thing that is measured of a row and is no share of the questions."""

    label: str
    unit: Unit
    told: str  # in a sentence
    more: bool = False  # whether more of it is better


QUANTITIES: Mapping[str, Quantity] = {
    "first_token": Quantity("first", "seconds", "seconds to the first word, the median"),
    "answer": Quantity("answer", "seconds", "seconds to the end of the answer, the median"),
    "tokens_per_second": Quantity("tok/s", "number", "tokens a second while answering, the median", more=True),
    "search": Quantity("search", "seconds", "seconds of a search, the median"),
    "search_p95": Quantity("p95", "seconds", "seconds of a search, of which one in twenty takes longer"),
    "ram": Quantity("memory", "bytes", "the most memory that searching or answering took"),
    "vram": Quantity("vram", "bytes", "the most memory of graphics cards that searching or answering took"),
    "cost": Quantity("$/1000", "dollars", "dollars for a question, the mean"),
    "disk": Quantity("disk", "bytes", "size of the index"),
    "length": Quantity("words", "number", "words of an answer, the median"),
    "index": Quantity("indexing", "seconds", "seconds to make the index"),
    "index_ram": Quantity("its memory", "bytes", "the most memory that making the index took"),
}
# What other work on the machine spoils, by the stage whose questions are timed.
SPEEDS = {"search": ("search", "search_p95"), "answer": ("first_token", "answer", "tokens_per_second")}

BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


def written(name: str, value: float) -> str:
    """A quantity for people.

    >>> [written(*one) for one in (("search", 0.0341), ("first_token", 5.21), ("ram", 2.07e9), ("cost", 0.00123))]
    ['34 ms', '5.2 s', '2.1 GB', '$0.0012']
    """
    unit = QUANTITIES[name].unit
    if unit == "bytes":
        sign = next((sign for sign in ("GB", "MB", "kB") if value >= BYTES[sign]), "B")
        return f"{value / BYTES[sign]:.{1 if sign == 'GB' else 0}f} {sign}"
    if unit == "seconds":
        return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.{1 if value < 10 else 0}f} s"
    if unit == "dollars":
        return f"${value:.2g}" if value < 1 else f"${value:.2f}"
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def written_p(p: float) -> str:
    """A p value for people: no test here tells one thousandth from less.

    >>> written_p(0.0412), written_p(0.0001)
    ('0.041', '<.001')
    """
    return f"{p:.3f}" if p >= 0.001 else "<.001"
