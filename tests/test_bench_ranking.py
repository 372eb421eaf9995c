"""Rankings are measured as ir-measures measures them."""

from __future__ import annotations

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
