from __future__ import annotations

import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import RANDOM, CleanerContract, marked
from openbook.cleaners.boilerplate import Boilerplate
from openbook.cleaners.lines import broken_lines
from openbook.cleaners.repair import Repair
from openbook.languages import language
from openbook.text import apply, compose
from openbook.types import Cleaner, Document, Edit

TEXT = st.text("abcdefghij\n", max_size=60)


@st.composite
def edits(draw: st.DrawFn, length: int) -> list[Edit]:
    """Edits that rise and do not overlap; neighbours may touch."""
    places = sorted(draw(st.lists(st.integers(0, length), max_size=12)))
    texts = st.text("XYZ", max_size=4)
    return [Edit(start, end, draw(texts), "why") for start, end in zip(places[::2], places[1::2], strict=False)]


@st.composite
def edited(draw: st.DrawFn) -> tuple[str, list[Edit], list[int]]:
    text = draw(TEXT)
    return text, draw(edits(len(text))), draw(st.lists(st.integers(0, 20), max_size=8))


def naive(text: str, changes: Sequence[Edit]) -> str:
    for edit in reversed(changes):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


class TestApply:
    @RANDOM
    @given(edited())
    def test_the_text_is_what_one_edit_after_the_other_gives(self, case: tuple[str, list[Edit], list[int]]) -> None:
        text, changes, _ = case
        assert apply(Document(text, "a"), changes).text == naive(text, changes)

    @RANDOM
    @given(edited())
    def test_a_mark_stays_at_its_character_or_where_that_was(self, case: tuple[str, list[Edit], list[int]]) -> None:
        text, changes, steps = case
        document = marked(text, steps)
        after = apply(document, changes)
        offsets = [offset for offset, _ in after.marks]
        assert offsets == sorted(set(offsets))
        assert all(offset < len(after.text) for offset in offsets)
        where = {label: offset for offset, label in after.marks}
        for offset, label in document.marks:
            inside = [edit for edit in changes if edit.start <= offset < edit.end]
            ahead = [edit for edit in changes if edit.end <= offset and edit not in inside]
            place = (inside[0].start if inside else offset) + sum(
                len(edit.text) - edit.end + edit.start for edit in ahead
            )
            assert where.get(label, place) == place
            if label not in where:  # it went with the end of the text, or a later one stands there now
                assert place >= len(after.text) or place in offsets

    @RANDOM
    @given(st.data())
    def test_composed_edits_do_what_both_do(self, data: st.DataObject) -> None:
        text, first, steps = data.draw(edited())
        document = marked(text, steps)
        between = apply(document, first)
        second = data.draw(edits(len(between.text)))
        assert apply(document, compose(first, second)).text == apply(between, second).text

    def test_edits_that_overlap_or_fall_are_refused(self) -> None:
        document = Document("abcdef", "a")
        for wrong in (
            [Edit(0, 3, "", ""), Edit(2, 4, "", "")],
            [Edit(3, 4, "", ""), Edit(0, 1, "", "")],
            [Edit(4, 7, "", "")],
            [Edit(3, 2, "", "")],
            [Edit(-1, 2, "", "")],
        ):
            with pytest.raises(ValueError, match="overlaps the edit before it or lies outside"):
                apply(document, wrong)

    def test_a_mark_where_characters_are_put_in_stays_at_its_character(self) -> None:
        after = apply(Document("one two", "a", marks=((4, "page 2"),)), [Edit(4, 4, "and ", "put in")])
        assert after.text[after.marks[0][0] :] == "two"

    def test_headings_and_parts_move_too(self) -> None:
        document = Document("a  b  c", "a", headings=((3, "B"),), parts=((6, "code"),))
        after = apply(document, [Edit(1, 3, " ", "space"), Edit(4, 6, " ", "space")])
        assert (after.headings, after.parts) == (((2, "B"),), ((4, "code"),))

    def test_a_hundred_thousand_edits_of_ten_megabytes_take_no_quadratic_time(self) -> None:
        text = "x" * 10_000_000
        document = Document(text, "a", marks=tuple((offset, "m") for offset in range(0, len(text), 1000)))
        changes = [Edit(offset, offset + 2, "y", "why") for offset in range(0, len(text), 100)]
        began = time.process_time()
        after = apply(document, changes)
        assert time.process_time() - began < 10  # 0.1 on a quiet machine
        assert len(after.text) == 9_900_000


