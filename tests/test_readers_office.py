"""Office files: text in order, marks a person would cite, a line for what cannot be read, no harm by hostile ones."""

from __future__ import annotations

import contextlib
import random
import shutil
import struct
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest
from lxml import etree  # type: ignore[import-untyped]  # ty: ignore[missing-module-member]

from conftest import DATA
from contracts import ReaderContract, one, read
from openbook.errors import ReadError
from openbook.readers.auto import Auto
from openbook.readers.docx import Docx
from openbook.readers.libreoffice import LibreOffice
from openbook.readers.odf import Odf
from openbook.readers.omml import linear
from openbook.readers.packages import OLE
from openbook.readers.pptx import Pptx
from openbook.readers.sheets import Sheets
from openbook.types import Document, Reader, Unread

FORMATS = DATA / "formats"

NO_TEXT = frozenset({
    "tika__testWPSAttachment", "tika__testPPT_embeddedMP3", "tika__testEXCEL_embeddedPDF_mac",
    "tika__testEXCEL_poi-61034", "tika__testExcel_embeddedPDF", "tika__testODTEmbeddedImageLink",
    "tika__testODTEncrypted", "tika__testMasterFooter", "tika__testODPMacro",
})  # fmt: skip

OOXML = "http://schemas.openxmlformats.org"
W = f'xmlns:w="{OOXML}/wordprocessingml/2006/main" xmlns:m="{OOXML}/officeDocument/2006/math"'
P = (
    f'xmlns:p="{OOXML}/presentationml/2006/main" xmlns:a="{OOXML}/drawingml/2006/main" '
    f'xmlns:r="{OOXML}/officeDocument/2006/relationships"'
)
S = f'xmlns="{OOXML}/spreadsheetml/2006/main" xmlns:r="{OOXML}/officeDocument/2006/relationships"'
ODF = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{long}:1.0"'
    for name, long in {
        "office": "office", "text": "text", "table": "table", "draw": "drawing", "style": "style",
        "presentation": "presentation", "svg": "svg-compatible", "manifest": "manifest",
    }.items()
)  # fmt: skip
RELATIONS = f"{OOXML}/package/2006/relationships"
LINK = f"{OOXML}/officeDocument/2006/relationships"
CORE = (
    f'<c:coreProperties xmlns:c="{OOXML}/package/2006/metadata/core-properties" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:t="http://purl.org/dc/terms/"><dc:title>Fish</dc:title>'
    "<dc:creator>Jonah</dc:creator><t:modified>2024-05-06T07:08:09Z</t:modified><c:keywords>sea</c:keywords>"
    "</c:coreProperties>"
)

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(name: str, members: Mapping[str, str | bytes]) -> Path:
        path = tmp_path / name
        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            for member, content in members.items():
                archive.writestr(member, content)
        return path

    return make


def relations(**targets: str) -> str:
    """Relations by kind; the id is the kind too."""
    ones = [f'<Relationship Id="{kind}" Type="{LINK}/{kind}" Target="{target}"/>' for kind, target in targets.items()]
    return f'<Relationships xmlns="{RELATIONS}">{"".join(ones)}</Relationships>'


def reason(reader: Reader, path: Path) -> str:
    with pytest.raises(ReadError) as caught:
        list(reader(path))
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(path), path.name)


def p(words: str, style: str = "", more: str = "") -> str:
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f'<w:p><w:pPr>{named}{more}</w:pPr><w:r><w:t xml:space="preserve">{words}</w:t></w:r></w:p>'


