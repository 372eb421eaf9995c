"""Document -> edits, which take away or put right; marks move along."""

from openbook.registry import Entry

ENTRIES: dict[str, Entry] = {
    "repair": Entry(
        "openbook.cleaners.repair:Repair",
        "wrong decodings, odd characters, words and paragraphs broken at line ends; NFC",
    ),
    "boilerplate": Entry(
        "openbook.cleaners.boilerplate:Boilerplate",
        "takes away running heads and feet, page numbers, cookie banners, left-over menus",
    ),
}
