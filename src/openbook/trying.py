"""Tries a model out: ten questions about a page it cannot know, and what a wrong chat format costs it.

page + question --the model's format--> answer --judged without a judge--> right, clean, refused, ended by itself
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from openbook.errors import ModelError
from openbook.judging import clean, contains, refuses
from openbook.llms.llamacpp import LlamaCpp
from openbook.models.gguf import Header
from openbook.prompts.cited import Cited
from openbook.prompts.deciding import PROBE, decide
from openbook.types import Chunk, Message, Passage, Progress, Report

# An island that is not: no model has read of it, so what it answers is from the page or made up.
PAGE = """\
Orvane is a small island in the Sea of Tellis, eleven kilometres west of the harbour town of Brimhollow. It was \
settled in 1742 by Katrin Oldwether, a widow who came with four goats and a loom. Today 613 people live there, \
most of them in the village of Quill.

The island is known for its blue salt. It is scraped from the rocks of Marrow Bay in August, dried for nine days \
and sold in boxes of birch bark. Its colour comes from an alga that the islanders call sailor's ink. In 1968 a \
storm carried away both salt houses; they were built again with stones from the old chapel.

The only school was founded by Ambrose Fenn, who taught there for thirty-one years. It has two rooms and a bell \
that is rung at half past seven. Children learn to row before they learn to write, because the ferry does not \
run between December and March. The ferry is called Patient Anna. It crosses on Tuesdays and Fridays and takes \
fifty minutes.

Orvane has no cars. Goods are drawn from the pier to the village by a cable railway with a single green wagon. \
It was built in 1903 by the engineer Lucia Marchetto and runs on water: a tank at the upper end is filled from a \
spring, and its weight pulls the wagon up. A ride costs two coppers, a coin that is used nowhere else.

