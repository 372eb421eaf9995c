"""Where openbook keeps books, models and caches on this machine."""

import os
from pathlib import Path


def home() -> Path:
    """`$OPENBOOK_HOME`, else the platform's folder for a user's data; not created here."""
    if named := os.environ.get("OPENBOOK_HOME"):
        return absolute(named)
    from platformdirs import user_data_path  # late: most commands of a configured machine never need it

    return user_data_path("openbook", appauthor=False)


def absolute(path: str | Path) -> Path:
    """A path as a user types it, from the root and without '..': one name for one file, whatever folder this is."""
    # Not Path.expanduser: it raises for '~$letter.docx', which Word keeps beside an open letter.
    return Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111


def books_folder() -> Path:
    """Where books known by name lie."""
    return home() / "books"


def comparisons_folder() -> Path:
    """Where what comparisons measured lies, and the indexes they made."""
    return home() / "comparisons"


def models_folder() -> Path:
    """Where pulled weights lie."""
    return home() / "models"
