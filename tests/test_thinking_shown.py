"""What the command line shows of a model's thoughts."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from openbook.app import show
from openbook.errors import ModelError
from openbook.recipe import Recipe
from openbook.types import Answer, Thought, Timing, Usage


def answered(text: str, stopped: Any = "end") -> Answer:
    return Answer("Where?", text, (), "", "m", Timing(usage=Usage(stopped=stopped)), {}, thought="Hm.\nSo.")


def shown(capsys: pytest.CaptureFixture[str], answer: Answer, *, thoughts: bool) -> tuple[str, str]:
    book: Any = None
    words = [answer.text] if answer.text else []
    show.stream(iter([Thought("Hm.\n"), Thought("So."), *words, answer]), book, thoughts=thoughts)
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_thoughts_are_shown_on_request_and_are_no_part_of_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, answered("Nineveh."), thoughts=True) == ("Nineveh.\n\n", "Hm.\nSo.\n\n")
    assert shown(capsys, answered("Nineveh."), thoughts=False) == ("Nineveh.\n\n", "")


def test_a_model_that_only_thought_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = shown(capsys, answered("", "length"), thoughts=False)
    assert out.strip() == ""
    assert err == "openbook: The model only thought, and came to no answer. Allow more with: --max-tokens N\n"


def test_json_has_the_thought() -> None:
    assert show.answer_json(answered("Nineveh."))["thought"] == "Hm.\nSo."


def test_an_error_in_the_middle_of_an_answer_begins_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> Iterator[str]:
        yield "Nine"
        raise ModelError("The service ended in the middle.")

    book: Any = None
    with pytest.raises(ModelError):
        show.stream(broken(), book)
    assert capsys.readouterr().out == "Nine\n"


def test_v_says_how_the_model_is_spoken_to(capsys: pytest.CaptureFixture[str]) -> None:
    class Told:
        recipe = Recipe()
        llm = SimpleNamespace(format="looks like vicuna-1.1, by the name of the file")

    book: Any = Told()
    show.stream(iter([answered("Nineveh.")]), book, verbose=True)
    assert "How m is spoken to: looks like vicuna-1.1, by the name of the file" in capsys.readouterr().out
