from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from contracts import RefinerContract
from openbook import Book, Recipe
from openbook.embedders.hashed import Hashed
from openbook.errors import SpecError
from openbook.llms.quote import Quote
from openbook.refiners.compress import Compress, Sentence, chosen, shared_words
from openbook.refiners.compress_llm import CompressLLM
from openbook.refiners.diverse import Diverse
from openbook.refiners.duplicates import Duplicates
from openbook.refiners.neighbours import Neighbours
from openbook.refiners.per_source import PerSource
from openbook.refiners.stretches import ends, sentences
from openbook.stores.flat import Flat
from openbook.types import Chunk, Document, Kind, Message, Passage, Refiner, Stream, Usage, Vectors

Library = dict[str, Document]


def hit(document: Document, text: str, score: float = 1.0, name: str = "d") -> Passage:
    """The first place of a text in a document, as a passage."""
    start = document.text.index(text)
    place = document.place(start, start + len(text))
    return Passage(Chunk(name, start, start + len(text), text, place), score, "bm25", (document.source,))


def texts(passages: list[Passage]) -> list[str]:
    return [one.chunk.text for one in passages]


class TestDuplicates(RefinerContract):
    @pytest.fixture
    def refiner(self, library: Library) -> Refiner:
        return Duplicates()


class TestPerSource(RefinerContract):
    @pytest.fixture
    def refiner(self, library: Library) -> Refiner:
        return PerSource(n=1)

    def test_the_best_of_each_document_stay_in_order(self) -> None:
        document = Document("one two three four", "a.txt")
        given = [hit(document, text, name=name) for text, name in (("one", "a"), ("two", "a"), ("one", "b"))]
        assert PerSource(n=1)("q", given, 5) == [given[0], given[2]]
        assert PerSource(n=2)("q", given, 5) == given

    def test_a_number_that_makes_no_sense_is_refused(self) -> None:
        with pytest.raises(SpecError, match="n must be 1 or more"):
            PerSource(n=0)


@dataclass
class Counting(Hashed):
    """Keeps what it was asked for."""

    texts: list[str] = field(default_factory=list)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        self.texts += texts
        return Hashed.embed(self, texts, kind)


@pytest.fixture
def store(tmp_path: Path) -> Generator[Flat]:
    with closing(Flat(tmp_path / "store", Hashed().dim)) as empty:
        yield empty


class TestDiverse(RefinerContract):
    @pytest.fixture
    def refiner(self, library: Library, store: Flat) -> Refiner:
        return Diverse(Hashed(), store)

    def test_what_says_the_same_comes_later(self, store: Flat) -> None:
        said = ["the fish swallowed Jonah", "the fish swallowed Jonah whole", "wine of the king's vineyard"]
        given = [Passage(Chunk(str(n), 0, len(text), text), 3.0 - n / 2, "bm25") for n, text in enumerate(said)]
        assert texts(Diverse(Hashed(), store, weight=1.0)("q", given, 3)) == [said[0], said[2], said[1]]
        assert Diverse(Hashed(), store, weight=0)("q", given, 3) == given

    def test_vectors_that_the_store_has_are_not_made_again(self, store: Flat) -> None:
        said = ["the fish swallowed Jonah", "the fish swallowed Jonah whole", "wine of the king's vineyard", "a ship"]
        given = [Passage(Chunk("ab"[n % 2], n, n + len(text), text), -n, "bm25") for n, text in enumerate(said)]
        fresh = Diverse(Hashed(), store, weight=1.0)("q", given, 3)
        store.add([one.chunk for one in given[:3]], Hashed().embed(said[:3], "document"))
        asked = Counting()
        assert Diverse(asked, store, weight=1.0)("q", given, 3) == fresh
        assert asked.texts == ["a ship"]

    def test_scores_of_different_steps_are_not_compared(self, store: Flat) -> None:
        said = ["the fish swallowed Jonah", "wine of the vineyard", "three days and nights"]
        given = [
            Passage(Chunk(str(n), 0, len(text), text), n, "bm25" if n else "rerank") for n, text in enumerate(said)
        ]
        assert Diverse(Hashed(), store, weight=0.01)("q", given, 3) == given

    def test_a_weight_that_makes_no_sense_is_refused(self, store: Flat) -> None:
        with pytest.raises(SpecError, match="weight must be 0 or more"):
            Diverse(Hashed(), store, weight=-1)


STORY = "Jonah fled. He found a ship. A storm rose. The fish swallowed him. He prayed. It spat him out. He went."


