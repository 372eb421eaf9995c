"""question -> passages."""

from openbook.registry import Entry

ENTRIES = {
    "dense": Entry("openbook.retrievers.dense:Dense", "by meaning: the vectors nearest to the question's"),
    "bm25": Entry("openbook.retrievers.bm25:Bm25", "by words: BM25"),
    "hybrid": Entry("openbook.retrievers.hybrid:Hybrid", "by both: the sum of their z-scores"),
}
