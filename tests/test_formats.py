"""The benchmark of the formats counts what it says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from openbook.types import Document

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from formats import Result, judge, outcome, plain


def test_markdown_is_compared_without_its_signs() -> None:
    markdown = r"**A** [link](http://x) snake\_case &lt;b&gt; ~~c~~ $\frac{a}{b}$ <!-- image -->"
    assert plain(markdown).split() == ["A", "link", "snake_case", "<b>", "c", "{a}{b}"]


def test_words_headings_and_whole_rows_are_counted() -> None:
    text = "Sea\n\nfish fish\n\na | b\nc\nd"
    document = Document(text, "a", headings=((0, "Sea"),))
    result = Result(Path("a"))
    judge(result, [document], "# Sea\n\nfish fish fish\n\n# Land\n\n| a | b |\n|---|---|\n| c | d |")
    assert result.recall == pytest.approx(7 / 9)
    assert (result.headings, result.rows) == (0.5, 0.5)


def test_a_file_that_cannot_be_read_is_an_outcome(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(b"")
    result = outcome(tmp_path / "a.docx", tmp_path)
    assert (result.documents, result.crash, len(result.refused)) == (0, "", 1)
