"""The openai embedder, against a server in this file that speaks /v1/embeddings."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np
import pytest

from contracts import EmbedderContract, serving
from openbook import retrying
from openbook.embedders.hashed import Hashed
from openbook.embedders.openai import OpenAI
from openbook.errors import ModelError, SpecError
from openbook.types import Embedder
from processes import until

DIM = 64

Answer = tuple[int, dict[str, str], str]
"""Status, headers, body."""


@dataclass
class Speaker:
    """Embeds as `hashed` does, unless `answers` has something else to say; remembers what it was asked."""

    url: str = ""
    most_words: int = 10_000  # of a text
    most_texts: int = 2048
    together: int = 0  # none is answered before so many have asked at once
    withheld: int = 0  # bytes of an answer that never come
    answers: list[Answer | None] = field(default_factory=list)  # None: as usual
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def say(self, body: dict[str, Any]) -> Answer:
        texts = body["input"]
        if "" in texts:
            return refusal(400, "'$.input' is invalid. Please check the API reference.")
        if len(texts) > self.most_texts:
            return refusal(413, f"batch size {len(texts)} > maximum allowed batch size {self.most_texts}")
        if max(len(text.split()) for text in texts) > self.most_words:
            return refusal(400, f"This model's maximum context length is {self.most_words} tokens. Please reduce it.")
        dim = body.get("dimensions", DIM)
        return 200, {}, embeddings([3 * vector for vector in Hashed(dim).embed(texts, "document")])


def embeddings(vectors: Any) -> str:
    rows = [
        {"object": "embedding", "index": index, "embedding": np.asarray(vector).tolist()}
        for index, vector in enumerate(vectors)
    ]
    rows = rows[1::2] + rows[::2]  # in no particular order: `index` says which is which
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    return json.dumps({"object": "list", "data": rows, "model": "tiny", "usage": usage})


def refusal(status: int, message: str, **headers: str) -> Answer:
    return status, headers, json.dumps({"error": {"message": message, "type": "x", "param": None, "code": None}})


@pytest.fixture
def speaker() -> Iterator[Speaker]:
    talk, lock = Speaker(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # headers and body in one piece: in two, each answer takes 40 ms

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                talk.bodies.append(body)
                talk.keys.append(self.headers["Authorization"])
                talk.at_once += 1
                talk.most_at_once = max(talk.most_at_once, talk.at_once)
                special = talk.answers.pop(0) if talk.answers else None
            until(lambda: talk.most_at_once >= talk.together)
            assert self.path == "/v1/embeddings"
            status, headers, text = special or talk.say(body)
            with lock:
                talk.at_once -= 1
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(text.encode()) + talk.withheld))
            self.end_headers()
            self.wfile.write(text.encode())
            self.close_connection = talk.withheld > 0

        def log_message(self, format: str, *args: object) -> None:
            return

    with serving(Handler) as url:
        talk.url = f"{url}/v1"
        yield talk


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr("openbook.retrying.sleep", waits.append)
    return waits


Make = Callable[..., OpenAI]


@pytest.fixture
def make(speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    made: list[OpenAI] = []

    def make(**options: Any) -> OpenAI:
        options = {"url": speaker.url, "model": "tiny", **options}
        made.append(OpenAI(**options))
        return made[-1]

    yield make
    for one in made:
        one._service.close()


class TestOpenAI(EmbedderContract):
    meaning = False

    @pytest.fixture
    def embedder(self, make: Make) -> Embedder:
        return make(batch=3)


def test_rows_are_in_the_order_of_the_texts_whatever_the_service_does(make: Make) -> None:
    texts = [f"text number {index} " * (1 + index % 5) for index in range(40)]
    vectors = make(batch=7).embed(texts, "document")
    assert vectors == pytest.approx(Hashed(DIM).embed(texts, "document"), abs=1e-6)


def test_batches_go_out_some_at_once(make: Make, speaker: Speaker) -> None:
    embedder = make(batch=2, requests=3)
    assert embedder.dim == DIM
    speaker.together = 3
    embedder.embed([f"text {index}" for index in range(12)], "document")
    assert speaker.most_at_once == 3
    assert sorted(len(body["input"]) for body in speaker.bodies[1:]) == [2] * 6


def test_the_service_is_asked_for_its_dim_once(make: Make, speaker: Speaker) -> None:
    embedder = make()
    assert speaker.bodies == []
    assert (embedder.dim, embedder.dim) == (DIM, DIM)
    assert len(embedder.fingerprint) > 8
    assert len(speaker.bodies) == 1


def test_shorter_vectors_are_asked_for_and_checked(make: Make, speaker: Speaker) -> None:
    assert make(dimensions=16).dim == 16
    assert speaker.bodies[0]["dimensions"] == 16
    speaker.answers = [(200, {}, embeddings([np.ones(DIM)]))]
    with pytest.raises(ModelError, match=r"gives vectors of 64 numbers, not 16: 'tiny' has no shorter .*=64\)$"):
        assert make(dimensions=16).dim


def test_each_kind_has_its_prefix(make: Make, speaker: Speaker) -> None:
    embedder = make(document_prefix="passage: ", query_prefix="query: ")
    embedder.embed(["wine", ""], "document")
    embedder.embed(["wine"], "query")
    sent = [text for body in speaker.bodies[1:] for text in body["input"]]
    assert sorted(sent) == ["passage: ", "passage: wine", "query: wine"]


def test_what_changes_vectors_changes_the_fingerprint_and_a_port_does_not(make: Make, speaker: Speaker) -> None:
    prints = {
        make(**options).fingerprint
        for options in (
            {},
            {"model": "other"},
            {"query_prefix": "q: "},
            {"document_prefix": "q: "},
            {"dimensions": 8},
            {"context": 300},
            {"url": speaker.url.replace("127.0.0.1", "localhost")},
        )
    }
    assert len(prints) == 7
    assert make(batch=1, requests=1, timeout=3.0).fingerprint in prints


def test_a_long_text_is_the_mean_of_windows_that_fit(make: Make, speaker: Speaker) -> None:
    embedder = make(context=64)
    text = "one two six ten " * 100
    vector = embedder.embed([text], "document")
    assert vector == pytest.approx(Hashed(DIM).embed([text], "document"), abs=0.05)
    sent = [text for body in speaker.bodies[1:] for text in body["input"]]
    assert sorted("".join(sent)) == sorted(text)
    assert max(len(embedder.tokens(part)) for part in sent) <= embedder.window


def test_tokens_are_counted_with_care(make: Make) -> None:
    embedder = make()
    assert [("swallowed 42 Grüße 鱼")[a:b] for a, b in embedder.tokens("swallowed 42 Grüße 鱼")] == [
        *("swa", "llo", "wed", "4", "2", "Gr", "ü", "ß", "e", "鱼", "鱼")
    ]
    assert embedder.window == 510
    assert make(query_prefix="query: ").window == 507


def test_a_text_that_is_too_long_all_the_same_goes_in_halves(make: Make, speaker: Speaker) -> None:
    speaker.most_words = 20
    texts = ["short", "the ark of the covenant " * 12, "wine"]
    vectors = make().embed(texts, "document")
    assert vectors == pytest.approx(Hashed(DIM).embed(texts, "document"), abs=0.2)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_a_batch_that_is_too_large_goes_in_halves(make: Make, speaker: Speaker) -> None:
    speaker.most_texts = 3
    texts = [f"text {index}" for index in range(20)]
    assert make().embed(texts, "document") == pytest.approx(Hashed(DIM).embed(texts, "document"), abs=1e-6)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "This model's maximum context length is 512 tokens. However, you requested 700 tokens in the input"),
        (413, "Input validation error: `inputs` must have less than 512 tokens. Given: 701"),
        (400, "the input length exceeds the context length"),
        (500, "input (600 tokens) is too large to process. increase the physical batch size"),
    ],
)
def test_many_services_say_too_long_and_none_is_asked_the_same_again(
    make: Make, speaker: Speaker, waits: list[float], status: int, message: str
) -> None:
    embedder = make()
    assert embedder.dim
    speaker.answers = [refusal(status, message)]
    embedder.embed(["And the rain was upon the earth forty days."], "document")
    assert [len(body["input"][0]) for body in speaker.bodies[1:]] == [43, 21, 22]
    assert waits == []


def test_what_it_calls_too_long_at_any_length_is_an_error(make: Make, speaker: Speaker) -> None:
    embedder = make()
    assert embedder.dim
    speaker.most_words = 0
    with pytest.raises(ModelError, match=r"cannot take that much \(400: This model's maximum context length is 0 "):
        embedder.embed(["And the rain was upon the earth."], "document")


def test_a_busy_service_is_asked_again_when_it_says(make: Make, speaker: Speaker, waits: list[float]) -> None:
    speaker.answers = [refusal(429, "slow down", Retry_After="7"), refusal(500, "oops"), refusal(503, "loading")]
    assert make().dim == DIM
    assert waits == [7.0, *retrying.WAIT_SECONDS[1:]]


def test_it_does_not_ask_for_ever(make: Make, speaker: Speaker, waits: list[float]) -> None:
    speaker.answers = [refusal(429, "You exceeded your current\nquota")] * 9
    with pytest.raises(ModelError, match=r"is busy \(429: You exceeded your current quota\), after 4 tries"):
        assert make().dim
    assert len(speaker.bodies) == retrying.TRIES == len(waits) + 1


def test_an_error_ends_the_other_requests(make: Make, speaker: Speaker) -> None:
    embedder = make(batch=1, requests=2)
    assert embedder.dim
    speaker.answers = [refusal(401, "no")] * 100
    with pytest.raises(ModelError, match=r"needs a key\. Set it: export OPENAI_API_KEY="):
        embedder.embed([f"text {index}" for index in range(90)], "document")
    assert len(speaker.bodies) < 30


def test_a_service_that_changes_its_model_is_noticed(make: Make, speaker: Speaker) -> None:
    embedder = make()
    assert embedder.dim == DIM
    speaker.answers = [(200, {}, embeddings([np.ones(32)]))]
    with pytest.raises(ModelError, match=r"gave vectors of 32 numbers for 'tiny', before that of 64\. .*rebuild$"):
        embedder.embed(["wine"], "query")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "<html>Welcome</html>",
        '{"data": []}',
        '{"data": [{"index": 0}]}',
        '{"data": [{"index": 1, "embedding": [1]}]}',
        '{"data": [{"index": 0, "embedding": []}]}',
        '{"data": [{"index": 0, "embedding": [NaN]}]}',
        '{"data": [{"index": 0, "embedding": "AACAPw=="}]}',
        '{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [2]}]}',
        '{"embeddings": [[1, 2]]}',
    ],
)
def test_what_is_no_embedding_is_one_line(make: Make, speaker: Speaker, text: str) -> None:
    speaker.answers = [(200, {}, text)]
    with pytest.raises(ModelError, match=r"^http\S+ did not answer with embeddings \([^\n]+\)\. Check [^\n]+$"):
        assert make().dim


def test_an_answer_that_breaks_off_is_one_line(make: Make, speaker: Speaker) -> None:
    speaker.withheld = 9
    with pytest.raises(ModelError, match="broke off while answering"):
        assert make().dim


def test_a_refusal_that_breaks_off_is_one_line(make: Make, speaker: Speaker) -> None:
    speaker.withheld = 9
    speaker.answers = [(400, {}, "{")]
    with pytest.raises(ModelError, match=r"refuses the question \(400: status 400\)\.$"):
        assert make().dim


def test_nothing_listening_is_one_line(waits: list[float]) -> None:
    with pytest.raises(
        ModelError, match=r"^Nothing answers at http://127.0.0.1:1/v1, after 4 tries\. Start the server, or [^\n]+$"
    ):
        assert OpenAI(url="http://127.0.0.1:1/v1").dim
    assert len(waits) == 3


def test_the_key_is_sent_and_not_shown(make: Make, speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    speaker.answers = [refusal(400, "Incorrect API key provided: sk-secret")]
    embedder = make()
    with pytest.raises(ModelError) as caught:
        assert embedder.dim
    assert "sk-secret" not in str(caught.value) + repr(embedder) + embedder.fingerprint
    assert set(speaker.keys) == {"Bearer sk-secret"}


def test_another_machine_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ModelError, match=r"^https://api.openai.com/v1 needs a key\. Set it: export MY_KEY=\.\.\., or "):
        assert OpenAI(key_env="MY_KEY").dim


@pytest.mark.parametrize(
    "options",
    [
        {"url": "localhost:80"},
        {"url": "http://[::1/v1"},
        {"url": "http://host:port/v1"},
        {"url": "http://host:99999/v1"},
        {"url": "http://u:p@host/v1"},
        {"dimensions": -1},
        {"context": 10},
        {"batch": 0},
        {"requests": 0},
        {"timeout": 0.0},
        {"context": 64, "query_prefix": "Represent this sentence for searching relevant passages and more: " * 2},
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"^openai\("):
        OpenAI(**options)
