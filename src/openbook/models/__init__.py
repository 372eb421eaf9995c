"""Files of weights: catalogue, pull, GGUF header. Knows nothing of books."""
