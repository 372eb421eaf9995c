"""The budget: what enters a prompt that is too long, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbook import Book, Recipe
from openbook.errors import TooLongError
from openbook.llms.llamacpp import LlamaCpp
from openbook.prompts.budget import fit
from openbook.prompts.cited import Cited
from openbook.types import LLM, Chunk, Message, Passage, Stream, Usage


@dataclass
class Counting:
    """A model whose tokens are words; counts how often it is asked."""

    context: int = 200
    name: str = "counting"
    remote: str = ""
    parallel: int = 1
    format: str = ""
    counted: list[str] = field(default_factory=list)

    def prepare(self) -> None:
        return

    def count(self, text: str) -> int:
        self.counted.append(text)
        return len(text.split())

    def render(self, messages: Sequence[Message]) -> str:
        return "\n".join(f"{message.role}: {message.content}" for message in messages)

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        yield "Jonah. [1]"
        yield Usage()

    def choose(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        raise NotImplementedError

    def close(self) -> None:
        return


def passages(count: int, words: int = 30) -> list[Passage]:
    texts = [" ".join(f"p{number}w{word}" for word in range(words)) for number in range(1, count + 1)]
    return [Passage(Chunk("d", 0, len(text), text), 1.0, "dense", ("a.txt",)) for text in texts]


def history(turns: int, words: int = 10) -> list[Message]:
    return [
        Message(role, " ".join(f"{role[0]}{number}w{word}" for word in range(words)))
        for number in range(turns)
        for role in ("user", "assistant")
    ]


def test_what_surely_fits_is_not_counted() -> None:
    model = Counting(context=10_000)
    fitted = fit("Who?", passages(3), history(2), Cited(), model, 100)
    assert (len(fitted.passages), fitted.turns, fitted.left_out, model.counted) == (3, 0, (), [])
    assert fitted.messages == Cited().messages("Who?", passages(3), history(2))


def test_what_fits_by_its_tokens_is_whole() -> None:
    model = Counting(context=600)
    fitted = fit("Who?", passages(3), history(2), Cited(), model, 100)
    assert (len(fitted.passages), fitted.turns, fitted.left_out, len(model.counted)) == (3, 0, (), 1)


def test_the_oldest_turns_go_first() -> None:
    fitted = fit("Who?", passages(3), history(6), Cited(), Counting(context=300), 50)
    assert (len(fitted.passages), fitted.turns) == (3, 3)
    assert [one.content[:4] for one in fitted.messages[1:-1]] == ["u3w0", "a3w0", "u4w0", "a4w0", "u5w0", "a5w0"]
    assert fitted.left_out == (
        "the first 3 turns of the conversation were left out: the prompt has room for 250 tokens",
    )


def test_then_the_last_passages_go() -> None:
    fitted = fit("Who?", passages(40), history(6), Cited(), Counting(context=300), 50)
    assert fitted.turns == 6
    assert fitted.passages == tuple(passages(40)[:5])
    assert "[1] a.txt\np1w0 " in fitted.messages[-1].content
    assert fitted.left_out == (
        "all 6 turns of the conversation were left out: the prompt has room for 250 tokens",
        "35 of 40 passages were left out: the prompt has room for 250 tokens",
    )


def test_what_is_remembered_stays_until_one_passage_is_left() -> None:
    remembered = [Message("system", "Remembered: " + "m " * 60)]
    fitted = fit("Who?", passages(40), [*remembered, *history(6)], Cited(), Counting(context=300), 50)
    assert "Remembered" in fitted.messages[0].content
    assert len(fitted.passages) == 3
    fitted = fit("Who?", passages(40), [*remembered, *history(6)], Cited(), Counting(context=180), 50)
    assert "Remembered" not in fitted.messages[0].content
    assert len(fitted.passages) == 1
    assert fitted.left_out[-1].startswith("what is remembered of earlier turns was left out")


def test_at_last_the_end_of_the_best_passage_goes_and_its_characters_stay_those_of_the_document() -> None:
    (best, *_) = found = passages(3, words=200)
    fitted = fit("Who?", found, (), Cited(), Counting(context=200), 50)
    (shown,) = fitted.passages
    assert best.chunk.text.startswith(f"{shown.chunk.text} ")
    assert shown.chunk.text == best.chunk.text[shown.chunk.start : shown.chunk.end]
    assert fitted.left_out[-1] == (
        f"passage [1] was cut after {len(shown.chunk.text)} of 1,289 characters: the prompt has room for 150 tokens"
    )


def test_a_question_that_alone_does_not_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(TooLongError, match=r"have 408 tokens; with 50 .* 200 of counting\. Ask a shorter question"):
        fit("why " * 333, passages(3), history(3), Cited(), Counting(context=200), 50)


def test_an_answer_gets_half_of_a_small_context_at_most_and_that_is_said() -> None:
    fitted = fit("Who?", passages(1, 5), (), Cited(), Counting(context=200), 512)
    assert fitted.max_tokens == 100
    assert fitted.left_out == ("the answer has room for 100 tokens, not 512",)


@given(
    st.integers(0, 12),
    st.integers(1, 60),
    st.integers(0, 12),
    st.integers(1, 60),
    st.integers(150, 2000),
    st.booleans(),
)
def test_a_prompt_always_fits_and_says_what_is_missing(
    count: int, words: int, turns: int, length: int, context: int, remembered: bool
) -> None:
    model, found = Counting(context=context), passages(count, words)
    said = [Message("system", "Remembered.")] * remembered + history(turns, length)
    fitted = fit("Who fled?", found, said, Cited(), model, 60)
    rendered = model.render(fitted.messages)
    assert model.count(rendered) + fitted.max_tokens <= context
    assert "Who fled?" in rendered
    assert bool(fitted.left_out) == (
        fitted.messages != Cited().messages("Who fled?", found, said) or fitted.max_tokens < 60
    )
    if found and fitted.passages:
        assert found[0].chunk.text.startswith(fitted.passages[0].chunk.text)


def test_a_book_says_what_it_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "words.txt"
    text.write_text("\n\n".join(f"Jonah fled in chapter {number}. " * 20 for number in range(60)), encoding="utf-8")
    recipe = Recipe.from_dict(
        {"embedder": "hashed", "store": "flat", "llm": "quote", "prompt": "cited(passages=40)", "refiners": ""}
    )
    with Book.open(tmp_path / "book", recipe, create=True) as book:
        book.add([text])
        model: LLM = Counting(context=400)
        monkeypatch.setattr(Book, "model", lambda self, spec: model)
        answer = book.ask("Where did Jonah flee in chapter 7?", max_tokens=50)
    assert answer.left_out[0].endswith("of 40 passages were left out: the prompt has room for 350 tokens")
    assert answer.cited == {1: answer.passages[0]}
    assert len(answer.passages) < 40


@pytest.mark.models
def test_a_prompt_of_twice_the_context_is_answered_from_the_best_passages(weights: Path, tmp_path: Path) -> None:
    text = tmp_path / "words.txt"
    verses = [f"In the year {number} king number {number} went up against city {number}. " * 6 for number in range(60)]
    text.write_text("\n\n".join([*verses, "Jonah was swallowed by a great fish."]), encoding="utf-8")
    recipe = Recipe.from_dict(
        {
            "embedder": "hashed",
            "store": "flat",
            "llm": f"llamacpp(model={str(weights)!r}, context=1024)",
            "prompt": "cited(passages=40)",
        }
    )
    with Book.open(tmp_path / "book", recipe, create=True) as book:
        book.add([text])
        answer = book.ask("Who was swallowed by a great fish?", max_tokens=60)
        assert isinstance(book.llm, LlamaCpp)
    assert "passages were left out: the prompt has room for 964 tokens" in answer.left_out[0]
    assert "Jonah was swallowed by a great fish." in answer.prompt
    assert 600 < answer.timing.usage.prompt_tokens <= 964
    assert not answer.invented
