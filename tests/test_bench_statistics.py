"""Chance is not called a difference, and a difference is not called chance."""

from __future__ import annotations

import numpy as np
import pytest

from openbook.bench.statistics import holm, interval, needed, p_value, p_values, together


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


@pytest.mark.parametrize(("count", "most"), [(1, 0.975), (6, 0.4592581), (20, 0.1684335), (50, 0.0711217)])
def test_scores_that_are_all_the_same_are_not_certain(count: int, most: float) -> None:
    # binomtest(0, count).proportion_ci(method="exact") of SciPy 1.17; benchmarks/statistics_check.py compares more.
    assert interval([0.0] * count) == pytest.approx((0.0, most), abs=1e-6)
    assert interval([1.0] * count) == pytest.approx((1 - most, 1.0), abs=1e-6)
    assert interval([0.5] * count) == pytest.approx((0.5 - most / 2, 0.5 + most / 2), abs=1e-6)  # of shares
    assert interval([0.0] * count, span=(-1, 1)) == pytest.approx((-most, most), abs=1e-6)  # of differences


def test_where_all_are_wrong_the_interval_still_holds_the_true_share() -> None:
    random, count = np.random.default_rng(6), 20
    for share in (0.02, 0.1, 0.16):
        wrong = sum(not (random.random(count) < share).any() and interval([0.0] * count)[1] < share for _ in range(500))
        assert wrong / 500 <= 0.025


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


def compared(random: np.random.Generator, questions: int, rows: int, better: float = 0.0) -> list[list[float]]:
    """Right and wrong answers of recipes that are alike but for row 3, which is better by so much.

    Questions differ in how hard they are, such that the best of 24 like rows beats the median one by 7 points with 50
    questions: as 24 equal configurations were seen to do.
    """
    chance = np.tile(random.beta(0.27, 0.18, questions), (rows, 1))
    chance[3] += better * (1 - chance[3]) / (1 - chance[3]).mean()
    return (random.random(chance.shape) < np.clip(chance, 0, 1)).astype(float).tolist()  # type: ignore[no-any-return]


@pytest.mark.slow
def test_recipes_that_are_alike_are_not_told_apart() -> None:
    random = np.random.default_rng(7)
    runs = [together(compared(random, 50, 24), rounds=300) for _ in range(200)]
    assert np.mean([min(one.apart) >= 0.05 for one in runs]) >= 0.95
    assert np.mean([min(map(min, one.pairs)) >= 0.05 for one in runs]) >= 0.95


@pytest.mark.slow
def test_one_that_is_fifteen_points_better_is_found_among_twenty_four() -> None:
    random = np.random.default_rng(8)
    found = 0
    for _ in range(200):
        rows = compared(random, 100, 24, 0.15)
        found += together(rows, rounds=300).apart[3] < 0.05 and max(rows, key=sum) == rows[3]
    assert found / 200 >= 0.85


def test_two_rows_are_tested_as_a_pair_is() -> None:
    random = np.random.default_rng(9)
    first, second = random.random(30), random.random(30) + 0.15  # p is about .61
    p = p_value(first.tolist(), second.tolist())
    assert together([first.tolist(), second.tolist()]).pairs[0][1] == pytest.approx(p, abs=0.03)


def test_the_numbers_are_those_of_scipy_and_statsmodels() -> None:
    # SciPy 1.17 with 200,000 draws, statsmodels 0.15; benchmarks/statistics_check.py compares more.
    first, second = [((7 * n) % 11) / 10 for n in range(40)], [((5 * n) % 13) / 12 for n in range(40)]
    differences = [a - b for a, b in zip(first, second, strict=True)]
    assert interval(differences) == pytest.approx((-0.1108, 0.1458), abs=0.003)  # bootstrap, percentile
    assert p_value(first, second) == pytest.approx(0.7954, abs=0.015)  # permutation_test, samples
    at_once = together([first, second, [0.8 * score for score in first]])
    assert min(map(min, at_once.pairs)) == pytest.approx(0.1344, abs=0.02)  # the same, of the widest pair of three
    assert holm([0.01, 0.02, 0.03, 0.005, 0.2]) == pytest.approx([0.04, 0.06, 0.06, 0.025, 0.2])  # multipletests
    assert needed(differences, 0.1) == pytest.approx(139.5, abs=2)  # TTestPower: of a t test, so some two more
