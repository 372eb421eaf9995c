"""What cleaning and splitting both know about characters."""


def is_blank(text: str) -> bool:
    """Whether a text has nothing but white space."""
    return not text or text.isspace()


def well_formed(text: str) -> str:
    """The text without halves of UTF-16 pairs, which no server takes: a terminal makes them of bytes it cannot read."""
    return text.encode("utf-8", "replace").decode("utf-8")
