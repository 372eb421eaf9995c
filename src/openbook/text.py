"""What cleaning and splitting both know about characters."""


def is_blank(text: str) -> bool:
    """Whether a text has nothing but white space."""
    return not text or text.isspace()
