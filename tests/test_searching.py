"""Searching a book that others read, rebuild and add to at the same time, and what its languages have to do with it."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contracts import LIGHT
from openbook import Book
from openbook.documents import BY_LANGUAGE, Documents
from openbook.errors import BookError
from openbook.searching import Search, Step, fused
from openbook.types import Chunk, Document, Passage, Progress

ENGLISH = (
    "Now the LORD had prepared a great fish to swallow up Jonah. And Jonah was in the belly of the fish three days. "
)
GERMAN = (
    "Aber der HERR verschaffte einen großen Fisch, Jona zu verschlingen. Und Jona war im Leibe des Fisches drei Tage. "
)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    (tmp_path / "jonah.txt").write_text(ENGLISH, encoding="utf-8")
    with Book.open(tmp_path / "book", LIGHT, create=True) as book:
        book.add(tmp_path / "jonah.txt")
        yield book


@pytest.mark.parametrize("store", ["flat", "lance"])
@pytest.mark.parametrize("embedder", ["hashed", "hashed(dim=64)"])
def test_every_thread_follows_a_rebuild_even_when_another_has_seen_it_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str, embedder: str
) -> None:
    (tmp_path / "jonah.txt").write_text(ENGLISH, encoding="utf-8")
    recipe = LIGHT.with_step("store", store)
    steps = Search.steps
    searches = 0

    def slow(search: Search, k: int, *, at_least: int = 0, refined: bool = True) -> list[Step]:
        nonlocal searches
        searches += 1
        if searches == 1:
            with Book.open(asked.folder) as other:
                other.rebuild(recipe.with_step("embedder", embedder).with_step("splitter", "chars(size=60)"))
            with ThreadPoolExecutor(1) as pool:
                pool.submit(asked.search, "fish").result()
        return steps(search, k, at_least=at_least, refined=refined)

    with Book.open(tmp_path / "book", recipe, create=True) as asked:
        asked.add(tmp_path / "jonah.txt")
        asked.search("fish")
        monkeypatch.setattr(Search, "steps", slow)
        assert "fish" in asked.search("fish", 1)[0].chunk.text
        assert all(len(passage.chunk.text) <= 60 for passage in asked.search("fish"))


def test_threads_that_ask_first_share_one_store(book: Book) -> None:
    with Book.open(book.folder) as shared:
        barrier = threading.Barrier(8)

        def ask() -> object:
            barrier.wait()
            assert shared.search("fish")
            return shared.store

        with ThreadPoolExecutor(8) as pool:
            assert len({id(done.result()) for done in [pool.submit(ask) for _ in range(8)]}) == 1


def test_a_book_that_is_deleted_meanwhile_is_one_line(book: Book) -> None:
    with Book.open(book.folder) as reader:
        reader.search("fish")
        shutil.rmtree(book.folder)
        with pytest.raises(BookError, match="no book"):
            reader.search("fish")


def test_words_are_found_without_the_embedder_in_any_language(book: Book) -> None:
    manifest = book.folder / "book.toml"
    fingerprint = book._opened.manifest.fingerprint
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace(fingerprint, "0" * len(fingerprint)), encoding="utf-8")
    question = "Wer wurde von einem großen Fisch verschluckt, war es vielleicht Jonah?"
    with Book.open(book.folder, LIGHT.with_step("retriever", "bm25")) as words:
        assert words.search(question)
    with Book.open(book.folder) as both, pytest.raises(BookError, match="openbook rebuild"):
        both.search(question)


@pytest.mark.parametrize("refiners", ["", "duplicates"])
def test_any_number_of_passages_can_be_asked_for(book: Book, refiners: str) -> None:
    with Book.open(book.folder, LIGHT.with_step("refiners", refiners)) as all_of_it:
        assert len(all_of_it.search("fish", 10**30)) == len(book.store)


def test_explaining_an_empty_book_says_so(tmp_path: Path) -> None:
    with Book.open(tmp_path / "empty", LIGHT, create=True) as empty, pytest.raises(BookError, match="is empty"):
        empty.explain("fish")


def test_explain_shows_the_ranks_by_words_of_a_question_whose_phrase_no_passage_holds(book: Book) -> None:
    rows = book.explain('"great whale" fish').rows
    assert any("bm25" in row.ranks for row in rows)


def test_an_add_that_was_stopped_before_the_index_was_made_is_ended_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "jona.txt").write_text(5 * GERMAN, encoding="utf-8")

    def stop(progress: Progress) -> None:
        if progress.step == "index":
            raise KeyboardInterrupt

    with Book.open(tmp_path / "book", LIGHT.with_step("store", "lance"), create=True) as book:
        with pytest.raises(KeyboardInterrupt):
            book.add(tmp_path / "jona.txt", report=stop)
        assert book.store.word_forms == "en"
        assert book.add(tmp_path / "jona.txt").unchanged == 1
        assert book.store.word_forms == "de"


@pytest.mark.parametrize("store", ["flat", "lance"])
def test_a_book_in_two_languages_keeps_its_word_forms_until_one_of_them_is_clearly_more(
    tmp_path: Path, store: str
) -> None:
    with Book.open(tmp_path / "book", LIGHT.with_step("store", store), create=True) as book:
        told = []
        for number, (text, times) in enumerate([(ENGLISH, 10), (GERMAN, 11), (ENGLISH, 2), (GERMAN, 2), (GERMAN, 9)]):
            (tmp_path / f"{number}.txt").write_text(times * text, encoding="utf-8")
            book.add(tmp_path / f"{number}.txt")
            told.append(book.store.word_forms)
        assert told == ["en"] * 4 + ["" if store == "flat" else "de"]


def test_languages_are_told_without_reading_every_document(tmp_path: Path) -> None:
    documents = Documents(tmp_path / "documents.db")
    documents.commit([("a", Document("wine", "a.txt", language="en"))])
    assert documents.languages() == {"en": 4}
    documents.close()
    with sqlite3.connect(tmp_path / "documents.db") as database:
        plan = database.execute(
            "EXPLAIN QUERY PLAN SELECT language, sum(characters) FROM documents GROUP BY language"
        ).fetchone()
        assert BY_LANGUAGE.split()[5] in plan[-1]
        assert "COVERING" in plan[-1]
    database.close()


def passage(name: str) -> Passage:
    return Passage(Chunk("d", 0, 1, name), 1.0, "dense")


def test_rankings_are_put_together_by_rank_and_each_chunk_is_there_once() -> None:
    found = fused([[passage("a"), passage("b"), passage("c")], [passage("b"), passage("d")]])
    assert [one.chunk.text for one in found] == ["b", "a", "d", "c"]
    assert [round(one.score, 4) for one in found] == [0.1742, 0.0909, 0.0833, 0.0769]
    assert {one.via for one in found} == {"fused"}
