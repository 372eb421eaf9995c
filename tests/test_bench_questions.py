"""Questions are read as they are written, and a typing mistake costs a line of explanation, not a question."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts import Write
from openbook.bench.gold import Stretch, elsewhere, resolve, units
from openbook.bench.gold import score as gold_score
from openbook.bench.questions import Gold, Question, import_questions, read_questions, write_questions
from openbook.bench.ranking import measure
from openbook.errors import BookError
from openbook.types import Chunk, Document, Message, Passage

ALL = [
    Question(
        "a", "Who fled?", ("Jonah", "the prophet"), (Gold("kjv.txt", place="Jonah 1:3"), Gold("b.txt", "he fled"))
    ),
    Question("b", "How far?", answerable=False),
    Question(
        "c",
        "And then?",
        (),
        (Gold("x.txt", start=3, end=9),),
        history=(Message("user", "Who?"), Message("assistant", "He.")),
    ),
]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_questions(ALL, tmp_path / "q.jsonl")
    assert read_questions(tmp_path / "q.jsonl") == ALL


def test_a_question_without_an_id_is_called_by_its_line(write: Write) -> None:
    path = write("q.jsonl", '{"question": "Who?"}\n\n{"question": "Where?"}\n')
    assert [one.id for one in read_questions(path)] == ["1", "3"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "has no questions"),
        ("{", "line 1: not JSON"),
        ("[1]", "is not an object"),
        ("[" * 100_000, "line 1: not JSON"),
        ('{"question": ""}', "'question' is ''"),
        ('{"qestion": "Who?"}', "Did you mean 'question'"),
        ('{"question": "Who?", "answers": "Jonah"}', "'answers' is a list"),
        ('{"question": "Who?", "gold": ["kjv.txt"]}', "'gold' is a list of objects"),
        ('{"question": "Who?", "gold": [{"quote": "x"}]}', "names no source"),
        ('{"question": "Who?", "gold": [{"source": "a", "quote": "x", "place": "y"}]}', "one of them"),
        ('{"question": "Who?", "gold": [{"source": "a", "start": 9, "end": 3}]}', "from 9 to 3"),
        ('{"question": "Who?", "gold": [{"source": "a", "start": true, "end": 3}]}', "from True to 3"),
        ('{"question": "Who?", "answerable": false, "answers": ["x"]}', "false only without"),
        ('{"question": "Who?", "history": [{"text": "x"}]}', "'history' is a list"),
        ('{"id": 1, "question": "Who?"}\n{"id": 1, "question": "Where?"}', "twice, such as '1'"),
    ],
)
def test_a_line_that_is_none_is_said_in_one(write: Write, line: str, said: str) -> None:
    with pytest.raises(BookError) as error:
        read_questions(write("q.jsonl", line))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, write: Write) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path, write("latin.jsonl", b'{"question": "W\xe4r?"}')):
        with pytest.raises(BookError, match="Cannot read the questions"):
            read_questions(path)


# Imported.


def test_a_folder_in_beirs_layout(write: Write) -> None:
    write(
        "set/queries.jsonl", '{"_id": "1", "text": "Who?", "answers": ["Jonah"]}\n{"_id": "2", "text": "Not judged?"}\n'
    )
    write("set/qrels.tsv", "query-id\tcorpus-id\tscore\n1\td7\t2\n1\td8\t0\n")
    folder = write("set/unanswerable.jsonl", '{"_id": "u", "text": "Why?"}\n').parent
    assert import_questions(folder) == [
        Question("1", "Who?", ("Jonah",), (Gold("corpus.jsonl#d7"),)),
        Question("u", "Why?", answerable=False),
    ]


def test_beirs_own_folders_keep_judgements_apart(write: Write) -> None:
    write("set/queries.jsonl", '{"_id": "1", "text": "Who?", "answers": null, "history": null}\n')
    write("set/qrels/test.tsv", "query-id\tcorpus-id\tscore\n1\td7\t1\n1\td8\n")
    assert import_questions(write("set/corpus.jsonl", "").parent) == [
        Question("1", "Who?", (), (Gold("corpus.jsonl#d7"),))
    ]


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(BookError, match=r"^Cannot write [^\n]+: No such file or directory\."):
        write_questions([Question("1", "Who?")], tmp_path / "none" / "q.jsonl")


def test_a_squad_file(write: Write) -> None:
    answers = [{"text": "Jonah"}, {"text": "Jonah"}]
    qas: list[dict[str, Any]] = [{"id": "1", "question": " Who?", "answers": answers}]
    qas.append({"id": "2", "question": "Why?", "answers": [], "is_impossible": True})
    said = {"data": [{"title": "Jonah", "paragraphs": [{"context": "Jonah fled.", "qas": qas}]}]}
    assert import_questions(write("dev.json", json.dumps(said))) == [
        Question("1", "Who?", ("Jonah",), (Gold("Jonah", "Jonah fled."),)),
        Question("2", "Why?", answerable=False),
    ]


def test_the_gold_of_squad_is_the_sentence_of_each_answer(write: Write) -> None:
    context = "Jonah rose up. He fled to Tarshish from Joppa. A storm rose."
    answers = [
        {"text": said, "answer_start": context.index(said)} for said in ("Tarshish", "fled to Tarshish", "rose up")
    ]
    answers.append({"text": "Nineveh", "answer_start": 3})  # stands elsewhere than the file says
    qas = [{"id": "1", "question": "Where?", "answers": answers}]
    said = {"data": [{"title": "Jonah", "paragraphs": [{"context": context, "qas": qas}]}]}
    (found,) = import_questions(write("dev.json", json.dumps(said)))
    quotes = ["He fled to Tarshish from Joppa.", "Jonah rose up.", context]
    assert found.gold == tuple(Gold("Jonah", quote) for quote in quotes)


def test_a_table(write: Write) -> None:
    path = write("q.csv", "question,answer,source,quote\nWho?,Jonah | he,kjv.txt,Jonah rose\nWhy?,,,\n")
    assert import_questions(path) == [
        Question("1", "Who?", ("Jonah", "he"), (Gold("kjv.txt", "Jonah rose"),)),
        Question("2", "Why?"),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("q.csv", "id,text\n1,Who?\n"),
        ("q.json", "[1, 2]"),
        ("q.json", "{"),
        ("q.xlsx", "x"),
        ("q.json", '{"data": []}'),
    ],
)
def test_what_is_no_set_is_said_in_one_line(write: Write, name: str, text: str) -> None:
    with pytest.raises(BookError, match=r"^[^\n]+\.$"):
        import_questions(write(name, text))


# Where answers stand.

TEXT = "In the beginning. And the earth was\n without form. And God said."
DOCUMENT = Document(TEXT, "/books/kjv.txt", marks=((0, "Genesis 1:1"), (18, "Genesis 1:2"), (50, "Genesis 1:3")))
BOOK = {
    "d": (DOCUMENT, ["/books/kjv.txt", "/copy/kjv.txt"]),
    "e": (Document("Other.", "/x/corpus.jsonl#7"), ["/x/corpus.jsonl#7"]),
}


def stands(*golds: Gold) -> list[list[str]]:
    found = resolve([Question("q", "?", gold=golds)], BOOK)
    assert not found.missing
    return [
        [BOOK[one.document_id][0].text[one.start : one.end] for one in stretches]
        for stretches in found.stretches["q"].values()
    ]


def test_a_gold_is_found_by_quote_place_characters_or_document() -> None:
    assert stands(Gold("kjv.txt", "the EARTH was without")) == [["the earth was\n without"]]
    assert stands(Gold("books/kjv.txt", place="genesis 1:2")) == [[TEXT[18:50]]]
    assert stands(Gold("/copy/kjv.txt", start=3, end=6)) == [["the"]]
    assert stands(Gold("corpus.jsonl#7")) == [["Other."]]


def test_a_gold_may_name_a_title_as_squad_does() -> None:
    documents = {"w": (Document("The Vistula.", "/x/Warsaw.txt", title="The capital"), ["/x/Warsaw.txt"])}
    golds = (Gold("Warsaw", "vistula"), Gold("The capital", "vistula"))
    found = resolve([Question("q", "Which river?", gold=golds)], documents)
    assert not found.missing
    assert found.stretches["q"][0] == found.stretches["q"][1]


def test_a_gold_that_stands_nowhere_is_named() -> None:
    golds = (
        Gold("jv.txt", "In"),
        Gold("kjv.txt", "On the"),
        Gold("kjv.txt", place="Genesis 9:9"),
        Gold("kjv.txt", start=1, end=999),
    )
    found = resolve([Question("q", "?", gold=golds)], BOOK)
    assert found.stretches["q"] == {}
    assert [line.split(":", 1)[0] for line in found.missing] == ["q"] * 4
    assert "is no document here" in found.missing[0]
    assert all("is not in it" in line for line in found.missing[1:])


def chunk(start: int, end: int, document: str = "d") -> Chunk:
    return Chunk(document, start, end, "x" * (end - start))


@pytest.mark.parametrize(
    ("start", "end", "held"),
    [(0, 99, True), (45, 60, True), (49, 60, True), (52, 99, False), (40, 45, True), (60, 70, False), (35, 42, False)],
)
def test_a_passage_has_a_gold_when_it_holds_half_or_lies_in_it(start: int, end: int, held: bool) -> None:
    assert Stretch("d", 40, 58).is_in(chunk(start, end)) is held
    assert not Stretch("e", 40, 58).is_in(chunk(start, end))


def score(name: str, chunks: list[Chunk], *golds: tuple[Stretch, ...]) -> float:
    return gold_score(name, chunks, golds)


def test_one_gold_is_enough_however_many_there_are() -> None:
    first, second = (Stretch("d", 0, 10),), (Stretch("d", 100, 110),)
    for found in ([chunk(0, 10)], [chunk(100, 110), chunk(0, 10)], [chunk(0, 110)]):
        assert [score(f"{name}@2", found, first, second) for name in ("recall", "MRR", "nDCG")] == [1.0] * 3
    late = [chunk(50, 60), chunk(0, 10), chunk(1, 10), chunk(100, 110)]
    assert score("MRR@9", late, first, second) == 0.5
    assert score("nDCG@9", late, first, second) == pytest.approx(0.6309298)
    assert score("recall@1", late, first, second) == 0.0


def test_precision_is_the_share_of_passages_that_have_a_gold() -> None:
    gold = (Stretch("d", 0, 10),)
    assert score("precision@4", [chunk(0, 10), chunk(50, 60), chunk(1, 10)], gold) == 0.5


def test_a_search_that_finds_the_gold_at_once_is_perfect_whatever_the_chunks_are() -> None:
    golds = [(Stretch("d", 90, 120),), (Stretch("d", 400, 410), Stretch("d", 700, 710))]
    for size in (20, 50, 100, 500):
        for step in (size, size // 2):  # side by side, and each half of the next
            chunks = [chunk(start, start + size) for start in range(0, 1000, step)]
            right = [one for one in chunks if score("recall@1", [one], *golds)]
            for name in ("recall@1", "MRR@10", "nDCG@10", "precision@1"):
                assert score(name, [*right, *chunks], *golds) == 1.0


def test_a_passage_shown_for_equal_ones_has_the_golds_of_each() -> None:
    texts = {"d": "", "e": "xx the same words", "f": "nearly these words"}
    passage = Passage(Chunk("d", 40, 54, "the same words"), 1.0, "", sources=("D", "E", "F"))
    also = elsewhere(passage, {"D": "d", "E": "e", "F": "f"}, texts.__getitem__)
    assert [(one.document_id, one.start, one.end) for one in also] == [("e", 3, 17), ("f", 0, 0)]
    found = [passage.chunk]
    assert gold_score("recall@1", found, [[Stretch("e", 3, 17)]], [also]) == 1.0
    assert gold_score("recall@1", found, [[Stretch("e", 90, 99)]], [also]) == 0.0
    assert gold_score("recall@3", found, [[Stretch("f", 0, 18, whole=True)]], [also]) == 1.0  # documents d, e, f


def test_a_gold_of_several_documents_is_found_in_any_of_them() -> None:
    either = (Stretch("d", 0, 9, whole=True), Stretch("e", 0, 9, whole=True))  # both are called 'index.html'
    assert score("recall@5", [chunk(0, 5, "e")], either) == 1.0
    assert score("nDCG@5", [chunk(0, 5, "e"), chunk(0, 5)], either) == 1.0


def test_smaller_chunks_are_judged_by_the_same_stretches() -> None:
    gold = (Stretch("d", 0, 400),)  # a page
    for size in (100, 200, 400, 800):
        assert score("recall@1", [chunk(0, size)], gold) == 1.0


def test_whole_documents_are_judged_as_documents() -> None:
    found = [chunk(0, 5, "e"), chunk(5, 9, "e"), chunk(0, 5), chunk(7, 9)]
    assert units(found, ((Stretch("d", 0, 99, whole=True),),)) == (["e", "gold 0"], {"gold 0": 1})
    assert score("MRR@10", found, (Stretch("d", 0, 99, whole=True),)) == 0.5


def test_without_gold_nothing_is_right() -> None:
    measures: list[Callable[..., float]] = [measure(name) for name in ("recall@5", "MRR@5", "nDCG@5", "precision@5")]
    assert [one(*units([chunk(0, 5)], ())) for one in measures] == [0.0] * 4
