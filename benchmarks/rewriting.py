"""What rewriting follow-up questions gains: recall of the passages that answer the last turn of a conversation.

    python benchmarks/rewriting.py --data ../shared/data --cache rewriting-cache

Prints Markdown: one row for each way to search, on the conversations of `mtrag-un` that have a history. Prompts and
weights were chosen on every other conversation (in the order of their ids); the rest is the held-out half. Documents
are split and found as the default recipe does it, and judged by their best chunk. What the model wrote stays in the
cache with its seconds, so a run that was stopped goes on. `p` is a paired randomisation test of recall@5 against the
question as it was typed, without correction for the number of rows.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import machine, table
from retrieval import embedded, fill
from sets import lines, load

from openbook import registry
from openbook.bench.ranking import Relevant, recall, reciprocal_rank
from openbook.bench.statistics import p_value
from openbook.recipe import Recipe, digest
from openbook.rewriters.followup import FollowUp
from openbook.rewriters.previous import turns
from openbook.rewriters.standing import stands_alone
from openbook.searching import POOL, fused
from openbook.types import LLM, Message, Passage, Retriever, Stream, Usage

SET = "mtrag-un"
HEADING = ["searched for", "R@5", "better / worse", "p", "R@3", "MRR@10"]
HALVES = {"chosen on": 0, "held out": 1}


@dataclass(frozen=True, slots=True)
class Turn:
    """The last question of a conversation."""

    question: str
    history: tuple[Message, ...]
    relevant: Relevant


class Remembering:
    """An LLM whose answers, with the seconds they took, are kept in a file: they depend on its messages alone."""

    def __init__(self, llm: LLM, path: Path) -> None:
        self._llm, self._path = llm, path
        self._known: dict[str, dict[str, Any]] = {one["key"]: one for one in (lines(path) if path.exists() else ())}
        self.seconds: list[float] = []

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        """As the LLM does."""
        key = digest(self._llm.name, [(one.role, one.content) for one in messages], max_tokens)
        if key not in self._known:
            self._llm.count("")  # loading is not the question's time
            began = time.perf_counter()
            *words, usage = self._llm.stream(messages, max_tokens, grammar)
            assert isinstance(usage, Usage)
            self._known[key] = {
                "key": key,
                "text": "".join(filter(lambda part: isinstance(part, str), words)),  # type: ignore[arg-type]
                "stopped": usage.stopped,
                "seconds": time.perf_counter() - began,
            }
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(self._known[key], ensure_ascii=False) + "\n")
        known = self._known[key]
        self.seconds.append(known["seconds"])
        yield known["text"]
        yield Usage(stopped=known["stopped"])


def conversations(folder: Path) -> list[Turn]:
    """Those with a history, in the order of their ids."""
    relevant: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
        asked, document, score = line.split("\t")
        if int(score) > 0:
            relevant.setdefault(asked, {})[document] = int(score)
    roles = {"user": "user", "agent": "assistant"}
    found = sorted((one for one in lines(folder / "queries.jsonl") if one["history"]), key=lambda one: str(one["_id"]))
    return [
        Turn(
            one["text"],
            tuple(Message(roles[said["speaker"]], said["text"]) for said in one["history"]),  # type: ignore[arg-type]
            relevant[one["_id"]],
        )
        for one in found
    ]


def order(passages: Sequence[Passage]) -> list[str]:
    """Document ids in the order of their best chunk."""
    return list(dict.fromkeys(passage.chunk.document_id for passage in passages))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("OPENBOOK_DATA", "../shared/data")))
    parser.add_argument("--llm", default=str(Recipe().llm))
    parser.add_argument("--retriever", default=str(Recipe().retriever))
    parser.add_argument("--half", choices=[*HALVES, "both"], default="both")
    parser.add_argument("--cache", type=Path, default=Path("rewriting-cache"))
    options = parser.parse_args()

    about = machine()  # before our own load
    recipe = Recipe().with_step("retriever", options.retriever)
    case = load(options.data, SET)
    embedder = registry.make("embedder", recipe.embedder)
    splitter = registry.make("splitter", recipe.splitter, spans=embedder.tokens)
    chunks = [chunk for document in case.documents for chunk in splitter(document, document.source)]
    vectors = embedded(embedder, [chunk.indexed for chunk in chunks], "document", options.cache)
    options.cache.mkdir(parents=True, exist_ok=True)
    folder = options.cache / f"store-{digest(str(recipe.splitter), embedder.fingerprint)}"
    made = folder.exists()
    store = registry.make("store", recipe.store, folder=folder, dim=embedder.dim)
    retriever: Retriever = registry.make("retriever", recipe.retriever)
    llm: LLM = registry.make("llm", registry.llm_spec(options.llm))
    remembering = Remembering(llm, options.cache / "rewrites.jsonl")
    rewrite = FollowUp(remembering)  # type: ignore[arg-type]
    with closing(store), closing(llm):
        if not made:
            fill(store, chunks, vectors, "en")
        found: dict[str, list[Passage]] = {}

        def find(*asked: str) -> list[str]:
            for one in asked:
                if one not in found:
                    found[one] = retriever(one, POOL, store, lambda text: embedder.embed([text], "query")[0])
            return order(fused([found[one] for one in asked]) if len(asked) > 1 else found[asked[0]])

        every = conversations(options.data / SET)
        chosen = [
            turn for index, turn in enumerate(every) if options.half == "both" or index % 2 == HALVES[options.half]
        ]
        written = {id(turn): tuple(rewrite(turn.question, turn.history)) for turn in chosen}
        ways: dict[str, Callable[[Turn], list[str]]] = {
            "the question as typed": lambda turn: find(turn.question),
            "all questions so far, as one text": lambda turn: find(
                "\n".join([*(asked for asked, _ in turns(turn.history)), turn.question])
            ),
            "the one before and it, as one text": lambda turn: find(written[id(turn)][1]),
            "as typed; and with the one before (`previous`, no model)": lambda turn: find(
                turn.question, written[id(turn)][1]
            ),
            "rewritten": lambda turn: find(written[id(turn)][0]),
            "**rewritten; and as typed with the one before** (`followup`)": lambda turn: find(*written[id(turn)]),
        }
        rankings = {name: {id(turn): way(turn) for turn in chosen} for name, way in ways.items()}
    print(f"{about}\n\n`{options.llm}`, `{recipe.retriever}`, {len(chunks):,} chunks\n")
    parts = {name: [turn for index, turn in enumerate(every) if index % 2 == half] for name, half in HALVES.items()}
    for name, part in {**parts, "all": every}.items():
        if all(id(turn) in written for turn in part):
            alone = sum(stands_alone(turn.question) for turn in part)
            print(f"{name}: {len(part)} conversations, in {alone} the last question stands alone (no model is asked)\n")
            print(table([HEADING, *(row(way, of, rankings, part) for way, of in rankings.items())]), "\n")
    print(f"seconds to rewrite, median: {statistics.median(remembering.seconds):.1f}")


def row(
    name: str, of: dict[int, list[str]], rankings: dict[str, dict[int, list[str]]], part: Sequence[Turn]
) -> list[str]:
    """One way to search."""
    first = next(iter(rankings.values()))
    mine, typed = ([recall(way[id(turn)], turn.relevant, 5) for turn in part] for way in (of, first))
    three = statistics.fmean(recall(of[id(turn)], turn.relevant, 3) for turn in part)
    ranks = statistics.fmean(reciprocal_rank(of[id(turn)], turn.relevant, 10) for turn in part)
    better, worse = (sum(sign * (a - b) > 0 for a, b in zip(mine, typed, strict=True)) for sign in (1, -1))
    against = ["", ""] if of is first else [f"{better} / {worse}", f"{p_value(mine, typed):.4f}"]
    return [name, f"{100 * statistics.fmean(mine):.1f}", *against, f"{100 * three:.1f}", f"{100 * ranks:.1f}"]


if __name__ == "__main__":
    main()
