"""Promises of adding again: a folder that changed in any way, stopped at any moment, equals a fresh book of it."""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from openbook import Book, Recipe
from openbook.embedders.hashed import Hashed
from openbook.errors import BookError
from openbook.indexing import Added
from openbook.stores.flat import Flat
from openbook.types import Vectors
from processes import line_of, running

LIGHT = Recipe.from_dict({"embedder": "hashed(dim=64)", "store": "flat", "llm": "quote", "splitter": "chars(size=80)"})

State = list[tuple[str, str, tuple[Any, ...], tuple[Any, ...]]]


def state(book: Book) -> State:
    """All that a book says: source, text and marks, and the chunks with their vectors."""
    chunks: dict[str, list[tuple[Any, ...]]] = {}
    for chunk, vector in book.store.vectors(book.documents.ids()):
        chunks.setdefault(chunk.document_id, []).append((chunk.start, chunk.text, vector.round(4).tobytes()))
    found = []
    for source, document_id in sorted(book.documents.sources().items()):
        document = book.documents.get(document_id)
        assert document
        said = (document.title, document.marks, document.headings, document.parts, tuple(document.fields.items()))
        found.append((source, document.text, said, tuple(sorted(chunks[document_id]))))
    return found


def sound(book: Book) -> None:
    with book._changing(None):  # what the next change begins with
        pass
    found = book.check()
    assert found.sound, found
    assert set(book.store.counts()) == book.documents.ids()


def fresh(folder: Path, recipe: Recipe = LIGHT) -> State:
    with tempfile.TemporaryDirectory() as temporary, Book.open(f"{temporary}/book", recipe, create=True) as book:
        book.add([folder])
        return state(book)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    (folder / "below").mkdir(parents=True)
    for number in range(6):
        write(folder / f"{number}.txt", f"Chapter {number}.")
    write(folder / "below" / "rows.csv", "id,text\n" + "\n".join(f"{row},row {row} of fishes" for row in range(5)))
    return folder


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with Book.open(tmp_path / "book", LIGHT, create=True) as book:
        yield book


def write(path: Path, words: str) -> None:
    path.write_text(words if "\n" in words else f"{words} It was a dark night. " * 20, encoding="utf-8")


