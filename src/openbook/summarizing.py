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
# Of a text a small model tells a fact more truly than a summary, which it rounds off with what it knows besides.
FACTS = {
    1: "Write the most important fact of this text in one short sentence.",
    2: "Write the two most important facts of this text, each in one short sentence.",
    3: "Write the three most important facts of this text, each in one short sentence.",
}
MERGE = "Summarize this text in one short sentence."


@dataclass
class Summarizer:
    """Makes notes of passages, and fewer notes of many."""

    caller: Caller
    passages: Sequence[Passage]
    tokens: Sequence[int]
    most: int  # tokens of passages in one call
    focus: str = ""
    prompt: str = field(default="", init=False)  # the last one that was sent

    def __post_init__(self) -> None:
        self.checker = Checker(self.passages)

    def notes(self, wanted: int) -> list[Note]:
        """So many notes of all passages or some more, in their order; fewer of a short text."""
        size = ceil(sum(self.tokens) / wanted)
        size = min(self.most, max(LEAST_TOKENS, size))
        ids = [passage.chunk.document_id for passage in self.passages]
        apart = {number for number in range(1, len(ids)) if ids[number] != ids[number - 1]}
        grouped = list(groups(self.tokens, size, apart))
        each = min(MOST_SENTENCES, ceil(wanted / len(grouped)))
        task = focused(self.focus, each) if self.focus else FACTS[each]
        asked = [
            messages("\n".join(self.passages[number].chunk.indexed.strip() for number in group), task)
            for group in grouped
        ]
        answers = self._asked(asked, grouped, each * SENTENCE_TOKENS, "read", "passages")
        found: list[Note] = []
        for group, (text, cut) in zip(grouped, answers, strict=True):
            if not (self.focus and text.startswith(NOTHING[:-1])):
                found += self.checker.notes(text, group, each, cut=cut)
        return self.checker.merged(found)

    def fewer(self, notes: Sequence[Note], wanted: int) -> list[Note]:
        """Neighbours made into one sentence each, so that so many are left, or a tenth of what there was."""
        count = max(wanted, ceil(len(notes) / MOST_NOTES))
        cuts = [round(number * len(notes) / count) for number in range(count + 1)]
        grouped = [range(start, end) for start, end in pairwise(cuts)]
        merging = [group for group in grouped if len(group) > 1]
        asked = [messages("\n".join(notes[number].text for number in group), MERGE) for group in merging]
        answers = self._asked(asked, merging, SENTENCE_TOKENS, "merge", "sentences")
        merged = dict(zip(merging, answers, strict=True))
        found: list[Note] = []
        for group in grouped:
            text, cut = merged.get(group, ("", False))
            among = sorted({passage for number in group for passage in notes[number].passages})
            # What came out wrong of several good sentences is worth less than the first of them.
            found += self.checker.notes(text, among, 1, cut=cut) or [notes[group[0]]]
        return self.checker.merged(found)

    def _asked(
        self, asked: Sequence[list[Message]], grouped: Sequence[Collection[int]], tokens: int, step: str, unit: str
    ) -> list[tuple[str, bool]]:
        calls = [Call(one, tokens, weight=len(group)) for one, group in zip(asked, grouped, strict=True)]
        self.prompt = self.caller.llm.render(calls[-1].messages)
        with closing(self.caller.texts(calls, step, unit)) as answers:
            return list(answers)


def messages(text: str, task: str) -> list[Message]:
    """What the model is asked about a text. The task stands last, where a small model minds it most."""
    return [Message("system", SYSTEM), Message("user", f"Text:\n{text}\n\n{task}")]


def focused(focus: str, sentences: int) -> str:
    """The task of saying what a text says about a question."""
    return (
        f"Question: {' '.join(focus.split())}\n\nWhat does this text say about the question? Answer in "
        f"{COUNTS[sentences]}. If it says nothing about it, write only: {NOTHING}"
    )


def summarize(read: Readable, *, words: int = WORDS, focus: str = "", report: Report | None = None) -> Whole:
    """Documents in about so many words; with `focus`, what they say about that.

    Raises:
        BookError: These documents have no text, or no words are wanted.
        ModelError: The model is missing or failed; what it wrote before is remembered.
    """
    if words < 1:
        raise BookError(f"A summary cannot have {words} words. Write 1 or more.")
    started = time.perf_counter()
    longest = messages("", focused(focus, MOST_SENTENCES) if focus else FACTS[MOST_SENTENCES])
    most = min(MOST_TOKENS, room(read.llm, longest, MOST_SENTENCES * SENTENCE_TOKENS))
    passages, tokens = pieces(read.passages(), read.llm, most)
    caller = Caller(read.llm, read.remembered, report)
    summarizer = Summarizer(caller, passages, tokens, most, focus)
    wanted = max(1, round(words / WORDS_PER_SENTENCE))
    notes = summarizer.notes(wanted)
    about = len({number for note in notes for number in note.passages})
    while len(notes) > wanted + wanted // 4:
        notes = summarizer.fewer(notes, wanted)
    answer = written(focus, notes, passages, read.llm, summarizer.prompt, time.perf_counter() - started)
    return Whole(
        answer, documents_of(passages), len(passages), about, summarizer.checker.dropped, caller.made, caller.known
    )
