"""texts -> vectors."""

from openbook.registry import Entry

ENTRIES = {
    "minilm": Entry("openbook.embedders.minilm:MiniLM", "all-MiniLM-L6-v2 as int8, inside the package; English"),
    "llamacpp": Entry("openbook.embedders.llamacpp:LlamaCpp", "a GGUF file run on this machine by llama.cpp"),
    "openai": Entry("openbook.embedders.openai:OpenAI", "any service with OpenAI's /v1/embeddings, here or elsewhere"),
    "sentence-transformers": Entry(
        "openbook.embedders.sentence_transformers:SentenceTransformers",
        "any model of that library, by torch: on a GPU where there is one",
        extra="sentence-transformers",
    ),
    "model2vec": Entry(
        "openbook.embedders.model2vec:Model2Vec",
        "static vectors of words: very fast, little meaning",
        extra="model2vec",
    ),
    "hashed": Entry("openbook.embedders.hashed:Hashed", "words hashed into a vector: no model, no meaning, for tests"),
}