def clean(cleaner: Cleaner, document: Document | str) -> str:
    document = Document(document, "a.txt") if isinstance(document, str) else document
    return apply(document, cleaner(document)).text


WRAPPED = """\
The quick brown fox jumps over the lazy dog and then runs away from the
angry bear that lives in the old forest behind the village, where Bob
and Alice live. It was a very nice day for a walk in the woods, and they
said so."""
VERSE = """\
The Assyrian came down like the wolf on the fold,
And his cohorts were gleaming in purple and gold;
And the sheen of their spears was like stars on the sea,
When the blue wave rolls nightly on deep Galilee."""
FREE_VERSE = """\
i carry your heart with me,
i carry it in my heart,
i am never without it"""
ADDRESS = "The Secretary of the very old Society\n12 Long Street\nLondon"
CODE = """\
    for item in sorted(collection_of_things, key=lambda one: one.name):
        print(item, file=sys.stdout)
    return collection_of_things"""
COLUMNS = "Net sales by reportable segment and some more words    of them\nnet of tax     5\nother     7"
LIST = """\
- the first point of a list, which is long enough to be taken for prose
and goes on in a second line
- the second point"""
LABELS = """\
description: a tool that reads documents and answers questions about them
version: one
author: anna"""
LINKS = "\n".join(
    f"https://fish.example/a/very/long/path/that/goes/on/and/on/{word}" for word in ("cod", "eel", "tuna")
)
PATHS = "\n".join(f"reports/2019/the-quarter/a-very-long-file-name-with-words-{word}.pdf" for word in ("a", "b"))
DIALOGUE = """\
anna: did you send the papers for the landlord of the flat, or shall i do it
bob: no, i will do that in the evening, when i am at home and find some time
anna: ok"""
MAIL = "> The quick brown fox jumps over the lazy dog and then runs away from\n> angry bears and so on."


