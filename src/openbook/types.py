"""The nouns that flow along the line, and the protocols of its steps. Imports nothing of ours.

files --read--> Document --clean--> Document --split--> Chunk --embed--> Vectors --> Store
                                                                                      |
question --rewrite------------------retrieve--> Passage --refine--> Passage <---------+
                                                   |
                               prompt--> Message --render, stream--> Answer
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Vectors: TypeAlias = "NDArray[np.float32]"
"""Shape (n, dim), rows of length 1: the dot product of two rows is their cosine similarity."""

Kind = Literal["document", "query"]
"""What a text is embedded as: many models want another prefix for a question than for a document."""

Marks: TypeAlias = tuple[tuple[int, str], ...]
"""(offset, label), rising: from that character of a text on, up to the next mark, the label holds."""

Field: TypeAlias = str | int | float
"""The value of one thing known about a document, such as its date: a search can be limited by it."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text as read from one source, before it is split.

    >>> psalm = Document("Blessed is the man", "kjv.txt", marks=((0, "Psalms 1:1"),))
    >>> psalm.place(5)
    'Psalms 1:1'
    """

    text: str  # already cleaned; offsets everywhere else count its characters
    source: str  # path, 'corpus.jsonl#id', 'box.mbox#message', 'old.zip#a.pdf': a person can open it
    title: str = ""  # as the document itself gives it; '' when it gives none
    marks: Marks = ()  # where a person would look: pages, verses, slides, sheets
    headings: Marks = ()  # 'Chapter > Section', from its first character on
    parts: Marks = ()  # 'text', 'table' (its first line names the columns), 'code', 'quote', 'signature'
    fields: Mapping[str, Field] = field(
        default_factory=dict, hash=False
    )  # author, date (ISO 8601), to, ...: lower-case names
    language: str = ""  # ISO 639-1, '' unknown

    @property
    def places(self) -> Marks:
        """What a citation names: the marks, or the headings of a text that has no pages or verses."""
        return self.marks or self.headings

    def place(self, start: int, end: int | None = None) -> str:
        """Label of the last place at or before `start`; with `end`, of all places that text[start:end] touches.

        >>> document = Document("one two", "a.pdf", marks=((0, "page 3"), (4, "page 4")))
        >>> document.place(0, 7)
        'page 3-4'
        """
        first = label_at(self.places, start)
        last = first if end is None else label_at(self.places, max(start, end - 1))
        return join_labels(first, last)


@dataclass(frozen=True, slots=True)
class Unread:
    """A part of a file that a reader could not read; what comes after it is read."""

    source: str  # 'a.pdf#page 7', 'box.mbox#12', 'old.zip#b.doc'
    reason: str  # one line: what happened, and the next step

    def __str__(self) -> str:
        name = self.source.rsplit("/", 1)[-1]
        return self.reason if name in self.reason else f"{self.source}: {self.reason}"


def label_at(marks: Marks, offset: int) -> str:
    """Label of the last mark at or before an offset, or ''."""
    index = bisect_right(marks, offset, key=lambda mark: mark[0])
    return marks[index - 1][1] if index else ""


def join_labels(first: str, last: str) -> str:
    """Say two labels as one range, what they share said once.

    >>> join_labels("Jonah 1:16", "Jonah 2:1"), join_labels("Malachi 4:6", "Matthew 1:1")
    ('Jonah 1:16-2:1', 'Malachi 4:6 - Matthew 1:1')
    """
    if not first or not last or first == last:
        return first or last
    shared = 0
    for index, (a, b) in enumerate(zip(first, last, strict=False)):
        if a != b:
            break
        if not a.isalnum():
            shared = index + 1
    if shared == 0 or not last[shared:][:1].isdigit():
        return f"{first} - {last}"
    return f"{first}-{last[shared:]}"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a document: document.text[start:end] == text, always.

    That equality is what lets a citation point at exact characters.
    """

    document_id: str
    start: int
    end: int
    text: str
    place: str = ""
    context: str = ""  # 'Title > Heading', or a table's column names: found and embedded with the text, never cited

    @property
    def indexed(self) -> str:
        """What is embedded and whose words are found."""
        return f"{self.context}\n{self.text}" if self.context else self.text


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk found for a question. A store knows the first three; the book adds the rest."""

    chunk: Chunk
    score: float  # higher is better, comparable only within one `via`
    via: str  # the step that scored it: 'dense', 'bm25', 'hybrid', 'rerank'
    sources: tuple[str, ...] = ()  # of the document; more than one when equal files were added
    title: str = ""
    fields: Mapping[str, Field] = field(default_factory=dict, hash=False)

    @property
    def source(self) -> str:
        """The first of the sources."""
        return self.sources[0] if self.sources else ""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation with a model."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Thought:
    """What a model writes to itself before it answers: shown on request, never a part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Searched:
    """What is searched for instead of a question that another one went before."""

    question: str  # stands alone


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call of a model took, as the model's server counts it."""

    prompt_tokens: int = 0
    answer_tokens: int = 0
    cached_tokens: int = 0  # of the prompt's, those that were already in the server's cache
    stopped: Literal["", "end", "length"] = ""  # 'end': the model ended by itself; 'length': max_tokens was reached


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds from the question to each stage, and tokens."""

    embed: float = 0.0  # the question into a vector, the embedder's loading included
    retrieve: float = 0.0  # until the passages were there, embedding included
    first_token: float = 0.0  # until the first word of the answer
    total: float = 0.0
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer and everything it was made from."""

    question: str
    text: str  # the model's words, citations as [1], [2], counting `passages` from 1
    passages: tuple[Passage, ...]  # best first, numbered from 1
    prompt: str  # the exact characters (or JSON, for an API) that were sent
    model: str
    timing: Timing
    cited: dict[int, Passage]  # by the number the text uses; a number without a passage is not here
    invented: tuple[int, ...] = ()  # numbers the text cites that no passage has
    thought: str = ""  # what the model wrote to itself before
    remote: str = ""  # the machine the prompt was sent to; '' for this one
    searched: str = ""  # what was searched for, where that is not the question itself
    left_out: tuple[str, ...] = ()  # what the model was not shown for want of room, a line for each


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long work is."""

    step: str  # 'estimate' (nothing is done yet), 'read', 'embed', 'store', 'download'
    done: int
    total: int  # 0: not known yet
    unit: str = "chunks"
    seconds_left: float | None = None  # None: not known


Report = Callable[[Progress], None]
"""Is told now and then how far a long work is."""

Reader = Callable[[Path], Iterator[Document | Unread]]
"""Reads one file. Raises: ReadError, which costs what was not read yet of that file only. Marks rise; no document is
empty; the sources of a file's documents differ and begin with its path."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Puts `text` in the place of document.text[start:end]."""

    start: int
    end: int
    text: str
    reason: str  # 'page number', 'soft hyphen': what `openbook read` says of it


