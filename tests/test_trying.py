"""Trying a model: the ten questions are fair, the verdict follows from what was counted, a bad file costs one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openbook.app.cli import run
from openbook.judging import contains, plain
from openbook.trying import ANSWERABLE, PAGE, QUESTIONS, UNANSWERABLE, Said, Score, verdict
from test_models import array, gguf, scalar


def test_the_page_answers_eight_of_ten_questions() -> None:
    assert (ANSWERABLE, UNANSWERABLE) == (8, 2)
    assert 250 < len(PAGE.split()) < 350
    for question, expected in QUESTIONS:
        if expected:
            assert any(contains(PAGE, [one]) for one in expected), question
            # An answer that repeats the question is not right by that.
            assert not contains(question, expected), question


def test_each_answer_stands_in_one_place_of_the_page() -> None:
    for question, expected in QUESTIONS:
        found = sum(f" {plain(PAGE)} ".count(f" {plain(one)} ") for one in expected)
        assert found == bool(expected), question


def score(right: int, *, refused: int = 0, wrongly: int = 0, ended: int = 10) -> Score:
    said = []
    for number, (question, expected) in enumerate(QUESTIONS):
        if expected:
            good = number < right
            says_no = not good and number < right + wrongly
            said.append(Said(question, "", good, good, says_no, number < ended))
        else:
            says_no = number - ANSWERABLE < refused
            said.append(Said(question, "", says_no, says_no, says_no, number < ended))
    return Score("chatml", tuple(said))


@pytest.mark.parametrize(
    ("counted", "options", "said"),
    [
        (score(8, refused=1), {}, "answers from what it is given (8 of 8 right), and says when it is not there."),
        (score(6), {}, "answers from what it is given (6 of 8 right), but makes up what is not there: "
         "look at its citations."),
        (score(5), {}, "answers the plain questions only (5 of 8 right): for short passages, or take a larger model."),
        (score(2), {}, "too small: it cannot find an answer in what it is given (2 of 8 right)."),
        (score(2, wrongly=6), {}, "refuses what it was shown (6 of 8 times): too small, or its format is wrong."),
        (score(8, ended=3), {}, "does not follow: it ended 3 of 10 answers by itself (8 of 8 right). "
         "Use another format (--template NAME); where none helps, it is a base model or a damaged file."),
        (score(8), {"misfit": True}, "does not follow: it ended 10 of 10 answers by itself (8 of 8 right). "
         "Use another format (--template NAME); where none helps, it is a base model or a damaged file."),
        (score(4, ended=2), {"plain": True}, "is a base model: it goes on instead of ending its answer (4 of 8 right). "
         "Take its instruct or chat file."),
        (score(6, ended=9, refused=1), {"plain": True}, "answers from what it is given (6 of 8 right), "
         "and says when it is not there."),
    ],
)  # fmt: skip
def test_the_verdict_is_one_sentence_on_what_was_counted(counted: Score, options: dict[str, bool], said: str) -> None:
    assert verdict(counted, **options) == said


def test_refusals_are_counted_apart() -> None:
    counted = score(3, refused=2, wrongly=4, ended=7)
    assert (counted.right, counted.clean, counted.refused, counted.ended) == (3, 3, 2, 7)


def failing(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["models", "try", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    return err.strip()


KEYS = [
    scalar("general.architecture", 8, "llama"),
    scalar("llama.context_length", 4, 2048),
    array("tokenizer.ggml.tokens", 8, ["a", "b"]),
]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello there, this is text", "is not a GGUF file: it begins with b'hell'. Name a .gguf file."),
        (b"", "is empty. Download it again."),
        (b"GGUF\3\0\0\0", "is damaged: it ends after 8 bytes, inside its header."),
        (gguf(KEYS, [("a", (64, 10), 8, 0)]), "is damaged: truncated, 224 of at least 904 bytes are here."),
        (b"GGUF" + b"\xff" * 60, "openbook reads 2 and 3."),
    ],
)
def test_a_file_that_is_no_whole_model_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(content)
    assert said in failing(capsys, str(path))


def test_an_embedder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "minilm.gguf"
    path.write_bytes(gguf([scalar("general.architecture", 8, "bert"), scalar("bert.pooling_type", 4, 1)], []))
    assert failing(capsys, str(path)) == (
        "openbook: minilm.gguf is an embedder: it makes vectors, not words. "
        f"Use it in a book with: --set embedder=\"llamacpp(model='{path}')\""
    )


def test_a_model_that_is_not_here_or_a_format_nobody_knows_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "No model is called 'nobody'" in failing(capsys, "nobody")
    assert "openbook models pull smollm2-135m" in failing(capsys, "smollm2-135m")
    path = tmp_path / "a.gguf"
    path.write_bytes(gguf(KEYS, []))
    assert "No chat format is called 'vicuna'" in failing(capsys, str(path), "--template", "vicuna")


@pytest.mark.models
@pytest.mark.slow
def test_a_small_model_is_tried_in_four_formats(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "try", str(weights), "--formats", "--json"]) == 0
    trial = json.loads(capsys.readouterr().out)
    assert trial["format"] == "chat template of the file: chatml"
    assert (trial["guessed"], trial["findings"]) == (False, [])
    assert [one["format"] for one in trial["formats"]] == ["one line break missing", "vicuna-1.1", "plain"]
    for one in (trial["score"], *trial["formats"]):
        assert len(one["said"]) == len(QUESTIONS)
        assert one["clean"] <= one["right"] <= ANSWERABLE
    assert min(trial["prompt_speed"], trial["answer_speed"]) > 0
    assert trial["peak_bytes"] == 0 or 100e6 < trial["peak_bytes"] < 900e6
    assert trial["verdict"].startswith(("too small", "answers the plain questions only", "does not follow"))


@pytest.mark.models
def test_a_wrong_format_is_said(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "try", str(weights), "--template", "llama-3"]) == 0
    out = capsys.readouterr().out
    assert "format   llama-3, named by you\n         <|eot_id|>, which ends an answer, is no token of this model" in out
    assert "\nverdict  does not follow: " in out
