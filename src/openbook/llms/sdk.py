"""A service that is spoken to by its vendor's own SDK: loaded late, its faults told in a line, never its way.

What the SDKs would do themselves is switched off or left unused: reading keys, trying again, following redirects,
telling of their use.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from openbook.address import Address
from openbook.errors import ModelError, OpenbookError, one_line
from openbook.keys import hidden
from openbook.registry import need
from openbook.retrying import BusyError, Patience

T = TypeVar("T")

NO_KEY = "none"  # SDKs insist on one; a server on this machine does not look at it
NO_PROBABILITIES = (
    "{} gives no probabilities. Leave out what needs them, such as the refiner llm-rerank, or name another model for "
    "it, such as: llm-rerank(llm='qwen2.5-coder-1.5b')."
)


@dataclass
class Sdk:
    """One client, made at the first question. Many threads may use it.

    `make` gives a client for a key; `failure` what an exception of the SDK means, None for one that is not its own.
    """

    address: Address
    library: str
    make: Callable[[str], Any]
    failure: Callable[[Exception], ModelError | None]

    _patience: Patience = field(default_factory=Patience, init=False, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)
    _client: Any = field(default=None, init=False, repr=False)
    _key: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        need("llm", self.address.component, self.library)

    def prepare(self) -> None:
        """Load the SDK in the background: it takes a second or two."""

        def load() -> None:
            with suppress(Exception):  # a missing key, a broken installation: told when a question is asked
                self.client()

        threading.Thread(target=load, daemon=True).start()

    def client(self) -> Any:
        """The client for the key as it is now."""
        key = self.address.key() or NO_KEY
        with self._lock:
            if self._client is None or key != self._key:
                self.close()
                self._client, self._key = self.make(key), key
            return self._client

    def ask(self, request: Callable[[Any], T]) -> T:
        """What a request gives; made again while the service is busy.

        Raises:
            ModelError: As `Address.failure` says; or no answer came.
        """

        def once() -> T:
            try:
                return request(self.client())
            except OpenbookError:
                raise
            except ImportError as error:
                raise self._unusable(error) from error
            except Exception as error:  # an SDK's exceptions are no closed list
                raise self._plain(error) from error

        return self._patience.ask(once)

    @contextmanager
    def reading(self) -> Generator[None]:
        """While an answer comes, what goes wrong is told in a line."""
        try:
            yield
        except OpenbookError:
            raise
        except Exception as error:  # as above
            failure = self.failure(error)
            if isinstance(failure, BusyError):
                failure = ModelError(f"{failure} and stopped. Ask again.")
            raise failure or self.address.broken(one_line(error)) from error

    def close(self) -> None:
        """End its connections. Closing twice is allowed; a later request makes new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _unusable(self, error: ImportError) -> ModelError:
        name = self.address.component
        return ModelError(
            f"{self.library} cannot be loaded: {one_line(error)}. Install it again: pip install -U 'openbook[{name}]'"
        )

    def _plain(self, error: Exception) -> ModelError:
        if failure := self.failure(error):
            return failure
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        # By name, as the SDKs have changed the library under them (httpx, httpx2).
        names = " ".join(kind.__name__ for kind in type(cause).__mro__)
        if "Timeout" in names:
            return self.address.silent(f"not a byte in {self.address.timeout:g} s")
        if "ConnectError" in names:
            return self.address.absent()
        return self.address.silent(hidden(one_line(cause), self._key) or type(cause).__name__)
