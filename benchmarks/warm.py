"""Seconds to the first word, and tokens that need not be read again: cold, and after prompts that share something.

    python benchmarks/warm.py --model qwen2.5-coder-1.5b --questions 5

Passages are pieces of 500 characters of the Bible of the package, three for a question, as the default prompt shows
them. Loading the model is not counted. Each case is one prompt for each question, in turn:

- cold: nothing of it was read before but the system's text, as the first question of a new topic
- again: the same prompt once more
- follow-up: the same passages, another question
- earlier: a prompt that was read before the last one, out of memory (`cache_mb`)
- next run: the same prompt in a new process, out of the file that the last one kept (`keep_prompt`)
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from measure import machine, table

from openbook.demo import kjv
from openbook.llms.llamacpp import LlamaCpp
from openbook.prompts.cited import Cited
from openbook.types import Chunk, Message, Passage, Usage

CHARACTERS = 500  # of a passage
QUESTIONS = ("Who speaks here, and to whom?", "Which place is named first?")


def prompt(text: str, number: int, question: str) -> list[Message]:
    """A question about three passages that no other number has."""
    starts = [(number * 3 + place) * 40 * CHARACTERS for place in range(3)]
    chunks = [Chunk("kjv", at, at + CHARACTERS, text[at : at + CHARACTERS], "the Bible") for at in starts]
    return Cited().messages(question, [Passage(chunk, 1.0, "bm25", ("kjv.txt",)) for chunk in chunks])


def first_word(llm: LlamaCpp, messages: list[Message]) -> tuple[float, Usage]:
    """Seconds until it came, and what the whole took."""
    started = time.perf_counter()
    stream = llm.stream(messages, 4)
    next(stream)
    seconds = time.perf_counter() - started
    return seconds, [part for part in stream if isinstance(part, Usage)][0]


def main() -> None:
    """Ask, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--questions", type=int, default=5)
    wanted = parser.parse_args()
    found: dict[str, list[tuple[float, Usage]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        text = kjv(Path(folder)).read_text(encoding="utf-8")
    llm = LlamaCpp(model=wanted.model, keep_prompt=True)
    llm.count("load")
    first_word(llm, prompt(text, wanted.questions, QUESTIONS[0]))
    for number in range(wanted.questions):
        asked, other = (prompt(text, number, question) for question in QUESTIONS)
        for case, messages in (("cold", asked), ("again", asked), ("follow-up", other)):
            found.setdefault(case, []).append(first_word(llm, messages))
    for number in range(wanted.questions - 1):
        found.setdefault("earlier", []).append(first_word(llm, prompt(text, number, QUESTIONS[1])))
    for number in range(wanted.questions):
        first_word(llm, prompt(text, number, QUESTIONS[0]))
        llm.close()
        llm.count("load")
        found.setdefault("next run", []).append(first_word(llm, prompt(text, number, QUESTIONS[0])))
    llm.close()
    cold = statistics.median(seconds for seconds, _ in found["cold"])
    rows: list[list[object]] = [["case", "first word, s", "of cold", "prompt tokens", "read before"]]
    for case, measured in found.items():
        seconds = statistics.median(seconds for seconds, _ in measured)
        tokens = statistics.median(usage.prompt_tokens for _, usage in measured)
        cached = statistics.median(usage.cached_tokens for _, usage in measured)
        rows.append([case, f"{seconds:.2f}", f"{seconds / cold:.0%}", f"{tokens:.0f}", f"{cached:.0f}"])
    print(f"{wanted.model}, {wanted.questions} questions, medians; {machine()}\n")
    print(table(rows))


if __name__ == "__main__":
    main()
