"""Errors a user can act on. Each says what happened, with the value, and the next step, in one line."""


class OpenbookError(Exception):
    """Shown by the command line as one line; everything else is a bug and keeps its traceback."""


class SpecError(OpenbookError):
    """A recipe names a component or an option that does not exist, or gives an option a wrong value."""


class ReadError(OpenbookError):
    """A file could not be read; costs that file only."""


class BookError(OpenbookError):
    """A book is missing, busy, damaged, or was made by another embedder."""


class ModelError(OpenbookError):
    """Weights are missing or wrong, or a model's server failed."""


class TooLongError(ModelError):
    """A model was given more text than it takes at once: less of it may go."""


def one_line(error: Exception) -> str:
    """The words of another library's exception in one line, at most 200 characters."""
    return " ".join(str(error).split())[:200]
