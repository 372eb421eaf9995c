"""What the library tells while it works, such as that a busy service is asked again: a line on stderr each."""

from __future__ import annotations

import errno
import logging
import os
import sys


class Lines(logging.Handler):
    """Prints each record of the logger `openbook`."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line on stderr."""
        from openbook.app import show  # late: most commands have nothing to tell

        show.error(" ".join(record.getMessage().split()))


def listen() -> None:
    """Print what is logged from now on. Calling twice is allowed."""
    logger = logging.getLogger("openbook")
    if not any(isinstance(handler, Lines) for handler in logger.handlers):
        logger.addHandler(Lines(logging.WARNING))


def unwritten(error: OSError) -> str:
    """What to say when stdout takes no more, '' where nobody is left to read; any other error is raised again."""
    if not isinstance(error, BrokenPipeError) and (error.errno != errno.ENOSPC or error.filename is not None):
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still to be flushed
    return (
        ""
        if isinstance(error, BrokenPipeError)
        else "openbook: The disk is full: the output is not whole. Free some space."
    )
