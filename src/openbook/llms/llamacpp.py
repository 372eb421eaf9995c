"""A GGUF file run on this machine by llama.cpp, in a child process that is started late and kept warm.

messages --render (the file's own chat template)--> prompt --HTTP on 127.0.0.1--> child: llama.cpp's server --> words
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from openbook import models
from openbook.errors import ModelError, SpecError
from openbook.llamacpp.client import Client
from openbook.llms.chances import chances
from openbook.llms.sse import events
from openbook.models.fit import refuse_too_large
from openbook.models.gguf import Header, read_header
from openbook.prompts.template import render
from openbook.types import Message, Stream, Usage

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

LIKELIEST = 100  # first tokens that are told apart; what comes after them is seldom likelier than one in a million


@dataclass
class LlamaCpp:
    """A local model. Loads on first use or by `prepare`; ends after `keep_minutes` without a question."""

    VERSION: ClassVar[int] = 1

    model: str = "qwen2.5-coder-1.5b"  # a name of the catalogue, or a path to a GGUF file
    context: int = 4096
    threads: int = 0  # 0: one for each core
    parallel: int = 1  # answers at once, each with a context of its own
    gpu_layers: int = -1  # -1: as many as fit, where llama.cpp was built for a GPU
    temperature: float = 0.0
    seed: int = 0
    keep_minutes: float = 5.0

    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False, compare=False)
    _client: Client | None = field(default=None, init=False, repr=False, compare=False)
    _header: Header | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for option, least in (
            ("context", 512),
            ("threads", 0),
            ("parallel", 1),
            ("gpu_layers", -1),
            ("temperature", 0),
            ("keep_minutes", 0),
        ):
            if getattr(self, option) < least:
                raise SpecError(f"llamacpp({option}={getattr(self, option)}): write {least} or more.")

    @property
    def name(self) -> str:
        return Path(self.model).stem if self.model.endswith(".gguf") else self.model

    @property
    def remote(self) -> str:
        return ""

    @property
    def format(self) -> str:
        return (
            "chat template of the file" if self._read_header().chat_template else "plain: the file has no chat template"
        )

    def prepare(self) -> None:
        self.client.prepare()

    def count(self, text: str) -> int:
        with self.client.running():
            return len(self.client.tokenize(text))

    def render(self, messages: Sequence[Message]) -> str:
        header = self._read_header()
        prompt = render(header.chat_template, messages, bos=header.bos, eos=header.eos)
        # Where the tokenizer puts the first token before a text itself, one written by the template would be a second.
        return prompt.removeprefix(header.bos) if header.adds_bos and header.bos else prompt

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        prompt = self.render(messages)
        with self.client.running():
            self._refuse_too_long(prompt, max_tokens)
            response = self.client.post(
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
        with self.client.running():
            self._refuse_too_long(prompt, 1)
            answer = self.client.post(
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
            if self._client is not None:
                self._client.close()

    @property
    def client(self) -> Client:
        """What speaks with the model's server, which need not run yet.

        Raises:
            ModelError: There is no such file, or it was trained for fewer tokens than `context`.
        """
        with self._lock:
            if self._client is None:
                header = self._read_header()
                if 0 < header.context_length < self.context:
                    raise ModelError(
                        f"{self.name} was trained for {header.context_length} tokens, not {self.context}. "
                        f"Write: llamacpp(model={self.model!r}, context={header.context_length})"
                    )
                settings = {
                    "context": self.context,
                    "threads": self.threads,
                    "parallel": self.parallel,
                    "gpu_layers": self.gpu_layers,
                }
                refuse_too_large(header, settings)
                self._client = Client(self.name, header.path, settings, self.keep_minutes)
            return self._client

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
            raise self.client.broken(error) from error
        raise self.client.broken(EOFError("the answer has no end"))

    def _refuse_too_long(self, prompt: str, max_tokens: int) -> None:
        # A token is a byte at least, so a short prompt needs no counting. 8: what a tokenizer may add at its ends.
        if len(prompt.encode()) + 8 + max_tokens <= self.context:
            return
        tokens = len(self.client.tokenize(prompt, special=True))
        if tokens + max_tokens > self.context:
            raise ModelError(
                f"The prompt has {tokens} tokens; with {max_tokens} for the answer that is more than the "
                f"{self.context} of {self.name}. Take fewer passages, or a larger context: llamacpp(context=...)."
            )

    def _read_header(self) -> Header:
        with self._lock:
            if self._header is None:
                self._header = read_header(models.find(self.model))
            return self._header


def _usage(event: dict[str, Any]) -> Usage:
    return Usage(
        prompt_tokens=event.get("tokens_evaluated", 0),
        answer_tokens=event.get("tokens_predicted", 0),
        cached_tokens=event.get("timings", {}).get("cache_n", 0),
        stopped="length" if event.get("stop_type") == "limit" else "end",
    )
