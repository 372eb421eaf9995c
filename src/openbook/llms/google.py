"""Google's Gemini models by their own SDK.

messages --> system instruction, turns --SDK--> POST .../models/NAME:streamGenerateContent --events--> words, usage
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, Literal

from openbook.address import Address, RefusedError, said
from openbook.errors import ModelError
from openbook.llms.remote import about, checked, refuse_too_long, told, withheld, without
from openbook.llms.sdk import NO_PROBABILITIES, Sdk
from openbook.registry import at_least
from openbook.retrying import asked_wait
from openbook.types import Message, Stream, Thought, Usage

LEVELS = {"off": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH"}
ENDS = {"STOP": "end", "MAX_TOKENS": "length"}
RETRY_DELAY = re.compile(r"'retryDelay': '([\d.]+)s'")  # in the body, beside or without the header


@dataclass
class Google:
    """A Gemini model. The key is looked up when a question is asked, and shown nowhere.

    Temperature is not sent: the newest models take none. What is thought counts as answer, and is paid for as such.
    """

    VERSION: ClassVar[int] = 1

    model: str = "gemini-3.5-flash-lite"
    url: str = "https://generativelanguage.googleapis.com"
    key_env: str = "GEMINI_API_KEY"
    context: int = 1_000_000
    seed: int = 0
    thinking: Literal["off", "low", "medium", "high"] = "off"  # a model that cannot leave it thinks as much as it likes
    thought_tokens: int = 4096  # room for thoughts beside the longest answer, where the model thinks
    timeout: float = 120.0  # seconds without a byte
    parallel: int = 4  # questions asked at once, where several are independent of each other

    _address: Address = field(init=False, repr=False, compare=False)
    _sdk: Sdk = field(init=False, repr=False, compare=False)
    _left_out: set[str] = field(default_factory=set, init=False, repr=False, compare=False)  # fields the model refuses

    def __post_init__(self) -> None:
        self._address = Address("google", self.url, self.model, self.key_env, self.timeout)
        at_least("google", self, context=512, thought_tokens=0, parallel=1)
        self._sdk = Sdk(self._address, "google.genai", self._client, self._failure)

    @property
    def name(self) -> str:
        return self.model

    @property
    def remote(self) -> str:
        return self._address.remote

    @property
    def format(self) -> str:
        return ""

    def prepare(self) -> None:
        self._sdk.prepare()

    def count(self, text: str) -> int:
        return about(text)

    def render(self, messages: Sequence[Message]) -> str:
        body = self._body(messages)
        return json.dumps({**body, "config": without(body["config"], self._left_out)}, ensure_ascii=False, indent=2)

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        tokens = self.count("".join(message.content for message in messages))
        refuse_too_long(self.model, tokens, max_tokens, self.context)
        first, chunks = self._open(self._body(messages), max_tokens)
        try:
            with self._sdk.reading():
                yield from checked(self._parts(first, chunks), self.model, max_tokens)
        finally:
            chunks.close()  # on an answer left early this stops the model

    def choose(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        raise ModelError(NO_PROBABILITIES.format(self.model))  # logprobs: Gemini 3 refuses them

    def close(self) -> None:
        self._sdk.close()

    def _client(self, key: str) -> Any:
        # It tells which of two variables it took the key from; it is given the key.
        logging.getLogger("google_genai").setLevel(logging.ERROR)
        options = {
            "base_url": self.url,
            "api_version": "v1beta",
            "timeout": round(self.timeout * 1000),
            "client_args": {"follow_redirects": False},  # the key is for this address alone
        }
        sdk: Any = import_module("google.genai")
        return sdk.Client(api_key=key, vertexai=False, http_options=options)

    def _body(self, messages: Sequence[Message]) -> dict[str, Any]:
        system, turns = told(messages)
        contents = [
            {"role": "user" if turn.role == "user" else "model", "parts": [{"text": turn.content}]} for turn in turns
        ]
        thinking = {"thinking_level": LEVELS[self.thinking], "include_thoughts": self.thinking != "off"}
        config: dict[str, Any] = {"seed": self.seed, "thinking_config": thinking}
        if system:
            config["system_instruction"] = system
        return {"model": self.model, "contents": contents, "config": config}

    def _open(self, body: Mapping[str, Any], max_tokens: int) -> tuple[Any, Any]:
        """The first chunk of an answer, and those to come: the SDK sends its request when it is first asked for one."""
        while True:
            config = without(body["config"], self._left_out)
            thinks = self.thinking != "off" or "thinking_config" not in config
            config["max_output_tokens"] = max_tokens + self.thought_tokens if thinks else max_tokens
            sent = {**body, "config": config}
            try:
                return self._sdk.ask(self._request(sent))
            except RefusedError as error:
                if thinks or "thinking" not in error.what.lower():
                    raise
                self._left_out.add("thinking_config")

    @staticmethod
    def _request(sent: Mapping[str, Any]) -> Callable[[Any], tuple[Any, Any]]:
        return lambda client: _begun(client.models.generate_content_stream(**sent))

    def _parts(self, first: Any, chunks: Any) -> Iterator[str | Thought | Usage]:
        usage, ended = Usage(), ""
        for chunk in _all(first, chunks):
            if (feedback := chunk.prompt_feedback) and feedback.block_reason:
                raise withheld(self.model, _word(feedback.block_reason))
            usage = _usage(chunk.usage_metadata, usage)
            for candidate in (chunk.candidates or ())[:1]:
                for part in (candidate.content and candidate.content.parts) or ():
                    if part.text:
                        yield Thought(part.text) if part.thought else part.text
                ended = _word(candidate.finish_reason) if candidate.finish_reason else ended
        if not ended:
            raise self._address.broken()
        if ended not in ENDS:
            raise withheld(self.model, ended)
        yield Usage(
            usage.prompt_tokens, usage.answer_tokens, usage.cached_tokens, "length" if ended == "MAX_TOKENS" else "end"
        )

    def _failure(self, error: Exception) -> ModelError | None:
        if not isinstance(error, import_module("google.genai.errors").APIError):
            return None
        details = str(error.details)
        delay = RETRY_DELAY.search(details)
        after = asked_wait(getattr(error.response, "headers", {}).get("retry-after")) or (
            float(delay[1]) if delay else None
        )
        # A wrong key comes with status 400.
        status = 401 if "API_KEY_INVALID" in details else error.code if isinstance(error.code, int) else 500
        return self._address.failure(status, said(error.message) if error.message else "", after=after)


def _begun(chunks: Iterator[Any]) -> tuple[Any, Iterator[Any]]:
    return next(chunks, None), chunks


def _all(first: Any, chunks: Iterator[Any]) -> Iterator[Any]:
    if first is not None:
        yield first
        yield from chunks


def _word(reason: Any) -> str:
    """A value of an enumeration, also of one that this version of the SDK does not know yet."""
    return str(getattr(reason, "value", reason))


def _usage(counted: Any, before: Usage) -> Usage:
    if not counted:
        return before
    answer = (counted.candidates_token_count or 0) + (counted.thoughts_token_count or 0)
    return Usage(counted.prompt_token_count or 0, answer, counted.cached_content_token_count or 0)
