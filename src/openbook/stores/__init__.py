"""keep chunks with vectors and words, find the nearest."""

from openbook.registry import Entry

ENTRIES = {
    "lance": Entry("openbook.stores.lance:Lance", "embedded default; vectors and words in one folder"),
    "flat": Entry("openbook.stores.flat:Flat", "exact, numpy and SQLite; what every index is measured against"),
}
