"""texts -> vectors."""

from openbook.registry import Entry

ENTRIES = {
    "minilm": Entry("openbook.embedders.minilm:MiniLM", "all-MiniLM-L6-v2 as int8, inside the package; English"),
    "llamacpp": Entry("openbook.embedders.llamacpp:LlamaCpp", "a GGUF file run on this machine by llama.cpp"),
    "openai": Entry("openbook.embedders.openai:OpenAI", "any service with OpenAI's /v1/embeddings, here or elsewhere"),
    "hashed": Entry("openbook.embedders.hashed:Hashed", "words hashed into a vector: no model, no meaning, for tests"),
}
