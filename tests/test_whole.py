"""Documents read from end to end: everything once, each sentence cited, stopped and resumed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO, TextIOWrapper
from pathlib import Path
from random import Random

import pytest

from contracts import Copied
from openbook import Book, Recipe, calling
from openbook.app.cli import run
from openbook.errors import BookError, ModelError
from openbook.llms.quote import Quote
from openbook.recipe import Spec
from openbook.remembering import fingerprint
from openbook.summarizing import MOST_NOTES
from openbook.supporting import Texts, stems
from openbook.types import Message, Progress, Stream, Usage
from openbook.whole import Whole, groups, pieces

NAMES = ["Ahab", "Boaz", "Caleb", "Dinah", "Esau", "Felix", "Gaius", "Hagar", "Isaac", "Jonah"]
NAMES += ["Korah", "Lydia", "Micah", "Naomi", "Obed", "Peter"]


def verse(name: str) -> str:
    return f"{name} went up from the house of {name}son and bought {name.lower()}fish. It was so in those days."


@dataclass(frozen=True)
class Clerk(Quote):
    """Says the first sentence of a text; knows `yes` only of texts that hold a word. Remembers what it was shown."""

    slots: int = 1
    room: int = 8192
    says: str = ""  # instead
    knows: str = "went"
    fails_after: int = 1_000_000
    chooses: bool = True
    asked: list[str] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def context(self) -> int:
        return self.room

    @property
    def parallel(self) -> int:
        return self.slots

    def count(self, text: str) -> int:
        return len(text)

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        content = messages[1].content
        with self.lock:
            self.asked.append(content)
            if len(self.asked) > self.fails_after:
                raise ModelError("The model is gone.")
        text = content.removeprefix("Text:\n").rpartition("\n\n")[0].partition("Question:")[0]
        if "write only: Nothing." in content and self.knows not in text:
            text = "Nothing."
        yield self.says or text.partition(". ")[0]
        yield Usage(stopped="end")

    def choose(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        if not self.chooses:
            raise ModelError("It gives no probabilities.")
        text = messages[-1].content.partition("Question:")[0]
        self.chosen.append(text)
        return [0.9, 0.1] if self.knows in text else [0.1, 0.9]


def verses(folder: Path) -> None:
    """A book of two documents, a chunk for each name."""
    recipe = Recipe(refiners=()).with_step("embedder", "hashed").with_step("store", "flat").with_step("llm", "quote")
    recipe = recipe.with_step("splitter", "chars(size=100, overlap=0)")
    for file, names in (("a.txt", NAMES[:10]), ("b.txt", NAMES[10:])):
        (folder / file).write_text("\n\n".join(map(verse, names)), encoding="utf-8")
    with Book.open(folder / "book", recipe, create=True) as book:
        book.add([folder / "a.txt", folder / "b.txt"])
        assert len(book.store) == len(NAMES)


@pytest.fixture
def folder(copied: Copied) -> Path:
    return copied(verses)


@pytest.fixture
def book(folder: Path) -> Iterator[Book]:
    with Book.open(folder) as opened:
        yield opened


def reading(book: Book, clerk: Clerk) -> Clerk:
    book._opened.models[Spec.parse("quote")] = clerk
    return clerk


def check_citations(book: Book, found: Whole) -> None:
    """Each line ends with numbers of passages, each passage is cited and a stretch of its document."""
    lines = found.answer.text.splitlines()
    cited = {int(number) for line in lines for number in line.rsplit(" ", 1)[1].strip("[]").split("][")}
    assert cited == set(found.answer.cited) == set(range(1, len(found.answer.passages) + 1))
    for passage in found.answer.passages:
        assert book.document(passage).text[passage.chunk.start : passage.chunk.end] == passage.chunk.text
        assert passage.source.endswith(".txt")


def test_every_chunk_is_read_once_and_in_order(book: Book) -> None:
    clerk = reading(book, Clerk())
    found = book.summarize(words=36)
    read = [name for asked in clerk.asked for name in NAMES if f"{name} went" in asked and "fish. It" in asked]
    assert read == NAMES
    assert (found.documents, found.passages, found.calls, found.known) == (2, 16, len(clerk.asked), 0)


def test_each_sentence_cites_what_says_it(book: Book) -> None:
    reading(book, Clerk())
    found = book.summarize()
    check_citations(book, found)
    assert found.answer.text.splitlines()[0] == "Ahab went up from the house of Ahabson and bought ahabfish. [1]"
    assert found.answer.model == "quote"


@pytest.mark.parametrize("words", [1, 40, 100, 400])
def test_it_is_about_as_long_as_wanted(book: Book, words: int) -> None:
    reading(book, Clerk())
    count = len(book.summarize(words=words).answer.text.split())
    assert count <= max(1.4 * words, 15)


def test_documents_are_named_as_for_remove(book: Book) -> None:
    clerk = reading(book, Clerk())
    assert book.summarize(["b.txt"]).passages == 6
    assert "Ahab" not in "".join(clerk.asked)
    assert book.summarize([str(Path(min(book.documents.sources())).parent)]).passages == 16
    with pytest.raises(BookError, match=r"^No document of this book is called 'c\.txt'"):
        book.summarize(["c.txt"])


def test_no_text_of_two_documents_is_read_together(book: Book) -> None:
    clerk = reading(book, Clerk())
    book.summarize(words=18)
    assert not any("Jonah went" in asked and "Korah went" in asked and "It was so" in asked for asked in clerk.asked)


def test_what_no_passage_says_is_left_out_and_counted(book: Book) -> None:
    reading(book, Clerk(says="Spacecraft orbit distant planets silently."))
    found = book.summarize()
    assert (found.answer.text, found.answer.cited) == ("", {})
    assert found.dropped == found.calls


def test_many_notes_are_merged_level_by_level(book: Book) -> None:
    clerk = reading(book, Clerk())
    summary = book.summarize(words=1)
    check_citations(book, summary)
    assert len(summary.answer.text.splitlines()) == 1
    assert all(asked.count(" went up") <= max(MOST_NOTES, 10) for asked in clerk.asked)


def test_a_focus_leaves_out_what_says_nothing_about_it(book: Book) -> None:
    clerk = reading(book, Clerk(knows="Hagar"))
    found = book.summarize(focus="Who was  Hagar?", words=400)
    assert "Hagar" in found.answer.text
    assert found.answer.question == "Who was  Hagar?"
    assert found.about < 4
    assert all("Question: Who was Hagar?" in asked for asked in clerk.asked)


def test_what_was_stopped_goes_on_where_it_was(folder: Path) -> None:
    with Book.open(folder) as book:
        reading(book, Clerk(fails_after=3))
        with pytest.raises(ModelError, match="gone"):
            book.summarize(words=400)
    with Book.open(folder) as book:
        clerk = reading(book, Clerk())
        found = book.summarize(words=400)
        assert found.known == 3
        assert len(clerk.asked) == found.calls - 3
        again = book.summarize(words=400)
        assert (again.answer.text, again.known) == (found.answer.text, found.calls)


def test_other_weights_under_the_same_name_are_asked_anew(tmp_path: Path) -> None:
    weights, spec = tmp_path / "model.gguf", Spec("llamacpp", {"model": str(tmp_path / "model.gguf")})
    weights.write_bytes(b"one")
    before = fingerprint(spec)
    assert fingerprint(spec) == before
    weights.write_bytes(b"two")
    assert fingerprint(spec) != before


def test_what_says_the_same_is_found_without_comparing_all_with_all() -> None:
    chance = Random(1)
    few = [" ".join(chance.choices("abcdefghijklmn", k=chance.randint(3, 9))) for _ in range(200)]
    texts, words = Texts(few), [frozenset(stems(one)) for one in few]
    firsts: list[int] = []
    for number, own in enumerate(words):
        kept = [one for one in range(number) if firsts[one] == one]
        firsts.append(next((one for one in kept if texts._alike(words[one], own)), number))
    assert texts.firsts(few) == firsts
    many = [" ".join(f"{chance.randrange(5000):05}" for _ in range(12)) for _ in range(3000)]
    began = time.process_time()
    assert len(set(Texts(many).firsts(many))) > 2900
    assert time.process_time() - began < 30  # each compared with each takes minutes


def test_removing_a_document_forgets_what_was_written_about_it(book: Book) -> None:
    reading(book, Clerk())
    book.summarize()
    assert (book.folder / "answers.db").exists()
    book.remove(["a.txt"])
    assert not (book.folder / "answers.db").exists()


def test_slots_change_nothing_but_the_time(book: Book) -> None:
    reading(book, Clerk())
    alone = book.summarize(words=200)
    (book.folder / "answers.db").unlink()
    reading(book, Clerk(slots=4))
    assert book.summarize(words=200).answer.text == alone.answer.text


def test_how_long_it_takes_is_told_after_some_calls(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "FIRST_SECONDS", 0.0)
    reading(book, Clerk())
    told: list[Progress] = []
    book.summarize(words=400, report=told.append)
    (estimate,) = (one for one in told if one.step == "estimate")
    assert estimate.seconds_left
    read = [one for one in told if one.step == "read"]
    assert [one.done for one in read] == sorted(one.done for one in read)
    assert (read[-1].done, read[-1].total, read[-1].unit, read[-1].seconds_left) == (16, 16, "passages", 0.0)


def test_a_chunk_longer_than_the_context_is_read_in_pieces(book: Book) -> None:
    passage = book.search("Jonah", 1)[0]
    parts, tokens = pieces([passage], Clerk(), 30)
    assert "".join(part.chunk.text for part in parts) == passage.chunk.text
    assert max(tokens) <= 30
    for part in parts:
        assert book.document(part).text[part.chunk.start : part.chunk.end] == part.chunk.text


def test_a_context_too_small_to_read_in_is_one_line(book: Book) -> None:
    reading(book, Clerk(room=400))
    for work in (book.summarize, partial(book.ask_all, "Who?")):
        with pytest.raises(ModelError, match=r"^quote takes 400 tokens[^\n]+larger context\.$"):
            work()


def test_groups_hold_all_in_order() -> None:
    tokens = [7, 1, 1, 30, 2, 9, 9, 1]
    found = list(groups(tokens, 10, {2}))
    assert [number for group in found for number in group] == list(range(8))
    assert all(len(group) == 1 or sum(tokens[number] for number in group) <= 10 for group in found)
    assert 2 in {group.start for group in found}
    assert list(groups([], 10)) == []


def test_a_question_to_all_is_put_to_every_passage(book: Book) -> None:
    clerk = reading(book, Clerk(knows="Lydia"))
    found = book.ask_all("Who was Lydia?")
    check_citations(book, found)
    assert found.answer.text == "Lydia went up from the house of Lydiason and bought lydiafish. [1]"
    assert (found.about, found.passages, found.documents) == (1, 16, 2)
    assert len(clerk.chosen) == 16
    assert len(clerk.asked) == 1


def test_what_several_passages_say_is_said_once(book: Book) -> None:
    reading(book, Clerk(says="It was so in those days."))
    found = book.ask_all("When was it?", where="name = 'b.txt'")
    assert found.answer.text == "It was so in those days. [1][2][3][4][5][6]"
    assert (found.about, found.passages) == (6, 6)


def test_a_model_that_cannot_choose_is_asked_to_say_nothing(book: Book) -> None:
    clerk = reading(book, Clerk(knows="Lydia", chooses=False))
    found = book.ask_all("Who was Lydia?")
    assert found.about == 1
    assert len(clerk.asked) == 16


def test_a_question_to_all_goes_on_where_it_was(book: Book) -> None:
    reading(book, Clerk(fails_after=5))
    with pytest.raises(ModelError, match="gone"):
        book.ask_all("Who went up?")
    clerk = reading(book, Clerk(slots=3))
    assert book.ask_all("Who went up?").known == 5
    assert len(clerk.asked) == 11


def test_an_empty_question_and_an_empty_book_are_refused(tmp_path: Path, book: Book) -> None:
    with pytest.raises(BookError, match="question is empty"):
        book.ask_all(" ")
    with Book.open(tmp_path / "empty", book.recipe, create=True) as empty:
        for work in (empty.summarize, partial(empty.ask_all, "Who?")):
            with pytest.raises(BookError, match=r"^There is nothing to read[^\n]+$"):
                work()


@pytest.fixture
def clerk(monkeypatch: pytest.MonkeyPatch) -> Clerk:
    """What the command line's books are given for a model."""
    made = Clerk(knows="Lydia")
    monkeypatch.setattr(Book, "model", lambda book, spec: made)
    return made


