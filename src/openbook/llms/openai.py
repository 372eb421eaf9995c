"""Any server that speaks OpenAI's protocol: OpenAI, a hosted model, or llama.cpp, Ollama, vLLM on this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from openbook.errors import ModelError, SpecError, one_line
from openbook.llms.chances import chances
from openbook.llms.sse import events
from openbook.service import Service, said
from openbook.text import well_formed
from openbook.types import Message, Stream, Usage

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
    parallel: int = 4  # questions asked at once, where several are independent of each other

    _service: Service = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._service = Service(self.url, self.model, self.key_env, self.timeout)
        for option, least in (("context", 512), ("temperature", 0), ("parallel", 1)):
            if getattr(self, option) < least:
                raise SpecError(f"openai({option}={getattr(self, option)}): write {least} or more.")

    @property
    def name(self) -> str:
        return self.model

    @property
    def remote(self) -> str:
        return self._service.remote

    @property
    def format(self) -> str:
        return ""

    def prepare(self) -> None:
        return

    def count(self, text: str) -> int:
        return -(-len(text) // CHARACTERS_PER_TOKEN)

    def render(self, messages: Sequence[Message]) -> str:
        return json.dumps(self._body(messages), ensure_ascii=False, indent=2)

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        import urllib3

        response = self._service.post("/chat/completions", {**self._body(messages), "max_tokens": max_tokens})
        usage, stopped = Usage(), ""
        try:
            for event in events(response):
                if "error" in event:
                    raise ModelError(f"{self.model} stopped: {said(event)}.")
                for choice in event.get("choices") or ():
                    if words := (choice.get("delta") or {}).get("content"):
                        yield words
                    stopped = choice.get("finish_reason") or stopped
                usage = _usage(event.get("usage") or {}, usage)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise ModelError(f"{self.url} broke off while answering: {one_line(error)}. Ask again.") from error
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
        response = self._service.post("/chat/completions", body)
        try:
            first = json.loads(response.read())["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            told = [(str(token["token"]), float(token["logprob"])) for token in first]
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ModelError(f"{self.url} broke off while answering: {one_line(error)}. Ask again.") from error
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


def _usage(counted: dict[str, Any], before: Usage) -> Usage:
    if not counted:
        return before
    cached = (counted.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Usage(counted.get("prompt_tokens") or 0, counted.get("completion_tokens") or 0, cached)
