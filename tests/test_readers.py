"""Readers: exact text, marks a person would cite, and one line that says why a file cannot be read."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import RANDOM, ReaderContract, Write, one, read
from openbook import registry
from openbook.demo import kjv
from openbook.errors import ReadError
from openbook.readers import ENTRIES, SUFFIXES
from openbook.readers.auto import Auto
from openbook.readers.files import decode
from openbook.readers.headings import heading_marks
from openbook.readers.html import Html
from openbook.readers.markdown import Markdown
from openbook.readers.pdf_pages import join_words
from openbook.readers.pypdf import Pypdf
from openbook.readers.pypdfium2 import Pypdfium2
from openbook.readers.rows import Rows
from openbook.readers.text import Text, chapter_marks
from openbook.readers.verses import verse_marks
from openbook.recipe import Spec
from openbook.types import Document, Reader, Unread

SAMPLES = Path(__file__).parent / "data"


def labels(document: Document) -> list[tuple[str, str]]:
    """The first word at each mark, and the mark's label."""
    return [(document.text[offset:].split()[0], label) for offset, label in document.places]


class TestText(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Text()

    @pytest.fixture
    def sample(self) -> Path:
        return SAMPLES / "utf16.txt"

    def test_the_text_is_the_file_but_for_line_ends(self, write: Write) -> None:
        text = "\n One\r\ntwo\rthree\n\n\tx  \n"
        assert one(Text(), write("a.txt", text)) == Document("\n One\ntwo\nthree\n\n\tx  \n", str(write("a.txt", text)))

    def test_utf_16_and_western_letters_are_told_apart(self) -> None:
        assert one(Text(), SAMPLES / "utf16.txt").text == "Ein großer Fisch.\n"
        assert one(Text(), SAMPLES / "latin1.txt").text == "Café – naïve € 5\n"

    @pytest.mark.parametrize(
        ("encoding", "text"),
        [
            ("cp850", "Grüße aus München, schöne Ferien und ärgerliche Züge.\n"),
            ("cp850", "Le café était fermé; la crème brûlée, les élèves.\n"),
            ("cp1252", "He said “no” – “never”—and left… the ‘naïve’ café™.\n"),
            ("cp1252", "„Grüße“, sagte der „Gruß“: Straße für Züge • Škoda, Žižek, cœur.\n"),
        ],
    )
    def test_letters_of_dos_and_of_windows_are_told_apart(self, write: Write, encoding: str, text: str) -> None:
        assert one(Text(), write("a.txt", text.encode(encoding))).text == text

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
    def test_a_byte_order_mark_is_no_part_of_the_text(self, write: Write, encoding: str) -> None:
        assert one(Text(), write("a.txt", "größe 前 𝒳".encode(encoding))).text == "größe 前 𝒳"

    def test_one_bad_byte_costs_one_character_not_the_file(self, write: Write) -> None:
        text = "Größe über Ströme. " * 20
        assert one(Text(), write("a.txt", text.encode() + b"\xff")).text == text + "\ufffd"

    @RANDOM
    @given(text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1))
    def test_utf_8_comes_back_as_it_was(self, text: str) -> None:
        assert decode(text.encode(), Path("a")) == text.removeprefix("\ufeff")

    @RANDOM
    @given(content=st.binary(max_size=200))
    def test_any_bytes_give_text_or_a_reason(self, content: bytes) -> None:
        try:
            text = decode(content, Path("a"))
        except ReadError:
            return
        text.encode()

    @pytest.mark.parametrize(
        ("text", "encoding"),
        [
            ("魚が泳ぐ海", "shift_jis"),
            ("起初神創造天地。", "big5"),
            ("В начале сотворил Бог небо и землю. Земля же была безвидна и пуста.", "koi8_r"),
        ],
    )
    def test_another_script_is_told_by_its_bytes(self, write: Write, text: str, encoding: str) -> None:
        assert one(Text(), write("a.txt", text.encode(encoding))).text == text