def test_summarize_prints_sentences_and_then_what_they_cite(
    folder: Path, clerk: Clerk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["summarize", "-b", str(folder), "b.txt", "--words", "60", "-v"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Korah went up from the house of Korahson and bought korahfish. [1]\n")
    assert "\n\nCited\n  [1] " in out
    assert "b.txt, characters 0-" in out
    assert "6 passages of 1 document, " in out


def test_ask_all_says_how_many_passages_say_something(
    folder: Path, clerk: Clerk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ask", "-b", str(folder), "--all", "Who was Lydia?"]) == 0
    assert capsys.readouterr().out.startswith(
        "1 of 16 passages say something about it.\n\nLydia went up from the house of Lydiason and bought lydiafish. [1]"
    )
    assert run(["ask", "-b", str(folder), "--all", "Who was Lydia?", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["read"], found["about"], found["cited"], found["remembered"]) == (16, 1, [1], 16)


def test_ask_all_needs_a_question(folder: Path, clerk: Clerk, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ask", "-b", str(folder), "--all", " "]) == 1
    assert "question is empty" in capsys.readouterr().err


def test_ask_all_reads_questions_line_by_line(
    folder: Path, clerk: Clerk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"Who was Lydia?\nWho was \xff Jonas?\n"), "utf-8"))
    assert run(["ask", "-b", str(folder), "--all"]) == 0
    assert capsys.readouterr().out.count("of 16 passages say something about it.") == 2


@pytest.mark.parametrize("option", ["--show-prompt", "--thoughts", "--max-tokens=9"])
def test_what_is_of_one_prompt_is_refused_for_all(
    folder: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ask", "-b", str(folder), "--all", option, "Who was Lydia?"]) == 2
    assert option.split("=")[0] in capsys.readouterr().err


def test_stopped_work_says_that_it_goes_on(
    folder: Path, clerk: Clerk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> Stream:
        raise KeyboardInterrupt
        yield ""

    monkeypatch.setattr(Clerk, "stream", stopped)
    assert run(["summarize", "-b", str(folder)]) == 130
    assert capsys.readouterr().err.endswith("Stopped. The same command goes on where it stopped.\n")


def test_nothing_to_say_is_said(folder: Path, clerk: Clerk, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ask", "-b", str(folder), "--all", "--where", "name = 'a.txt'", "Who was Lydia?"]) == 0
    assert capsys.readouterr().out.startswith("0 of 10 passages say something about it.\n\nNothing was found to say.")