class Counted:
    """Counts the texts that are embedded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = Hashed.embed

        def embed(embedder: Hashed, texts: Any, kind: Any) -> Vectors:
            self.count += len(texts)
            return real(embedder, texts, kind)

        monkeypatch.setattr(Hashed, "embed", embed)


def counts(added: Added) -> tuple[int, int, int, int, int]:
    return added.added, added.updated, added.unchanged, added.moved, added.removed


def test_a_second_add_reads_and_embeds_nothing(book: Book, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert counts(book.add(folder)) == (11, 0, 0, 0, 0)
    counted = Counted(monkeypatch)
    monkeypatch.setattr("openbook.reading._Worker.__init__", None)
    assert counts(book.add(folder)) == (0, 0, 11, 0, 0)
    assert counted.count == 0


def test_a_touched_file_is_hashed_and_not_read(book: Book, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book.add(folder)
    os.utime(folder / "1.txt", (1, 1))
    counted = Counted(monkeypatch)
    assert counts(book.add(folder)) == (0, 0, 11, 0, 0)
    monkeypatch.setattr("openbook.reading._Worker.__init__", None)
    assert counts(book.add(folder)) == (0, 0, 11, 0, 0)
    assert counted.count == 0


def test_a_renamed_file_is_moved_without_embedding(book: Book, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book.add(folder)
    (folder / "1.txt").rename(folder / "below" / "one.txt")
    (folder / "below").rename(folder / "under")
    counted = Counted(monkeypatch)
    assert counts(book.add(folder)) == (0, 0, 5, 6, 0)
    assert counted.count == 0
    assert state(book) == fresh(folder)
    assert book.search("Chapter 1")[0].source


def test_a_changed_file_embeds_only_the_chunks_that_changed(
    book: Book, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"line {number} of a file that is changed in one place, and is long enough.\n\n" for number in range(40)]
    (folder / "1.txt").write_text("".join(lines), encoding="utf-8")
    book.add(folder)
    lines[20] = "line twenty of a file that was changed in this place, and not too long.\n\n"
    (folder / "1.txt").write_text("".join(lines), encoding="utf-8")
    counted = Counted(monkeypatch)
    added = book.add(folder)
    assert counts(added) == (0, 1, 10, 0, 0)
    assert 1 <= counted.count <= 3
    assert added.chunks_reused >= 35
    assert state(book) == fresh(folder)


def test_a_file_moved_over_another_is_an_update(book: Book, folder: Path) -> None:
    book.add(folder)
    (folder / "1.txt").rename(folder / "2.txt")
    assert counts(book.add(folder)) == (0, 1, 9, 0, 1)
    assert state(book) == fresh(folder)


def test_of_two_equal_files_one_is_moved_and_one_removed(book: Book, folder: Path) -> None:
    shutil.copy(folder / "1.txt", folder / "copy.txt")
    book.add(folder)
    (folder / "copy.txt").unlink()
    (folder / "1.txt").rename(folder / "other.txt")
    assert counts(book.add(folder)) == (0, 0, 10, 1, 1)
    assert state(book) == fresh(folder)


def test_a_file_killed_in_the_middle_is_known_to_be_unfinished(
    book: Book, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openbook.indexing.EMBED_WINDOW", 4)
    monkeypatch.setattr("openbook.indexing.COMMIT_CHUNKS", 8)
    rows = folder / "below" / "rows.csv"
    book.add(folder)
    before, when = rows.read_text(), rows.stat().st_mtime_ns
    late = folder / "late.csv"
    for path in (rows, late):
        path.write_text("id,text\n" + "\n".join(f"{row},new {path.name} {row}" for row in range(50)))
    real = Flat.add

    def stop(self: Flat, *args: Any) -> None:
        real(self, *args)
        if {str(rows), str(late)} <= book.documents.counts().keys() and book.documents.counts()[str(rows)] > 20:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Flat, "add", stop)
        with pytest.raises(Killed):
            book.add(folder)
    # What was half read is as it was before, or gone: neither must stay as half of it.
    rows.write_text(before)
    os.utime(rows, ns=(when, when))
    late.unlink()
    book.add(folder)
    assert state(book) == fresh(folder)


def test_what_is_gone_from_a_folder_is_removed_and_what_lies_elsewhere_stays(book: Book, folder: Path) -> None:
    other = folder.parent / "other.txt"
    write(other, "another one\n")
    book.add([folder, other])
    (folder / "1.txt").unlink()
    shutil.rmtree(folder / "below")
    assert counts(book.add(folder)) == (0, 0, 5, 0, 6)
    assert str(other) in book.documents.sources()
    sound(book)


def test_an_empty_folder_keeps_what_was_in_it_and_says_so(book: Book, folder: Path) -> None:
    book.add(folder)
    shutil.rmtree(folder)
    folder.mkdir()
    added = book.add(folder)
    assert added.removed == 0
    assert f"{folder} is empty, where 7 files were; they are kept." in added.failed[0].reason
    assert len(book.documents) == 11


def test_a_row_that_is_gone_is_removed_and_a_new_one_added(book: Book, folder: Path) -> None:
    book.add(folder)
    write(folder / "below" / "rows.csv", "id,text\n1,row 1 of fishes\n2,row 2 is another\n9,row nine\n")
    assert counts(book.add(folder)) == (1, 1, 7, 0, 3)
    assert state(book) == fresh(folder)


def test_a_row_that_cannot_be_read_any_more_stays_and_one_that_is_gone_does_not(book: Book, folder: Path) -> None:
    rows = folder / "below" / "rows.csv"
    write(rows, "text,note\n" + "\n".join(f"row {line} of fishes,x" for line in range(2, 31)))
    book.add(folder)
    write(rows, "text,note\nrow 2 of fishes,x,y,z\nrow 3 of fishes,x\n")
    added = book.add(folder)
    assert [failure.path for failure in added.partial] == [str(rows)]
    assert sorted(source.rpartition("#")[2] for source in book.documents.sources() if "#" in source) == ["2", "3"]


def test_equal_files_are_kept_once_with_both_sources(book: Book, folder: Path) -> None:
    shutil.copy(folder / "1.txt", folder / "copy.txt")
    book.add(folder)
    assert len(book.documents) == 11
    assert len(book.documents.sources()) == 12
    (found,) = book.search("Chapter 1", k=1)
    assert found.sources == (str(folder / "1.txt"), str(folder / "copy.txt"))
    (folder / "1.txt").unlink()
    book.add(folder)
    assert book.search("Chapter 1", k=1)[0].sources == (str(folder / "copy.txt"),)
    assert state(book) == fresh(folder)


def test_the_name_of_a_file_in_an_archive_says_as_much_as_that_of_any_other(book: Book, folder: Path) -> None:
    with zipfile.ZipFile(folder / "report 2021.zip", "w") as archive:
        archive.writestr("below/NIKE_2023_10K.txt", "Shoes.")
        archive.writestr("letter.txt", "Dear Anna.")
    book.add([folder])
    assert [passage.source.rpartition("/")[2] for passage in book.search("x", where="company = 'NIKE'")] == [
        "NIKE_2023_10K.txt"
    ]
    assert len(book.documents.where("year = 2023")) == len(book.documents.where("year = 2021")) == 1


def test_a_file_that_cannot_be_read_any_more_keeps_what_was_read_and_is_named_each_time(
    book: Book, folder: Path
) -> None:
    book.add(folder)
    (folder / "1.txt").write_bytes(b"\0\1\2" * 100)
    for _ in range(2):
        added = book.add(folder)
        assert len(added.failed) == 1
        assert "kept" in added.failed[0].reason
        assert "Chapter 1" in book.search("Chapter 1", k=1)[0].chunk.text
    write(folder / "1.txt", "Now it is whole.")
    assert counts(book.add(folder)) == (0, 1, 10, 0, 0)
    assert state(book) == fresh(folder)


def test_another_way_of_reading_reads_again_and_embeds_only_what_is_different(
    book: Book, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.add(folder)
    book.rebuild(book.recipe.with_step("reader", "text"))
    counted = Counted(monkeypatch)
    added = book.add(folder)
    assert added.updated + added.added == 1  # the rows are one text now
    assert counted.count <= 5
    assert state(book) == fresh(folder, book.recipe)


def test_another_store_takes_the_vectors_that_are_there(
    book: Book, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.add(folder)
    before = state(book)
    counted = Counted(monkeypatch)
    book.rebuild(book.recipe.with_step("store", "lance"))
    assert counted.count == 0
    assert [(source, text) for source, text, *_ in state(book)] == [(source, text) for source, text, *_ in before]


class TestCheck:
    def test_a_sound_book_is_sound(self, book: Book, folder: Path) -> None:
        book.add(folder)
        found = book.check()
        assert (found.sound, found.documents, found.recall) == (True, 11, 1.0)

    def test_orphans_and_missing_chunks_are_found_and_repaired(self, book: Book, folder: Path) -> None:
        book.add(folder)
        expected = state(book)
        book.store.remove([book.documents.sources()[str(folder / "2.txt")]])
        chunk = next(book.store.chunks())
        orphan = type(chunk)("nobody", 0, 1, "x")
        book.store.add([orphan], np.eye(1, 64, dtype=np.float32))
        found = book.check()
        assert found.orphans == {"nobody"}
        assert found.sources == (str(folder / "2.txt"),)
        assert book.check(repair=True).repaired
        assert book.check().sound
        assert state(book) == expected

    def test_a_damaged_document_is_read_again(self, book: Book, folder: Path) -> None:
        book.add(folder)
        expected = state(book)
        document_id = book.documents.sources()[str(folder / "2.txt")]
        book.documents._db.execute("UPDATE documents SET title = 'changed' WHERE id = ?", (document_id,))
        assert book.check().damaged == {document_id}
        assert book.check(repair=True).lost == ()
        assert book.check().sound
        assert state(book) == expected

    def test_a_damaged_document_without_its_file_is_named(self, book: Book, folder: Path) -> None:
        book.add(folder)
        document_id = book.documents.sources()[str(folder / "2.txt")]
        book.documents._db.execute("UPDATE documents SET title = 'changed' WHERE id = ?", (document_id,))
        (folder / "2.txt").unlink()
        found = book.check(repair=True)
        assert (found.lost, found.right) == ((str(folder / "2.txt"),), False)
        assert book.check().sound

    def test_a_document_whose_bytes_are_damaged_is_read_again(self, book: Book, folder: Path) -> None:
        book.add(folder)
        expected = state(book)
        document_id = book.documents.sources()[str(folder / "2.txt")]
        book.documents._db.execute("UPDATE documents SET text = x'0011' WHERE id = ?", (document_id,))
        with pytest.raises(BookError, match="openbook check --repair"):
            book.rebuild()
        assert book.check().damaged == {document_id}
        assert book.check(repair=True).lost == ()
        assert book.check().sound
        assert state(book) == expected

    @pytest.mark.parametrize("store", ["flat", "lance"])
    def test_a_store_that_cannot_be_used_is_made_again_as_its_error_says(
        self, tmp_path: Path, folder: Path, store: str
    ) -> None:
        with Book.open(tmp_path / "broken", LIGHT.with_step("store", store), create=True) as book:
            book.add(folder)
        for path in (tmp_path / "broken").glob("store-*/**/*"):
            if path.is_file():
                path.write_bytes(b"rubbish")
        with Book.open(tmp_path / "broken") as book:
            with pytest.raises(BookError, match="openbook rebuild"):
                book.search("chapter")
            assert book.rebuild()
            assert book.check().sound


def test_a_book_may_lie_in_a_folder_of_any_name(tmp_path: Path, folder: Path) -> None:
    with Book.open(tmp_path / "a#b %41?c", LIGHT, create=True) as book:
        book.add(folder)
        assert "name" in book.status().fields
        assert book.search("chapter", where="name = '2.txt'")


def test_a_book_in_the_folder_that_is_added_is_not_named(folder: Path) -> None:
    with Book.open(folder / "book", LIGHT, create=True) as book:
        book.add(folder)
        assert book.add(folder).skipped == []


def test_what_vanishes_while_it_is_measured_costs_nothing(
    book: Book, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.add(folder)
    (book.folder / "partial" / "below").mkdir(parents=True)
    (book.folder / "partial" / "x.f32").write_text("x")
    real = os.walk

    def walk(top: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        for found in real(top):
            shutil.rmtree(book.folder / "partial", ignore_errors=True)  # another process ends its add
            yield found[0], found[1], [*found[2], "gone.f32"]

    monkeypatch.setattr(os, "walk", walk)
    assert book.status().size_bytes > 1000


def test_progress_counts_files_and_then_chunks(book: Book, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openbook.indexing.EMBED_WINDOW", 30)
    units: list[str] = []
    book.add(folder, report=lambda progress: units.append(progress.unit) if progress.total else None)
    assert units == sorted(units, reverse=True)
    assert set(units) == {"files", "chunks"}


class TestWhere:
    def test_fields_may_have_any_name(self, book: Book, tmp_path: Path) -> None:
        path = tmp_path / "rows.csv"
        path.write_text("id,text,like,in\n1,one fish swims,5,x\n2,two fishes swim,6,y\n", encoding="utf-8")
        book.add(path)
        for where in ("id = 2", "name like 'rows%' and \"like\" > 5", "\"in\" in ('y', 'z')"):
            assert len(book.documents.where(where)) == 1, where

    @pytest.fixture
    def rows(self, book: Book, tmp_path: Path) -> Book:
        for year in (2021, 2022, 2023):
            for name in ("apple", "nike"):
                path = tmp_path / f"{name}_{year}.md"
                path.write_text(f"---\nauthor: {name}\nyear: {year}\n---\n\nRevenue of {name} grew.\n", "utf-8")
        book.add(tmp_path / "*.md")
        return book

    def found(self, book: Book, where: str) -> list[str]:
        return sorted(Path(passage.source).stem for passage in book.search("revenue", k=9, where=where))

    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            ("name like 'nike%'", ["nike_2021", "nike_2022", "nike_2023"]),
            ("source LIKE '%2023%' and name not like 'a%'", ["nike_2023"]),
            ("length(name) = 99 and substr(name, 7, 4) = '2022'", []),
            ("pages = 0 -- a comment\n and characters > 5 and lower(file) like '%apple_2021%'", ["apple_2021"]),
        ],
    )
    def test_a_condition_limits_what_is_found(self, rows: Book, where: str, expected: list[str]) -> None:
        if expected:
            assert self.found(rows, where) == expected
        else:
            with pytest.raises(BookError, match="No document fits"):
                self.found(rows, where)

    @pytest.mark.parametrize(
        "where",
        [
            "",
            " ",
            "name =",
            "name = 'a'; DELETE FROM documents",
            "name = 'a') UNION SELECT sql FROM sqlite_master --",
            "1 IN (SELECT count(*) FROM files)",
            "load_extension('x')",
            "randomblob(1000000000) = 1",
            "nmae = 'a'",
            "1 IN (WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t)",
            "name = 'unclosed",
        ],
    )
    def test_anything_else_is_one_line_and_changes_nothing(self, rows: Book, where: str) -> None:
        before = rows.documents.sources()
        with pytest.raises(BookError) as caught:
            rows.documents.where(where)
        assert "\n" not in str(caught.value)
        assert rows.documents.sources() == before

    def test_a_mistyped_field_is_named_with_the_known_ones(self, rows: Book) -> None:
        with pytest.raises(BookError, match=r"no|No document of this book has a field 'nmae'. Did you mean 'name'"):
            rows.documents.where("nmae = 'a'")


class Killed(BaseException):
    """As kill -9: nothing that runs after it may tidy up."""


STEPS = (
    "openbook.documents.Documents.begin",
    "openbook.documents.Documents.commit",
    "openbook.documents.Documents.forget",
    "openbook.stores.flat.Flat.add",
    "openbook.stores.flat.Flat.remove",
    "openbook.stores.flat.Flat.optimize",
    "openbook.indexing.Indexer._keep",
)


class AddChangeRenameDeleteKill(RuleBasedStateMachine):
    """After any sequence of changes, adds and kills, one more add gives a book that equals a fresh one."""

    names = st.sampled_from([f"{folder}{name}" for folder in ("", "sub/") for name in ("a.txt", "b.md", "c.csv")])

    @initialize()
    def begin(self) -> None:
        self.temporary = tempfile.TemporaryDirectory()
        root = Path(self.temporary.name)
        self.documents = root / "documents"
        (self.documents / "sub").mkdir(parents=True)
        write(self.documents / "always.txt", "There is one file.")
        self.target = root / "book"
        self.book = Book.open(self.target, LIGHT, create=True)
        self.clock = 1

    @rule(name=names, words=st.integers(1, 40), which=st.sampled_from("xy"))
    def write(self, name: str, words: int, which: str) -> None:
        lines = "\n".join(f"{which}{number} of fishes," for number in range(words))
        path = self.documents / name
        path.write_text(f"id,text\n{lines}" if name.endswith("csv") else lines, encoding="utf-8")
        self.clock += 1  # a change within one tick of the clock, of the same length, cannot be seen
        os.utime(path, ns=(self.clock, self.clock))

    @rule(name=names)
    def delete(self, name: str) -> None:
        (self.documents / name).unlink(missing_ok=True)

    @rule(name=names, other=names)
    def rename(self, name: str, other: str) -> None:
        if (self.documents / name).exists() and name[-1] == other[-1]:
            (self.documents / name).rename(self.documents / other)

    @rule()
    def add(self) -> None:
        self.book.add(self.documents)
        assert state(self.book) == fresh(self.documents)

    @rule(name=names)
    def remove(self, name: str) -> None:
        if str(self.documents / name) in {file.path for file in self.book.documents.files()}:
            self.book.remove([str(self.documents / name)])

    @rule(step=st.sampled_from(STEPS), after=st.booleans(), at=st.integers(1, 2))
    def killed(self, step: str, after: bool, at: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            where, _, name = step.rpartition(".")
            module, _, owner = where.rpartition(".")
            cls = getattr(sys.modules[module], owner)
            real, calls = getattr(cls, name), [0]

            def stop(*args: Any, **options: Any) -> Any:
                calls[0] += 1
                if calls[0] == at and not after:
                    raise Killed
                result = real(*args, **options)
                if calls[0] == at:
                    raise Killed
                return result

            patch.setattr(cls, name, stop)
            try:
                self.book.add(self.documents)
            except Killed:
                self.book.close()
                self.book = Book.open(self.target)

    @rule()
    @precondition(lambda self: hasattr(self, "book"))
    def rebuild(self) -> None:
        self.book.rebuild()

    @invariant()
    def is_sound(self) -> None:
        if hasattr(self, "book"):
            sound(self.book)

    def teardown(self) -> None:
        if hasattr(self, "book"):
            self.book.close()
            self.temporary.cleanup()


AddChangeRenameDeleteKill.TestCase.settings = settings(max_examples=12, stateful_step_count=12)
TestAddChangeRenameDeleteKill = pytest.mark.slow(AddChangeRenameDeleteKill.TestCase)


KILLED = """
import sys
import openbook.indexing as indexing
from openbook import Book
indexing.EMBED_WINDOW, indexing.COMMIT_CHUNKS = 16, 64
print("ready", flush=True)
with Book.open(sys.argv[1]) as book:
    book.add([sys.argv[2]])
