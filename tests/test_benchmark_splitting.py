"""The benchmark of splitting judges by where the answer stands, and embeds each text once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from openbook.embedders.hashed import Hashed
from openbook.types import Chunk, Kind, Passage, Vectors

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from sets import Question, holds, mostly, run_of_verses
from splitting import Vault, scores


def chunk(start: int, end: int, document_id: str = "a") -> Chunk:
    return Chunk(document_id, start, end, "x" * (end - start))


def test_a_chunk_is_right_when_it_has_half_of_the_gold() -> None:
    right = holds({"a": [(100, 200)]}, 0.5)
    assert right(chunk(0, 150))
    assert right(chunk(120, 170))
    assert not right(chunk(0, 149))
    assert not right(chunk(100, 200, "b"))


def test_a_chunk_is_on_the_page_that_most_of_it_is_on() -> None:
    assert mostly(chunk(50, 150), {"a": [(100, 200)]})
    assert not mostly(chunk(0, 150), {"a": [(100, 200)]})


def test_scores_are_right_among_the_first_and_among_the_first_characters() -> None:
    passages = [Passage(chunk(1000 * n, 1000 * n + 1000), 1.0, "") for n in range(10)]
    assert scores(Question("?", lambda one: one.start == 2000), passages) == [0.0, 1.0, 1.0, 0.0, 1 / 3]
    assert scores(Question("?", lambda one: one.start == 1000), passages) == [0.0, 1.0, 1.0, 1.0, 1 / 2]
    assert scores(Question("?", lambda one: False), passages) == [0.0] * 5


def test_a_run_of_verses_is_each_of_them() -> None:
    verses = {"1John1:1": (0, 5), "1John1:2": (5, 9), "1John1:4": (9, 12)}
    assert list(run_of_verses("1 John 1:1-4", verses)) == [(0, 5), (5, 9), (9, 12)]


class Counting(Hashed):
    """Notes what it embeds."""

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        embedded.extend(texts)
        return super().embed(texts, kind)


embedded: list[str] = []


def test_each_text_is_embedded_once_and_its_vector_is_the_embedders(tmp_path: Path) -> None:
    vault = Vault(Counting(), tmp_path)
    vault.vectors(["fish", "whale"], "document")
    found = vault.vectors(["whale", "shark", "fish", "whale"], "document")
    assert embedded == ["fish", "whale", "shark"]
    assert (found == Hashed().embed(["whale", "shark", "fish", "whale"], "document")).all()
