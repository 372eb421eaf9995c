"""LLMs: quote, openai against a server in this file, llama.cpp with and without weights."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import urllib3

from contracts import LLMContract
from openbook import retrying
from openbook.errors import ModelError, SpecError
from openbook.llamacpp.server import Server
from openbook.llms.llamacpp import LlamaCpp
from openbook.llms.openai import OpenAI
from openbook.llms.quote import Quote
from openbook.models.gguf import read_header
from openbook.prompts.citations import REFUSAL
from openbook.prompts.cited import Cited
from openbook.types import LLM, Chunk, Message, Passage, Stream, Usage
from processes import ENDLESS, PATIENCE, ended, left, line_of, running, runs
from speaking import Reply, Speaker, failure, probabilities, speaking, words

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals")
HELLO = [Message("user", "Hello?")]


def answer(llm: LLM, messages: Sequence[Message], max_tokens: int = 32, grammar: str = "") -> tuple[str, Usage]:
    *words, usage = llm.stream(messages, max_tokens, grammar)
    assert isinstance(usage, Usage)
    return "".join(str(word) for word in words), usage


def leave(stream: Stream) -> None:
    stream.close()


def passage(number: int, text: str) -> Passage:
    return Passage(Chunk("d", 0, len(text), text, f"line {number}"), 1.0, "bm25", ("a.txt",))


class TestQuote(LLMContract):
    chooses = False

    @pytest.fixture
    def llm(self) -> LLM:
        return Quote()

    def test_it_says_the_first_passages_with_their_numbers(self, llm: LLM) -> None:
        passages = [passage(1, "He fled\n\nto [7] Tarshish."), passage(2, "[2] A storm rose."), passage(3, "No.")]
        text, usage = answer(llm, Cited().messages("Question: Who\n[3] fled?", passages), 100)
        assert text == "He fled to [7] Tarshish. [1]\n[2] A storm rose. [2]"
        assert usage.stopped == "end"

    def test_a_long_passage_is_cut_after_a_word(self) -> None:
        text, _ = answer(Quote(characters=12), Cited().messages("Who?", [passage(1, "Jonah fled to Tarshish.")]), 100)
        assert text == "Jonah fled ... [1]"

    def test_without_passages_it_refuses(self, llm: LLM) -> None:
        assert answer(llm, Cited().messages("Who?", []))[0] == REFUSAL

    def test_max_tokens_are_words(self, llm: LLM) -> None:
        text, usage = answer(llm, Cited().messages("Who?", [passage(1, "one two three four")]), 2)
        assert (text, usage.answer_tokens, usage.stopped) == ("one two ", 2, "length")


@pytest.fixture
def speaker() -> Iterator[Speaker]:
    with speaking("/v1") as talk:
        yield talk
        assert set(talk.paths) <= {"/v1/chat/completions"}


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr("openbook.retrying.sleep", waits.append)
    return waits


@pytest.fixture
def openai(speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAI]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    llm = OpenAI(url=speaker.url, model="tiny")
    yield llm
    llm.close()


class TestOpenAI(LLMContract):
    @pytest.fixture
    def llm(self, openai: OpenAI, speaker: Speaker) -> LLM:
        speaker.first = probabilities(Three=0.5, The=0.25, Jonah=0.125)
        return openai

    def test_a_choice_is_asked_for_as_one_token_with_its_probabilities(self, openai: OpenAI, speaker: Speaker) -> None:
        speaker.first = probabilities(Yes=0.5, no=0.2, Well=0.1)
        assert openai.choose(HELLO, ["No", "Yes", "Never"]) == pytest.approx([0.2, 0.5, 0])
        body = speaker.bodies[0]
        assert (body["max_tokens"], body["logprobs"], body["top_logprobs"]) == (1, True, 20)
        assert not body["stream"]
        assert "stream_options" not in body

    @pytest.mark.parametrize(
        "said", [{"choices": [{"message": {"content": "Yes"}, "logprobs": None}]}, {"choices": [{}]}, {}, [], None]
    )
    def test_a_service_without_probabilities_is_one_line(self, openai: OpenAI, speaker: Speaker, said: Any) -> None:
        speaker.first = Reply([json.dumps(said)], chunked=False)
        with pytest.raises(ModelError, match=r"^http\S+ gives no probabilities \(logprobs\) for tiny\. [^\n]+\.$"):
            openai.choose(HELLO, ["Yes", "No"])

    def test_a_service_that_refuses_to_give_them_is_one_line(self, openai: OpenAI, speaker: Speaker) -> None:
        speaker.first = failure(400, "logprobs are not supported")
        with pytest.raises(ModelError, match=r"refuses the question \(400: logprobs are not supported\)\.$"):
            openai.choose(HELLO, ["Yes", "No"])

    def test_it_sends_what_render_shows_and_counts_as_the_server_does(self, openai: OpenAI, speaker: Speaker) -> None:
        text, usage = answer(openai, self.MESSAGES, 24)
        assert text == "Hello there."
        assert usage == Usage(9, 3, 4, "end")
        assert speaker.bodies == [{**json.loads(openai.render(self.MESSAGES)), "max_tokens": 24}]
        assert speaker.bodies[0]["messages"][0] == {"role": "system", "content": "You are terse."}
        assert speaker.bodies[0]["stream_options"] == {"include_usage": True}
        assert "Authorization" not in speaker.headers[0]

    @pytest.mark.parametrize("chunked", [True, False])
    def test_characters_cut_in_two_come_whole(self, openai: OpenAI, speaker: Speaker, chunked: bool) -> None:
        reply = words("Grüße ", "你好 ", "☃")
        reply.events = [": keep alive", "event: x", *reply.events]
        reply.events[3] = 'data: {"choices": [{"delta": {"content": "Grüße "}}]}'
        reply.chunked = chunked
        speaker.script = [reply]
        assert answer(openai, HELLO)[0] == "Grüße 你好 ☃"

    def test_half_a_character_in_a_question_is_no_crash(self, openai: OpenAI) -> None:
        assert answer(openai, [Message("user", "a\udcff")])[0] == "Hello there."

    def test_words_come_while_the_server_still_speaks(self, openai: OpenAI, speaker: Speaker) -> None:
        reply = words(*"abcdefgh")
        reply.heard = threading.Event()
        speaker.script = [reply]
        stream = openai.stream(HELLO, 9)
        assert next(stream) == "a"
        reply.heard.set()
        assert list(stream)[:-1] == list("bcdefgh")

    def test_leaving_early_ends_the_connection(self, openai: OpenAI, speaker: Speaker) -> None:
        reply = words(*["word " * 2000] * 400)
        speaker.script = [reply]
        stream = openai.stream(HELLO, 9)
        next(stream)
        leave(stream)
        assert speaker.broken.wait(PATIENCE)

    def test_an_answer_ended_by_max_tokens_says_so(self, openai: OpenAI, speaker: Speaker) -> None:
        speaker.script = [words("Hel", finish="length")]
        assert answer(openai, HELLO)[1].stopped == "length"

    @pytest.mark.parametrize("events", [["data: {}"], ['data: {"choices": [{"delta": {"content": "a"}}]}'], []])
    @pytest.mark.parametrize("chunked", [True, False])
    def test_an_answer_that_breaks_off_is_an_error(
        self, openai: OpenAI, speaker: Speaker, events: list[str], chunked: bool
    ) -> None:
        speaker.script = [Reply(events, cut=True, chunked=chunked)]
        with pytest.raises(ModelError, match=r"^http\S+ broke off while answering.* Ask again\.$"):
            list(openai.stream(HELLO, 9))

    @pytest.mark.parametrize("line", ["data: {", "data: 3", "data: \xff"])
    def test_an_answer_that_is_not_json_is_an_error(self, openai: OpenAI, speaker: Speaker, line: str) -> None:
        speaker.script = [Reply([line])]
        with pytest.raises(ModelError, match="broke off while answering"):
            list(openai.stream(HELLO, 9))

    def test_an_error_in_the_middle_is_one_line(self, openai: OpenAI, speaker: Speaker) -> None:
        speaker.script = [Reply(['data: {"error": {"message": "out of\\nmemory"}}'])]
        with pytest.raises(ModelError, match=r"^tiny stopped: out of memory\.$"):
            list(openai.stream(HELLO, 9))

    def test_a_busy_server_is_asked_again(self, openai: OpenAI, speaker: Speaker, no_waiting: list[float]) -> None:
        speaker.script = [failure(429, "slow", Retry_After="7"), failure(503, "loading"), words("Yes")]
        assert answer(openai, HELLO)[0] == "Yes"
        assert no_waiting == [7.0, retrying.WAIT_SECONDS[1]]

    def test_it_does_not_ask_for_ever(self, openai: OpenAI, speaker: Speaker, no_waiting: list[float]) -> None:
        speaker.script = [failure(429, "slow\ndown")]
        with pytest.raises(ModelError, match=r"is busy \(429: slow down\), after 4 tries\. Ask again later\.$"):
            list(openai.stream(HELLO, 9))
        assert len(speaker.bodies) == retrying.TRIES == len(no_waiting) + 1

    def test_it_does_not_wait_an_hour(self, openai: OpenAI, speaker: Speaker, no_waiting: list[float]) -> None:
        speaker.script = [failure(429, "slow", Retry_After="3600")]
        with pytest.raises(ModelError, match="is busy"):
            list(openai.stream(HELLO, 9))
        assert no_waiting == []

    def test_a_refused_key_is_named_but_not_shown(
        self, openai: OpenAI, speaker: Speaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
        for status in (401, 400):
            speaker.script = [failure(status, "Incorrect API key provided: sk-secret")]
            with pytest.raises(ModelError) as caught:
                list(openai.stream(HELLO, 9))
            assert "sk-secret" not in str(caught.value) + repr(openai) + openai.render(HELLO)
            assert "\n" not in str(caught.value)
        assert speaker.headers[0]["Authorization"] == "Bearer sk-secret"

    def test_a_missing_model_is_named(self, openai: OpenAI, speaker: Speaker) -> None:
        speaker.script = [failure(404, "no such model")]
        with pytest.raises(ModelError, match=r"has no model 'tiny' \(no such model\)"):
            list(openai.stream(HELLO, 9))
        assert len(speaker.bodies) == 1

    def test_a_redirect_is_not_followed(self, openai: OpenAI, speaker: Speaker) -> None:
        speaker.script = [failure(307, "elsewhere", Location="http://127.0.0.1:1/v1/chat/completions")]
        with pytest.raises(ModelError, match="refuses the question"):
            list(openai.stream(HELLO, 9))

    def test_an_address_that_is_none_is_refused(self) -> None:
        for url in ("http://[", "ftp://here/v1", "here/v1", ""):
            with pytest.raises(SpecError, match="write the address"):
                OpenAI(url=url)

    def test_nothing_listening_is_one_line(self, no_waiting: list[float]) -> None:
        llm = OpenAI(url="http://127.0.0.1:1/v1")
        with pytest.raises(ModelError, match=r"^Nothing answers at http://127.0.0.1:1/v1, after 4 tries\. "):
            list(llm.stream(HELLO, 9))
        assert len(no_waiting) == 3
        llm.close()

    def test_another_machine_needs_a_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MY_KEY", raising=False)
        with pytest.raises(ModelError, match=r"needs a key\. Set it: export MY_KEY=\.\.\., or "):
            list(OpenAI(key_env="MY_KEY").stream(HELLO, 9))

    @pytest.mark.parametrize(
        "options",
        [
            {"url": "localhost:80"},
            {"url": "http://u:p@host/v1"},
            {"context": 1},
            {"temperature": -1.0},
            {"timeout": 0.0},
        ],
    )
    def test_wrong_options_are_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(SpecError, match=r"^openai\(") as caught:
            OpenAI(**options)
        assert "u:p" not in str(caught.value)


def gguf(path: Path, architecture: str = "nonsense", **more: str) -> Path:
    """A GGUF file without any weights."""
    pairs = {"general.architecture": architecture, **more}
    body = struct.pack("<4sIQQ", b"GGUF", 3, 0, len(pairs))
    for key, value in pairs.items():
        body += struct.pack("<Q", len(key)) + key.encode() + struct.pack("<IQ", 8, len(value)) + value.encode()
    path.write_bytes(body + b"\0" * (-len(body) % 32))
    return path


class TestLlamaCppWithoutWeights:
    def test_a_missing_file_is_one_line(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"^No model file \S+gone\.gguf"):
            list(LlamaCpp(model=str(tmp_path / "gone.gguf")).stream(HELLO, 9))

    def test_a_file_that_is_no_gguf_is_one_line(self, tmp_path: Path) -> None:
        path = tmp_path / "a.gguf"
        path.write_bytes(b"hello")
        with pytest.raises(ModelError, match="is not a GGUF file"):
            LlamaCpp(model=str(path)).prepare()

    def test_an_unknown_architecture_is_one_line(self, tmp_path: Path) -> None:
        llm = LlamaCpp(model=str(gguf(tmp_path / "a.gguf")))
        for _ in range(2):
            with pytest.raises(
                ModelError, match=r"^The model a\.gguf is of a kind \(nonsense\) unknown here\. Try: [^\n]+\.$"
            ):
                list(llm.stream(HELLO, 9))
        llm.close()

    def test_a_header_that_says_too_little_is_one_line(self, tmp_path: Path) -> None:
        llm = LlamaCpp(model=str(gguf(tmp_path / "a.gguf", architecture="llama")))
        with pytest.raises(
            ModelError, match=r"^The model a\.gguf is damaged, or of a form unknown here \(key not found"
        ):
            list(llm.stream(HELLO, 9))
        llm.close()

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (None, "is not there. Check the path"),
            (b"hello there", "is not a GGUF file"),
            (b"GGUF\3\0\0\0" + b"\1" * 8, "is cut off or damaged"),
        ],
    )
    def test_the_child_says_why_it_failed(self, tmp_path: Path, content: bytes | None, said: str) -> None:
        path = tmp_path / "a.gguf"
        if content is not None:
            path.write_bytes(content)
        server = Server(path, {"context": 512, "threads": 1, "gpu_layers": 0})
        with pytest.raises(ModelError) as caught:
            server.url()
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not server.alive

    def test_the_key_is_not_where_others_can_see_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        started: list[tuple[Any, dict[str, Any]]] = []
        real = subprocess.Popen

        def spy(arguments: Any, **named: Any) -> Any:
            started.append((arguments, named))
            return real(arguments, **named)

        monkeypatch.setattr("subprocess.Popen", spy)
        server = Server(tmp_path / "a.gguf", {"context": 512, "threads": 1, "gpu_layers": 0})
        server.close()
        assert started
        assert server.api_key not in repr(started)
        assert len(server.api_key) > 30

    def test_render_needs_no_weights(self, tmp_path: Path) -> None:
        template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
        path = gguf(tmp_path / "a.gguf", **{"tokenizer.chat_template": template})
        assert LlamaCpp(model=str(path)).render(HELLO) == "<user>Hello?<assistant>"

    @pytest.mark.parametrize(
        "options",
        [
            {"context": 100},
            {"threads": -1},
            {"gpu_layers": -2},
            {"temperature": -0.1},
            {"keep_minutes": -1.0},
            {"template": "nope"},
            {"template": "no.jinja"},
        ],
    )
    def test_wrong_options_are_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(SpecError, match=r"^llamacpp\("):
            LlamaCpp(**options)


@pytest.fixture(scope="session")
def warm(weights: Path) -> Iterator[LlamaCpp]:
    llm = LlamaCpp(model=str(weights), context=2048)
    yield llm
    llm.close()


def pid_of(llm: LlamaCpp) -> int:
    assert llm.client.server is not None
    return llm.client.server.pid


PARENT = """
import sys, time
from openbook.llms.llamacpp import LlamaCpp
from openbook.types import Message
llm = LlamaCpp(model=sys.argv[1], context=1024)
llm.prepare()
if sys.argv[2] == "answering":
    stream = llm.stream([Message("user", "Count to a thousand.")], 900, sys.argv[3])
    next(stream)
