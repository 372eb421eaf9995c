"""passages -> fewer, better passages."""

from openbook.registry import Entry

ENTRIES: dict[str, Entry] = {}