class TestNeighbours(RefinerContract):
    @pytest.fixture
    def refiner(self, library: Library) -> Refiner:
        return Neighbours(lambda one: library[one.chunk.document_id], size=200)

    @staticmethod
    def widened(document: Document, *found: Passage, size: int, k: int = 3) -> list[Passage]:
        return Neighbours(lambda _: document, size)("q", list(found), k)

    def test_whole_sentences_are_added_on_both_sides(self) -> None:
        document = Document(STORY, "a.txt")
        (found,) = self.widened(document, hit(document, "The fish swallowed him."), size=60)
        assert found.chunk.text == "A storm rose. The fish swallowed him. He prayed."

    def test_room_that_one_side_does_not_need_is_the_others(self) -> None:
        document = Document(STORY, "a.txt")
        (found,) = self.widened(document, hit(document, "Jonah fled."), size=45)
        assert found.chunk.text == "Jonah fled. He found a ship. A storm rose."

    def test_hits_that_touch_are_one_passage_at_the_best_ones_rank(self) -> None:
        document = Document(STORY, "a.txt", marks=((0, "page 1"), (STORY.index("It spat"), "page 2")))
        other = hit(Document("Wine.", "b.txt"), "Wine.", 2)
        best, near = hit(document, "The fish swallowed him.", 3), hit(document, "He went.", 1)
        documents = {"d": document, "e": Document("Wine.", "b.txt")}
        refine = Neighbours(lambda one: documents[one.chunk.document_id], size=60)
        other = Passage(Chunk("e", 0, 5, "Wine."), 2, "bm25", ("b.txt",))
        found = refine("q", [best, other, near], 3)
        assert texts(found) == [
            "A storm rose. The fish swallowed him. He prayed. It spat him out. He went.",
            "Wine.",
        ]
        assert (found[0].score, found[0].chunk.place) == (3, "page 1-2")

    def test_a_hit_between_two_passages_joins_them(self) -> None:
        document = Document(STORY, "a.txt")
        hits = [hit(document, text) for text in ("Jonah fled.", "A storm rose.", "He found a ship.")]
        assert texts(self.widened(document, *hits, size=5)) == ["Jonah fled. He found a ship. A storm rose."]

    def test_no_more_hits_are_widened_than_make_k_passages(self) -> None:
        document = Document("\n\n".join(f"Number {n} is here. It says {n}." for n in range(50)), "a.txt")
        read = []

        def look(passage: Passage) -> Document:
            read.append(passage)
            return document

        hits = [hit(document, f"Number {n} is here.", name=str(n)) for n in range(0, 50, 2)]
        found = Neighbours(look, size=60)("q", hits, 3)
        assert [one.chunk.document_id for one in found] == ["0", "2", "4"]
        assert len(read) == 4

    def test_in_tables_and_code_whole_lines_are_added(self) -> None:
        rows = "\n".join(f"| Item No. {n}. | {n}.50 |" for n in range(9))
        document = Document(f"Prices.\n\n{rows}\n", "a.md", parts=((0, "text"), (9, "table")))
        (found,) = self.widened(document, hit(document, "| Item No. 4. | 4.50 |"), size=100)
        assert found.chunk.text == "\n".join(f"| Item No. {n}. | {n}.50 |" for n in (3, 4, 5))

    def test_text_without_full_stops_is_cut_between_words(self) -> None:
        document = Document(" ".join(f"word{n}" for n in range(90)), "a.txt")
        (found,) = self.widened(document, hit(document, "word40"), size=40)
        assert found.chunk.text == "word38 word39 word40 word41 word42"

    def test_what_is_large_enough_stays_as_it_is(self) -> None:
        document = Document(STORY, "a.txt")
        found = hit(document, "He prayed.")
        assert self.widened(document, found, size=10) == [found]

    def test_a_size_that_makes_no_sense_is_refused(self) -> None:
        with pytest.raises(SpecError, match="size must be 1 or more"):
            Neighbours(lambda _: Document("", ""), size=0)