forked = ""
if sys.argv[2] == "forked":
    import os
    llm.count("wait until it is loaded")
    forked = os.fork()
    if forked == 0:
        time.sleep(600)
        os._exit(0)
print(llm.client.server.pid, forked, flush=True)
time.sleep(600)
"""


@pytest.mark.models
class TestLlamaCpp(LLMContract):
    @pytest.fixture
    def llm(self, warm: LlamaCpp) -> LLM:
        return warm

    @pytest.fixture
    def fresh(self, weights: Path) -> Iterator[LlamaCpp]:
        llm = LlamaCpp(model=str(weights), context=1024)
        yield llm
        llm.close()

    def test_render_is_what_the_server_makes_of_the_template(self, warm: LlamaCpp) -> None:
        turns = [*self.MESSAGES, Message("assistant", "Three days."), Message("user", "Grüße 你好 {{ 1 }} </x>")]
        warm.count("load")
        for messages in (self.MESSAGES, turns, HELLO):
            chat = [{"role": m.role, "content": m.content} for m in messages]
            made = warm.client.post("/apply-template", {"messages": chat, "add_generation_prompt": True}).json()[
                "prompt"
            ]
            assert warm.render(messages) == made

    def test_render_is_exactly_what_the_server_answers(self, warm: LlamaCpp) -> None:
        prompt = warm.render(self.MESSAGES)
        sent = warm.client.post("/completion", {"prompt": prompt, "n_predict": 1, "temperature": 0}).json()
        *_, usage = warm.stream(self.MESSAGES, 1)
        assert isinstance(usage, Usage)
        assert sent["prompt"] == prompt
        assert sent["tokens_evaluated"] == usage.prompt_tokens

    def test_a_text_begins_with_at_most_one_bos(self, warm: LlamaCpp, weights: Path) -> None:
        prompt = warm.render(self.MESSAGES)
        bos = read_header(weights).bos
        warm.count("load")
        tokens = warm.client.post("/tokenize", {"content": prompt, "add_special": True, "with_pieces": True}).json()[
            "tokens"
        ]
        assert [token["piece"] for token in tokens[:2]].count(bos) <= 1

    def test_a_prefix_is_read_once(self, warm: LlamaCpp) -> None:
        passages = [passage(n, f"Verse {n}: " + "and he went up to the mountain " * 8) for n in range(5)]
        answer(warm, Cited().messages("Who went up?", passages), 4)
        _, usage = answer(warm, Cited().messages("Why did he?", passages), 4)
        assert usage.cached_tokens > 200
        assert usage.prompt_tokens - usage.cached_tokens < 60

    def test_leaving_early_frees_the_model(self, warm: LlamaCpp) -> None:
        stream = warm.stream(HELLO, 1500, ENDLESS)
        next(stream)
        leave(stream)
        assert warm.client.server is not None
        assert max(left(warm.client.server.url(), warm.client.server.api_key)) < 1400
        assert answer(warm, HELLO, 2)[0]

    def test_half_a_character_in_a_question_is_no_crash(self, warm: LlamaCpp) -> None:
        assert answer(warm, [Message("user", "a\udcff")], 2)[0]
        assert warm.count("\udcff") > 0

    def test_what_it_says_is_the_likeliest_choice(self, warm: LlamaCpp) -> None:
        said = answer(warm, self.MESSAGES, 1)[0].strip()
        likely, unlikely = warm.choose(self.MESSAGES, [said, "Zebra"])
        assert likely > 0.1
        assert unlikely < 0.01

    def test_what_comes_first_is_read_once_for_many_choices(
        self, warm: LlamaCpp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read, post = [], warm.client.post

        def spy(path: str, body: Mapping[str, Any]) -> urllib3.BaseHTTPResponse:
            response = post(path, body)
            if path == "/completion":
                read.append(response.json()["timings"]["prompt_n"])
            return response

        monkeypatch.setattr(warm.client, "post", spy)
        for number in range(4):
            shared = "He went up to the mountain. " * 40
            warm.choose([Message("user", f"{shared} Is {number} a number?")], ["Yes", "No"])
        assert read[0] > 200
        assert max(read[1:]) < 30

    def test_a_grammar_is_obeyed(self, warm: LlamaCpp) -> None:
        assert answer(warm, HELLO, 16, 'root ::= "yes [2]" | "no [1]"')[0] in {"yes [2]", "no [1]"}

    def test_a_wrong_grammar_is_one_line(self, warm: LlamaCpp) -> None:
        with pytest.raises(ModelError, match=r"^\S+ refused: [^\n]+$"):
            answer(warm, HELLO, 16, "root ::= (")

    def test_a_cited_question_in_any_language_is_answered(self, warm: LlamaCpp) -> None:
        passages = [passage(1, "Jonas war drei Tage im Fisch: 约拿 [a] {x}."), passage(2, "Nein.")]
        prompt = Cited()
        assert answer(warm, prompt.messages("Wie lange?", passages), 24)[0]

    def test_the_same_question_gets_the_same_answer(self, warm: LlamaCpp) -> None:
        answer(warm, self.MESSAGES)  # a prompt read anew and one out of the cache may differ in the last bits
        assert answer(warm, self.MESSAGES)[0] == answer(warm, self.MESSAGES)[0]

    def test_a_prompt_that_does_not_fit_is_refused_before_it_is_sent(self, warm: LlamaCpp) -> None:
        with pytest.raises(ModelError, match=r"more than the 2048 of "):
            list(warm.stream([Message("user", "word " * 3000)], 10))
        with pytest.raises(ModelError, match=r"with 3000 for the answer"):
            list(warm.stream(HELLO, 3000))

    def test_an_answer_may_end_exactly_at_the_context(self, warm: LlamaCpp) -> None:
        room = warm.context - answer(warm, HELLO, 1)[1].prompt_tokens
        stream = warm.stream(HELLO, room)
        next(stream)
        leave(stream)
        with pytest.raises(ModelError, match="more than"):
            list(warm.stream(HELLO, room + 1))

    def test_a_context_the_model_was_not_trained_for_is_refused(self, weights: Path) -> None:
        with pytest.raises(ModelError, match=r"was trained for \d+ tokens, not 10000000"):
            LlamaCpp(model=str(weights), context=10_000_000).prepare()

    def test_prepare_returns_before_it_is_loaded(self, fresh: LlamaCpp, loads_for_ever: pytest.MonkeyPatch) -> None:
        fresh.prepare()
        assert fresh.client.server is not None
        assert fresh.client.server.alive
        fresh.close()
        loads_for_ever.undo()
        assert answer(fresh, HELLO, 2)[0]

    def test_only_with_its_key_the_server_answers(self, warm: LlamaCpp) -> None:
        warm.count("load")
        assert warm.client.server is not None
        response = urllib3.request(
            "POST", warm.client.server.url() + "/completion", json={"prompt": "a"}, retries=False
        )
        assert response.status == 401

    def test_an_idle_server_ends_and_comes_back(self, weights: Path) -> None:
        llm = LlamaCpp(model=str(weights), context=1024, keep_minutes=0.01)
        stream = llm.stream(HELLO, 2)
        next(stream)
        pid = pid_of(llm)
        leave(stream)
        assert ended(pid)
        assert answer(llm, HELLO, 2)[0]
        llm.close()

    @POSIX
    def test_a_dead_server_is_started_again(self, fresh: LlamaCpp) -> None:
        answer(fresh, HELLO, 2)
        os.kill(pid_of(fresh), signal.SIGKILL)
        assert answer(fresh, HELLO, 2)[0]

    @POSIX
    def test_a_server_that_dies_while_answering_is_one_line(self, fresh: LlamaCpp) -> None:
        stream = fresh.stream(HELLO, 900, ENDLESS)
        next(stream)
        os.kill(pid_of(fresh), signal.SIGSEGV)
        with pytest.raises(ModelError, match=r"ended while answering \(SIGSEGV\)\. Ask again[^\n]+$"):
            list(stream)
        assert answer(fresh, HELLO, 2)[0]

    @POSIX
    @pytest.mark.parametrize("when", ["loading", "answering", "forked"])
    def test_the_server_ends_with_its_parent_killed(self, weights: Path, when: str) -> None:
        with running("-c", PARENT, weights, when, ENDLESS) as parent:
            pid, *forked = map(int, line_of(parent).split())
            parent.kill()
            try:
                assert ended(pid)
            finally:
                for child in forked:
                    os.kill(child, signal.SIGKILL)

    @POSIX
    def test_ctrl_c_in_the_terminal_is_not_for_the_server(self, fresh: LlamaCpp) -> None:
        answer(fresh, HELLO, 2)
        pid = pid_of(fresh)
        assert os.getpgid(pid) != os.getpgid(0)
        os.kill(pid, signal.SIGINT)
        assert answer(fresh, HELLO, 2)[0]
        assert pid_of(fresh) == pid

    def test_closing_ends_the_server(self, fresh: LlamaCpp) -> None:
        answer(fresh, HELLO, 2)
        pid = pid_of(fresh)
        fresh.close()
        assert not runs(pid)

    def test_many_threads_may_ask(self, warm: LlamaCpp) -> None:
        texts: list[str] = []
        threads = [threading.Thread(target=lambda: texts.append(answer(warm, HELLO, 8)[0])) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(texts) == 4

    @pytest.mark.skipif(sys.platform != "linux", reason="/proc")
    def test_memory_does_not_grow_with_questions(self, warm: LlamaCpp) -> None:
        def ask(number: int) -> None:
            answer(warm, [Message("user", f"{number} " + "went up to the mountain " * 30)], 2)

        for number in range(3):
            ask(number)
        before = resident_bytes(pid_of(warm))
        for number in range(3, 7):
            ask(number)
        assert resident_bytes(pid_of(warm)) < before + (20 << 20)

    def test_openai_speaks_with_the_same_server(self, warm: LlamaCpp, monkeypatch: pytest.MonkeyPatch) -> None:
        warm.count("load")
        assert warm.client.server is not None
        monkeypatch.setenv("SERVER_KEY", warm.client.server.api_key)
        llm = OpenAI(url=f"{warm.client.server.url()}/v1", model="any", key_env="SERVER_KEY")
        text, usage = answer(llm, self.MESSAGES, 16)
        assert text == answer(warm, self.MESSAGES, 16)[0]
        assert usage.answer_tokens == 16
        monkeypatch.delenv("SERVER_KEY")
        with pytest.raises(ModelError, match=r"needs a key\. Set it: export SERVER_KEY="):
            list(llm.stream(HELLO, 2))
        llm.close()


def resident_bytes(pid: int) -> int:
    fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
