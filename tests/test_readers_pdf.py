from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pypdf
import pypdfium2  # type: ignore[import-untyped]
import pytest
from pypdf.generic import (
    ArrayObject,
    BooleanObject,
    DictionaryObject,
    NameObject,
    PdfObject,
    RectangleObject,
    TextStringObject,
)

from contracts import ReaderContract, Write, one
from openbook.errors import ReadError
from openbook.readers import files, ocr
from openbook.readers.auto import Auto
from openbook.readers.ocr import OcrError, Tesseract
from openbook.readers.pdf_headings import Bookmark, Look, from_bookmarks, from_looks
from openbook.readers.pdf_pages import ranges
from openbook.readers.pypdf import Pypdf
from openbook.readers.pypdfium2 import Pypdfium2
from openbook.types import Document, Reader, Unread

Line = tuple[str, float, bool]  # words, size, bold
BODY = ("Whales are the largest of all animals, and they", 10.0, False)

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")


def text(words: str, size: float = 10.0, *, bold: bool = False) -> Line:
    return words, size, bold


def pdf(*pages: Sequence[Line], count: int | None = None) -> bytes:
    """A PDF with these lines one below another."""
    kids = " ".join(f"{5 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages) if count is None else count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    ]
    for number, lines in enumerate(pages):
        stream, top = "", 760.0
        for words, size, bold in lines:
            top -= 1.2 * size + (4 if size > 10 or bold else 0)
            stream += f"BT /F{2 if bold else 1} {size} Tf 72 {top:.1f} Td ({words}) Tj ET\n"
        resources = "<< /Font << /F1 3 0 R /F2 4 0 R >> >>"
        box = "/MediaBox [0 0 612 792]"
        objects.append(f"<< /Type /Page /Parent 2 0 R {box} /Resources {resources} /Contents {6 + 2 * number} 0 R >>")
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    content, offsets = "%PDF-1.4\n", []
    for number, written in enumerate(objects, 1):
        offsets.append(len(content))
        content += f"{number} 0 obj\n{written}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(content)}\n%%EOF\n"
    return f"{content}xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{end}".encode("latin-1")


def scanned(path: Path, *, keep: int = 0) -> Path:
    """The pages of a PDF as pictures, but for the first `keep`."""
    made = path.with_name(f"scanned-{path.name}")
    with contextlib.closing(pypdfium2.PdfDocument(path)) as source, contextlib.closing(source.new()) as target:
        if keep:
            target.import_pages(source, list(range(keep)))
        for index in range(keep, len(source)):
            page = source[index]
            width, height = page.get_size()
            picture = pypdfium2.PdfImage.new(target)
            picture.set_bitmap(page.render(scale=200 / 72, grayscale=True))
            picture.set_matrix(pypdfium2.PdfMatrix().scale(width, height))
            sheet = target.new_page(width, height)
            sheet.insert_obj(picture)
            sheet.gen_content()
        target.save(made)
    return made


def unread(reader: Reader, path: Path) -> list[Unread]:
    return [part for part in reader(path) if isinstance(part, Unread)]


KINDS = ("White", "Blue", "Grey", "Old", "Lost")


def report() -> bytes:
    """Pages with a running head and foot, a chapter in large type and a section in bold."""
    return pdf(
        *(
            [
                text(f"Yearly Report of the Whale Society, {number}", 14, bold=True),
                text(f"The {kind} Whale", 16),
                *[BODY] * (4 + number),
                text(f"Food of the {kind}", bold=True),
                *[BODY] * 6,
                text(f"Page {number} of the Report", 12),
            ]
            for number, kind in enumerate(KINDS, 1)
        )
    )


def bookmarked(path: Path) -> Path:
    """Two chapters of which the second has a section, all on pages with other words before theirs."""
    path.write_bytes(
        pdf(
            [BODY, text("1 Whales"), BODY],
            [BODY, text("2. Ships"), BODY, text("2.1 Masts and Sails"), BODY],
            [BODY, BODY],
        )
    )
    writer = pypdf.PdfWriter(clone_from=path)
    writer.add_outline_item(title="1  Whales", page_number=0)
    ships = writer.add_outline_item(title="2 Ships", page_number=1)
    writer.add_outline_item(title="2.1 Masts and sails", page_number=1, parent=ships)
    writer.add_outline_item(title="A title that is not on its page", page_number=2)
    writer.add_metadata(
        {
            "/Title": "Of\0 Whales",
            "/Author": "Ann  Ahab",
            "/Subject": "unspecified",
            "/Keywords": "whales, ships",
            "/CreationDate": "D:20240822125427+02'00'",
        }
    )
    writer.write(path)
    return path


class BookmarkContract(ReaderContract):
    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        return bookmarked(tmp_path / "whales.pdf")

    def test_bookmarks_are_headings_at_their_words(self, reader: Reader, sample: Path) -> None:
        book = one(reader, sample)
        assert [(book.text[at:].split("\n")[0], label) for at, label in book.headings] == [
            ("1 Whales", "1 Whales"),
            ("2. Ships", "2 Ships"),
            ("2.1 Masts and Sails", "2 Ships > 2.1 Masts and sails"),
            (BODY[0], "A title that is not on its page"),
        ]

    def test_what_a_file_says_of_itself_is_a_field_when_it_says_something(self, reader: Reader, sample: Path) -> None:
        book = one(reader, sample)
        assert book.title == "Of Whales"
        assert book.fields == {"author": "Ann Ahab", "keywords": "whales, ships", "date": "2024-08-22"}


class TestPypdfium2(BookmarkContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Pypdfium2()


class TestPypdf(BookmarkContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Pypdf()


class TestLooks:
    def test_large_and_bold_lines_are_headings_and_running_heads_are_not(self, write: Write) -> None:
        book = one(Pypdfium2(), write("a.pdf", report()))
        assert [label for _, label in book.headings] == [
            label for kind in KINDS for label in (f"The {kind} Whale", f"The {kind} Whale > Food of the {kind}")
        ]
        assert all(book.text[at:].startswith(label.rpartition(" > ")[2]) for at, label in book.headings)

    def test_a_heading_of_two_lines_is_one(self, write: Write) -> None:
        page = [BODY, text("The Food of Whales", 16), text("and of Other Animals", 16), *[BODY] * 9]
        document = one(Pypdfium2(), write("a.pdf", pdf(page)))
        assert [label for _, label in document.headings] == ["The Food of Whales and of Other Animals"]

    def test_what_only_the_title_page_shows_is_no_heading(self, write: Write) -> None:
        title = [text("Of Whales", 30), text("Ann Ahab", 20), text("Nantucket", bold=True), *[BODY] * 3]
        chapters = [[text(f"The {word} Whale", 14), *[BODY] * 9] for word in KINDS]
        document = one(Pypdfium2(), write("a.pdf", pdf(title, *chapters)))
        assert [label for _, label in document.headings] == [f"The {word} Whale" for word in KINDS]

    @pytest.mark.parametrize(
        "line", ["Yes, they are.", "Weight 150", "Total $ 1,250", "Of whales ..... 17", "1990 1991 1992", "and so on"]
    )
    def test_a_bold_line_that_is_no_title_is_none(self, write: Write, line: str) -> None:
        page = [*[BODY] * 5, text(line, bold=True), *[BODY] * 5]
        assert one(Pypdfium2(), write("a.pdf", pdf(page))).headings == ()

    def test_bold_says_nothing_where_all_is_bold(self, write: Write) -> None:
        page = [text(BODY[0], bold=True)] * 5 + [text("Of their food", bold=True)] + [text(BODY[0], bold=True)] * 5
        assert one(Pypdfium2(), write("a.pdf", pdf(page))).headings == ()

    def test_parts_are_above_items_of_the_same_look(self, write: Write) -> None:
        page = []
        for heading in ("PART II", "Item 7. Food", "Of krill", "Item 8. Sleep"):
            page += [text(heading, bold=True), *[BODY] * 3]
        assert [label for _, label in one(Pypdfium2(), write("a.pdf", pdf(page))).headings] == [
            "PART II",
            "Item 7. Food",
            "Item 7. Food > Of krill",
            "Item 8. Sleep",
        ]

    def test_an_annex_in_a_larger_size_leaves_the_headings_of_the_rest(self, write: Write) -> None:
        small = [text(BODY[0], 8)] * 6
        pages = [[text("Of krill", 8, bold=True), *small], [BODY] * 7, [text("Of ships", bold=True), *[BODY] * 5]]
        assert [label for _, label in one(Pypdfium2(), write("a.pdf", pdf(*pages))).headings] == [
            "Of krill",
            "Of ships",
        ]

    def test_no_looks_no_headings(self) -> None:
        assert from_looks(["Of Whales\nA whale."], [()]) == []
        assert from_looks([], []) == []

    def test_cells_beside_each_other_are_no_headings(self) -> None:
        cells = [Look(14, True, 700, 72), Look(14, True, 700, 300), *[Look(10, False, 600 - i, 72) for i in range(9)]]
        lines = ["Weight", "Length", *[BODY[0]] * 9]
        assert from_looks(["\n".join(lines)], [cells]) == []


class TestBookmarks:
    def test_one_alone_or_page_names_are_no_headings(self) -> None:
        assert from_bookmarks([Bookmark(0, 1, "Whales")], ["Whales"], [()]) == []
        pages = [Bookmark(0, 1, "Page 1"), Bookmark(0, 1, "whales.pdf"), Bookmark(7, 1, "Whales")]
        assert from_bookmarks(pages, ["Whales"], [()]) == []

    def test_one_without_its_words_is_at_its_height(self) -> None:
        marks = [Bookmark(0, 1, "Plankton", 500.0), Bookmark(0, 1, "whales")]
        looks = [Look(10, False, 700, 72), Look(10, False, 495, 72), Look(10, False, 400, 72)]
        assert [at for _, at, _, _ in from_bookmarks(marks, ["of a whales\nKrill\nShips"], [looks])] == [12, 5]

    @pytest.mark.parametrize("title", ["", "***", "(.*", "17", "☃"])
    def test_any_title_can_be_looked_for(self, title: str) -> None:
        from_bookmarks([Bookmark(0, 1, title)] * 3, ["Of whales\n17 ships"], [()])


class TestPagesThatFail:
    def test_a_page_that_is_not_there_is_named_and_the_rest_is_read(self, write: Write) -> None:
        path = write("a.pdf", pdf([BODY], count=3))
        parts = list(Pypdfium2()(path))
        assert isinstance(parts[0], Document)
        assert parts[0].text == BODY[0]
        assert [(part.source, part.reason.split(".")[0]) for part in parts if isinstance(part, Unread)] == [
            (f"{path}#page 2-3", "cannot be read (Failed to load page)")
        ]

    @pytest.mark.parametrize("reader", [Pypdfium2(), Pypdf()], ids=repr)
    @pytest.mark.parametrize("count", [10_000_000, 1_000_000, 150_000])
    def test_a_count_that_is_a_lie_costs_nothing(self, reader: Reader, write: Write, count: int) -> None:
        try:
            parts = list(reader(write("a.pdf", pdf([BODY], count=count))))
        except ReadError as error:
            assert "claims 1,000,000 pages; at most 200,000 are read." in str(error)  # noqa: PT017
        else:
            assert isinstance(parts[0], Document)
            assert len(parts) <= 2

    def test_an_empty_page_of_a_file_that_was_cut_is_named(self, write: Write) -> None:
        content = pdf([BODY], [BODY]).replace(b"/Contents 8 0 R", b"/Contents 9 0 R")
        assert unread(Pypdfium2(), write("whole.pdf", content)) == []
        path = write("cut.pdf", content.replace(b"%%EOF", b""))
        (part,) = unread(Pypdfium2(), path)
        assert part.source == f"{path}#page 2"
        assert "the file ends in the middle" in part.reason

    @pytest.mark.parametrize("reader", [Pypdfium2(), Pypdf()], ids=repr)
    def test_flipped_and_missing_bytes_give_text_or_one_line(
        self, reader: Reader, tmp_path: Path, write: Write
    ) -> None:
        content = bookmarked(tmp_path / "whales.pdf").read_bytes()
        chance = random.Random(7)
        for _ in range(60):
            broken = bytearray(content)
            for _ in range(chance.randrange(1, 20)):
                broken[chance.randrange(9, len(broken))] = chance.randrange(256)
            end = chance.randrange(len(broken) // 2, len(broken)) if chance.random() < 0.3 else len(broken)
            try:
                parts = list(reader(write("broken.pdf", bytes(broken[:end]))))
            except ReadError as error:
                assert "\n" not in str(error)  # noqa: PT017
            else:
                assert all(part.text if isinstance(part, Document) else "\n" not in part.reason for part in parts)

    def test_numbers_are_said_as_ranges(self) -> None:
        assert ranges([2]) == "2"
        assert ranges([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"


class TestForms:
    def test_values_of_fields_and_notes_are_read(self, write: Write, tmp_path: Path) -> None:
        path = tmp_path / "form.pdf"
        writer = pypdf.PdfWriter(clone_from=write("a.pdf", pdf([BODY])))
        field: dict[str, PdfObject] = {
            "/T": TextStringObject("Name"),
            "/FT": NameObject("/Tx"),
            "/V": TextStringObject("Ann\nAhab"),
            "/Subtype": NameObject("/Widget"),
        }
        note: dict[str, PdfObject] = {"/Subtype": NameObject("/Text"), "/Contents": TextStringObject("Ask about krill")}
        place: dict[str, PdfObject] = {"/Type": NameObject("/Annot"), "/Rect": RectangleObject((72, 72, 200, 100))}
        added = [writer._add_object(dictionary({**values, **place})) for values in (field, note)]
        writer.pages[0][NameObject("/Annots")] = ArrayObject(added)
        writer.root_object[NameObject("/AcroForm")] = dictionary({"/Fields": ArrayObject(added[:1])})
        writer.write(path)
        assert one(Pypdfium2(), path).text == f"{BODY[0]}\n\nName: Ann Ahab\nAsk about krill"

    def test_a_form_that_only_adobe_shows_is_named(self, write: Write, tmp_path: Path) -> None:
        path = tmp_path / "form.pdf"
        writer = pypdf.PdfWriter(clone_from=write("a.pdf", pdf([text("Please wait for the form")])))
        form: dict[str, PdfObject] = {"/Fields": ArrayObject(), "/XFA": TextStringObject("<xdp/>")}
        writer.root_object[NameObject("/AcroForm")] = dictionary(form)
        writer.root_object[NameObject("/NeedsRendering")] = BooleanObject(True)
        writer.write(path)
        assert [part.source for part in unread(Pypdfium2(), path)] == [f"{path}#form"]


def dictionary(values: Mapping[str, PdfObject]) -> DictionaryObject:
    return DictionaryObject({NameObject(key): value for key, value in values.items()})


class TestScans:
    @pytest.fixture
    def scan(self, write: Write) -> Path:
        page = [text("The white whale swam past Nantucket", 20), text("at noon with three ships", 20)]
        return scanned(write("a.pdf", pdf([BODY, *[BODY] * 3], page, page)), keep=1)

    def test_without_tesseract_the_pages_are_named_with_what_to_install(
        self, scan: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "")
        document, part = list(Pypdfium2()(scan))
        assert isinstance(document, Document)
        assert document.marks == ((0, "page 1"),)
        assert part == Unread(
            f"{scan}#scanned pages",
            "2 of 3 pages are scanned pictures without text (pages 2-3). "
            "Install tesseract (Debian: apt install tesseract-ocr), then add it again.",
        )

    def test_nothing_but_scans_is_an_error(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        path = scanned(write("a.pdf", pdf([BODY])))
        with pytest.raises(ReadError, match=r"its only page is a scanned picture without text \(page 1\). Install"):
            list(Pypdfium2()(path))

    def test_it_can_be_turned_off(self, scan: Path) -> None:
        for reader in (Pypdfium2(ocr=False), Auto(ocr=False)):
            (part,) = unread(reader, scan)
            assert part.reason.endswith("(pages 2-3). Turn the reader's option ocr on, then add it again.")

    def test_an_empty_page_is_nothing_to_complain_of(self, write: Write) -> None:
        assert unread(Pypdfium2(), write("a.pdf", pdf([BODY], []))) == []

    @needs_tesseract
    def test_scanned_pages_are_read_and_say_that_they_live(self, scan: Path) -> None:
        lives: list[int] = []
        token = files.ALIVE.set(lambda: lives.append(1))
        document = one(Pypdfium2(), scan)
        files.ALIVE.reset(token)
        assert "The white whale swam past Nantucket\nat noon with three ships" in document.text
        assert [label for _, label in document.marks] == ["page 1", "page 2", "page 3"]
        assert document.fields["ocr_pages"] == 2
        assert len(lives) >= 2

    @needs_tesseract
    def test_a_picture_without_words_has_no_text(self, write: Write) -> None:
        grey = b"P5 600 400 255\n" + bytes(600 * 400)
        assert Tesseract.find()(grey) == ""

    @pytest.mark.slow
    @needs_tesseract
    @pytest.mark.parametrize("turned", [90, 180])
    def test_a_page_that_was_scanned_the_wrong_way_up_is_read(self, write: Write, turned: int) -> None:
        lines = [text(f"The {kind} whale swam past Nantucket at noon", 18) for kind in KINDS * 4]
        path = scanned(write("a.pdf", pdf(lines)))
        writer = pypdf.PdfWriter(clone_from=path)
        writer.pages[0].rotate(turned)
        writer.write(path)
        assert "The Grey whale swam past Nantucket at noon\nThe Old whale swam" in one(Pypdfium2(), path).text

    @needs_tesseract
    def test_a_language_that_is_missing_is_named(self, scan: Path) -> None:
        (part,) = unread(Pypdfium2(ocr_language="xyz"), scan)
        assert "tesseract lacks the language 'xyz' (installed: " in part.reason

    def test_guesses_are_no_text(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = [
            "level\tpage",
            *(f"5\t1\t{block}\t1\t1\t1\t0\t0\t9\t9\t{sure}\t{word}" for block, sure, word in GUESSED),
        ]
        monkeypatch.setattr(ocr, "_run", lambda command, picture: "\n".join(rows).encode())
        tesseract = Tesseract("tesseract", "eng", turns=False)
        assert tesseract(b"") == "whale"
        rows[1:] = rows[2:]
        with pytest.raises(OcrError, match="sure of only 12 % of the letters"):
            tesseract(b"")

    def test_a_tesseract_that_hangs_or_fails_costs_its_page(
        self, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = tmp_path / "tesseract"
        program.write_text('#!/bin/sh\n[ "$1" = --list-langs ] && printf "List\\neng\\n" && exit\nexec sleep 30\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        run = ocr._run

        def soon(command: list[str], picture: bytes) -> bytes:
            monkeypatch.setattr(ocr, "SECONDS", 60 if "--list-langs" in command else 0.2)
            return run(command, picture)

        monkeypatch.setattr(ocr, "_run", soon)
        (part,) = unread(Pypdfium2(), scan)
        assert (part.source, part.reason.split(".")[0]) == (
            f"{scan}#page 2-3",
            "is a picture: tesseract took longer than 0",
        )


GUESSED = [(1, 90, "whale"), (2, 12, "~~;")]


def test_reports_have_a_heading_on_most_pages(data: Path) -> None:
    path = data / "reports-pdf" / "pdfs" / "NETFLIX_2017_10K.pdf"
    labels = [label for _, label in one(Pypdfium2(), path).headings]
    assert "PART II > Item 5. Market for Registrant’s Common Equity, Related Stockholder Matters and …" in labels
    assert not any("Table of Contents" in label for label in labels)
    assert 80 < len(labels) < 200
