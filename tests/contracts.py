"""One class of promises for each protocol, inherited by every backend's test.

A backend's test gives a fixture and inherits the promises:

    class TestFlat(StoreContract):
        @pytest.fixture
        def open_store(self, tmp_path: Path) -> Iterator[OpenStore]: ...
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Barrier, Thread
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openbook.completing import complete
from openbook.errors import ModelError
from openbook.recipe import Recipe
from openbook.splitters.structure import Structure
from openbook.text import apply
from openbook.types import (
    LLM,
    Chunk,
    Cleaner,
    Document,
    Embedder,
    Message,
    Passage,
    Reader,
    Refiner,
    Splitter,
    Store,
    Unread,
    Usage,
    Vectors,
)

OpenStore = Callable[[], Store]
"""Opens the store in the test's folder, DIM numbers a vector; calling it again opens it again."""

DIM = 8

WORDS = [
    "wine",
    "vineyard",
    "Jonah",
    "fish",
    "swallowed",
    "three",
    "days",
    "nights",
    "ark",
    "covenant",
    "Pharaoh",
    "river",
    "plague",
    "locust",
    "king",
    "David",
]

WEIGHTLESS = ("--set", "embedder=hashed", "--set", "store=flat", "--set", "llm=quote")
"""Options of a command: components that need no model."""

RANDOM = settings(
    max_examples=60,
    # A promise is inherited by many test classes, each with a fixture of its own.
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
    ],
)


def chunk(number: int, text: str = "", document_id: str = "d") -> Chunk:
    text = text or f"{WORDS[number % len(WORDS)]} number{number}"
    return Chunk(document_id, number * 100, number * 100 + len(text), text, f"line {number}")


def unit(count: int, seed: int = 0, dim: int = DIM) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    rows: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return rows


