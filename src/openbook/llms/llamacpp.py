"""A GGUF file run on this machine by llama.cpp, in a child process that is started late and kept warm.

messages --render (own template, or a known format)--> prompt --HTTP on 127.0.0.1--> child: llama.cpp's server --> words
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from openbook import models
from openbook.errors import ModelError, SpecError, TooLongError, one_line
from openbook.home import absolute, home
from openbook.llamacpp.client import Client
from openbook.llamacpp.kept import KeptPrompt
from openbook.llamacpp.server import stamp
from openbook.llms.chances import chances
from openbook.llms.companions import adapters, draft, parse_adapters
from openbook.llms.sse import events
from openbook.llms.thinking import CONTROL, opened, split_thoughts
from openbook.models.catalogue import catalogue
from openbook.models.fit import refuse_too_large
from openbook.models.gguf import Header, read_header
from openbook.models.identity import identity
from openbook.prompts.deciding import Decided, decide, find_named
from openbook.prompts.tokens import check
from openbook.recipe import digest
from openbook.types import Message, Stream, Usage

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

log = logging.getLogger("openbook")

LARGEST_INT = (1 << 31) - 1  # that llama.cpp takes

RANGES = {
    "context": (512, 1 << 24),
    "threads": (0, 512),  # as llama.cpp's GGML_MAX_N_THREADS
    "parallel": (1, 64),
    "gpu_layers": (-1, LARGEST_INT),
    "cache_mb": (0, LARGEST_INT),
    "temperature": (0, math.inf),
    "top_k": (0, LARGEST_INT),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repeat_penalty": (0.1, 10),
    "seed": (0, (1 << 32) - 2),  # one more means a random one
    "keep_minutes": (0, math.inf),
}
"""Least and most of the options that are numbers."""

THINKING_TOKENS = 2048  # that a model may think, beside those of its answer

# Until what llama.cpp logged is here: of a grammar it always says what is wrong, of a schema only sometimes.
GRAMMAR_SECONDS, SCHEMA_SECONDS = 10.0, 0.5

LIKELIEST = 100  # first tokens that are told apart; what comes after them is seldom likelier than one in a million


@dataclass
class LlamaCpp:
    """A local model. Loads on first use or by `prepare`; ends after `keep_minutes` without a question."""

    VERSION: ClassVar[int] = 1

    model: str = "qwen2.5-coder-1.5b"  # a name of the catalogue, or a path to a GGUF file
    template: str = (
        ""  # a format's name, or a path to a .jinja or tokenizer_config.json; '': the file's own, or a guess
    )
    context: int = 4096  # tokens of prompt and answer, for each of `parallel`
    threads: int = 0  # 0: one for each core
    parallel: int = 1  # answers at once, each with a context of its own
    gpu_layers: int = -1  # -1: as many as fit, where llama.cpp was built for a GPU
    cache_type: Literal["f16", "bf16", "f32", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"] = (
        "f16"  # of keys and values: q8_0 takes half the memory, q4_0 a quarter
    )
    cache_mb: int = 128  # memory for earlier prompts, so that turns of one conversation are read once
    keep_prompt: bool = False  # the last prompt is kept on disk between runs: a follow-up is not read again
    lora: str = ""  # 'style.gguf', or with strengths 'style.gguf:0.5 + law.gguf'
    draft: str = ""  # a small model of the same family that guesses ahead: a name or path, as `model`
    thinking: bool = False  # let a model that can think do so before it answers
    temperature: float = 0.0  # 0: always the likeliest word; what follows here counts from above 0 on
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0  # 1: none; 1.1 makes a word that was said lately less likely
    seed: int = 0
    grammar: str = ""  # a file in GBNF that every answer obeys
    json_schema: str = ""  # a file with a JSON schema that every answer obeys
    keep_minutes: float = 5.0

    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False, compare=False)
    _client: Client | None = field(default=None, init=False, repr=False, compare=False)
    _header: Header | None = field(default=None, init=False, repr=False, compare=False)
    _stamp: object = field(default=None, init=False, repr=False, compare=False)  # of the file, when it was read
    _decided: Decided | None = field(default=None, init=False, repr=False, compare=False)
    _told: bool = field(default=False, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for option, (least, most) in RANGES.items():
            value = getattr(self, option)
            if value < least:
                raise SpecError(f"llamacpp({option}={value}): write {least} or more.")
            if value > most:
                raise SpecError(f"llamacpp({option}={value}): write at most {most}.")
        parse_adapters(self.lora)
        if self.grammar and self.json_schema:
            raise SpecError("llamacpp(grammar=..., json_schema=...): an answer obeys one of them. Leave one out.")
        self._rule("")
        if self.template:
            try:
                find_named(self.template)
            except ModelError as error:
                raise SpecError(f"llamacpp(template={self.template!r}): {error}") from error

    @property
    def name(self) -> str:
        return Path(self.model).stem if self.model.endswith(".gguf") else self.model

    @property
    def remote(self) -> str:
        return ""

    @property
    def format(self) -> str:
        return self.decided.origin

    @property
    def header(self) -> Header:
        """What the file says about itself.

        Raises:
            ModelError: There is no such file, or it is no whole GGUF.
        """
        return self._read_header()

    @property
    def decided(self) -> Decided:
        """How the model is spoken to.

        Raises:
            ModelError: There is no such file, or no such format.
        """
        with self._lock:
            header = self._read_header()
            if self._decided is None:
                known = catalogue().get(self.model)
                self._decided = decide(header, named=self.template, catalogue=known.template if known else "")
            return self._decided

    def check(self) -> list[str]:
        """What is wrong with the format for this model, found by looking at tokens; loads the model."""
        with self.client.running():
            return check(self._pieces, self.decided, self._read_header())

    def _tell(self) -> None:
        """Once: that the format is a guess, and what its tokens show."""
        if self._told:
            return
        self._told = True
        if self.decided.guessed:
            log.warning(
                "%s: how to speak to it is a guess (%s). Name it: llamacpp(template=...)", self.name, self.format
            )
        with contextlib.suppress(ModelError):  # a template may refuse the chat that is looked at, not the one at hand
            for finding in self.check():
                log.warning("%s: %s", self.name, finding)

    def _pieces(self, text: str) -> list[str]:
        tokens = self.client.tokenize(text, special=True, pieces=True)
        # A piece that is no text is a list of bytes.
        return [piece if isinstance(piece := token["piece"], str) else bytes(piece).hex() for token in tokens]

    def prepare(self) -> None:
        self.client.prepare()

    def count(self, text: str) -> int:
        with self.client.running():
            return len(self.client.tokenize(text))

    def render(self, messages: Sequence[Message]) -> str:
        return self.decided.render(messages, thinking=self.thinking)

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        rule = self._rule(grammar)
        # A rule holds from the first word on, so there is no thinking before it.
        prompt = self.decided.render(messages, thinking=self.thinking and not rule)
        inside = None if rule else opened(prompt)
        client = self.client
        with client.running():
            self._refuse_too_long(prompt, max_tokens)
            self._tell()
            if inside or (self.thinking and not rule):
                max_tokens = min(max_tokens + THINKING_TOKENS, self._room(prompt))
            response = self._completion(
                client,
                {
                    "prompt": prompt,
                    "n_predict": max_tokens,
                    **rule,
                    "stop": self.decided.stop,
                    "cache_prompt": True,
                    "stream": True,
                    "return_progress": True,  # bytes flow while a long prompt is read, so that silence means trouble
                    "preserved_tokens": CONTROL,
                },
            )
            try:
                words = split_thoughts(self._words(client, response), inside)
                yield from self._obeying(client, words) if "json_schema" in rule else words
            finally:
                # An answer read to its end gives its connection back; on one left early this stops the model.
                response.close()

    def choose(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        prompt = self.decided.render(messages, thinking=False)
        with self.client.running():
            self._refuse_too_long(prompt, 1)
            answer = self.client.post(
                "/completion",
                {
                    "prompt": prompt,
                    "n_predict": 1,
                    "n_probs": LIKELIEST,  # as the network gives them, whatever the temperature
                    "temperature": 0,
                    "ignore_eos": True,  # an answer that ends at once has no first token
                    "cache_prompt": True,
                },
            ).json()
        try:
            first = answer["completion_probabilities"][0]["top_logprobs"]
        except (LookupError, TypeError) as error:
            raise ModelError(f"{self.name} gave no probabilities. Try: pip install -U xllamacpp") from error
        return chances(((token["token"], token["logprob"]) for token in first), choices)

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()

    @property
    def client(self) -> Client:
        """What speaks with the model's server, which need not run yet.

        Raises:
            ModelError: There is no such file, or it was trained for fewer tokens than `context`.
        """
        with self._lock:
            header = self._read_header()
            if self._client is None:
                if 0 < header.context_length < self.context:
                    raise ModelError(
                        f"{self.name} was trained for {header.context_length} tokens, not {self.context}. "
                        f"Write: llamacpp(model={self.model!r}, context={header.context_length})"
                    )
                settings = self._settings(header)
                refuse_too_large(header, settings)
                kept = KeptPrompt(_kept(header.path, settings)) if self.keep_prompt else None
                if kept is not None:
                    settings["slots"] = f"{kept.path.parent}{os.sep}"
                self._client = Client(self.name, header.path, settings, self.keep_minutes, kept)
            return self._client

    def _settings(self, header: Header) -> dict[str, Any]:
        """What the child is started with. Raises: ModelError, when a file that goes with the model does not fit it."""
        return {
            "context": self.context,
            "threads": self.threads,
            "parallel": self.parallel,
            "gpu_layers": self.gpu_layers,
            "cache_type": self.cache_type,
            "cache_mb": self.cache_mb,
            "lora": adapters(self.lora, header),
            "draft": draft(self.draft, header) if self.draft else "",
            "sampling": {
                "temp": self.temperature,
                "top_k": self.top_k,
                "top_p": self.top_p,
                "min_p": self.min_p,
                "penalty_repeat": self.repeat_penalty,
                "seed": self.seed,
            },
        }

    def _rule(self, grammar: str) -> dict[str, Any]:
        """What an answer must obey, in the server's words: the grammar given, or the file named by an option."""
        if grammar:
            return {"grammar": grammar}
        if self.grammar:
            rule = _read(self.grammar, "grammar")
            if not rule.strip():  # the server would take it for none
                raise SpecError(f"llamacpp(grammar={self.grammar!r}): the file is empty. Write rules in GBNF into it.")
            return {"grammar": rule}
        if not self.json_schema:
            return {}
        try:
            return {"json_schema": json.loads(_read(self.json_schema, "json_schema"))}
        except ValueError as error:
            raise SpecError(f"llamacpp(json_schema={self.json_schema!r}): the file is no JSON ({error}).") from error

    def _completion(self, client: Client, body: dict[str, Any]) -> BaseHTTPResponse:
        try:
            return client.post("/completion", body)
        except ModelError as error:
            if not (self.grammar and "parse grammar" in str(error)):
                raise
            why = _logged(client, r"error parsing grammar: (.*)", GRAMMAR_SECONDS)
            raise SpecError(
                f"llamacpp(grammar={self.grammar!r}): llama.cpp cannot read it{f' ({why[-1][:200]})' if why else ''}. "
                'Write rules in GBNF into it, such as: root ::= "yes" | "no"'
            ) from error

    def _words(self, client: Client, response: BaseHTTPResponse) -> Stream:
        import urllib3

        try:
            for event in events(response):
                if "error" in event:
                    raise ModelError(f"{self.name} stopped: {event['error'].get('message', '')}.")
                if event.get("content"):
                    yield event["content"]
                if event.get("stop"):
                    client.check()
                    client.answered = event.get("id_slot")
                    yield _usage(event)
                    return
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise client.broken(error) from error
        raise client.broken(EOFError("the answer has no end"))

    def _obeying(self, client: Client, parts: Stream) -> Stream:
        """The parts of an answer. llama.cpp answers freely where it cannot read a schema, and says so in its log only.

        Raises:
            ModelError: The schema was not obeyed.
        """
        words = ""
        for part in parts:
            words += part if isinstance(part, str) else ""
            if isinstance(part, Usage) and not _is_json(words, whole=part.stopped == "end"):
                why = _logged(client, r"failed to compile JSON schema: (.*)", SCHEMA_SECONDS)
                raise ModelError(
                    f"llamacpp(json_schema={self.json_schema!r}) was not obeyed"
                    f"{f' ({why[-1][:200]})' if why else ''}. Check the schema, or ask a larger model."
                )
            yield part

    def _refuse_too_long(self, prompt: str, max_tokens: int) -> None:
        # A token is a byte at least, so a short prompt needs no counting. 8: what a tokenizer may add at its ends.
        if len(prompt.encode()) + 8 + max_tokens <= self.context:
            return
        room = self._room(prompt)
        if room < max_tokens:
            raise TooLongError(
                f"The prompt has {self.context - room} tokens; with {max_tokens} for the answer that is more than the "
                f"{self.context} of {self.name}. Take fewer passages, or a larger context: llamacpp(context=...)."
            )

    def _room(self, prompt: str) -> int:
        """Tokens left for the answer."""
        return self.context - len(self.client.tokenize(prompt, special=True))

    def _read_header(self) -> Header:
        with self._lock:
            if self._header is None or stamp(self._header.path) not in {self._stamp, None}:
                path = models.find(self.model)
                now = stamp(path)
                self._header, self._stamp = read_header(path), now
                self._decided, self._told = None, False
                if self._client is not None:  # another file by that name: its server and template are others
                    self._client.close_idle()
                    self._client = None
            return self._header


