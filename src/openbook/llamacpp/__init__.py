"""llama.cpp's server in a child process, and how to speak with it: what LLMs and embedders run GGUF files with."""
