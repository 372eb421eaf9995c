"""Promises of the stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from contracts import DIM, OpenStore, StoreContract
from openbook.stores.flat import Flat
from openbook.stores.lance import Lance
from openbook.types import Store


class TestFlat(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        with ExitStack() as opened:

            def open_store() -> Store:
                return opened.enter_context(closing(Flat(tmp_path, DIM)))

            yield open_store


class TestLance(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        with ExitStack() as opened:

            def open_store() -> Store:
                return opened.enter_context(closing(Lance(tmp_path, DIM)))

            yield open_store