"""


@pytest.mark.slow
@pytest.mark.parametrize("store", ["flat", "lance"])
def test_killed_twenty_times_while_a_mixed_folder_changes_the_book_equals_a_fresh_one(
    tmp_path: Path, store: str
) -> None:
    recipe = LIGHT.with_step("store", store)
    documents, target = tmp_path / "documents", tmp_path / "killed"
    (documents / "sub").mkdir(parents=True)
    chance = random.Random(11)
    Book.open(target, recipe, create=True).close()

    def change() -> None:
        for number in chance.sample(range(60), 15):
            path = documents / ("sub" if number % 2 else "") / f"{number}.{('txt', 'md', 'html', 'csv')[number % 4]}"
            kind = chance.choice(["write", "write", "delete", "rename"])
            if kind == "write" or not path.exists():
                lines = "\n".join(f"{chance.random()}, a dark night" for _ in range(chance.randrange(1, 60)))
                path.write_text(f"id,text\n{lines}", encoding="utf-8")
            elif kind == "delete":
                path.unlink()
            else:
                path.rename(path.with_name(f"moved{chance.random()}{path.suffix}"))

    for _ in range(20):
        change()
        with running("-c", KILLED, target, documents) as process:
            assert line_of(process) == "ready"
            time.sleep(chance.uniform(0.05, 1.5))
        with Book.open(target) as book:
            sound(book)
    with Book.open(target) as book:
        book.add([documents])
        sound(book)
        assert state(book) == fresh(documents, recipe)


def test_an_archive_of_nothing_that_can_be_read_is_passed_over_as_such_files_are(book: Book, folder: Path) -> None:
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        archive.writestr("whale.jpg", b"\xff\xd8\xff")
    (folder / "whale.jpg").write_bytes(b"\xff\xd8\xff")
    added = book.add(folder)
    assert sorted(added.skipped) == [str(folder / "photos.zip"), str(folder / "whale.jpg")]
    assert added.failed == added.partial == []


def test_an_empty_file_of_a_folder_is_passed_over_and_one_that_was_emptied_is_named(book: Book, folder: Path) -> None:
    (folder / "__init__.py").touch()
    added = book.add(folder)
    assert (added.skipped, added.failed) == ([str(folder / "__init__.py")], [])
    (folder / "1.txt").write_text("", encoding="utf-8")
    assert "is empty" in book.add(folder).failed[0].reason
    assert "is empty" in book.add(folder / "__init__.py").failed[0].reason