Cleaner = Callable[[Document], Sequence[Edit]]
"""Finds what to change in a document's text. Edits rise and do not overlap; `text.apply` moves the marks along."""

Splitter = Callable[[Document, str], Iterator[Chunk]]
"""Splits a document, whose id is the second argument. Starts rise; characters outside every chunk are white space."""


class Embedder(Protocol):
    """Turns texts into vectors, so that texts of like meaning lie near each other."""

    @property
    def dim(self) -> int:
        """Numbers in a vector."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same text would get another vector: weights, pooling, prefixes, dim."""

    @property
    def window(self) -> int:
        """Tokens of a text, as `tokens` counts them, that the model can take in; 0 when there is no limit."""

    @property
    def languages(self) -> frozenset[str]:
        """ISO 639-1 codes of the languages the model was made for; empty: no language in particular."""

    @property
    def remote(self) -> str:
        """The machine that texts are sent to; '' when they stay on this one."""

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """Embed texts in order: shape (len(texts), dim), rows of length 1; no texts give shape (0, dim).

        A text longer than the window is embedded whole, as the mean of its windows: nothing is silently cut off.
        """

    def tokens(self, text: str) -> Sequence[tuple[int, int]]:
        """Start and end in the text of each token, in order: what counts towards the window, without prefix."""


