"""Google's models by their SDK, against a server that speaks the Gemini API."""

from __future__ import annotations

import json
import logging

import pytest

from openbook.completing import complete
from openbook.errors import ModelError
from openbook.types import LLM, Message
from services import GOOGLE, HELLO, ServiceContract
from speaking import Reply, Speaker

pytest.importorskip("google.genai")


class TestGoogle(ServiceContract):
    dialect = GOOGLE

    def test_it_sends_what_google_documents(self, llm: LLM, speaker: Speaker) -> None:
        complete(llm, [*self.MESSAGES, Message("assistant", "Three."), Message("user", "And?")], 24)
        body = speaker.bodies[0]
        assert body["systemInstruction"]["parts"] == [{"text": "You are terse."}]
        assert body["contents"] == [
            {"role": "user", "parts": [{"text": self.MESSAGES[1].content}]},
            {"role": "model", "parts": [{"text": "Three."}]},
            {"role": "user", "parts": [{"text": "And?"}]},
        ]
        assert body["generationConfig"] == {
            "maxOutputTokens": 24,
            "seed": 0,
            "thinkingConfig": {"include_thoughts": False, "thinking_level": "MINIMAL"},  # as the SDK writes it
        }

    def test_a_model_that_cannot_but_think_may(self, llm: LLM, speaker: Speaker) -> None:
        refused = self.dialect.refusal(400, "Thinking level is not supported for this model.")
        speaker.script = [refused, self.dialect.answer("Yes")]
        for _ in range(2):
            assert complete(llm, HELLO, 24)[0] == "Yes"
        sent = [body["generationConfig"] for body in speaker.bodies]
        assert ["thinkingConfig" in one for one in sent] == [True, False, False]
        assert [one["maxOutputTokens"] for one in sent] == [24, 4120, 4120]

    def test_a_question_that_is_blocked_is_no_answer(self, llm: LLM, speaker: Speaker) -> None:
        blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 9}}
        speaker.script = [Reply([f"data: {json.dumps(blocked)}"])]
        with pytest.raises(ModelError, match=r"withheld it \(PROHIBITED_CONTENT\)\. Ask "):
            self.parts(llm)

    def test_a_wrong_key_comes_with_status_400(
        self, llm: LLM, speaker: Speaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MY_KEY", "wrong")
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
        error = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": details}
        speaker.script = [Reply([json.dumps({"error": error})], 400, chunked=False)]
        with pytest.raises(ModelError, match=r"refuses the key MY_KEY\."):
            self.parts(llm)

    def test_it_waits_as_long_as_the_body_says(self, llm: LLM, speaker: Speaker, waits: list[float]) -> None:
        details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17.5s"}]
        error = {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED", "details": details}
        speaker.script = [Reply([json.dumps({"error": error})], 429, chunked=False), self.dialect.answer("Yes")]
        assert complete(llm, HELLO, 9)[0] == "Yes"
        assert waits == [17.5]

    @pytest.mark.filterwarnings("ignore:.* is not a valid FinishReason")
    def test_an_end_that_this_sdk_does_not_know_is_told(self, llm: LLM, speaker: Speaker) -> None:
        reply = self.dialect.answer("a")
        reply.events[-1] = reply.events[-1].replace("STOP", "SUNRISE")
        speaker.script = [reply]
        with pytest.raises(ModelError, match=r"withheld it \(SUNRISE\)\."):
            self.parts(llm)

    def test_other_credentials_of_the_machine_are_not_used(
        self, llm: LLM, speaker: Speaker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
        complete(llm, HELLO, 9)
        assert "127.0.0.1:1'" not in str(speaker.headers)
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
