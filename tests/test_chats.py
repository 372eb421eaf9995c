"""Conversations: what is remembered, what is kept on disk, and what a crash costs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from openbook import Book, Recipe
from openbook.asking import Part
from openbook.chats import FOLDER, Turn, listed, markdown
from openbook.errors import BookError, ModelError
from openbook.types import Answer, Message, Searched, Stream, Usage
from test_budget import Counting

RECIPE = Recipe.from_dict({"embedder": "hashed", "store": "flat", "llm": "quote", "prompt": "cited(passages=1)"})


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    text = tmp_path / "jonah.txt"
    text.write_text("Jonah was swallowed by a great fish.\n\nHe was inside for three days.\n", encoding="utf-8")
    with Book.open(tmp_path / "book", RECIPE, create=True) as book:
        book.add([text])
        yield book


class Says(Counting):
    """Rewrites, answers and sums up in fixed words; remembers the messages it was given."""

    def __init__(self, context: int = 100_000) -> None:
        super().__init__(context)
        self.asked: list[list[Message]] = []
        self.fails = False

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        if self.fails:
            raise ModelError("The model is gone.")
        self.asked.append(list(messages))
        system = messages[0].content
        if system.startswith("Write the user's"):
            yield "How long was Jonah inside the fish?"
        elif system.startswith("Write down"):
            yield "They talked about Jonah."
        else:
            yield from ("Three ", "days ", "[1].")
        yield Usage()

    def answered(self) -> list[list[Message]]:
        return [messages for messages in self.asked if messages[0].content.startswith("Answer")]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Says:
    model = Says()
    monkeypatch.setattr(Book, "model", lambda self, spec: model)
    return model


def file(book: Book) -> Path:
    (path,) = (book.folder / FOLDER).glob("*.jsonl")
    return path


def last(parts: Iterator[Part]) -> Answer:
    *_, answer = parts
    assert isinstance(answer, Answer)
    return answer


def test_a_conversation_is_named_by_its_day_and_first_words_and_kept(book: Book) -> None:
    with book.chat() as chat:
        assert chat.name == ""
        answer = chat.ask("Who was swallowed by a great fish, and when exactly?")
        assert chat.name.endswith("-who-was-swallowed-by-a-great")
    (one,) = listed(book.folder)
    assert (one.name, one.turns, one.first) == (chat.name, 1, "Who was swallowed by a great fish, and when exactly?")
    with book.chat(chat.name) as again:
        (turn,) = again.turns
    assert (turn.question, turn.answer, turn.cited) == (answer.question, answer.text, tuple(answer.cited))
    document = book.document(turn.passages[0])
    chunk = turn.passages[0].chunk
    assert document.text[chunk.start : chunk.end] == chunk.text


def test_two_that_begin_alike_get_names_of_their_own(book: Book) -> None:
    with book.chat() as one, book.chat() as other:
        one.ask("Who was swallowed?")
        other.ask("Who was swallowed?")
        assert other.name == f"{one.name}-2"


def test_nothing_is_on_the_disk_before_the_first_answer(book: Book) -> None:
    with book.chat():
        pass
    assert not (book.folder / FOLDER).exists()


def test_a_follow_up_is_rewritten_and_the_question_that_stands_alone_is_remembered(book: Book, model: Says) -> None:
    with book.chat() as chat:
        chat.ask("Who was swallowed by a great fish?")
        parts = list(chat.stream("How long was he inside?"))
        assert parts[0] == Searched("How long was Jonah inside the fish?")
        assert isinstance(parts[-1], Answer)
        assert parts[-1].question == "How long was he inside?"
        assert parts[-1].searched == "How long was Jonah inside the fish?"
        chat.ask("Which cities of the Assyrians were destroyed?")
    assert [(one.role, one.content) for one in model.answered()[-1][1:-1]] == [
        ("user", "Who was swallowed by a great fish?"),
        ("assistant", "Three days."),
        ("user", "How long was Jonah inside the fish?"),
        ("assistant", "Three days."),
    ]


def test_a_second_turn_begins_with_the_words_of_the_first_prompt(book: Book, model: Says) -> None:
    with book.chat() as chat:
        chat.ask("Who was swallowed by a great fish?")
        chat.ask("Which cities of the Assyrians were destroyed?")
        chat.ask("Which mountains of Judah were climbed?")
    _, second, third = model.answered()
    assert third[: len(second) - 1] == second[:-1]


def test_an_answer_that_is_not_read_to_its_end_is_not_kept(book: Book, model: Says) -> None:
    with book.chat() as chat:
        chat.ask("Who was swallowed?")
        parts = chat.stream("And then?")
        for part in parts:
            if isinstance(part, str):
                break
        parts.close()
        assert len(chat.turns) == 1
        model.fails = True
        with pytest.raises(ModelError):
            chat.ask("And then?")
        assert len(chat.turns) == 1


def test_retry_asks_again_without_the_turn_and_takes_its_place(book: Book, model: Says) -> None:
    with book.chat() as chat:
        with pytest.raises(BookError, match="Nothing was asked yet"):
            chat.retry()
        chat.ask("Who was swallowed by a great fish?")
        chat.ask("How long was he inside?")
        assert last(chat.retry()).searched == "How long was Jonah inside the fish?"
        assert [turn.question for turn in chat.turns] == [
            "Who was swallowed by a great fish?",
            "How long was he inside?",
        ]
        assert len(model.answered()[-1]) == 4
    with book.chat(chat.name) as again:
        assert again.turns == chat.turns
    assert len(file(book).read_text("utf-8").splitlines()) == 3


def test_forget_takes_it_off_the_disk_and_begins_anew(book: Book) -> None:
    with book.chat() as chat:
        chat.ask("Who was swallowed?")
        chat.forget()
        assert (chat.name, chat.turns) == ("", ())
        assert list((book.folder / FOLDER).iterdir()) == []
        chat.ask("Who was swallowed?")
        assert len(chat.turns) == 1


def test_turns_that_no_longer_fit_are_remembered_as_a_summary_made_once(book: Book, model: Says) -> None:
    model.context = 260
    with book.chat() as chat:
        answers = [
            chat.ask(f"Which cities of the Assyrians were destroyed, number {i}?", max_tokens=60) for i in range(9)
        ]
        summaries = [messages for messages in model.asked if messages[0].content.startswith("Write down")]
        assert chat.summary == "They talked about Jonah."
        assert 1 <= len(summaries) < 5
        assert "number 0?" in summaries[0][1].content
    assert not answers[0].left_out
    assert answers[-1].left_out[0].endswith("turns are remembered as a summary")
    assert len(answers[-1].left_out) == 1
    shown = model.answered()[-1]
    assert "What was said before, in short: They talked about Jonah." in shown[0].content
    assert not any("number 0?" in message.content for message in shown)
    assert any("number 7?" in message.content for message in shown)
    calls = len(model.asked)
    with book.chat(chat.name) as again:
        assert again.summary == chat.summary
        again.ask("Which mountains of Judah were climbed?", max_tokens=60)
    assert len(model.asked) <= calls + 2


def test_a_torn_last_line_costs_that_turn_only(book: Book) -> None:
    with book.chat() as chat:
        chat.ask("Who was swallowed?")
        chat.ask("Who was inside the fish for days?")
    path = file(book)
    whole = path.read_bytes()
    for cut in range(1, len(whole) - whole.index(b"\n") - 1, 97):
        path.write_bytes(whole[:-cut])
        assert listed(book.folder)[0].turns == 1
        with book.chat(chat.name) as again:
            assert len(again.turns) == 1
            again.ask("And the fish of the sea, what became of all?")
        with book.chat(chat.name) as again:
            assert len(again.turns) == 2


def test_a_damaged_line_is_named(book: Book) -> None:
    with book.chat() as chat:
        chat.ask("Who was swallowed?")
    file(book).write_bytes(b"{}\n" + file(book).read_bytes())
    with pytest.raises(BookError, match=r"Line 1 of .*jsonl is damaged"):
        book.chat(chat.name)
    assert listed(book.folder) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"cited": [2]},
        {"cited": [0]},
        {"cited": [float("inf")]},
        {"passages": "abc"},
        {"passages": [{}]},
        {"question": None, "answer": []},
    ],
)
def test_a_turn_that_cannot_be_is_refused_or_shown_as_it_is(book: Book, wrong: dict[str, object]) -> None:
    with book.chat() as chat:
        chat.ask("Who was swallowed?")
    file(book).write_text(json.dumps({**json.loads(file(book).read_text("utf-8")), **wrong}) + "\n", "utf-8")
    try:
        with book.chat(chat.name) as again:
            assert markdown(again.turns, "bible")
    except BookError as error:
        assert "Line 1 of" in str(error)  # noqa: PT017 - either is right


def test_a_file_that_is_nested_too_deeply_is_damaged(book: Book) -> None:
    with book.chat() as chat:
        chat.ask("Who was swallowed?")
    file(book).write_bytes(b"[" * 100_000 + b"\n")
    with pytest.raises(BookError, match=r"Line 1 of .*jsonl is damaged"):
        book.chat(chat.name)


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_a_conversation_deleted_while_they_are_listed_is_left_out(book: Book) -> None:
    (book.folder / FOLDER).mkdir()
    (book.folder / FOLDER / "gone.jsonl").symlink_to(book.folder / "nowhere")
    assert listed(book.folder) == []


class Full(FileIO):
    """A disk that has room for the first 100 bytes."""

    def write(self, line: Any) -> int:
        return super().write(bytes(line)[:100])


def test_a_full_disk_costs_that_turn_only(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    with book.chat() as chat:
        chat.ask("Who was swallowed?")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", lambda self, mode, buffering: Full(self, mode))
            with pytest.raises(BookError, match=r"cannot be written: No space left.*The answer is not kept\.$"):
                chat.ask("And then?")
        assert len(chat.turns) == 1
        chat.ask("And after that?")
    with book.chat(chat.name) as again:
        assert [turn.question for turn in again.turns] == ["Who was swallowed?", "And after that?"]


def test_a_conversation_of_a_large_model_goes_on_with_a_small_one(book: Book, model: Says) -> None:
    with book.chat() as chat:
        for number in range(60):
            chat.ask(f"Which cities of the Assyrians were destroyed, {'number ' * 20}{number}?")
        model.context = 260
        calls = len(model.asked)
        assert "57 turns are remembered" in chat.ask("Which mountains were climbed?", max_tokens=60).left_out[0]
    summaries = [one for one in model.asked[calls:] if one[0].content.startswith("Write down")]
    assert len(summaries) > 1
    assert all(model.count(model.render(one)) + 65 <= model.context for one in summaries)
    assert "Before: They talked about Jonah." in summaries[-1][1].content


@pytest.mark.parametrize("name", ["../etc", "a/b", ".hidden", "-", "a\nb", "x" * 200])
def test_a_name_is_a_name(book: Book, name: str) -> None:
    with pytest.raises(BookError, match="is no name for a conversation"):
        book.chat(name)


def test_a_second_process_is_refused_in_one_line(book: Book) -> None:
    with book.chat() as chat:
        chat.ask("Who was swallowed?")
        with pytest.raises(BookError, match=r"is open in another openbook\. Close it there, or begin a new one\.$"):
            book.chat(chat.name)
    book.chat(chat.name).close()


def test_a_closed_conversation_takes_no_more_questions(book: Book, model: Says) -> None:
    with book.chat() as chat:
        chat.ask("Who was swallowed?")
    asked = len(model.asked)
    with book.chat(chat.name), pytest.raises(BookError, match=r"was closed\. Open it again by its name\."):
        chat.ask("And then?")
    assert len(model.asked) == asked


@pytest.mark.parametrize("tokens", [0, -1])
def test_an_answer_of_no_tokens_is_refused(book: Book, tokens: int) -> None:
    with pytest.raises(BookError, match=f"An answer cannot have {tokens} tokens"):
        book.ask("Who was swallowed?", max_tokens=tokens)


KILLED = """
import os, signal, sys
from openbook import Book
book = Book.open(sys.argv[1])
chat = book.chat("killed")
chat.ask("Who was swallowed by a great fish?")
print("kept", flush=True)
for part in chat.stream("How long was he inside?"):
    if isinstance(part, str):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_kill_costs_the_turn_that_was_not_answered(book: Book) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(book.folder)], capture_output=True, text=True, check=False, timeout=600
    )
    assert killed.stdout == "kept\n"
    with book.chat("killed") as chat:
        assert [turn.question for turn in chat.turns] == ["Who was swallowed by a great fish?"]


