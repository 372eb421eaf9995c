"""Splitters: exact slices, well filled, cut where a reader would pause."""

from __future__ import annotations

from typing import ClassVar

import pytest

from contracts import SplitterContract
from openbook.splitters.chars import Chars
from openbook.types import Splitter


class TestChars(SplitterContract):
    size: ClassVar[int] = 20

    @pytest.fixture
    def splitter(self) -> Splitter:
        return Chars(size=20)


class TestCharsWithOverlap(SplitterContract):
    size: ClassVar[int] = 24

    @pytest.fixture
    def splitter(self) -> Splitter:
        return Chars(size=24, overlap=23)
