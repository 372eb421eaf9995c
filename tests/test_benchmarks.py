"""The benchmarks measure what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))

from damage import WIDTH, from_pdf, quotes_found, words_lost, wrapped  # noqa: E402
from metrics import ndcg, p_value, recall, reciprocal_rank  # noqa: E402

RANKING = st.permutations([f"d{number}" for number in range(15)]).flatmap(
    lambda ids: st.integers(0, 15).map(lambda count: ids[:count])
)
RELEVANT = st.dictionaries(st.sampled_from([f"d{number}" for number in range(20)]), st.integers(1, 3), min_size=1)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(ranking=RANKING, relevant=RELEVANT, k=st.sampled_from([1, 5, 10]))
def test_measures_equal_those_of_ir_measures(ranking: list[str], relevant: dict[str, int], k: int) -> None:
    measures: dict[Callable[..., float], ir_measures.Measure] = {
        recall: ir_measures.R @ k,
        reciprocal_rank: ir_measures.RR @ k,
        ndcg: ir_measures.nDCG @ k,
    }
    run = {"q": {one: float(-rank) for rank, one in enumerate(ranking)}}
    expected = ir_measures.calc_aggregate(list(measures.values()), {"q": relevant}, run)
    for ours, theirs in measures.items():
        assert ours(ranking, relevant, k) == pytest.approx(expected[theirs], abs=1e-6)


def test_chance_is_not_called_a_difference() -> None:
    random = np.random.default_rng(3)
    same = [p_value(*random.random((2, 40)), rounds=500) for _ in range(200)]
    assert np.mean(np.array(same) < 0.05) == pytest.approx(0.05, abs=0.04)
    assert p_value([1.0] * 20, [0.5] * 20) < 0.001


def test_the_retrieval_benchmark_prints_a_row_for_each_retriever(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    texts = {"a": "Wine of the vineyard.", "b": "A great fish swallowed Jonah.", "c": "The king of the river."}
    corpus = "".join(json.dumps({"_id": one, "title": one, "text": text}) + "\n" for one, text in texts.items())
    (folder / "corpus.jsonl").write_text(corpus, encoding="utf-8")
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "Who was in the fish?"}\n', encoding="utf-8")
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\tb\t1\n", encoding="utf-8")
    said = subprocess.run(
        [
            sys.executable,
            ROOT / "benchmarks/retrieval.py",
            "--data",
            tmp_path,
            "--sets",
            "tiny",
            "--embedder",
            "hashed",
        ],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert "| tiny: 3 chunks, 1 questions | bm25 | 100.0 |" in said.stdout
    assert "| hybrid |" in said.stdout


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.lists(st.sampled_from(["a", "of", "international", "long-term", "(x-ray),", "-", "Überschallflug"]), max_size=60)
)
def test_wrapping_cuts_words_and_loses_none(words: list[str]) -> None:
    text = " ".join(words)
    assert all(len(line) <= WIDTH for line in wrapped(text).split("\n"))
    joined = from_pdf(text).replace("\n", " ")
    assert joined.replace("\ufffe", "").replace("-", "") == text.replace("-", "")


def test_what_a_damage_costs_is_counted_in_words_and_quotes() -> None:
    text = " ".join(map(str, range(24)))
    assert quotes_found(text, text.replace(" 3 ", "\n3\n")) == (2, 2)
    assert quotes_found(text, text.replace(" 3 ", " 3-")) == (1, 2)
    assert words_lost(text, text.replace(" 3 ", " 3-")) == (2, 1)
