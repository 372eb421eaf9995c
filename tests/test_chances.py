"""The probability of a choice out of the probabilities of first tokens."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import RANDOM
from openbook.errors import ModelError
from openbook.llms.chances import chances


def logs(**tokens: float) -> list[tuple[str, float]]:
    return [(token.replace("_", " "), math.log(value)) for token, value in tokens.items()]


def test_the_case_of_a_word_and_the_space_before_it_are_set_aside() -> None:
    assert chances(logs(Yes=0.4, _yes=0.3, NO=0.1), ["yes", "No"]) == pytest.approx([0.7, 0.1])


def test_a_word_of_several_tokens_is_told_by_its_first() -> None:
    assert chances(logs(Jer=0.4, Jo=0.3), ["Jerusalem", "Jonah"]) == pytest.approx([0.4, 0.3])


def test_what_follows_a_word_may_be_in_its_token_but_no_longer_word() -> None:
    assert chances([("1.", math.log(0.4)), ("12", math.log(0.3))], ["1", "2"]) == pytest.approx([0.4, 0])


def test_a_token_that_begins_two_choices_counts_for_neither() -> None:
    assert chances(logs(apple=0.4, ap=0.3), ["apple", "apricot"]) == pytest.approx([0.4, 0])


def test_when_most_of_it_begins_two_choices_they_cannot_be_told_apart() -> None:
    with pytest.raises(ModelError, match=r"cannot tell 'apple', 'apricot' apart\. Give"):
        chances(logs(apple=0.1, ap=0.3), ["apple", "apricot"])


@pytest.mark.parametrize("choices", [["1", "10"], ["Yes", " yes"], ["", "a"], [" "]])
def test_a_choice_that_begins_another_is_refused(choices: list[str]) -> None:
    with pytest.raises(ModelError, match="cannot tell"):
        chances([], choices)


@RANDOM
@given(
    weights=st.dictionaries(st.text("abAB 1.", max_size=3), st.floats(0.001, 1), max_size=12),
    choices=st.lists(st.sampled_from(["a", "b", "1"]), unique=True),
)
def test_probabilities_are_from_0_to_1_and_together_at_most_1(weights: dict[str, float], choices: list[str]) -> None:
    total = sum(weights.values())
    found = chances([(token, math.log(weight / total)) for token, weight in weights.items()], choices)
    assert len(found) == len(choices)
    assert all(0 <= probability <= 1 for probability in found)
    assert sum(found) <= 1 + 1e-6
