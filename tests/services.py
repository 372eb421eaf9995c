"""What every model behind a service keeps, and how each service speaks: OpenAI's, Anthropic's, Google's protocol."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from contracts import LLMContract
from openbook import registry, retrying
from openbook.completing import complete
from openbook.errors import ModelError, SpecError, TooLongError
from openbook.llamacpp.server import Server
from openbook.recipe import Spec
from openbook.types import LLM, Message, Stream, Thought, Usage
from processes import PATIENCE, left
from speaking import Reply, Speaker, speaking, words

HELLO = [Message("user", "Hello?")]
KEY = "sk-proj-0123456789abcdef"
ONE_LINE = r"^[^\n]+\.$"


@dataclass(frozen=True)
class Dialect:
    """How a service says things."""

    name: str  # of the component
    path: str  # added to the address of the server
    posted: str  # where a question arrives
    header: str  # that carries the key
    answer: Callable[..., Reply]  # (*pieces, thoughts=(), stopped='end' | 'length' | 'refused', more=()) -> Reply
    failure: Callable[[int, str], str]  # (status, message) -> body of a response that is none
    middle: Callable[[str], str]  # (message) -> an event in the middle of an answer

    def refusal(self, status: int, message: str, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Reply([self.failure(status, message)], status, named, chunked=False)


def openai_answer(
    *pieces: str, thoughts: Sequence[str] = (), stopped: str = "end", name: str = "reasoning_content"
) -> Reply:
    reply = words(*pieces, finish={"end": "stop", "length": "length", "refused": "content_filter"}[stopped])
    reply.events[1:1] = [f"data: {json.dumps({'choices': [{'delta': {name: one}}]})}" for one in thoughts]
    return reply


def openai_failure(status: int, message: str) -> str:
    return json.dumps({"error": {"message": message, "type": "x", "param": None, "code": None}})


def anthropic_event(kind: str, **more: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}"


def anthropic_answer(*pieces: str, thoughts: Sequence[str] = (), stopped: str = "end") -> Reply:
    """As in https://platform.claude.com/docs/en/build-with-claude/streaming."""
    usage = {
        "input_tokens": 5,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 4,
        "output_tokens": 1,
        "service_tier": "standard",
    }
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "tiny",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    events = [anthropic_event("message_start", message=message)]
    blocks = [("thinking", thoughts)] if thoughts else []
    for index, (kind, told) in enumerate([*blocks, ("text", pieces)]):
        empty = {"thinking": "", "signature": ""} if kind == "thinking" else {"text": ""}
        events.append(anthropic_event("content_block_start", index=index, content_block={"type": kind, **empty}))
        events.append(anthropic_event("ping"))
        for piece in told:
            delta = {"type": f"{kind}_delta", kind: piece}
            events.append(anthropic_event("content_block_delta", index=index, delta=delta))
        if kind == "thinking":
            delta = {"type": "signature_delta", "signature": "EqQB"}
            events.append(anthropic_event("content_block_delta", index=index, delta=delta))
        events.append(anthropic_event("content_block_stop", index=index))
    reason = {"end": "end_turn", "length": "max_tokens", "refused": "refusal"}[stopped]
    ended: dict[str, Any] = {"stop_reason": reason, "stop_sequence": None}
    if stopped == "refused":
        ended["stop_details"] = {"type": "refusal", "category": "bio", "explanation": None}
    events.append(anthropic_event("message_delta", delta=ended, usage={"output_tokens": 3}))
    events.append(anthropic_event("message_stop"))
    return Reply(events)


KINDS = {401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}


def anthropic_failure(status: int, message: str) -> str:
    error = {"type": KINDS.get(status, "invalid_request_error"), "message": message}
    return json.dumps({"type": "error", "error": error, "request_id": "req_1"})


def google_chunk(parts: Sequence[dict[str, Any]], *, finish: str = "", answer: int = 1) -> str:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    counted = {
        "promptTokenCount": 9,
        "cachedContentTokenCount": 4,
        "candidatesTokenCount": answer,
        "thoughtsTokenCount": 1,
        "totalTokenCount": 10 + answer,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}],
    }
    chunk = {"candidates": [candidate], "usageMetadata": counted, "modelVersion": "tiny", "responseId": "r"}
    return f"data: {json.dumps(chunk)}\r"


