"""Keeps what a model thinks apart from what it answers.

pieces as they come --split at tags, also those cut in two--> Thought | answer
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from openbook.types import Stream, Thought, Usage


@dataclass(frozen=True, slots=True)
class Tags:
    """What stands before a thought and what ends it."""

    opens: str
    closes: tuple[str, ...]


TAGS = (
    Tags("<think>", ("</think>",)),  # Qwen3, DeepSeek-R1, GLM-4.5, SmolLM3, MiniMax, Hunyuan
    Tags("<thinking>", ("</thinking>",)),  # Granite, and models told to think by a prompt
    Tags("<thought>", ("</thought>",)),  # EXAONE Deep
    Tags("<seed:think>", ("</seed:think>",)),  # Seed-OSS
    Tags("[THINK]", ("[/THINK]",)),  # Magistral
    Tags("◁think▷", ("◁/think▷",)),  # Kimi
    Tags("<|START_THINKING|>", ("<|END_THINKING|>",)),  # Command A
    Tags("<|channel>thought", ("<channel|>",)),  # Gemma 4
    # gpt-oss: a message for each channel; what is not analysis is for the reader.
    Tags(
        "<|channel|>analysis<|message|>",
        (
            "<|end|><|start|>assistant<|channel|>final<|message|>",
            "<|start|>assistant<|channel|>final<|message|>",
            "<|channel|>final<|message|>",
        ),
    ),
)

RESPONSE = ("<|START_RESPONSE|>", "<|END_RESPONSE|>")
"""Written around an answer, and no part of it."""

CONTROL = tuple(sorted({
    token
    for written in (*RESPONSE, *(tag for tags in TAGS for tag in (tags.opens, *tags.closes)))
    for token in re.findall(r"[<\[◁][^<>\[\]◁▷]+[>\]▷]", written)
    if token != "<|end|>"  # ends the answers of other families, and would then be written behind them
}))  # fmt: skip
"""What may be one token in a vocabulary: llama.cpp writes such tokens out only when it is told to."""


def opened(prompt: str) -> Tags | None:
    r"""The tags of a thought that the prompt itself begins, as many templates do; None when it begins none.

    >>> opened("<|im_start|>assistant\n<think>\n").opens
    '<think>'
    >>> opened("<|im_start|>assistant\n<think>\n\n</think>\n\n") is None
    True
    """
    end = prompt[-200:].rstrip()
    return next((tags for tags in TAGS if end.endswith(tags.opens)), None)


def split_thoughts(parts: Iterable[str | Thought | Usage], inside: Tags | None = None) -> Stream:
    r"""The pieces of an answer, tags taken out and what stands between them as Thought; other parts as they are.

    `inside` are the tags of a thought that the prompt has begun. Thoughts stand before an answer: a tag in the middle
    of it is a word like others. A thought without an end is one to its end, and then the answer is empty. Only what may
    still become a tag is held back. White space around thoughts goes.

    >>> list(split_thoughts(["<th", "ink>\nHm.", "</think>\n\nNine", "veh is <think>."]))
    [Thought(text='Hm.'), 'Nine', 'veh is <think>.']
    """
    splitter = _Splitter(inside)
    for part in parts:
        if isinstance(part, str):
            yield from splitter.feed(part)
        else:
            yield from splitter.end()
            yield part
    yield from splitter.end()


class _Splitter:
    """Where in an answer its pieces are: before it, inside a thought, or in the answer itself."""

    def __init__(self, inside: Tags | None) -> None:
        self.inside, self.answering = inside, False
        self.trim = inside is not None  # white space that comes next is between a tag and its text
        self.held = ""

    def feed(self, piece: str) -> Iterator[str | Thought]:
        self.held += piece
        step = None
        while step != self._where():
            step = self._where()
            yield from (
                self._inside(self.inside) if self.inside else self._answer() if self.answering else self._before()
            )

    def end(self) -> Iterator[str | Thought]:
        text, self.held = self._trimmed(self.held), ""
        if self.inside:
            text = text.rstrip()
        if text:
            yield Thought(text) if self.inside else text

    def _where(self) -> tuple[bool, bool, int]:
        return self.inside is not None, self.answering, len(self.held)

    def _before(self) -> Iterator[str | Thought]:
        text = self.held.lstrip()
        for tags in TAGS:
            for tag in (tags.opens, *tags.closes, *RESPONSE):
                if text.startswith(tag):
                    self.held, self.trim = text.removeprefix(tag), True
                    self.inside = tags if tag == tags.opens else None
                    return
                if tag.startswith(text):  # too little of it, or nothing
                    return
        self.answering = True
        yield from ()

    def _inside(self, tags: Tags) -> Iterator[str | Thought]:
        text, found = self._until(tags.closes)
        self.held = ("" if found else text[len(text.rstrip()) :]) + self.held
        if text := self._trimmed(text).rstrip():
            yield Thought(text)
        if found:
            self.inside, self.trim = None, True

    def _answer(self) -> Iterator[str | Thought]:
        text, _ = self._until(RESPONSE)
        if text := self._trimmed(text):
            yield text

    def _until(self, tags: Sequence[str]) -> tuple[str, bool]:
        """What stands before the first of the tags, and whether there is one; the rest is held."""
        found = [(self.held.index(tag), -len(tag), tag) for tag in tags if tag in self.held]
        if found:
            at, _, tag = min(found)
            text, self.held = self.held[:at], self.held[at + len(tag) :]
            return text, True
        longest = max(map(len, tags)) - 1
        start = next(
            (at for at in range(max(0, len(self.held) - longest), len(self.held)) if _begins(tags, self.held[at:])),
            len(self.held),
        )
        text, self.held = self.held[:start], self.held[start:]
        return text, False

    def _trimmed(self, text: str) -> str:
        if self.trim:
            text = text.lstrip()
            self.trim = not text
        return text


def _begins(tags: Sequence[str], text: str) -> bool:
    return any(tag.startswith(text) for tag in tags)
