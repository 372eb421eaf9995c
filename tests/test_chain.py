"""A recipe with a model for each step: each has a process of its own, and none is left."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from openbook import Book, Recipe
from openbook.errors import ModelError
from openbook.llms.llamacpp import LlamaCpp
from openbook.recipe import Spec
from openbook.registry import llm_spec

VERSES = {
    "fish": "Now the LORD had prepared a great fish to swallow up Jonah. Jonah was in the fish for three days.",
    "storm": "But the LORD sent out a great wind into the sea. There was a mighty tempest in the sea.",
    "gourd": "And the LORD God prepared a gourd. Jonah was exceeding glad of the gourd.",
}


def chain(weights: Path, judge: str, answers: str) -> Recipe:
    """Judged by one spec, compressed by another of the same weights, answered by a third."""
    recipe = Recipe(refiners=()).with_step("embedder", "hashed").with_step("store", "flat")
    recipe = recipe.with_step("llm", answers).with_step("refiners", f"llm-rerank(margin=100.0, llm={judge!r})")
    return recipe.with_step("prompt", "cited")


@pytest.fixture
def texts(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.txt" for name in VERSES]
    for path in paths:
        path.write_text(VERSES[path.stem], encoding="utf-8")
    return paths


def pids(book: Book) -> dict[str, int]:
    """The process of each model of a book that runs one, by its spec."""
    found = {}
    for spec, llm in book._opened.models.items():
        if isinstance(llm, LlamaCpp) and llm._client is not None and llm._client.server is not None:
            found[str(spec)] = llm._client.server.pid
    return found


def runs(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


@pytest.fixture
def specs(weights: Path) -> tuple[str, str]:
    return f"llamacpp(model={str(weights)!r}, context=1024)", f"llamacpp(model={str(weights)!r}, context=2048)"


@pytest.mark.models
@pytest.mark.skipif(os.name != "posix", reason="signals")
class TestChain:
    def test_two_models_are_two_processes_that_end_with_the_book(
        self, weights: Path, texts: list[Path], specs: tuple[str, str], tmp_path: Path
    ) -> None:
        judge, answers = specs
        with Book.open(tmp_path / "book", chain(weights, judge, answers), create=True) as book:
            book.add(texts)
            answer = book.ask("Who swallowed Jonah?", max_tokens=12)
            started = pids(book)
            assert {Spec.parse(text) for text in started} == {Spec.parse(judge), Spec.parse(answers)}
            assert len(set(started.values())) == 2
            assert all(map(runs, started.values()))
            assert {passage.via for passage in answer.passages} == {"rerank"}
        assert not any(map(runs, started.values()))

    def test_equal_specs_share_one_process(
        self, weights: Path, texts: list[Path], specs: tuple[str, str], tmp_path: Path
    ) -> None:
        with Book.open(tmp_path / "book", chain(weights, specs[0], specs[0]), create=True) as book:
            book.add(texts)
            book.ask("Who swallowed Jonah?", max_tokens=12)
            assert list(pids(book)) == [str(llm_spec(specs[0]))]

    def test_a_third_model_that_cannot_load_is_one_line_and_leaves_no_process(
        self, weights: Path, texts: list[Path], specs: tuple[str, str], tmp_path: Path
    ) -> None:
        damaged = tmp_path / "damaged.gguf"
        damaged.write_bytes(weights.read_bytes()[:2_000_000])
        recipe = chain(weights, specs[0], f"llamacpp(model={str(damaged)!r}, context=512)")
        with Book.open(tmp_path / "book", recipe, create=True) as book:
            book.add(texts)
            with pytest.raises(ModelError, match=r"^[^\n]+$"):
                book.ask("Who swallowed Jonah?", max_tokens=12)
            started = pids(book)
        assert not any(map(runs, started.values()))
