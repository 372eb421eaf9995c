"""Pareto's front: rows that no other row beats in everything at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openbook.bench.pareto import front

ROWS = st.dictionaries(
    st.integers(1, 30), st.tuples(*[st.one_of(st.none(), st.integers(0, 4).map(float))] * 3), max_size=12
)


def beats(one: tuple[float | None, ...], other: tuple[float | None, ...]) -> bool:
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def test_three_dimensions_count_at_once() -> None:
    rows = {
        1: (0.7, -5.0, -2.0),
        2: (0.6, -3.0, -2.0),
        3: (0.6, -3.0, -1.0),
        4: (0.5, -9.0, -0.5),
        5: (0.5, -9.0, -3.0),
    }
    assert front(rows) == {1: True, 2: False, 3: True, 4: True, 5: False}


def test_equal_rows_are_all_on_it() -> None:
    assert front({1: (0.5, -1.0), 2: (0.5, -1.0)}) == {1: True, 2: True}


def test_a_row_that_is_not_known_in_all_is_not_judged_and_beats_none() -> None:
    assert front({1: (0.5, -1.0), 2: (0.9, None)}) == {1: True, 2: None}


def test_what_no_row_has_does_not_count() -> None:
    assert front({1: (0.5, None), 2: (0.4, None)}) == {1: True, 2: False}
    assert front({1: (None,), 2: (None,)}) == {1: None, 2: None}
    assert front({}) == {}


@given(ROWS)
def test_every_row_off_the_front_is_beaten_by_one_on_it(rows: dict[int, tuple[float | None, ...]]) -> None:
    found = front(rows)
    on = [row for row, is_on in found.items() if is_on]
    for row, is_on in found.items():
        if is_on is not None:
            assert is_on != any(beats(rows[other], rows[row]) for other in on)
