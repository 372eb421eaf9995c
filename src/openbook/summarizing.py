"""Whole documents in a few sentences, each with the passages that say it.

passages --groups of neighbours--> model: a sentence or two --beside the passages that say it--> notes
notes --groups of neighbours--> model: a sentence --beside the passages--> fewer notes --> ... --> Answer

The model reads every chunk once and is not asked to cite: it writes better without, and words tell more surely which
passage says what (docs/decisions/0019-whole-documents.md).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil

from openbook.calling import Call, Caller
from openbook.errors import BookError
from openbook.types import Message, Passage, Report
from openbook.whole import (
    NOTHING,
    SENTENCE_TOKENS,
    Checker,
    Note,
    Readable,
    Whole,
    documents_of,
    groups,
    pieces,
    room,
    written,
)

WORDS = 150
WORDS_PER_SENTENCE = 18
MOST_SENTENCES = 3  # of one call
# Tokens of text in one call. Reading costs the same in large groups and in small ones; of a large one a small model
# tells the beginning and the end.
LEAST_TOKENS, MOST_TOKENS = 150, 1000
MOST_NOTES = 10  # made into one sentence

SYSTEM = "You summarize texts in plain, short sentences."
COUNTS = {1: "one short sentence", 2: "two short sentences", 3: "three short sentences"}


@dataclass
class Summarizer:
    """Makes notes of passages, and fewer notes of many."""

    caller: Caller
    passages: Sequence[Passage]
    tokens: Sequence[int]
    focus: str = ""
    prompt: str = field(default="", init=False)  # the last one that was sent

    def __post_init__(self) -> None:
        self.checker = Checker(self.passages)

    def notes(self, wanted: int) -> list[Note]:
        """So many notes of all passages or some more, in their order; fewer of a short text."""
        size = ceil(sum(self.tokens) / wanted)
        size = max(LEAST_TOKENS, min(size, MOST_TOKENS, room(self.caller.llm, self._messages("", 3), _tokens(3))))
        ids = [passage.chunk.document_id for passage in self.passages]
        apart = {number for number in range(1, len(ids)) if ids[number] != ids[number - 1]}
        grouped = list(groups(self.tokens, size, apart))
        each = min(MOST_SENTENCES, ceil(wanted / len(grouped)))
        texts = ["\n".join(self.passages[number].chunk.indexed.strip() for number in group) for group in grouped]
        found: list[Note] = []
        for group, (text, cut) in zip(grouped, self._asked(texts, grouped, each, "read", "passages"), strict=True):
            if not (self.focus and text.startswith(NOTHING[:-1])):
                found += self.checker.notes(text, group, each, cut=cut)
        return self.checker.merged(found)

    def fewer(self, notes: Sequence[Note], wanted: int) -> list[Note]:
        """Neighbours made into one sentence each, so that so many are left, or a tenth of what there was."""
        count = max(wanted, ceil(len(notes) / MOST_NOTES))
        cuts = [round(number * len(notes) / count) for number in range(count + 1)]
        grouped = [range(start, end) for start, end in pairwise(cuts)]
        merging = [group for group in grouped if len(group) > 1]
        texts = ["\n".join(notes[number].text for number in group) for group in merging]
        merged = dict(zip(merging, self._asked(texts, merging, 1, "merge", "sentences"), strict=True))
        found: list[Note] = []
        for group in grouped:
            text, cut = merged.get(group, ("", False))
            among = sorted({passage for number in group for passage in notes[number].passages})
            # What came out wrong of several good sentences is worth less than the first of them.
            found += self.checker.notes(text, among, 1, cut=cut) or [notes[group[0]]]
        return self.checker.merged(found)

    def _asked(
        self, texts: Sequence[str], grouped: Sequence[Collection[int]], sentences: int, step: str, unit: str
    ) -> list[tuple[str, bool]]:
        calls = [
            Call(self._messages(text, sentences), _tokens(sentences), weight=len(group))
            for text, group in zip(texts, grouped, strict=True)
        ]
        self.prompt = self.caller.llm.render(calls[-1].messages)
        with closing(self.caller.texts(calls, step, unit)) as answers:
            return list(answers)

    def _messages(self, text: str, sentences: int) -> list[Message]:
        task = f"Summarize this text in {COUNTS[sentences]}."
        if self.focus:
            task = (
                f"Question: {' '.join(self.focus.split())}\n\nWhat does this text say about the question? Answer in "
                f"{COUNTS[sentences]}. If it says nothing about it, write only: {NOTHING}"
            )
        return [Message("system", SYSTEM), Message("user", f"Text:\n{text}\n\n{task}")]


def _tokens(sentences: int) -> int:
    return sentences * SENTENCE_TOKENS


def summarize(read: Readable, *, words: int = WORDS, focus: str = "", report: Report | None = None) -> Whole:
    """Documents in about so many words; with `focus`, what they say about that.

    Raises:
        BookError: These documents have no text, or no words are wanted.
        ModelError: The model is missing or failed; what it wrote before is remembered.
    """
    if words < 1:
        raise BookError(f"A summary cannot have {words} words. Write 1 or more.")
    started = time.perf_counter()
    passages, tokens = pieces(read.passages(), read.llm, min(MOST_TOKENS, read.llm.context // 2))
    caller = Caller(read.llm, read.remembered, report)
    summarizer = Summarizer(caller, passages, tokens, focus)
    wanted = max(1, round(words / WORDS_PER_SENTENCE))
    notes = summarizer.notes(wanted)
    about = len({number for note in notes for number in note.passages})
    while len(notes) > wanted + wanted // 4:
        notes = summarizer.fewer(notes, wanted)
    answer = written(focus, notes, passages, read.llm, summarizer.prompt, time.perf_counter() - started)
    return Whole(
        answer, documents_of(passages), len(passages), about, summarizer.checker.dropped, caller.made, caller.known
    )
