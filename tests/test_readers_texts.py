"""Readers of formats that are text: what they keep, where their marks stand, and that no bytes crash them."""

from __future__ import annotations

import contextlib
import json
import random
import zipfile
from pathlib import Path

import pytest

from contracts import ReaderContract, Write, one, read
from openbook.errors import ReadError
from openbook.readers.auto import Auto
from openbook.readers.check import flaw
from openbook.readers.code import PATTERNS, Code
from openbook.readers.epub import Epub
from openbook.readers.html import Html
from openbook.readers.json import Json
from openbook.readers.latex import Latex
from openbook.readers.markdown import Markdown
from openbook.readers.names import name_fields
from openbook.readers.notebook import Notebook
from openbook.readers.rows import Rows
from openbook.readers.rst import Rst
from openbook.readers.rtf import Rtf
from openbook.readers.sniffing import sniff
from openbook.readers.subtitles import Subtitles
from openbook.readers.xml import Xml
from openbook.types import Document, Field, Reader, Unread


def parts(document: Document) -> list[tuple[str, str]]:
    """The first word of each part, and its kind."""
    return [(document.text[offset:].split()[0], kind) for offset, kind in document.parts]


def headings(document: Document) -> list[tuple[str, str]]:
    """The first word at each heading, and its label."""
    return [(document.text[offset:].split()[0], label) for offset, label in document.headings]


CONTAINER = '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>'
PACKAGE = """<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title>The Whale</dc:title><dc:creator>H. Melville</dc:creator>
<dc:date>1851-10-18</dc:date><dc:language>en-US</dc:language></metadata>
<manifest><item id="n" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>
<item id="x" href="toc.ncx" media-type="application/x-dtbncx+xml"/>
<item id="a" href="text/one%20a.xhtml" media-type="application/xhtml+xml"/>
<item id="b" href="text/two.xhtml" media-type="application/xhtml+xml"/>
<item id="c" href="text/gone.xhtml" media-type="application/xhtml+xml"/></manifest>
<spine toc="x"><itemref idref="n"/><itemref idref="b"/><itemref idref="a"/></spine></package>"""
NAV = """<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body>
<nav epub:type="toc"><h1>Contents</h1><ol><li><a href="text/two.xhtml">Part One</a><ol>
<li><a href="text/two.xhtml#c1">Loomings</a></li>
<li><a href="text/one%20a.xhtml">The Chapel</a></li></ol></li></ol></nav>
</body></html>"""
TWO = """<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body><a id="top"/>
<p>For my wife.</p><p id="c1">Loomings</p><p>Call me Ishmael.</p><h3>A note</h3><p>On names.</p></body></html>"""
ONE = "<html><head><title>x</title></head><body><h2>The Chapel</h2><pre>a\n  b</pre></body></html>"


def epub(path: Path, **members: str) -> Path:
    """A small book; members named otherwise replace or join its own."""
    found = {
        "META-INF/container.xml": CONTAINER,
        "OPS/book.opf": PACKAGE,
        "OPS/nav.xhtml": NAV,
        "OPS/text/two.xhtml": TWO,
        "OPS/text/one a.xhtml": ONE,
    } | members
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        for name, content in found.items():
            archive.writestr(name, content)
    return path


