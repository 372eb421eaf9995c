"""Anthropic's models by their SDK, against a server that speaks the Messages API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from openbook import registry
from openbook.completing import complete
from openbook.errors import ModelError
from openbook.recipe import Spec
from openbook.types import LLM, Message
from services import ANTHROPIC, HELLO, RealServerContract, ServiceContract, anthropic_event, llama_server
from speaking import Reply, Speaker

pytest.importorskip("anthropic")


class TestAnthropic(ServiceContract):
    dialect = ANTHROPIC

    def test_it_sends_what_anthropic_documents(self, llm: LLM, speaker: Speaker) -> None:
        complete(llm, [*self.MESSAGES, Message("assistant", " "), Message("user", "And?")], 24)
        assert speaker.bodies == [
            {
                "model": "tiny",
                "system": "You are terse.",
                "messages": [
                    {"role": "user", "content": self.MESSAGES[1].content},
                    {"role": "user", "content": "And?"},
                ],
                "thinking": {"type": "disabled"},
                "max_tokens": 24,
                "stream": True,
            }
        ]
        assert json.loads(llm.render(self.MESSAGES))["system"] == "You are terse."
        told = {name.lower() for name in speaker.headers[0]}
        assert "anthropic-version" in told
        assert not {"x-stainless-os", "x-stainless-arch", "x-stainless-runtime-version", "traceparent"} & told

    def test_a_model_that_thinks_has_room_for_it(self, make: Callable[..., LLM], speaker: Speaker) -> None:
        complete(make(thinking="low", thought_tokens=1000), HELLO, 24)
        assert speaker.bodies[0]["max_tokens"] == 1024
        assert speaker.bodies[0]["thinking"] == {"type": "adaptive", "display": "summarized"}
        assert speaker.bodies[0]["output_config"] == {"effort": "low"}

    def test_a_model_that_cannot_but_think_may(self, llm: LLM, speaker: Speaker) -> None:
        refused = self.dialect.refusal(400, '"thinking.type.disabled" is not supported for this model.')
        speaker.script = [refused, self.dialect.answer("Yes", thoughts=["Hm."])]
        for _ in range(2):
            assert complete(llm, HELLO, 24)[0] == "Yes"
        assert ["thinking" in body for body in speaker.bodies] == [True, False, False]
        assert [body["max_tokens"] for body in speaker.bodies] == [24, 4120, 4120]

    def test_a_full_context_is_a_cut_off_answer(self, llm: LLM, speaker: Speaker) -> None:
        reply = self.dialect.answer("a")
        reply.events = [one.replace("end_turn", "model_context_window_exceeded") for one in reply.events]
        speaker.script = [reply]
        assert complete(llm, HELLO, 9)[1].stopped == "length"

    def test_a_monthly_limit_is_not_waited_for(self, llm: LLM, speaker: Speaker) -> None:
        error = {
            "type": "rate_limit_error",
            "message": "Spent",
            "details": {"error_code": "enforced_spend_limit_reached"},
        }
        speaker.script = [Reply([json.dumps({"type": "error", "error": error})], 429, chunked=False)]
        with pytest.raises(ModelError, match=r"is paid for no more \(429: Spent\)\."):
            self.parts(llm)
        assert len(speaker.bodies) == 1

    def test_events_and_blocks_of_a_later_version_are_passed_over(self, llm: LLM, speaker: Speaker) -> None:
        reply = self.dialect.answer("a")
        reply.events[1:1] = [
            anthropic_event("sunrise", warmth=3),
            anthropic_event("content_block_start", index=7, content_block={"type": "dance", "steps": []}),
            anthropic_event("content_block_delta", index=7, delta={"type": "dance_delta", "step": 1}),
        ]
        speaker.script = [reply]
        assert complete(llm, HELLO, 9)[0] == "a"

    def test_other_credentials_of_the_machine_are_not_used(
        self, llm: LLM, speaker: Speaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "other")
        monkeypatch.setenv("ANTHROPIC_API_KEY", "another")
        complete(llm, HELLO, 9)
        assert "other" not in str(speaker.headers)


@pytest.mark.models
class TestRealServer(RealServerContract):
    chooses = False

    @pytest.fixture
    def llm(self, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LLM]:
        with llama_server(weights, monkeypatch) as url:
            llm: LLM = registry.make("llm", Spec("anthropic", {"url": url, "model": "any", "key_env": "MY_KEY"}))
            yield llm
            llm.close()
