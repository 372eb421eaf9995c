"""Documents read from end to end by a model, however short its context: what summaries and surveys are made of.

documents --chunks in their order--> passages --> model --> sentences --beside the passages that say them--> Answer
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from openbook.documents import Documents
from openbook.errors import BookError, ModelError
from openbook.remembering import Remembered
from openbook.supporting import Texts, sentences
from openbook.types import LLM, Answer, Chunk, Message, Passage, Store, Timing

MARGIN = 64  # tokens that a template may add to a prompt
SENTENCE_TOKENS = 70  # of the longest
NOTHING = "Nothing."  # what a model is told to write where a text says nothing about a question
LEAST_ROOM = 128  # tokens of text in a prompt


@dataclass(frozen=True, slots=True)
class Note:
    """One sentence and the numbers of the passages that say it, counted from 0, rising."""

    text: str
    passages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Readable:
    """What is read, and the model that reads it."""

    documents: Documents
    store: Store
    within: Collection[str] | None  # ids of the documents; None: all
    llm: LLM
    remembered: Remembered

    def passages(self) -> list[Passage]:
        """The chunks of the documents from their beginning to their end, by the names of their sources.

        Raises:
            BookError: There is nothing to read.
        """
        ids = dict.fromkeys(one for _, one in sorted(self.documents.sources().items()))
        order = {one: number for number, one in enumerate(ids) if self.within is None or one in self.within}
        chunks = [chunk for chunk, _ in self.store.vectors(order)]
        origins = self.documents.origins(order)
        found = [
            Passage(chunk, 1.0, "whole", origin.sources, origin.title, origin.fields)
            for chunk in sorted(chunks, key=lambda one: (order[one.document_id], one.start))
            if (origin := origins.get(chunk.document_id))
        ]
        if not found:
            raise BookError("There is nothing to read: this book holds no text. Add documents: openbook add FILE...")
        return found


@dataclass(frozen=True, slots=True)
class Whole:
    """What came of reading documents from end to end."""

    answer: Answer  # a sentence a line, each with its citations; its passages are those that are cited
    documents: int
    passages: int  # that were read
    about: int  # of them, those that say something about the question: the model says what, and they hold its words
    dropped: int  # sentences left out, as no passage holds enough of their words
    calls: int  # of the model, those included that an earlier run had made:
    known: int


def documents_of(passages: Sequence[Passage]) -> int:
    """How many documents passages are from."""
    return len({passage.chunk.document_id for passage in passages})


def room(llm: LLM, messages: Sequence[Message], answer_tokens: int) -> int:
    """Tokens of text that a prompt has room for beside these messages and an answer.

    Raises:
        ModelError: There is hardly any.
    """
    left = llm.context - sum(llm.count(message.content) for message in messages) - answer_tokens - MARGIN
    if left < LEAST_ROOM:
        raise ModelError(f"{llm.name} takes {llm.context} tokens: too few to read in. Give it a larger context.")
    return left


def pieces(passages: Sequence[Passage], llm: LLM, most: int) -> tuple[list[Passage], list[int]]:
    """The passages, each of more than so many tokens in pieces, and the tokens of each."""
    fits: list[Passage] = []
    tokens: list[int] = []
    todo = list(reversed(passages))
    while todo:
        passage = todo.pop()
        count = llm.count(passage.chunk.indexed)
        if count <= most or len(passage.chunk.text) < 2:
            fits.append(passage)
            tokens.append(count)
        else:
            todo += [replace(passage, chunk=half) for half in reversed(_halves(passage.chunk))]
    return fits, tokens


def _halves(chunk: Chunk) -> tuple[Chunk, Chunk]:
    """A chunk in two, before a line or a word if one begins near its middle."""
    middle = len(chunk.text) // 2
    at = 1 + max(chunk.text.rfind("\n", middle // 2, middle), chunk.text.rfind(" ", middle // 2, middle))
    at = at or middle
    first = replace(chunk, end=chunk.start + at, text=chunk.text[:at])
    return first, replace(chunk, start=chunk.start + at, text=chunk.text[at:])


def groups(tokens: Sequence[int], most: int, apart: Collection[int] = ()) -> Iterator[range]:
    """Neighbours that together have at most so many tokens; a number in `apart` begins a group.

    >>> list(groups([5, 5, 5, 20, 1, 1], 10, apart={5}))
    [range(0, 2), range(2, 3), range(3, 4), range(4, 5), range(5, 6)]
    """
    start, held = 0, 0
    for number, count in enumerate(tokens):
        if number > start and (held + count > most or number in apart):
            yield range(start, number)
            start, held = number, 0
        held += count
    if tokens:
        yield range(start, len(tokens))


@dataclass
class Checker:
    """Puts what a model wrote beside the passages that say it, and counts what none says."""

    passages: Sequence[Passage]
    dropped: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._texts = Texts([passage.chunk.indexed for passage in self.passages])

    def notes(self, text: str, among: Collection[int], most: int, *, cut: bool) -> list[Note]:
        """At most so many sentences that some of these passages say; the last is none where the text was cut off.

        One more is looked at than is wanted: what a model says after that it was not asked for.
        """
        found: list[Note] = []
        for words in sentences(text)[: -1 if cut else None][: most + 1]:
            if len(found) == most:
                break
            if support := self._texts.support(words, among):
                found.append(Note(words, support))
            else:
                self.dropped += 1
        return found

    def merged(self, notes: Sequence[Note]) -> list[Note]:
        """The notes without those that say what one before them says: it cites their passages too."""
        kept: list[Note] = []
        for note in notes:
            same = next((number for number, one in enumerate(kept) if self._texts.alike(note.text, one.text)), None)
            if same is None:
                kept.append(note)
            else:
                kept[same] = Note(kept[same].text, tuple(sorted({*kept[same].passages, *note.passages})))
        return kept


def written(
    question: str, notes: Sequence[Note], passages: Sequence[Passage], llm: LLM, prompt: str, seconds: float
) -> Answer:
    """The notes as an answer, a sentence a line; passages are numbered from 1 as they are first cited."""
    order = list(dict.fromkeys(number for note in notes for number in note.passages))
    names = {passage: name for name, passage in enumerate(order, 1)}
    lines = [f"{note.text} {''.join(f'[{names[number]}]' for number in note.passages)}" for note in notes]
    cited = tuple(passages[number] for number in order)
    return Answer(
        question,
        "\n".join(lines),
        cited,
        prompt,
        llm.name,
        Timing(total=seconds),
        dict(enumerate(cited, 1)),
        remote=llm.remote,
    )
