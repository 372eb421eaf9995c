"""`--dry-run` says what asking or adding would come to; nothing is sent, no model is loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts import WEIGHTLESS
from openbook.app.cli import run
from openbook.prices import own_prices
from speaking import Speaker, remote, vectors, words

HOST = "127.0.0.1"
PRICE = (
    f'[[price]]\nhost = "{HOST}"\nmodel = "tiny"\ninput = 2.0\noutput = 8.0\nread = 2026-11-23\nsource = "their page"\n'
)


@pytest.fixture
def book(book_of: Callable[[str], str]) -> str:
    return book_of("Now the LORD had prepared a great fish to swallow up Jonah. " * 40)


def test_a_question_to_a_service_has_tokens_and_a_price(
    book: str, elsewhere: Speaker, capsys: pytest.CaptureFixture[str]
) -> None:
    own_prices().write_text(PRICE, encoding="utf-8")
    dry = ["ask", "-b", book, "Who was swallowed?", "--llm", remote(elsewhere), "--dry-run"]
    assert run([*dry, "--max-tokens", "100"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("Sources\n  [1] whale.txt, characters ")
    found = re.search(
        r"\nA prompt of about (\d+) tokens, an answer of at most 100, by tiny at 127\.0\.0\.1: at most \$0\.00(\d+), "
        r"without what it may think first \(\$2 and \$8 a million tokens, read on 2026-11-23 in their page\)\. "
        r"Nothing was sent\.\n$",
        out,
    )
    assert found, out
    assert run([*dry, "--max-tokens", "100", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["tokens"] == {"prompt": int(found[1]), "longest_answer": 100}
    assert said["dollars"] == pytest.approx((int(found[1]) * 2 + 100 * 8) / 1e6)
    assert elsewhere.bodies == []


@pytest.mark.parametrize("work", [["ask", "--all", "Who was swallowed?"], ["summarize"]])
def test_reading_a_whole_book_has_tokens_and_a_price_too(
    book: str, elsewhere: Speaker, work: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    own_prices().write_text(PRICE, encoding="utf-8")
    dry = [*work, "-b", book, "--llm", remote(elsewhere), "--dry-run"]
    assert run(dry) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert re.fullmatch(
        r"\d+ prompts? of about [\d,]+ tokens together, answers of at most [\d,]+(, what merges them not counted)?, by "
        r"tiny at 127\.0\.0\.1: at most \$0\.\d+, .*Nothing was sent\.\n",
        out,
    )
    assert run([*dry, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["prompts"] >= 1
    assert said["tokens"]["prompt"] > 40 * 10  # all of it is read
    assert said["dollars"] == pytest.approx((said["tokens"]["prompt"] * 2 + said["tokens"]["longest_answer"] * 8) / 1e6)
    assert elsewhere.bodies == []


def test_a_whole_book_may_be_read_by_a_model_of_this_machine_that_is_not_loaded(
    book: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ask", "--all", "Who?", "-b", book, "--llm", "quote", "--dry-run"]) == 0
    assert capsys.readouterr().out.endswith("by quote on this machine. Nothing was sent, no model was loaded.\n")
    assert run(["ask", "--all", " ", "-b", book, "--llm", "quote", "--dry-run"]) == 1
    assert "The question is empty" in capsys.readouterr().err


def test_without_a_price_it_says_where_to_write_one(
    book: str, elsewhere: Speaker, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ask", "-b", book, "Who?", "--llm", remote(elsewhere), "--dry-run"]) == 0
    assert f"No price of it is known: write one into {own_prices()}. Nothing was sent.\n" in capsys.readouterr().out


def test_a_model_of_this_machine_is_not_loaded(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ask", "-b", book, "Who?", "--llm", "llamacpp(model='absent')", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith(
        " tokens, an answer of at most 512, by absent on this machine. Nothing was sent, no model was loaded.\n"
    )
    assert err.startswith("No model is called 'absent'.")


def test_it_shows_the_prompt_that_would_be_sent(
    book: str, elsewhere: Speaker, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ask", "-b", book, "Who?", "--llm", remote(elsewhere), "--dry-run", "--show-prompt"]) == 0
    assert '"model": "tiny"' in capsys.readouterr().out


def test_what_would_ask_a_model_is_left_out_and_said(
    book: str, elsewhere: Speaker, capsys: pytest.CaptureFixture[str]
) -> None:
    refiners = f'refiners=duplicates + llm-rerank(llm="{remote(elsewhere)}")'
    assert run(["ask", "-b", book, "Who?", "--set", refiners, "--dry-run"]) == 0
    assert capsys.readouterr().err == (
        "The refiner llm-rerank is left out here, as it asks a model: what it asks comes on top.\n"
    )
    assert elsewhere.bodies == []


def test_the_price_of_an_answer_is_shown(
    book: str, elsewhere: Speaker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "x")
    own_prices().write_text(PRICE, encoding="utf-8")
    elsewhere.script = [words("Jonah [1].")]
    assert run(["ask", "-b", book, "Who?", "--llm", remote(elsewhere), "-v"]) == 0
    assert "9 prompt tokens (4 of them cached), 3 answer tokens; tiny; $0.000042\n" in capsys.readouterr().out
    assert run(["ask", "-b", book, "Who?", "--llm", remote(elsewhere), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dollars"] == pytest.approx(42e-6)
    assert run(["ask", "-b", book, "Who?", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dollars"] is None


def test_adding_with_a_service_has_tokens_and_a_price(
    book: str, elsewhere: Speaker, capsys: pytest.CaptureFixture[str]
) -> None:
    own_prices().write_text(PRICE, encoding="utf-8")
    dry = ["add", "-b", "far", "whale.txt", *WEIGHTLESS, "--set", f"embedder={remote(elsewhere)}", "--dry-run"]
    assert run(dry) == 0
    out = capsys.readouterr().out
    assert re.fullmatch(
        r"1 file to read, 2,400 bytes: about 5 chunks, about 600 tokens for tiny at 127\.0\.0\.1: about \$0\.001\d "
        r"\(\$2 a million tokens, read on 2026-11-23 in their page\)\. Nothing was sent or changed\.\n",
        out,
    ), out
    assert run([*dry, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["files"], said["chunks"], said["remote"]) == (1, 5, HOST)
    assert said["dollars"] == pytest.approx(said["tokens"]["prompt"] * 2 / 1e6)
    assert elsewhere.bodies == []


def test_a_book_of_a_service_can_be_asked_dry(
    book: str, elsewhere: Speaker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "x")
    elsewhere.script = [vectors(1)]
    Path("short.txt").write_text("A great fish swallowed Jonah.", encoding="utf-8")
    assert run(["add", "-b", "far", "short.txt", *WEIGHTLESS, "--set", f"embedder={remote(elsewhere)}"]) == 0
    capsys.readouterr()
    asked = len(elsewhere.bodies)
    assert run(["ask", "-b", "far", "Who was swallowed?", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert err == f"Passages are found by words alone here: to find them by meaning, {HOST} is asked.\n"
    assert "Sources" in out
    assert run(["add", "-b", "far", "short.txt", "--dry-run"]) == 0
    assert capsys.readouterr().out == "No file to read: all are as they were. Nothing was changed.\n"
    assert len(elsewhere.bodies) == asked
