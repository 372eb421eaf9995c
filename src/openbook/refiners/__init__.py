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
    "per-source": Entry("openbook.refiners.per_source:PerSource", "at most `n` passages of one document"),
    "diverse": Entry("openbook.refiners.diverse:Diverse", "passages that say something new come first (MMR)"),
    "neighbours": Entry("openbook.refiners.neighbours:Neighbours", "the text around a hit, joined where hits touch"),
    "compress": Entry(
        "openbook.refiners.compress:Compress", "of each passage the sentences that matter, for fewer tokens"
    ),
    "compress-llm": Entry(
        "openbook.refiners.compress_llm:CompressLLM", "of each passage the sentences the model picks"
    ),
}