class TestCompress(RefinerContract):
    @pytest.fixture
    def refiner(self, library: Library) -> Refiner:
        return Compress(Hashed(), lambda one: library[one.chunk.document_id])

    @staticmethod
    def compressed(document: Document, question: str, *found: Passage, keep: float, k: int = 3) -> list[str]:
        return texts(Compress(Hashed(), lambda _: document, keep)(question, list(found), k))

    def test_the_sentence_that_answers_is_kept(self) -> None:
        document = Document(STORY, "a.txt")
        found = self.compressed(document, "What swallowed him?", hit(document, STORY), keep=0.3)
        assert found == ["The fish swallowed him."]

    def test_the_other_passages_give_their_room_to_the_one_that_answers(self) -> None:
        said = ["Rain fell. It was cold. Nobody came.", "A fish came. The fish swallowed Jonah. Jonah was in the fish."]
        document = Document("\n\n".join(said), "a.txt")
        given = [hit(document, text) for text in said]
        assert self.compressed(document, "Which fish swallowed Jonah?", *given, keep=0.7) == [said[1]]

    @pytest.mark.parametrize(
        ("text", "question", "expected"),
        [
            (
                "Er floh. Der Fisch verschlang ihn. Es regnete.",
                "Welche Fische verschlangen ihn?",
                "Der Fisch verschlang ihn.",
            ),
            ("他逃走了。大鱼吞了约拿。天下雨了。", "谁吞了约拿？", "大鱼吞了约拿。"),
        ],
    )
    def test_other_languages_have_sentences_too(self, text: str, question: str, expected: str) -> None:
        document = Document(text, "a.txt")
        assert self.compressed(document, question, hit(document, text), keep=0.6) == [expected]

    def test_a_table_is_kept_whole_or_left_out(self) -> None:
        table = "| Item No. 1. | a fish. |\n| No. 2. | bread. |"
        text = f"It rained a lot that day, and so on. Nobody came.\n\n{table}\n\nHe left."
        parts = ((0, "text"), (text.index("|"), "table"), (text.index("He"), "text"))
        document = Document(text, "a.md", parts=parts)
        assert self.compressed(document, "Which item is a fish?", hit(document, text), keep=0.6) == [table]
        assert self.compressed(document, "Who left?", hit(document, text), keep=0.1) == ["He left."]

    def test_what_is_kept_has_its_own_place(self) -> None:
        document = Document(STORY, "a.txt", marks=((0, "page 1"), (STORY.index("It spat"), "page 2")))
        (found,) = Compress(Hashed(), lambda _: document, 0.3)("What swallowed him?", [hit(document, STORY)], 3)
        assert found.chunk.place == "page 1"

    def test_the_best_sentence_is_kept_even_if_it_is_too_long(self) -> None:
        document = Document(STORY, "a.txt")
        found = self.compressed(document, "What swallowed him?", hit(document, STORY), keep=0.01)
        assert found == ["The fish swallowed him."]

    def test_everything_is_everything(self) -> None:
        document = Document(STORY, "a.txt")
        assert self.compressed(document, "What?", hit(document, STORY), keep=1) == [STORY]

    @pytest.mark.parametrize("keep", [0, 1.5, -1.0])
    def test_a_share_that_makes_no_sense_is_refused(self, keep: float) -> None:
        with pytest.raises(SpecError, match="keep must be above 0 and at most 1"):
            Compress(Hashed(), lambda _: Document("", ""), keep)

    @pytest.mark.parametrize("keep", [0.3, 0.5, 0.8])
    def test_no_more_than_the_share_is_kept(self, keep: float) -> None:
        document = Document(STORY, "a.txt")
        kept = self.compressed(document, "Who fled from the storm?", hit(document, STORY), keep=keep)
        assert 0 < sum(map(len, kept)) <= keep * len(STORY)

    def test_forty_passages_take_milliseconds_and_a_document_is_read_once(self) -> None:
        document = Document(STORY * 200, "a.txt")
        given = [Passage(Chunk("d", n * 400, n * 400 + 400, STORY * 4), 1, "bm25") for n in range(40)]
        read = []

        def look(passage: Passage) -> Document:
            read.append(passage)
            return document

        began = time.process_time()
        Compress(Hashed(), look)("What swallowed him?", given, 5)
        assert time.process_time() - began < 2
        assert len(read) == 1


@dataclass(frozen=True)
class Picking(Quote):
    """A model that answers what it is told to, and keeps what it was asked."""

    answer: str = ""
    asked: list[str] = field(default_factory=list)  # words and grammar

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        self.asked.extend((messages[-1].content, grammar))
        yield self.answer
        yield Usage()


