"""Promises of the retrievers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import DIM, chunk, unit
from openbook import registry
from openbook.errors import SpecError
from openbook.recipe import Spec
from openbook.retrievers.bm25 import Bm25
from openbook.retrievers.dense import Dense
from openbook.retrievers.hybrid import Hybrid, standardized
from openbook.stores.flat import Flat
from openbook.types import Chunk, Passage, Retriever, Store, Vectors


@dataclass
class Prepared:
    """A store that finds what it was told to, and counts what it was asked."""

    meaning: Sequence[float] = ()  # score of chunk 0, 1, ...
    words: Sequence[tuple[int, float]] = ()  # (number of the chunk, score)
    asked: list[str] = field(default_factory=list)

    def nearest(
        self, vector: Vectors, k: int, *, within: Collection[str] | None = None, exact: bool = False
    ) -> list[Passage]:
        self.asked.append("nearest")
        return [Passage(chunk(number), score, "dense") for number, score in enumerate(self.meaning)][:k]

    def match(self, words: str, k: int, *, within: Collection[str] | None = None) -> list[Passage]:
        self.asked.append("match")
        return [Passage(chunk(number), score, "bm25") for number, score in self.words][:k]

    def add(self, chunks: Sequence[Chunk], vectors: Vectors) -> None: ...
    @property
    def word_forms(self) -> str:
        return ""

    def remove(self, document_ids: Iterable[str]) -> int:
        return 0

    def vectors(
        self, document_ids: Iterable[str], starts: Collection[int] | None = None
    ) -> Iterator[tuple[Chunk, Vectors]]:
        yield from ()

    def optimize(self, language: str = "") -> None: ...
    def chunks(self) -> Iterator[Chunk]:
        yield from ()

    def counts(self) -> dict[str, int]:
        return {}

    def __len__(self) -> int:
        return len(self.meaning)

    def close(self) -> None: ...


def embed(question: str) -> Vectors:
    vector: Vectors = unit(1)[0]
    return vector


def never(question: str) -> Vectors:
    raise AssertionError("the question was embedded")


def numbers(passages: list[Passage]) -> list[int]:
    return [passage.chunk.start // 100 for passage in passages]


def test_bm25_never_embeds() -> None:
    store = Prepared(meaning=[0.9], words=[(1, 3.0)])
    assert numbers(Bm25()("wine", 5, store, never)) == [1]
    assert store.asked == ["match"]


def test_dense_never_matches_words() -> None:
    store = Prepared(meaning=[0.9], words=[(1, 3.0)])
    assert numbers(Dense()("wine", 5, store, embed)) == [0]
    assert store.asked == ["nearest"]


def test_hybrid_puts_first_what_both_found() -> None:
    store = Prepared(meaning=[0.9, 0.8, 0.1], words=[(3, 9.0), (1, 8.0), (4, 1.0)])
    found = Hybrid()("wine", 3, store, embed)
    assert numbers(found)[0] == 1
    assert {passage.via for passage in found} == {"hybrid"}
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)


def test_hybrid_is_the_order_of_one_side_when_the_other_found_nothing() -> None:
    assert numbers(Hybrid()("?", 9, Prepared(meaning=[0.9, 0.5, 0.1]), embed)) == [0, 1, 2]
    assert numbers(Hybrid()("?", 9, Prepared(words=[(2, 3.0), (0, 2.0), (1, 1.0)]), embed)) == [2, 0, 1]
    assert Hybrid()("?", 9, Prepared(), embed) == []


def test_a_side_that_scores_all_alike_has_no_say() -> None:
    store = Prepared(meaning=[0.9, 0.5, 0.1], words=[(2, 0.1 + 0.2), (1, 0.3), (0, 0.3)])
    assert numbers(Hybrid(weight=100)("?", 9, store, embed)) == [0, 1, 2]


def test_equal_scores_are_in_the_order_of_the_documents() -> None:
    store = Prepared(meaning=[0.5, 0.5, 0.5], words=[(2, 1.0), (1, 1.0), (0, 1.0)])
    assert numbers(Hybrid()("?", 9, store, embed)) == [0, 1, 2]


def test_weight_nothing_is_the_order_of_dense() -> None:
    store = Prepared(meaning=[0.9, 0.8, 0.7, 0.6], words=[(3, 99.0), (2, 1.0)])
    assert numbers(Hybrid(weight=0)("?", 4, store, embed)) == [0, 1, 2, 3]


def test_a_chunk_one_side_did_not_find_gets_the_lowest_score_of_that_side() -> None:
    chunks = [chunk(0), chunk(1), chunk(2)]
    first, second, third = standardized({chunks[0]: 3.0, chunks[1]: 1.0}, chunks)
    assert second == third < 0 < first
    assert first + second + third == pytest.approx(0)


def test_a_pool_smaller_than_k_still_gives_k() -> None:
    assert len(Hybrid(pool=1)("?", 4, Prepared(meaning=[0.9, 0.8, 0.7, 0.6]), embed)) == 4


def test_with_a_phrase_only_what_holds_it_is_found_and_meaning_orders_it() -> None:
    store = Prepared(meaning=[0.9, 0.8, 0.7, 0.6], words=[(3, 9.0), (2, 9.0)])
    assert numbers(Hybrid()('wine "at Cana"', 9, store, embed)) == [2, 3]
    assert Hybrid()('"at Cana"', 9, Prepared(meaning=[0.9, 0.8]), embed) == []


@pytest.mark.parametrize("name", ["bm25", "hybrid"])
def test_a_phrase_is_found_in_a_real_store(name: str, tmp_path: Path) -> None:
    store: Store = Flat(tmp_path, DIM)
    texts = ["the great fish", "a great king, and a fish", "great", "fish of the great"]
    store.add([chunk(number, text, f"d{number}") for number, text in enumerate(texts)], unit(4))
    retriever: Retriever = registry.make("retriever", Spec(name))
    assert numbers(retriever('the "great fish"', 9, store, embed)) == [0]
    assert retriever('the "great fish"', 9, store, embed, within={"d1"}) == []
    store.close()


def test_no_passages_wanted_none_given() -> None:
    assert Hybrid()("wine", 0, Prepared(meaning=[0.9]), never) == []


@pytest.mark.parametrize("spec", ["hybrid(weight=-1.0)", "hybrid(pool=0)", "hybrid(weight='x')"])
def test_impossible_options_are_refused(spec: str) -> None:
    with pytest.raises(SpecError, match="must be"):
        registry.make("retriever", Spec.parse(spec))


SCORE = st.floats(-1, 1, allow_nan=False)


@settings(max_examples=100)
@given(meaning=st.lists(SCORE, max_size=8), words=st.lists(st.tuples(st.integers(0, 12), SCORE), max_size=8))
def test_hybrid_gives_every_chunk_found_once_best_first(meaning: list[float], words: list[tuple[int, float]]) -> None:
    words = list(dict(words).items())
    found = Hybrid()("?", 99, Prepared(sorted(meaning, reverse=True), words), embed)
    assert sorted(numbers(found)) == sorted({*range(len(meaning)), *(number for number, _ in words)})
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)


@pytest.mark.parametrize("name", ["dense", "bm25", "hybrid"])
def test_every_retriever_searches_a_real_store(name: str, tmp_path: Path) -> None:
    store: Store = Flat(tmp_path, DIM)
    store.add([chunk(0, "wine and bread"), chunk(1, "a great fish"), chunk(2, "the king")], unit(3))
    retriever: Retriever = registry.make("retriever", Spec(name))
    found = retriever("Who drank wine?", 2, store, embed)
    assert found[0].chunk == chunk(0, "wine and bread")
    assert len(found) <= 2
    assert {passage.via for passage in found} == {name}
    store.close()
