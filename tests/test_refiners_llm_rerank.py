"""llm-rerank: which passages are read, what the model is asked, and what becomes of its answer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from openbook import Book, Recipe, registry
from openbook.errors import ModelError, SpecError
from openbook.llms.quote import Quote
from openbook.recipe import Spec
from openbook.refiners.llm_rerank import LLMRerank, deviations_behind, messages
from openbook.types import Chunk, Message, Passage


@dataclass(frozen=True)
class Judge(Quote):
    """Says yes to passages with a word, as surely as told."""

    word: str = "whale"
    sure: float = 0.9
    asked: list[str] = field(default_factory=list)

    def choose(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        assert list(choices) == ["Yes", "No"]
        self.asked.append(messages[-1].content)
        return [self.sure, 1 - self.sure] if self.word in messages[-1].content else [1 - self.sure, self.sure]


def passage(text: str, score: float, via: str = "hybrid") -> Passage:
    return Passage(Chunk(text, 0, len(text), text), score, via, ("a.txt",))


def found(*scores: float) -> list[Passage]:
    """Passages a0, a1, ... and many far behind, so that one point is about a third of a standard deviation."""
    return [passage(f"a{number}", score) for number, score in enumerate(scores)] + [
        passage(f"far{number}", -number / 10) for number in range(30)
    ]


def texts(passages: Sequence[Passage]) -> list[str]:
    return [one.chunk.text for one in passages]


def test_the_passage_that_answers_comes_first() -> None:
    judge = Judge(word="a2")
    before = found(9, 8.5, 8, 7.5)
    after = LLMRerank(judge)("Who?", before, 3)
    assert texts(after)[:4] == ["a2", "a0", "a1", "a3"]
    assert after[4:] == before[4:]
    assert [one.via for one in after[:5]] == ["rerank"] * 4 + ["hybrid"]
    assert after[0].sources == ("a.txt",)


def test_the_score_is_the_models_log_odds_and_the_retrievers_deviations() -> None:
    before = found(9, 8.5, 8)
    behind = deviations_behind(before)
    after = LLMRerank(Judge(word="a1"), weight=0.25)("Who?", before, 3)
    odds = math.log(0.9 / 0.1)
    assert texts(after)[:3] == ["a1", "a0", "a2"]
    expected = [0.25 * odds - behind[1], -0.25 * odds, -0.25 * odds - behind[2]]
    assert [one.score for one in after[:3]] == pytest.approx(expected, abs=1e-4)


def test_a_model_that_reads_several_at_once_gives_the_same_order_and_scores() -> None:
    @dataclass(frozen=True)
    class Many(Judge):
        @property
        def parallel(self) -> int:
            return 3

    before = found(9, 8.5, 8, 7.5, 7)
    assert LLMRerank(Many(word="a2"))("Who?", before, 3) == LLMRerank(Judge(word="a2"))("Who?", before, 3)


def test_a_sure_retriever_is_not_asked_about() -> None:
    judge = Judge(word="a1")
    before = found(9, 2, 1)
    assert LLMRerank(judge)("Who?", before, 3) == before
    assert judge.asked == []


def test_no_more_than_top_are_read_and_none_beyond_the_margin() -> None:
    judge = Judge()
    LLMRerank(judge, top=3)("Who?", found(9, 9, 9, 9, 9), 3)
    assert len(judge.asked) == 3
    LLMRerank(judge, margin=100.0)("Who?", found(9, 2, 1), 3)
    assert len(judge.asked) == 3 + 5


def test_scores_of_another_step_are_not_compared() -> None:
    judge = Judge()
    before = [passage("a", 0.9, "dense"), passage("b", 0.9, "dense"), passage("c", 0.9, "bm25")]
    assert LLMRerank(judge)("Who?", before, 3)[2] == before[2]
    assert len(judge.asked) == 2
    assert deviations_behind(before) == [0, 0, math.inf]


def test_a_model_that_cannot_tell_changes_no_order() -> None:
    before = found(9, 8.5, 8)
    assert texts(LLMRerank(Judge(sure=0.5))("Who?", before, 3)) == texts(before)


@pytest.mark.parametrize("passages", [[], found(9)[:1]])
def test_nothing_and_one_passage_stay(passages: list[Passage]) -> None:
    assert LLMRerank(Judge())("Who?", passages, 3) == passages


def test_a_word_the_model_never_says_is_no_error() -> None:
    after = LLMRerank(Judge(sure=1.0, word="a1"))("Who?", found(9, 8.5), 3)
    assert texts(after)[0] == "a1"
    assert all(math.isfinite(one.score) for one in after)


def test_what_the_model_is_asked_is_exactly_this() -> None:
    one = passage("", 1)
    chunk = Chunk("d", 0, 42, "The LORD had prepared a great fish.\n", "Jonah 1:17", "Jonah > Flight")
    asked = messages(" Who was\nswallowed? ", replace(one, chunk=chunk))
    assert [(message.role, message.content) for message in asked] == [
        ("system", "You judge whether a passage answers a question. Answer with one word: Yes or No."),
        (
            "user",
            "Passage: Jonah > Flight\nThe LORD had prepared a great fish.\n\n"
            "Question: Who was swallowed?\n\n"
            "Does the passage answer the question? Answer Yes or No.",
        ),
    ]


def test_a_very_long_passage_is_cut() -> None:
    assert len(messages("Who?", passage("word " * 10_000, 1))[1].content) < 3200


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"top": 1}, r"^llm-rerank\(top=1\): write 2 or more\.$"),
        ({"margin": 0.0}, r"^llm-rerank\(margin=0\.0, "),
        ({"weight": -1.0}, r"weight=-1\.0\): write numbers above 0\.$"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        registry.make("refiners", Spec("llm-rerank", options), llm=None)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    recipe = Recipe(refiners=()).with_step("embedder", "hashed").with_step("store", "flat")
    recipe = recipe.with_step("refiners", "duplicates + llm-rerank(margin=100.0)").with_step("llm", "quote")
    for name, text in (("a", "Jonah fled from a storm."), ("b", "Jonah was in a whale."), ("c", "Jonah was angry.")):
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    with Book.open(tmp_path / "book", recipe, create=True) as opened:
        opened.add([tmp_path / f"{name}.txt" for name in "abc"])
        yield opened


def test_a_book_gives_it_the_model_that_answers(book: Book) -> None:
    book._opened.models[book.recipe.llm] = Judge()
    assert [one.chunk.text for one in book.search("Where was Jonah?", 1)] == ["Jonah was in a whale."]


def test_a_recipe_may_name_another_model_for_it(book: Book) -> None:
    spec = "llm-rerank(margin=100.0, llm='quote(passages=1)')"
    with Book.open(book.folder, book.recipe.with_step("refiners", spec)) as other:
        judge = other._opened.models[Spec.parse("quote(passages=1)")] = Judge()
        assert [one.chunk.text for one in other.search("Where was Jonah?", 1)] == ["Jonah was in a whale."]
        assert other.llm is not judge


def test_another_model_that_cannot_be_is_refused_when_the_book_opens(book: Book) -> None:
    recipe = book.recipe.with_step("refiners", "llm-rerank(llm='llamacpp(contxt=1)')")
    with pytest.raises(SpecError, match="contxt"):
        Book.open(book.folder, recipe)


def test_without_a_model_it_says_so_in_one_line(book: Book) -> None:
    with pytest.raises(ModelError, match=r"^quote is no model, so it cannot choose\. [^\n]+$"):
        book.search("Where was Jonah?", 1)
