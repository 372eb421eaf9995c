"""`explain` says what each step made of a question, and where a passage was lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts import LIGHT
from openbook import Book
from openbook.app.cli import run
from openbook.errors import BookError
from openbook.explaining import Explanation
from openbook.languages import commonest, foreign_language, unsuited

JONAH = "Now the LORD had prepared a great fish to swallow up Jonah. And Jonah was in the belly of the fish three days."
SHIPS = "".join(f"Ship number {number} carried wood and oil to the harbour of Joppa.\n\n" for number in range(150))


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    (tmp_path / "jonah.txt").write_text(JONAH, encoding="utf-8")
    (tmp_path / "ships.txt").write_text(SHIPS, encoding="utf-8")
    with Book.open(tmp_path / "book", LIGHT, create=True) as book:
        book.add([tmp_path / "jonah.txt", tmp_path / "ships.txt"])
        yield book


def verdict(found: Explanation) -> str:
    assert found.wanted
    return found.wanted.verdict


def test_what_is_shown_is_what_a_search_shows(book: Book) -> None:
    question = "Who was in the belly of the fish?"
    found = book.explain(question, 3)
    shown = [row for row in found.rows if row.shown]
    assert [row.passage for row in shown] == book.search(question, 3)
    assert [row.shown for row in shown] == [1, 2, 3]
    assert [step.name for step in found.steps] == ["hybrid", "duplicates"]


def test_ranks_of_a_side_are_those_it_gives_alone(book: Book) -> None:
    question = "Who was in the belly of the fish?"
    for row in book.explain(question, 3).rows:
        for side, name in (("dense", "dense"), ("bm25", "bm25")):
            if side in row.ranks:
                with Book.open(book.folder, LIGHT.with_step("retriever", name).with_step("refiners", "")) as alone:
                    listed = [one.chunk for one in alone.search(question, 100)]
                assert listed[row.ranks[side].rank - 1] == row.passage.chunk


def test_a_shown_passage_is_named(book: Book) -> None:
    assert verdict(book.explain("great fish prepared", 1, passage="a  GREAT\nfish")) == "Shown as [1]."


def test_a_text_that_no_document_has_was_not_read(book: Book) -> None:
    assert "No document holds this text" in verdict(book.explain("fish", passage="a whale"))


def test_a_passage_after_those_shown_says_how_many_to_show(book: Book) -> None:
    found = book.explain("Jonah was in the belly of the fish", 1, passage="prepared a great fish")
    said = verdict(found)
    assert "1 are shown. Show it with: -k " in said
    k = int(said.rpartition(" ")[2])
    assert "great fish" in book.search("Jonah was in the belly of the fish", k)[-1].chunk.text


def test_a_passage_that_a_refiner_dropped_names_the_refiner(tmp_path: Path, book: Book) -> None:
    (tmp_path / "again.txt").write_text(JONAH.replace("great", "mighty"), encoding="utf-8")
    book.add([tmp_path / "again.txt"])
    with Book.open(book.folder, LIGHT.with_step("refiners", "duplicates(similarity=0.3)")) as other:
        said = verdict(other.explain("the LORD had prepared a great fish", 5, passage="a mighty fish"))
    assert said.endswith("dropped by duplicates(similarity=0.3).")


def test_a_passage_too_far_away_says_what_each_side_thinks(book: Book) -> None:
    question = "Who was in the belly of the fish?"
    first = book.explain(question).steps[0].passages
    far = next(number for number in range(150) if all(f"number {number} c" not in one.chunk.text for one in first))
    found = book.explain(question, passage=f"Ship number {far} carried wood")
    assert re.search(r"Number \d+ of hybrid; the first 40 went on: number \d+ by meaning", verdict(found)) or re.search(
        r"Not among the first 100 of hybrid: number \d+ by meaning, not found by words", verdict(found)
    )


def test_a_text_cut_by_the_splitter_is_told(book: Book) -> None:
    found = book.explain("fish", passage="swallow up Jonah. And Jonah was in the belly of the fish three")
    assert "It is split between 2 chunks." in verdict(found)


def test_a_document_outside_the_condition_is_told(book: Book) -> None:
    found = book.explain("fish", passage="belly of the fish", where="name = 'ships.txt'")
    assert "does not fit the condition" in verdict(found)


def test_an_empty_question_is_refused(book: Book) -> None:
    with pytest.raises(BookError, match="empty"):
        book.explain("  ")


def test_the_command_prints_a_table_and_the_verdict(book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["explain", "-b", str(book.folder), "-k", "2", "belly of the fish", "--passage", "great fish"]
    assert run(arguments) == 0
    said = capsys.readouterr().out
    assert said.startswith("shown")
    assert "dense" in said
    assert "great fish" in said
    assert run([*arguments, "--json"]) == 0
    assert '"verdict": ' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Wer wurde von einem großen Fisch verschluckt?", "de"),
        ("谁被一条大鱼吞下，在鱼腹中待了多久？", "zh"),
        ("Who was swallowed by a great fish?", ""),
        ("Deutsche Bank", ""),  # a name
        ("", ""),
        ("\ud800" * 30, ""),
    ],
)
def test_a_question_is_foreign_only_when_that_is_sure(question: str, language: str) -> None:
    assert foreign_language(question, {"en": 1000, "": 100, "de": 10}) == language


def test_a_question_in_one_of_the_languages_is_not_foreign() -> None:
    assert foreign_language("Wer wurde von einem großen Fisch verschluckt?", {"en": 900, "de": 100}) == ""
    assert foreign_language("Wer wurde von einem großen Fisch verschluckt?", {"": 900, "en": 100}) == ""


def test_languages_a_model_does_not_know_are_told_by_share() -> None:
    assert unsuited({"en": 50, "de": 50}, {"en"}) == {"de": 0.5}
    assert unsuited({"en": 50, "de": 50}, frozenset()) == {}
    assert unsuited({}, {"en"}) == {}
    assert commonest({}) == ""


def test_a_text_that_stands_in_several_places_is_looked_for_where_it_is_shown(book: Book) -> None:
    question = "Ship number 77 carried wood and oil"
    found = book.explain(question, 1, passage="to the harbour of Joppa")
    assert found.rows[0].passage.chunk.text.startswith("Ship number 77 ")
    assert verdict(found) == "Shown as [1]."


def test_text_that_a_refiner_cuts_off_a_passage_that_is_shown_is_said_to_be(book: Book) -> None:
    long = LIGHT.with_step("splitter", "chars(size=500)").with_step("refiners", "compress(keep=0.1)")
    with Book.open(book.folder.parent / "long", long, create=True) as other:
        other.add(book.folder.parent / "jonah.txt")
        found = other.explain("Jonah was in the belly of the fish three days", 1, passage="prepared a great fish")
        assert verdict(found) == "Cut off by compress(keep=0.1): the rest of its passage is shown as [1]."
        found = other.explain("Jonah was in the belly of the fish three days", 1, passage="in the belly")
        assert verdict(found) == "Shown as [1]."
