"""The benchmarks measure what they say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))

from chunk_size import scores, smaller, within  # noqa: E402
from damage import WIDTH, from_pdf, quotes_found, words_lost, wrapped  # noqa: E402
from picture import Line, picture  # noqa: E402
from retrieval import Row, Task, chances, main  # noqa: E402
from sets import Case, Question, beir, holds  # noqa: E402

from openbook.bench.questions import Gold  # noqa: E402
from openbook.types import Chunk, Document, Passage  # noqa: E402


def set_of(folder: Path, texts: dict[str, str], questions: dict[str, dict[str, Any]], right: dict[str, str]) -> Path:
    """A set in BEIR's layout."""
    folder.mkdir()
    corpus = "".join(json.dumps({"_id": one, "title": one, "text": text}) + "\n" for one, text in texts.items())
    (folder / "corpus.jsonl").write_text(corpus, encoding="utf-8")
    asked = "".join(json.dumps({"_id": one, **question}) + "\n" for one, question in questions.items())
    (folder / "queries.jsonl").write_text(asked, encoding="utf-8")
    judged = "".join(f"{question}\t{document}\t1\n" for question, document in right.items())
    (folder / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", encoding="utf-8")
    return folder


TEXTS = {"a": "Wine of the vineyard.", "b": "A great fish swallowed Jonah.", "c": "The king of the river."}


def test_the_retrieval_benchmark_tells_of_each_retriever_and_peer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_of(tmp_path / "tiny", TEXTS, {"q": {"text": "Who was in the fish?"}}, {"q": "b"})
    runs, told = tmp_path / "runs", tmp_path / "told.json"
    command = ["--data", str(tmp_path), "--sets", "tiny", "--runs", str(runs), "--embedders", "hashed; hashed(dim=64)"]
    command += ["--retrievers", "bm25; dense; hybrid + duplicates"]
    main([*command, "--chunks-only"])
    assert capsys.readouterr().out == ""
    (handed,) = runs.glob("tiny.*.chunks.json")
    chunks = json.loads(handed.read_text(encoding="utf-8"))["chunks"]
    worst_first = sorted((name for name, _ in chunks), key=lambda name: name.startswith("b"))
    ranked = {"ranking": [worst_first], "search_ms": 1.0, "embed_ms": 2.0}
    handed.with_name(handed.name.replace("chunks", "txtai")).write_text(json.dumps(ranked), encoding="utf-8")

    main([*command, "--json", str(told)])
    said = capsys.readouterr().out
    assert "| tiny: 3 chunks, 1 questions |  | bm25 | 100.0 |" in said
    rows = json.loads(told.read_text(encoding="utf-8"))["rows"]
    expected = [("", "bm25"), ("hashed", "dense"), ("hashed", "hybrid + duplicates")]
    expected += [("hashed(dim=64)", "dense"), ("hashed(dim=64)", "hybrid + duplicates"), ("fp32", "txtai")]
    assert [(row["embedder"], row["retriever"]) for row in rows] == expected
    assert rows[-1]["MRR@10"] == pytest.approx(100 / 3)
    assert rows[-1]["p"] == {"bm25": 1.0}


def test_a_way_to_find_is_tested_against_words_meaning_and_peers() -> None:
    def row(embedder: str, retriever: str, *values: float) -> Row:
        return Row("set", 9, len(values), embedder, retriever, {"MRR@10": list(values)}, 1.0, 1.0)

    none, all_ = [0.0] * 12, [1.0] * 12
    rows = [row("", "bm25", *none), row("e", "dense", *none), row("e", "hybrid", *all_), row("fp32", "txtai", *none)]
    found = {(rows[number].retriever, against): p for number, against, p in chances(rows, "MRR@10")}
    assert set(found) == {
        ("dense", "bm25"), ("hybrid", "bm25"), ("txtai", "bm25"), ("hybrid", "dense"), ("dense", "txtai"),
        ("hybrid", "txtai"),
    }  # fmt: skip
    assert found["hybrid", "bm25"] < 0.01
    assert found["dense", "bm25"] == 1.0


def test_a_conversation_is_asked_with_what_the_user_said_before(tmp_path: Path) -> None:
    turns = [{"speaker": "user", "text": "Tell me of Jonah."}, {"speaker": "agent", "text": "He fled."}]
    folder = set_of(tmp_path / "talk", TEXTS, {"q": {"text": "And the fish?", "history": turns}}, {"q": "b"})
    assert [one.text for one in beir(folder).questions] == ["And the fish?"]
    assert [one.text for one in beir(folder, "history").questions] == ["Tell me of Jonah.\nAnd the fish?"]


def chunk(start: int, end: int) -> Chunk:
    return Chunk("a", start, end, "x" * (end - start))


def test_the_first_passage_with_a_gold_answers() -> None:
    gold = (Gold("a", start=100, end=200), Gold("a", "bbb"))
    case = Case([Document("x" * 300 + "bbb", "a")], [Question("?", holds({}, 0.5), gold=gold)])
    found = [Passage(chunk(160, 300), 1.0, ""), Passage(chunk(290, 303), 0.9, ""), Passage(chunk(0, 160), 0.8, "")]
    task = Task("set.gold", case, [], case.golds())
    assert task.scores([task.units(0, found)]) == {
        "R@1": [0.0], "R@5": [1.0], "R@10": [1.0], "MRR@10": [0.5], "nDCG@10": [pytest.approx(0.6309298)]
    }  # fmt: skip


def test_gold_that_stands_nowhere_is_named() -> None:
    case = Case([Document("x", "a")], [Question("?", holds({}, 0.5), gold=(Gold("a", "bbb"),), id="q")])
    with pytest.raises(ValueError, match="1 golds are not in the documents, such as q: a, 'bbb', is not in it"):
        case.golds()


def test_a_passage_is_of_all_the_documents_that_it_stands_for() -> None:
    one, other, asked = Chunk("a", 0, 4, "fish"), Chunk("b", 0, 4, "bird"), Question("?", holds({}, 1.0), {"c": 1})
    passages = [Passage(one, 1.0, "", sources=("a", "c")), Passage(other, 0.5, "")]
    assert Task("set", Case([], [asked], by_document=True), []).units(0, passages) == (["a", "c", "b"], {"c": 1})


def test_what_is_shown_ends_with_the_budget() -> None:
    passages = [
        Passage(chunk(0, 700), 1.0, ""),
        Passage(chunk(900, 1700), 1.0, ""),
        Passage(chunk(2000, 2100), 1.0, ""),
    ]
    assert list(within(passages, 1500)) == [chunk(0, 700), chunk(900, 1700)]
    assert list(within(passages, 1000)) == [chunk(0, 700), chunk(900, 1200)]
    found = scores(Question("?", holds({"a": [(1600, 1650)]}, 1.0)), passages)
    assert found == {"R@1": 0.0, "R@5": 1.0, "MRR@10": 0.5, "R@1500c": 1.0, "R@4000c": 1.0}


def test_a_smaller_set_keeps_what_answers_and_asks_only_that() -> None:
    found = [Document("x" * 10, name) for name in "abcd"]
    asked = [Question("c?", holds({}, 1.0), {"c": 1}), Question("d?", holds({}, 1.0), {"d": 1})]
    less = smaller(Case(found, asked), 30)
    assert [document.source for document in less.documents] == ["a", "c", "d"]
    assert smaller(Case(found, asked), 10) == Case(found[2:3], asked[:1])
    assert smaller(Case(found, asked[:0]), 10).documents == found


def test_a_picture_has_each_line_in_a_few_kilobytes() -> None:
    drawn = picture("size", {"found": [Line("fish & birds", [(250, 61.0), (4000, 93.0)])], "cost": []})
    assert len(drawn) < 4000
    assert ET.fromstring(drawn).tag.endswith("svg")
    assert "fish &amp; birds" in drawn
    assert "prefers-color-scheme" in drawn


@settings(max_examples=60)
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
