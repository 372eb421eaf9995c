"""A service that speaks OpenAI's protocol over HTTP; for llms and embedders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from openbook.address import Address, code_of, said
from openbook.errors import ModelError, one_line
from openbook.retrying import Patience, asked_wait

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

CONNECTIONS = 8  # kept open


@dataclass
class Service:
    """Many threads may use it. A server on this machine needs no key."""

    address: Address

    _patience: Patience = field(default_factory=Patience, init=False, repr=False, compare=False)
    _http: PoolManager | None = field(default=None, init=False, repr=False, compare=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def post(self, path: str, body: Mapping[str, Any]) -> BaseHTTPResponse:
        """The response once it is 200, not read yet; tries again while a server is busy or not there yet.

        Raises:
            ModelError: Nothing answers there, it is busy for too long, or it refuses; TooLongError where it says so.
        """
        return self._patience.ask(lambda: self._try(path, body))

    def close(self) -> None:
        """End its connections. Closing twice is allowed; a later request makes new ones."""
        with self._lock:
            if self._http is not None:
                self._http.clear()
            self._http = None

    def _try(self, path: str, body: Mapping[str, Any]) -> BaseHTTPResponse:
        import urllib3

        key = self.address.key()
        with self._lock:
            if self._http is None:
                # No redirects: the key is for this address alone.
                self._http = urllib3.PoolManager(retries=False, maxsize=CONNECTIONS)
            http = self._http
        try:
            response = http.request(
                "POST",
                f"{self.address.url.rstrip('/')}{path}",
                json=body,
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=urllib3.Timeout(connect=10, read=self.address.timeout),
                preload_content=False,
            )
        except urllib3.exceptions.NewConnectionError as error:
            raise self.address.absent() from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self.address.silent(one_line(error)) from error
        if response.status != 200:
            raise self._failure(response)
        return response

    def _failure(self, response: BaseHTTPResponse) -> ModelError:
        import urllib3

        try:
            told = json.loads(response.read(1 << 16))
        except (ValueError, urllib3.exceptions.HTTPError, OSError):  # no JSON, or it broke off
            told = ""
        finally:
            response.drain_conn()  # so that its connection can be used again
            response.close()
        after = asked_wait(response.headers.get("Retry-After"))
        return self.address.failure(response.status, said(told), after=after, code=code_of(told))
