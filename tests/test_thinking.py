"""What a model thinks is kept apart from what it answers, however the pieces are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbook.llms.thinking import CONTROL, TAGS, Tags, opened, split_thoughts
from openbook.types import Thought, Usage

THINK = TAGS[0]


def split(text: str, cuts: list[int] | None = None, inside: Tags | None = None) -> tuple[str, str]:
    """Thoughts and answer of a text that comes in pieces."""
    ends = sorted({min(cut, len(text)) for cut in cuts or []} | {len(text)})
    pieces = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    parts = list(split_thoughts(pieces, inside))
    thought = "".join(part.text for part in parts if isinstance(part, Thought))
    return thought, "".join(part for part in parts if isinstance(part, str))


@pytest.mark.parametrize("tags", TAGS, ids=[tags.opens for tags in TAGS])
@given(cuts=st.lists(st.integers(0, 120), max_size=12))
def test_a_thought_is_found_wherever_its_tags_are_cut(tags: Tags, cuts: list[int]) -> None:
    for close in tags.closes:
        text = f"{tags.opens}\nHm, 1 < 2.\n\nSo.\n{close}\n\nNineveh. [1]"
        assert split(text, cuts) == ("Hm, 1 < 2.\n\nSo.", "Nineveh. [1]")


@given(text=st.text("<think>/ \n[THINK]|ab", max_size=30), cuts=st.lists(st.integers(0, 30), max_size=8))
def test_an_answer_without_a_thought_comes_unchanged(text: str, cuts: list[int]) -> None:
    answer = f"Nineveh {text}"
    assert split(answer, cuts) == ("", answer)


@given(cuts=st.lists(st.integers(0, 60), max_size=8))
def test_a_thought_that_the_prompt_began_needs_no_opening_tag(cuts: list[int]) -> None:
    assert split("Hm.\n</think>\n\nNineveh.", cuts, THINK) == ("Hm.", "Nineveh.")


@given(cuts=st.lists(st.integers(0, 60), max_size=8))
def test_a_thought_that_was_cut_off_is_all_there_is(cuts: list[int]) -> None:
    assert split("<think>Hm, let me </thi", cuts) == ("Hm, let me </thi", "")


@pytest.mark.parametrize("text", ["<think>\n\n</think>\n\nNineveh.", "</think>\n\nNineveh.", "<think></think>Nineveh."])
def test_an_empty_thought_leaves_nothing(text: str) -> None:
    assert split(text) == ("", "Nineveh.")


def test_several_thoughts_before_an_answer_are_all_taken_out() -> None:
    assert split("<think>A.</think>\n<think>B.</think>C.") == ("A.B.", "C.")


def test_a_tag_in_the_middle_of_an_answer_is_a_word() -> None:
    assert split("It writes <think> first.")[1] == "It writes <think> first."
    assert split("<think>x</think>It ends with </think>.")[1] == "It ends with </think>."


def test_marks_around_an_answer_are_no_part_of_it() -> None:
    text = "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Nineveh.<|END_RESPONSE|>"
    assert split(text, list(range(len(text)))) == ("Hm.", "Nineveh.")
    assert split("<|channel|>final<|message|>Nineveh.") == ("", "Nineveh.")


def test_words_are_not_held_back_longer_than_a_tag_may_need() -> None:
    parts = split_thoughts(iter(["Nineveh", " is", " a", " city"]))
    assert list(parts) == ["Nineveh", " is", " a", " city"]
    parts = split_thoughts(iter(["<think>", "One", " two", "</think>", "Three"]))
    assert next(parts) == Thought("One")


def test_what_is_held_comes_before_the_usage() -> None:
    usage = Usage(3, 2, 0, "length")
    assert list(split_thoughts(["<thi", usage])) == ["<thi", usage]
    assert list(split_thoughts([Thought("told apart by the server"), "Nineveh.", usage]))[0] == Thought(
        "told apart by the server"
    )


def test_a_prompt_that_ends_in_a_thought_is_known() -> None:
    assert opened("<|im_start|>assistant\n<think>\n") == THINK
    assert opened("<|im_start|>assistant\n<think>\n\n</think>\n\n") is None
    assert opened("What does <think> mean?<|im_start|>assistant\n") is None


def test_every_tag_that_may_be_a_token_is_asked_for() -> None:
    assert {"<think>", "[/THINK]", "◁/think▷", "<|channel>", "<channel|>", "<|message|>", "<|END_RESPONSE|>"} <= set(
        CONTROL
    )
