"""Splitters that know more of a text than its characters: structure, sentences, tokens, code."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import PARTS, RANDOM, TEXT, SplitterContract
from openbook import Book, Recipe, registry
from openbook.demo import kjv
from openbook.embedders.hashed import Hashed
from openbook.embedders.minilm import MiniLM
from openbook.errors import SpecError
from openbook.fitting import fitting
from openbook.recipe import Spec
from openbook.splitters.chars import Chars
from openbook.splitters.code import Code
from openbook.splitters.sentences import Sentences
from openbook.splitters.structure import LONGEST_COLUMNS, LONGEST_CONTEXT, Structure
from openbook.splitters.tokens import Tokens
from openbook.text import sentence_ends
from openbook.types import Document, Marks, Splitter

words = Hashed().tokens


def letters(text: str) -> list[tuple[int, int]]:
    """Each character is a token, as in Chinese."""
    return [(at, at + 1) for at, letter in enumerate(text) if not letter.isspace()]


class TestStructure(SplitterContract):
    size: ClassVar[int] = 20

    @pytest.fixture
    def splitter(self) -> Splitter:
        return Structure(size=20)


class TestSentences(SplitterContract):
    size: ClassVar[int] = 20

    @pytest.fixture
    def splitter(self) -> Splitter:
        return Sentences(size=20)


class TestCode(SplitterContract):
    size: ClassVar[int] = 20

    @pytest.fixture
    def splitter(self) -> Splitter:
        return Code(size=20)


class TestTokens(SplitterContract):
    @pytest.fixture
    def splitter(self) -> Splitter:
        return Tokens(words, size=10)


class TestTokensThatAreLettersWithOverlap(SplitterContract):
    size: ClassVar[int] = 200

    @pytest.fixture
    def splitter(self) -> Splitter:
        return Tokens(letters, size=10, overlap=4)


MARKS = st.lists(st.integers(0, 400), max_size=12, unique=True).map(sorted)


def labelled(offsets: Sequence[int], labels: Sequence[str], text: str) -> Marks:
    """Marks at those offsets that lie in the text."""
    return tuple((at, labels[i % len(labels)]) for i, at in enumerate(offsets) if at < len(text))


@RANDOM
@given(
    text=TEXT, headings=MARKS, marks=MARKS, parts=MARKS, kinds=st.permutations(sorted(PARTS)), size=st.integers(20, 99)
)
def test_whatever_a_reader_marks_no_word_is_lost_and_nothing_is_too_long(
    text: str, headings: list[int], marks: list[int], parts: list[int], kinds: list[str], size: int
) -> None:
    document = Document(
        text,
        "a",
        "The title",
        marks=labelled(marks, [f"page {n}" for n in range(12)], text),
        headings=labelled(headings, ["A", "A > B", "A > C", "D"], text),
        parts=labelled(parts, kinds, text),
        fields={"from": "someone"} if size % 2 else {},
    )
    for splitter in (
        Structure(size),
        Structure(size, context=False),
        Sentences(size),
        Code(size),
        Tokens(letters, size),
    ):
        chunks = list(splitter(document, "id"))
        assert "".join("".join(one.text.split()) for one in chunks) == "".join(text.split())
        assert all(one.end <= following.start for one, following in pairwise(chunks))
        for one in chunks:
            assert one.text == text[one.start : one.end]
            assert len("".join(one.text.split()) if isinstance(splitter, Tokens) else one.text) <= size
            assert one.place == document.place(one.start, one.end)
            assert len(one.context) <= LONGEST_CONTEXT + LONGEST_COLUMNS + 1
        assert chunks == list(splitter(document, "id"))


# Structure.


def sections(*parts: tuple[str, str], title: str = "", kinds: Marks = ()) -> Document:
    """A document of (heading's label, text under it)."""
    text, headings = "", []
    for label, body in parts:
        text = f"{text}\n\n" if text else ""
        headings.append((len(text), label))
        text += f"{label.split(' > ')[-1]}\n\n{body}"
    return Document(text, "a", title, headings=tuple(headings), parts=kinds)


def shown(document: Document, size: int) -> list[tuple[str, str]]:
    return [(chunk.context, chunk.text) for chunk in Structure(size)(document, "id")]


def test_a_chunk_ends_with_its_section() -> None:
    page = sections(("Whales", "Whales are large animals. " * 2), ("Sharks", "Sharks are old. " * 4))
    assert [text.split("\n")[0] for _, text in shown(page, 100)] == ["Whales", "Sharks"]


def test_tiny_sections_are_together_under_the_heading_they_share() -> None:
    page = sections(("Sea > Whales", "Big."), ("Sea > Sharks", "Old."), ("Sea > Crabs", "Red."), title="Animals")
    assert shown(page, 100) == [("Animals > Sea", "Whales\n\nBig.\n\nSharks\n\nOld.\n\nCrabs\n\nRed.")]


def test_a_heading_without_text_is_with_the_section_that_follows() -> None:
    page = sections(("Sea", "It is blue. " * 8), ("Fish", ""), ("Fish > Sharks", "Sharks are old. " * 5))
    assert [text[:14] for _, text in shown(page, 100)] == ["Sea\n\nIt is blu", "Fish\n\n\n\nSharks"[:14]]


def test_title_and_headings_are_said_where_the_text_does_not() -> None:
    page = sections(("Sea", ""), ("Sea > Whales", "Whales sing songs. " * 9), title="Sea")
    contexts = [context for context, _ in shown(page, 100)]
    assert contexts == ["", "Sea > Whales"]
    page = sections(("Whales", "Whales sing songs. " * 9), title="All of the sea")
    assert [context for context, _ in shown(page, 100)] == ["All of the sea", "All of the sea > Whales"]


def test_headings_that_are_alike_under_others_are_not_shared() -> None:
    page = sections(("Whales > Food", "Krill."), ("Sharks > Food", "Fish."))
    assert shown(page, 100)[0][0] == ""


def test_pages_and_verses_are_no_context() -> None:
    assert [chunk.context for chunk in Structure(40)(Document("One two. " * 9, "a", marks=((0, "page 1"),)), "")] == [
        ""
    ] * 3


def test_a_long_path_keeps_its_ends() -> None:
    label = " > ".join(f"{name} {name * 12}" for name in "abcdefgh")
    page = Document("Words. " * 30, "a", "Title", headings=((0, label),))
    context = shown(page, 100)[1][0]
    assert len(context) <= LONGEST_CONTEXT
    assert context.startswith("Title > ")
    assert context.endswith("h " + "h" * 12)


def test_without_context_chunks_have_none() -> None:
    page = sections(("Sea", "Words and words. " * 20), title="Title")
    assert {chunk.context for chunk in Structure(100, context=False)(page, "")} == {""}


ROWS = ["name | length | found in", *(f"fish {n} | {n} metres | sea number {n}" for n in range(20))]


def test_a_table_is_cut_between_rows_and_its_column_names_are_found_with_each_piece() -> None:
    before = "The lengths of some fish.\n\n"
    text = before + "\n".join(ROWS) + "\n\nThat is all."
    table = Document(text, "a", parts=((len(before), "table"), (text.index("That"), "text")))
    chunks = list(Structure(120)(table, ""))
    assert {row for chunk in chunks for row in chunk.text.split("\n") if "|" in row} == set(ROWS)
    of_table = [chunk.context for chunk in chunks if "|" in chunk.text]
    assert of_table == ["", *[ROWS[0]] * (len(of_table) - 1)]
    assert chunks[0].text.startswith(before + ROWS[0])


@RANDOM
@given(data=st.data(), size=st.integers(20, 300))
def test_a_row_is_cut_only_when_it_is_longer_than_a_chunk(data: st.DataObject, size: int) -> None:
    row = st.lists(st.text("ab 1.", max_size=12), min_size=1, max_size=5).map(
        lambda cells: "x" + " | ".join(cells) + "y"
    )
    rows = data.draw(st.lists(row, min_size=1, max_size=20))
    before = data.draw(st.sampled_from(["", "Words.\n\n", "Some sentences stand here. They go on.\n\n"]))
    text = before + "\n".join(rows) + "\n\nThe end."
    parts = ((len(before), "table"), (text.rindex("The end"), "text"))
    cuts = {chunk.end for chunk in Structure(size)(Document(text, "a", parts=parts), "")}
    at = len(before)
    for one in rows:
        if len(one) <= size:
            assert not [cut for cut in cuts if at < cut < at + len(one)]
        at += len(one) + 1


def test_a_table_that_fits_is_not_torn_apart() -> None:
    before = "Words and words and words. " * 3 + "\n\n"
    text = before + "\n".join(ROWS[:4])
    chunks = list(Structure(150)(Document(text, "a", parts=((len(before), "table"),)), ""))
    assert [chunk.text for chunk in chunks] == [before.strip(), "\n".join(ROWS[:4])]


def test_code_keeps_its_lines_and_indentation_and_is_cut_at_an_empty_line() -> None:
    code = "def swim():\n    go()\n    rest()\n\n    sleep()\n    eat()\n    go_on()"
    text = "Fish can do this:\n\n" + code
    chunks = list(Structure(60)(Document(text, "a", parts=((19, "code"),)), ""))
    assert [chunk.text for chunk in chunks] == [
        "Fish can do this:\n\ndef swim():\n    go()\n    rest()",
        "    sleep()\n    eat()\n    go_on()",
    ]


def test_a_quote_and_a_signature_of_a_mail_are_chunks_of_their_own() -> None:
    text = "Yes.\n\n> Shall we meet?\n\nAt noon.\n\n-- \nAhab"
    parts = ((0, "text"), (6, "quote"), (text.index("At"), "text"), (text.index("--"), "signature"))
    mail = Document(text, "a", "Re: Meeting", parts=parts, fields={"from": "ahab@pequod.example"})
    chunks = list(Structure(500)(mail, ""))
    assert [chunk.text for chunk in chunks] == ["Yes.", "> Shall we meet?", "At noon.", "-- \nAhab"]
    assert {chunk.context for chunk in chunks} == {"Re: Meeting"}
    assert len(list(Structure(500)(replace(mail, fields={}), ""))) == 1  # a page with a quote on it


def test_list_items_and_verses_are_whole(bible: Document) -> None:
    text = "Fish:\n\n" + "\n".join(f"- item {n} swims. It also eats" for n in range(9))
    assert all(piece.startswith(("- item", "Fish")) for _, piece in shown(Document(text, "a"), 100))
    starts = {offset for offset, _ in bible.marks}
    chunks = list(Structure()(bible, ""))
    assert sum(chunk.start in starts for chunk in chunks) > 0.85 * len(chunks)
    assert max(len(chunk.text) for chunk in chunks) <= 500


# Sentences.


@pytest.mark.parametrize(
    "sentences",
    [
        ["Dr. Ahab met Mr. Starbuck at 3.15 p.m. on the deck.", "He left."],
        ["J. R. R. Tolkien wrote it, e.g. in Oxford, cf. No. 7 and Fig. 2.", "It sold."],
        ["Am 3. Mai kam er z. B. nach Bonn, d. h. ins 19. Jahrhundert.", "Er blieb bzw. wartete."],
        ["Er hat usw. gesagt, Nr. 5 sei ca. 3,5 cm.", "Ja!"],
        ['"Who is it?" he asked.', ['"Me."', " went."][0], "She went."],
        ["He asked (in vain!) for more…", "Nobody came?!", "“Why?”", "‘So.’"],
        ["Yahoo! is a firm.", "So is it."],
        ["鱼在海里游泳。", "它吃海草！", "“船呢？”", "船在海上航行。"],
        ["It costs 3.50 in the U.S. Government shop.", "Fine."],
        ["A line\nthat was wrapped\nby hand.", "Another\none."],
        ["In chapter 3 there were 12.", "Then more."],
    ],
)
def test_sentences_end_where_a_reader_says_so(sentences: list[str]) -> None:
    gap = "" if sentences[0][0] == "鱼" else " "
    text = gap.join(sentences)
    pieces = [text[a:b].strip() for a, b in pairwise([0, *sentence_ends(text)])]
    assert pieces == sentences


def test_an_empty_line_and_a_list_item_end_a_sentence() -> None:
    text = "A heading\n\nSome points\n- one\n- two"
    assert [text[a:b].strip() for a, b in pairwise([0, *sentence_ends(text), len(text)])] == [
        "A heading",
        "Some points",
        "- one",
        "- two",
    ]


def test_sentences_are_whole_where_they_fit(bible: Document) -> None:
    ends = set(sentence_ends(bible.text))
    chunks = list(Sentences()(bible, ""))
    assert max(len(chunk.text) for chunk in chunks) <= 500
    # Some sentences of the Bible go on over many verses.
    assert sum(chunk.end in ends for chunk in chunks) > 0.95 * len(chunks)


def test_a_transcript_without_any_punctuation_is_split_at_lines_or_words() -> None:
    transcript = "so then we went to the sea and it was cold " * 100
    chunks = list(Sentences()(Document(transcript, "a"), ""))
    assert 8 <= len(chunks) <= 11
    assert all(transcript[chunk.end : chunk.end + 1].isspace() for chunk in chunks)
    lines = transcript.replace(" and ", "\nand ")
    assert len(list(Sentences()(Document(lines, "a"), ""))) <= 12


# Tokens.


@RANDOM
@given(text=TEXT, size=st.integers(10, 40), overlap=st.integers(0, 9))
def test_no_chunk_has_more_tokens_than_asked(text: str, size: int, overlap: int) -> None:
    for spans in (words, letters):
        for chunk in Tokens(spans, size, overlap)(Document(text, "a"), ""):
            assert len(spans(chunk.text)) <= size


def test_tokens_are_those_of_the_embedder_and_chunks_are_filled(bible: Document) -> None:
    spans = MiniLM().tokens
    text = bible.text[:300_000]
    counts = [len(spans(chunk.text)) for chunk in Tokens(spans, 128)(Document(text, "a"), "")]
    assert max(counts) <= 128
    assert sum(counts) / len(counts) > 100
    overlapping = list(Tokens(spans, 128, 32)(Document(text, "a"), ""))
    shared = [len(spans(text[two.start : one.end])) for one, two in pairwise(overlapping)]
    assert max(shared) <= 32
    assert sum(shared) / len(shared) > 20


@pytest.mark.parametrize(
    "text", ["0f3a" * 500, "鱼在海里游泳。" * 300, "e\u0301" * 500, "antidisestablishmentarianism" * 40]
)
def test_a_word_of_more_tokens_than_a_chunk_is_cut(text: str) -> None:
    spans = MiniLM().tokens
    chunks = list(Tokens(spans, 20)(Document(text, "a"), ""))
    assert "".join(chunk.text for chunk in chunks) == text
    assert max(len(spans(chunk.text)) for chunk in chunks) <= 20


def test_a_book_gives_its_embedder_to_the_splitter(tmp_path: Path) -> None:
    recipe = (
        Recipe().with_step("splitter", "tokens(size=10)").with_step("embedder", "hashed").with_step("store", "flat")
    )
    (tmp_path / "a.txt").write_text("One two three four five. " * 20, encoding="utf-8")
    with Book.open(tmp_path / "book", recipe, create=True) as book:
        book.add(tmp_path / "a.txt")
        assert len(book.store) == 10
        assert all(len(words(chunk.text)) == 10 for chunk in book.store.chunks())
        assert book.check().sound


@pytest.mark.parametrize(
    "spec",
    ["tokens(size=9)", "tokens(size=20, overlap=20)", "structure(size=19)", "sentences(size=0)", "code(size=-1)"],
)
def test_sizes_that_make_no_sense_are_refused(spec: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="must be at least"):
        Book.open(tmp_path / "book", Recipe().with_step("splitter", spec), create=True)


# Code.


PYTHON = '''import os


@decorated
class Fish:
    """A fish."""

    def swim(self) -> None:
        self.x += 1
        if self.x > 9:
            self.rest()

            self.sleep()

    def eat(
        self,
    ) -> None:
        self.fed = True


def main() -> None:
    Fish().swim()
    print("The fish swam.")
'''


def test_code_is_cut_before_definitions_and_says_where_it_belongs() -> None:
    chunks = list(Code(size=120)(Document(PYTHON, "fish.py"), ""))
    assert [chunk.text.split("\n")[0] for chunk in chunks] == [
        "import os",
        "    def swim(self) -> None:",
        "    def eat(",
        "def main() -> None:",
    ]
    assert [chunk.context for chunk in chunks] == ["", "class Fish", "class Fish", ""]


def test_braces_are_understood_too() -> None:
    java = (
        "public class Fish {\n    private int x;\n\n    public void swim(int by) {\n        x += by;\n"
        "        y += by;\n        z += by;\n        x += y;\n    }\n\n    int eat() {\n        return 1;\n    }\n}\n"
    )
    chunks = list(Code(size=80)(Document(java, "Fish.java"), ""))
    assert [chunk.context for chunk in chunks][-1] == "public class Fish"
    assert "public class Fish > public void swim(int by)" in [chunk.context for chunk in chunks]
    assert not [chunk.text for chunk in chunks if chunk.text.lstrip().startswith("}")]


def test_lines_of_code_are_whole() -> None:
    source = Path(registry.__file__).read_text(encoding="utf-8")
    for chunk in Code(size=400)(Document(source, "a"), ""):
        assert chunk.start == 0 or source[chunk.start - 1] == "\n"
        assert source[chunk.end] == "\n"


# All of them.


SPECS = ["chars", "structure", "sentences", "tokens", "code"]


@pytest.mark.parametrize("spec", SPECS)
def test_no_chunk_of_default_size_is_longer_than_the_window_of_the_embedder(spec: str, bible: Document) -> None:
    embedder = MiniLM()
    german = (
        "Am 3. Mai 1849 begann in Dresden der Aufstand, an dem sich der Hofkapellmeister Richard Wagner beteiligte. "
        "Die Donaudampfschifffahrtsgesellschaft beförderte Rechtsschutzversicherungsunterlagen nach Regensburg.\n"
    ) * 40
    source = "".join(path.read_text(encoding="utf-8") for path in sorted(Path(registry.__file__).parent.glob("*.py")))
    splitter = registry.make("splitter", Spec(spec), spans=embedder.tokens)
    for text in (bible.text[:500_000], german, source):
        document = Document(
            text, "a", "A title of some length, as documents have", headings=((0, "Chapter > Section"),)
        )
        longest = max(len(embedder.tokens(chunk.indexed)) for chunk in splitter(document, ""))
        assert longest <= embedder.window


def test_the_end_of_a_chunk_that_is_longer_than_the_window_counts() -> None:
    embedder = MiniLM()
    long = "The king built a house of cedar. " * 115
    first, second = (
        list(registry.make("splitter", Spec("chars", {"size": 4000}))(Document(text, "a"), ""))
        for text in (long, long + "Sharks swim in the ocean.")
    )
    assert len(first) == len(second) == 1
    assert len(embedder.tokens(first[0].text)) > embedder.window
    one, other = embedder.embed([first[0].indexed, second[0].indexed], "document")
    assert one @ other < 0.9999


@pytest.mark.parametrize(
    "text",
    ["x" * 1_000_000, "\n" * 1_000_000, "word " * 200_000, "- a\n" * 200_000, "a | b\n" * 150_000, "鱼" * 300_000,
     "    x\n\n" * 130_000, "a. " * 300_000, "}\n" * 100_000],
)  # fmt: skip
@pytest.mark.parametrize("spec", SPECS[1:])
def test_odd_texts_take_no_longer_than_their_length(spec: str, text: str) -> None:
    splitter = registry.make("splitter", Spec(spec), spans=words)
    kinds = ["table", "code", "text", "quote"]
    parts = tuple((at, kinds[n % 4]) for n, at in enumerate(range(0, len(text), len(text) // 40)))
    headings = tuple((at, "Some > heading") for at in range(0, len(text), len(text) // 30_000))
    began = time.process_time()
    for document in (Document(text, "a", parts=parts), Document(text, "a", headings=headings, marks=headings)):
        for _ in splitter(document, ""):
            pass
    assert time.process_time() - began < 30  # a quadratic splitter takes a minute


@pytest.fixture(scope="module")
def bible(tmp_path_factory: pytest.TempPathFactory) -> Document:
    (document,) = registry.make("reader", Spec("text"))(kjv(Path(tmp_path_factory.mktemp("bible"))))
    assert isinstance(document, Document)
    return document


class TestFitting(SplitterContract):
    """What goes to an embedder: chunks of any splitter, cut where its window ends."""

    size = 300

    @pytest.fixture
    def splitter(self) -> Splitter:
        return fitting(Chars(300), Narrow())

    def test_chunks_that_are_too_long_for_the_real_tokenizer_are_cut_and_nothing_is_lost(self) -> None:
        embedder = MiniLM()
        korean = "대한민국의 헌법은 국민의 기본권을 보장하고 국가의 권력을 나눈다. " * 60
        document = Document(korean, "a", "제목", headings=((0, "장"),))
        assert max(len(embedder.tokens(one.indexed)) for one in Structure()(document, "")) > embedder.window
        chunks = list(fitting(Structure(), embedder)(document, ""))
        assert max(len(embedder.tokens(one.indexed)) for one in chunks) <= embedder.window
        assert "".join("".join(one.text.split()) for one in chunks) == "".join(korean.split())
        assert all(korean[one.start : one.end] == one.text for one in chunks)


class Narrow(Hashed):
    """An embedder of a small window."""

    @property
    def window(self) -> int:
        return 9
