"""What the library tells while it works, such as that a busy service is asked again: a line on stderr each."""

from __future__ import annotations

import logging


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
