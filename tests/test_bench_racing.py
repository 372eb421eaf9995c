"""A race drops the recipes that lose, and ends with the winner that all questions would have named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from openbook.bench.racing import blocks, losing, race, shuffled

ONE = (0.15, *[0.0] * 15)
SECOND = (0.15, 0.10, *[0.0] * 14)  # five points behind the best
GRADED = tuple(0.15 - 0.02 * number for number in range(16))


def drawn(random: np.random.Generator, questions: int, better: tuple[float, ...]) -> np.ndarray:
    """Right and wrong answers of recipes that are so much better than the common mean; as in test_bench_statistics."""
    chance = np.tile(random.beta(0.27, 0.18, questions), (len(better), 1))
    for row, points in zip(chance, better, strict=True):
        row += points * (1 - row) / (1 - row).mean() if points > 0 else points * row / row.mean()
    return (random.random(chance.shape) < np.clip(chance, 0, 1)).astype(float)


def asking(scores: np.ndarray) -> Callable[[int, int], list[float]]:
    return lambda row, count: scores[row, :count].tolist()


@pytest.mark.parametrize(
    ("better", "questions", "work"),
    [(ONE, 60, 0.65), (ONE, 100, 0.55), (SECOND, 100, 0.55), (GRADED, 100, 0.55), (GRADED, 60, 0.6), (ONE, 200, 0.45)],
)
def test_a_race_of_sixteen_takes_about_half_the_work_and_names_the_same_winner(
    better: tuple[float, ...], questions: int, work: float
) -> None:
    random, same, asked = np.random.default_rng(1), 0, 0
    for _ in range(100):
        scores = drawn(random, questions, better)
        means = scores.mean(axis=1)
        *_, raced = race(16, questions, asking(scores), keep=[15])
        assert 15 in raced.left  # the baseline, which none of the others lets win here
        same += max(means[list(raced.left)]) == means.max()
        asked += sum(raced.dropped.values()) + len(raced.left) * questions  # what is left is asked all of them
    assert same >= 95
    assert asked / (100 * 16 * questions) <= work


def test_recipes_that_are_alike_are_dropped_only_where_the_rest_could_not_turn_it() -> None:
    random, lost = np.random.default_rng(2), 0
    for _ in range(100):
        scores = drawn(random, 60, (0.0,) * 16)
        *_, raced = race(16, 60, asking(scores))
        lost += not any(scores[row].sum() == scores.sum(axis=1).max() for row in raced.left)
    assert lost <= 5


def test_a_few_questions_that_are_all_alike_prove_nothing() -> None:
    assert losing([[1.0] * 5, [1.0] * 5], 100, 9) == []
    assert losing([[1.0] * 5, [0.0] + [1.0] * 4], 100, 9) == []
    assert losing([[1.0] * 20, [0.0] * 20], 100, 9) == [1]
    assert losing([[1.0, 1.0], [0.0, 0.0]], 2, 9) == []  # all were asked: nothing is left to be saved
    assert losing([], 10, 9) == []


def test_looks_are_evenly_spread_and_never_after_a_question_or_two() -> None:
    assert blocks(100) == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert blocks(23) == [6, 12, 17, 23]
    assert blocks(1) == [1]


def test_the_order_of_questions_is_random_and_always_the_same() -> None:
    assert shuffled(range(50), 1) == shuffled(range(50), 1) != shuffled(range(50), 2)
    assert sorted(shuffled(range(50), 1)) == list(range(50))
