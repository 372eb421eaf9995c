"""Any server that speaks OpenAI's protocol: OpenAI, a hosted model, or llama.cpp, Ollama, vLLM on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import sleep
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from openbook.errors import ModelError, SpecError
from openbook.llms.chances import chances
from openbook.llms.sse import events
from openbook.text import well_formed
from openbook.types import Message, Stream, Usage

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

TRIES = 4
WAIT_SECONDS = (0.5, 1.0, 2.0)  # before each further try, unless the server says how long
LONGEST_WAIT = 20.0  # a server that asks for more is refused: the user decides, not a sleeping program
RETRIED = frozenset({408, 429, 500, 502, 503, 504, 529})
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
LIKELIEST = 20  # first tokens with probabilities: the most OpenAI gives
CHARACTERS_PER_TOKEN = 4  # for English; the server has no tokenizer to ask


@dataclass
class OpenAI:
    """A model behind `url`. The key is read from the environment when a question is asked, and shown nowhere.

    A server on this machine needs no key. Grammars are llama.cpp's, so they are not sent.
    """

    VERSION: ClassVar[int] = 1

    url: str = "https://api.openai.com/v1"
    model: str = "gpt-4.1-mini"
    key_env: str = "OPENAI_API_KEY"
    context: int = 128_000
    temperature: float = 0.0
    seed: int = 0
    timeout: float = 120.0  # seconds without a byte

    _http: PoolManager | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SpecError(f"openai(url={self.url!r}): write the address up to /v1, such as http://127.0.0.1:8080/v1.")
        if parts.username or parts.password:
            raise SpecError("openai(url=...) holds a password. Put it into a variable and name it: key_env='MY_KEY'.")
        for option, least in (("context", 512), ("temperature", 0)):
            if getattr(self, option) < least:
                raise SpecError(f"openai({option}={getattr(self, option)}): write {least} or more.")
        if self.timeout <= 0:
            raise SpecError(f"openai(timeout={self.timeout}): write seconds, such as 120.")

    @property
    def name(self) -> str:
        return self.model

    def prepare(self) -> None:
        return

    def count(self, text: str) -> int:
        return -(-len(text) // CHARACTERS_PER_TOKEN)

    def render(self, messages: Sequence[Message]) -> str:
        return json.dumps(self._body(messages), ensure_ascii=False, indent=2)

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        import urllib3

        response = self._post({**self._body(messages), "max_tokens": max_tokens})
        usage, stopped = Usage(), ""
        try:
            for event in events(response):
                if "error" in event:
                    raise ModelError(f"{self.model} stopped: {_said(event)}.")
                for choice in event.get("choices") or ():
                    if words := (choice.get("delta") or {}).get("content"):
                        yield words
                    stopped = choice.get("finish_reason") or stopped
                usage = _usage(event.get("usage") or {}, usage)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise ModelError(f"{self.url} broke off while answering: {_one_line(error)}. Ask again.") from error
        finally:
            response.close()
        if not stopped:
            raise ModelError(f"{self.url} broke off while answering. Ask again.")
        yield Usage(
            usage.prompt_tokens, usage.answer_tokens, usage.cached_tokens, "length" if stopped == "length" else "end"
        )

    def choose(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        import urllib3

        body = {**self._body(messages), "max_tokens": 1, "logprobs": True, "top_logprobs": LIKELIEST, "stream": False}
        del body["stream_options"]
        response = self._post(body)
        try:
            first = json.loads(response.read())["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            told = [(str(token["token"]), float(token["logprob"])) for token in first]
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ModelError(f"{self.url} broke off while answering: {_one_line(error)}. Ask again.") from error
        except (LookupError, TypeError, ValueError) as error:
            raise ModelError(
                f"{self.url} gives no probabilities (logprobs) for {self.model}. Name a service that does, or leave "
                "out what needs them, such as the refiner llm-rerank."
            ) from error
        finally:
            response.close()
        return chances(told, choices)

    def close(self) -> None:
        if self._http is not None:
            self._http.clear()
        self._http = None

    def _body(self, messages: Sequence[Message]) -> dict[str, Any]:
        return {
            "model": self.model,
            "messages": [{"role": message.role, "content": well_formed(message.content)} for message in messages],
            "temperature": self.temperature,
            "seed": self.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def _headers(self) -> dict[str, str]:
        key = os.environ.get(self.key_env, "").strip()
        if key:
            if not key.isascii() or not key.isprintable():
                raise ModelError(f"The key in ${self.key_env} has characters that no key has. Set it again.")
            return {"Authorization": f"Bearer {key}"}
        if urlsplit(self.url).hostname in LOOPBACK:
            return {}
        raise ModelError(f"{self.url} needs a key. Set it: export {self.key_env}=...")

    def _post(self, body: dict[str, Any]) -> BaseHTTPResponse:
        """The response once it is 200; tries again while a server is busy or not there yet."""
        for wait in WAIT_SECONDS:
            response = self._try(body, last=False)
            if response is not None and response.status == 200:
                return response
            asked = wait if response is None else _asked_wait(response, wait)
            if response is not None and (asked is None or response.status not in RETRIED):
                raise self._failure(response)
            sleep(asked or 0.0)
        response = self._try(body, last=True)
        assert response is not None
        if response.status != 200:
            raise self._failure(response)
        return response

    def _try(self, body: dict[str, Any], *, last: bool) -> BaseHTTPResponse | None:
        """One request; None when nothing listens there and another try may help."""
        import urllib3

        headers = self._headers()
        if self._http is None:
            self._http = urllib3.PoolManager(retries=False)  # no redirects: the key is for this address alone
        try:
            return self._http.request(
                "POST",
                f"{self.url.rstrip('/')}/chat/completions",
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
                f"{self.url} did not answer: {_one_line(error)}. Check the address and ask again."
            ) from error

    def _failure(self, response: BaseHTTPResponse) -> ModelError:
        try:
            said = _said(json.loads(response.read(1 << 16)))
        except ValueError:
            said = f"status {response.status}"
        finally:
            response.close()
        key = os.environ.get(self.key_env, "").strip()
        said = said.replace(key, "...") if key else said
        if response.status in {401, 403}:
            return ModelError(f"{self.url} refuses the key in ${self.key_env}. Set another: export {self.key_env}=...")
        if response.status == 404:
            return ModelError(f"{self.url} has no model {self.model!r} ({said}). Name another: openai(model=...).")
        if response.status in RETRIED:
            return ModelError(f"{self.url} is busy after {TRIES} tries ({response.status}: {said}). Ask again later.")
        return ModelError(f"{self.url} refuses the question ({response.status}: {said}).")


def _asked_wait(response: BaseHTTPResponse, wait: float) -> float | None:
    """The wait a busy server asks for; None when that is too long."""
    try:
        asked = float(response.headers.get("Retry-After", wait))
    except ValueError:  # a date
        return wait
    return max(asked, 0.0) if asked <= LONGEST_WAIT else None


def _usage(counted: dict[str, Any], before: Usage) -> Usage:
    if not counted:
        return before
    cached = (counted.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Usage(counted.get("prompt_tokens") or 0, counted.get("completion_tokens") or 0, cached)


def _said(event: Any) -> str:
    error = event.get("error", event) if isinstance(event, dict) else event
    message = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(message).split())[:200].rstrip(".")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