class StoreContract:
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        raise NotImplementedError

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Store:
        return open_store()

    def test_a_new_store_is_empty_and_finds_nothing(self, store: Store) -> None:
        assert len(store) == 0
        assert store.nearest(unit(1)[0], 5) == []
        assert store.match("wine", 5) == []
        assert list(store.chunks()) == []
        assert store.remove(["nothing"]) == 0
        store.optimize()

    def test_nearest_is_exact_cosine_best_first(self, store: Store) -> None:
        vectors = unit(50)
        store.add([chunk(i) for i in range(50)], vectors)
        found = store.nearest(vectors[7], 5)
        expected = np.argsort(-(vectors @ vectors[7]), kind="stable")[:5]
        assert [passage.chunk for passage in found] == [chunk(int(i)) for i in expected]
        assert [passage.score for passage in found] == pytest.approx((vectors @ vectors[7])[expected], abs=1e-3)
        assert {passage.via for passage in found} == {"dense"}

    def test_chunks_come_back_field_by_field(self, store: Store) -> None:
        odd = Chunk("ü'\"%", 3, 9, 'a "b" c\n\t☃ \\ \'; --', "§ 7", "Fish > 'Big' ones")
        store.add([odd, chunk(1)], unit(2))
        assert sorted(store.chunks(), key=lambda c: c.start) == [odd, chunk(1)]
        assert store.nearest(unit(2)[0], 1)[0].chunk == odd

    def test_match_finds_words_best_first(self, store: Store) -> None:
        texts = [
            "the vineyard and the wine",
            "a great fish swallowed Jonah",
            "wine wine wine for the king",
            "nothing here",
        ]
        store.add([chunk(i, text) for i, text in enumerate(texts)], unit(4))
        assert [passage.chunk.start for passage in store.match("jonah", 3)] == [100]
        found = store.match("wine", 3)
        assert [passage.chunk.start for passage in found] == [200, 0]
        assert found[0].score > found[1].score
        assert {passage.via for passage in found} == {"bm25"}

    def test_match_knows_other_forms_of_an_english_word(self, store: Store) -> None:
        store.add([chunk(0, "they were swallowing fishes"), chunk(1, "the king of Israel")], unit(2))
        assert [passage.chunk.start for passage in store.match("fish swallowed", 2)] == [0]

    @pytest.mark.parametrize(
        "question",
        [
            "",
            " ",
            "?",
            '"',
            "'",
            "AND",
            "NOT",
            "a OR",
            "wine*",
            "(",
            "^wine",
            "col:wine",
            "-wine",
            "wine~2",
            "☃",
            "\x00",
            "'; drop",
            '"wine" "',
            '""',
            '"?"',
            '"wine AND" OR "bread*"',
            '" wine "bread"',
            '"\x00 wine"',
            "„wine“ “bread” «fish» »ark«",
            '"' * 99,
        ],
    )
    def test_match_takes_any_string(self, store: Store, question: str) -> None:
        store.add([chunk(0, "wine and bread")], unit(1))
        store.match(question, 3)

    def test_match_ignores_punctuation_around_words(self, store: Store) -> None:
        store.add([chunk(0, "wine, and bread."), chunk(1, "fish")], unit(2))
        assert [p.chunk.start for p in store.match("'Who: drank (the) WINE?!'", 3)] == [0]

    @pytest.mark.parametrize(
        "quoted", ['"net revenue"', "“net revenue”", "„net revenue“", "«net revenue»", "»net revenue«"]
    )
    def test_words_in_quotes_must_be_there_in_that_order(self, store: Store, quoted: str) -> None:
        texts = [
            "the net revenue of the year",
            "revenue net of tax, revenue of the year and revenue again",
            "gross and net, and revenue",
            "Net-Revenue: rose!",
        ]
        store.add([chunk(i, text) for i, text in enumerate(texts)], unit(4))
        for _ in range(2):  # before and after it is indexed
            assert {p.chunk.start for p in store.match(quoted, 9)} == {0, 300}
            store.optimize()

    def test_words_beside_a_phrase_need_not_be_there_but_count(self, store: Store) -> None:
        texts = ["net revenue fell", "net revenue rose in Norway", "Norway and its fish"]
        store.add([chunk(i, text) for i, text in enumerate(texts)], unit(3))
        assert [p.chunk.start for p in store.match('Was there "net revenue" in Norway?', 9)] == [100, 0]

    def test_all_phrases_must_be_there(self, store: Store) -> None:
        texts = ["the great fish swallowed the king of Nineveh", "a great fish", "the king of Nineveh"]
        store.add([chunk(i, text) for i, text in enumerate(texts)], unit(3))
        assert [p.chunk.start for p in store.match('"great fish" "king of Nineveh"', 9)] == [0]
        assert store.match('"great king"', 9) == []

    def test_a_phrase_is_found_in_any_form_of_its_words(self, store: Store) -> None:
        store.add([chunk(0, "the great fishes"), chunk(1, "fish are great")], unit(2))
        assert [p.chunk.start for p in store.match('"great fish"', 9)] == [0]

    @pytest.mark.parametrize("words", ['wine "bread', 'a 3" wine and a 5" bread', '" wine bread', "wine «bread"])
    def test_a_quote_that_is_not_closed_is_a_character(self, store: Store, words: str) -> None:
        store.add([chunk(0, "wine"), chunk(1, "bread")], unit(2))
        assert {p.chunk.start for p in store.match(words, 9)} == {0, 100}

    def test_match_knows_word_forms_of_the_language_the_store_was_optimized_for(self, store: Store) -> None:
        store.add([chunk(0, "die Häuser des Königs"), chunk(1, "der Fisch im Fluss")], unit(2))
        assert store.word_forms == "en"
        store.optimize("de")
        assert store.word_forms in {"de", ""}
        assert [p.chunk.start for p in store.match("Haus", 2)] == [0]
        assert [p.chunk.start for p in store.match("Fische", 2)] == [100]
        store.add([chunk(2, "alte Häuser")], unit(1))
        assert {p.chunk.start for p in store.match("Haus", 3)} == {0, 200}
        store.optimize()  # as it was
        assert {p.chunk.start for p in store.match("Haus", 3)} == {0, 200}
        store.optimize("en")
        assert [p.chunk.start for p in store.match("fishes", 3)] == []
        store.add([chunk(3, "they were swallowing fishes")], unit(1))
        assert [p.chunk.start for p in store.match("fish swallowed", 3)] == [300]

    @pytest.mark.parametrize("language", ["fr", "ru", "zh", "ja", "pl", "xx", ""])
    def test_words_are_found_as_written_in_every_language(self, open_store: OpenStore, language: str) -> None:
        store = open_store()
        store.add([chunk(0, "Прекрасный zamek wśród wzgórz, café"), chunk(1, "inny")], unit(2))
        store.optimize(language)
        store.close()
        again = open_store()
        for word in ("прекрасный", "zamek", "wzgórz", "cafe"):
            assert [p.chunk.start for p in again.match(word, 2)] == [0]
        assert [p.chunk.start for p in again.match('"zamek wśród wzgórz"', 2)] == [0]

    def test_a_new_store_can_be_opened_by_several_at_once(self, open_store: OpenStore) -> None:
        stores = [open_store() for _ in range(4)]
        barrier = Barrier(len(stores))

        def use(store: Store) -> int:
            barrier.wait()
            return len(store.match("wine", 1))

        with ThreadPoolExecutor(len(stores)) as pool:
            assert list(pool.map(use, stores)) == [0] * len(stores)
        stores[0].add([chunk(0, "wine")], unit(1))
        assert [one.match("wine", 1)[0].chunk.start for one in stores] == [0] * len(stores)

    def test_k_larger_than_the_store_gives_all_and_zero_gives_none(self, store: Store) -> None:
        store.add([chunk(0, "wine"), chunk(1, "wine")], unit(2))
        assert len(store.nearest(unit(1)[0], 10)) == 2
        assert len(store.match("wine", 10)) == 2
        assert len(store.nearest(unit(1)[0], 10**30)) == 2
        assert len(store.match("wine", 10**30)) == 2
        assert store.nearest(unit(1)[0], 0) == []
        assert store.match("wine", 0) == []

    def test_remove_returns_the_number_of_chunks(self, store: Store) -> None:
        store.add(
            [chunk(i, document_id="a") for i in range(3)] + [chunk(i, document_id="b'") for i in range(2)], unit(5)
        )
        assert store.remove(["a", "missing"]) == 3
        assert {c.document_id for c in store.chunks()} == {"b'"}
        assert len(store) == 2
        assert {p.chunk.document_id for p in store.nearest(unit(1)[0], 9)} == {"b'"}
        assert all(p.chunk.document_id == "b'" for p in store.match(" ".join(WORDS), 9))
        assert store.remove(["b'"]) == 2
        assert len(store) == 0
        assert store.nearest(unit(1)[0], 9) == []

    def test_what_was_added_is_there_after_opening_again(self, open_store: OpenStore) -> None:
        first = open_store()
        first.add([chunk(0), chunk(1)], unit(2))
        first.close()
        first.close()
        again = open_store()
        assert sorted(again.chunks(), key=lambda c: c.start) == [chunk(0), chunk(1)]
        again.add([chunk(2)], unit(1, seed=3))
        assert len(again) == 3
        assert again.nearest(unit(1, seed=3)[0], 1)[0].chunk == chunk(2)

    def test_an_open_reader_sees_what_a_second_one_added(self, open_store: OpenStore) -> None:
        reader, writer = open_store(), open_store()
        assert len(reader) == 0
        writer.add([chunk(0, "wine")], unit(1))
        assert len(reader) == 1
        assert [p.chunk for p in reader.nearest(unit(1)[0], 3)] == [chunk(0, "wine")]
        assert [p.chunk for p in reader.match("wine", 3)] == [chunk(0, "wine")]

    def test_adding_in_many_pieces_equals_adding_at_once(self, store: Store) -> None:
        vectors = unit(30)
        for start in range(0, 30, 7):
            store.add([chunk(i) for i in range(start, min(start + 7, 30))], vectors[start : start + 7])
        store.optimize()
        assert len(store) == 30
        for number in (0, 13, 29):
            assert store.nearest(vectors[number], 1)[0].chunk == chunk(number)
            assert store.match(f"number{number}", 1)[0].chunk == chunk(number)

    def test_adding_nothing_changes_nothing(self, store: Store) -> None:
        store.add([], unit(0))
        assert len(store) == 0

    def test_vectors_that_do_not_fit_the_chunks_are_refused(self, store: Store) -> None:
        for vectors in (unit(1), unit(3), unit(2, dim=DIM + 1)):
            with pytest.raises(ValueError, match="shape"):
                store.add([chunk(0), chunk(1)], vectors)
        assert len(store) == 0

    def test_a_question_is_any_of_its_words_and_the_rare_ones_count(self, store: Store) -> None:
        texts = [
            "who was the king by the river",
            "a great fish had swallowed him up",
            "he was a great man by a great king",
        ]
        store.add([chunk(i, text) for i, text in enumerate(texts)], unit(3))
        assert store.match("Who was swallowed by a great fish?", 3)[0].chunk.start == 100

    def test_words_come_back_from_the_same_words_without_accents(self, store: Store) -> None:
        store.add([chunk(0, "the café of Zoë"), chunk(1, "the king")], unit(2))
        assert [p.chunk.start for p in store.match("cafe zoe", 2)] == [0]

    def test_context_is_found_but_is_no_part_of_the_text(self, store: Store) -> None:
        one = Chunk("d", 5, 17, "it was deep.", "page 1", "Whales > Dive")
        store.add([one, chunk(1), chunk(2)], unit(3))
        assert [passage.chunk for passage in store.match("whale", 5)] == [one]
        assert [passage.chunk for passage in store.match("deep", 5)] == [one]

    def test_a_search_may_be_limited_to_some_documents(self, store: Store) -> None:
        names = ["a'b", "c", "d"]
        chunks = [chunk(number, "fish", names[number % 3]) for number in range(60)]
        vectors = unit(60)
        store.add(chunks, vectors)
        for within in ([], ["c"], {"a'b", "d"}, names, ["unknown"]):
            expected = [one for one in chunks if one.document_id in within]
            assert {passage.chunk for passage in store.match("fish", 99, within=within)} == set(expected)
            found = [passage.chunk for passage in store.nearest(vectors[4], 7, within=within)]
            scores = vectors @ vectors[4]
            assert found == sorted(expected, key=lambda one: -scores[one.start // 100])[:7]

    def test_a_filter_follows_what_is_removed_and_added(self, store: Store) -> None:
        store.add([chunk(number, "fish", "abc"[number % 3]) for number in range(9)], unit(9))
        assert len(store.nearest(unit(1)[0], 9, within={"a", "b"})) == 6
        store.remove(["a"])
        store.add([chunk(20 + number, "fish", "b") for number in range(2)], unit(2, seed=1))
        for _ in range(2):
            assert {p.chunk.document_id for p in store.nearest(unit(1)[0], 9, within={"a", "b"})} == {"b"}
            assert len(store.match("fish", 9, within={"a", "b"})) == 5
            assert len(list(store.vectors(["a", "b"]))) == 5
            assert store.match("fish", 9, within={"a"}) == store.nearest(unit(1)[0], 9, within={"a"}) == []
            store.optimize()

    def test_a_filter_may_name_very_many_documents(self, store: Store) -> None:
        store.add([chunk(number, "fish", f"d{number}") for number in range(50)], unit(50))
        within = {f"d{number}" for number in range(10, 100_000)}
        assert len(store.nearest(unit(1)[0], 99, within=within)) == 40
        assert len(store.match("fish", 99, within=within)) == 40

    def test_vectors_come_back_with_their_chunks(self, store: Store) -> None:
        chunks, vectors = [chunk(number, "", "abc"[number % 3]) for number in range(9)], unit(9)
        store.add(chunks, vectors)
        found = dict(store.vectors(["a", "c", "unknown"]))
        assert set(found) == {one for one in chunks if one.document_id in "ac"}
        for one, vector in found.items():
            assert vector == pytest.approx(vectors[one.start // 100], abs=1e-6)
        assert not list(store.vectors([]))

    def test_vectors_of_chunks_that_begin_at_some_places_come_alone(self, store: Store) -> None:
        chunks = [chunk(number, "", "abc"[number % 3]) for number in range(9)]
        store.add(chunks, unit(9))
        for documents, places, expected in (("ab", (0, 4, 5, 9), (0, 4)), ("abc", range(9), range(9)), ("ab", (), ())):
            found = {one for one, _ in store.vectors(documents, {100 * place for place in places})}
            assert found == {chunks[number] for number in expected}

    def test_counts_are_by_document(self, store: Store) -> None:
        assert store.counts() == {}
        store.add([chunk(number, "", "aab"[number % 3]) for number in range(9)], unit(9))
        assert store.counts() == {"a": 6, "b": 3}
        store.remove(["a"])
        assert store.counts() == {"b": 3}

    def test_a_document_can_be_replaced(self, store: Store) -> None:
        store.add([chunk(0, "wine"), chunk(1, "fish")], unit(2))
        store.optimize()
        store.remove(one for one in ["d"])
        store.add([chunk(2, "bread")], unit(1, seed=1))
        assert list(store.chunks()) == [chunk(2, "bread")]
        assert store.match("wine fish", 5) == []
        assert [p.chunk for p in store.nearest(unit(1)[0], 5)] == [chunk(2, "bread")]

    def test_many_documents_can_be_removed_at_once(self, store: Store) -> None:
        store.add([chunk(i, document_id=f"d{i}") for i in range(10)], unit(10))
        assert store.remove([f"d{i}" for i in range(1, 5000)]) == 9
        assert [c.document_id for c in store.chunks()] == ["d0"]

    def test_a_long_question_is_a_question(self, store: Store) -> None:
        store.add([chunk(0, "wine"), chunk(1, "fish")], unit(2))
        question = " ".join(f"word{i}" for i in range(3000)) + " wine" * 3000
        assert [p.chunk.start for p in store.match(question, 2)] == [0]

    def test_threads_may_search_while_another_adds(self, store: Store) -> None:
        store.add([chunk(0, "wine")], unit(1))

        def work(number: int) -> None:
            if number == 3:
                store.add([chunk(number, "bread")], unit(1, seed=3))
            assert store.nearest(unit(1)[0], 1)[0].chunk.start == 0
            assert [p.chunk.start for p in store.match("wine", 3)] == [0]
            assert len(list(store.chunks())) in (1, 2)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(12)))
        assert len(store) == 2


TEXT = st.text(st.sampled_from("ab .\n\t,é☃𝒳。!?") | st.characters(codec="utf-8"), max_size=400)


class SplitterContract:
    """Give `splitter`, and `size` when no chunk may be longer."""

    size: ClassVar[int] = 0

    @pytest.fixture
    def splitter(self) -> Splitter:
        raise NotImplementedError

    @RANDOM
    @given(text=TEXT)
    def test_every_chunk_is_its_slice_and_only_white_space_is_left_out(self, splitter: Splitter, text: str) -> None:
        document = Document(text, "a.txt", marks=((0, "top"),))
        chunks = list(splitter(document, "id"))
        covered = bytearray(len(text))
        for one in chunks:
            assert one.text == text[one.start : one.end]
            assert one.text.strip()
            assert (one.document_id, one.place) == ("id", "top")
            assert not self.size or len(one.text) <= self.size
            covered[one.start : one.end] = b"x" * (one.end - one.start)
        assert [one.start for one in chunks] == sorted({one.start for one in chunks})
        assert not "".join(c for c, seen in zip(text, covered, strict=True) if not seen).strip()

    @RANDOM
    @given(text=TEXT, steps=st.lists(st.integers(0, 60), max_size=20))
    def test_a_chunk_has_the_place_of_its_characters(self, splitter: Splitter, text: str, steps: list[int]) -> None:
        offsets = [sum(steps[: i + 1]) for i in range(len(steps))]
        marks = tuple((offset, f"page {number}") for number, offset in enumerate(offsets, 1) if offset <= len(text))
        document = Document(text, "a.txt", marks=marks)
        for one in splitter(document, "id"):
            assert one.place == document.place(one.start, one.end)

    def test_an_empty_document_has_no_chunks(self, splitter: Splitter) -> None:
        assert list(splitter(Document("", "a"), "id")) == []
        assert list(splitter(Document(" \n\t ", "a"), "id")) == []

    def test_a_text_without_spaces_or_punctuation_is_split_too(self, splitter: Splitter) -> None:
        chunks = list(splitter(Document("x" * 10_000, "a"), "id"))
        assert "".join(one.text for one in chunks).count("x") >= 10_000
        assert len(chunks) > 1
        assert not self.size or max(len(one.text) for one in chunks) <= self.size

    def test_the_same_document_is_split_the_same_way_twice(self, splitter: Splitter) -> None:
        document = Document("One two three. " * 300, "a")
        assert list(splitter(document, "id")) == list(splitter(document, "id"))


class EmbedderContract:
    """Give `embedder`; set `meaning` to False for one that only knows spelling."""

    meaning: ClassVar[bool] = True

    @pytest.fixture
    def embedder(self) -> Embedder:
        raise NotImplementedError

    def test_vectors_have_length_one_and_the_promised_shape(self, embedder: Embedder) -> None:
        vectors = embedder.embed(["wine", "a great fish", "x " * 700], "document")
        assert vectors.shape == (3, embedder.dim)
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-3)

    def test_no_texts_give_no_rows(self, embedder: Embedder) -> None:
        assert embedder.embed([], "document").shape == (0, embedder.dim)

    @pytest.mark.parametrize("text", ["", " ", "\x00", "☃", "\ud800", "\n" * 50])
    def test_any_string_can_be_embedded(self, embedder: Embedder, text: str) -> None:
        vector = embedder.embed([text], "query")
        assert vector.shape == (1, embedder.dim)
        assert np.isfinite(vector).all()

    def test_a_text_gets_the_same_vector_alone_and_among_others(self, embedder: Embedder) -> None:
        texts = ["short", "a much longer text " * 40, "wine of the vineyard", "short", "Jonah and the fish " * 11] * 5
        together = embedder.embed(texts, "document")
        alone = np.concatenate([embedder.embed([text], "document") for text in texts])
        # A batch is padded to its longest text, which may move the last bits of an int8 model; see its decision page.
        assert (together * alone).sum(axis=1).min() > 0.99

    def test_order_is_kept(self, embedder: Embedder) -> None:
        texts = [f"text about {word} " * (20 - i) for i, word in enumerate(WORDS)]
        vectors = embedder.embed(texts, "document")
        again = embedder.embed(texts[::-1], "document")[::-1]
        assert (vectors @ again.T).argmax(axis=1).tolist() == list(range(len(texts)))

    def test_the_end_of_a_long_text_counts(self, embedder: Embedder) -> None:
        long = "The king built a house of cedar. " * 200
        first, second = embedder.embed([long, long + "Sharks swim in the ocean. " * 30], "document")
        assert first @ second < 0.9999

    def test_like_texts_are_near(self, embedder: Embedder) -> None:
        if not self.meaning:
            pytest.skip("knows only spelling")
        a, b, c = embedder.embed(
            ["A whale swallowed the man.", "A big fish ate him.", "Interest rates rose."], "document"
        )
        assert a @ b > a @ c + 0.1

    def test_the_fingerprint_is_a_short_constant(self, embedder: Embedder) -> None:
        assert embedder.fingerprint == embedder.fingerprint
        assert 8 <= len(embedder.fingerprint) <= 64


Write = Callable[[str, str | bytes], Path]
"""Writes a file below the test's folder; the fixture is in conftest.py."""

Copied = Callable[[Callable[[Path], object]], Path]
"""The folder of a book as that makes it, for the test alone; the fixture is in conftest.py."""

PARTS = {"text", "table", "code", "quote", "signature"}


def read(reader: Reader, path: Path) -> list[Document]:
    """The documents of a file of which every part can be read."""
    found = list(reader(path))
    assert not [part for part in found if isinstance(part, Unread)]
    return [part for part in found if isinstance(part, Document)]


def one(reader: Reader, path: Path) -> Document:
    """The document of a file that is one, of which every part can be read."""
    (document,) = read(reader, path)
    return document


class ReaderContract:
    """Give `reader` and `sample`, a file it reads."""

    @pytest.fixture
    def reader(self) -> Reader:
        raise NotImplementedError

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        raise NotImplementedError

    def test_documents_have_text_a_source_and_rising_marks(self, reader: Reader, sample: Path) -> None:
        documents = read(reader, sample)
        assert documents
        for document in documents:
            assert document.text.strip()
            assert document.source.startswith(str(sample))
            for marks in (document.marks, document.headings, document.parts):
                offsets = [offset for offset, _ in marks]
                assert offsets == sorted(offsets)
                assert all(0 <= offset < len(document.text) and label for offset, label in marks)
            assert {label for _, label in document.parts} <= PARTS
            assert all(name == name.lower() and name.isidentifier() for name in document.fields)

    def test_no_two_documents_of_a_file_have_the_same_source(self, reader: Reader, sample: Path) -> None:
        sources = [document.source for document in read(reader, sample)]
        assert len(sources) == len(set(sources))


SENTENCES = st.lists(
    st.sampled_from(
        [
            "Jonah fled to Tarshish. ",
            "The fish swallowed him!\n\n",
            "Who built the ark? ",
            "Noah did, of gopher wood",
            "鱼吞了约拿。",
            "\n- wine 3.50\n- bread",
            " \n\n ",
            "def ark():\n    return 300\n",
            "x" * 90,
        ]
    ),
    min_size=1,
    max_size=30,
).map("".join)


class RefinerContract:
    """Give `refiner`; the documents of its passages are in `library`, by id."""

    QUESTION: ClassVar[str] = "Who swallowed Jonah, and was it a fish?"

    @pytest.fixture
    def library(self) -> dict[str, Document]:
        return {}

    @pytest.fixture
    def refiner(self, library: dict[str, Document]) -> Refiner:
        raise NotImplementedError

    @staticmethod
    def found(library: dict[str, Document], texts: Sequence[str], seed: int, size: int = 120) -> list[Passage]:
        """The chunks of these texts as passages in a random order."""
        library.clear()
        library.update(
            {
                str(number): Document(
                    text, f"{number}.txt", f"Book {number}", marks=((0, "top"), (len(text) // 2, "end"))
                )
                for number, text in enumerate(texts)
                if text.strip()
            }
        )
        split = Structure(size=size)
        chunks = [one for name, document in library.items() for one in split(document, name)]
        np.random.default_rng(seed).shuffle(chunks)
        return [
            Passage(one, 1 / rank, "bm25", (library[one.document_id].source,), library[one.document_id].title, {"n": 1})
            for rank, one in enumerate(chunks, 1)
        ]

    def test_no_passages_give_none(self, refiner: Refiner) -> None:
        assert refiner(self.QUESTION, [], 3) == []

    @RANDOM
    @given(texts=st.lists(SENTENCES | TEXT, min_size=1, max_size=4), seed=st.integers(0, 99), k=st.integers(1, 12))
    def test_a_passage_is_its_slice_of_a_document_that_was_found(
        self, refiner: Refiner, library: dict[str, Document], texts: list[str], seed: int, k: int
    ) -> None:
        given = self.found(library, texts, seed)
        before = list(given)
        refined = refiner(self.QUESTION, given, k)
        assert given == before
        assert len(refined) <= len(given)
        assert bool(refined) == bool(given)
        for one in refined:
            document = library[one.chunk.document_id]
            assert one.chunk.text == document.text[one.chunk.start : one.chunk.end]
            assert one.chunk.text.strip()
            assert one.chunk.place == document.place(one.chunk.start, one.chunk.end)
            near = [hit for hit in given if hit.chunk.document_id == one.chunk.document_id]
            assert any(hit.chunk.start < one.chunk.end and one.chunk.start < hit.chunk.end for hit in near)
            assert set(one.sources) <= {source for hit in given for source in hit.sources}
            assert (one.source, one.title, one.fields) == (document.source, document.title, {"n": 1})

    @RANDOM
    @given(texts=st.lists(SENTENCES, min_size=1, max_size=4), seed=st.integers(0, 99), k=st.integers(1, 12))
    def test_no_character_is_shown_twice_and_the_same_is_shown_again(
        self, refiner: Refiner, library: dict[str, Document], texts: list[str], seed: int, k: int
    ) -> None:
        given = self.found(library, texts, seed)
        refined = refiner(self.QUESTION, given, k)
        assert refiner(self.QUESTION, given, k) == refined
        spans = sorted((one.chunk.document_id, one.chunk.start, one.chunk.end) for one in refined)
        assert all(a[0] != b[0] or a[2] <= b[1] for a, b in zip(spans, spans[1:], strict=False))

    def test_a_passage_alone_is_shown(self, refiner: Refiner, library: dict[str, Document]) -> None:
        given = self.found(library, ["The fish swallowed Jonah."], 0)
        assert refiner(self.QUESTION, given, 5) == given

    def test_any_string_is_a_question(self, refiner: Refiner, library: dict[str, Document]) -> None:
        given = self.found(library, ["The fish swallowed Jonah. He prayed. " * 9], 0)
        for question in ("", "?", "\x00", "(", "鱼", "'; drop", "Jonah " * 999):
            assert refiner(question, given, 2)


class LLMContract:
    """Give `llm`; set `chooses` to False for one that cannot say how likely a word is."""

    chooses: ClassVar[bool] = True

    MESSAGES: ClassVar[Sequence[Message]] = (
        Message("system", "You are terse."),
        Message("user", "[1] Jonah was in the belly of the fish three days.\n\nHow long was Jonah in the fish?"),
    )

    @pytest.fixture
    def llm(self) -> LLM:
        raise NotImplementedError

    def test_a_stream_is_words_and_then_one_usage(self, llm: LLM) -> None:
        *words, usage = llm.stream(self.MESSAGES, max_tokens=24)
        assert words
        assert all(isinstance(word, str) for word in words)
        assert "".join(str(word) for word in words).strip()
        assert isinstance(usage, Usage)
        assert usage.answer_tokens > 0

    def test_render_shows_every_message(self, llm: LLM) -> None:
        rendered = llm.render(self.MESSAGES)
        for message in self.MESSAGES:
            assert message.content.splitlines()[0] in rendered

    def test_count_grows_with_the_text(self, llm: LLM) -> None:
        assert llm.count("") <= 1
        assert 0 < llm.count("one two") < llm.count("one two three four five six")

    def test_a_stream_can_be_left_early_and_the_next_one_works(self, llm: LLM) -> None:
        stream = llm.stream(self.MESSAGES, max_tokens=200)
        next(stream)
        stream.close()
        assert any(isinstance(part, str) for part in llm.stream(self.MESSAGES, max_tokens=5))

    def test_each_choice_has_a_probability(self, llm: LLM) -> None:
        if not self.chooses:
            with pytest.raises(ModelError, match=r"^[^\n]+\.$"):
                llm.choose(self.MESSAGES, ["Yes", "No"])
            return
        for choices in (["Three", "Jonah", "The"], ["1", "2"], ["Hello"], []):
            found = llm.choose(self.MESSAGES, choices)
            assert len(found) == len(choices)
            assert all(0 <= probability <= 1 for probability in found)
            assert sum(found) <= 1 + 1e-6
            assert llm.choose(self.MESSAGES, choices[::-1]) == pytest.approx(found[::-1], abs=0.02)

    def test_choices_that_begin_alike_are_refused(self, llm: LLM) -> None:
        for choices in (["1", "10"], ["Yes", "yes"], ["No", ""]):
            with pytest.raises(ModelError, match=r"^[^\n]+\.$"):
                llm.choose(self.MESSAGES, choices)

    def test_it_has_a_name_and_room(self, llm: LLM) -> None:
        assert llm.name
        assert llm.context >= 512
        assert llm.parallel >= 1
        assert "\n" not in llm.remote + llm.format

    def test_streams_of_many_threads_do_not_mix(self, llm: LLM) -> None:
        alone, _ = complete(llm, self.MESSAGES, 8)
        with ThreadPoolExecutor(3) as pool:
            together = list(pool.map(lambda _: complete(llm, self.MESSAGES, 8)[0], range(3)))
        assert together == [alone] * 3

    def test_closing_twice_is_allowed(self, llm: LLM) -> None:
        llm.close()
        llm.close()


UNICODE = st.text(
    st.sampled_from("ab AZ.,;-\n\n\t1é\u0301\u0308ﬁ\xad\u200b\u200d\xa0\x08\x1b\r\ufffeÃ¼â€™☃𝒳。|") | st.characters(),
    max_size=200,
)
OFFSETS = st.lists(st.integers(0, 60), max_size=6)


def marked(text: str, steps: Sequence[int], label: str = "page") -> Document:
    """A document with marks so many characters after each other as `steps` say."""
    offsets = sorted({sum(steps[: index + 1]) for index in range(len(steps))})
    marks = tuple((offset, f"{label} {number}") for number, offset in enumerate(offsets, 1) if offset < len(text))
    return Document(text, "a.txt", marks=marks)


class CleanerContract:
    """Give `cleaner`."""

    @pytest.fixture
    def cleaner(self) -> Cleaner:
        raise NotImplementedError

    @RANDOM
    @given(text=UNICODE, steps=OFFSETS)
    def test_edits_rise_change_something_and_say_why(self, cleaner: Cleaner, text: str, steps: list[int]) -> None:
        done = 0
        for edit in cleaner(marked(text, steps)):
            assert done <= edit.start <= edit.end <= len(text)
            assert text[edit.start : edit.end] != edit.text
            assert edit.reason
            done = edit.end

    @RANDOM
    @given(text=UNICODE, steps=OFFSETS)
    def test_what_is_clean_stays_as_it_is(self, cleaner: Cleaner, text: str, steps: list[int]) -> None:
        document = marked(text, steps)
        once = apply(document, cleaner(document))
        assert list(cleaner(once)) == []

    @RANDOM
    @given(text=UNICODE, steps=OFFSETS)
    def test_marks_rise_and_keep_their_characters(self, cleaner: Cleaner, text: str, steps: list[int]) -> None:
        document = marked(text, steps)
        edits = cleaner(document)
        after = apply(document, edits)
        labels = {label: offset for offset, label in after.marks}
        assert [offset for offset, _ in after.marks] == sorted({offset for offset, _ in after.marks})
        for offset, label in document.marks:
            if label in labels and not any(edit.start <= offset < edit.end for edit in edits):
                assert after.text[labels[label]] == text[offset]

    def test_a_clean_text_is_left_alone(self, cleaner: Cleaner) -> None:
        text = "Blessed is the man.\n\nHe walks not.\n\n- one\n- two\n\na | b\n1 | 2\n\n    if x:\n        y = 1\n"
        assert list(cleaner(Document(text, "a.txt", marks=((0, "page 1"), (21, "page 2"))))) == []

    def test_an_empty_document_has_no_edits(self, cleaner: Cleaner) -> None:
        assert list(cleaner(Document("", "a.txt"))) == []


# A book without any model.
LIGHT = (
    Recipe()
    .with_step("embedder", "hashed")
    .with_step("store", "flat")
    .with_step("llm", "quote")
    .with_step("splitter", "chars(size=80)")
)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Generator[str]:
    """The address of an HTTP server on this machine, which ends with the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