class TestEpub(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Epub()

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        return epub(tmp_path / "whale.epub")

    def test_chapters_come_in_reading_order_under_the_titles_of_the_contents(self, sample: Path) -> None:
        book = one(Epub(), sample)
        assert book.text == (
            "For my wife.\n\nLoomings\n\nCall me Ishmael.\n\nA note\n\nOn names.\n\nThe Chapel\n\na\n  b"
        )
        assert headings(book) == [
            ("For", "Part One"),
            ("Loomings", "Loomings"),
            ("A", "Loomings > A note"),
            ("The", "The Chapel"),
        ]
        assert parts(book) == [("a", "code")]
        assert (book.title, book.language) == ("The Whale", "en")
        assert book.fields == {"author": "H. Melville", "date": "1851-10-18"}

    def test_a_missing_chapter_costs_that_chapter_only(self, tmp_path: Path) -> None:
        package = PACKAGE.replace('<itemref idref="a"/>', '<itemref idref="c"/><itemref idref="a"/>')
        found = list(Epub()(epub(tmp_path / "a.epub", **{"OPS/book.opf": package})))
        (unread,) = [part for part in found if isinstance(part, Unread)]
        assert unread.source.endswith("a.epub#OPS/text/gone.xhtml")
        assert "is missing" in unread.reason
        assert len(found) == 2

    def test_protection_against_copying_says_so_and_hidden_fonts_do_not_matter(self, tmp_path: Path) -> None:
        encrypted = (
            '<encryption xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:EncryptedData>'
            '<e:EncryptionMethod Algorithm="{}"/></e:EncryptedData></encryption>'
        )
        fonts = encrypted.format("http://www.idpf.org/2008/embedding")
        assert one(Epub(), epub(tmp_path / "a.epub", **{"META-INF/encryption.xml": fonts})).title == "The Whale"
        book = encrypted.format("http://www.w3.org/2001/04/xmlenc#aes256-cbc")
        with pytest.raises(ReadError, match=r"is protected against copying \(DRM\)"):
            list(Epub()(epub(tmp_path / "b.epub", **{"META-INF/encryption.xml": book})))


RTF = rb"""{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset128 MS;}{\f2\fcharset204 Arial;}}
{\stylesheet{\s0 Normal;}{\s1\outlinelevel0 heading 1;}{\s2 heading 2;}}
{\info{\title A {\b fine} b\'fcok}{\author Ann}{\creatim\yr2023\mo5\dy17\hr3}}
{\header Running head\par}
\pard\s1 Chapter One\par
\pard\plain A caf\'e9 \u8211?dash \u-10179?\u-8704? {\f1\'93\'fa\'96\'7b\'83\\} {\f2\'cf\'f0\'e8}
 {\v hidden}end.
{\footnote\pard Note here.\par}\par
{\listtext\bullet\tab}item one\par
{\listtext 2.\tab}item two\par
\pard\s2 Section\par
\trowd\pard\intbl Name\cell Note\cell Weight\cell\row
\trowd\pard\intbl cod\par fish\cell\cell 12\cell\row
\pard After {\field{\*\fldinst HYPERLINK "http://x"}{\fldrslt link}} table {\*\unknown gone}\{braces\}.
{\pict\bin5 {{{}} }\par}"""


class TestRtf(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Rtf()

    @pytest.fixture
    def sample(self, write: Write) -> Path:
        return write("a.rtf", RTF)

    def test_code_pages_tables_lists_and_notes_are_text_and_the_rest_is_left_out(self, sample: Path) -> None:
        letter = one(Rtf(), sample)
        assert letter.text == (
            "Chapter One\n\nA café –dash 😀 日本ソ При end.\n\nNote here.\n\n- item one\n2. item two\n\nSection\n\n"
            "Name | Note | Weight\ncod fish |  | 12\n\nAfter link table {braces}."
        )
        assert letter.title == "A fine büok"
        assert letter.fields == {"author": "Ann", "date": "2023-05-17"}
        assert headings(letter) == [("Chapter", "Chapter One"), ("Section", "Section")]
        assert parts(letter) == [("Name", "table"), ("After", "text")]

    def test_a_file_only_named_like_it_says_so(self, write: Write) -> None:
        with pytest.raises(ReadError, match="is not RTF, only named like one"):
            list(Rtf()(write("a.rtf", "Dear Sir")))
        with pytest.raises(ReadError, match="is empty"):
            list(Rtf()(write("a.rtf", r"{\rtf1\ansi {\pict 00ff}}")))


class TestRst(ReaderContract):
    TEXT = (
        "======\n Fish\n======\n\n:Author: Ann\n:Date: May 17, 2023\n\nNets\n----\n\nCast so::\n\n  cast\n\n    --net\n"
        "\n"
        "Then *wait*.\n\n.. code-block:: python\n   :linenos:\n\n   pull()\n\nEnd\n---\n\n===  ===\na    b\n===  ===\n"
        ".. include:: /etc/passwd\n"
    )

    @pytest.fixture
    def reader(self) -> Reader:
        return Rst()

    @pytest.fixture
    def sample(self, write: Write) -> Path:
        return write("a.rst", self.TEXT)

    def test_the_text_is_as_written_with_headings_and_code(self, sample: Path) -> None:
        page = one(Rst(), sample)
        assert page.text == self.TEXT
        assert page.title == "Fish"
        assert page.fields == {"author": "Ann", "date": "2023-05-17"}
        assert headings(page) == [("Fish", "Fish"), ("Nets", "Nets"), ("End", "End")]
        assert parts(page) == [("cast", "code"), ("Then", "text"), (":linenos:", "code"), ("End", "text")]


class TestLatex(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Latex()

    @pytest.fixture
    def sample(self, write: Write) -> Path:
        return write(
            "a.tex",
            "\\title{The \\emph{Sea}}\n\\author{Ann}\n\\section{Fish}\nswim\n\\subsection*{Cod $x$}\n"
            "\\begin{verbatim}\n"
            "\\input{/etc/passwd}\n\\end{verbatim}\n",
        )

    def test_sections_are_headings(self, sample: Path) -> None:
        paper = one(Latex(), sample)
        assert (paper.title, paper.fields) == ("The Sea", {"author": "Ann"})
        assert [label for _, label in paper.headings] == ["Fish", "Fish > Cod x"]
        assert [kind for _, kind in paper.parts] == ["code", "text"]


class TestCode(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Code()

    @pytest.fixture
    def sample(self, write: Write) -> Path:
        return write("a.py", "import os\n\n\nclass Fish:\n    def swim(self): ...\n\n\nasync def net():\n    pass\n")

    def test_all_of_it_is_code(self, sample: Path) -> None:
        code = one(Code(), sample)
        assert code.text == sample.read_text(encoding="utf-8")
        assert code.parts == ((0, "code"),)
        assert [label for _, label in code.headings] == ["class Fish", "async def net"]

    @pytest.mark.parametrize(
        ("name", "text", "expected"),
        [
            ("a.ts", "export default class A {}\nexport const f = async (x) => 1\nconst x = 3\nfunction g() {}\n",
             ["class A", "const f", "function g"]),
            ("a.c", "static int *\nf(int a)\n{\n}\nint g(void);\nstruct s { int x; };\nint main(void) {\n}\n",
             ["f", "struct s", "main"]),
            ("a.go",
             "type A struct{}\nfunc (a *A) Run() {}\nfunc main() {}\n", ["type A", "func (a *A) Run", "func main"]),
            ("a.rs",
             "pub struct A;\nimpl A {\n    fn x() {}\n}\npub async fn run() {}\n", ["struct A", "impl A", "fn run"]),
            ("a.sql", "CREATE TABLE fish (id int);\ncreate or replace view v as select 1;\n",
             ["CREATE TABLE fish", "create or replace view v"]),
            ("a.toml", "[project]\nname = 'x'\n[tool.ruff]\n", ["project", "tool.ruff"]),
            ("a.sh", "swim() {\n:\n}\nfunction cast {\n:\n}\n", ["swim()", "function cast"]),
            ("a.css", "p { color: red }", []),
        ],
    )  # fmt: skip
    def test_functions_and_classes_are_headings(self, write: Write, name: str, text: str, expected: list[str]) -> None:
        assert [label for _, label in one(Auto(), write(name, text)).headings] == expected

    @pytest.mark.parametrize("suffix", sorted(PATTERNS))
    def test_no_pattern_tries_for_long(self, write: Write, suffix: str) -> None:
        for piece in ("a ", "a(", "{", "export ", "(a", "\tx", "const a = (", "a\n"):
            list(Code()(write(f"a{suffix}", piece * 4_000)))


class TestNotebook(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Notebook()

    @pytest.fixture
    def sample(self, write: Write) -> Path:
        cells = [
            {"cell_type": "markdown", "source": ["# Fish\n", "\n", "## Nets"]},
            {
                "cell_type": "code",
                "source": "def cast():\n    pass\n",
                "outputs": [
                    {"output_type": "stream", "text": ["\x1b[31mone\x1b[0m\n", "two\n"]},
                    {"output_type": "display_data", "data": {"image/png": "AAAA", "text/plain": "<Figure>"}},
                    {"output_type": "error", "ename": "KeyError", "evalue": "'cod'"},
                ],
            },
            {"cell_type": "markdown", "source": "After.\n\n| a | b |\n|---|---|\n| 1 | 2 |"},
        ]
        return write("a.ipynb", json.dumps({"cells": cells, "metadata": {"authors": [{"name": "Ann"}]}}))

    def test_cells_are_text_code_and_what_was_printed(self, sample: Path) -> None:
        notebook = one(Notebook(), sample)
        assert notebook.text == (
            "# Fish\n\n## Nets\n\ndef cast():\n    pass\n\none\ntwo\n\n<Figure>\n\nKeyError: 'cod'\n\nAfter.\n\n"
            "| a | b |\n|---|---|\n| 1 | 2 |"
        )
        assert (notebook.title, notebook.fields) == ("Fish", {"author": "Ann"})
        assert [label for _, label in notebook.headings] == ["Fish", "Nets"]
        assert parts(notebook) == [("def", "code"), ("one", "text"), ("|", "table")]

    def test_long_output_is_cut(self, write: Write) -> None:
        cell = {"cell_type": "code", "source": "x", "outputs": [{"text": "line\n" * 10_000}]}
        assert len(one(Notebook(), write("a.ipynb", json.dumps({"cells": [cell]}))).text) < 1100

    def test_other_json_says_so(self, write: Write) -> None:
        with pytest.raises(ReadError, match="is no Jupyter notebook"):
            list(Notebook()(write("a.ipynb", "[]")))


class TestSubtitles(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Subtitles()

    @pytest.fixture
    def sample(self, write: Write) -> Path:
        return write(
            "a.srt",
            "1\r\n00:00:01,000 --> 00:00:03,000\r\n<i>The sea</i>\r\nis deep &amp; wide\r\n\r\n2\r\n00:00:03,500 --> "
            "00:00:05,000\r\n{\\an8}and cold.\r\n\r\n3\r\n01:12:30,000 --> 01:12:33,000\r\nANN: Indeed.\r\n",
        )

    def test_cues_are_paragraphs_with_times(self, sample: Path) -> None:
        film = one(Subtitles(), sample)
        assert film.text == "The sea is deep & wide and cold.\n\nANN: Indeed."
        assert [(film.text[at:].split()[0], label) for at, label in film.marks] == [
            ("The", "00:00:01"),
            ("and", "00:00:03"),
            ("ANN:", "01:12:30"),
        ]

    def test_vtt_names_speakers_and_says_repeated_lines_once(self, write: Write) -> None:
        vtt = (
            "WEBVTT\n\nNOTE nothing\n\nSTYLE\n::cue { color: red }\n\n00:01.000 --> 00:02.000 align:start\n<v Ann>Fish "
            "<c.red>swim</c>\n\n00:02.000 --> 00:03.000\n<v Ann>Fish swim\nfar\n"
        )
        assert one(Subtitles(), write("a.vtt", vtt)).text == "Ann: Fish swim far"

    def test_a_file_without_cues_says_so(self, write: Write) -> None:
        with pytest.raises(ReadError, match="has no subtitles in it"):
            list(Subtitles()(write("a.vtt", "WEBVTT\n\nNOTE nothing\n")))


class TestXml(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Xml()

    @pytest.fixture
    def sample(self, write: Write) -> Path:
        return write(
            "a.xml",
            '<!DOCTYPE book [<!ENTITY x SYSTEM "file:///etc/passwd">]><book xmlns="http://docbook.org/ns/docbook">'
            "<title>The Sea</title><chapter><title>Fish</title><para>A fish &x;swims in <em>the</em> sea.</para>"
            "<list><listitem><para>cod</para></listitem><listitem><para>eel</para></listitem></list><section>"
            "<title>Nets</title><screen>cast\n  --net</screen><table><thead><row><entry>Name</entry><entry>kg</entry>"
            "</row></thead><tbody><row><entry>cod</entry><entry>12</entry></row></tbody></table></section></chapter></book>",
        )

    def test_a_document_has_paragraphs_headings_code_and_rows(self, sample: Path) -> None:
        book = one(Xml(), sample)
        assert book.text == (
            "The Sea\n\nFish\n\nA fish swims in the sea.\n\n- cod\n- eel\n\n"
            "Nets\n\ncast\n  --net\n\nName | kg\ncod | 12"
        )
        assert book.title == "The Sea"
        assert headings(book) == [("The", "The Sea"), ("Fish", "Fish"), ("Nets", "Fish > Nets")]
        assert parts(book) == [("cast", "code"), ("Name", "table")]

    def test_data_is_a_block_for_each_record(self, write: Write) -> None:
        xml = (
            '<all><fish id="1"><name>cod</name><size><kg>12</kg></size></fish>'
            '<fish id="2"><name>eel</name><at x="1" y="2"/></fish></all>'
        )
        text = one(Xml(), write("a.xml", xml)).text
        assert text == "id: 1\nname: cod\nsize.kg: 12\n\nid: 2\nname: eel\nat: x 1, y 2"

    def test_entities_and_other_files_are_never_read(self, write: Write) -> None:
        laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
        bomb = f'<!DOCTYPE a [<!ENTITY a0 "ha">{laughs}]><a><p>calm &a11;</p><p>more</p></a>'
        with contextlib.suppress(ReadError):
            assert one(Xml(), write("a.xml", bomb)).text == "calm\n\nmore"

    def test_broken_xml_says_where(self, write: Write) -> None:
        with pytest.raises(ReadError, match=r"is not well-formed XML \(.*line 1.*\)") as caught:
            list(Xml()(write("a.xml", "<a><b></a>")))
        assert "\n" not in str(caught.value)

    def test_a_deep_tree_is_read_or_refused(self, write: Write) -> None:
        with contextlib.suppress(ReadError):
            list(Xml()(write("a.xml", "<a>" * 100_000 + "x" + "</a>" * 100_000)))


class TestJson(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Json()

    @pytest.fixture
    def sample(self, write: Write) -> Path:
        return write("a.json", '[{"id": 7, "text": "Fish.", "year": 2023}, {"name": "Eel", "at": {"x": 1}}]')

    def test_a_list_of_objects_is_rows(self, sample: Path) -> None:
        first, second = read(Json(), sample)
        assert (first.source, first.text, first.fields) == (f"{sample}#7", "Fish.", {"id": 7, "year": 2023})
        assert second.text == 'name: Eel\nat: {"x": 1}'

    def test_an_object_is_lines_of_names_and_values(self, write: Write) -> None:
        path = write("a.json", '{"title": "Sea", "at": {"x": 1, "who": ["Ann", "Bo"]}, "f": [{"kg": 2}], "n": null}')
        document = one(Json(), path)
        assert (document.source, document.title) == (str(path), "Sea")
        assert document.text == "title: Sea\nat.x: 1\nat.who: Ann, Bo\nf[1].kg: 2"

    def test_an_object_with_a_text_is_that_text(self, write: Write) -> None:
        path = write("a.json", '{"content": "Fish swim.", "date": "May 17, 2023"}')
        document = one(Json(), path)
        assert (document.text, document.source, document.fields) == ("Fish swim.", str(path), {"date": "2023-05-17"})

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ('{"a": }', r"is not JSON \(Expecting value in line 1, character 7\)"),
            ("[" * 100_000, "is not JSON that can be read"),
            ("{}", "is empty"),
            ("[]", "is empty"),
        ],
    )
    def test_other_files_say_why_not(self, write: Write, content: str, reason: str) -> None:
        with pytest.raises(ReadError, match=reason):
            list(Json()(write("a.json", content)))

    def test_a_huge_file_is_refused_before_it_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        with path.open("wb") as file:
            file.truncate(1 << 30)
        with pytest.raises(ReadError, match=r"holds 1,024 MB of JSON.*Make it JSONL"):
            list(Json()(path))


class TestHtml:
    def test_tables_code_and_quotes_are_parts(self, write: Write) -> None:
        page = one(
            Html(),
            write(
                "a.html",
                "<p>a</p><table><caption>Fish</caption><tr><th>Name<th>kg<tr><td>cod<td>1</table><p>b</p>"
                "<pre>c\n d</pre>"
                "<blockquote>e</blockquote><table><tr><td>f</table><table><tr><td>g</table>h",
            ),
        )
        assert parts(page) == [
            ("Name", "table"), ("b", "text"), ("c", "code"), ("e", "quote"), ("f", "table"), ("g", "table"),
            ("h", "text"),
        ]  # fmt: skip

    def test_empty_and_spanning_cells_keep_their_columns(self, write: Write) -> None:
        table = (
            "<table><tr><th>Year<th>Q<th>kg<tr><th rowspan=2>2025<td>1<td><tr><td>2<td>9<tr><td colspan=2>all<td>9"
            "<tr><td><td><td></table>"
        )
        assert one(Html(), write("a.html", table)).text == ("Year | Q | kg\n2025 | 1 |\n2025 | 2 | 9\nall |  | 9")

    def test_lists_are_numbered_and_indented_and_terms_stand_above_what_they_mean(self, write: Write) -> None:
        lists = (
            "<ol start=3><li>c<ul><li>x</li></ul></li><li>d</li></ol>"
            "<dl><dt>Cod<dd>a fish<dd>of the sea<dt>Eel<dd>another</dl>"
        )
        assert one(Html(), write("a.html", lists)).text == (
            "3. c\n  - x\n4. d\n\nCod\na fish\nof the sea\n\nEel\nanother"
        )

    def test_a_small_table_in_a_cell_stays_in_the_row(self, write: Write) -> None:
        table = (
            "<table><tr><th>Verb<th>Sound<tr><td>Quack<td><table><tr><th>Type<td>Short</table><tr><td>Fly<td>-</table>"
        )
        assert one(Html(), write("a.html", table)).text == "Verb | Sound\nQuack | Type Short\nFly | -"

    def test_what_a_page_says_of_itself_is_its_fields(self, write: Write) -> None:
        page = one(
            Html(),
            write(
                "a.html",
                '<meta name="Author" content="Ann  B"><meta property="article:published_time" '
                'content="2023-05-17T10:00:00Z"><meta name=description content="All of it"><p>x',
            ),
        )
        assert page.fields == {"author": "Ann B", "date": "2023-05-17", "description": "All of it"}

    def test_xhtml_may_close_a_tag_in_itself(self, write: Write) -> None:
        page = (
            '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><p>a<br/>b</p></html>'
        )
        assert one(Html(), write("a.xhtml", page)).text == "a\nb"

    def test_a_heading_without_words_of_its_own_is_no_mark_behind_the_text(self, write: Write) -> None:
        assert one(Html(), write("a.html", "<p>x</p><h2><button>y</button></h2><pre>  </pre>")).headings == ()


class TestMarkdown:
    def test_code_and_tables_are_parts(self, write: Write) -> None:
        text = "a\n\n```py\nx = 1\n```\n\n| a | b |\n|---|:-:|\n| 1 | 2 |\n\nb\n\n~~~\nc | d\n---|---\n~~~\n"
        page = one(Markdown(), write("a.md", text))
        assert parts(page) == [("```py", "code"), ("|", "table"), ("b", "text"), ("~~~", "code")]

    def test_plain_values_of_the_front_matter_are_fields(self, write: Write) -> None:
        text = (
            "---\ntitle: Fish\nauthor: Ann\ndate: 2023-05-17 10:00\ntags: [a, b]\nweight: 3\nmap:\n  x: 1\n---\nText.\n"
        )
        page = one(Markdown(), write("a.md", text))
        assert page.title == "Fish"
        assert page.fields == {"author": "Ann", "date": "2023-05-17", "tags": "a, b", "weight": 3}
        assert one(Markdown(), write("a.md", '+++\ntitle="F"\nyear = 2023\n+++\nx')).fields == {"year": 2023}


class TestRows:
    def test_short_values_are_fields(self, write: Write) -> None:
        csv = f"id,Title,text,Author,Pub Date,Year,Zip,Note\n1,Cod,A fish.,Ann,2023-05-17,2023,01067,{'x' * 200}\n"
        row = one(Rows(), write("a.csv", csv))
        assert row.fields == {"id": 1, "author": "Ann", "pub_date": "2023-05-17", "year": 2023, "zip": "01067"}

    def test_those_of_a_metadata_object_too(self, write: Write) -> None:
        row = one(
            Rows(), write("a.jsonl", '{"text": "x", "metadata": {"source": "y", "Page": 3, "on": true, "l": [1]}}')
        )
        assert row.fields == {"page": 3}


class TestAuto:
    @pytest.mark.parametrize(
        ("content", "reader"),
        [
            (b"{\\rtf1\\ansi x}", "rtf"),
            (b'<?xml version="1.0"?><a>x</a>', "xml"),
            (b'<?xml version="1.0"?><!DOCTYPE html><html>x</html>', "html"),
            (b'{"a": 1}', "json"),
            (b'[{"a": 1}]', "json"),
            (b'{"a": 1}\n{"a": 2}\n', "rows"),
            (b"[1] a note\n", "text"),
            (b"{not json}", "text"),
            (b"{}", "json"),
        ],
    )
    def test_a_file_without_a_known_suffix_is_told_by_its_content(
        self, write: Write, content: bytes, reader: str
    ) -> None:
        assert sniff(write("saved", content)) == reader

    def test_a_package_is_told_by_what_is_in_it(self, tmp_path: Path) -> None:
        assert sniff(epub(tmp_path / "book")) == "epub"

    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("a.svg", "<svg/>", "is not read: it is a drawing."),
            ("a.xyz", "<?xml version='1.0'?><svg/>", "is not read: it is a drawing."),
            ("a.ps", "%!PS-Adobe", "is not read: PostScript is a program that draws pages."),
            ("a.txt", "{\\rtf1\\ansi Fish}", "came out as markup (RTF), not text. Give it the suffix .rtf."),
            (
                "a.txt",
                "MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\nQQ==",
                "came out as a mail's raw source, not text. Give it the suffix .eml.",
            ),
        ],
    )
    def test_what_would_come_out_as_markup_is_refused(self, write: Write, name: str, content: str, reason: str) -> None:
        path = write(name, content)
        with pytest.raises(ReadError) as caught:
            list(Auto()(path))
        assert str(caught.value).startswith(f"{path} {reason}")

    @pytest.mark.parametrize(
        "text",
        [
            "An RTF file begins with {\\rtf1\\ansi and ends with }.",
            "{\\rtf} is how RTF begins",
            "Content-Type: says what it is.\n\nContent-Transfer-Encoding: base64",
            "From: the sea\nTo: the land\n",
        ],
    )
    def test_a_text_about_markup_is_read(self, text: str) -> None:
        assert flaw(text) == ""

    def test_a_row_that_is_markup_costs_that_row_only(self, write: Write) -> None:
        path = write("a.jsonl", '{"text": "a"}\n{"text": "{\\\\rtf1\\\\ansi b}"}\n{"text": "c"}\n')
        first, bad, last = list(Auto()(path))
        assert isinstance(bad, Unread)
        assert bad.source == f"{path}#2"
        assert isinstance(first, Document)
        assert isinstance(last, Document)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MICROSOFT_2023_10K.pdf", {"company": "MICROSOFT", "year": 2023, "form": "10-K"}),
        ("reports/AAPL_2022_Q3_10Q.pdf", {"company": "AAPL", "year": 2022, "quarter": 3, "form": "10-Q"}),
        ("old.zip#AMCOR_2023Q2_10Q.pdf", {"company": "AMCOR", "year": 2023, "quarter": 2, "form": "10-Q"}),
        ("2023-05-17 Minutes.docx", {"date": "2023-05-17", "year": 2023}),
        ("Annual Report 2023.pdf", {"year": 2023, "form": "annual report"}),
        ("Rechnung 2021.pdf", {"year": 2021}),
        ("Mietvertrag_2018.docx", {"year": 2018}),
        ("Q3 2022 results.pdf", {"year": 2022, "quarter": 3}),
        ("EPA2022_report.pdf", {"year": 2022}),
        *((name, {}) for name in (
            "IMG_20230517.jpg", "kjv.txt", "chapter 12.md", "report_final_v2.docx", "1984.epub", "notes.txt", "README",
            "2001 A Space Odyssey.epub", "Blade Runner 2049.mkv", "report 2019-2020.pdf", "scan_2023-13-45.pdf", "",
            "rfc2022.txt", "report 2021.1.pdf", "corpus.jsonl#2021", "box.mbox#17", "model-2024.gguf", "a.tar.gz",
        )),
    ],
)  # fmt: skip
def test_a_file_name_says_what_is_plain_and_no_more(name: str, expected: dict[str, Field]) -> None:
    assert name_fields(name) == expected


SAMPLES: dict[str, str | bytes] = {
    "a.rtf": RTF,
    "a.rst": TestRst.TEXT,
    "a.html": "<table><tr><th rowspan=2>a<td colspan=3>b</table><ol><li>x<pre>y\n</ol><dl><dt>z<dd>w<h1>q</h1>",
    "a.md": "---\ntitle: x\n---\n# a\n\n| a | b |\n|---|---|\n\n```\nx\n```\n",
    "a.ipynb": '{"cells": [{"cell_type": "code", "source": ["x"], "outputs": [{"data": {"text/plain": ["y"]}}]}]}',
    "a.json": '{"a": [{"b": [1, "x", null]}, {"c": {"d": 1.5}}], "title": "t"}',
    "a.jsonl": '{"text": "a", "metadata": {"x": 1}}\n{"id": 3, "b": 1e9}\n',
    "a.srt": "1\n00:00:01,000 --> 00:00:02,000\n<i>x</i>\n\n2\n00:00:05,000 --> 00:00:06,000\n- y\n",
    "a.xml": '<?xml version="1.0"?><a b="1"><p>x <i>y</i></p><row><e>1</e></row><li>z</li><d><e>f</e></d></a>',
    "a.tex": "\\title{x}\\section{a{b}c}\n\\begin{verbatim}\nx\n\\end{verbatim}\n",
    "a.c": "static int f(int a) {\n}\nclass A {};\n",
    "a.csv": 'id,text,date\n1,"a, b",2023-01-01\n2,c,x\n',
}


@pytest.mark.parametrize("name", [*SAMPLES, "a.epub"])
def test_damaged_files_give_documents_or_a_reason(write: Write, tmp_path: Path, name: str) -> None:
    content = SAMPLES[name] if name in SAMPLES else epub(tmp_path / "whole.epub").read_bytes()
    content = content.encode() if isinstance(content, str) else content
    chance = random.Random(17)
    damaged = [content[:size] for size in range(0, len(content), max(1, len(content) // 60))]
    for _ in range(150):
        flipped = bytearray(content)
        for _ in range(chance.choice((1, 3, 20))):
            flipped[chance.randrange(len(flipped))] = chance.choice((chance.randrange(256), 0, 0x7B, 0x3C, 0x5C))
        damaged.append(bytes(flipped))
    for one_of_them in damaged:
        check(write(name, one_of_them))


def check(path: Path) -> None:
    """Reads a file; fails where a reader breaks what it promises."""
    try:
        for part in Auto()(path):
            if isinstance(part, Unread):
                assert "\n" not in part.reason
                continue
            assert part.text.strip()
            assert "\0" not in part.text
            part.text.encode()
            for marks in (part.marks, part.headings, part.parts):
                offsets = [offset for offset, _ in marks]
                assert offsets == sorted(offsets)
                assert all(0 <= offset < len(part.text) and label for offset, label in marks)
            assert all(field == field.lower() and field.isidentifier() for field in part.fields)
    except ReadError as error:
        reason = str(error)
    else:
        reason = ""
    assert "\n" not in reason


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["csv", "epub", "html", "ipynb", "md", "rtf", "txt"])
def test_samples_of_other_projects_damaged(data: Path, write: Write, folder: str) -> None:
    chance = random.Random(5)
    for path in sorted((data / "formats" / "files" / folder).iterdir()):
        content = path.read_bytes()
        if len(content) > 100_000:
            continue
        for _ in range(30):
            flipped = bytearray(content[: chance.randrange(1, len(content) + 1)])
            for _ in range(8):
                flipped[chance.randrange(len(flipped))] = chance.randrange(256)
            check(write(f"a{path.suffix}", bytes(flipped)))
