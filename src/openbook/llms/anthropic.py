"""Anthropic's models by their own SDK, or any server that speaks its Messages API.

messages --> system, turns --SDK--> POST /v1/messages --events--> thoughts, words, usage
"""

from __future__ import annotations

import json
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

# A fault in the middle of an answer comes after status 200, with the name of its kind alone.
STATUS = {"overloaded_error": 529, "rate_limit_error": 429, "api_error": 500, "timeout_error": 504}
# "Approximately 30% more tokens" than the tokenizer before, says https://platform.claude.com/docs/en/models/haiku-5-5.
FINER = 1.3
# What the SDK would say of this machine with each question.
ABOUT_THIS_MACHINE = ("X-Stainless-OS", "X-Stainless-Arch", "X-Stainless-Runtime", "X-Stainless-Runtime-Version")


@dataclass
class Anthropic:
    """A model of Anthropic's. The key is looked up when a question is asked, and shown nowhere.

    Temperature and seed are not sent: the models know none. What is thought counts as answer, and is paid for as such.
    """

    VERSION: ClassVar[int] = 1

    model: str = "claude-haiku-5-5"
    url: str = "https://api.anthropic.com"
    key_env: str = "ANTHROPIC_API_KEY"
    context: int = 200_000
    thinking: Literal["off", "low", "medium", "high"] = "off"  # a model that cannot leave it thinks as much as it likes
    thought_tokens: int = 4096  # room for thoughts beside the longest answer, where the model thinks
    timeout: float = 120.0  # seconds without a byte
    parallel: int = 4  # questions asked at once, where several are independent of each other

    _address: Address = field(init=False, repr=False, compare=False)
    _sdk: Sdk = field(init=False, repr=False, compare=False)
    _left_out: set[str] = field(default_factory=set, init=False, repr=False, compare=False)  # fields the model refuses

    def __post_init__(self) -> None:
        self._address = Address("anthropic", self.url, self.model, self.key_env, self.timeout)
        at_least("anthropic", self, context=512, thought_tokens=0, parallel=1)
        self._sdk = Sdk(self._address, "anthropic", self._client, self._failure)

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
        return round(about(text) * FINER)

    def render(self, messages: Sequence[Message]) -> str:
        return json.dumps(without(self._body(messages), self._left_out), ensure_ascii=False, indent=2)

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        tokens = self.count("".join(message.content for message in messages))
        refuse_too_long(self.model, tokens, max_tokens, self.context)
        events = self._open(self._body(messages), max_tokens)
        try:
            with self._sdk.reading():
                yield from checked(self._parts(events), self.model, max_tokens)
        finally:
            events.close()  # on an answer left early this stops the model

    def choose(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        raise ModelError(NO_PROBABILITIES.format(self.model))

    def close(self) -> None:
        self._sdk.close()

    def _client(self, key: str) -> Any:
        sdk: Any = import_module("anthropic")
        return sdk.Anthropic(
            api_key=key,
            base_url=self.url,
            timeout=self.timeout,
            max_retries=0,
            open_telemetry=False,
            default_headers=dict.fromkeys(ABOUT_THIS_MACHINE, sdk.Omit()),
            http_client=sdk.DefaultHttpxClient(follow_redirects=False),  # the key is for this address alone
        )

    def _body(self, messages: Sequence[Message]) -> dict[str, Any]:
        system, turns = told(messages)
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": turn.role, "content": turn.content} for turn in turns],
        }
        if system:
            body["system"] = system
        if self.thinking == "off":
            body["thinking"] = {"type": "disabled"}
        else:
            body["thinking"] = {"type": "adaptive", "display": "summarized"}
            body["output_config"] = {"effort": self.thinking}
        return body

    def _open(self, body: Mapping[str, Any], max_tokens: int) -> Any:
        """The events of an answer. Where a model cannot but think, it is asked again without being told not to."""
        while True:
            sent = without(body, self._left_out)
            silent = sent.get("thinking") == {"type": "disabled"}
            sent["max_tokens"] = max_tokens if silent else max_tokens + self.thought_tokens
            try:
                return self._sdk.ask(self._request(sent))
            except RefusedError as error:
                if not silent or "thinking" not in error.what:
                    raise
                self._left_out.add("thinking")

    @staticmethod
    def _request(sent: Mapping[str, Any]) -> Callable[[Any], Any]:
        return lambda client: client.messages.create(**sent, stream=True)

    def _parts(self, events: Any) -> Iterator[str | Thought | Usage]:
        prompt, cached, answer, stopped = 0, 0, 0, ""
        for event in events:
            if event.type == "message_start":
                prompt, cached = _prompt_tokens(event.message.usage)
            elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                yield event.delta.text
            elif event.type == "content_block_delta" and event.delta.type == "thinking_delta":
                yield Thought(event.delta.thinking)
            elif event.type == "message_delta":
                answer = event.usage.output_tokens or answer  # of all until now
                stopped = event.delta.stop_reason or stopped
                if stopped == "refusal":
                    category = getattr(getattr(event.delta, "stop_details", None), "category", None)
                    raise withheld(self.model, f"refusal: {category}" if category else "refusal")
            elif event.type == "message_stop" and stopped:
                cut = stopped in {"max_tokens", "model_context_window_exceeded"}
                yield Usage(prompt, answer, cached, "length" if cut else "end")
                return
        raise self._address.broken()

    def _failure(self, error: Exception) -> ModelError | None:
        if not isinstance(error, import_module("anthropic").APIStatusError):
            return None
        status: int = error.status_code if error.status_code != 200 else STATUS.get(error.type or "", 500)
        return self._address.failure(
            status,
            said(error.body) if error.body else "",
            after=asked_wait(error.response.headers.get("retry-after")),
            code=error.error_code or "",
        )


def _prompt_tokens(usage: Any) -> tuple[int, int]:
    """Tokens of a prompt, and those of them that were cached: Anthropic counts the cached ones apart."""
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return usage.input_tokens + read + written, read
