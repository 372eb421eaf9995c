"""Rows that no other row beats in everything at once: Pareto's front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def front(rows: Mapping[int, Sequence[float | None]]) -> dict[int, bool | None]:
    """Of each row, whether it is on the front; more is better in every place of its values.

    A row is beaten by one that is as good everywhere and better somewhere; of equal rows all are on the front. A row of
    which a value is not known (None) beats none and is not judged: None. What no row has a value for does not count.

    >>> front({1: (70.0, -5.0), 2: (60.0, -3.0), 3: (55.0, -4.0), 4: (90.0, None)})
    {1: True, 2: True, 3: False, 4: None}
    """
    width = max(map(len, rows.values()), default=0)
    places = [place for place in range(width) if any(values[place] is not None for values in rows.values())]
    known = {row: [value for place in places if (value := values[place]) is not None] for row, values in rows.items()}
    whole = {row: values for row, values in known.items() if places and len(values) == len(places)}
    return {
        row: not any(_beats(other, whole[row]) for other in whole.values()) if row in whole else None for row in rows
    }


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True)) and any(a > b for a, b in zip(one, other, strict=True))