class TestRepair(CleanerContract):
    @pytest.fixture
    def cleaner(self) -> Cleaner:
        return Repair()

    @pytest.mark.parametrize(
        ("wrong", "right"),
        [
            ("Ã¼ber naÃ¯ve â€œwordsâ€\x9d", "über naïve “words”"),
            ("ä¸\xadæ–‡", "中文"),
            ("fÃ¼r ContrecÅ“ur und JÄ«ng", "für Contrecœur und Jīng"),  # the first says what the others are
            ("e\u0301te\u0301", "été"),
            ("co\xadop\u200berate\ufeff", "cooperate"),
            ("ﬁnd the oﬃce", "find the office"),
            ("10\xa0000\u202f€", "10 000 €"),
            ("a\x00b\x07c", "abc"),
            ("N\bNA\bAM\bME \x1b[1mbold\x1b[0m", "NAME bold"),
            ("one\r\ntwo\x0cthree\u2028four", "one\ntwo\nthree\nfour"),
            ("week\u200cend", "weekend"),
            (
                "inter\ufffenational and long\ufffeterm, a long-term plan",
                "international and long-term, a long-term plan",
            ),
            ("covid\ufffe19, the end\ufffe", "covid-19, the end-"),
            ("an inter-\nnational plan", "an international plan"),
            ("a long-\nterm and a long-term plan", "a long-term and a long-term plan"),
            ("first-\nand second-class, Ein\ufffeund Ausgang", "first- and second-class, Ein- und Ausgang"),
            ("a thous-\nand and a thousand", "a thousand and a thousand"),
            ("schools, “C”\ufffeschools", "schools, “C”-schools"),
        ],
    )
    def test_puts_right(self, wrong: str, right: str) -> None:
        assert clean(Repair(), wrong) == right

    @pytest.mark.parametrize(
        "text",
        [
            "x² + ½ = Ⅳ ™ … ㎏ Ａ",  # NFKC would change them all
            "„MENÜ“ LIBERTÉ” 5×—3 é” Å“",  # could be mojibake, and is not
            "👩\u200d🚀 می\u200cخواهم",
            "a - \n b and -\n c, --foo-\n--bar, pre-\nAlps, 1990-\n95",
            "Grüße – “so” — naïve",
            "ContrecÅ“ur und JÄ«ng",
        ],
    )
    def test_leaves_alone(self, text: str) -> None:
        assert clean(Repair(), text) == text

    def test_a_wrapped_paragraph_is_one_line(self) -> None:
        assert clean(Repair(), f"Title\n\n{WRAPPED}\n\nEnd.") == f"Title\n\n{' '.join(WRAPPED.split())}\n\nEnd."

    def test_a_wrapped_paragraph_with_cut_words_is_one_line_too(self) -> None:
        cut = (
            "The quick brown fox jumps over the lazy dog and then runs away from Bob-\n"
            "Alice, who were in the old forest behind the village since the mid-\n"
            "1930s. It was a very nice day for a walk in the woods, and the inter-\n"
            "national guests said so, and all of them went home by the next train,\n"
            "which was late."
        )
        whole = cut.replace("inter-\n", "inter").replace("-\n", "-")
        assert clean(Repair(), cut) == whole.replace("\n", " ")

    def test_in_a_long_text_where_hardly_a_line_ends_at_a_hyphen_it_belongs_to_a_compound(self) -> None:
        prose = "It was a fine day.\n\n" * 1000
        assert clean(Repair(), f"{prose}a long-\nrunning plan") == f"{prose}a long-running plan"
        cut = "an inter-\nnational plan\n\n"
        assert clean(Repair(), prose[:8000] + cut * 9).count("international") == 9

    def test_a_wrapped_paragraph_in_german_is_one_line_though_nouns_begin_its_lines(self) -> None:
        german = (
            "Ihre lokalen Rivalen, Polonia Warschau, haben deutlich weniger Anhänger. Dennoch gelang es ihnen, die "
            "Ekstraklasa-Meisterschaft im Jahr 2000 zu gewinnen. Das Heimstadion befindet sich unweit der Altstadt in "
            "der alten Konwiktorska-Straße. Polonia wurde 2013 wegen seiner sehr schlechten Lage aus der ersten Liga "
            "verwiesen und spielt nun seit einigen Jahren in der vierten, der untersten."
        )
        assert clean(Repair(), textwrap.fill(german, 72)) == german

    def test_an_indented_paragraph_is_one_line_too(self) -> None:
        indented = "\n".join(f"       {line}" for line in WRAPPED.split("\n"))
        assert clean(Repair(), indented).strip() == " ".join(WRAPPED.split())

    @pytest.mark.parametrize(
        "text", [VERSE, FREE_VERSE, ADDRESS, CODE, COLUMNS, LIST, LABELS, LINKS, PATHS, DIALOGUE, MAIL]
    )
    def test_lines_that_mean_something_stay(self, text: str) -> None:
        assert clean(Repair(), text) == text
        assert clean(Repair(), f"{WRAPPED}\n\n{text}").endswith(text)

    @pytest.mark.parametrize("kind", ["code", "table", "signature"])
    def test_nothing_is_joined_in_code_tables_and_signatures(self, kind: str) -> None:
        text = f"{WRAPPED}\nand a cut-\nting edge"
        assert clean(Repair(), Document(text, "a", parts=((0, kind),))) == text

    def test_nothing_is_joined_to_a_heading_or_over_a_mark(self) -> None:
        first, second, *_ = WRAPPED.split("\n")
        text = f"{first}\n{second}"
        assert "\n" not in clean(Repair(), text)
        assert clean(Repair(), Document(text, "a", headings=((0, "Fox"),))) == text
        assert clean(Repair(), Document(text, "a", marks=((len(first) + 1, "Genesis 1:2"),))) == text

    def test_in_a_page_without_blank_lines_only_what_goes_on_is_joined(self) -> None:
        page = (
            "Operating Expenses\n"
            "Changes in our estimates and assumptions relating to the useful lives of\n"
            "our servers are described in Item 8, and are not repeated\n"
            "Three Months Ended\n"
            "Net sales 1,234 1,345"
        )
        assert clean(Repair(), page).split("\n") == [
            "Operating Expenses",
            "Changes in our estimates and assumptions relating to the useful lives of our servers are described in "
            "Item 8, and are not repeated",
            "Three Months Ended",
            "Net sales 1,234 1,345",
        ]

    def test_clean_ascii_costs_nearly_nothing(self) -> None:
        text = ("Blessed is the man that walketh not in the counsel of the ungodly. " * 9 + "\n\n") * 20_000
        began = time.process_time()
        assert Repair()(Document(text, "a")) == []
        assert len(text) / 1e6 / (time.process_time() - began) > 20  # MB/s; 400 on a quiet machine

    def test_a_long_line_of_one_kind_takes_no_quadratic_time(self) -> None:
        began = time.process_time()
        for text in ("x" * 500_000, "é" * 500_000, "Ã" * 200_000, "-\n" * 100_000, "a\n" * 100_000, "\ufffe" * 50_000):
            Repair()(Document(text, "a"))
        assert time.process_time() - began < 60


