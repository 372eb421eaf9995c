"""A model that says of each answer whether it is right: `[run] judge = "llamacpp(model='qwen2.5-coder-1.5b')"`.

question, expected answers, gold text, answer --the pinned prompt--> Yes or No, at temperature 0

A judge is a measure beside the others, `judged`, never in their place: how often it agrees with those that need no
judge is shown with it (`Agreement`). What it said is kept under a key of its own, so that another judge, or another
version of the prompt, judges anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openbook import registry
from openbook.bench.questions import key_of, question_of
from openbook.bench.results import Results, RunRow, TrialRow
from openbook.book import Book
from openbook.completing import complete
from openbook.errors import SpecError
from openbook.judging import plain
from openbook.recipe import Spec, digest
from openbook.remembering import fingerprint
from openbook.types import LLM, Message

PROMPT = 1  # counts up with every change of a word: the file of each version stays
GRAMMAR = 'root ::= "Yes" | "No"'
MAX_TOKENS = 4  # of a model that obeys no grammar
AROUND = 150  # characters of the documents before and behind a gold,
LONGEST = 700  # and of all of it
BESIDE = ("clean", "contains")  # the measures it is held against


def judged_by(spec: str) -> dict[str, Any]:
    """Who judges, as it goes into the settings of a run: all that a verdict depends on beside the answer.

    Raises:
        SpecError: It is no model, or one that answers by chance.
        ModelError: The model is not here.
    """
    llm = registry.llm_spec(spec)
    if float(registry.check("llm", llm).get("temperature") or 0) > 0:
        raise SpecError(f"[run] judge = {spec!r} draws its words by chance. Leave temperature out: a judge takes 0.")
    return {"llm": str(llm), "identity": fingerprint(llm), "prompt": PROMPT}


def judge_key(judge: Mapping[str, Any], answer_key: str) -> str:
    """Of the stage in which it judges the answers of that stage."""
    return digest("judge", answer_key, judge["identity"], judge["prompt"])


def prompt(version: int = PROMPT) -> str:
    """Its words, parted by lines '---': system and question, then both for what the documents do not answer."""
    return Path(__file__).with_name(f"judge-{version}.txt").read_text("utf-8").strip()


def messages(question: str, expected: Sequence[str], gold: str, answer: str) -> list[Message]:
    """What it is asked of one answer; without any expected and gold, the documents do not answer."""
    parts = prompt().split("\n---\n")
    system, asked = parts[:2] if expected or gold else parts[2:]
    told = {"question": question, "expected": " | ".join(expected), "gold": gold, "answer": " ".join(answer.split())}
    lines = []
    for line in asked.splitlines():
        name = next((one for one in told if f"{{{one}}}" in line), "")
        if not name or told[name]:  # a line about what is not known is left out
            lines.append(line.replace(f"{{{name}}}", told[name]) if name else line)
    return [Message("system", system), Message("user", "\n".join(lines))]


def verdict(llm: LLM, asked: Sequence[Message]) -> tuple[bool, str]:
    """Whether it says Yes, and its words.

    Raises:
        ModelError: As `LLM.stream`.
    """
    said, _ = complete(llm, asked, MAX_TOKENS, GRAMMAR)
    return plain(said).split()[:1] == ["yes"], said.strip()


def tasks(row: RunRow, results: Results) -> Iterator[tuple[TrialRow, str, dict[str, Any]]]:
    """What is left to judge of a run: a row, the key of the stage, its task."""
    by = row.settings.get("judged_by")
    if not by:
        return
    questions = map(question_of, row.questions)
    asked = {key_of(one): one for one in questions if one.answers or one.gold or not one.answerable}
    for trial in row.trials:
        key = judge_key(by, trial.answer_key)
        known = results.of(key)
        left = [
            {
                "key": name,
                "text": asked[name].text,
                "answers": asked[name].answers,
                "gold": [stretch for stretches in row.gold.get(asked[name].id, []) for stretch in stretches],
                "said": value["text"],
            }
            for name, value in results.of(trial.answer_key).items()
            if name in asked and "text" in value and known.get(name, {}).get("of") != digest(value["text"])
        ]
        if left:
            yield trial, key, {"llm": by["llm"], "questions": left}


def judge(task: Mapping[str, Any], results: Results, say: Callable[..., None]) -> dict[str, Any]:
    """The stage: a verdict on each of these answers, as long as there is time."""
    llm: LLM = registry.make("llm", Spec.parse(task["llm"]))
    try:
        with Book.open(task["folder"]) as book:
            texts = {name: document.text for name, document in book.documents.all()}
        for number, one in enumerate(task["questions"]):
            if task.get("until") and time.time() > task["until"]:
                break
            say(step="judge", done=number, total=len(task["questions"]))
            asked = messages(one["text"], one["answers"], gold_text(one["gold"], texts), one["said"])
            right, said = verdict(llm, asked) if one["said"].strip() else (False, "")
            results.add(task["key"], one["key"], {"right": right, "said": said, "of": digest(one["said"])})
    finally:
        llm.close()
    return {"model": task["llm"]}


def gold_text(stretches: Sequence[Sequence[Any]], texts: Mapping[str, str]) -> str:
    """The first gold, as it stands in its document with some words around it; '' where there is none."""
    for name, start, end, *_ in stretches:
        if text := texts.get(str(name)):
            first, last = max(0, start - AROUND), min(len(text), end + AROUND)
            return " ".join(text[first : min(last, first + LONGEST)].split())
    return ""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a judge and a measure that needs none judge the same answers."""

    measure: str
    answers: int
    share: float  # on which they agree
    kappa: float  # Cohen's: 1 always, 0 as often as by chance
    only_judge: int  # answers that the judge alone calls right
    only_measure: int


def told(judge: Mapping[str, Any], found: Sequence[Agreement]) -> str:
    """How far a judge can be believed, in a sentence."""
    parts = [
        f"with {one.measure} on {one.share:.0%} of {one.answers:,} answers (kappa {one.kappa:.2f})" for one in found
    ]
    agrees = f"agrees {', '.join(parts)}" if parts else "has judged nothing yet"
    return f"judged: by {judge['llm']}, prompt {judge['prompt']}; {agrees}."


def agreement(measure: str, pairs: Sequence[tuple[float, float]]) -> Agreement:
    """Of (judged, measured) of each answer; right is above one half.

    Kappa is 1 where both call all answers the same. J. Cohen, A coefficient of agreement for nominal scales, 1960.

    >>> agreement("clean", [(1, 1), (1, 1), (0, 0), (1, 0)]).kappa
    0.5
    """
    both = [(judged > 0.5, measured > 0.5) for judged, measured in pairs]
    count = len(both)
    if not count:
        return Agreement(measure, 0, 0.0, 0.0, 0, 0)
    share = sum(one == other for one, other in both) / count
    first, second = (sum(side) / count for side in zip(*both, strict=True))
    chance = first * second + (1 - first) * (1 - second)
    kappa = (share - chance) / (1 - chance) if chance < 1 else 1.0
    only = sum(one and not other for one, other in both), sum(other and not one for one, other in both)
    return Agreement(measure, count, share, kappa, *only)