def test_a_book_with_conversations_is_whole_and_can_be_copied(book: Book, tmp_path: Path) -> None:
    import shutil

    with book.chat() as chat:
        chat.ask("Who was swallowed?")
    assert book.check().right
    assert book.status().documents == 1
    assert book.rebuild() == 1
    shutil.copytree(book.folder, tmp_path / "copy")
    with Book.open(tmp_path / "copy") as copy, copy.chat(chat.name) as again:
        assert again.turns == chat.turns


def test_any_turn_reads_back(book: Book) -> None:
    answer = book.ask("Who was swallowed?")
    turn = Turn.of(answer, datetime.now(UTC))
    assert Turn.from_dict(json.loads(json.dumps(turn.to_dict()))) == turn


def test_markdown_holds_what_was_cited(book: Book) -> None:
    with book.chat() as chat:
        chat.ask("Who was swallowed?")
        text = markdown(chat.turns, "bible")
    assert text.startswith("# bible\n\n## Who was swallowed?\n\nJonah was swallowed")
    assert "> Jonah was swallowed by a great fish." in text
    assert "jonah.txt, characters 0-" in text


def test_stream_takes_a_history_without_a_file(book: Book, model: Says) -> None:
    history = [Message("user", "Who was swallowed?"), Message("assistant", "Jonah [4].")]
    parts = list(book.stream("How long was he inside?", history=history))
    assert isinstance(parts[0], Searched)
    assert model.answered()[0][2] == Message("assistant", "Jonah.")
    assert not (book.folder / FOLDER).exists()


def test_ask_is_not_rewritten(book: Book, model: Says) -> None:
    assert book.ask("How long was he inside?").searched == ""
    assert len(model.asked) == 1


def test_searches_for_two_questions_are_put_together(book: Book) -> None:
    found, _ = book.retrieve("great fish", 5, also=["three days"])
    assert {passage.via for passage in found} == {"fused"}
