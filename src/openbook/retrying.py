"""A service that is busy is asked again, a few times, and the user is told so.

Lines to the user go to the logger `openbook` as warnings: `app/` prints them on stderr, a program handles them as it
likes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from threading import Lock
from time import sleep
from typing import TypeVar

from openbook.errors import ModelError

T = TypeVar("T")

TRIES = 4
WAIT_SECONDS = (0.5, 1.0, 2.0)  # before each further try, unless the server says how long
LONGEST_WAIT = 60.0  # limits are counted by the minute; who asks for more is refused: the user decides
RETRIED = frozenset({408, 429, 500, 502, 503, 504, 529})
QUIET_SECONDS = 60.0  # many requests at once meet the same busy service: one line tells of them all

log = logging.getLogger("openbook")


class BusyError(ModelError):
    """A service may answer if it is asked again. Its text is without an end: 'https://... is busy (429: slow down)'."""

    def __init__(self, what: str, advice: str = "Ask again later.", after: float | None = None) -> None:
        super().__init__(what)
        self.advice = advice
        self.after = after  # seconds that the service asks to be left alone


@dataclass
class Patience:
    """Asks one service. Many threads may use it."""

    _told: float = field(default=-QUIET_SECONDS, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def ask(self, request: Callable[[], T]) -> T:
        """What the request returns; made again, after a while, where it raises BusyError.

        Raises:
            ModelError: The service is busy for too long, or asks to be left alone for more than LONGEST_WAIT.
        """
        for wait in WAIT_SECONDS:
            try:
                return request()
            except BusyError as busy:
                pause = wait if busy.after is None else busy.after
                if pause > LONGEST_WAIT:
                    raise ModelError(f"{busy} and asks to wait {pause:.0f} s. {busy.advice}") from busy
                self._tell(f"{busy}. Trying again in {pause:.3g} s.")
            sleep(pause)
        try:
            return request()
        except BusyError as busy:
            raise ModelError(f"{busy}, after {TRIES} tries. {busy.advice}") from busy

    def _tell(self, line: str) -> None:
        with self._lock:
            now = time.monotonic()
            if now - self._told < QUIET_SECONDS:
                return
            self._told = now
        log.warning(line)


def asked_wait(header: str | None) -> float | None:
    """Seconds of a Retry-After header; None where there is none, or one that cannot be read.

    >>> asked_wait("7"), asked_wait("Thu, 01 Jan 1970 00:00:00 GMT"), asked_wait("soon"), asked_wait(None)
    (7.0, 0.0, None, None)
    """
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None
