"""messages -> text."""

from openbook.registry import Entry

ENTRIES = {
    "llamacpp": Entry("openbook.llms.llamacpp:LlamaCpp", "a GGUF file run on this machine by llama.cpp"),
    "openai": Entry("openbook.llms.openai:OpenAI", "any server that speaks OpenAI's protocol"),
    "anthropic": Entry("openbook.llms.anthropic:Anthropic", "Anthropic's models", extra="anthropic"),
    "google": Entry("openbook.llms.google:Google", "Google's Gemini models", extra="google"),
    "quote": Entry("openbook.llms.quote:Quote", "no model: says the passages"),
}
