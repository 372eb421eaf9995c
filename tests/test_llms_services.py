"""Services that speak OpenAI's protocol, each in its own way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openbook import registry
from openbook.address import Address
from openbook.completing import complete
from openbook.errors import ModelError, SpecError
from openbook.llms.sdk import Sdk
from openbook.recipe import Spec
from openbook.types import LLM, Message, Thought, Usage
from services import HELLO, KEY, OPENAI, RealServerContract, ServiceContract, llama_server, openai_answer
from speaking import Reply, Speaker, probabilities, words


class TestOpenAI(ServiceContract):
    dialect = OPENAI
    chooses = True

    @pytest.fixture
    def llm(self, make: Callable[..., LLM], speaker: Speaker) -> LLM:
        speaker.first = probabilities(Three=0.5, The=0.25, Jonah=0.125)
        return make()

    @pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
    def test_thoughts_of_every_server_are_apart(self, llm: LLM, speaker: Speaker, name: str) -> None:
        speaker.script = [openai_answer("4", thoughts=["2 + 2"], name=name)]
        assert self.parts(llm)[:2] == [Thought("2 + 2"), "4"]

    def test_ollama_counts_once_and_calls_itself_an_assistant_in_each_event(self, llm: LLM, speaker: Speaker) -> None:
        base = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "model": "tiny",
            "system_fingerprint": "fp_ollama",
        }
        events: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "", "reasoning": "Hm"}}]},
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 31, "completion_tokens": 4, "total_tokens": 35}},
        ]
        speaker.script = [Reply([*(f"data: {json.dumps({**base, **one})}" for one in events), "data: [DONE]"])]
        assert self.parts(llm) == [Thought("Hm"), "Hi", Usage(31, 4, 0, "end")]

    def test_vllm_counts_in_each_event_and_says_nothing_of_the_cache(self, llm: LLM, speaker: Speaker) -> None:
        events: list[dict[str, Any]] = [
            {
                "choices": [{"index": 0, "delta": {"content": one, "reasoning_content": None}, "logprobs": None}],
                "usage": {"prompt_tokens": 8, "completion_tokens": number, "prompt_tokens_details": None},
            }
            for number, one in enumerate(["Hi", "!"], 1)
        ]
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": None}]})
        speaker.script = [Reply([*(f"data: {json.dumps(one)}" for one in events), "data: [DONE]"])]
        assert self.parts(llm) == ["Hi", "!", Usage(8, 2, 0, "end")]

    def test_deepseek_counts_its_cache_by_another_name(self, llm: LLM, speaker: Speaker) -> None:
        reply = words("Hi")
        counted = {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 8}
        reply.events[-2] = f"data: {json.dumps({'choices': [], 'usage': counted})}"
        speaker.script = [reply]
        assert self.parts(llm)[-1] == Usage(9, 1, 8, "end")

    def test_a_server_that_counts_nothing_is_no_error(self, llm: LLM, speaker: Speaker) -> None:
        reply = words("Hi")
        del reply.events[-2]
        speaker.script = [reply]
        assert self.parts(llm) == ["Hi", Usage(0, 0, 0, "end")]

    @pytest.mark.parametrize("line", ['error: {"message": "out of memory"}', 'data: {"error": "out of memory"}'])
    def test_errors_of_every_server_are_read(self, llm: LLM, speaker: Speaker, line: str) -> None:
        speaker.script = [Reply([words("a").events[1], line])]
        with pytest.raises(ModelError, match=r"^tiny stopped: out of memory\.$"):
            self.parts(llm)

    def test_a_refusal_in_words_is_an_answer(self, llm: LLM, speaker: Speaker) -> None:
        reply = words()
        reply.events[1:1] = ['data: {"choices": [{"delta": {"content": null, "refusal": "I cannot."}}]}']
        speaker.script = [reply]
        assert self.parts(llm)[0] == "I cannot."

    def test_a_limit_that_time_does_not_lift_is_not_waited_for(self, llm: LLM, speaker: Speaker) -> None:
        body = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
        speaker.script = [Reply([json.dumps(body)], 429, chunked=False)]
        with pytest.raises(ModelError, match=r"is paid for no more \(429: You exceeded your current quota\)\. Raise "):
            self.parts(llm)
        assert len(speaker.bodies) == 1

    def test_what_a_model_does_not_know_is_left_out_from_then_on(self, llm: LLM, speaker: Speaker) -> None:
        speaker.script = [
            self.dialect.refusal(
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead.",
            ),
            self.dialect.refusal(400, "Unsupported value: 'temperature' does not support 0.0 with this model."),
            Reply([json.dumps({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]})], 422, chunked=False),
            words("Yes"),
        ]
        for _ in range(2):
            assert complete(llm, HELLO, 9)[0] == "Yes"
        assert len(speaker.bodies) == 5
        assert set(speaker.bodies[-1]) == {"model", "messages", "stream", "stream_options", "max_completion_tokens"}
        assert "temperature" not in llm.render(HELLO)

    def test_a_temperature_that_was_asked_for_is_not_left_out(self, make: Callable[..., LLM], speaker: Speaker) -> None:
        speaker.script = [self.dialect.refusal(400, "'temperature' must be at most 2")]
        with pytest.raises(ModelError, match=r"refuses the question \(400: 'temperature' must be at most 2\)\.$"):
            self.parts(make(temperature=3.0))

    def test_a_server_that_cuts_off_the_prompt_is_told_of(
        self, llm: LLM, speaker: Speaker, caplog: pytest.LogCaptureFixture
    ) -> None:
        list(llm.stream([Message("user", "word " * 1000)], 9))
        assert re.search(r"read 9 tokens of a prompt of about 1250: it seems to cut off", caplog.text)


class OddError(Exception):
    """As no SDK documents."""


class TestSdk:
    @pytest.fixture
    def address(self, monkeypatch: pytest.MonkeyPatch) -> Address:
        monkeypatch.setattr("importlib.util.find_spec", lambda library: True)
        monkeypatch.setenv("MY_KEY", KEY)
        return Address("anthropic", "http://127.0.0.1:1", "tiny", "MY_KEY", 1.0)

    def test_whatever_it_raises_is_a_line_without_the_key(self, address: Address) -> None:
        sdk = Sdk(address, "anthropic", lambda key: key, lambda error: None)

        def fail(client: object) -> None:
            raise OddError(f"odd:\n{client}")

        with pytest.raises(ModelError, match=r"^http://127\.0\.0\.1:1 did not answer: odd: \.\.\.\. Check the "):
            sdk.ask(fail)
        with (
            pytest.raises(ModelError, match=r"^http://127\.0\.0\.1:1 broke off while answering: odd: \.\.\.\. Ask"),
            sdk.reading(),
        ):
            fail(KEY)

    def test_a_broken_installation_is_a_line(
        self, address: Address, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
    ) -> None:
        def make(key: str) -> None:
            raise ImportError("libssl.so.9 is missing")

        sdk = Sdk(address, "anthropic", make, lambda error: None)
        sdk.prepare()
        with pytest.raises(ModelError, match=r"cannot be loaded: libssl\.so\.9 is missing\. Install it again: pip "):
            sdk.ask(lambda client: client)

    def test_another_key_makes_another_client(self, address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
        class Client:
            def __init__(self, key: str) -> None:
                self.key, self.closed = key, False

            def close(self) -> None:
                self.closed = True

        sdk = Sdk(address, "anthropic", Client, lambda error: None)
        first = sdk.client()
        assert sdk.client() is first
        monkeypatch.setenv("MY_KEY", "other")
        assert sdk.client().key == "other"
        assert first.closed


class TestWithoutAnSdk:
    @pytest.mark.parametrize(("name", "library"), [("anthropic", "anthropic"), ("google", "google.genai")])
    def test_it_says_what_to_install(self, name: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda library: None)
        with pytest.raises(SpecError) as caught:
            registry.make("llm", Spec(name))
        expected = f"llm '{name}' needs {library}. Install it with: pip install 'openbook[{name}]'"
        assert str(caught.value) == expected

    def test_its_options_are_known_without_it(self) -> None:
        code = (
            "import sys; from openbook import registry; from openbook.recipe import Spec\n"
            "for name in ('anthropic', 'google'): registry.check('llm', Spec(name))\n"
            "assert not {'anthropic', 'google.genai', 'httpx2', 'pydantic'} & set(sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.models
class TestRealServer(RealServerContract):
    @pytest.fixture
    def llm(self, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LLM]:
        with llama_server(weights, monkeypatch) as url:
            llm: LLM = registry.make("llm", Spec("openai", {"url": f"{url}/v1", "model": "any", "key_env": "MY_KEY"}))
            yield llm
            llm.close()
