"""Ways to reach a book; no logic of their own."""
