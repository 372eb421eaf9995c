"""passages -> fewer, better passages."""

from openbook.registry import Entry

ENTRIES: dict[str, Entry] = {
    "duplicates": Entry(
        "openbook.refiners.duplicates:Duplicates", "shows equal and nearly equal passages once, with all their sources"
    ),
    "llm-rerank": Entry(
        "openbook.refiners.llm_rerank:LLMRerank", "asks the LLM which of the passages near the best answer the question"
    ),
    "cross-encoder": Entry(
        "openbook.refiners.cross_encoder:CrossEncoder", "orders passages by a network that reads them with the question"
    ),
}
