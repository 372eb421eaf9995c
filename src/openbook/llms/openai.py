"""Any server that speaks OpenAI's protocol: OpenAI and compatible clouds; llama.cpp, Ollama, vLLM, LM Studio here.

messages --> POST /chat/completions --server-sent events--> thoughts, words, usage
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from openbook.address import Address, RefusedError, said
from openbook.errors import ModelError, one_line
from openbook.llms.chances import chances
from openbook.llms.remote import about, checked, refuse_too_long, withheld, without
from openbook.llms.sse import events
from openbook.registry import at_least
from openbook.retrying import log
from openbook.service import Service
from openbook.text import well_formed
from openbook.types import Message, Stream, Thought, Usage

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

LIKELIEST = 20  # first tokens with probabilities: the most OpenAI gives
LONGEST, ITS_NEW_NAME = "max_tokens", "max_completion_tokens"
# What some services and models refuse; a request goes without. Mistral knows no seed and no stream_options.
OPTIONAL = frozenset({"temperature", "seed", "stream_options"})
THOUGHTS = ("reasoning_content", "reasoning")  # DeepSeek, llama.cpp, older vLLM; Ollama, vLLM, OpenRouter
# A server that read fewer than half of about so many tokens has cut off the beginning, as Ollama does beyond its
# context of 4,096; no context is so small that it cuts off less than the second number.
CUT_OFF, WORTH_SAYING = 0.5, 1000


@dataclass
class OpenAI:
    """A model behind `url`. The key is looked up when a question is asked, and shown nowhere.

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
    parallel: int = 4  # questions asked at once, where several are independent of each other

    _address: Address = field(init=False, repr=False, compare=False)
    _service: Service = field(init=False, repr=False, compare=False)
    _left_out: set[str] = field(default_factory=set, init=False, repr=False, compare=False)  # of OPTIONAL
    _longest: str = field(default=LONGEST, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._address = Address("openai", self.url, self.model, self.key_env, self.timeout)
        self._service = Service(self._address)
        at_least("openai", self, context=512, temperature=0, parallel=1)

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
        return

    def count(self, text: str) -> int:
        return about(text)

    def render(self, messages: Sequence[Message]) -> str:
        return json.dumps(without(self._body(messages), self._left_out), ensure_ascii=False, indent=2)

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        tokens = self.count("".join(message.content for message in messages))
        refuse_too_long(self.model, tokens, max_tokens, self.context)
        response = self._post({**self._body(messages), LONGEST: max_tokens})
        try:
            for part in checked(self._parts(response), self.model, max_tokens):
                if isinstance(part, Usage):
                    self._warn_if_cut_off(part.prompt_tokens, tokens)
                yield part
        finally:
            response.close()  # on an answer left early this stops the model

    def choose(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        import urllib3

        body = {**self._body(messages), LONGEST: 1, "logprobs": True, "top_logprobs": LIKELIEST, "stream": False}
        response = self._post(without(body, {"stream_options"}))
        try:
            first = json.loads(response.read())["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            told = [(str(token["token"]), float(token["logprob"])) for token in first]
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._address.broken(one_line(error)) from error
        except (LookupError, TypeError, ValueError) as error:
            raise ModelError(
                f"{self.url} gives no probabilities (logprobs) for {self.model}. Name a service that does, or leave "
                "out what needs them, such as the refiner llm-rerank."
            ) from error
        finally:
            response.close()
        return chances(told, choices)

    def close(self) -> None:
        self._service.close()

    def _body(self, messages: Sequence[Message]) -> dict[str, Any]:
        return {
            "model": self.model,
            "messages": [{"role": message.role, "content": well_formed(message.content)} for message in messages],
            "temperature": self.temperature,
            "seed": self.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def _post(self, body: Mapping[str, Any]) -> BaseHTTPResponse:
        """The response; asked again without a field that the service refuses, and from then on always so."""
        while True:
            sent = without(body, self._left_out)
            sent[self._longest] = sent.pop(LONGEST)
            try:
                return self._service.post("/chat/completions", sent)
            except RefusedError as error:
                if not self._leave_out(error.what, sent):
                    raise

    def _leave_out(self, what: str, sent: Mapping[str, Any]) -> bool:
        if self._longest in sent and self._longest == LONGEST and ITS_NEW_NAME in what:
            self._longest = ITS_NEW_NAME
            return True
        for name in OPTIONAL - self._left_out:
            # What a user chose is not silently left out.
            chosen = name == "temperature" and self.temperature > 0
            if name in sent and not chosen and re.search(rf"\b{name}\b", what):
                self._left_out.add(name)
                return True
        return False

    def _warn_if_cut_off(self, read: int, sent: int) -> None:
        if sent >= WORTH_SAYING and 0 < read < CUT_OFF * sent:
            log.warning(
                f"{self.url} read {read} tokens of a prompt of about {sent}: it seems to cut off the beginning. Give "
                "its model a larger context, or take fewer passages."
            )

    def _parts(self, response: BaseHTTPResponse) -> Iterator[str | Thought | Usage]:
        import urllib3

        usage, stopped = Usage(), ""
        try:
            for event in events(response):
                if "error" in event:
                    raise ModelError(f"{self.model} stopped: {said(event)}.")
                for choice in event.get("choices") or ():
                    yield from _delta(choice.get("delta") or {})
                    stopped = choice.get("finish_reason") or stopped
                usage = _usage(event, usage)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise self._address.broken(one_line(error)) from error
        except (TypeError, AttributeError) as error:
            raise self._address.broken("its events are not those of OpenAI's protocol") from error
        if not stopped:
            raise self._address.broken()
        if stopped == "content_filter":
            raise withheld(self.model, stopped)
        yield Usage(
            usage.prompt_tokens, usage.answer_tokens, usage.cached_tokens, "length" if stopped == "length" else "end"
        )


def _delta(delta: Mapping[str, Any]) -> Iterator[str | Thought]:
    for name in THOUGHTS:
        if thought := delta.get(name):
            yield Thought(str(thought))
            break  # a service may say the same under both names
    for name in ("content", "refusal"):
        if words := delta.get(name):
            yield str(words)


def _usage(event: Mapping[str, Any], before: Usage) -> Usage:
    """Of an event that counts; some servers count in each, and the last is right."""
    counted = event.get("usage")
    if not counted:
        return before
    cached = (counted.get("prompt_tokens_details") or {}).get("cached_tokens") or counted.get("prompt_cache_hit_tokens")
    return Usage(counted.get("prompt_tokens") or 0, counted.get("completion_tokens") or 0, cached or 0)