def listed(words: str, name: int, level: int = 0) -> str:
    return p(words, more=f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{name}"/></w:numPr>')


STYLES = f"""<w:styles {W}>
<w:style w:type="paragraph" w:styleId="Titel"><w:name w:val="Title"/></w:style>
<w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
<w:style w:type="paragraph" w:styleId="Own"><w:name w:val="Own"/><w:basedOn w:val="berschrift1"/></w:style>
<w:style w:type="paragraph" w:styleId="Outline"><w:name w:val="x"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="Code"><w:name w:val="Source Code"/></w:style>
</w:styles>"""
LEVELS = """<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>
<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1.%2)"/></w:lvl>"""
NUMBERING = f"""<w:numbering {W}><w:abstractNum w:abstractNumId="0">{LEVELS}</w:abstractNum>
<w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>
</w:numbering>"""


def cell(words: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{p(words)}</w:tc>"


def word(body: str, **more: str) -> dict[str, str]:
    return {
        "_rels/.rels": relations(officeDocument="word/document.xml"),
        "word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>",
        "word/_rels/document.xml.rels": relations(
            styles="styles.xml", numbering="numbering.xml", footnotes="footnotes.xml", comments="comments.xml"
        ),
        "word/styles.xml": STYLES,
        "word/numbering.xml": NUMBERING,
        "docProps/core.xml": CORE,
        **{f"word/{name}.xml": content for name, content in more.items()},
    }


class TestDocx(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Docx()

    @pytest.fixture
    def sample(self, make: Make) -> Path:
        return make(
            "a.docx",
            word(p("Sea", "berschrift1") + p("A fish.") + f"<w:tbl><w:tr>{cell('a')}{cell('b')}</w:tr></w:tbl>"),
        )

    def test_headings_are_known_by_style_inheritance_and_outline_level(self, make: Make) -> None:
        body = p("All", "Titel") + p("Sea", "berschrift1") + p("Deep", "Outline") + p("Land", "Own") + p("x")
        document = one(Docx(), make("a.docx", word(body)))
        assert document.text == "All\n\nSea\n\nDeep\n\nLand\n\nx"
        assert [label for _, label in document.headings] == ["All", "Sea", "Sea > Deep", "Land"]

    def test_properties_are_title_and_fields(self, sample: Path) -> None:
        document = one(Docx(), sample)
        assert document.title == "Fish"
        assert document.fields == {"author": "Jonah", "date": "2024-05-06", "keywords": "sea"}

    def test_lists_are_counted_as_word_counts_them(self, make: Make) -> None:
        body = listed("one", 1) + listed("sub", 1, 1) + listed("sub", 1, 1) + listed("dot", 2) + listed("two", 1)
        document = one(Docx(), make("a.docx", word(p("Do:") + body + p("Done."))))
        assert document.text == "Do:\n\n1. one\n1.a) sub\n1.b) sub\n- dot\n2. two\n\nDone."

    def test_a_table_stands_where_it_stands_and_a_merged_value_is_there_once(self, make: Make) -> None:
        rows = [
            cell("Food") + cell("kcal", '<w:gridSpan w:val="2"/>'),
            cell("leaf", '<w:vMerge w:val="restart"/>') + cell("50") + cell(""),
            cell("leaf", "<w:vMerge/>") + cell("60") + cell("x\ny"),
        ]
        table = f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl>"
        document = one(Docx(), make("a.docx", word(p("before") + table + p("after"))))
        assert document.text == "before\n\nFood | kcal |\nleaf | 50 |\n| 60 | x y\n\nafter"
        assert document.parts == ((8, "table"), (46, "text"))

    def test_insertions_stay_and_deletions_go(self, make: Make) -> None:
        body = (
            "<w:p><w:r><w:t>a</w:t></w:r><w:ins><w:r><w:t>b</w:t></w:r></w:ins>"
            "<w:del><w:r><w:delText>c</w:delText></w:r></w:del><w:moveFrom><w:r><w:t>d</w:t></w:r></w:moveFrom>"
            '<w:hyperlink><w:r><w:t>e</w:t></w:r></w:hyperlink><w:fldSimple w:instr="PAGE"><w:r><w:t>7</w:t></w:r>'
            "</w:fldSimple></w:p>"
        )
        assert one(Docx(), make("a.docx", word(body))).text == "abe7"

    def test_text_boxes_content_controls_and_nested_tables_are_read(self, make: Make) -> None:
        box = f"<w:p><w:r><w:t>Out</w:t><w:pict><x><w:txbxContent>{p('box')}</w:txbxContent></x></w:pict></w:r></w:p>"
        control = f"<w:sdt><w:sdtPr/><w:sdtContent>{p('control')}</w:sdtContent></w:sdt>"
        inner = f"<w:tbl><w:tr>{cell('x')}{cell('y')}</w:tr></w:tbl>"
        table = f"<w:tbl><w:tr>{cell('a')}<w:tc>{inner}{p('b')}</w:tc></w:tr></w:tbl>"
        document = one(Docx(), make("a.docx", word(box + control + table)))
        assert document.text == "Out\n\nbox\n\ncontrol\n\na | x, y b"

    def test_code_keeps_its_lines_and_spaces(self, make: Make) -> None:
        document = one(Docx(), make("a.docx", word(p("def f():", "Code") + p("    return 1", "Code") + p("x"))))
        assert document.text == "def f():\n    return 1\n\nx"
        assert document.parts == ((0, "code"), (23, "text"))

    def test_notes_and_comments_come_at_the_end(self, make: Make) -> None:
        notes = f'<w:footnotes {W}><w:footnote w:id="5">{p("a note")}</w:footnote></w:footnotes>'
        comments = f'<w:comments {W}><w:comment w:author="Eve">{p("why?")}</w:comment></w:comments>'
        body = '<w:p><w:r><w:t>Text</w:t><w:footnoteReference w:id="5"/></w:r></w:p>' + p("more")
        document = one(Docx(), make("a.docx", word(body, footnotes=notes, comments=comments)))
        assert document.text == "Text\n\nmore\n\n1. a note\n\n- Eve: why?"

    def test_strict_files_are_read_too(self, make: Make) -> None:
        members = word(p("Sea", "berschrift1"))
        strict = {
            name: text.replace(OOXML, "http://purl.oclc.org/ooxml").replace("/2006/", "/")
            for name, text in members.items()
        }
        strict["_rels/.rels"] = members["_rels/.rels"]
        strict["word/_rels/document.xml.rels"] = members["word/_rels/document.xml.rels"]
        assert one(Docx(), make("a.docx", strict)).headings == ((0, "Sea"),)

    def test_a_damaged_side_part_costs_only_itself(self, make: Make) -> None:
        path = make("a.docx", word(p("Sea"), comments="<w:comments"))
        *unread, document = Docx()(path)
        assert [str(part.source) for part in unread if isinstance(part, Unread)] == [f"{path}#word/comments.xml"]
        assert isinstance(document, Document)
        assert document.text == "Sea"


@pytest.mark.parametrize(
    ("formula", "line"),
    [
        ("<m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f>", "(a+b)/2"),
        ("<m:sSup><m:e><m:r><m:t>x</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup>", "x^2"),
        ("<m:rad><m:deg/><m:e><m:r><m:t>y</m:t></m:r></m:e></m:rad>", "sqrt(y)"),
        (
            '<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr><m:sub><m:r><m:t>i=1</m:t></m:r></m:sub>'
            "<m:sup><m:r><m:t>n</m:t></m:r></m:sup><m:e><m:r><m:t>i</m:t></m:r></m:e></m:nary>",
            "∑_(i=1)^n i",
        ),
        (
            "<m:func><m:fName><m:r><m:t>log</m:t></m:r></m:fName><m:e><m:d><m:e><m:r><m:t>x</m:t></m:r></m:e></m:d>"
            "</m:e></m:func>",
            "log(x)",
        ),
    ],
)
def test_a_formula_is_one_readable_line(formula: str, line: str) -> None:
    assert linear(etree.fromstring(f"<m:oMath {W}>{formula}</m:oMath>")) == line


def text_body(words: str) -> str:
    return f"<a:txBody><a:p><a:r><a:t>{words}</a:t></a:r></a:p></a:txBody>"


def shape(words: str, top: int, left: int, kind: str = "", properties: str = "") -> str:
    placeholder = f'<p:nvPr><p:ph type="{kind}"/></p:nvPr>' if kind else ""
    paragraphs = "".join(f"<a:p>{properties}<a:r><a:t>{one}</a:t></a:r></a:p>" for one in words.split("/"))
    return (
        f'<p:sp><p:nvSpPr>{placeholder}</p:nvSpPr><p:spPr><a:xfrm><a:off x="{left}" y="{top}"/></a:xfrm></p:spPr>'
        f"<p:txBody>{paragraphs}</p:txBody></p:sp>"
    )


def slides(*trees: str, **more: str) -> dict[str, str]:
    ids = "".join(f'<p:sldId r:id="s{number}"/>' for number in range(1, len(trees) + 1))
    return {
        "ppt/presentation.xml": f"<p:presentation {P}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            **{f"s{number}": f"slides/s{number}.xml" for number in range(1, len(trees) + 1)}
        ),
        "ppt/slides/_rels/s1.xml.rels": relations(notesSlide="notes.xml"),
        **{
            f"ppt/slides/s{number}.xml": f"<p:sld {P}><p:cSld><p:spTree>{tree}</p:spTree></p:cSld></p:sld>"
            for number, tree in enumerate(trees, 1)
        },
        **more,
    }


class TestPptx(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Pptx()

    @pytest.fixture
    def sample(self, make: Make) -> Path:
        return make("a.pptx", slides(shape("Sea", 0, 0, "title") + shape("fish", 9, 0), shape("land", 0, 0)))

    def test_slides_are_marks_and_titles_headings(self, sample: Path) -> None:
        document = one(Pptx(), sample)
        assert document.text == "Sea\n\nfish\n\nland"
        assert document.marks == ((0, "slide 1"), (11, "slide 2"))
        assert document.headings == ((0, "Sea"),)

    def test_shapes_are_read_from_top_to_bottom_and_left_to_right(self, make: Make) -> None:
        far = 3_000_000
        group = (
            f"<p:grpSp><p:grpSpPr><a:xfrm><a:off x='0' y='{far}'/></a:xfrm></p:grpSpPr>{shape('3', far, 9)}</p:grpSp>"
        )
        tree = (
            group
            + shape("2", 1000, far)
            + shape("1", 2000, 0)
            + shape("4", 2 * far, 0)
            + shape("Title", far, 0, "title")
        )
        assert one(Pptx(), make("a.pptx", slides(tree))).text == "Title\n\n1\n\n2\n\n3\n\n4"

    def test_lists_tables_and_notes(self, make: Make) -> None:
        rows = [[f"<a:tc>{text_body(one)}</a:tc>" for one in row] for row in ("ab", "cd")]
        table = "".join(f"<a:tr>{''.join(row)}</a:tr>" for row in rows)
        graphic = f"<a:graphic><a:graphicData><a:tbl>{table}</a:tbl></a:graphicData></a:graphic>"
        frame = f"<p:graphicFrame><p:xfrm><a:off x='0' y='999999'/></p:xfrm>{graphic}</p:graphicFrame>"
        bullets = shape("x/y", 0, 0, properties='<a:pPr><a:buChar char="•"/></a:pPr>')
        counted = shape("one/two", 500_000, 0, properties='<a:pPr><a:buAutoNum type="arabicParenR"/></a:pPr>')
        said = shape("say this", 0, 0, "body") + shape("9", 0, 0, "sldNum")
        notes = f"<p:notes {P}><p:cSld><p:spTree>{said}</p:spTree></p:cSld></p:notes>"
        members = slides(frame + bullets + counted, **{"ppt/slides/notes.xml": notes})
        document = one(Pptx(), make("a.pptx", members))
        assert document.text == "- x\n- y\n1) one\n2) two\n\na | b\nc | d\n\nsay this"
        assert document.parts == ((23, "table"), (36, "text"))


def sheet(rows: str) -> str:
    return f"<worksheet {S}><sheetData>{rows}</sheetData></worksheet>"


def row(number: int, *values: str | float) -> str:
    cells = [
        f'<c r="{chr(65 + index)}{number}" t="inlineStr"><is><t>{value}</t></is></c>'
        if isinstance(value, str)
        else f'<c r="{chr(65 + index)}{number}"><v>{value!r}</v></c>'
        for index, value in enumerate(values)
        if value != ""
    ]
    return f'<row r="{number}">{"".join(cells)}</row>'


def workbook(**sheets: str) -> dict[str, str]:
    ones = "".join(f'<sheet name="{name}" sheetId="{number}" r:id="{name}"/>' for number, name in enumerate(sheets, 1))
    links = "".join(
        f'<Relationship Id="{name}" Type="{LINK}/worksheet" Target="worksheets/{name}.xml"/>' for name in sheets
    )
    return {
        "[Content_Types].xml": f'<Types xmlns="{OOXML}/package/2006/content-types"/>',
        "_rels/.rels": relations(officeDocument="xl/workbook.xml"),
        "xl/workbook.xml": f"<workbook {S}><sheets>{ones}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{RELATIONS}">{links}</Relationships>',
        **{f"xl/worksheets/{name}.xml": sheet(rows) for name, rows in sheets.items()},
    }


class TestSheets(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Sheets()

    @pytest.fixture
    def sample(self, make: Make) -> Path:
        return make("a.xlsx", workbook(Sales=row(1, "Year", "Sum") + row(2, 2024.0, 0.1 + 0.2), Sheet2=row(1, "note")))

    def test_sheets_are_marks_and_numbers_have_no_noise(self, sample: Path) -> None:
        document = one(Sheets(), sample)
        assert document.text == "Year | Sum\n2024 | 0.3\n\nnote"
        assert document.marks == ((0, "sheet Sales"), (23, "sheet Sheet2"))
        assert document.headings == ((0, "Sales"),)
        assert document.parts == ((0, "table"), (23, "text"))

    def test_an_empty_row_ends_a_table_unless_numbers_go_on(self, make: Make) -> None:
        rows = row(1, "Fish of the sea") + row(3, "Kind", "", "kg") + row(4, "cod", "", 2.0) + row(6, "Sum", "", 2.0)
        document = one(Sheets(), make("a.xlsx", workbook(A=rows + row(9, "Land", "km") + row(10, "x", 1.5))))
        assert document.text == "Fish of the sea\n\nKind | kg\ncod | 2\nSum | 2\n\nLand | km\nx | 1.5"
        assert document.parts == ((17, "table"), (44, "table"))

    def test_cells_far_apart_cost_their_sheet_only(self, make: Make) -> None:
        far = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
        painted = row(1, "here") + '<row r="1048576"><c r="XFD1048576" s="1"/></row>'
        path = make("a.xlsx", workbook(Far=far, Near=painted))
        unread, document = Sheets()(path)
        assert isinstance(unread, Unread)
        assert "XFD1048576" in unread.reason
        assert isinstance(document, Document)
        assert document.text == "here"

    def test_a_million_empty_rows_are_nothing(self, make: Make) -> None:
        rows = row(1, "top") + row(1_000_000, "bottom")
        assert one(Sheets(), make("a.xlsx", workbook(A=rows))).text == "top\n\nbottom"

    def test_a_newer_file_under_an_old_name_is_read(self, make: Make) -> None:
        assert one(Auto(), make("a.xls", workbook(A=row(1, "x")))).text == "x"

    def test_open_documents_are_read(self, make: Make) -> None:
        cells = '<table:table-cell office:value-type="string"><text:p>a</text:p></table:table-cell>' * 2
        rows = f"<table:table-row>{cells}</table:table-row>"
        body = f'<office:spreadsheet><table:table table:name="T">{rows}</table:table></office:spreadsheet>'
        document = one(Sheets(), make("a.ods", odf(body, "spreadsheet")))
        assert (document.text, document.marks) == ("a | a", ((0, "sheet T"),))


def odf(body: str, kind: str = "text", styles: str = "") -> dict[str, str]:
    return {
        "mimetype": f"application/vnd.oasis.opendocument.{kind}",
        "content.xml": f"<office:document-content {ODF}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body>{body}</office:body></office:document-content>",
        "META-INF/manifest.xml": f"<manifest:manifest {ODF}/>",
    }


class TestOdf(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Odf()

    @pytest.fixture
    def sample(self, make: Make) -> Path:
        return make(
            "a.odt", odf('<office:text><text:h text:outline-level="1">Sea</text:h><text:p>x</text:p></office:text>')
        )

    def test_headings_lists_tables_and_notes(self, make: Make) -> None:
        body = """<office:text><text:h text:outline-level="1">Sea</text:h><text:h text:outline-level="2">Deep</text:h>
        <text:tracked-changes><text:p>gone</text:p></text:tracked-changes>
        <text:p>one<text:s text:c="2"/>two<text:note><text:note-citation>1</text:note-citation>
        <text:note-body><text:p>a note</text:p></text:note-body></text:note><text:line-break/>three</text:p>
        <text:list text:style-name="L"><text:list-item><text:p>x</text:p><text:list><text:list-item><text:p>y</text:p>
        </text:list-item></text:list></text:list-item><text:list-item><text:p>z</text:p></text:list-item></text:list>
        <table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell>
        <table:table-cell table:number-columns-repeated="2"><text:p>b</text:p></table:table-cell></table:table-row>
        </table:table-header-rows></table:table></office:text>"""
        styles = (
            '<text:list-style style:name="L"><text:list-level-style-number text:level="1" style:num-format="1" '
            'style:num-suffix="."/></text:list-style>'
        )
        document = one(Odf(), make("a.odt", odf(body, styles=styles)))
        assert document.text == "Sea\n\nDeep\n\none two\nthree\n\n1. x\n- y\n2. z\n\na | b | b\n\n1. a note"
        assert [label for _, label in document.headings] == ["Sea", "Deep"]

    def test_slides_are_marks(self, make: Make) -> None:
        body = """<office:presentation><draw:page><draw:frame svg:y="5cm"><draw:text-box><text:p>below</text:p>
        </draw:text-box></draw:frame><draw:frame svg:y="10mm"><draw:text-box><text:p>above</text:p></draw:text-box>
        </draw:frame><draw:frame presentation:class="title" svg:y="9in"><draw:text-box><text:p>Title</text:p>
        </draw:text-box></draw:frame></draw:page><draw:page><draw:frame><draw:text-box><text:p>two</text:p>
        </draw:text-box></draw:frame></draw:page></office:presentation>"""
        document = one(Odf(), make("a.odp", odf(body, "presentation")))
        assert document.text == "Title\n\nabove\n\nbelow\n\ntwo"
        assert document.marks == ((0, "slide 1"), (21, "slide 2"))

    def test_an_encrypted_one_is_named(self, make: Make) -> None:
        members = odf("<office:text/>") | {"META-INF/manifest.xml": "<manifest:encryption-data/>"}
        assert "is encrypted" in reason(Odf(), make("a.odt", members))


LAUGHS = "<!DOCTYPE x [" + "".join(
    f'<!ENTITY l{number} "{f"&l{number - 1};" * 10 if number else "ha " * 10}">' for number in range(12)
)
OUTSIDE = "<!DOCTYPE x [<!ENTITY l11 SYSTEM 'file:///etc/passwd'>"


class TestHostile:
    @pytest.mark.parametrize("kind", ["docx", "odt"])
    def test_no_file_is_read_through_an_entity_and_none_is_expanded(self, make: Make, kind: str) -> None:
        if kind == "docx":
            name, members = "word/document.xml", word(p("&l11;") + p("kept"))
        else:
            name, members = "content.xml", odf("<office:text><text:p>&l11;</text:p><text:p>kept</text:p></office:text>")
        outside = members | {name: OUTSIDE + "]>" + members[name]}
        assert one(Auto(), make(f"outside.{kind}", outside)).text == "kept"
        laughs = members | {name: LAUGHS + "]>" + members[name]}
        assert "is damaged" in reason(Auto(), make(f"laughs.{kind}", laughs))

    @pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.xlsx", "a.odt", "a.ods"])
    def test_a_bomb_is_refused_before_it_is_unpacked(self, tmp_path: Path, name: str) -> None:
        with ZipFile(tmp_path / name, "w", ZIP_DEFLATED) as archive:
            archive.writestr("content.xml", bytes(30 << 20))
        assert "unpacks to" in reason(Auto(), tmp_path / name)

    def test_too_many_parts_and_too_large_ones_are_named_with_their_numbers(self, tmp_path: Path) -> None:
        many = tmp_path / "many.docx"
        with ZipFile(many, "w", ZIP_STORED) as archive:
            for number in range(10_001):
                archive.writestr(str(number), "")
        assert "10,001 files, more than 10,000" in reason(Docx(), many)
        lying = tmp_path / "large.docx"
        with ZipFile(lying, "w", ZIP_STORED) as archive:
            archive.writestr("a", "x")
            archive.infolist()[0].file_size = 300 << 20
        assert "300 MB, more than 256 MB" in reason(Docx(), lying)

    @pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.xlsx"])
    def test_a_password_and_an_old_file_under_a_new_name_are_told_apart(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.write_bytes(OLE + bytes(600) + "EncryptedPackage".encode("utf-16-le") + bytes(600))
        assert "is encrypted" in reason(Auto(), path)
        path.write_bytes(OLE + bytes(600))
        assert f"Rename it to end in {path.suffix[:4]!r}" in reason(Auto(), path)

    @pytest.mark.parametrize("suffix", ["docx", "pptx", "xlsx", "odt", "odp", "ods"])
    def test_no_zip_and_an_empty_file_have_a_reason(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(b"")
        assert "is empty" in reason(Auto(), path)
        path.write_bytes(b"<html>Not what it says</html>")
        assert "only named like one" in reason(Auto(), path)
        path.write_bytes(b"PK\3\4 that was cut")
        assert "is damaged" in reason(Auto(), path)

    def test_a_chain_of_sectors_that_goes_round_is_refused(self, tmp_path: Path) -> None:
        end, free = 0xFFFF_FFFE, 0xFFFF_FFFF
        sizes = struct.pack("<8s22xHH10xL12xLLLL", OLE, 9, 6, 1, end, 0, end, 0)
        tables = struct.pack("<109L", 0, *[free] * 108)
        path = tmp_path / "a.xls"
        path.write_bytes(sizes + tables + struct.pack("<128L", 0xFFFF_FFFD, 2, 1, *[free] * 125) + bytes(1024))
        assert "goes round in a circle" in reason(Auto(), path)

    def test_deep_nesting_ends_with_a_reason(self, make: Make) -> None:
        deep = "<w:sdt><w:sdtContent>" * 20_000 + p("x") + "</w:sdtContent></w:sdt>" * 20_000
        assert "is damaged" in reason(Docx(), make("a.docx", word(deep)))

    @pytest.mark.parametrize("kind", ["docx", "pptx", "xlsx", "odt"])
    def test_cut_and_flipped_bytes_give_text_or_a_reason(self, make: Make, tmp_path: Path, kind: str) -> None:
        chance = random.Random(7)
        samples = {
            "docx": word(
                p("Sea", "berschrift1") + listed("one", 1) + f"<w:tbl><w:tr>{cell('a')}{cell('b')}</w:tr></w:tbl>"
            ),
            "pptx": slides(shape("Sea", 0, 0, "title") + shape("fish/cod", 9, 0)),
            "xlsx": workbook(A=row(1, "Year", "Sum") + row(2, 2024.0, 0.5)),
            "odt": odf('<office:text><text:h text:outline-level="1">Sea</text:h><text:p>x</text:p></office:text>'),
        }
        members = {name: text.encode() for name, text in samples[kind].items()}
        path = tmp_path / f"b.{kind}"
        for _ in range(150):
            name = chance.choice(list(members))
            content = bytearray(members[name])
            for _ in range(chance.choice([1, 2, 8])):
                content[chance.randrange(len(content))] = chance.randrange(256)
            buffer = BytesIO()
            with ZipFile(buffer, "w") as archive:
                for one, whole in (members | {name: bytes(content)}).items():
                    archive.writestr(one, whole)
            packed = bytearray(buffer.getvalue())
            if chance.random() < 0.3:
                packed = packed[: chance.randrange(len(packed))]
            path.write_bytes(packed)
            with contextlib.suppress(ReadError):
                assert all(part.text.strip() for part in Auto()(path) if isinstance(part, Document))


class TestLibreOffice:
    def test_without_it_the_reason_says_what_to_install(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        path = tmp_path / "a.doc"
        path.write_bytes(OLE + bytes(600))
        assert reason(Auto(), path) == (
            "a.doc is an old Word file. Install LibreOffice (or save it as .docx), then add it again."
        )

    def test_another_kind_of_file_is_not_handed_to_it(self, tmp_path: Path) -> None:
        path = tmp_path / "a.ppt"
        path.write_bytes(b"plain words")
        assert "is not an old PowerPoint file" in reason(LibreOffice(), path)

    def test_a_newer_file_under_an_old_name_is_read_without_it(self, make: Make) -> None:
        assert one(Auto(), make("a.doc", word(p("Sea")))).text == "Sea"

    @pytest.mark.slow
    @pytest.mark.skipif(not (FORMATS.is_dir() and shutil.which("soffice")), reason="no samples or no LibreOffice")
    @pytest.mark.parametrize("name", ["doc/tika__testWORD_1img.doc", "ppt/tika__testPPT_2imgs.ppt"])
    def test_old_files_are_read(self, name: str) -> None:
        document = one(Auto(), FORMATS / "files" / name)
        assert document.text == "The quick brown fox jumps over the lazy dog"
        assert document.source == str(FORMATS / "files" / name)


@pytest.mark.slow
@pytest.mark.skipif(not FORMATS.is_dir(), reason="no samples")
@pytest.mark.parametrize("suffix", ["docx", "pptx", "xlsx", "xls", "ods", "odt", "odp"])
def test_samples_of_other_programs_give_text_or_a_reason(suffix: str) -> None:
    for path in sorted((FORMATS / "files" / suffix).iterdir()):
        if path.stem in NO_TEXT:
            assert "has no text" in reason(Auto(), path) or "is encrypted" in reason(Auto(), path)
        else:
            assert all(document.text.strip() for document in read(Auto(), path))


@pytest.mark.parametrize("name", ["export.xls", "export.XLS", "letter.doc"])
def test_a_page_that_is_named_for_excel_or_word_to_open_is_read(tmp_path: Path, name: str) -> None:
    page = "<html><body><table><tr><td>Name<td>Age<tr><td>Anna<td>5</table></body></html>"
    (tmp_path / name).write_text(page, encoding="utf-8")
    (document,) = read(Auto(), tmp_path / name)
    assert document.text == "Name | Age\nAnna | 5"


def test_a_file_only_named_like_a_package_says_so(tmp_path: Path) -> None:
    for name in ("a.docx", "a.xls", "a.odt"):
        (tmp_path / name).write_text("Name\tAge\n", encoding="utf-8")
        with pytest.raises(ReadError, match=rf"is no {name[2:]} file, only named like one\. Give it the suffix"):
            list(Auto()(tmp_path / name))