def google_answer(*pieces: str, thoughts: Sequence[str] = (), stopped: str = "end") -> Reply:
    """As https://ai.google.dev/api/generate-content says of streamGenerateContent with alt=sse: no [DONE]."""
    finish = {"end": "STOP", "length": "MAX_TOKENS", "refused": "PROHIBITED_CONTENT"}[stopped]
    chunks = [google_chunk([{"text": one, "thought": True}]) for one in thoughts]
    chunks += [google_chunk([{"text": one}]) for one in pieces]
    return Reply([*chunks, google_chunk([{"text": ""}], finish=finish, answer=2)])


STATES = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}


def google_failure(status: int, message: str) -> str:
    state = STATES.get(status, "INVALID_ARGUMENT")
    return json.dumps({"error": {"code": status, "message": message, "status": state}}, indent=2)


OPENAI = Dialect(
    "openai",
    "/v1",
    "/v1/chat/completions",
    "Authorization",
    openai_answer,
    openai_failure,
    lambda message: f"data: {json.dumps({'error': {'message': message}})}",
)
ANTHROPIC = Dialect(
    "anthropic",
    "",
    "/v1/messages",
    "Authorization",
    anthropic_answer,
    anthropic_failure,
    lambda message: anthropic_event("error", error={"type": "overloaded_error", "message": message}),
)
GOOGLE = Dialect(
    "google",
    "",
    "/v1beta/models/tiny:streamGenerateContent?alt=sse",
    "X-Goog-Api-Key",
    google_answer,
    google_failure,
    lambda message: f"data: {json.dumps({'error': {'code': 503, 'message': message, 'status': 'UNAVAILABLE'}})}",
)


def leave(stream: Stream) -> None:
    stream.close()


