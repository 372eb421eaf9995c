r"""Our `exact` and `f1` beside SQuAD's own evaluation script, on mangled answers to SQuAD's questions.

    python benchmarks/squad_metrics.py --official evaluate-v2.0.py --data ../shared/data

`--official` is the script of https://rajpurkar.github.io/SQuAD-explorer/, or any file with its functions compute_exact
and compute_f1, such as allennlp_models/rc/tools/squad.py in the wheel of allennlp-models. Answers are the expected ones
and those of other questions, with words lost, doubled and put round, in other case, with punctuation, articles, white
space and letters of other scripts, or empty. Citations such as [1] are no part of an answer to us: told apart.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from measure import table
from sets import lines

from openbook.judging import exact, f1

SETS = ("squad1", "squad2")
AROUND = ["", " ", "the ", "A ", "an", "«", "'", "\u2019", "!?", ".", ",", "\u00a0", "\u200b", "\t\n", "-", "$", "%"]
WORDS = [
    "the",
    "The",
    "a",
    "an",
    "theatre",
    "1,200",
    "U.S.",
    "naïve",
    "İstanbul",
    "Straße",
    "东京",
    "ﬁn",
    "é",
    "e\u0301",
]


def expected(data: Path, name: str) -> list[list[str]]:
    """The answers of each question of a set; none of one without."""
    found = [list(one["answers"]) for one in lines(data / name / "queries.jsonl")]
    path = data / name / "unanswerable.jsonl"
    return found + ([[] for _ in lines(path)] if path.exists() else [])


def mangled(answer: str, chance: random.Random) -> Iterator[str]:
    """An answer in ways in which a model may say it."""
    words = answer.split()
    yield from (answer, answer.upper(), answer.title(), answer.swapcase(), f"The {answer}.", answer.replace(" ", "-"))
    yield " ".join(chance.sample(words, len(words)))
    yield " ".join(words[: len(words) // 2])
    yield " ".join(word for word in words for _ in range(chance.choice([0, 1, 2])))
    for _ in range(6):
        begin, end, more = chance.choice(AROUND), chance.choice(AROUND), chance.sample(WORDS, chance.randint(0, 3))
        yield begin + chance.choice([" ", "\n", ""]).join(chance.sample([*words, *more], len(words) + len(more))) + end


def pairs(data: Path, names: Sequence[str], seed: int = 1) -> Iterator[tuple[str, list[str]]]:
    """An answer and what is expected of it."""
    chance = random.Random(seed)
    for name in names:
        asked = expected(data, name)
        known = [answer for answers in asked for answer in answers]
        for answers in asked:
            for one in [*answers, *chance.sample(known, 2), *chance.sample(WORDS, 2)]:
                yield from ((said, answers) for said in mangled(one, chance))
            yield from ((said, answers) for said in ("", " ", ".", "the"))
            yield chance.choice(known), [*answers, chance.choice(["the", "...", "a", "An!"])]


def official(module: ModuleType, said: str, answers: Sequence[str]) -> tuple[float, float]:
    """(exact, f1) as get_raw_scores of the script has it: the best of those answers that are more than an article."""
    wanted = [one for one in answers if module.normalize_answer(one)] or [""]
    return max(module.compute_exact(one, said) for one in wanted), max(module.compute_f1(one, said) for one in wanted)


def loaded(path: Path) -> ModuleType:
    """The functions of a file."""
    spec = importlib.util.spec_from_file_location("official", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(words: Sequence[str] | None = None) -> float:
    """Compare and print; the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("OPENBOOK_DATA", "../shared/data")))
    options = parser.parse_args(words)
    module = loaded(options.official)
    shown: list[list[Any]] = [["set", "answers judged", "exact", "f1", "largest difference", "with [1], exact differs"]]
    most = 0.0
    for name in SETS:
        count, differs, sums, here = 0, 0, [0.0, 0.0], 0.0
        for said, answers in pairs(options.data, [name]):
            theirs, ours = official(module, said, answers), (exact(said, answers), f1(said, answers))
            here = max(here, *(abs(a - b) for a, b in zip(theirs, ours, strict=True)))
            sums = [a + b for a, b in zip(sums, theirs, strict=True)]
            count += 1
            cited = f"{said} [1]"
            differs += official(module, cited, answers)[0] != exact(cited, answers)
        most = max(most, here)
        shares = [f"{100 * one / count:.2f}" for one in sums]
        shown.append([name, f"{count:,}", *shares, f"{here:.2g}", f"{differs:,}"])
    print(table(shown))
    return most


if __name__ == "__main__":
    main()
