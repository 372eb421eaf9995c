"""The estimate is near what comes of it, costs little and never hinders."""

from __future__ import annotations

import random
from collections.abc import Iterator
from email.message import EmailMessage
from itertools import islice
from pathlib import Path

import pytest

from openbook import Book, Recipe
from openbook.estimating import DRAWS, _halves, drawn
from openbook.excerpts import LARGE, excerpt
from openbook.finding import FoundFile
from openbook.types import Progress

LIGHT = Recipe.from_dict({"embedder": "hashed(dim=64)", "store": "flat", "llm": "quote", "splitter": "chars(size=200)"})


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with Book.open(tmp_path / "book", LIGHT, create=True) as book:
        yield book


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of three kinds; some hold more text a byte than others."""
    folder = tmp_path / "documents"
    folder.mkdir()
    chance = random.Random(3)

    def words() -> str:
        return " ".join(f"word{chance.randrange(1000)}" for _ in range(chance.randrange(50, 1000)))

    for number in range(60):
        (folder / f"{number}.txt").write_text(words(), encoding="utf-8")
        page = f"<html><style>{'p {} ' * chance.randrange(500)}</style><p>{words()}</p></html>"
        (folder / f"{number}.html").write_text(page, encoding="utf-8")
        (folder / f"{number}.csv").write_text(f"id,text\n1,{words()}\n", encoding="utf-8")
    return folder


def test_the_estimate_is_near_what_comes_and_changes_nothing(book: Book, folder: Path) -> None:
    found = book.estimate(folder)
    assert len(book.documents) == len(book.store) == 0
    assert (found.files, found.size_bytes) == (180, sum(path.stat().st_size for path in folder.iterdir()))
    assert set(found.density) == {".txt", ".html", ".csv", ""}
    assert found.density[".html"] < found.density[".txt"]
    assert found.seconds > 0
    assert found.disk_bytes > found.chunks * 64 * 4
    assert found.chunks == pytest.approx(book.add(folder).chunks, rel=0.2)


def test_add_says_it_first_and_what_it_says_later_does_not_jump(book: Book, folder: Path) -> None:
    said: list[Progress] = []
    chunks = book.add(folder, report=said.append).chunks
    assert (said[0].step, said[0].done) == ("estimate", 0)
    assert said[0].total == pytest.approx(chunks, rel=0.2)
    assert said[0].seconds_left
    late = [one for one in said if one.step == "embed" and one.done > chunks / 10]
    assert late
    assert all(one.total == pytest.approx(chunks, rel=0.2) for one in late)
    assert late[-1].seconds_left == 0


def test_what_is_there_already_needs_nothing(book: Book, folder: Path) -> None:
    book.add(folder)
    again = book.estimate(folder)
    assert (again.files, again.chunks, again.seconds) == (0, 0, 0)


def test_little_is_added_without_an_estimate(book: Book, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("fish " * 1000, encoding="utf-8")
    said: list[Progress] = []
    book.add(tmp_path / "a.txt", report=said.append)
    assert "estimate" not in {one.step for one in said}


def test_files_that_cannot_be_read_are_no_estimate_and_no_error(book: Book, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 " + bytes(range(256)) * 2000)
    assert book.estimate(tmp_path / "a.pdf").chunks == 0
    assert len(book.add(tmp_path / "a.pdf").failed) == 1


def test_a_file_that_takes_too_long_to_read_is_left_out(
    book: Book, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openbook.estimating.PATIENCE", 0.0)
    assert book.estimate(folder).chunks == 0
    assert book.add(folder).failed == []


def mailbox(path: Path, size_bytes: int) -> None:
    chance = random.Random(4)
    with path.open("wb") as file:
        while file.tell() < size_bytes:
            mail = EmailMessage()
            mail["From"], mail["Subject"] = "a@example.org", f"Whale {chance.random()}"
            mail.set_content("\n".join(f"I saw fish {chance.random()} today." for _ in range(chance.randrange(400))))
            if chance.random() < 0.1:  # most of the bytes, in few of the mails
                mail.add_attachment(chance.randbytes(200_000), "image", "jpeg", filename="whale.jpg")
            file.write(b"From a@example.org Mon Nov 23 08:00:00 2026\n" + bytes(mail) + b"\n")


@pytest.mark.slow
def test_of_a_large_mailbox_whole_mails_are_read(book: Book, tmp_path: Path) -> None:
    box = tmp_path / "box.mbox"
    mailbox(box, 8 * LARGE)
    assert book.estimate(box).chunks == pytest.approx(book.add(box).chunks, rel=0.1)


def test_slices_of_a_large_file_begin_and_end_where_its_records_do(tmp_path: Path) -> None:
    path, slices = tmp_path / "rows.jsonl", tmp_path / "slices"
    slices.mkdir()
    rows = [f'{{"text": "{"x" * (number % 500)}"}}' for number in range(100_000)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    part, size = excerpt(path, path.stat().st_size, slices)
    assert part.name == path.name
    assert size == part.stat().st_size <= LARGE
    assert set(part.read_text(encoding="utf-8").splitlines()) <= set(rows)


def test_a_large_file_that_cannot_be_cut_is_read_whole(tmp_path: Path) -> None:
    assert excerpt(tmp_path / "a.pdf", 10 * LARGE, tmp_path) == (tmp_path / "a.pdf", 10 * LARGE)


def test_a_file_is_drawn_by_its_size() -> None:
    files = [FoundFile("large.txt", 1000), *(FoundFile(f"{number}.md", 10) for number in range(100))]
    draws = drawn(files)
    assert sum(draws.values()) == DRAWS
    assert draws[files[0]] == pytest.approx(DRAWS / 2, abs=1)
    assert drawn([]) == {}


def test_the_first_draws_are_spread_as_evenly_as_all() -> None:
    assert [*islice(_halves(), 7)] == [1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8]
