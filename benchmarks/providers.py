"""How far tokens told from characters are from those of a tokenizer, and what it costs to load the vendors' SDKs.

python benchmarks/providers.py tokens MODEL.gguf FILE...      share of the tokenizer's count, by samples
python benchmarks/providers.py sdk anthropic|google           first and second answer of a server on this machine
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from pathlib import Path

from measure import machine, table

from openbook import registry
from openbook.llms.llamacpp import LlamaCpp
from openbook.llms.remote import about
from openbook.recipe import Spec
from openbook.types import LLM, Message

SAMPLES, CHARACTERS = 12, 2000


def shares(path: Path, llm: LLM) -> list[object]:
    """Least, median and most of the samples of one file."""
    text, chance = path.read_text("utf-8", "replace"), random.Random(1)
    starts = [chance.randrange(max(1, len(text) - CHARACTERS)) for _ in range(SAMPLES)]
    pieces = [text[start : start + CHARACTERS] for start in starts]
    found = sorted(about(piece) / llm.count(piece) for piece in pieces)
    return [path.name, *(f"{found[index]:.2f}" for index in (0, SAMPLES // 2, -1))]


def answers(name: str) -> list[object]:
    """Seconds and memory of an SDK's first answers."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from services import ANTHROPIC, GOOGLE
    from speaking import speaking

    dialect = {"anthropic": ANTHROPIC, "google": GOOGLE}[name]
    with speaking(dialect.path) as talk:
        talk.script = [dialect.answer("Hello")]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        llm: LLM = registry.make("llm", Spec(name, {"url": talk.url, "model": "tiny", "key_env": "NO_KEY"}))
        row: list[object] = [name]
        for _ in range(2):
            began, spent = time.perf_counter(), time.process_time()
            list(llm.stream([Message("user", "Hello?")], 9))
            row += [f"{time.perf_counter() - began:.3f}", f"{time.process_time() - spent:.3f}"]
        llm.close()
    return [*row, f"{(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.0f}"]


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("tokens", "sdk"))
    parser.add_argument("names", nargs="+")
    chosen = parser.parse_args()
    print(machine(), "\n")
    if chosen.what == "sdk":
        heading = ["SDK", "first answer, s", "of a processor", "second, s", "of a processor", "memory, MB more"]
        print(table([heading, *(answers(name) for name in chosen.names)]))
        return
    llm = LlamaCpp(model=chosen.names[0], context=4 * CHARACTERS)
    try:
        rows = [shares(Path(name), llm) for name in chosen.names[1:]]
    finally:
        llm.close()
    print(table([["file", "least", "median", "most"], *rows]))


if __name__ == "__main__":
    main()