class TestMarkdown(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Markdown()

    @pytest.fixture
    def sample(self) -> Path:
        return SAMPLES / "guide.md"

    def test_headings_are_marks_and_code_is_not(self, sample: Path) -> None:
        guide = one(Markdown(), sample)
        assert guide.text == sample.read_text(encoding="utf-8")
        assert guide.title == "The Fisher's Guide"
        assert labels(guide) == [
            ("#", "Nets"),
            ("##", "Kinds of net here"),
            ("Mending", "Mending"),
            ("###", "Mending > By hand"),
        ]

    def test_the_first_heading_is_the_title_without_front_matter(self, write: Write) -> None:
        assert one(Markdown(), write("a.md", "intro\n\n# *The* Sea\n")).title == "The Sea"
        assert one(Markdown(), write("a.md", "#hashtag\n\n    # code\n")).title == ""
        assert one(Markdown(), write("a.md", "#hashtag\n\n    # code\n")).marks == ()

    @pytest.mark.parametrize(
        "text",
        ["~~~\n# a\n~~~~\n", "````\n```\n# a\n````\n", "- ```\n  # a\n  ```\n", "```\n# never closed", "| a |\n---\n"],
    )
    def test_what_looks_like_a_heading_in_a_block_is_none(self, write: Write, text: str) -> None:
        assert one(Markdown(), write("a.md", text)).marks == ()


class TestHtml(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Html()

    @pytest.fixture
    def sample(self) -> Path:
        return SAMPLES / "page.html"

    def test_a_page_reads_as_a_person_sees_it(self, sample: Path) -> None:
        page = one(Html(), sample)
        assert page.title == "Fish & Ships"
        assert page.text == (
            "Fish & Ships\n\nA fish swims in the sea.\nIt eats weeds.\n\nKinds\n\n- cod\n- herring\n  - smoked\n\n"
            "Fish | Weight\ncod | 12 kg at most\n\nCatching\n\ncast --net\n  --slowly   # two spaces\n\n"
            "Plain words after it."
        )
        assert labels(page) == [("Fish", "Fish & Ships"), ("Kinds", "Kinds"), ("Catching", "Kinds > Catching")]

    def test_the_charset_may_be_declared_in_the_page(self, write: Write) -> None:
        page = '<meta http-equiv=Content-Type content="text/html; charset=shift_jis"><p>日本の魚</p>'
        assert one(Html(), write("a.html", page.encode("shift_jis"))).text == "日本の魚"
        wrong = "<meta charset=latin-1><p>größe</p>"
        assert one(Html(), write("a.html", wrong)).text == "größe"
        assert one(Html(), write("a.html", "<meta charset=hex><p>fish</p>")).text == "fish"

    def test_a_table_that_lays_out_a_page_is_no_row(self, write: Write) -> None:
        page = "<table><tr><td>menu</td><td><h1>Sea</h1><table><tr><td>a</td><td>b</td></tr></table></td></tr></table>"
        assert one(Html(), write("a.html", page)).text == "menu\n\nSea\n\na | b"

    def test_a_deeply_nested_page_is_read(self, write: Write) -> None:
        assert one(Html(), write("a.html", "<div>" * 5_000 + "deep")).text == "deep"

    def test_a_page_made_by_a_script_says_so(self, write: Write) -> None:
        with pytest.raises(ReadError, match="has no text in it. If a script makes the page"):
            list(Html()(write("a.html", "<body><script>render()</script></body>")))

    def test_every_page_of_kafka_gives_its_gold_quotes(self, data: Path) -> None:
        source = data / "kafka-docs" / "source"
        texts = {
            str(path.relative_to(source)): " ".join(one(Auto(), path).text.split()) for path in source.rglob("*.html")
        }
        assert len(texts) == 59
        for line in (data / "kafka-docs" / "gold.jsonl").read_text(encoding="utf-8").splitlines():
            for gold in json.loads(line)["gold"]:
                assert any(" ".join(gold["quote"].split()) in texts[name] for name in gold["files"]), gold


class TestRows(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Rows()

    @pytest.fixture
    def sample(self) -> Path:
        return SAMPLES / "corpus.jsonl"

    def test_each_row_is_a_document_named_by_its_id_or_line(self, sample: Path) -> None:
        assert [(row.source.rpartition("#")[2], row.title, row.text) for row in read(Rows(), sample)] == [
            ("a1", "Jonah", "A great fish\nswallowed him."),
            ("a1~2", "", "The second of that name."),
            ("7", "", "Called otherwise."),
            ("5", "Ark", 'name: Ark\nlength: 300\nwood: gopher\nrooms: ["first", "second"]'),
            ("t", "Only a title", "Only a title"),
        ]

    def test_csv_knows_semicolons_quotes_and_byte_order_marks(self) -> None:
        assert [(row.source.rpartition("#")[2], row.title, row.text) for row in read(Rows(), SAMPLES / "fish.csv")] == [
            ("1", "Cod", 'id: 1\nName: Cod\nNote: swims; deep\nand "well"'),
            ("2", "Herring", "id: 2\nName: Herring"),
            ("2~2", "Eel", "id: 2\nName: Eel\nNote: electric"),
        ]

    def test_a_first_line_that_tells_excel_the_delimiter_is_no_header(self, write: Write) -> None:
        cod, eel = read(Rows(), write("a.csv", "sep=;\r\nname;price\r\nCod;1,99\r\nEel;2,49\r\n"))
        assert (cod.text, cod.source.rpartition("#")[2]) == ("name: Cod\nprice: 1,99", "3")
        assert (eel.text, eel.source.rpartition("#")[2]) == ("name: Eel\nprice: 2,49", "4")

    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("a.jsonl", "[" * 100_000, "line 1 is not JSON that can be read"),
            ("a.jsonl", "\n\n", "is empty"),
            ("a.jsonl", '{"text": " "}', "is empty"),
            ("a.csv", "a,b\n1,2,3\n", "line 2 has 3 cells, the header has 2. Quote a cell that holds the delimiter."),
            ("a.csv", "a,b\n1,2\n" + "1,2,3\n" * 99, "line 23 has 3 cells, the header has 2"),
            ("a.csv", 'a,b\n1,"2\n1,2\n', "line 2 cannot be read as CSV (unexpected end of data)"),
            ("a.csv", "a,b\n", "is empty"),
        ],
    )
    def test_rows_that_cannot_be_read_are_a_reason(self, write: Write, name: str, content: str, reason: str) -> None:
        path = write(name, content)
        with pytest.raises(ReadError) as caught:
            list(Rows()(path))
        assert str(caught.value).startswith(f"{path} {reason}")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "content", "line", "reason"),
        [
            ("a.jsonl", '{"a": "x"}\n{"text": \n{"a": "y"}', 2, "is not JSON (Expecting value at character 9)"),
            ("a.jsonl", '{"a": "x"}\n\n["b"]\n{"a": "y"}', 3, "is a JSON list, not an object"),
            ("a.csv", "a,b\nx,\n1,2,3\ny,\n", 3, "has 3 cells, the header has 2"),
        ],
    )
    def test_a_bad_row_is_named_and_costs_that_row(
        self, write: Write, name: str, content: str, line: int, reason: str
    ) -> None:
        path = write(name, content)
        *rows, bad = Rows()(path)
        assert [row.text for row in rows if isinstance(row, Document)] == ["a: x", "a: y"]
        assert isinstance(bad, Unread)
        assert str(bad).startswith(f"{path}#{line}: line {line} {reason}")

    def test_a_wider_row_after_an_empty_line_is_a_header(self, write: Write) -> None:
        bank = "Turnover of May\n\nAccount;DE12\nOwner;Anna\n\nDay;Name;Sum\n1.5.;Cod;5,00\n\n2.5.;Eel;6,00\n"
        assert [(row.source.rpartition("#")[2], row.text) for row in read(Rows(), write("a.csv", bank))] == [
            ("1", "Turnover of May"),
            ("4", "Account: Owner\nDE12: Anna"),
            ("7", "Day: 1.5.\nName: Cod\nSum: 5,00"),
            ("9", "Day: 2.5.\nName: Eel\nSum: 6,00"),
        ]

    def test_half_characters_and_nul_do_not_reach_a_store(self, write: Write) -> None:
        text = one(Rows(), write("a.jsonl", r'{"text": "a\ud83d b\u0000 \ud83d\ude00\r\nc"}')).text
        assert text == "a\ufffd b\ufffd 😀\nc"

    def test_a_cell_may_be_huge(self, write: Write) -> None:
        assert len(one(Rows(), write("a.csv", f'text,b\n"{"x" * 1_000_000}",2\n')).text) == 1_000_000

    @RANDOM
    @given(rows=st.lists(st.tuples(st.text(max_size=9), st.text('ab,;\t|"\n é', min_size=1)), min_size=1, max_size=6))
    def test_what_was_written_as_csv_is_read_again(
        self, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "random.csv"
        rows = [("".join(c for c in name if c.isprintable()), text) for name, text in rows]
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("id", "text"), *rows])
        expected = [text for _, text in rows if text.strip()]
        assert [row.text.strip() for row in _rows_or_none(path)] == [text.strip() for text in expected]

    def test_a_large_file_is_not_held_in_memory(self, write: Write) -> None:
        import tracemalloc

        path = write("a.jsonl", b"".join(b'{"text": "%d %s"}\n' % (i, b"x" * 1000) for i in range(20_000)))
        tracemalloc.start()
        assert sum(1 for _ in Rows()(path)) == 20_000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8_000_000


