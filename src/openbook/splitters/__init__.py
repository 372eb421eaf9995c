"""Document -> chunks."""

from openbook.registry import Entry

ENTRIES = {
    "chars": Entry(
        "openbook.splitters.chars:Chars", "at most `size` characters, cut at a paragraph, line, sentence or word"
    ),
}
