"""`exact` and `f1` are those of SQuAD's own evaluation script; benchmarks/squad_metrics.py compares many more."""

from __future__ import annotations

import pytest

from openbook.judging import exact, f1


# What compute_exact and compute_f1 of evaluate-v2.0.py say, as the wheel of allennlp-models 2.10.1 carries them.
@pytest.mark.parametrize(
    ("said", "expected", "their_exact", "their_f1"),
    [
        ("the cat", ["The Cat!"], 1, 1.0),
        ("a", ["the", "cat"], 0, 0.0),  # an expected answer that is an article alone is none
        ("", ["the"], 1, 1.0),
        ("", [], 1, 1.0),
        ("   ", [], 1, 1.0),
        ("cat", [], 0, 0.0),
        ("The", [], 1, 1.0),
        ("U.S.A.", ["USA"], 1, 1.0),
        ("1,200", ["1200"], 1, 1.0),
        ("forty-two", ["forty two"], 0, 0.0),
        ("forty two", ["forty - two"], 1, 1.0),
        ("naïve", ["naive"], 0, 0.0),
        ("\u0130stanbul", ["istanbul"], 0, 0.0),
        ("STRASSE", ["Straße"], 0, 0.0),
        ("\u201cGalileo\u201d", ["Galileo"], 0, 0.0),  # only ASCII's punctuation is taken out
        ("Galileo\u00a0Galilei", ["Galileo Galilei"], 1, 1.0),
        ("Gali\u200bleo", ["Galileo"], 0, 0.0),
        ("an and the a", ["and"], 1, 1.0),
        ("cat cat cat", ["cat"], 0, 0.5),
        ("cat cat dog", ["cat cat cat mouse"], 0, 0.5714285714),
        ("dog cat", ["cat dog", "bird"], 0, 1.0),
        ("theatre", ["the atre"], 0, 0.0),
        ("it's", ["its"], 1, 1.0),
        ("$20,980", ["20,980", "£20,980"], 1, 1.0),
        ("a.m.", ["am"], 1, 1.0),
        ("A", ["a"], 1, 1.0),
        ("東京 都", ["東京"], 0, 0.6666666667),
        ("e\u0301te", ["été"], 0, 0.0),
    ],
)
def test_answers_are_judged_as_squad_judges_them(
    said: str, expected: list[str], their_exact: float, their_f1: float
) -> None:
    assert (exact(said, expected), f1(said, expected)) == pytest.approx((their_exact, their_f1), abs=1e-9)


def test_what_is_ours_alone() -> None:
    assert exact("Galileo [1, 2].", ["Galileo"]) == 1  # SQuAD's script would read 'galileo 1 2'
    assert exact("Not in these documents. [1]", []) == 1  # where it knows only an empty answer
