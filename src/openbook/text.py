"""What cleaning and splitting both know about characters."""


def well_formed(text: str) -> str:
    """The text with '?' for halves of UTF-16 pairs: a terminal or a file's name makes them of bytes it cannot read.

    No file, database or server takes them. As long as before, so that offsets stay.
    """
    return text.encode("utf-8", "replace").decode("utf-8")
