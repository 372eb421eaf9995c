"""A book keeps its promises whatever happens in between; without any model."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from openbook import Book, Recipe
from openbook.errors import BookError, ReadError, SpecError
from openbook.types import Answer, Chunk, Progress

LIGHT = (
    Recipe()
    .with_step("embedder", "hashed")
    .with_step("store", "flat")
    .with_step("llm", "quote")
    .with_step("splitter", "chars(size=200)")
)

JONAH = "Now the LORD had prepared a great fish to swallow up Jonah. And Jonah was in the belly of the fish three days."
NOAH = "And the rain was upon the earth forty days and forty nights. Noah was in the ark."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "jonah.txt").write_text(JONAH, encoding="utf-8")
    (folder / "noah.txt").write_text(NOAH, encoding="utf-8")
    return folder


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    with Book.open(tmp_path / "book", LIGHT, create=True) as book:
        yield book


def contents(book: Book) -> list[tuple[str, int, int, str]]:
    return sorted(
        (source, chunk.start, chunk.end, chunk.text)
        for source, document_id in book.documents.sources().items()
        for chunk in book.store.chunks()
        if chunk.document_id == document_id
    )


def whole(book: Book) -> None:
    """What must hold at every moment: no chunk without its document, no document without its chunks, slices exact."""
    live = dict(book.documents.all())
    chunks: list[Chunk] = list(book.store.chunks())
    assert {chunk.document_id for chunk in chunks} == set(live)
    assert len({(chunk.document_id, chunk.start) for chunk in chunks}) == len(chunks)
    for chunk in chunks:
        assert live[chunk.document_id].text[chunk.start : chunk.end] == chunk.text


def test_add_then_search_finds_the_passage_and_its_exact_characters(book: Book, folder: Path) -> None:
    summary = book.add([folder])
    assert (summary.added, summary.failed) == (2, [])
    found = book.search("great fish that swallowed Jonah", k=1)
    assert "great fish" in found[0].chunk.text
    chunk = found[0].chunk
    assert found[0].source == str(folder / "jonah.txt")
    assert book.document(found[0]).text[chunk.start : chunk.end] == chunk.text
    whole(book)


def test_ask_streams_sources_then_words_then_an_answer_that_cites(book: Book, folder: Path) -> None:
    book.add([folder])
    sources, *words, answer = book.stream("Who was in the belly of the fish?")
    assert isinstance(sources, tuple)
    assert isinstance(answer, Answer)
    assert "".join(str(word) for word in words).strip() == answer.text
    assert answer.passages == sources
    assert answer.cited
    assert all(answer.passages[number - 1] == passage for number, passage in answer.cited.items())
    assert "belly of the fish" in answer.prompt
    assert 0 < answer.timing.retrieve <= answer.timing.first_token <= answer.timing.total


def test_what_did_not_change_costs_nothing_and_what_did_is_replaced(book: Book, folder: Path) -> None:
    book.add([folder])
    again = book.add([folder])
    assert (again.added, again.updated, again.unchanged, again.chunks) == (0, 0, 2, 0)
    (folder / "noah.txt").write_text("Noah planted a vineyard.", encoding="utf-8")
    changed = book.add([folder])
    assert (changed.updated, changed.unchanged, changed.removed) == (1, 1, 0)
    assert [text for *_, text in contents(book) if "Noah" in text] == ["Noah planted a vineyard."]
    os.utime(folder / "noah.txt", (1, 1))
    assert book.add([folder]).chunks == 0
    whole(book)


def test_rows_are_documents_and_a_row_that_went_is_removed(book: Book, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(json.dumps({"_id": str(i), "text": f"row number {i}"}) + "\n" for i in range(5)), encoding="utf-8"
    )
    assert book.add([rows]).added == 5
    rows.write_text(
        "".join(json.dumps({"_id": str(i), "text": f"row number {i * i}"}) + "\n" for i in range(1, 4)),
        encoding="utf-8",
    )
    summary = book.add([rows])
    assert (summary.added, summary.updated, summary.unchanged, summary.removed) == (0, 2, 1, 2)
    assert sorted(book.documents.sources()) == [f"{rows}#{i}" for i in (1, 2, 3)]
    whole(book)
    assert book.remove([f"{rows}#2"]) == [f"{rows}#2"]
    whole(book)


def test_a_file_that_fails_costs_that_file_only(book: Book, folder: Path) -> None:
    (folder / "blank.txt").write_text(" \n", encoding="utf-8")
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 20)
    summary = book.add([folder])
    assert summary.added == 2
    assert sorted(Path(failure.path).name for failure in summary.failed) == ["binary.txt", "blank.txt"]
    assert {Path(f.path).name: f.state for f in book.status().files}["blank.txt"] == "failed"
    assert book.search("Noah")
    whole(book)


def test_half_a_surrogate_pair_is_no_traceback(book: Book, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"_id": "1\\ud800", "text": "wine \\udfff bread", "title": "\\ud800"}\n', encoding="utf-8")
    assert book.add([rows]).added == 1
    assert "bread" in book.search("wi\udcffne bread")[0].chunk.text
    whole(book)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_a_file_whose_name_is_no_text_is_named_as_failed(book: Book, folder: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("wine", encoding="utf-8")
    summary = book.add([folder])
    assert summary.added == 2
    assert [failure.reason.endswith("caf?.txt is not valid UTF-8. Rename it.") for failure in summary.failed] == [True]


def test_a_path_that_does_not_exist_is_refused_before_anything_is_added(book: Book, folder: Path) -> None:
    with pytest.raises(ReadError, match=r"nothing\.txt does not exist"):
        book.add([folder, folder / "nothing.txt"])
    assert len(book.store) == 0


@pytest.mark.parametrize("name", ["jonah.txt", "{folder}/jonah.txt"])
def test_remove_by_name_or_path(book: Book, folder: Path, name: str) -> None:
    book.add([folder])
    assert book.remove([name.format(folder=folder)]) == [str(folder / "jonah.txt")]
    assert all("Jonah" not in text for *_, text in contents(book))
    assert book.add([folder]).added == 1
    whole(book)


def test_remove_of_something_unknown_removes_nothing(book: Book, folder: Path) -> None:
    book.add([folder])
    with pytest.raises(BookError, match=r"No document of this book is called 'x\.txt'"):
        book.remove(["jonah.txt", "x.txt"])
    assert len(book.documents) == 2


def test_a_folder_can_be_removed_whole(book: Book, folder: Path) -> None:
    book.add([folder])
    assert len(book.remove([str(folder)])) == 2
    assert len(book.store) == 0


def test_an_opened_book_is_what_was_made(book: Book, folder: Path) -> None:
    book.add([folder])
    with Book.open(book.folder) as again:
        assert again.recipe == LIGHT
        assert contents(again) == contents(book)


def test_another_recipe_for_the_vectors_is_refused_with_the_command_that_rebuilds(book: Book) -> None:
    with pytest.raises(BookError, match=r"openbook rebuild -b .* --set \"embedder=hashed\(dim=64\)\""):
        Book.open(book.folder, LIGHT.with_step("embedder", "hashed(dim=64)"))
    Book.open(book.folder, LIGHT.with_step("retriever", "bm25"))


def test_rebuild_makes_it_with_another_recipe(book: Book, folder: Path) -> None:
    book.add([folder])
    other = LIGHT.with_step("embedder", "hashed(dim=64)").with_step("splitter", "chars(size=40)")
    before = len(book.store)
    assert book.rebuild(other) > before
    whole(book)
    with Book.open(book.folder) as again:
        assert again.recipe == other
        assert again.search("fish")
    assert len(list(book.folder.glob("store-*"))) == 1
    assert book.rebuild() == len(book.store)
    assert book.search("fish")


def test_an_open_reader_follows_a_rebuild_by_another_process(book: Book, folder: Path) -> None:
    book.add([folder])
    with Book.open(book.folder) as reader:
        assert reader.search("fish")
        book.rebuild(LIGHT.with_step("embedder", "hashed(dim=64)"))
        assert "fish" in reader.search("fish", k=1)[0].chunk.text


def test_one_path_need_not_be_a_list(book: Book, folder: Path) -> None:
    assert book.add(folder / "noah.txt").added == 1
    assert book.add(str(folder)).added == 1


def test_vectors_of_another_version_of_the_embedder_are_refused(book: Book, folder: Path) -> None:
    book.add([folder])
    book.close()
    manifest = book.folder / "book.toml"
    text = manifest.read_text(encoding="utf-8")
    fingerprint = book._opened.manifest.fingerprint
    manifest.write_text(text.replace(fingerprint, "0" * len(fingerprint)), encoding="utf-8")
    with Book.open(book.folder) as again, pytest.raises(BookError, match="openbook rebuild"):
        again.search("fish")


def test_a_folder_with_other_files_does_not_become_a_book(folder: Path) -> None:
    with pytest.raises(BookError, match="holds other files and is not a book"):
        Book.open(folder, LIGHT, create=True)
    with pytest.raises(BookError, match="There is no book"):
        Book.open(folder)


def test_a_making_that_was_killed_does_not_hinder_the_next(tmp_path: Path, folder: Path) -> None:
    half = tmp_path / "half"
    half.mkdir()
    for name in ("documents.db", "documents.db-journal", "book.toml.123.tmp", ".lock"):
        (half / name).touch()
    with Book.open(half, LIGHT, create=True) as book:
        assert book.add([folder]).added == 2


def test_a_wrong_recipe_makes_no_book(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        Book.open(tmp_path / "new", LIGHT.with_step("splitter", "chars(size=-3)"), create=True)
    assert not (tmp_path / "new").exists()


def test_an_empty_book_and_an_empty_question_say_what_to_do(book: Book, folder: Path) -> None:
    with pytest.raises(BookError, match="openbook add"):
        book.search("anything")
    book.add([folder])
    with pytest.raises(BookError, match="question is empty"):
        book.search("  ")


def test_the_question_is_not_embedded_for_words_alone(book: Book, folder: Path) -> None:
    book.add([folder])
    with Book.open(book.folder, LIGHT.with_step("retriever", "bm25")) as words:
        passages, timing = words.retrieve("fish")
        assert passages
        assert timing.embed == 0


def test_progress_ends_where_it_said(book: Book, tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}.txt").write_text(f"Sentence {number} of many. " * 200, encoding="utf-8")
    seen: list[Progress] = []
    summary = book.add([tmp_path / f"{number}.txt" for number in range(30)], report=seen.append)
    embedding = [progress for progress in seen if progress.step == "embed"]
    assert embedding[-1].done == embedding[-1].total == summary.chunks
    assert [progress.done for progress in embedding] == sorted(progress.done for progress in embedding)


def test_two_at_once_wait_for_each_other(book: Book, tmp_path: Path) -> None:
    files = []
    for number in range(12):
        files.append(tmp_path / f"{number}.txt")
        files[-1].write_text(f"Text of file {number}. " * 50, encoding="utf-8")
    errors: list[BaseException] = []

    def work(mine: list[Path]) -> None:
        try:
            with Book.open(book.folder) as other:
                other.add(mine)
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(files[start:],)) for start in (0, 4, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(book.documents) == 12
    whole(book)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 3 MB, where this machine lets us mount one."""
    where = tmp_path / "disk"
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(where)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    yield where
    subprocess.run(["umount", "-l", where], check=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
@pytest.mark.parametrize("store", ["flat", "lance"])
def test_a_full_disk_is_one_line_and_the_book_stays_as_it_was(small_disk: Path, tmp_path: Path, store: str) -> None:
    small, large = tmp_path / "small.txt", tmp_path / "large.txt"
    small.write_text(JONAH, encoding="utf-8")
    words = random.Random(1)
    large.write_text(" ".join(f"{words.randrange(10**9)}" for _ in range(400_000)), encoding="utf-8")
    with Book.open(small_disk / "book", LIGHT.with_step("store", store), create=True) as book:
        book.add(small)
        before = contents(book)
        with pytest.raises(BookError, match=r"(?i)disk is full|no space left") as caught:
            book.add(large)
        assert "\n" not in str(caught.value)
    with Book.open(small_disk / "book") as book:
        assert contents(book) == before
        assert "Jonah" in book.search("Jonah")[0].chunk.text
        whole(book)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_book_that_may_only_be_read_answers_and_refuses_changes(book: Book, folder: Path) -> None:
    book.add([folder])
    book.close()
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    book.folder.chmod(0o555)
    try:
        with Book.open(book.folder) as again:
            assert again.search("fish")
            with pytest.raises(BookError, match="cannot be written"):
                again.add([folder])
    finally:
        book.folder.chmod(0o755)
