"""Questions made from a book by a model: drawn, written, proven, kept."""
