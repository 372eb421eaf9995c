"""Promises of the check: what it says of an index is so."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from contracts import DIM, chunk, unit
from openbook.checking import SAMPLE, index_recall
from openbook.stores.flat import Flat
from openbook.types import Passage, Vectors


class Forgetful(Flat):
    """Finds only every second of the nearest."""

    def nearest(
        self, vector: Vectors, k: int, *, within: Collection[str] | None = None, exact: bool = False
    ) -> list[Passage]:
        return super().nearest(vector, k, within=within, exact=exact)[::2]


def test_exact_search_has_a_recall_of_one(tmp_path: Path) -> None:
    with closing(Flat(tmp_path, DIM)) as store:
        store.add([chunk(number, document_id=f"d{number % 90}") for number in range(300)], unit(300))
        recall, sampled = index_recall(store, [f"d{number}" for number in range(90)])
    assert recall == 1.0
    assert sampled == SAMPLE


def test_what_an_index_misses_is_missing_from_its_recall(tmp_path: Path) -> None:
    with closing(Forgetful(tmp_path, DIM)) as store:
        store.add([chunk(number) for number in range(300)], unit(300))
        assert index_recall(store, ["d"])[0] == pytest.approx(0.5)


def test_any_of_many_copies_is_as_good_as_another(tmp_path: Path) -> None:
    class Other(Flat):
        """Takes the last of those that are equally near."""

        def nearest(
            self, vector: Vectors, k: int, *, within: Collection[str] | None = None, exact: bool = False
        ) -> list[Passage]:
            found = super().nearest(vector, 99, within=within)
            return sorted(found, key=lambda passage: (-round(passage.score, 4), -passage.chunk.start))[:k]

    with closing(Other(tmp_path, DIM)) as store:
        store.add([chunk(number) for number in range(60)], np.repeat(unit(2), 30, axis=0))
        assert index_recall(store, ["d"]) == (1.0, SAMPLE)


def test_an_empty_store_and_one_of_fewer_than_ten_chunks_are_checked(tmp_path: Path) -> None:
    with closing(Flat(tmp_path, DIM)) as store:
        assert index_recall(store, []) == (1.0, 0)
        store.add([chunk(number) for number in range(3)], unit(3))
        assert index_recall(store, ["d"]) == (1.0, 3)
