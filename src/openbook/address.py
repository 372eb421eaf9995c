"""Where a service is, by which key, and what its refusals mean: for services over HTTP and for those with an SDK."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from openbook.errors import ModelError, SpecError, TooLongError
from openbook.keys import hidden, how_to_set, key, refuse_no_variable
from openbook.retrying import RETRIED, BusyError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

# A text or a batch that is too long, as OpenAI, vLLM, text-embeddings-inference, Ollama, llama.cpp, Anthropic and
# Google say it.
TOO_LONG = re.compile(
    r"too (long|large)|exceeds|maximum (context|input|allowed batch)|less than \d+ tokens|max \d+ tokens", re.IGNORECASE
)
TOO_LONG_STATUS = frozenset({400, 413, 422, 500})
# A limit that time does not lift: codes of OpenAI and Anthropic that come with status 429.
SPENT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "enforced_spend_limit_reached"})


class RefusedError(ModelError):
    """A service does not take a request as it is; `what` says why, in its own words."""

    def __init__(self, line: str, what: str) -> None:
        super().__init__(line)
        self.what = what


@dataclass(frozen=True)
class Address:
    """A model behind `url`. The key is looked up at each request."""

    component: str  # as a recipe names it: for advice
    url: str
    model: str
    key_env: str
    timeout: float  # seconds without a byte

    def __post_init__(self) -> None:
        example = "http://127.0.0.1:8080" + ("/v1" if self.component == "openai" else "")
        try:
            parts = urlsplit(self.url)
            known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
            bare = not (parts.query or parts.fragment or parts.username or parts.password)
        except ValueError:  # 'http://[', a port of letters
            known, bare = None, True
        if not bare:  # not shown: it may hold a password
            raise SpecError(
                f"{self.component}(url=...) holds a password or a question mark. Write the address alone, put the key "
                "into a variable and name it: key_env='MY_KEY'."
            )
        if not known:
            raise SpecError(f"{self.component}(url={self.url!r}): write the address, such as {example}.")
        refuse_no_variable(self.component, self.key_env)
        if self.timeout <= 0:
            raise SpecError(f"{self.component}(timeout={self.timeout}): write seconds, such as 120.")

    @property
    def host(self) -> str:
        """The machine it runs on."""
        return urlsplit(self.url).hostname or ""

    @property
    def remote(self) -> str:
        """The machine it runs on; '' for this one."""
        return "" if self.host in LOOPBACK else self.host

    def key(self) -> str:
        """The key, '' for a service on this machine for which none can be read.

        Raises:
            ModelError: There is none, and another machine needs one.
        """
        found = self._known()
        if not found and self.remote:
            raise self._no_key()
        return found

    def failure(self, status: int, what: str, *, after: float | None = None, code: str = "") -> ModelError:
        """What a response other than 200 means: BusyError where the same request may be made again.

        `what` are the service's own words in one line, `code` its name for the fault, `after` its Retry-After.
        """
        secret = self._known()
        what = hidden(what, secret) or f"status {status}"
        said = f"({status}: {what})"
        if status == 401 and not secret:
            return self._no_key()
        if status == 401:
            return ModelError(f"{self.url} refuses the key {self.key_env}. Set another: {how_to_set(self.key_env)}.")
        if status == 403:
            return ModelError(f"{self.url} refuses {said}. Check what the key {self.key_env} may use.")
        if status == 404:
            return ModelError(
                f"{self.url} has no model {self.model!r} ({what}). Name another: {self.component}(model=...)."
            )
        if status in TOO_LONG_STATUS and (status == 413 or TOO_LONG.search(what)):
            return TooLongError(f"{self.url} cannot take that much {said}.")
        if code in SPENT:
            return ModelError(f"{self.url} is paid for no more {said}. Raise the limit of the account.")
        if status in RETRIED:
            return BusyError(f"{self.url} is busy {said}", after=after)
        return RefusedError(f"{self.url} refuses the question {said}.", what)

    def absent(self) -> BusyError:
        """Nothing listens there, or not yet."""
        here = f"Start the server, or name another: {self.component}(url=...)."
        return BusyError(f"Nothing answers at {self.url}", "Check the network." if self.remote else here)

    def silent(self, reason: str) -> ModelError:
        """No answer came."""
        return ModelError(f"{self.url} did not answer: {reason}. Check the address and ask again.")

    def broken(self, reason: str = "") -> ModelError:
        """An answer has no end."""
        why = f": {hidden(reason, self._known())}" if reason else ""
        return ModelError(f"{self.url} broke off while answering{why}. Ask again.")

    def _known(self) -> str:
        """The key; '' also where its file is not right, which only a service that wants a key is to be stopped by."""
        with suppress(ModelError):
            return key(self.key_env)
        return ""

    def _no_key(self) -> ModelError:
        try:
            key(self.key_env)
        except ModelError as error:
            return error
        return ModelError(f"{self.url} needs a key. Set it: {how_to_set(self.key_env)}.")


def said(event: Any) -> str:
    """What went wrong, as a service says it, in one line."""
    error = event.get("error", event) if isinstance(event, dict) else event
    message = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(message).split())[:200].rstrip(".")


def code_of(event: Any) -> str:
    """The name of what went wrong, as a service's JSON says it; '' where it says none."""
    error = event.get("error") if isinstance(event, dict) else None
    if not isinstance(error, dict):
        return ""
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else error.get("code")
    return code if isinstance(code, str) else ""
