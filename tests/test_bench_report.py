"""The page of a comparison: one file, small, safe whatever the documents say, and silent where it has to be."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from boards import answered, kept, questions
from openbook.bench.report import pictures as report_pictures
from openbook.bench.report.page import page
from openbook.bench.report.parts import escaped
from openbook.bench.results import Results
from openbook.bench.running import results_path

ASKED = questions(4)
VOID = {"meta", "br", "path", "circle", "polyline"}
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "nav", "a", "section", "div",
    "table", "caption", "thead", "tbody", "tr", "th", "td", "button", "small", "details", "summary", "b", "br", "pre",
    "figure", "figcaption", "svg", "path", "circle", "polyline", "text", "span", "script",
}  # fmt: skip
HOSTILE = (
    "</td></table><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x=\'',
    "]]><!--</style></script><svg/onload=alert(1)>",
    "\u202egnp.exe\x00\x1b[31m&lt;b&gt;",
)


class Tags(HTMLParser):
    """What a browser would see: tags that are closed in order, their attributes, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.scripts = 0
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name in {"href", "src", "action"}}
        self.scripts += tag == "script"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"script", "style"}:
            self.text += data


def written(**options: Any) -> str:
    with Results(results_path()) as results:
        return page(results, **options)


def seen(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    assert not tags.open
    return tags


def rows(count: int = 3) -> list[list[dict[str, Any] | None]]:
    return [[answered(one, right=at < 2 + row) for at, one in enumerate(ASKED)] for row in range(count)]


def test_the_page_has_the_table_the_groups_the_pictures_the_questions_and_what_was_run() -> None:
    kept(rows(), ASKED, made_with={"openbook": "1.2", "models": {"minilm": "ab12"}})
    tags = seen(written())
    for said in ("Cannot be told from the best", "Who fled in verse 3?", "Expected: Jonah 3", "Jonah 3 [1].", "Row 3:"):
        assert said in tags.text
    assert "openbook use run:3 -b BOOK" in tags.text
    assert "minilm ab12" in tags.text
    assert "documents*.txt" in tags.text  # of the folders nothing


def test_the_page_needs_nothing_but_itself() -> None:
    kept(rows(), ASKED)
    text = written()
    tags = seen(text)
    assert tags.scripts == 1
    assert tags.links == {"#s0", "#s1", "#s2", "#s3", "#s4"}
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_tables_can_be_read_without_seeing_them() -> None:
    kept(rows(), ASKED)
    text = written()
    for table in re.findall(r"<table.*?</table>", text, re.DOTALL):
        assert "<caption>" in table or 'class="q"' in table  # a question's stands under its summary
        for head in re.findall(r"<th[ >][^>]*", table):
            assert "scope=" in head
    assert 'aria-sort="none"' in text
    assert text.count("<svg") == text.count('role="img"') + text.count('aria-hidden="true"')


def test_hostile_texts_stay_texts() -> None:
    asked = [one | {"question": bad, "answers": [bad]} for one, bad in zip(questions(5), HOSTILE, strict=True)]
    asked = [json.loads(json.dumps(one)) for one in asked]
    asked[0]["gold"] = [{"source": HOSTILE[0], "quote": HOSTILE[1]}]
    asked[1]["id"] = HOSTILE[2]
    answers: list[list[dict[str, Any] | None]] = [
        [answered(one, text=bad) for one, bad in zip(asked, HOSTILE, strict=True)],
        [{"error": bad} for bad in HOSTILE],
    ]
    recipes = [{"llm": f"quote(x={HOSTILE[0]!r})"}, {"llm": "quote"}]
    kept(answers, asked, name=f"a {HOSTILE[1]}", recipes=recipes, note=HOSTILE[2], made_with={HOSTILE[1]: HOSTILE[0]})
    for texts in (True, False):
        tags = seen(written(texts=texts))
        assert tags.seen <= ALLOWED
        assert tags.scripts == 1
        assert not {name for name in tags.attributes if name.startswith("on")}
        assert "\x00" not in tags.text
        assert "\u202e" not in tags.text


@given(st.text())
@example("\ud800<b>")
def test_no_text_becomes_markup(text: str) -> None:
    tags = Tags()
    tags.feed(f'<p title="{escaped(text)}">{escaped(text)}</p>')
    assert tags.seen == {"p"}
    assert tags.attributes == {"title"}
    assert not tags.open


def test_without_texts_no_word_of_questions_answers_or_documents_is_in_the_page() -> None:
    failed: list[dict[str, Any] | None] = [{"error": "The passage 'Jonah 2 fled' is too long."} for _ in ASKED]
    recipes = [{"llm": f"llamacpp(model='/home/somebody/models/{name}.gguf')"} for name in "abcd"]
    machine = {"system": "Linux 6.1.0-somebody x86_64", "cores": 2}
    kept(
        [*rows(), failed],
        ASKED,
        recipes=recipes,
        made_with={"machine": machine},
        sweep="documents = ['/home/somebody/secret/docs/*.txt']",
    )
    text = written(texts=False)
    for word in ("fled", "Jonah", "Noah", "verse", "/home", "secret/", "somebody"):
        assert word not in text
    for name in ("jonah.txt", "model a.gguf", "Question 1 (q0)", "*.txt"):
        assert name in text
    assert "cores 2" in text
    assert "Linux x86_64" in written()
    assert "6.1.0-somebody" not in written()  # a page is handed on
    assert "1/" in text or "2/2" in text  # where it was found is still told


def test_no_path_of_the_machine_is_in_the_page() -> None:
    recipes = [{"llm": f"llamacpp(model='/home/somebody/models/{name}.gguf')"} for name in "abc"]
    made_with = {"models": {"/home/somebody/models/a.gguf": "ab12"}}
    kept(rows(), ASKED, recipes=recipes, made_with=made_with, unread=["/home/somebody/locked.pdf"])
    text = written()
    assert "/home" not in text
    assert "somebody" not in text
    assert "locked.pdf" in text
    assert text.count("The folders of files are left out below; that command knows them.") == 3


def test_a_page_of_a_run_that_is_not_done_or_not_begun_is_a_page() -> None:
    kept([*rows(2), [None] * 4], ASKED)
    assert "1 of 3 rows is not done: row 3 is not begun." in seen(written()).text
    kept([[None] * 4, [None] * 4], ASKED, name="later")
    assert "rows 1 and 2 are not begun" in seen(written()).text
    kept([[None] * 4, rows()[0][:1] + [None] * 3], ASKED, name="last")
    seen(written())


@pytest.mark.slow
def test_24_rows_of_200_questions_are_below_3_mb() -> None:
    asked = questions(200)
    long = "And the LORD spake unto the fish, and it vomited out Jonah upon the dry land. " * 20
    given: list[list[dict[str, Any] | None]] = [
        [answered(one, text=f"{row} {one['id']} {long}") for one in asked] for row in range(24)
    ]
    kept(given, asked)
    assert len(written().encode()) < 3_000_000


def test_costs_over_more_than_a_decade_are_drawn_by_their_logarithm() -> None:
    placed = {1: (0.01, 60.0), 2: (0.5, 70.0), 3: (0.5, 70.0)}
    drawn = report_pictures.picture("clean and seconds", placed, str, {2})
    assert "(logarithmic)" in drawn
    assert ">2, 3</text>" in drawn  # on one spot: one dot
    assert "(logarithmic)" not in report_pictures.picture("clean", {1: (0.01, 60.0), 2: (0.05, 70.0)}, str, set())


@given(
    st.dictionaries(
        st.integers(1, 40),
        st.tuples(st.floats(0, 1e10, allow_subnormal=False), st.floats(0, 100)),
        min_size=1,
        max_size=24,
    )
)
def test_every_picture_lies_within_its_frame(placed: dict[int, tuple[float, float]]) -> None:
    drawn = report_pictures.picture("any", placed, str, set())
    for x, y in re.findall(r'<circle cx="([^"]+)" cy="([^"]+)"', drawn):
        assert 0 <= float(x) <= report_pictures.WIDTH
        assert 0 <= float(y) <= report_pictures.HEIGHT
