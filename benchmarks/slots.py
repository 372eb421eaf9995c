"""What a local model's slots gain: eight calls, one, two and four at a time, short prompts and long ones.

    python benchmarks/slots.py smollm2-135m

Prints Markdown: seconds of all eight, the least of the rounds.
"""

from __future__ import annotations

import argparse
import time
from contextlib import closing

from measure import machine, table

from openbook.completing import complete_all
from openbook.demo import kjv
from openbook.home import home
from openbook.llms.llamacpp import LlamaCpp
from openbook.types import Message

CALLS = 8
SLOTS = (1, 2, 4)
WRITING = ("Tell a long story about the number {n}.", 96)  # a short prompt, so many tokens of an answer
READING = ("{text}\n\nWhat is this about?", 4)
CHARACTERS = 4000  # of a long prompt


def conversations(question: str) -> list[list[Message]]:
    """Eight prompts that share nothing but the model's template."""
    text = kjv(home() / "demo").read_text(encoding="utf-8")
    parts = [text[n * 50_000 : n * 50_000 + CHARACTERS] for n in range(CALLS)]
    return [[Message("user", question.format(n=n, text=part))] for n, part in enumerate(parts)]


def seconds(model: str, slots: int, question: str, max_tokens: int) -> float:
    """All eight calls on a fresh server that has loaded."""
    with closing(LlamaCpp(model, context=2048, parallel=slots)) as llm:
        llm.count("loaded")
        began = time.perf_counter()
        for _ in complete_all(llm, conversations(question), max_tokens):
            pass
        return time.perf_counter() - began


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    rows: list[list[object]] = [["", *(f"{slots} at a time" for slots in SLOTS)]]
    for name, (question, max_tokens) in (("writing", WRITING), ("reading", READING)):
        rounds = [
            [seconds(arguments.model, slots, question, max_tokens) for slots in SLOTS] for _ in range(arguments.rounds)
        ]
        rows.append([name, *(f"{min(column):.1f} s" for column in zip(*rounds, strict=True))])
    print(machine(), table(rows), sep="\n\n")


if __name__ == "__main__":
    main()
