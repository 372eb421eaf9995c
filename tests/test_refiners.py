from __future__ import annotations

import time
from pathlib import Path

import pytest

from openbook import Book, Recipe
from openbook.errors import SpecError
from openbook.refiners.duplicates import Duplicates
from openbook.types import Chunk, Passage

LONG = "The Company believes its existing balances of cash will be sufficient to satisfy its needs over the next months"


def passage(text: str, source: str, score: float = 1.0) -> Passage:
    return Passage(Chunk(source, 0, len(text), text), score, "bm25", (source,))


def test_equal_passages_are_shown_once_with_all_sources_the_best_first() -> None:
    found = Duplicates()("q", [passage(LONG, "a", 3), passage("another text", "b", 2), passage(LONG, "c", 1)], 5)
    assert [one.sources for one in found] == [("a", "c"), ("b",)]
    assert found[0].score == 3


def test_nearly_equal_ones_too() -> None:
    near = f"{LONG * 3} and beyond"
    assert len(Duplicates()("q", [passage(LONG * 3, "a"), passage(near, "b")], 5)) == 1
    assert len(Duplicates(similarity=1.0)("q", [passage(LONG * 3, "a"), passage(near, "b")], 5)) == 2


def test_case_and_white_space_make_no_difference() -> None:
    assert len(Duplicates()("q", [passage(LONG, "a"), passage(LONG.upper().replace(" ", "\n"), "b")], 5)) == 1


def test_another_number_is_another_passage() -> None:
    first, second = (passage(f"{LONG * 3}: {number} million", str(number)) for number in (82959, 94836))
    assert Duplicates()("q", [first, second], 5) == [first, second]


@pytest.mark.parametrize(
    ("one", "other", "count"), [("", "", 1), ("!", "?", 2), ("Amen", "amen", 1), ("a b", "a c", 2)]
)
def test_short_texts_are_compared_too(one: str, other: str, count: int) -> None:
    assert len(Duplicates()("q", [passage(one, "a"), passage(other, "b")], 5)) == count


def test_the_same_source_is_named_once() -> None:
    (found,) = Duplicates()("q", [passage(LONG, "a"), passage(LONG, "a")], 5)
    assert found.sources == ("a",)


@pytest.mark.parametrize("similarity", [0, 1.1, -1.0])
def test_a_similarity_that_makes_no_sense_is_refused(similarity: float) -> None:
    with pytest.raises(SpecError, match="similarity must be above 0 and at most 1"):
        Duplicates(similarity)


def test_a_hundred_passages_take_milliseconds() -> None:
    passages = [passage(" ".join(f"word{n * m % 97}" for m in range(90)), str(n)) for n in range(100)]
    began = time.process_time()
    Duplicates()("q", passages, 5)
    assert time.process_time() - began < 2  # 10 ms on a quiet machine


def test_a_book_finds_k_different_passages_and_the_copy_when_the_first_is_removed(tmp_path: Path) -> None:
    recipe = Recipe(refiners=()).with_step("refiners", "duplicates").with_step("embedder", "hashed")
    recipe = recipe.with_step("store", "flat")
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.txt").write_text(f"{LONG * 4}. {name}", encoding="utf-8")
    (tmp_path / "d.txt").write_text("Cash is kept in a bank over the next months.", encoding="utf-8")
    with Book.open(tmp_path / "book", recipe, create=True) as book:
        book.add(tmp_path / f"{name}.txt" for name in "abcd")
        found = book.search("cash over the next months", 2)
        assert len(found) == 2
        assert sorted(len(one.sources) for one in found) == [1, 3]
        copies = next(one.sources for one in found if len(one.sources) == 3)
        book.remove([copies[0]])
        again = book.search("cash over the next months", 2)
        assert {source for one in again for source in one.sources if "d.txt" not in source} == set(copies[1:])
