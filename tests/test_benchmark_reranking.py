"""benchmarks/reranking.py: what a model said is asked for once, and the table shows what it changed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from openbook import registry
from openbook.llms.quote import Quote
from openbook.recipe import Spec
from openbook.types import Chunk, Message, Passage

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from reranking import HEADING, Remembering, Run, order, refined, row
from sets import Question


@dataclass(frozen=True)
class Judge(Quote):
    """Says yes to the whale."""

    asked: list[str] = field(default_factory=list)

    def choose(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        self.asked.append(messages[-1].content)
        return [0.9, 0.1] if "whale" in messages[-1].content else [0.1, 0.9]


def passages() -> list[Passage]:
    texts = ["a storm", "a whale", *(f"far {number}" for number in range(20))]
    return [
        Passage(Chunk(text, 0, len(text), text), 9.0 if number < 2 else 0.0, "hybrid")
        for number, text in enumerate(texts)
    ]


def test_what_a_model_said_is_remembered_with_its_seconds(tmp_path: Path) -> None:
    judge, path = Judge(), tmp_path / "choices.jsonl"
    for _ in range(2):
        llm = Remembering(judge, path)
        run = refined(registry.make("refiners", Spec("llm-rerank"), llm=llm), llm, "Where?", passages())
        assert (run.ids[:2], run.read) == (["a whale", "a storm"], 2)
        assert run.seconds > 0
    assert len(judge.asked) == 2


def test_a_row_says_what_changed_and_what_it_cost() -> None:
    asked = [Question("Where?", bool, {"b": 1}), Question("Who?", bool, {"a": 1})] * 20
    before = [Run(["a", "b"], 0, 0.0)] * 40
    after = [Run(["b", "a"], 3, 6.0), Run(["a", "b"], 0, 0.0)] * 20
    first, second = (row("set", "llm-rerank", asked, runs, before) for runs in (before, after))
    assert first[:5] == ["set", "(none)", "50.0", "100.0", "75.0"]
    assert second[:5] == ["set", "`llm-rerank`", "100.0", "100.0", "100.0"]
    assert second[5:] == ["0.0001", "50 %", "1.5", "3.0", "6.0"]
    assert len(first) == len(second) == len(HEADING)


def test_a_document_stands_where_its_best_chunk_does() -> None:
    chunks = [Passage(Chunk(name, start, start + 1, "x"), 1.0, "bm25") for start, name in enumerate("abacb")]
    assert order(chunks) == ["a", "b", "c"]
