"""Answers are judged as SQuAD's script judges them, and a right answer that also refuses is not clean."""

from __future__ import annotations

import pytest

from openbook.judging import (
    cited_precision,
    cited_recall,
    clean,
    contains,
    exact,
    f1,
    numbers,
    plain,
    refuses,
)
from openbook.types import Chunk, Passage


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("The  Ark, (of Noah).", "ark of noah"),
        ("an apple a day", "apple day"),
        ("U.S.A.", "usa"),
        ("Theatre", "theatre"),
        ("forty-two [1, 3]", "fortytwo"),
        ("", ""),
        ("The", ""),
    ],
)
def test_texts_are_compared_as_squad_compares_them(text: str, said: str) -> None:
    assert plain(text) == said


def test_the_best_of_the_expected_answers_counts() -> None:
    expected = ["Denver Broncos", "The Broncos"]
    assert exact("the broncos!", expected) == 1
    assert exact("Broncos of Denver", expected) == 0
    assert f1("Broncos of Denver", expected) == pytest.approx(0.8)
    assert f1("Panthers", expected) == 0


def test_without_an_expected_answer_a_refusal_is_right() -> None:
    for judge in (exact, f1, clean):
        assert judge("Not in these documents. [1]", []) == 1
        assert judge("In 1997.", []) == 0


def test_an_answer_contains_whole_words() -> None:
    assert contains("He fled to Tarshish [2].", ["Tarshish"]) == 1
    assert contains("He saw the Tarshishites.", ["Tarshish"]) == 0
    assert contains("He fled.", [""]) == 0


@pytest.mark.parametrize(
    "text",
    [
        "Not in these documents.",
        "The answer is not in the provided passages.",
        "The passages do not mention how long.",
        "The text doesn't specify a number.",
        "There is no information about that.",
        "It cannot be determined from the passages.",
        "I am unable to find it.",
        "Das wird in den Texten nicht erwähnt.",
        "It was 1997, but this is not explicitly stated in the text.",
    ],
)
def test_a_refusal_is_known_in_any_words(text: str) -> None:
    assert refuses(text)


@pytest.mark.parametrize(
    "text",
    [
        "He did not flee.",
        "It is not possible to rename a topic.",
        "No.",
        "They did not include the children, but counted the men.".replace("did not include", "left out"),
        "Nein, er floh nicht.",
        "The king could not sleep.",
    ],
)
def test_an_answer_with_not_in_it_is_no_refusal(text: str) -> None:
    assert not refuses(text)


def test_right_and_refusing_is_not_clean() -> None:
    answer = "It was 1997, but this is not explicitly stated in the text."
    assert contains(answer, ["1997"]) == 1
    assert clean(answer, ["1997"]) == 0
    assert clean("It was 1997.", ["1997"]) == 1


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("It cost $1,200.50.", "1200.50 dollars", 1),
        ("In 1997 [3].", "3", 0),
        ("From 5 to 7 days.", "5 and 7", 1),
        ("On 2024-03-01.", "1 March", 0),
        ("Twelve.", "twelve", None),
    ],
)
def test_numbers_are_compared_as_numbers(answer: str, expected: str, right: float | None) -> None:
    assert numbers(answer, [expected]) == right


def test_a_citation_is_right_when_the_passage_holds_the_answer() -> None:
    shown = [Passage(Chunk("d", 0, 4, text), 1.0, "bm25") for text in ("fish", "ship", "fish")]

    def holds(passage: Passage) -> bool:
        return passage.chunk.text == "fish"

    assert cited_precision((1, 2), shown, holds) == 0.5
    assert cited_recall((1, 2), shown, holds) == 0.5
    assert cited_precision((), shown, holds) == 0.0
    assert cited_recall((1,), shown[1:2], holds) is None
