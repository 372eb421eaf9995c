"""Document -> Document, marks moved along."""

from openbook.registry import Entry

ENTRIES: dict[str, Entry] = {}