class TestCompressLLM(RefinerContract):
    @pytest.fixture
    def refiner(self, library: Library) -> Refiner:
        return CompressLLM(Quote(), lambda one: library[one.chunk.document_id])

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            ("[4]", ["The fish swallowed him."]),
            ("[4][6]", ["The fish swallowed him. He prayed. It spat him out."]),
            ("[1][8]", ["Jonah fled.", "Rain fell."]),
            ("none", [STORY, "Rain fell. It was cold."]),
            ("[99]", [STORY, "Rain fell. It was cold."]),
        ],
    )
    def test_the_stretch_of_what_is_picked_is_kept(self, answer: str, expected: list[str]) -> None:
        document = Document(f"{STORY}\n\nRain fell. It was cold.", "a.txt")
        llm = Picking(answer=answer)
        refine = CompressLLM(llm, lambda _: document)
        found = refine("What swallowed him?", [hit(document, STORY), hit(document, "Rain fell. It was cold.")], 3)
        assert texts(found) == expected
        words, grammar = llm.asked
        assert words.splitlines()[3] == "[4] The fish swallowed him."
        assert grammar.startswith("root ::= number{1,5}")

    def test_a_number_that_makes_no_sense_is_refused(self) -> None:
        with pytest.raises(SpecError, match="most must be 1 or more"):
            CompressLLM(Quote(), lambda _: Document("", ""), 0)


def test_the_price_of_a_character_shares_the_room_between_passages() -> None:
    good, poor = Sentence(0, 10, 3.0), Sentence(0, 10, 1.0)
    assert chosen([[poor], [good]], 10) == [None, (0, 10)]
    assert chosen([[poor], [good]], 20) == [(0, 10), (0, 10)]
    assert chosen([[good, Sentence(11, 20, -5.0), good._replace(start=21, end=31)]], 31) == [(0, 31)]


def test_a_rare_word_counts_more_than_one_that_is_everywhere() -> None:
    weights = shared_words("the fish", ["the ship", "the fish", "the storm"])
    assert weights[1] > weights[0] == weights[2] > 0


def test_sentences_are_spans_without_white_space_and_code_keeps_its_indentation() -> None:
    text = "One. Two.\n\n    def a():\n        return 1\n\nThree."
    code = text.index("    def")
    document = Document(text, "a.md", parts=((0, "text"), (code, "code"), (text.index("Three"), "text")))
    found = [text[start:end] for start, end in sentences(document, 0, len(text))]
    assert found == ["One.", "Two.", "    def a():\n        return 1", "Three."]


def test_a_full_stop_at_the_edge_is_looked_at_with_what_follows() -> None:
    document = Document("It cost 3.50 in all. Dr. No paid.", "a.txt")
    assert ends(document, 0, 10) == [2, 7]  # words: neither '3.' nor '3.5' ends a sentence
    assert ends(document, 0, 24) == [20]


def test_a_book_shows_less_with_exact_offsets(tmp_path: Path) -> None:
    recipe = Recipe().with_step("embedder", "hashed").with_step("store", "flat")
    recipe = recipe.with_step("refiners", "duplicates + per-source(n=2) + neighbours(size=300) + compress(keep=0.4)")
    (tmp_path / "a.txt").write_text(f"{'It rained all day. ' * 30}{STORY} {'It was cold at night. ' * 30}", "utf-8")
    with Book.open(tmp_path / "book", recipe.with_step("splitter", "sentences(size=100)"), create=True) as book:
        book.add(tmp_path / "a.txt")
        found = book.search("Which fish swallowed him?", 2)
        assert any("The fish swallowed him." in one.chunk.text for one in found)
        for one in found:
            assert book.document(one).text[one.chunk.start : one.chunk.end] == one.chunk.text


CHAINS = (
    ("compress", "neighbours", "duplicates"),
    ("per-source", "compress", "compress"),
    ("neighbours", "diverse", "compress", "neighbours", "per-source"),
    ("diverse", "compress", "duplicates", "neighbours", "neighbours"),
)


class TestChain(RefinerContract):
    """Refiners after each other, in orders that nobody would write."""

    @pytest.fixture(params=CHAINS, ids=" + ".join)
    def refiner(self, request: pytest.FixtureRequest, library: Library, store: Flat) -> Refiner:
        def look(passage: Passage) -> Document:
            return library[passage.chunk.document_id]

        made: dict[str, Refiner] = {
            "compress": Compress(Hashed(), look),
            "neighbours": Neighbours(look, size=200),
            "duplicates": Duplicates(),
            "diverse": Diverse(Hashed(), store),
            "per-source": PerSource(n=2),
        }

        def chain(question: str, passages: list[Passage], k: int) -> list[Passage]:
            for name in request.param:
                passages = made[name](question, passages, k)
            return passages

        return chain
