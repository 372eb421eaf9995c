"""`openbook chat` as it is typed: questions, commands, pipes, keys."""

from __future__ import annotations

import io
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from contracts import WEIGHTLESS
from openbook.app.cli import run
from processes import PATIENCE, running

Type = Callable[..., tuple[str, str]]
"""Runs `openbook chat` with lines on stdin; what it prints on stdout and stderr."""


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "whale.txt").write_text("Now the LORD had prepared a great fish to swallow up Jonah.", "utf-8")
    assert run(["add", "-b", "sea", "whale.txt", *WEIGHTLESS]) == 0
    capsys.readouterr()
    return "sea"


@pytest.fixture
def typed(book: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    def typed(lines: Sequence[str], *arguments: str, code: int = 0) -> tuple[str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        assert run(["chat", "-b", book, *arguments]) == code
        return capsys.readouterr()

    return typed


def test_questions_are_answered_and_the_conversation_is_kept(typed: Type) -> None:
    out, err = typed(["Who was swallowed?", "", "And then?"])
    assert out.count("Now the LORD had prepared a great fish to swallow up Jonah. [1]") == 2
    assert out.count("[1] whale.txt, characters 0-59") == 2
    (line,) = err.splitlines()
    assert line.startswith("Kept. Go on with: openbook chat -b sea --resume ")
    assert line.endswith("-who-was-swallowed")


def test_a_resumed_conversation_shows_its_last_turn(typed: Type) -> None:
    typed(["Who was swallowed?"])
    out, err = typed([], "--resume")
    assert out.startswith("? Who was swallowed?\nNow the LORD had prepared")
    assert "1 turn so far" in err
    name = err.partition(":")[0]
    typed(["And then?"], "--resume", name)
    out, _ = typed(["/list"], "--resume")
    assert out.splitlines()[-1].split()[:2] == [name, "2"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--resume",), "No conversation about this book is kept yet. Begin one without --resume."),
        (("--llm", "nothing"), "No model is called 'nothing'"),
        (("--set", "rewriter=folowup"), "No rewriter is called 'folowup'. Did you mean 'followup'?"),
    ],
)
def test_what_cannot_begin_says_why_in_one_line(typed: Type, arguments: tuple[str, ...], said: str) -> None:
    out, err = typed([], *arguments, code=1)
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


def test_a_mistyped_name_is_corrected(typed: Type) -> None:
    typed(["Who was swallowed?"])
    _, err = typed([], "--resume", "who-was-swallowed", code=1)
    assert "No conversation is called 'who-was-swallowed'. Did you mean '2" in err


def test_a_damaged_conversation_is_named_not_passed_over(typed: Type) -> None:
    from openbook.home import books_folder

    typed(["Who was swallowed?"])
    typed(["Who was inside the fish?"])
    path = max((books_folder() / "sea" / "chats").glob("*.jsonl"))
    for name in ("latest", path.stem):
        path.write_text("?\n")
        _, err = typed([], "--resume", name, code=1)
        assert err == f"openbook: Line 1 of {path} is damaged. Remove that line, or the file.\n"


def test_sources_shows_the_passages_with_their_text(typed: Type) -> None:
    out, _ = typed(["Who was swallowed?", "/sources"])
    assert "[1] whale.txt, characters 0-59  (cited)\n    Now the LORD had prepared" in out


def test_sources_of_a_resumed_conversation_are_there_even_when_the_document_is_gone(typed: Type) -> None:
    typed(["Who was swallowed?"])
    assert run(["remove", "-b", "sea", "whale.txt"]) == 0
    out, _ = typed(["/sources"], "--resume")
    assert "Now the LORD had prepared" in out


def test_before_the_first_question_commands_say_that_there_is_nothing(typed: Type) -> None:
    out, err = typed(["/sources", "/retry", "/save x.md", "/forget", "/list"], code=1)
    assert out == ""
    assert err.splitlines() == [
        "openbook: Nothing was asked yet, so there are no sources.",
        "openbook: Nothing was asked yet, so there is nothing to ask again.",
        "openbook: Nothing was asked yet, so there is nothing to save.",
        "Nothing was kept yet.",
        "No conversation about this book is kept yet.",
    ]


def test_an_unknown_command_costs_that_line_only(typed: Type) -> None:
    out, err = typed(["/sorces", "Who was swallowed?"], code=1)
    assert "There is no command '/sorces'. Did you mean '/sources'? Commands: /sources, /retry" in err
    assert "a great fish" in out


def test_a_model_can_be_switched_and_the_question_asked_again(typed: Type) -> None:
    out, err = typed(
        ["Who was swallowed?", "/model quote(characters=7)", "/retry", "/model nothing", "/model", "/recipe"],
        code=1,
    )
    assert "Now the ... [1]" in out
    assert "quote(characters=7) answers from now on." in err
    assert "No model is called 'nothing'" in err
    assert "\nquote(characters=7) answers.\n" in err
    assert "llm = quote(characters=7)" in out
    out, _ = typed(["/list"], "--resume")
    assert out.splitlines()[-1].split()[1] == "1"


def test_save_writes_markdown_once(typed: Type, tmp_path: Path) -> None:
    _, err = typed(["Who was swallowed?", "/save talk.md", "/save talk.md", "/save no/where.md", "/save"], code=1)
    assert (tmp_path / "talk.md").read_text("utf-8").startswith("# sea: ")
    lines = err.splitlines()
    assert lines[0] == f"Saved 1 turn to {tmp_path / 'talk.md'}."
    assert "is there already. Name another file." in lines[1]
    assert "cannot be written: No such file or directory." in lines[2]
    assert "Name the file to write" in lines[3]


def test_forget_leaves_nothing_to_resume(typed: Type) -> None:
    _, err = typed(["Who was swallowed?", "/forget"])
    assert err.splitlines()[0].endswith("-who-was-swallowed is deleted.")
    assert "Kept" not in err
    typed([], "--resume", code=1)


def test_quit_ends(typed: Type) -> None:
    out, _ = typed(["/quit", "Who was swallowed?"])
    assert out == ""


def test_help_names_every_command(typed: Type) -> None:
    from openbook.app.chat import HELP

    _, err = typed(["/help", "/nix"], code=1)
    *lines, unknown = err.strip().splitlines()
    assert lines == HELP.splitlines()
    assert unknown.rpartition(": ")[2] == ", ".join(line.split()[0] for line in lines) + "."


def test_one_bad_question_of_many_costs_that_question(typed: Type) -> None:
    out, err = typed(["Who was swallowed?"], "--where", "year >", code=1)
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("openbook: ")


def test_what_failed_has_its_line_of_json_too(typed: Type) -> None:
    out, err = typed(["/retry", "Who was swallowed?"], "--json", "--where", "year >", code=1)
    command, question = map(json.loads, out.splitlines())
    assert command == {"command": "/retry", "error": "Nothing was asked yet, so there is nothing to ask again."}
    assert question["question"] == "Who was swallowed?"
    assert [f"openbook: {one['error']}" for one in (command, question)] == err.splitlines()


def test_json_is_one_object_a_line(typed: Type) -> None:
    out, err = typed(
        ["Who was swallowed?", "/sources", "/model", "/recipe", "/list", "/retry", "/forget", "/nix"],
        "--json",
        code=1,
    )
    answer, sources, model, recipe, listed, again, forgotten, failed = map(json.loads, out.splitlines())
    assert {"chat", "question", "searched", "answer", "cited", "left_out", "passages", "model"} <= set(answer)
    assert (answer["cited"], answer["left_out"]) == ([1], [])
    assert answer["chat"].endswith("-who-was-swallowed")
    assert sources["sources"][0]["text"] == "Now the LORD had prepared a great fish to swallow up Jonah."
    assert model == {"model": "quote", "llm": "quote"}
    assert recipe["recipe"]["rewriter"] == "followup"
    assert [one["turns"] for one in listed["chats"]] == [1]
    assert again["answer"] == answer["answer"]
    assert forgotten["forgotten"].endswith("-who-was-swallowed")
    assert (failed["command"], err) == ("/nix", f"openbook: {failed['error']}\n")
    assert err.startswith("openbook: There is no command '/nix'.")


def test_what_leaves_the_machine_is_said_before_it_goes(typed: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    from openbook.llms.quote import Quote

    monkeypatch.setattr(Quote, "remote", "api.example.com")
    _, err = typed(["Who was swallowed?", "And then?", "And then?"])
    assert err.splitlines()[:-1] == [
        "The question and 1 passage go to api.example.com.",
        "The conversation goes to api.example.com.",
    ]


def test_a_conversation_open_elsewhere_is_refused(typed: Type) -> None:
    from openbook import Book
    from openbook.home import books_folder

    typed(["Who was swallowed?"])
    with Book.open(books_folder() / "sea") as opened:
        name = next(iter((books_folder() / "sea" / "chats").glob("*.jsonl"))).stem
        with opened.chat(name):
            _, err = typed([], "--resume", name, code=1)
    assert err == (
        f"openbook: The conversation {name} is open in another openbook. Close it there, or begin a new one.\n"
    )


SLOW = """
import sys, time
from openbook.llms.quote import Quote
from openbook.types import Usage
def stream(self, messages, max_tokens, grammar=""):
    for number in range(100_000):
        yield f"word{number} "
        time.sleep(0.05)
    yield Usage()
Quote.stream = stream
from openbook.app.cli import run
sys.exit(run(["chat", "-b", "sea"]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal")
def test_ctrl_c_stops_the_answer_and_ctrl_d_ends_the_chat(book: str) -> None:
    import pty

    terminal, theirs = pty.openpty()
    shown = b""

    def comes(text: bytes, seconds: float) -> bool:
        nonlocal shown
        end = time.monotonic() + seconds
        while text not in shown:
            if not select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0]:
                return False
            shown += os.read(terminal, 4096)
        shown = shown.partition(text)[2]
        return True

    def wait_for(text: bytes) -> None:
        assert comes(text, PATIENCE), shown

    with running("-c", SLOW, stdin=theirs, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        wait_for(b"/help lists commands")
        wait_for(b"? ")
        os.write(terminal, b"Who was swallowed?\n")
        wait_for(b"word3")
        child.send_signal(signal.SIGINT)  # what Ctrl-C sends
        wait_for(b"Stopped. This question is not kept.")
        wait_for(b"? ")
        child.send_signal(signal.SIGINT)
        # Just before the library that edits the line waits for a key, a signal is seen with the next one only.
        for _ in range(36):
            if comes(b"? ", PATIENCE / 36):
                break
            child.send_signal(signal.SIGINT)
        os.write(terminal, b"/list\n")
        wait_for(b"No conversation about this book is kept yet.")
        wait_for(b"? ")
        os.write(terminal, b"\x04")
        assert child.wait(PATIENCE) == 0
    os.close(terminal)
