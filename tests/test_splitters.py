"""Splitters: exact slices, well filled, cut where a reader would pause."""

from __future__ import annotations

import re
import time
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import RANDOM, SplitterContract
from openbook import registry
from openbook.demo import kjv
from openbook.errors import SpecError
from openbook.recipe import Spec
from openbook.splitters.chars import Chars
from openbook.types import Document, Splitter

WORDY = st.lists(
    st.tuples(
        st.text("abcé前", min_size=1, max_size=12),
        st.sampled_from([" ", ". ", "\n", "\n\n", "? ", ", ", "\t", "\u3000"]),
    ),
    max_size=120,
).map(lambda pairs: "".join(word + gap for word, gap in pairs))


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


def cut(text: str, size: int, overlap: int = 0) -> list[str]:
    return [chunk.text for chunk in Chars(size=size, overlap=overlap)(Document(text, "a"), "")]


def test_a_paragraph_end_comes_before_a_fuller_chunk() -> None:
    assert cut("One two three four.\n\nFive six. Seven eight nine ten.", 34) == [
        "One two three four.",
        "Five six. Seven eight nine ten.",
    ]


def test_a_line_end_comes_before_a_sentence_end() -> None:
    assert cut("1 In the beginning of it all.\n2 A. Then more followed", 34) == [
        "1 In the beginning of it all.",
        "2 A. Then more followed",
    ]


def test_a_line_end_of_wrapped_text_counts_no_more_than_a_space() -> None:
    assert cut("A fish that swims\nin the sea. It has\nfins and scales.", 31)[0] == "A fish that swims\nin the sea."


def test_a_heading_stays_with_what_follows() -> None:
    text = "A first paragraph of some length here.\n\nOF WHALES\n\nThe whale is the largest of all."
    assert cut(text, 55)[0] == "A first paragraph of some length here."
    assert cut(text, 55)[1].startswith("OF WHALES")


def test_chinese_and_thai_are_cut_at_sentence_ends_or_between_characters() -> None:
    assert cut("鱼在海里游泳。它吃海草和小虾。船在海上航行。" * 2, 20)[0] == "鱼在海里游泳。它吃海草和小虾。"
    assert [len(chunk) for chunk in cut("鱼" * 50, 20)] == [20, 20, 10]
    assert [len(chunk) for chunk in cut("a " + "鱼" * 50, 20)] == [20, 20, 12]


def test_an_accent_stays_with_its_letter() -> None:
    for chunk in cut("e\u0301\u0323" * 100, 20):
        assert not unicodedata.combining(chunk[0])


@RANDOM
@given(text=WORDY)
def test_no_word_is_cut_that_fits(text: str) -> None:
    for chunk in Chars(size=30, overlap=9)(Document(re.sub("前", "x", text), "a"), ""):
        assert chunk.start == 0 or text[chunk.start - 1].isspace()
        assert chunk.end == len(text) or text[chunk.end].isspace()


@RANDOM
@given(text=WORDY, overlap=st.integers(0, 29))
def test_an_overlap_is_never_longer_than_asked_and_each_chunk_goes_on(text: str, overlap: int) -> None:
    chunks = list(Chars(size=30, overlap=overlap)(Document(text, "a"), ""))
    for one, following in pairwise(chunks):
        assert one.start < following.start
        assert one.end < following.end
        assert one.end - following.start <= overlap


def test_an_overlap_is_about_as_long_as_asked_and_begins_a_sentence_or_word(bible: Document) -> None:
    chunks = list(Chars(size=500, overlap=100)(bible, ""))
    overlaps = [one.end - following.start for one, following in pairwise(chunks)]
    assert 80 < sum(overlaps) / len(overlaps) <= 100
    assert min(overlaps) > 60
    assert all(bible.text[chunk.start - 1].isspace() for chunk in chunks[1:])


def test_the_bible_gives_few_and_well_filled_chunks(bible: Document) -> None:
    chunks = list(Chars()(bible, ""))
    assert max(len(chunk.text) for chunk in chunks) <= 500
    assert 8_500 < len(chunks) < 9_700
    fish = next(chunk for chunk in chunks if "a great fish" in chunk.text)
    assert fish.place.startswith("Jonah 1:")
    assert fish.place.endswith("17")


@pytest.mark.parametrize(
    "spec", ["chars(size=19)", "chars(size=0)", "chars(size=100, overlap=100)", "chars(overlap=-1)"]
)
def test_sizes_that_make_no_sense_are_refused(spec: str) -> None:
    with pytest.raises(SpecError, match="must be at least"):
        registry.make("splitter", Spec.parse(spec))


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10_000_000,
        " " * 10_000_000,
        "\n" * 10_000_000,
        "word " * 2_000_000,
        "a\u0301" * 1_000_000,
        "鱼" * 5_000_000,
    ],
)
@pytest.mark.parametrize("overlap", [0, 250])
def test_odd_texts_take_no_longer_than_their_length(text: str, overlap: int) -> None:
    began = time.process_time()
    for _ in Chars(overlap=overlap)(Document(text, "a"), ""):
        pass
    assert time.process_time() - began < 40  # a quadratic splitter takes minutes


@pytest.fixture(scope="module")
def bible(tmp_path_factory: pytest.TempPathFactory) -> Document:
    (document,) = registry.make("reader", Spec("text"))(kjv(Path(tmp_path_factory.mktemp("bible"))))
    assert isinstance(document, Document)
    return document