def _rows_or_none(path: Path) -> list[Document]:
    try:
        return read(Rows(), path)
    except ReadError as error:
        if "is empty" not in str(error):
            raise
        return []


class PdfContract(ReaderContract):
    @pytest.fixture
    def sample(self) -> Path:
        return SAMPLES / "whales.pdf"

    def test_pages_are_marks_and_words_cut_by_a_line_end_are_whole(self, reader: Reader, sample: Path) -> None:
        book = one(reader, sample)
        assert book.text == (
            "Of Whales\nThe whale is the largest of all animals. It is a long-term guest of\nthe sea.\n"
            "Weight 150,000 kg"
            "\n\nOf Ships\nA ship of the long-term kind has 3 masts."
        )
        assert book.title == "A Small Book of Whales"
        assert labels(book) == [("Of", "page 1"), ("Of", "page 3")]
        assert book.place(0, len(book.text)) == "page 1-3"

    def test_a_pdf_without_text_says_so(self, reader: Reader, write: Write) -> None:
        from data.make_pdf import pdf

        with pytest.raises(ReadError, match="has no text on any of its 2 pages"):
            list(reader(write("a.pdf", pdf(((), ())))))

    def test_an_encrypted_pdf_says_so(self, reader: Reader, sample: Path, tmp_path: Path) -> None:
        import pypdf

        writer = pypdf.PdfWriter(clone_from=sample)
        writer.encrypt("secret", algorithm="RC4-128")
        path = tmp_path / "locked.pdf"
        writer.write(path)
        with pytest.raises(ReadError, match="is encrypted. Remove its password"):
            list(reader(path))

    def test_a_pdf_that_only_may_not_be_printed_is_read(self, reader: Reader, sample: Path, tmp_path: Path) -> None:
        import pypdf

        writer = pypdf.PdfWriter(clone_from=sample)
        writer.encrypt("", "owner", algorithm="RC4-128")
        path = tmp_path / "owned.pdf"
        writer.write(path)
        assert "Of Whales" in one(reader, path).text

    @pytest.mark.parametrize(
        "content", [b"%PDF-1.7\n", b"%PDF-1.4\ntrailer << /Root 9 0 R >>\n%%EOF", b"%PDF-" + b"\xff" * 999]
    )
    def test_a_damaged_pdf_says_so(self, reader: Reader, write: Write, content: bytes) -> None:
        path = write("a.pdf", content)
        with pytest.raises(ReadError) as caught:
            list(reader(path))
        assert str(caught.value).startswith(f"{path} is damaged")
        assert "\n" not in str(caught.value)

    def test_a_file_only_named_like_a_pdf_says_so(self, reader: Reader, write: Write) -> None:
        with pytest.raises(ReadError, match="is not a PDF, only named like one"):
            list(reader(write("a.pdf", "<html>404</html>")))
        with pytest.raises(ReadError, match="is empty"):
            list(reader(write("a.pdf", "")))

    def test_every_cut_of_a_pdf_gives_text_or_a_reason(self, reader: Reader, sample: Path, write: Write) -> None:
        content = sample.read_bytes()
        for size in range(5, len(content), 97):
            with contextlib.suppress(ReadError):
                assert one(reader, write("cut.pdf", content[:size])).text