class Store(Protocol):
    """Keeps chunks with their vectors and words in one folder, and finds the nearest.

    Made with (folder, dim), both given by the book; opening a folder again shows what was last added. Every
    method that changes something is atomic: killed at any moment, the change is there whole or not at all.
    """

    def add(self, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Add chunks, vectors[i] belonging to chunks[i]."""

    def nearest(
        self, vector: Vectors, k: int, *, within: Collection[str] | None = None, exact: bool = False
    ) -> list[Passage]:
        """The k chunks nearest to one vector of shape (dim,), best first; score is the cosine, via 'dense'.

        `within` are the ids of the documents to look in (None: all); `exact` compares every vector.
        """

    def match(self, words: str, k: int, *, within: Collection[str] | None = None) -> list[Passage]:
        """The k chunks whose `indexed` matches the words best by BM25, best first, via 'bm25'. Takes any string."""

    def vectors(
        self, document_ids: Iterable[str], starts: Collection[int] | None = None
    ) -> Iterator[tuple[Chunk, Vectors]]:
        """Every chunk of these documents with its vector of shape (dim,), in no particular order.

        `starts` are where a chunk has to begin, in whichever of the documents (None: anywhere).
        """

    @property
    def word_forms(self) -> str:
        """ISO 639-1 of the language whose word forms and stop words `match` knows; '': of none, or not of one alone."""

    def remove(self, document_ids: Iterable[str]) -> int:
        """Remove all chunks of these documents; the number of chunks removed."""

    def optimize(self, language: str = "") -> None:
        """Bring indexes up to date and give back disk space, where a store has such a thing.

        `language` (ISO 639-1) is the one most of the text is in: its word forms and stop words are what `match`
        knows from now on; '' leaves that as it is.
        """

    def chunks(self) -> Iterator[Chunk]:
        """Every chunk, in no particular order."""

    def counts(self) -> dict[str, int]:
        """Number of chunks by document id."""

    def __len__(self) -> int:
        """Number of chunks."""

    def close(self) -> None:
        """Let go of files and connections. Closing twice is allowed."""


Rewriter = Callable[[str, Sequence[Message]], Sequence[str]]
"""Makes of a question, and of what was said before it, what to search for: never empty.

The first is the question as it stands alone. Others may follow: what is found for each is put together. Without a
history it is the question itself, and nothing was asked of a model. A rewriter may need `llm`, given by the book.
"""


class Retriever(Protocol):
    """Finds the passages of a store that answer a question."""

    def __call__(
        self,
        question: str,
        k: int,
        store: Store,
        embed: Callable[[str], Vectors],
        within: Collection[str] | None = None,
        *,
        foreign: bool = False,
    ) -> list[Passage]:
        """At most k passages, best first, of the documents `within` (None: of all).

        `embed` gives the question's vector, shape (dim,); not called, not loaded. `foreign`: the question is in
        another language than the documents.
        """


Refiner = Callable[[str, list[Passage], int], list[Passage]]
"""Reorders, joins, shortens or drops passages. Never adds one from outside the book.

The number is how many are wanted; more are given, best first, so that some can be dropped, and more may be returned.
A refiner may need `embedder`, `llm`, `store` or `document` (Passage -> Document): fields without a default, given by
the book.
"""


class Prompt(Protocol):
    """Puts passages and a question into messages for a model."""

    @property
    def passages(self) -> int:
        """How many passages to retrieve for one question."""

    def messages(self, question: str, passages: Sequence[Passage], history: Sequence[Message] = ()) -> list[Message]:
        """What to say to the model; passages, best first, are numbered from 1, in whatever order they are shown.

        `history` is what was said before, without passages: turns of 'user' and 'assistant' by turns. A 'system'
        message may stand first: what is remembered of turns before these.
        """


Stream: TypeAlias = Generator[str | Thought | Usage, None, None]
"""What a model thinks and an answer's characters as they come, then one Usage. Closing it stops the model."""


class LLM(Protocol):
    """Continues messages with text. Loads on first use."""

    @property
    def name(self) -> str:
        """What an answer says it came from."""

    @property
    def context(self) -> int:
        """Tokens, prompt and answer together."""

    @property
    def remote(self) -> str:
        """The machine that messages are sent to; '' when they stay on this one."""

    @property
    def parallel(self) -> int:
        """How many streams may go on at once without waiting for each other, 1 or more."""

    @property
    def format(self) -> str:
        """How messages are put into characters and who said so, in a line; '' where a service does it."""

    def prepare(self) -> None:
        """Begin loading in the background, if there is anything to load; returns at once."""

    def count(self, text: str) -> int:
        """Tokens of a text, by the model's own tokenizer where there is one."""

    def render(self, messages: Sequence[Message]) -> str:
        """The exact characters that `stream` would send."""

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        """Thoughts and the answer's characters as they come, then one Usage.

        A grammar is in GBNF, llama.cpp's notation; a model that knows none ignores it. Raises: ModelError.
        """

    def choose(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        """The probability of each choice as the first word of the answer: 0 to 1, together at most 1.

        Letter case and white space before the word are set aside. A word of several tokens is told by its first one;
        0 says that it is not among the likeliest. Raises: ModelError, also when the model cannot tell.
        """

    def close(self) -> None:
        """End what was started. Closing twice is allowed; a later call starts it again."""
