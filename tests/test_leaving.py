"""What a user is told of models that are not on this machine: what goes there, who answered, that it is busy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts import WEIGHTLESS
from openbook.app.cli import run
from speaking import Speaker, failure, remote, vectors, words

KEY = "sk-proj-0123456789abcdef"
HOST = "127.0.0.1"


@pytest.fixture
def speaker(elsewhere: Speaker, monkeypatch: pytest.MonkeyPatch) -> Speaker:
    monkeypatch.setenv("MY_KEY", KEY)
    return elsewhere


@pytest.fixture
def book(book_of: Callable[[str], str]) -> str:
    return book_of("Now the LORD had prepared a great fish to swallow up Jonah.")


def test_ask_says_what_goes_where_and_who_answered(
    book: str, speaker: Speaker, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ask", "-b", book, "Who was swallowed?", "--llm", remote(speaker)]) == 0
    out, err = capsys.readouterr()
    assert err == f"The question and 1 passage go to {HOST}.\n"
    assert f"Jonah [1].\n\nAnswered by tiny at {HOST}.\n\nCited\n" in out


def test_questions_make_says_what_goes_where(book: str, speaker: Speaker, capsys: pytest.CaptureFixture[str]) -> None:
    Path("more.txt").write_text("The ship of the men of Tarshish was bound for Spain, and it was a year. " * 4, "utf-8")
    assert run(["add", "-b", book, "more.txt"]) == 0
    capsys.readouterr()
    assert run(["questions", "make", "-b", book, "-n", "1", "--llm", remote(speaker)]) == 0
    out, err = capsys.readouterr()
    assert err.startswith(f"Questions and parts of the documents go to {HOST}.\n")
    assert out.startswith("sea-questions.jsonl: 0 questions")


def test_compare_says_what_goes_where_unless_all_is_known(
    book: str, speaker: Speaker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("q.jsonl").write_text('{"question": "Who was swallowed?", "answers": ["Jonah"]}', encoding="utf-8")
    Path("sweep.toml").write_text(
        'documents = ["whale.txt"]\nquestions = "q.jsonl"\n[vary]\nretriever = ["bm25", "dense"]\n'
        f'[recipe]\nembedder = "hashed"\nllm = "{remote(speaker)}"\n',
        encoding="utf-8",
    )

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("openbook.bench.running.Runner.run", stopped)
    assert run(["compare", "sweep.toml"]) == 130
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"The questions and the passages found for them go to {HOST}."
    assert sum(HOST in line for line in said) == 1
    assert run(["compare", "sweep.toml", "--dry-run"]) == 0
    assert HOST not in capsys.readouterr().err


def test_it_is_said_before_anything_goes(book: str, speaker: Speaker, capsys: pytest.CaptureFixture[str]) -> None:
    speaker.script = [failure(400, "no")]
    assert run(["ask", "-b", book, "Who?", "--llm", remote(speaker)]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"The question and 1 passage go to {HOST}."
    assert "refuses the question" in second


def test_it_is_said_once_for_many_questions(
    book: str, speaker: Speaker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openbook.app.ask._questions", lambda: iter(["Who?", "What?", "Whom?"]))
    assert run(["ask", "-b", book, "--json", "--llm", remote(speaker)]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["remote"] for line in out.splitlines()] == [HOST] * 3
    assert err.count("go to") == 1


def test_nothing_is_said_of_this_machine(book: str, speaker: Speaker, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ask", "-b", book, "Who?"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "Answered by" not in out


def test_a_busy_service_is_said_on_stderr(book: str, speaker: Speaker, capsys: pytest.CaptureFixture[str]) -> None:
    speaker.script = [failure(429, "slow down"), failure(429, "slow down"), words("Jonah.")]
    assert run(["ask", "-b", book, "Who?", "--json", "--llm", remote(speaker)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["answer"] == "Jonah."
    assert f"openbook: {speaker.url} is busy (429: slow down). Trying again in 0.5 s." in err.splitlines()
    assert err.count("busy") == 1


def test_documents_that_go_to_a_service_are_said_before(
    book: str, speaker: Speaker, capsys: pytest.CaptureFixture[str]
) -> None:
    speaker.script = [vectors(1)]
    embedder = f"embedder={remote(speaker)}"
    assert run(["add", "-b", "far", "whale.txt", *WEIGHTLESS, "--set", embedder]) == 0
    assert f"The text of the documents goes to {HOST}.\n" in capsys.readouterr().err
    assert run(["search", "-b", "far", "Who?"]) == 0
    assert capsys.readouterr().err == f"The question goes to {HOST}.\n"
    assert run(["search", "-b", "far", "Who was swallowed?", "--set", "retriever=bm25"]) == 0
    assert capsys.readouterr().err == ""


def test_a_refiner_that_asks_a_service_is_said(book: str, speaker: Speaker, capsys: pytest.CaptureFixture[str]) -> None:
    speaker.script = [failure(400, "no")]
    refiner = f'refiners=llm-rerank(llm="{remote(speaker)}")'
    run(["search", "-b", book, "Who?", "--set", refiner])
    assert capsys.readouterr().err.startswith(f"The question and the passages found for it go to {HOST}.\n")


def test_a_key_is_in_nothing_that_is_printed_or_kept(
    book: str, speaker: Speaker, capsys: pytest.CaptureFixture[str], openbook_home: Path
) -> None:
    llm = remote(speaker)
    shown = []
    for script in ([words("Jonah [1].")], [failure(401, f"Incorrect API key provided: {KEY}")], [failure(500, KEY)]):
        speaker.script = script
        for more in ((), ("--json",), ("-v", "--show-prompt")):
            run(["ask", "-b", book, "Who?", "--llm", llm, *more])
            shown.append("".join(capsys.readouterr()))
    run(["add", "-b", book, "whale.txt", "--set", f"llm={llm}"])
    for wrong in (f"openai(key='{KEY}')", f"openai(key_env='{KEY}')", f"openai(key={KEY})"):
        assert run(["ask", "-b", book, "Who?", "--llm", wrong]) == 1
        assert run(["add", "-b", "new", "whale.txt", "--set", f"llm={wrong}"]) == 1
    run(["status", "-b", book, "-v"])
    shown.append("".join(capsys.readouterr()))
    assert KEY[:8] not in "".join(shown)
    kept = [path for path in openbook_home.rglob("*") if path.is_file()]
    assert any("key_env='MY_KEY'" in path.read_text("utf-8", "replace") for path in kept)
    for path in kept:
        assert KEY.encode() not in path.read_bytes()