class TestPypdfium2(PdfContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Pypdfium2()

    def test_threads_may_share_it(self, sample: Path) -> None:
        found: list[Document] = []
        threads = [threading.Thread(target=lambda: found.extend(read(Pypdfium2(), sample))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len(set(found)) == 1

    def test_gold_pages_of_reports_have_their_text(self, data: Path) -> None:
        path = data / "reports-pdf" / "pdfs" / "AAPL_2023_Q2_10Q.pdf"
        report = one(Pypdfium2(), path)
        expected = {}
        for line in (data / "reports-pdf" / "corpus.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            document, _, page = row["_id"].partition("#p")
            if document == path.stem:
                expected[f"page {page}"] = set(row["text"].split())
        bounds = [*report.marks, (len(report.text), "")]
        read = {
            label: set(report.text[begin : bounds[i + 1][0]].split()) for i, (begin, label) in enumerate(report.marks)
        }
        assert set(read) == set(expected)
        for page, words in expected.items():
            assert len(words & read[page]) >= 0.95 * len(words), page


class TestPypdf(PdfContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Pypdf()


class TestAuto(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Auto()

    @pytest.fixture(params=["guide.md", "page.html", "corpus.jsonl", "fish.csv", "whales.pdf", "utf16.txt"])
    def sample(self, request: pytest.FixtureRequest) -> Path:
        return SAMPLES / str(request.param)

    def test_each_suffix_has_a_reader(self) -> None:
        assert set(SUFFIXES.values()) - {"pdf"} <= set(ENTRIES)

    def test_its_version_counts_those_of_all_readers(self) -> None:
        others = [registry.load("reader", name).VERSION for name in ENTRIES if name != "auto"]
        assert sum(others) == Auto.VERSION

    def test_the_pdf_reader_can_be_chosen(self) -> None:
        reader = registry.make("reader", Spec.parse("auto(pdf='pypdf')"))
        assert one(reader, SAMPLES / "whales.pdf") == one(Pypdf(), SAMPLES / "whales.pdf")

    def test_an_unknown_suffix_is_read_by_what_is_in_the_file(self, write: Write) -> None:
        assert one(Auto(), write("notes.xyz", "One fish.\n")).text == "One fish.\n"
        assert one(Auto(), write("README", "One fish.\n")).text == "One fish.\n"
        assert one(Auto(), write("saved", "\n<!DOCTYPE html><p>One fish.")).text == "One fish."
        assert one(Auto(), write("paper", (SAMPLES / "whales.pdf").read_bytes())).title == "A Small Book of Whales"
        assert one(Auto(), write("NOTES.TXT", "One fish.")).text == "One fish."

    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("a.dwg", b"AC1032\0\0", "cannot be read: no reader for files with the suffix '.dwg'. Known: .bz2, "),
            ("a.out", b"\x7fELF\0", "cannot be read: no reader for files with the suffix '.out'."),
            ("binary", b"\x01\x02\x03", "cannot be read: no reader for files without a suffix that are not text."),
            ("a.txt", b"fish\0", "looks binary, not like text."),
            ("a.txt", b"", "is empty."),
            ("a.txt", b" \n\t", "is empty."),
            (
                "a.txt",
                bytes(range(128, 256)),
                "is in an unknown encoding. Convert it, for example with: iconv",
            ),
            ("a\nb.txt", b"", ""),
        ],
    )
    def test_a_file_that_cannot_be_read_says_why_in_one_line(
        self, write: Write, name: str, content: bytes, reason: str
    ) -> None:
        path = write(name, content)
        with pytest.raises(ReadError) as caught:
            list(Auto()(path))
        assert "\n" not in str(caught.value)
        assert not reason or str(caught.value).startswith(f"{path} {reason}")


@pytest.mark.parametrize("name", ["a.md", "a.txt", "a.html", "a.csv"])
@pytest.mark.parametrize(
    "piece", ["[", "# ", "<b>", "1:1 ", "CHAPTER I\n\n", "`*", '"', "- ", "> ", "a\n===\n", "<!--", "\\"]
)
def test_odd_files_take_no_longer_than_their_length(write: Write, name: str, piece: str) -> None:
    path = write(name, "# " + piece * 50_000 + "x")
    began = time.process_time()
    with contextlib.suppress(ReadError):
        list(Auto()(path))
    assert time.process_time() - began < 30  # what is quadratic takes minutes


@pytest.mark.parametrize("reader", [Auto(), Text(), Markdown(), Html(), Rows(), Pypdfium2(), Pypdf()], ids=repr)
class TestFilesThatAreNone:
    def test_a_missing_file(self, reader: Reader, tmp_path: Path) -> None:
        with pytest.raises(ReadError, match="does not exist"):
            list(reader(tmp_path / "missing.txt"))

    def test_a_folder(self, reader: Reader, tmp_path: Path) -> None:
        with pytest.raises(ReadError, match="is a folder"):
            list(reader(tmp_path))

    def test_a_pipe(self, reader: Reader, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.txt")
        with pytest.raises(ReadError, match="is a pipe, a socket or a device"):
            list(reader(tmp_path / "pipe.txt"))

    def test_a_file_without_permission(self, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "secret.txt"
        path.write_text("secret", encoding="utf-8")

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)  # root may read everything
        with pytest.raises(ReadError, match="permission denied"):
            list(reader(path))

    def test_a_link_to_itself(self, reader: Reader, tmp_path: Path) -> None:
        (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
        with pytest.raises(ReadError, match="cannot be read"):
            list(reader(tmp_path / "loop.txt"))

    def test_a_name_that_is_not_utf_8(self, reader: Reader, tmp_path: Path) -> None:
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt"))
        path.write_text("fish", encoding="utf-8")
        with pytest.raises(ReadError, match="is not UTF-8"):
            list(reader(path))


@pytest.fixture(scope="module")
def bible(tmp_path_factory: pytest.TempPathFactory) -> Document:
    return one(Auto(), kjv(tmp_path_factory.mktemp("bible")))


class TestVerses:
    def test_each_verse_of_the_bible_has_its_mark(self, bible: Document) -> None:
        assert len(bible.marks) == len({label for _, label in bible.marks}) == 31_102
        assert bible.place(bible.text.index("a great fish")) == "Jonah 1:17"
        assert bible.place(bible.text.index("JONAH")) == bible.place(bible.text.index("Jonah 1\n")) == "Jonah 1:1"
        assert bible.place(len(bible.text)) == "Revelation 22:21"
        for offset, label in bible.marks:
            chapter, _, verse = label.rpartition(" ")[2].partition(":")
            line = bible.text[offset : bible.text.index("\n", offset)]
            assert line.startswith(f"{chapter}:{verse} ") or verse == "1"

    def test_a_german_bible_is_marked_too(self, data: Path) -> None:
        bible = one(Auto(), data / "bible-de-elb1905" / "source" / "elberfelder1905.txt")
        assert len(bible.marks) == 31_102
        assert bible.place(bible.text.index("Im Anfang schuf Gott")) == "1. Mose 1:1"

    def test_verses_that_name_their_book_need_no_heading(self) -> None:
        text = "1 John 1:1 That\n1 John 1:2 For the life\n1 John 1:4 And\n1 John 2:1 My little\n2 John 1:1 The elder\n"
        assert [label for _, label in verse_marks(text)] == [
            "1 John 1:1",
            "1 John 1:2",
            "1 John 1:4",
            "1 John 2:1",
            "2 John 1:1",
        ]

    @pytest.mark.parametrize(
        "text",
        [
            "Room 10\n10:30 Meeting\n10:45 Coffee\n11:00 End\n1:1 talk\n",
            "1:1 Word\n1:2 Word\n1:3 Word\n",
            "Chapter 1\n1:1 Word\n1:2 Word\n1:3 Word\n",
            "Genesis 1\n1:1 Word\n1:2 Word\n",
            "Score 1:1 after\nScore 2:1 after\nScore 1:1 again\n",
            "Scale 1:100 maps\nRatio 1:1 is square\n16:9 is wide\n",
        ],
    )
    def test_where_it_is_not_sure_there_are_no_marks(self, text: str) -> None:
        assert verse_marks(text) == ()


class TestChapters:
    def test_chapters_and_parts_are_marks(self) -> None:
        text = (
            "TITLE\n\nPART ONE\n\nCHAPTER I\n\na\n\nCHAPTER II. The Sea\n\nb\n\nPART TWO\n\nc\n\nChapter 3: Land\n\nd\n"
        )
        assert [label for _, label in chapter_marks(text)] == [
            "PART ONE",
            "PART ONE > CHAPTER I",
            "PART ONE > CHAPTER II. The Sea",
            "PART TWO",
            "PART TWO > Chapter 3: Land",
        ]

    def test_a_table_of_contents_is_not_marked(self) -> None:
        contents = "CHAPTER I\n\nCHAPTER II\n\nCHAPTER III\n\n"
        text = contents + "Preface words.\n\nCHAPTER I\n\na\n\nCHAPTER II\n\nb\n"
        assert [offset for offset, _ in chapter_marks(text)] == [
            text.rindex("CHAPTER I\n"),
            text.rindex("CHAPTER II\n"),
        ]

    def test_underlined_headings_are_marks(self) -> None:
        text = "Fish\n====\n\nswim\n\nCod\n---\n\ndeep\n\nShips\n=====\n\nsail\n"
        assert [label for _, label in chapter_marks(text)] == ["Fish", "Fish > Cod", "Ships"]

    @pytest.mark.parametrize(
        "text",
        [
            "Chapter I have read\n\nb\n\nPart of it\n\nc",
            "a\n\nname   weight\n-------------\ncod    12\n",
            "CHAPTER I\n\nalone",
        ],
    )
    def test_other_lines_are_not(self, text: str) -> None:
        assert chapter_marks(text) == ()

    def test_a_long_heading_is_shortened_in_a_label(self) -> None:
        ((_, label),) = heading_marks([(0, 1, "word " * 40)])
        assert len(label) <= 80


def test_a_hyphen_at_a_line_end_stays_where_the_document_writes_it_elsewhere() -> None:
    assert join_words(["well\ufffebeing", "well-being"]) == ["well-being", "well-being"]
    assert join_words(["im\ufffeportant"]) == ["important"]
    assert join_words(["COVID\ufffe19, Jean\ufffePaul, 3 \ufffe"]) == ["COVID-19, Jean-Paul, 3 -"]


def test_the_demo_text_is_written_once_and_repaired(tmp_path: Path) -> None:
    path = kjv(tmp_path / "demo")
    written = path.stat().st_mtime_ns
    assert kjv(tmp_path / "demo") == path
    assert path.stat().st_mtime_ns == written
    path.write_text("half", encoding="utf-8")
    assert kjv(tmp_path / "demo").stat().st_size == 4_318_414
    assert list(path.parent.iterdir()) == [path]
