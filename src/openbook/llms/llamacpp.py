"""A GGUF file run on this machine by llama.cpp, in a child process that is started late and kept warm.

messages --render (the file's own chat template)--> prompt --HTTP on 127.0.0.1--> child: llama.cpp's server --> words
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from openbook import models
from openbook.errors import ModelError, SpecError
from openbook.llms.chances import chances
from openbook.llms.llamacpp_server import Server
from openbook.llms.sse import events
from openbook.models.gguf import Header, read_header
from openbook.prompts.template import render
from openbook.text import well_formed
from openbook.types import Message, Stream, Usage

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, HTTPConnectionPool

SILENT_SECONDS = 600.0  # without a byte: a prompt's progress comes every 512 tokens, and a sign of life every 30 s

LIKELIEST = 100  # first tokens that are told apart; what comes after them is seldom likelier than one in a million


@dataclass
class LlamaCpp:
    """A local model. Loads on first use or by `prepare`; ends after `keep_minutes` without a question."""

    VERSION: ClassVar[int] = 1

    model: str = "qwen2.5-coder-1.5b"  # a name of the catalogue, or a path to a GGUF file
    context: int = 4096
    threads: int = 0  # 0: one for each core
    gpu_layers: int = -1  # -1: as many as fit, where llama.cpp was built for a GPU
    temperature: float = 0.0
    seed: int = 0
    keep_minutes: float = 5.0

    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False, compare=False)
    _server: Server | None = field(default=None, init=False, repr=False, compare=False)
    _pool: HTTPConnectionPool | None = field(default=None, init=False, repr=False, compare=False)
    _header: Header | None = field(default=None, init=False, repr=False, compare=False)
    _timer: threading.Timer | None = field(default=None, init=False, repr=False, compare=False)
    _busy: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for option, least in (
            ("context", 512),
            ("threads", 0),
            ("gpu_layers", -1),
            ("temperature", 0),
            ("keep_minutes", 0),
        ):
            if getattr(self, option) < least:
                raise SpecError(f"llamacpp({option}={getattr(self, option)}): write {least} or more.")

    @property
    def name(self) -> str:
        return Path(self.model).stem if self.model.endswith(".gguf") else self.model

    def prepare(self) -> None:
        with self._lock:
            self._start()
            self._keep()

    def count(self, text: str) -> int:
        with self._running():
            return self._count(text, special=False)

    def render(self, messages: Sequence[Message]) -> str:
        header = self._read_header()
        prompt = render(header.chat_template, messages, bos=header.bos, eos=header.eos)
        # Where the tokenizer puts the first token before a text itself, one written by the template would be a second.
        return prompt.removeprefix(header.bos) if header.adds_bos and header.bos else prompt

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        prompt = self.render(messages)
        with self._running():
            self._refuse_too_long(prompt, max_tokens)
            response = self._post(
                "/completion",
                {
                    "prompt": prompt,
                    "n_predict": max_tokens,
                    "temperature": self.temperature,
                    "seed": self.seed,
                    "grammar": grammar,
                    "cache_prompt": True,
                    "stream": True,
                    "return_progress": True,  # bytes flow while a long prompt is read, so that silence means trouble
                },
            )
            try:
                yield from self._words(response)
            finally:
                # An answer read to its end gives its connection back; on one left early this stops the model.
                response.close()

    def choose(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        prompt = self.render(messages)
        with self._running():
            self._refuse_too_long(prompt, 1)
            answer = self._post(
                "/completion",
                {
                    "prompt": prompt,
                    "n_predict": 1,
                    "n_probs": LIKELIEST,  # as the network gives them, whatever the temperature
                    "temperature": 0,
                    "ignore_eos": True,  # an answer that ends at once has no first token
                    "cache_prompt": True,
                },
            ).json()
        try:
            first = answer["completion_probabilities"][0]["top_logprobs"]
        except (LookupError, TypeError) as error:
            raise ModelError(f"{self.name} gave no probabilities. Try: pip install -U xllamacpp") from error
        return chances(((token["token"], token["logprob"]) for token in first), choices)

    def close(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._pool is not None:
                self._pool.close()
            if self._server is not None:
                self._server.close()
            self._server = self._pool = self._timer = None

    def _words(self, response: BaseHTTPResponse) -> Stream:
        import urllib3

        try:
            for event in events(response):
                if "error" in event:
                    raise ModelError(f"{self.name} stopped: {event['error'].get('message', '')}.")
                if event.get("content"):
                    yield event["content"]
                if event.get("stop"):
                    yield _usage(event)
                    return
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise self._broken(error) from error
        raise self._broken(EOFError("the answer has no end"))

    def _refuse_too_long(self, prompt: str, max_tokens: int) -> None:
        # A token is a byte at least, so a short prompt needs no counting. 8: what a tokenizer may add at its ends.
        if len(prompt.encode()) + 8 + max_tokens <= self.context:
            return
        tokens = self._count(prompt, special=True)
        if tokens + max_tokens > self.context:
            raise ModelError(
                f"The prompt has {tokens} tokens; with {max_tokens} for the answer that is more than the "
                f"{self.context} of {self.name}. Take fewer passages, or a larger context: llamacpp(context=...)."
            )

    def _count(self, text: str, *, special: bool) -> int:
        response = self._post(
            "/tokenize", {"content": well_formed(text), "add_special": special, "parse_special": True}
        )
        return len(response.json()["tokens"])

    def _post(self, path: str, body: dict[str, Any]) -> BaseHTTPResponse:
        import urllib3

        try:
            response = self._request(path, body)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if self._server is None or not self._server.ended():
                raise self._broken(error) from error
            # It died since the last question, but so late that it still looked alive: once more, with a new one.
            try:
                response = self._request(path, body)
            except (urllib3.exceptions.HTTPError, OSError) as again:
                raise self._broken(again) from again
        if response.status != 200:
            raise ModelError(f"{self.name} refused: {_error(response)}")
        return response

    def _request(self, path: str, body: dict[str, Any]) -> BaseHTTPResponse:
        return self._connect().request("POST", path, json=body, preload_content=not body.get("stream"))

    def _connect(self) -> HTTPConnectionPool:
        """Connections to the server; waits until it has loaded."""
        import urllib3

        with self._lock:
            server = self._start()
        url = server.url()  # without the lock: `prepare` and `close` need not wait
        with self._lock:
            if self._pool is None:
                self._pool = urllib3.HTTPConnectionPool(
                    "127.0.0.1",
                    int(url.rsplit(":", 1)[1]),
                    timeout=urllib3.Timeout(connect=10, read=SILENT_SECONDS),
                    retries=False,
                    maxsize=4,
                    headers={"Authorization": f"Bearer {server.api_key}"},
                )
            return self._pool

    def _broken(self, error: Exception) -> ModelError:
        how = self._server.ended() if self._server is not None else "it was closed"
        if not how:
            return ModelError(f"{self.name} stopped answering: {error}. Ask again.")
        why = ", most likely for memory" if how == "SIGKILL" else ""
        return ModelError(
            f"The process of {self.name} ended while answering ({how}{why}). "
            "Ask again, or choose a smaller model or context."
        )

    def _start(self) -> Server:
        """The running server, started when there is none or when it died since the last question."""
        if self._server is not None and self._server.alive:
            return self._server
        self.close()
        header = self._read_header()
        if 0 < header.context_length < self.context:
            raise ModelError(
                f"{self.name} was trained for {header.context_length} tokens, not {self.context}. "
                f"Write: llamacpp(model={self.model!r}, context={header.context_length})"
            )
        settings = {"context": self.context, "threads": self.threads, "gpu_layers": self.gpu_layers}
        self._server = Server(header.path, settings)
        return self._server

    @contextmanager
    def _running(self) -> Generator[None]:
        """While it is entered, the server runs and is not ended for idleness."""
        with self._lock:
            self._start()
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1
                if self._server is not None:
                    self._keep()

    def _read_header(self) -> Header:
        with self._lock:
            if self._header is None:
                self._header = read_header(models.find(self.model))
            return self._header

    def _keep(self) -> None:
        """End the server after a while, counted from now."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(self.keep_minutes * 60, self._end_idle)
        self._timer.daemon = True
        self._timer.start()

    def _end_idle(self) -> None:
        with self._lock:
            if not self._busy:
                self.close()


def _usage(event: dict[str, Any]) -> Usage:
    return Usage(
        prompt_tokens=event.get("tokens_evaluated", 0),
        answer_tokens=event.get("tokens_predicted", 0),
        cached_tokens=event.get("timings", {}).get("cache_n", 0),
        stopped="length" if event.get("stop_type") == "limit" else "end",
    )


def _error(response: BaseHTTPResponse) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return f"status {response.status}"
