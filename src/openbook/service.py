"""A service that speaks OpenAI's protocol: its address, its key, and how often it is asked again."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from time import sleep
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from openbook.errors import ModelError, SpecError, TooLongError, one_line

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

TRIES = 4
WAIT_SECONDS = (0.5, 1.0, 2.0)  # before each further try, unless the server says how long
LONGEST_WAIT = 20.0  # a server that asks for more is refused: the user decides, not a sleeping program
RETRIED = frozenset({408, 429, 500, 502, 503, 504, 529})
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
CONNECTIONS = 8  # kept open

# A text or a batch that is too long, as OpenAI, vLLM, text-embeddings-inference, Ollama and llama.cpp say it.
TOO_LONG = re.compile(
    r"too (long|large)|exceeds|maximum (context|input|allowed batch)|less than \d+ tokens|max \d+ tokens", re.IGNORECASE
)
TOO_LONG_STATUS = frozenset({400, 413, 422, 500})


@dataclass
class Service:
    """A model behind `url`. The key is read from the environment at each request, and shown nowhere.

    A server on this machine needs no key. Many threads may use it.
    """

    url: str
    model: str
    key_env: str
    timeout: float  # seconds without a byte

    _http: PoolManager | None = field(default=None, init=False, repr=False, compare=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        advice = f"openai(url={self.url!r}): write the address up to /v1, such as http://127.0.0.1:8080/v1."
        try:
            parts = urlsplit(self.url)
            known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError as error:  # 'http://[', a port of letters
            raise SpecError(advice) from error
        if not known:
            raise SpecError(advice)
        if parts.username or parts.password:
            raise SpecError("openai(url=...) holds a password. Put it into a variable and name it: key_env='MY_KEY'.")
        if self.timeout <= 0:
            raise SpecError(f"openai(timeout={self.timeout}): write seconds, such as 120.")

    @property
    def host(self) -> str:
        """The machine it runs on."""
        return urlsplit(self.url).hostname or ""

    @property
    def remote(self) -> str:
        """The machine it runs on; '' for this one."""
        return "" if self.host in LOOPBACK else self.host

    def post(self, path: str, body: Mapping[str, Any]) -> BaseHTTPResponse:
        """The response once it is 200, not read yet; tries again while a server is busy or not there yet.

        Raises:
            ModelError: Nothing answers there, it is busy for too long, or it refuses; TooLongError where it says so.
        """
        for wait in (*WAIT_SECONDS, None):
            response = self._try(path, body, last=wait is None)
            if response is None:
                asked = wait
            elif response.status == 200:
                return response
            else:
                asked = None if wait is None else _asked_wait(response, wait)
                failure = self._failure(response)
                if asked is None or response.status not in RETRIED or isinstance(failure, TooLongError):
                    raise failure
            sleep(asked or 0.0)
        raise AssertionError("the last try gives a response or raises")

    def close(self) -> None:
        """End its connections. Closing twice is allowed; a later request makes new ones."""
        with self._lock:
            if self._http is not None:
                self._http.clear()
            self._http = None

    def _headers(self) -> dict[str, str]:
        key = os.environ.get(self.key_env, "").strip()
        if key:
            if not key.isascii() or not key.isprintable():
                raise ModelError(f"The key in ${self.key_env} has characters that no key has. Set it again.")
            return {"Authorization": f"Bearer {key}"}
        if not self.remote:
            return {}
        raise ModelError(f"{self.url} needs a key. Set it: export {self.key_env}=...")

    def _try(self, path: str, body: Mapping[str, Any], *, last: bool) -> BaseHTTPResponse | None:
        """One request; None when nothing listens there and another try may help."""
        import urllib3

        headers = self._headers()
        with self._lock:
            if self._http is None:
                # No redirects: the key is for this address alone.
                self._http = urllib3.PoolManager(retries=False, maxsize=CONNECTIONS)
            http = self._http
        try:
            return http.request(
                "POST",
                f"{self.url.rstrip('/')}{path}",
                json=body,
                headers=headers,
                timeout=urllib3.Timeout(connect=10, read=self.timeout),
                preload_content=False,
            )
        except urllib3.exceptions.NewConnectionError as error:
            if not last:
                return None
            raise ModelError(
                f"Nothing answers at {self.url}. Start the server, or name another: openai(url=...)."
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ModelError(
                f"{self.url} did not answer: {one_line(error)}. Check the address and ask again."
            ) from error

    def _failure(self, response: BaseHTTPResponse) -> ModelError:
        import urllib3

        try:
            what = said(json.loads(response.read(1 << 16)))
        except (ValueError, urllib3.exceptions.HTTPError, OSError):  # no JSON, or it broke off
            what = f"status {response.status}"
        finally:
            response.drain_conn()  # so that its connection can be used again
            response.close()
        key = os.environ.get(self.key_env, "").strip()
        what = what.replace(key, "...") if key else what
        if response.status in {401, 403}:
            return ModelError(f"{self.url} refuses the key in ${self.key_env}. Set another: export {self.key_env}=...")
        if response.status == 404:
            return ModelError(f"{self.url} has no model {self.model!r} ({what}). Name another: openai(model=...).")
        if response.status in TOO_LONG_STATUS and (response.status == 413 or TOO_LONG.search(what)):
            return TooLongError(f"{self.url} cannot take that much ({response.status}: {what}).")
        if response.status in RETRIED:
            return ModelError(f"{self.url} is busy after {TRIES} tries ({response.status}: {what}). Ask again later.")
        return ModelError(f"{self.url} refuses the question ({response.status}: {what}).")


def _asked_wait(response: BaseHTTPResponse, wait: float) -> float | None:
    """The wait a busy server asks for; None when that is too long."""
    try:
        asked = float(response.headers.get("Retry-After", wait))
    except ValueError:  # a date
        return wait
    return max(asked, 0.0) if asked <= LONGEST_WAIT else None


def said(event: Any) -> str:
    """What went wrong, as the service says it, in one line."""
    error = event.get("error", event) if isinstance(event, dict) else event
    message = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(message).split())[:200].rstrip(".")
