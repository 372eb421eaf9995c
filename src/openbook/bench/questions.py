"""Questions with what answers them: one JSON object a line, and the forms others keep theirs in.

    {"id": "q1", "question": "Who fled?", "answers": ["Jonah"], "gold": [{"source": "kjv.txt", "place": "Jonah 1:3"}]}

A line without `answers` and `gold` is a question that the documents do not answer when it says `"answerable": false`.
What a gold is: see `Gold`. Lines and keys that are not known are errors: a typing mistake must not cost a question.
"""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from openbook.errors import BookError
from openbook.recipe import did_you_mean, digest
from openbook.text import count, sentence_ends, well_formed
from openbook.types import Message
from openbook.writing import write

KEYS = ("id", "question", "answers", "gold", "answerable", "history", "made")
ALIKE = 0.8  # of the words of two questions are the same
GOLD_KEYS = ("source", "quote", "place", "start", "end")
SPEAKERS: Mapping[str, Literal["user", "assistant", "system"]] = {
    "user": "user",
    "assistant": "assistant",
    "agent": "assistant",
    "system": "system",
}


@dataclass(frozen=True, slots=True)
class Gold:
    """Where an answer stands. Of a question's golds each alone answers it.

    With `quote`, where that text stands; with `place`, from that mark to the next, such as 'Jonah 1:3' or 'page 9';
    with `end`, text[start:end]; else anywhere in the document.
    """

    source: str  # as a citation shows it, or its end: 'ops.html', 'corpus.jsonl#17'
    quote: str = ""  # but for white space and case
    place: str = ""
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a comparison."""

    id: str
    text: str
    answers: tuple[str, ...] = ()  # each is right; without any, only the search can be judged
    gold: tuple[Gold, ...] = ()
    answerable: bool = True
    history: tuple[Message, ...] = field(default=())  # what was said before
    made: Mapping[str, Any] = field(default_factory=dict, hash=False)  # how a model made it: for people who review it

    def to_dict(self) -> dict[str, Any]:
        """As one line of a file says it; what is empty is left out."""
        golds = [{key: value for key in GOLD_KEYS if (value := getattr(gold, key))} for gold in self.gold]
        turns = [{"speaker": turn.role, "text": turn.content} for turn in self.history]
        said = {"id": self.id, "question": self.text, "answers": list(self.answers), "gold": golds, "history": turns}
        found = {key: value for key, value in said.items() if value} | (
            {} if self.answerable else {"answerable": False}
        )
        return found | ({"made": dict(self.made)} if self.made else {})


@lru_cache(maxsize=100_000)
def key_of(question: Question) -> str:
    """Names what is asked, whatever its id and its gold."""
    return digest(question.text, [(turn.role, turn.content) for turn in question.history])


def alike(words: Set[str], others: Set[str]) -> bool:
    """Whether two questions of these words ask one thing twice."""
    return bool(words) and len(words & others) >= ALIKE * len(words | others)


def read_questions(path: Path) -> list[Question]:
    """The questions of a file.

    Raises:
        BookError: The file cannot be read, has no question, or a line that is none; says which.
    """
    found = [question_of(table, f"{path}, line {number}") for number, table in _lines(path)]
    if not found:
        raise BookError(f"{path} has no questions. Write one a line, such as: {json.dumps({'question': 'Who fled?'})}")
    twice = [name for name, count in Counter(one.id for one in found).items() if count > 1]
    if twice:
        raise BookError(
            f"{path}: {count(len(twice), 'id')} of more than one question, such as {twice[0]!r}. Give each its own."
        )
    return found


def write_questions(questions: Iterable[Question], path: Path) -> None:
    """As `read_questions` reads them.

    Raises:
        BookError: The file cannot be written.
    """
    text = "".join(json.dumps(one.to_dict(), ensure_ascii=False) + "\n" for one in questions)
    try:
        write(path, well_formed(text))
    except OSError as error:
        raise BookError(f"Cannot write {path}: {error.strerror}. Name another file.") from error


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file with their line numbers from 1; empty lines are passed over."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, _object(f"{path}, line {number}", line)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BookError(f"Cannot read the questions in {path}: {why}. Check the path.") from error


def _object(where: str, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BookError(f"{where}: not JSON ({str(error)[:80]}). Each line is one object.") from error
    if not isinstance(value, dict):
        raise BookError(
            f'{where}: {line.strip()[:40]!r} is not an object. Each line is one, such as {{"question": ...}}.'
        )
    return value


def question_of(table: Mapping[str, Any], where: str = "question") -> Question:
    """The question that an object of such a file is; `where` is what errors call it.

    Raises:
        BookError: A key is unknown, or a value is none.
    """
    _refuse_unknown(where, table, KEYS)
    text = table.get("question")
    if not isinstance(text, str) or not text.strip():
        raise BookError(f"{where}: 'question' is {text!r}. Write its text.")
    answers, golds, answerable = table.get("answers", []), table.get("gold", []), table.get("answerable", True)
    if not isinstance(answers, list) or not all(isinstance(one, str) and one.strip() for one in answers):
        raise BookError(f"{where}: 'answers' is a list of texts, such as [\"1997\"], not {str(answers)[:40]!r}.")
    if not isinstance(golds, list) or not all(isinstance(one, dict) for one in golds):
        raise BookError(f'{where}: \'gold\' is a list of objects, such as [{{"source": "a.txt", "quote": "..."}}].')
    if not isinstance(answerable, bool) or (not answerable and (answers or golds)):
        raise BookError(f"{where}: 'answerable' is true or false, and false only without answers and gold.")
    made = table.get("made", {})
    if not isinstance(made, dict):
        raise BookError(f"{where}: 'made' is an object, not {str(made)[:40]!r}. Leave it out.")
    id_ = str(table.get("id", where.rsplit(" ", 1)[-1]))
    found, history = tuple(_gold(where, one) for one in golds), _history(where, table.get("history", []))
    return Question(id_, text.strip(), tuple(answers), found, answerable, history, made)


def _gold(where: str, table: Mapping[str, Any]) -> Gold:
    _refuse_unknown(f"{where}, gold", table, GOLD_KEYS)
    for key in ("source", "quote", "place"):
        if not isinstance(table.get(key, ""), str):
            raise BookError(f"{where}: 'gold' has {key} = {table[key]!r}, which is no text.")
    start, end = table.get("start", 0), table.get("end", 0)
    if type(start) is not int or type(end) is not int or start < 0 or (end <= start and (start or end)):
        raise BookError(f"{where}: 'gold' goes from {start!r} to {end!r}. Write characters, such as 120 and 180.")
    gold = Gold(table.get("source", ""), table.get("quote", ""), table.get("place", ""), start, end)
    if not gold.source.strip():
        raise BookError(f'{where}: \'gold\' names no source. Write the file it stands in, such as "source": "a.txt".')
    if sum((bool(gold.quote.strip()), bool(gold.place), bool(gold.end))) > 1:
        raise BookError(f"{where}: 'gold' says quote, place or characters: one of them.")
    return gold


def _history(where: str, turns: object) -> tuple[Message, ...]:
    if not isinstance(turns, list) or not all(
        isinstance(turn, dict) and turn.get("speaker") in SPEAKERS and isinstance(turn.get("text"), str)
        for turn in turns
    ):
        raise BookError(f'{where}: \'history\' is a list such as [{{"speaker": "user", "text": "..."}}].')
    return tuple(Message(SPEAKERS[turn["speaker"]], turn["text"]) for turn in turns)


def _refuse_unknown(where: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            raise BookError(
                f"{where}: no key is called {key!r}.{did_you_mean(key, list(known))} Keys: {', '.join(known)}."
            )


# What others keep their questions in.


def import_questions(path: Path) -> list[Question]:
    """The questions of a folder in BEIR's layout, of a SQuAD file, or of a CSV file with a column `question`.

    Raises:
        BookError: It is none of these, or a part is missing; says which.
    """
    if path.is_dir():
        found = _beir(path)
    elif path.suffix.lower() == ".json":
        found = _squad(path)
    elif path.suffix.lower() in {".csv", ".tsv"}:
        found = _csv(path)
    else:
        raise BookError(f"{path} is no set of questions. Name a folder with queries.jsonl, a SQuAD .json, or a .csv.")
    if not found:
        raise BookError(f"{path} has no questions that are judged. Check the file.")
    return found


def _beir(folder: Path) -> list[Question]:
    """queries.jsonl, qrels/test.tsv or qrels.tsv, unanswerable.jsonl if there is one. Gold are rows of corpus.jsonl."""
    relevant: dict[str, list[str]] = defaultdict(list)
    judged = folder / "qrels" / "test.tsv"
    for row in _rows(judged if judged.exists() else folder / "qrels.tsv", ("query-id", "corpus-id", "score")):
        if (row["score"] or "").strip() not in {"0", ""}:
            relevant[row["query-id"]].append(row["corpus-id"])
    found = []
    for number, one in _lines(folder / "queries.jsonl"):
        where = f"{folder / 'queries.jsonl'}, line {number}"
        golds = [{"source": f"corpus.jsonl#{name}"} for name in relevant[str(one.get("_id"))]]
        if golds:  # one without is not judged there either
            found.append(question_of(_from_beir(one) | {"answers": one.get("answers") or [], "gold": golds}, where))
    if (path := folder / "unanswerable.jsonl").exists():
        found += [
            question_of(_from_beir(one) | {"answerable": False}, f"{path}, line {number}")
            for number, one in _lines(path)
        ]
    return found


def _from_beir(one: Mapping[str, Any]) -> dict[str, Any]:
    turns = [
        {key: turn.get(key) for key in ("speaker", "text")}
        for turn in one.get("history") or []
        if isinstance(turn, dict)
    ]
    return {"id": str(one.get("_id")), "question": one.get("text"), "history": turns}


def _squad(path: Path) -> list[Question]:
    """{'data': [{'title', 'paragraphs': [{'context', 'qas': [...]}]}]}: gold are the answers' sentences as quotes."""
    found = []
    try:
        articles = json.loads(path.read_text("utf-8-sig"))["data"]
        for article in articles:
            for paragraph in article["paragraphs"]:
                for one in paragraph["qas"]:
                    if not one["question"].strip():
                        continue  # a few of SQuAD 2.0 are empty
                    texts = list(dict.fromkeys(text for answer in one.get("answers", []) if (text := answer["text"])))
                    possible = bool(texts) and not one.get("is_impossible", False)
                    quotes = dict.fromkeys(_around(paragraph["context"], answer) for answer in one.get("answers", []))
                    gold = tuple(Gold(article["title"], quote) for quote in quotes) if possible else ()
                    found.append(Question(str(one["id"]), one["question"].strip(), tuple(texts), gold, possible))
    except OSError as error:
        raise BookError(f"Cannot read {path}: {error.strerror}. Check the path.") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BookError(f"{path} is not a SQuAD file ({type(error).__name__} {error}).") from error
    return found