The highest point is Hob's Chair, 214 metres above the sea. A lighthouse stood there until 1951, when it was \
moved to the northern cape, as fog hid its light on ninety nights of the year. Its last keeper was Jory Tamsin, \
who kept a tame raven named Bishop. On the first Sunday in May the islanders carry lanterns up to Hob's Chair \
and eat barley cakes filled with plums."""

QUESTIONS: Sequence[tuple[str, Sequence[str]]] = (
    ("Who settled Orvane?", ("Oldwether",)),
    ("How many people live on Orvane today?", ("613",)),
    ("What is the ferry called?", ("Patient Anna",)),
    ("For how many days is the blue salt dried?", ("nine", "9")),
    ("Who built the cable railway?", ("Marchetto",)),
    ("How high is Hob's Chair?", ("214",)),
    ("Why was the lighthouse moved?", ("fog",)),
    ("On which days does the ferry cross?", ("Tuesdays and Fridays", "Tuesday and Friday", "Tuesdays and on Fridays")),
    ("Who is the mayor of Quill?", ()),  # the page does not say
    ("How many sheep are kept on Orvane?", ()),
)
"""Each with the words one of which the answer must hold; () where the page has no answer."""

ANSWERABLE = sum(bool(expected) for _, expected in QUESTIONS)
UNANSWERABLE = len(QUESTIONS) - ANSWERABLE
MAX_TOKENS = 48
CONTEXT = 2048  # the page, a question and an answer have some 600 tokens
WRONG = "vicuna-1.1"  # what it costs to speak to a model as to another one


@dataclass(frozen=True, slots=True)
class Way:
    """One way to speak to a model."""

    name: str
    write: Callable[[Sequence[Message]], str]  # messages -> prompt
    stop: Sequence[str]


@dataclass(frozen=True, slots=True)
class Said:
    """One question and what the model made of it."""

    question: str
    answer: str
    right: bool  # holds the expected words; of a question without an answer: refuses
    clean: bool  # right, and does not also say that there is no answer
    refused: bool
    ended: bool  # the model ended by itself


@dataclass(frozen=True, slots=True)
class Score:
    """Ten questions in one format."""

    format: str
    said: tuple[Said, ...]

    @property
    def answerable(self) -> tuple[Said, ...]:
        """What it said to the questions that the page answers."""
        return self.said[:ANSWERABLE]

    @property
    def right(self) -> int:
        """Of ANSWERABLE: the answer holds the expected words."""
        return sum(one.right for one in self.answerable)

    @property
    def clean(self) -> int:
        """Of ANSWERABLE: right, and not also saying that there is no answer."""
        return sum(one.clean for one in self.answerable)

    @property
    def refused(self) -> int:
        """Of UNANSWERABLE: it says that there is no answer."""
        return sum(one.refused for one in self.said[ANSWERABLE:])

    @property
    def ended(self) -> int:
        """Of all: the model ended by itself, not at MAX_TOKENS."""
        return sum(one.ended for one in self.said)


@dataclass(frozen=True, slots=True)
class Trial:
    """What trying a model showed."""

    name: str
    format: str  # how it was spoken to, and who said so
    guessed: bool
    findings: tuple[str, ...]  # mistakes of the format that its tokens show
    score: Score
    formats: tuple[Score, ...]  # the same ten in other formats, where that was asked for
    load_seconds: float
    prompt_speed: float  # tokens read in a second; 0: too few to tell
    answer_speed: float  # tokens written in a second
    peak_bytes: int  # most memory that its process had; 0 where the system does not tell
    verdict: str


def try_model(llm: LlamaCpp, *, formats: bool = False, report: Report | None = None) -> Trial:
    """Load a model, look at its format, ask it the ten questions; with `formats` in three wrong formats too.

    Raises:
        ModelError: There is no such file, it is damaged, it makes no text, or its template fails.
    """
    decided = llm.decided
    _refuse_embedder(llm.header)
    ways = [Way(decided.name or "its own", llm.render, decided.stop), *(_wrong(llm) if formats else ())]
    tell = _told(report, len(ways) * len(QUESTIONS))
    start = perf_counter()
    llm.count("")
    load_seconds = perf_counter() - start
    with llm.client.running():
        findings = tuple(llm.check())
        clock = _Clock()
        scores = [Score(way.name, tuple(_asked(llm, way, clock, tell))) for way in ways]
        peak_bytes = llm.client.server.peak_bytes() if llm.client.server else 0
    right, *others = scores
    return Trial(
        llm.name,
        decided.origin,
        decided.guessed,
        findings,
        right,
        tuple(others),
        load_seconds,
        clock.prompt.speed,
        clock.answer.speed,
        peak_bytes,
        verdict(right, plain=decided.name == "plain", misfit=bool(findings)),
    )


def verdict(score: Score, *, plain: bool = False, misfit: bool = False) -> str:
    """One sentence on what a model is good for; `misfit` says that its tokens do not fit its format."""
    of = f"{score.clean} of {ANSWERABLE} right"
    if plain and score.ended <= len(QUESTIONS) // 2:
        return f"is a base model: it goes on instead of ending its answer ({of}). Take its instruct or chat file."
    if misfit or score.ended <= len(QUESTIONS) // 2:
        return (
            f"does not follow: it ended {score.ended} of {len(QUESTIONS)} answers by itself ({of}). "
            "Use another format (--template NAME); where none helps, it is a base model or a damaged file."
        )
    if score.clean * 4 >= ANSWERABLE * 3:
        if score.refused:
            return f"answers from what it is given ({of}), and says when it is not there."
        return f"answers from what it is given ({of}), but makes up what is not there: look at its citations."
    refused = sum(one.refused for one in score.answerable)
    if refused > ANSWERABLE // 2:
        return f"refuses what it was shown ({refused} of {ANSWERABLE} times): too small, or its format is wrong."
    if score.clean * 2 >= ANSWERABLE:
        return f"answers the plain questions only ({of}): for short passages, or take a larger model."
    return f"too small: it cannot find an answer in what it is given ({of})."


@dataclass(slots=True)
class _Rate:
    """Tokens in seconds, added up."""

    tokens: int = 0
    milliseconds: float = 0.0

    def add(self, tokens: int, milliseconds: float) -> None:
        self.tokens, self.milliseconds = self.tokens + tokens, self.milliseconds + milliseconds

    @property
    def speed(self) -> float:
        return self.tokens / self.milliseconds * 1000 if self.milliseconds > 0 else 0.0


class _Clock:
    def __init__(self) -> None:
        self.prompt, self.answer = _Rate(), _Rate()

    def add(self, timings: dict[str, Any]) -> None:
        self.prompt.add(timings.get("prompt_n", 0), timings.get("prompt_ms", 0.0))
        self.answer.add(timings.get("predicted_n", 0), timings.get("predicted_ms", 0.0))


def _asked(llm: LlamaCpp, way: Way, clock: _Clock, tell: Callable[[], None]) -> Iterator[Said]:
    page = Passage(Chunk("orvane", 0, len(PAGE), PAGE), 1.0, "given", ("orvane.txt",))
    for question, expected in QUESTIONS:
        prompt = way.write(Cited().messages(question, [page]))
        # Without the stop strings, so that it is seen whether the model ends by itself.
        body = {"prompt": prompt, "n_predict": MAX_TOKENS, "temperature": 0, "seed": 0, "cache_prompt": True}
        answer = llm.client.post("/completion", body).json()
        clock.add(answer.get("timings", {}))
        text = _cut(str(answer.get("content", "")), way.stop)
        yield Said(
            question,
            text,
            right=bool(contains(text, expected)) if expected else refuses(text),
            clean=bool(clean(text, expected)),
            refused=refuses(text),
            ended=answer.get("stop_type") == "eos",
        )
        tell()


def _cut(text: str, stop: Sequence[str]) -> str:
    """The answer as a reader would get it: without thoughts, up to the first stop string."""
    text = text.rpartition("</think>")[2]
    return text[: min((found for one in stop if (found := text.find(one)) >= 0), default=len(text))].strip()


def _wrong(llm: LlamaCpp) -> Iterator[Way]:
    probe = llm.render(PROBE)
    at = _last_white(probe, probe)
    if at >= 0:
        missing = "space" if probe[at] == " " else "line break"
        yield Way(f"one {missing} missing", lambda messages: one_missing(llm.render(messages), probe), llm.decided.stop)
    for name in (WRONG, "plain"):
        one = decide(llm.header, named=name)
        if name != llm.decided.name:
            yield Way(name, one.render, one.stop)


def one_missing(prompt: str, probe: str) -> str:
    r"""The prompt without the last line break or space of its format; `probe` is PROBE in that format.

    >>> one_missing("<|user|>\nHi<|end|>\n<|assistant|>\n", "Why?<|end|>\n<|assistant|>\n")
    '<|user|>\nHi<|end|>\n<|assistant|>'
    >>> one_missing("USER: Hi there ASSISTANT:", "USER: Why? ASSISTANT:")
    'USER: Hi thereASSISTANT:'
    """
    at = _last_white(prompt, probe)
    return prompt[:at] + prompt[at + 1 :] if at >= 0 else prompt


def _last_white(prompt: str, probe: str) -> int:
    """Where the last white space stands that the format wrote, -1 where there is none after the question."""
    question = PROBE[-1].content
    tail = len(probe) - probe.rindex(question) - len(question)
    return next((at for at in range(len(prompt) - 1, len(prompt) - tail - 1, -1) if prompt[at].isspace()), -1)


def _refuse_embedder(header: Header) -> None:
    causal = header.metadata.get(f"{header.architecture}.attention.causal")
    if header.pooling not in {"", "none"} or causal is False:
        raise ModelError(
            f"{header.path.name} is an embedder: it makes vectors, not words. "
            f"Use it in a book with: --set embedder=\"llamacpp(model='{header.path}')\""
        )


def _told(report: Report | None, total: int) -> Callable[[], None]:
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        if report is not None:
            report(Progress("ask", done, total, "questions"))

    return tell