WORDS = st.sampled_from(
    [
        "the",
        "quick",
        "brown",
        "Fox",
        "jumps",
        "over",
        "lazy,",
        "dogs;",
        "inter-",
        "42",
        "1.",
        "-",
        "end.",
        "{a}",
        "Über",
        "\ufffe",
        "ﬁ",
        "Ã¼",
    ]
)
LINES = st.lists(
    st.builds(
        lambda indent, words: indent + " ".join(words),
        st.sampled_from(["", "", "", "  "]),
        st.lists(WORDS, max_size=20),
    ),
    max_size=12,
)


class TestRepairOfLines:
    @RANDOM
    @given(LINES, st.lists(st.integers(0, 200), max_size=4))
    def test_lines_of_words_are_repaired_once_and_for_all(self, lines: list[str], steps: list[int]) -> None:
        document = marked("\n".join(lines), steps)
        once = apply(document, Repair()(document))
        assert list(Repair()(once)) == []

    @RANDOM
    @given(LINES)
    def test_joining_lines_changes_white_space_only(self, lines: list[str]) -> None:
        text = "\n".join(lines)
        document = Document(text, "a")
        assert "".join(apply(document, broken_lines(document)).text.split()) == "".join(text.split())


def pages(*texts: str, first: int = 1) -> Document:
    """A document of these pages."""
    marks, offset = [], 0
    for number, text in enumerate(texts, first):
        marks.append((offset, f"page {number}"))
        offset += len(text) + 2
    return Document("\n\n".join(texts), "a.pdf", marks=tuple(marks))


def prose(number: int) -> str:
    return f"Sentence {'abcdefghij'[number % 10]} of this page.\nAnother one {number * 7919}."


