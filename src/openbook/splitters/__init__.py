"""Document -> chunks."""

from openbook.registry import Entry

ENTRIES = {
    "chars": Entry(
        "openbook.splitters.chars:Chars", "at most `size` characters, cut at a paragraph, line, sentence or word"
    ),
    "structure": Entry(
        "openbook.splitters.structure:Structure",
        "whole paragraphs, items, verses, rows of one section; title and headings are found with them",
    ),
    "sentences": Entry("openbook.splitters.sentences:Sentences", "whole sentences, at most `size` characters"),
    "tokens": Entry("openbook.splitters.tokens:Tokens", "at most `size` tokens, as the embedder counts them"),
    "code": Entry(
        "openbook.splitters.code:Code", "source code, cut between definitions; class and function are found with it"
    ),
}
