"""Where openbook keeps books, models and caches on this machine."""

import os
from pathlib import Path


def home() -> Path:
    """`$OPENBOOK_HOME`, else the platform's folder for a user's data; not created here."""
    if named := os.environ.get("OPENBOOK_HOME"):
        return Path(named).expanduser().absolute()
    from platformdirs import user_data_path  # late: most commands of a configured machine never need it

    return user_data_path("openbook", appauthor=False)


def books_folder() -> Path:
    """Where books known by name lie."""
    return home() / "books"


def models_folder() -> Path:
    """Where pulled weights lie."""
    return home() / "models"