@contextmanager
def llama_server(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[str]:
    """The address of a real server of llama.cpp, which speaks OpenAI's and Anthropic's protocol; its key in MY_KEY."""
    # Greedy: where a service is not told a temperature, its server would draw lots, and now and then say nothing.
    sampling = {"temp": 0.0, "seed": 1}
    server = Server(weights, {"context": 2048, "threads": 2, "parallel": 1, "gpu_layers": 0, "sampling": sampling})
    try:
        monkeypatch.setenv("MY_KEY", server.api_key)
        yield server.url()
    finally:
        server.close()


class RealServerContract(LLMContract):
    """Give `llm` at the address of `llama_server`."""

    def test_a_prompt_that_is_too_long_is_refused_by_the_server(self, llm: LLM) -> None:
        with pytest.raises(TooLongError, match=r"cannot take that much \(400: request \(\d+ tokens\) exceeds[^\n]*\.$"):
            list(llm.stream([Message("user", "word " * 4000)], 9))

    def test_leaving_early_stops_the_model(self, llm: LLM) -> None:
        stream = llm.stream(self.MESSAGES, 1500)
        next(stream)
        leave(stream)
        assert max(left(vars(llm)["url"].removesuffix("/v1"), os.environ["MY_KEY"])) < 1000
        assert complete(llm, self.MESSAGES, 2)[1].stopped == "length"


class ServiceContract(LLMContract):
    """Give `dialect`."""

    dialect: ClassVar[Dialect]
    chooses = False

    @pytest.fixture(autouse=True)
    def no_keys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "MY_KEY"):
            monkeypatch.delenv(name, raising=False)

    @pytest.fixture
    def waits(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        slept: list[float] = []
        monkeypatch.setattr("openbook.retrying.sleep", slept.append)
        return slept

    @pytest.fixture
    def speaker(self) -> Iterator[Speaker]:
        with speaking(self.dialect.path) as talk:
            talk.script = [self.dialect.answer("Hello", " there", ".")]
            yield talk
            assert set(talk.paths) <= {self.dialect.posted}  # nothing else is asked, nobody is told

    @pytest.fixture
    def make(self, speaker: Speaker) -> Iterator[Callable[..., LLM]]:
        made: list[LLM] = []

        def make(**options: Any) -> LLM:
            spec = Spec(self.dialect.name, {"url": speaker.url, "model": "tiny", "key_env": "MY_KEY", **options})
            made.append(registry.make("llm", spec))
            return made[-1]

        yield make
        for one in made:
            one.close()

    @pytest.fixture
    def llm(self, make: Callable[..., LLM]) -> LLM:
        return make()

    def parts(self, llm: LLM, max_tokens: int = 9) -> list[object]:
        return list(llm.stream(HELLO, max_tokens))

    def test_words_thoughts_and_tokens_come_as_the_service_says_them(self, llm: LLM, speaker: Speaker) -> None:
        speaker.script = [self.dialect.answer("Grüße ", "你好", " ☃", thoughts=["He ", "greets."])]
        *told, usage = self.parts(llm)
        assert told == [Thought("He "), Thought("greets."), "Grüße ", "你好", " ☃"]
        assert usage == Usage(9, 3, 4, "end")

    def test_an_answer_ended_by_max_tokens_says_so(self, llm: LLM, speaker: Speaker) -> None:
        speaker.script = [self.dialect.answer("Hel", stopped="length")]
        assert self.parts(llm)[-1] == Usage(9, 3, 4, "length")

    def test_every_message_arrives_once(self, llm: LLM, speaker: Speaker) -> None:
        turns = [*self.MESSAGES, Message("assistant", "Three days."), Message("user", "And nights?")]
        complete(llm, turns, 9)
        said = json.dumps(speaker.bodies[0])
        for message in turns:
            assert said.count(json.dumps(message.content)) == 1

    def test_half_a_character_is_no_crash(self, llm: LLM) -> None:
        assert complete(llm, [Message("user", "a\udcff")], 9)[0] == "Hello there."

    def test_words_come_while_the_service_still_speaks(self, llm: LLM, speaker: Speaker) -> None:
        reply = self.dialect.answer(*"abcdefgh")
        reply.heard = threading.Event()
        speaker.script = [reply]
        stream = llm.stream(HELLO, 9)
        assert next(stream) == "a"
        reply.heard.set()
        assert list(stream)[:-1] == list("bcdefgh")

    def test_leaving_early_ends_the_connection(self, llm: LLM, speaker: Speaker) -> None:
        speaker.script = [self.dialect.answer(*["word " * 2000] * 400)]
        stream = llm.stream(HELLO, 9)
        next(stream)
        leave(stream)
        assert speaker.broken.wait(PATIENCE)

    @pytest.mark.parametrize(
        ("status", "said"),
        [
            (400, r"refuses the question \(400: no good\)\.$"),
            (401, r"needs a key\. Set it: export MY_KEY=\.\.\., or "),
            (402, r"refuses the question \(402: no good\)\.$"),
            (403, r"refuses \(403: no good\)\. Check what the key MY_KEY may use\.$"),
            (404, r"has no model 'tiny' \(no good\)\. Name another: \w+\(model=\.\.\.\)\.$"),
            (413, r"cannot take that much \(413: no good\)\.$"),
            (422, r"refuses the question \(422: no good\)\.$"),
        ],
    )
    def test_what_is_refused_is_one_line_and_not_asked_again(
        self, llm: LLM, speaker: Speaker, status: int, said: str
    ) -> None:
        speaker.script = [self.dialect.refusal(status, "no\ngood")]
        with pytest.raises(ModelError, match=rf"^http\S+ [^\n]*{said}"):
            self.parts(llm)
        assert len(speaker.bodies) == 1

    def test_a_key_that_is_refused_is_named(self, llm: LLM, speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MY_KEY", KEY)
        speaker.script = [self.dialect.refusal(401, "no")]
        with pytest.raises(ModelError, match=r"refuses the key MY_KEY\. Set another: export MY_KEY=\.\.\., or "):
            self.parts(llm)

    def test_a_prompt_that_the_service_finds_too_long_says_so(self, llm: LLM, speaker: Speaker) -> None:
        speaker.script = [self.dialect.refusal(400, "prompt is too long: 250000 tokens > 200000 maximum")]
        with pytest.raises(TooLongError, match=ONE_LINE):
            self.parts(llm)

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
    def test_a_busy_service_is_asked_again_and_that_is_said_once(
        self, llm: LLM, speaker: Speaker, status: int, waits: list[float], caplog: pytest.LogCaptureFixture
    ) -> None:
        busy = self.dialect.refusal(status, "slow down")
        speaker.script = [self.dialect.refusal(status, "slow down", Retry_After="7"), busy, self.dialect.answer("Yes")]
        assert complete(llm, HELLO, 9)[0] == "Yes"
        assert waits == [7.0, retrying.WAIT_SECONDS[1]]
        assert [record.getMessage() for record in caplog.records if record.name == "openbook"] == [
            f"{speaker.url} is busy ({status}: slow down). Trying again in 7 s."
        ]

    def test_it_does_not_ask_for_ever(self, llm: LLM, speaker: Speaker, waits: list[float]) -> None:
        speaker.script = [self.dialect.refusal(503, "slow\ndown")]
        with pytest.raises(ModelError, match=r"is busy \(503: slow down\), after 4 tries\. Ask again later\.$"):
            self.parts(llm)
        assert len(speaker.bodies) == retrying.TRIES == len(waits) + 1

    def test_it_does_not_wait_an_hour(self, llm: LLM, speaker: Speaker, waits: list[float]) -> None:
        speaker.script = [self.dialect.refusal(429, "slow", Retry_After="3600")]
        with pytest.raises(ModelError, match=r"asks to wait 3600 s\. Ask again later\.$"):
            self.parts(llm)
        assert waits == []

    @pytest.mark.parametrize("chunked", [True, False])
    @pytest.mark.parametrize("events", [0, 2, 3])
    def test_an_answer_that_breaks_off_is_an_error(
        self, llm: LLM, speaker: Speaker, events: int, chunked: bool, waits: list[float]
    ) -> None:
        whole = self.dialect.answer("a", "b", "c", "d").events
        speaker.script = [Reply(whole[:events], cut=True, chunked=chunked)]
        with pytest.raises(ModelError, match=r"^http\S+ (broke off while answering|did not answer)[^\n]*\.$"):
            self.parts(llm)

    @pytest.mark.parametrize("line", ["data: {", "data: 3", "data: []", "data: \xff", "<html>"])
    def test_an_answer_that_is_not_json_is_an_error(self, llm: LLM, speaker: Speaker, line: str) -> None:
        event = "event: message_start\n" if self.dialect is ANTHROPIC else ""
        speaker.script = [Reply([event + line])]
        with pytest.raises(ModelError, match=ONE_LINE):
            self.parts(llm)

    def test_an_error_in_the_middle_is_one_line(self, llm: LLM, speaker: Speaker) -> None:
        begun = self.dialect.answer("a", "b", "c").events[:-3]
        speaker.script = [Reply([*begun, self.dialect.middle("Overloaded\nnow")])]
        with pytest.raises(ModelError, match=r"^[^\n]*Overloaded now[^\n]*\.$"):
            self.parts(llm)

    def test_an_answer_without_a_word_is_an_error(self, llm: LLM, speaker: Speaker) -> None:
        speaker.script = [self.dialect.answer()]
        with pytest.raises(ModelError, match=r"^tiny answered with nothing\. Ask again, or ask otherwise\.$"):
            self.parts(llm)

    def test_a_model_that_only_thought_says_what_to_allow(self, llm: LLM, speaker: Speaker) -> None:
        speaker.script = [self.dialect.answer(thoughts=["Hm."], stopped="length")]
        with pytest.raises(ModelError, match=r"^tiny thought for all of 9 tokens and said nothing\. Allow more: "):
            self.parts(llm)

    def test_an_answer_that_is_withheld_is_no_answer(self, llm: LLM, speaker: Speaker) -> None:
        speaker.script = [self.dialect.answer("a", stopped="refused")]
        with pytest.raises(ModelError, match=r"^tiny gave no answer: its service withheld it \([\w :]+\)\. Ask "):
            self.parts(llm)

    def test_a_silent_service_is_left_after_the_timeout(self, make: Callable[..., LLM], speaker: Speaker) -> None:
        reply = self.dialect.answer("a")
        reply.silent = threading.Event()
        speaker.script = [reply]
        llm = make(timeout=0.2)
        with pytest.raises(ModelError, match=r"^http\S+ (broke off while answering|did not answer)[^\n]*\.$"):
            self.parts(llm)
        reply.silent.set()

    def test_nothing_listening_is_one_line(self, make: Callable[..., LLM], waits: list[float]) -> None:
        with pytest.raises(ModelError, match=r"^Nothing answers at http://127.0.0.1:1, after 4 tries\. Start the "):
            self.parts(make(url="http://127.0.0.1:1"))
        assert len(waits) == 3

    def test_a_redirect_is_not_followed(self, llm: LLM, speaker: Speaker) -> None:
        speaker.script = [self.dialect.refusal(307, "elsewhere", Location="http://127.0.0.1:1/")]
        with pytest.raises(ModelError, match=ONE_LINE):
            self.parts(llm)
        assert len(speaker.bodies) == 1

    def test_the_key_is_sent_and_never_shown(
        self,
        llm: LLM,
        speaker: Speaker,
        waits: list[float],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        monkeypatch.setenv("MY_KEY", KEY)
        shown = [repr(llm), llm.render(HELLO), str(llm.remote)]
        for status in (200, 400, 401, 403, 404, 429, 500):
            quoted = f"Incorrect API key provided: {KEY}, or {KEY[:7]}*****{KEY[-4:]}."
            speaker.script = [self.dialect.refusal(status, quoted) if status > 200 else self.dialect.answer("Yes")]
            try:
                shown.append(repr(self.parts(llm)))
            except ModelError as error:
                shown.append(str(error))
        assert KEY in {name.lower(): value for name, value in speaker.headers[0].items()}[self.dialect.header.lower()]
        assert len(speaker.headers) == 5 + 2 * retrying.TRIES
        told = "\n".join([*shown, *(r.getMessage() for r in caplog.records if r.name == "openbook")])
        for part in (KEY, KEY[:7], KEY[-8:]):
            assert part not in told

    def test_another_machine_needs_a_key(self, make: Callable[..., LLM]) -> None:
        with pytest.raises(ModelError, match=r"needs a key\. Set it: export MY_KEY=\.\.\., or write MY_KEY = "):
            self.parts(make(url="https://models.example"))

    @pytest.mark.skipif(os.name != "posix", reason="modes")
    def test_a_file_of_keys_that_is_not_right_stops_only_who_wants_a_key(
        self, make: Callable[..., LLM], speaker: Speaker, openbook_home: Path
    ) -> None:
        (openbook_home / "keys.toml").write_text('MY_KEY = "k"', encoding="utf-8")
        (openbook_home / "keys.toml").chmod(0o644)
        llm = make()
        assert self.parts(llm)[:-1] == ["Hello", " there", "."]
        for url, status in ((speaker.url, 401), ("https://models.example", 200)):
            speaker.script = [self.dialect.refusal(status, "no")]
            with pytest.raises(ModelError, match=r"^Others may read the keys in \S+ \(mode 644\)\. Run: chmod 600 "):
                self.parts(make(url=url))

    def test_a_key_in_place_of_its_name_is_refused_and_not_shown(self, make: Callable[..., LLM]) -> None:
        for wrong in (KEY, "AIzaSyA0123456789"):
            with pytest.raises(SpecError, match=r"is the name of a variable in capitals, such as MY_API_KEY") as caught:
                make(key_env=wrong)
            assert wrong not in str(caught.value)

    def test_a_prompt_without_room_is_refused_before_it_is_sent(
        self, make: Callable[..., LLM], speaker: Speaker
    ) -> None:
        with pytest.raises(ModelError, match=r"^The prompt has about \d{4} tokens; with 9 for the answer that is more"):
            list(make(context=2000).stream([Message("user", "word " * 2000)], 9))
        assert speaker.bodies == []

    @pytest.mark.parametrize(
        "options", [{"url": "localhost:80"}, {"url": "http://u:p@host"}, {"url": "https://host/?key=p"}, {"context": 1}]
    )
    def test_wrong_options_are_refused(self, make: Callable[..., LLM], options: dict[str, Any]) -> None:
        with pytest.raises(SpecError, match=rf"^{self.dialect.name}\(") as caught:
            make(**options)
        assert "u:p" not in str(caught.value)
        assert "key=p" not in str(caught.value)
