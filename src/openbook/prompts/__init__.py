"""passages + question -> messages, and messages -> exact characters."""

from openbook.registry import Entry

ENTRIES = {
    "cited": Entry("openbook.prompts.cited:Cited", "answer from numbered passages alone, with citations"),
}
