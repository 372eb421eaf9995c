"""Many recipes over the same questions, compared."""
