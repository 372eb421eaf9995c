"""Chance is not called a difference, and a difference is not called chance."""

from __future__ import annotations

import numpy as np
import pytest

from openbook.bench.statistics import holm, interval, needed, p_value, p_values


def test_chance_is_not_called_a_difference() -> None:
    random = np.random.default_rng(3)
    same = [p_value(*random.random((2, 40)), rounds=500) for _ in range(200)]
    assert np.mean(np.array(same) < 0.05) == pytest.approx(0.05, abs=0.04)
    assert p_value([1.0] * 20, [0.5] * 20) < 0.001


def test_many_tests_at_once_are_the_same_tests() -> None:
    random = np.random.default_rng(4)
    first, others = random.random(30), random.random((3, 30)) + 0.1
    assert p_values(first.tolist(), others.tolist()) == [p_value(first.tolist(), other.tolist()) for other in others]


def test_a_p_value_is_corrected_for_the_number_of_tests() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_interval_of_a_mean_holds_the_true_one_nineteen_times_in_twenty() -> None:
    random = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        low, high = interval((random.random(60) < 0.7).astype(float).tolist(), rounds=500)
        held += low <= 0.7 <= high
    assert held / 200 == pytest.approx(0.95, abs=0.04)


def test_the_interval_of_nothing_has_no_width() -> None:
    assert interval([]) == (0.0, 0.0)
    assert interval([0.3]) == (0.3, 0.3)


def test_so_many_questions_find_the_difference_four_times_in_five() -> None:
    random = np.random.default_rng(6)

    def pairs(count: int) -> tuple[list[float], list[float]]:
        first = random.normal(0.7, 0.4, count)
        return first.tolist(), (first + random.normal(-0.1, 0.3, count)).tolist()

    first, second = pairs(2000)
    count = needed([a - b for a, b in zip(first, second, strict=True)], 0.1)
    assert 60 <= count <= 80
    found = sum(p_value(*pairs(count), rounds=500) < 0.05 for _ in range(200))
    assert found / 200 == pytest.approx(0.8, abs=0.08)


def test_no_spread_and_no_difference_are_said() -> None:
    assert needed([0.1, 0.1, 0.1], 0.1) == 2
    with pytest.raises(ValueError, match="no difference"):
        needed([0.1, 0.2], 0.0)
