"""Rewriters: what a question becomes once something was said before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbook import registry
from openbook.errors import SpecError, TooLongError
from openbook.phrases import phrases
from openbook.recipe import Recipe, Spec
from openbook.rewriters.followup import FollowUp
from openbook.rewriters.none import Nothing
from openbook.rewriters.previous import Previous, turns
from openbook.rewriters.standing import stands_alone
from openbook.types import Message, Rewriter, Stream, Usage
from test_budget import Counting

HISTORY = (
    Message("user", "Who was swallowed by a great fish?"),
    Message("assistant", "Jonah was swallowed by a great fish [1]."),
)


class Writes(Counting):
    """A model that writes what it is told to, and remembers what it was asked."""

    def __init__(
        self, text: str = "How long was Jonah inside the fish?", stopped: Literal["end", "length"] = "end"
    ) -> None:
        super().__init__()
        self.text, self.stopped, self.asked = text, stopped, list[list[Message]]()

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        self.asked.append(list(messages))
        yield self.text
        yield Usage(stopped=self.stopped)


def followup(model: Writes, turns: int = 2) -> FollowUp:
    return FollowUp(model, turns)


@pytest.mark.parametrize("rewrite", [Nothing(), Previous(), followup(Writes())], ids=["none", "previous", "followup"])
def test_without_a_history_a_question_is_itself(rewrite: Rewriter) -> None:
    assert list(rewrite("How long was he inside?", ())) == ["How long was he inside?"]


def test_without_a_history_the_model_is_not_asked() -> None:
    model = Writes()
    followup(model)("How long was he inside?", ())
    assert not model.asked


def test_none_leaves_a_follow_up_as_it_is() -> None:
    assert list(Nothing()("How long was he inside?", HISTORY)) == ["How long was he inside?"]


def test_previous_searches_with_the_question_before_too() -> None:
    assert Previous()("How long was he inside?", HISTORY) == (
        "How long was he inside?",
        "Who was swallowed by a great fish?\nHow long was he inside?",
    )


def test_a_follow_up_is_written_by_the_model_and_searched_with_the_question_before_too() -> None:
    assert followup(Writes())("How long was he inside?", HISTORY) == (
        "How long was Jonah inside the fish?",
        "Who was swallowed by a great fish?\nHow long was he inside?",
    )


def test_a_question_that_stands_alone_costs_no_call_of_the_model() -> None:
    model, question = Writes(), "Which tribes settled east of the river Jordan?"
    assert followup(model)(question, HISTORY)[0] == question
    assert not model.asked


class Small(Writes):
    """Refuses what has more words than its context."""

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        if self.count(self.render(messages)) > self.context:
            raise TooLongError("too long")
        return super().stream(messages, max_tokens, grammar)


def test_a_small_context_reads_fewer_turns_and_too_long_a_question_stays_as_it_is() -> None:
    roomy, model = Writes(), Small()
    followup(roomy)("How long was he inside?", HISTORY)
    model.context = roomy.count(roomy.render(roomy.asked[0]))
    before = [Message("user", "Which cities? " * 100), Message("assistant", "Nineveh.")]
    assert followup(model)("How long was he inside?", [*before, *HISTORY])[0] == "How long was Jonah inside the fish?"
    assert "Which cities?" not in model.asked[0][-1].content
    question = "And then? " * 200
    assert followup(model)(question, HISTORY)[0] == question


def test_the_model_reads_the_last_turns_only_and_no_old_numbers_of_passages() -> None:
    model = Writes()
    history = [Message(role, f"{role} {number} [1]") for number in range(5) for role in ("user", "assistant")]
    followup(model, turns=2)("and then?", history)
    assert model.asked[0][-1].content == (
        "User: user 3 [1]\nAssistant: assistant 3\nUser: user 4 [1]\nAssistant: assistant 4\n\nLast message: and then?"
    )


def test_long_answers_of_before_are_shortened_for_the_model() -> None:
    model = Writes()
    followup(model)("and then?", [Message("user", "Who?"), Message("assistant", "word " * 1000)])
    assert len(model.asked[0][-1].content) < 400


@pytest.mark.parametrize(
    "written",
    ["", "  \n ", "?!", "Not in these documents.", "He was in there for three days. " * 20],
    ids=["nothing", "white space", "no word", "a refusal", "an answer"],
)
def test_what_cannot_be_a_question_is_not_searched_for(written: str) -> None:
    assert followup(Writes(written))("How long was he inside?", HISTORY)[0] == "How long was he inside?"


def test_a_text_that_was_cut_off_is_not_searched_for() -> None:
    assert (
        followup(Writes("How long was", "length"))("How long was he inside?", HISTORY)[0] == "How long was he inside?"
    )


def test_only_the_first_line_counts_and_quotes_around_it_go() -> None:
    model = Writes('"How long was Jonah inside?"\nHe was inside for three days.')
    assert followup(model)("How long was he inside?", HISTORY)[0] == "How long was Jonah inside?"


def test_what_was_quoted_before_need_not_be_in_what_is_found_now() -> None:
    history = (Message("user", 'Who said "great fish"?'), Message("assistant", "Jonah."))
    found = followup(Writes('When did Jonah say "great fish"?'))("When did he say so?", history)
    assert not any(phrases(one) for one in found)


def test_what_a_question_quotes_itself_stays_quoted() -> None:
    found = followup(Writes('When did Jonah say "great fish"?'))('When did he say "great fish"?', HISTORY)
    assert [phrases(one) for one in found] == [["great fish"], ["great fish"]]


def test_a_history_may_begin_with_what_is_remembered() -> None:
    assert turns([Message("system", "Jonah fled."), *HISTORY]) == [(HISTORY[0].content, HISTORY[1].content)]


@pytest.mark.parametrize(
    "question",
    [
        "Who was swallowed by a great fish in the Bible?",
        "How many backups can I retain each month per volume?",
        "Wie tief ist der Bodensee bei Konstanz?",
        "Welche Stämme wohnten östlich vom Jordan?",
        "What are the names of the Teenage Mutant Ninja Turtles?",
    ],
)
def test_these_stand_alone(question: str) -> None:
    assert stands_alone(question)


@pytest.mark.parametrize(
    "question",
    [
        "How long was he inside?",
        "And what did Jonah do in Nineveh after three days?",
        "What elements does it support?",
        "side effects",
        "Why?",
        "How do I do the migration?",
        "What about the king of Nineveh and this city?",
        "Und wie tief ist er?",
        "Wie lange war er darin?",
        "Was geschah danach in Ninive?",
        "Was ist mit den anderen Propheten?",
        "Et combien de jours Jonas est resté dans le poisson?",
        "约拿在鱼腹中多久?",
        "",
        "???",
    ],
)
def test_these_may_need_what_was_said_before(question: str) -> None:
    assert not stands_alone(question)


@given(st.text())
def test_any_text_may_be_asked(text: str) -> None:
    stands_alone(text)
    found = followup(Writes(text))(text or "?", HISTORY)
    assert len(found) == 2
    assert found[0]


def test_the_default_recipe_rewrites_and_a_recipe_without_the_step_gets_the_default() -> None:
    assert str(Recipe().rewriter) == "followup"
    old = {step: text for step, text in Recipe().to_dict().items() if step != "rewriter"}
    assert Recipe.from_dict(old) == Recipe()


def test_a_rewriter_may_name_a_model_of_its_own() -> None:
    registry.check_recipe(Recipe().with_step("rewriter", "followup(llm='quote', turns=3)"))
    with pytest.raises(SpecError, match="turns must be 1 or more"):
        registry.make("rewriter", Spec.parse("followup(turns=0)"), llm=None)