class TestBoilerplate(CleanerContract):
    @pytest.fixture
    def cleaner(self) -> Cleaner:
        return Boilerplate()

    def test_page_numbers_go_and_every_page_keeps_its_mark(self) -> None:
        document = pages(*(f"{prose(n)}\n{n + 3}" for n in range(1, 9)))
        after = apply(document, Boilerplate()(document))
        assert after.text == "\n\n".join(prose(n) for n in range(1, 9))
        assert [label for _, label in after.marks] == [f"page {n}" for n in range(1, 9)]
        assert all(after.text[offset:].startswith("Sentence") for offset, _ in after.marks)

    def test_roman_page_numbers_go_too(self) -> None:
        document = pages(*(f"{prose(n)}\n{roman}" for n, roman in enumerate(["ii", "iii", "iv", "v"])))
        assert Counter(edit.reason for edit in Boilerplate()(document)) == {"page number": 4}

    def test_running_heads_and_feet_go_but_the_first_of_each(self) -> None:
        document = pages(*(f"ACME Report\n{prose(n)}\nACME Inc. | Form 10-Q | {n}" for n in range(1, 9)))
        changes = Boilerplate()(document)
        after = apply(document, changes)
        assert Counter(edit.reason for edit in changes) == {"running head": 7, "running foot": 7}
        assert (after.text.count("ACME Report"), after.text.count("ACME Inc.")) == (1, 1)
        assert after.text.startswith("ACME Report")

    def test_a_head_below_a_page_number_goes_too(self) -> None:
        document = pages(*(f"Page {n}\nStrategic Plan\n{prose(n)}" for n in range(1, 7)))
        assert clean(Boilerplate(), document).count("Strategic Plan") == 1

    @RANDOM
    @given(
        st.lists(st.lists(st.sampled_from(["Head", "Other", "{n}", "Page {n}", "xi", "prose"]), max_size=5), max_size=9)
    )
    def test_pages_are_cleaned_once_and_for_all(self, lines: list[list[str]]) -> None:
        document = pages(*("\n".join(lines).replace("{n}", str(n)) for n, lines in enumerate(lines, 1)))
        once = apply(document, Boilerplate()(document))
        assert list(Boilerplate()(once)) == []
        assert set(once.text.split()) >= {word for word in document.text.split() if word in {"Head", "Other", "prose"}}

    def test_what_only_some_pages_begin_or_end_with_stays(self) -> None:
        bodies = [
            f"{prose(n)}\nTotal {n * 31}" if n % 3 else f"Three Months Ended\n{prose(n)}\n2022" for n in range(1, 9)
        ]
        assert clean(Boilerplate(), pages(*bodies)) == pages(*bodies).text

    def test_two_pages_prove_nothing(self) -> None:
        document = pages("ACME\nOne.\n1", "ACME\nTwo.\n2")
        assert clean(Boilerplate(), document) == document.text

    def test_cookie_banners_and_menus_go_from_a_web_page(self) -> None:
        body = "How to fish\n\nUse a rod. Share this with nobody."
        page = (
            "Skip to main content\n\nHome | About us | Login\n\n"
            "We use cookies to improve your experience. By continuing you agree to this.\nAccept all\nCookie settings\n"
            "\n"
            f"{body}\n\nPrevious | Next\n\nBack to top"
        )
        changes = Boilerplate()(Document(page, "a.html"))
        assert apply(Document(page, "a.html"), changes).text.strip() == body
        assert Counter(edit.reason for edit in changes) == {"menu": 4, "cookie banner": 3}

    @pytest.mark.parametrize(
        "banner",
        [
            "Wir verwenden Cookies, um Ihnen das beste Erlebnis zu bieten.",
            "Diese Website verwendet Cookies, um unsere Dienste laufend zu verbessern. Mehr dazu hier.",
            "We use cookies to give you the best experience on our website.",
            "This site uses cookies to improve our services.",
        ],
    )
    def test_a_banner_whose_buttons_are_gone_is_known_by_its_reason(self, banner: str) -> None:
        assert clean(Boilerplate(), f"{banner}\n\nHow to fish") == "\nHow to fish"

    @pytest.mark.parametrize(
        "text",
        [
            "Home",
            "Next",
            "previous | mean | next",
            "We use cookies in this tutorial to store the user's name.",
            "We use cookies to agree with our users. " * 15,
        ],
    )
    def test_content_that_only_sounds_like_it_stays(self, text: str) -> None:
        assert clean(Boilerplate(), text) == text

    def test_code_and_headings_stay(self) -> None:
        text = "Back to top\n\nText."
        assert clean(Boilerplate(), Document(text, "a", headings=((0, "Back to top"),))) == text
        assert clean(Boilerplate(), Document(text, "a", parts=((0, "code"),))) == text

    def test_the_reports_keep_their_first_heads(self, data: Path) -> None:
        from openbook.readers.pypdfium2 import Pypdfium2

        (document,) = Pypdfium2()(data / "reports-pdf" / "pdfs" / "AMZN_2023_Q1_10Q.pdf")
        assert isinstance(document, Document)
        found = Counter(edit.reason for edit in Boilerplate()(document))
        assert found["page number"] >= 45
        assert found["running head"] >= 45
        assert sum(found.values()) < 2.2 * len(document.marks)


class TestLanguage:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Am Anfang schuf Gott die Himmel und die Erde. Und die Erde war wüst und leer.", "de"),
            (
                "起初神創造天地。地是空虛混沌，淵面黑暗；神的靈運行在水面上。神說要有光就有了光。神看光是好的就把光暗分開了。",
                "zh",
            ),
            ("Au commencement, Dieu créa les cieux et la terre. La terre était informe et vide.", "fr"),
            ("", ""),
            ("Genesis 1", ""),
            ("17 4.5 2022 12,345 " * 30, ""),
            ("for (int i = 0; i < n; i++) { sum += a[i] * b[i]; }\n" * 20, ""),
            ("\ud800 half a pair, and enough words of English to tell what this is", "en"),
        ],
    )
    def test_is_told_where_it_can_be(self, text: str, expected: str) -> None:
        assert language(text) == expected

    def test_most_of_a_document_decides(self) -> None:
        german = "Am Anfang schuf Gott die Himmel und die Erde, und die Erde war wüst und leer. "
        assert language("An English title page, with some words in it, as they often have. " + german * 50) == "de"

    @RANDOM
    @given(st.text(max_size=2000))
    def test_any_text_has_a_code_or_none(self, text: str) -> None:
        assert len(language(text)) in {0, 2}