def _around(context: str, answer: Mapping[str, Any]) -> str:
    """The sentence an answer stands in; the whole paragraph where the file does not say which.

    Not always the paragraph: of small chunks many lie in it that do not have the answer.
    """
    start = answer.get("answer_start", -1)
    end = start + len(answer["text"])
    if start < 0 or context[start:end] != answer["text"]:
        return context.strip()
    ends = list(sentence_ends(context))
    first = max((one for one in ends if one <= start), default=0)
    return context[first : min((one for one in ends if one >= end), default=len(context))].strip()


def _csv(path: Path) -> list[Question]:
    """Columns question, and id, answer, source, quote, place where they are there; '|' parts several answers."""
    found = []
    for number, row in enumerate(_rows(path, ("question",)), 1):
        gold = {key: row[key] for key in ("source", "quote", "place") if row.get(key)}
        table = {
            "id": row.get("id") or str(number),
            "question": row["question"],
            "answers": [text.strip() for text in (row.get("answer") or "").split("|") if text.strip()],
            "gold": [gold] if gold.get("source") else [],
        }
        found.append(question_of(table, f"{path}, row {number}"))
    return found


def _rows(path: Path, needed: Sequence[str]) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            missing = [name for name in needed if name not in (rows.fieldnames or ())]
            if missing:
                raise BookError(f"{path} has no column {missing[0]!r}. Its first line names the columns.")
            yield from rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise BookError(f"Cannot read {path}: {why}. Check the path.") from error
