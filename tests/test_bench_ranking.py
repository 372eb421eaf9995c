"""Rankings are measured as ir-measures measures them."""

from __future__ import annotations

import random

import ir_measures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbook.bench.ranking import measure, ranked
from openbook.errors import BookError

NAMES = [f"d{number}" for number in range(20)]
SCORES = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 5).map(float), max_size=15)
RELEVANT = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3), min_size=1)
THEIRS = {"recall": ir_measures.R, "precision": ir_measures.P, "MRR": ir_measures.RR, "nDCG": ir_measures.nDCG}


@settings(max_examples=60)
@given(scores=SCORES, relevant=RELEVANT, k=st.sampled_from([1, 3, 5, 10]))
def test_measures_equal_those_of_ir_measures_also_where_scores_are_equal(
    scores: dict[str, float], relevant: dict[str, int], k: int
) -> None:
    ranking = ranked(scores)
    # ir-measures takes RR@k from another program than the rest, which breaks ties the other way round.
    untied = {name: float(-rank) for rank, name in enumerate(ranking)}
    for name, theirs in THEIRS.items():
        run = untied if name == "MRR" else scores
        expected = ir_measures.calc_aggregate([theirs @ k], {"q": relevant}, {"q": run})
        assert measure(f"{name}@{k}")(ranking, relevant) == pytest.approx(expected[theirs @ k], abs=1e-6)


@settings(max_examples=30)
@given(
    run=st.lists(SCORES, min_size=1, max_size=5),
    graded=st.lists(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 3), min_size=1), min_size=1, max_size=5),
    k=st.sampled_from([2, 10]),
)
def test_means_equal_theirs_also_where_a_question_found_nothing_or_was_judged_wrong(
    run: list[dict[str, float]], graded: list[dict[str, int]], k: int
) -> None:
    judged = {f"q{number}": grades for number, grades in enumerate(graded)}  # a grade of 0: looked at, and wrong
    found = {f"q{number}": scores for number, scores in enumerate(run)}  # of fewer questions, or more
    rankings = {name: ranked(found.get(name, {})) for name in judged}
    untied = {name: {one: float(-rank) for rank, one in enumerate(ranked(found[name]))} for name in found}
    for name, theirs in THEIRS.items():
        expected = ir_measures.calc_aggregate([theirs @ k], judged, untied if name == "MRR" else found)[theirs @ k]
        relevant = {one: {name: grade for name, grade in grades.items() if grade} for one, grades in judged.items()}
        ours = [measure(f"{name}@{k}")(rankings[one], relevant[one]) for one in judged]
        assert sum(ours) / len(ours) == pytest.approx(expected, abs=1e-6)


# What ir-measures 0.4 says of rankings with ties, grades from 0 to 3, and documents nobody judged.
PINNED = {
    1: [0.0, 1.0, 0.0, 0.2, 0.0, 0.25, 0.0, 0.379261],
    2: [0.166667, 0.5, 0.333333, 0.3, 1.0, 1.0, 0.339398, 0.497665],
    3: [0.666667, 1.0, 0.666667, 0.3, 0.5, 0.5, 0.607492, 0.67374],
    4: [0.333333, 0.833333, 0.666667, 0.5, 1.0, 1.0, 0.469279, 0.655183],
    5: [0.4, 0.8, 0.666667, 0.4, 1.0, 1.0, 0.673293, 0.711367],
    6: [0.25, 0.75, 0.333333, 0.3, 0.333333, 0.333333, 0.254548, 0.430052],
}


@pytest.mark.parametrize("seed", PINNED)
def test_measures_are_what_ir_measures_once_said(seed: int) -> None:
    chance = random.Random(seed)
    scores = {f"d{number}": float(chance.randint(0, 3)) for number in chance.sample(range(12), 8)}
    grades = {f"d{number}": chance.randint(0, 3) for number in chance.sample(range(12), 6)}
    relevant = {name: grade for name, grade in grades.items() if grade}
    ours = [measure(f"{name}@{k}")(ranked(scores), relevant) for name in THEIRS for k in (3, 10)]
    assert ours == pytest.approx(PINNED[seed], abs=1e-6)


def test_a_question_without_a_relevant_document_is_one_not_answered() -> None:
    assert [measure(f"{name}@5")(["a"], {}) for name in THEIRS] == [0.0] * 4


def test_a_measure_has_one_meaning_however_it_is_written() -> None:
    for names in (
        ("recall@5", "R@5", "r@5"),
        ("precision@2", "P@2"),
        ("MRR@10", "RR@10", "mrr@10"),
        ("nDCG@3", "ndcg@3"),
    ):
        assert len({measure(name)(["a", "b", "c"], {"b": 1, "x": 2}) for name in names}) == 1


@pytest.mark.parametrize("name", ["", "nDCG", "nDCG@0", "recall@", "recal@5", "5", "nDCG@10@5", "nDCG@99999"])
def test_a_measure_that_is_none_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(BookError, match=r"^No measure is called [^\n]+nDCG@10\.$"):
        measure(name)
