"""A server on this machine that says what a script tells it, as services of models speak: no network, no recording.

with speaking() as talk:
    talk.script = [failure(429, "slow", Retry_After="7"), words("Hello", ".")]
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from contracts import serving
from processes import PATIENCE


@dataclass
class Reply:
    """What the server below says to one request."""

    events: list[str] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = True
    cut: bool = False  # the connection ends before the answer does
    heard: threading.Event | None = None  # the last event waits until a client has said that it heard the others
    silent: threading.Event | None = None  # nothing is said until it is set

    def wait(self, *, last: bool) -> None:
        """Before an event. Raises: OSError, when a client told of nothing before the end."""
        if self.silent is not None:
            self.silent.wait(PATIENCE)
        if last and self.heard is not None and not self.heard.wait(PATIENCE):
            raise TimeoutError


@dataclass
class Speaker:
    """Speaks from a script, of which the last reply stays, and remembers what it was asked."""

    url: str
    script: list[Reply]
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    first: Reply | None = None  # to who asks for the probabilities of the first token; None: as the script says
    broken: threading.Event = field(default_factory=threading.Event)  # a client left before the end


def words(*pieces: str, finish: str = "stop") -> Reply:
    """An answer as OpenAI streams it."""
    deltas = [{"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]} for piece in pieces]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    usage = {
        "choices": [],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}},
    }
    role: dict[str, Any] = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
    return Reply([*(f"data: {json.dumps(event)}" for event in (role, *deltas, end, usage)), "data: [DONE]"])


def probabilities(**tokens: float) -> Reply:
    top = [{"token": token, "logprob": math.log(value), "bytes": None} for token, value in tokens.items()]
    choice = {"index": 0, "message": {"content": "x"}, "logprobs": {"content": [{"token": "x", "top_logprobs": top}]}}
    return Reply([json.dumps({"choices": [choice]})], chunked=False)


def failure(status: int, message: str, **headers: str) -> Reply:
    body = json.dumps({"error": {"message": message, "type": "x", "code": None}})
    return Reply([body], status, {name.replace("_", "-"): value for name, value in headers.items()}, chunked=False)


def vectors(texts: int) -> Reply:
    """Embeddings as OpenAI answers."""
    rows = [{"index": index, "embedding": [1.0, 0.0, 0.5]} for index in range(texts)]
    return Reply([json.dumps({"data": rows})], chunked=False)


def remote(speaker: Speaker) -> str:
    """The spec of an LLM or embedder that is this service."""
    return f"openai(url='{speaker.url}', model='tiny', key_env='MY_KEY')"


@contextmanager
def speaking(path: str = "") -> Generator[Speaker]:
    """A server; `path` is added to its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            talk.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            talk.headers.append(dict(self.headers))
            talk.paths.append(self.path)
            reply = talk.script.pop(0) if len(talk.script) > 1 else talk.script[0]
            if talk.first is not None and "logprobs" in talk.bodies[-1]:
                reply = talk.first
            self.send_response(reply.status)
            self.send_header("Content-Type", "text/event-stream" if reply.status == 200 else "application/json")
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header(*(("Transfer-Encoding", "chunked") if reply.chunked else ("Connection", "close")))
            self.end_headers()
            try:
                self.say(reply)
            except OSError:
                talk.broken.set()
                self.close_connection = True

        def say(self, reply: Reply) -> None:
            for number, event in enumerate(reply.events, 1):
                reply.wait(last=number == len(reply.events))
                for half in halves((event + "\n\n").encode()):  # events and even characters may come in pieces
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(half), half) if reply.chunked else half)
                    self.wfile.flush()
            self.close_connection = reply.cut or not reply.chunked
            if reply.chunked and not reply.cut:
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, format: str, *args: object) -> None:
            return

    with serving(Handler) as url:
        talk = Speaker(f"{url}{path}", [words("Hello", " there", ".")])
        yield talk


def halves(text: bytes) -> tuple[bytes, bytes]:
    middle = next((i + 1 for i, byte in enumerate(text) if byte > 127), len(text) // 2)
    return text[:middle], text[middle:]