def _logged(client: Client, pattern: str, seconds: float) -> list[str]:
    """What llama.cpp's log says by that pattern, as soon as it says it."""
    end = time.monotonic() + seconds
    while not (found := re.findall(pattern, client.log())) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _is_json(words: str, *, whole: bool) -> bool:
    """Whether it is JSON, or the beginning of it as far as one character tells."""
    if not whole:
        return words.strip()[:1] in set('{["-0123456789tfn') | {""}
    try:
        json.loads(words)
    except ValueError:
        return False
    return True


def _kept(path: Path, settings: dict[str, Any]) -> Path:
    """Where the last prompt is kept: what a model has read depends on its file, its adapters and its cache."""
    adapters = [(identity(Path(adapter)), scale) for adapter, scale in settings["lora"]]
    name = digest(identity(path), settings["cache_type"], adapters, version("xllamacpp"))
    return home() / "cache" / f"{name}.prompt"


def _read(path: str, option: str) -> str:
    try:
        return absolute(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else "") or one_line(error)
        raise SpecError(f"llamacpp({option}={path!r}): cannot be read ({why}). Check the path.") from error


def _usage(event: dict[str, Any]) -> Usage:
    return Usage(
        prompt_tokens=event.get("tokens_evaluated", 0),
        answer_tokens=event.get("tokens_predicted", 0),
        cached_tokens=event.get("timings", {}).get("cache_n", 0),
        stopped="length" if event.get("stop_type") == "limit" else "end",
    )
