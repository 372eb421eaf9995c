r"""openbook.bench.statistics beside SciPy and statsmodels, on random scores.

    python -m venv CHECK && CHECK/bin/pip install scipy statsmodels click
    PYTHONPATH=src CHECK/bin/python benchmarks/statistics_check.py

Scores are those of two recipes for the same questions: right and wrong, or shares. Prints the largest difference of
each number. Bootstrap and randomisation differ by chance alone (10,000 draws against 10,000 others), the rest does not.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from openbook.bench.statistics import holm, interval, needed, p_value, p_values, together

Scores = np.ndarray


def pairs(count: int, seed: int = 1) -> Iterator[tuple[Scores, Scores]]:
    """Two recipes' scores, of 20 to 200 questions, the second up to 20 points better."""
    random = np.random.default_rng(seed)
    for number in range(count):
        size, better = int(random.integers(20, 200)), random.uniform(0, 0.2)
        chance = random.beta(0.5, 0.5, size)
        if number % 2:
            yield random.beta(2, 2, size), np.clip(random.beta(2, 2, size) + better, 0, 1)
        else:
            yield (random.random(size) < chance) * 1.0, (random.random(size) < np.clip(chance + better, 0, 1)) * 1.0


def swapped() -> Iterator[float]:
    """How far p is from that of all tosses of the coin, of so few questions that they can be counted."""
    for size in range(2, 9):
        for signs in ([0.5, 1.0, -0.25] * 3, [1.0, 0.0, -1.0, 1.0] * 2):
            sample = np.array(signs[:size])
            exact = np.mean([
                abs(np.dot(toss, sample)) >= abs(sample.sum()) - 1e-9
                for toss in itertools.product((1, -1), repeat=size)
            ])  # fmt: skip
            yield float(p_value(sample.tolist(), [0.0] * size, rounds=100_000) - exact)


def all_alike() -> Iterator[float]:
    """How far our interval of answers that are all right or all wrong is from SciPy's and statsmodels'."""
    from scipy import stats  # type: ignore[import-untyped]
    from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-not-found]

    for size in (1, 2, 6, 20, 50, 500):
        for right in (0, size):
            ours = interval([float(right > 0)] * size)
            exact = stats.binomtest(right, size).proportion_ci(method="exact")
            beta = proportion_confint(right, size, method="beta")
            yield float(np.max(np.abs(np.subtract([exact, beta], ours))))


def main() -> None:
    """Compare and print."""
    from scipy import stats  # in an environment of its own
    from statsmodels.stats.multitest import multipletests  # type: ignore[import-not-found]
    from statsmodels.stats.power import TTestPower  # type: ignore[import-not-found]

    far: dict[str, float] = {}

    def note(name: str, difference: float) -> None:
        far[name] = max(far.get(name, 0.0), abs(float(difference)))

    for number, (first, second) in enumerate(pairs(60)):
        differences = second - first
        low, high = interval(differences.tolist(), span=(-1, 1))
        theirs = stats.bootstrap((differences,), np.mean, n_resamples=10_000, method="percentile", random_state=7)
        # Means of right and wrong answers lie on a grid, of which two draws may meet neighbours.
        unit = (high - low) if number % 2 else 1 / len(first)
        name = "interval, shares: ends, in widths" if number % 2 else "interval, right and wrong: ends, in questions"
        note(name, (low - theirs.confidence_interval.low) / unit)
        note(name, (high - theirs.confidence_interval.high) / unit)
        ours = p_value(first.tolist(), second.tolist())
        test = stats.permutation_test(
            (first, second), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples",
            vectorized=True, n_resamples=10_000, random_state=7,
        )  # fmt: skip
        note(f"p_value, {'below' if ours < 0.1 else 'above'} .1", ours - test.pvalue)
        variance, wanted = differences.var(ddof=1), 0.1
        count = TTestPower().solve_power(wanted / np.sqrt(variance), alpha=0.05, power=0.8, alternative="two-sided")
        note("needed: questions fewer than by a t test", count - needed(differences.tolist(), wanted))
    for difference in swapped():
        note("p_value beside all swaps counted", difference)
    for difference in all_alike():
        note("interval, all right or all wrong", difference)
    random = np.random.default_rng(2)
    for size in (1, 2, 5, 23, 200):
        values = random.random(size) ** 3
        note("holm", np.max(np.abs(holm(values.tolist()) - multipletests(values, method="holm")[1])))
    rows = random.random((5, 80))
    rows[3] += 0.08

    def widest(*dealt: Scores, axis: int) -> Scores:
        return np.asarray(np.ptp([one.mean(axis=axis) for one in dealt], axis=0))

    def farthest(*dealt: Scores, axis: int) -> Scores:
        means = np.array([one.mean(axis=axis) for one in dealt])
        return np.asarray(np.abs(means - means.mean(axis=0)).max(axis=0))

    found = together(rows.tolist(), rounds=10_000)
    at_once = {"pairs": (np.min(found.pairs), widest), "apart": (np.min(found.apart), farthest)}
    for name, (least, of) in at_once.items():
        test = stats.permutation_test(
            tuple(rows), of, permutation_type="samples", vectorized=True, n_resamples=10_000,
            alternative="greater", random_state=7,
        )  # fmt: skip
        note(f"together, {name}: the least p, here {least:.3f}", least - test.pvalue)
    note("p_values beside p_value", p_values(rows[0], [rows[1]])[0] - p_value(rows[0], rows[1]))
    for name, difference in far.items():
        print(f"{name}: {difference:.2g}")


if __name__ == "__main__":
    main()
