"""Seven planted faults, and some more, each named: real readers, splitters, stores, searches, and a scripted model."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from boards import answered, kept, questions
from contracts import Write
from openbook.app.cli import run
from openbook.bench.diagnosis.tracing import Lost, Tracer, Why
from openbook.bench.gold import documents_of, resolve
from openbook.bench.questions import Question, key_of, question_of
from openbook.bench.results import Results, RunRow, TrialRow, index_folder
from openbook.bench.running import results_path
from openbook.bench.scoring import Scorer
from openbook.bench.stages import STAGES
from openbook.book import Book
from openbook.embedders.hashed import Hashed
from openbook.llms.quote import Quote
from openbook.recipe import Recipe
from openbook.registry import Entry, entries
from openbook.types import Kind, Message, Stream, Usage, Vectors
from test_readers_pdf import needs_tesseract, pdf, scanned

TOWNS = [
    first + last for first in ("Bram", "Quell", "Mor", "Tarn", "Sel", "Ost", "Wick") for last in ("ham", "ford", "by")
]
GUIDE = {
    "ports.md": "# Ports\n\n" + "\n\n".join(
        f"The harbour of {town} was built in {1800 + n}. Its wall is {20 + n} feet long, and boats come in at noon."
        for n, town in enumerate(TOWNS)
    ),
    "island.md": """# Orvane

The ferry Patient Anna crosses on Tuesdays and on Fridays, and the crossing takes fifty minutes when the sea is calm.

Blue salt is scraped from the rocks of Marrow Bay in August and dried for nine days on boards of birch.

Ambrose Fenn taught at the only school for thirty-one years; the bell, which children still ring, came with him.

Before the storm carried everything away there had been a chapel whose stones went into the salt houses, and
whose bell was bought for eleven crowns by a widow.
""",
}  # fmt: skip
QUESTIONS: dict[str, dict[str, Any]] = {
    "keeper": {"question": "Who kept the lighthouse?", "answers": ["Jory Tamsin"], "gold": [{"source": "light.pdf"}]},
    "salt": {"question": "For how long is blue salt dried?", "answers": ["nine days"],
             "gold": [{"source": "island.md", "quote": "dried for nine days"}]},
    "bell": {"question": "What did the chapel's bell cost?", "answers": ["eleven crowns"],
             "gold": [{"source": "island.md", "quote": "Before the storm carried everything away there had been a "
                       "chapel whose stones went into the salt houses, and whose bell was bought for eleven crowns"}]},
    "stop": {"question": "Who did this there, then?", "answers": ["Wickby"],
             "gold": [{"source": "ports.md", "quote": "The harbour of Wickby was built in 1820."}]},
    "mayor": {"question": "Who is the mayor of Orvane?", "answerable": False},
    "ferry": {"question": "On which days does the ferry cross?", "answers": ["Tuesdays and on Fridays"],
              "gold": [{"source": "island.md", "quote": "crosses on Tuesdays and on Fridays"}]},
}  # fmt: skip
WALLS = {  # one question, and each wall in turn is what answers it: they stand at all ranks
    f"wall{n}": {"question": "How many feet long is the harbour wall?", "answers": [f"{20 + n} feet"],
                 "gold": [{"source": "ports.md", "quote": f"Its wall is {20 + n} feet long"}]}
    for n in range(len(TOWNS))
}  # fmt: skip
QUESTIONS |= WALLS
QUICK = {"embedder": "hashed", "store": "flat", "retriever": "bm25", "splitter": "structure(size=150)"}
REAL = {**QUICK, "embedder": "minilm", "store": "lance", "retriever": "hybrid"}


@dataclass
class Scripted:
    """Says what it was told to say, whatever it is asked; counts words as tokens."""

    VERSION: ClassVar[int] = 1

    says: str = "It was so [1]."
    context: int = 100_000
    ended: bool = True
    right: bool = False  # it says what the passages say instead

    name = "scripted"
    remote = ""
    format = ""
    parallel = 1

    def prepare(self) -> None:
        return

    def count(self, text: str) -> int:
        return len(text.split())

    def render(self, messages: Sequence[Message]) -> str:
        return "\n\n".join(f"{one.role}: {one.content}" for one in messages)

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        if self.right:
            yield from Quote(passages=3, characters=1000).stream(messages, max_tokens)
            return
        yield self.says
        yield Usage(1, 1, stopped="end" if self.ended else "length")

    def close(self) -> None:
        return


def scripted(**options: str | int | bool) -> str:
    written = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return f"scripted({written})" if written else "scripted"


@dataclass
class Bench:
    """Compares recipes in this process; the first is the row that is asked about."""

    folder: Path

    def compare(self, *recipes: dict[str, str], ask: Sequence[str] = (), k: int = 10, answers: bool = True) -> None:
        asked = [question_of({"id": name, **QUESTIONS[name]}) for name in ask or QUESTIONS]
        golds: dict[str, list[list[Any]]] = {one.id: [[] for _ in one.gold] for one in asked}
        trials = []
        shutil.rmtree(index_folder(""), ignore_errors=True)
        with Results(results_path()) as results:
            for number, steps in enumerate(recipes, 1):
                recipe = Recipe.from_dict(steps).to_dict()
                trial = TrialRow(number, steps, recipe, f"i{number}", f"s{number}", f"a{number}" if answers else "")
                trials.append(trial)
                self._index(trial, asked, golds)
                task = {"folder": str(index_folder(trial.index_key)), "recipe": recipe, "k": k, "max_tokens": 60,
                        "questions": [_asked(one) for one in asked]}  # fmt: skip
                for kind, key in (("search", trial.search_key), ("answer", trial.answer_key)):
                    if key:
                        STAGES[kind]({**task, "key": key}, results, lambda **_: None)
            settings = {"headline": "clean", "answers": answers, "k": k, "max_tokens": 60}
            results.begin(RunRow("run", "2026", settings, [one.to_dict() for one in asked], golds, tuple(trials)))

    def _index(self, trial: TrialRow, asked: list[Question], golds: dict[str, list[list[Any]]]) -> None:
        with Book.open(index_folder(trial.index_key), Recipe.from_dict(trial.recipe), create=True) as book:
            book.add(self.folder)
            found = resolve(asked, documents_of(book.documents))
        for one in asked:
            for number, stretches in found.stretches[one.id].items():
                golds[one.id][number] += [[s.document_id, s.start, s.end, s.whole] for s in stretches]

    def why(self, question: str, row: int = 1) -> Why:
        return self.whys([question], row)[question]

    def whys(self, questions: Sequence[str], row: int = 1) -> dict[str, Why]:
        with Results(results_path()) as results:
            scorer = Scorer(results, results.run("run"))
            by_id = {one.id: one for one in scorer.questions}
            with Tracer(scorer, scorer.run.trials[row - 1]) as tracer:
                return {name: tracer.why(by_id[name]) for name in questions}

    def all(self, row: int = 1) -> Lost:
        with Results(results_path()) as results:
            scorer = Scorer(results, results.run("run"))
            with Tracer(scorer, scorer.run.trials[row - 1]) as tracer:
                return tracer.all()


def _asked(question: Question) -> dict[str, Any]:
    return {"key": key_of(question), "text": question.text, "history": []}


@pytest.fixture
def bench(write: Write, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setitem(entries("llm"), "scripted", Entry("test_bench_tracing:Scripted", "says what it is told"))
    for name, text in GUIDE.items():
        write(f"docs/{name}", text)
    return Bench(write("docs/notes.txt", "Nothing is said here of anything else.").parent)


@pytest.fixture
def light(bench: Bench, write: Write) -> None:
    """A PDF whose second page, with the answer, is a picture."""
    first = [("The lighthouse of Orvane stood on Hob's Chair until 1951.", 10.0, False)] * 4
    second = [("Its last keeper was Jory Tamsin, who kept a raven.", 10.0, False)] * 4
    made = scanned(write("made/light.pdf", pdf(first, second)), keep=1)
    made.rename(bench.folder / "light.pdf")


Plants = Callable[..., dict[str, Why]]


@pytest.fixture(params=[pytest.param(QUICK, id="quick"), pytest.param(REAL, id="real", marks=pytest.mark.slow)])
def plants(bench: Bench, request: pytest.FixtureRequest) -> Plants:
    """What became of questions, by id."""

    def plants(*questions: str, **steps: str) -> dict[str, Why]:
        bench.compare({"llm": scripted(), **request.param, **steps}, ask=questions)
        return bench.whys(questions)

    return plants


Plant = Callable[..., Why]


@pytest.fixture
def plant(plants: Plants) -> Plant:
    return lambda question, **steps: plants(question, **steps)[question]


# The seven.


@pytest.mark.usefixtures("light")
def test_a_dropped_page_is_named(plant: Plant) -> None:
    found = plant("keeper", reader="auto(ocr=False)")
    assert found.lost == "reading"
    assert "light.pdf" in found.because
    assert "page 2" in found.because


def test_a_split_answer_is_named(plant: Plant) -> None:
    found = plant("bell", splitter="chars(size=110)", prompt="cited(passages=1)")
    assert found.lost == "splitting"
    assert "across chunks" in found.because
    assert " | " in found.because
    assert any(one.setting.startswith("splitter=chars(size=") for one in found.tries)


def test_a_question_of_stop_words_is_named(plant: Plant) -> None:
    found = plant("stop")
    assert found.lost == "search"
    assert "No word of the question but stop words" in found.because


def test_a_rank_behind_what_the_prompt_takes_is_named(plants: Plants) -> None:
    found = plants(*WALLS)
    assert [found[name].lost for name in WALLS].count("model") == 3  # those that were shown
    behind = [one for one in found.values() if one.lost != "model"]
    assert {one.lost for one in behind} == {"rank"}
    assert all("and the prompt takes 3" in one.because for one in behind)
    tries = {found.setting for one in behind for found in one.tries if found.sure}
    assert {"prompt=cited(passages=5)", "prompt=cited(passages=10)", "prompt=cited(passages=20)"} <= tries


def test_a_passage_left_out_for_want_of_room_is_named(plants: Plants) -> None:
    found = plants(*WALLS, llm=scripted(context=240), prompt="cited(passages=20)")
    lost = [one.lost for one in found.values()]
    shown = lost.count("model")
    assert 2 <= shown <= 8
    assert lost.count("budget") == 20 - shown
    assert lost.count("rank") == len(WALLS) - 20
    assert all("the prompt has room for 180 tokens" in one.because for one in found.values() if one.lost == "budget")


def test_a_wrong_format_is_named(plant: Plant) -> None:
    found = plant("salt", llm=scripted(says="In August <|im_end|><|im_start|>user", ended=False))
    assert found.lost == "format"
    assert "'<|im_end|>'" in found.because


def test_a_question_without_an_answer_is_named(plant: Plant) -> None:
    found = plant("mayor", llm=scripted(says="Ambrose Fenn [1]."))
    assert found.lost == "unanswerable"
    assert "although the documents do not say: 'Ambrose Fenn [1].'" in found.because


# Others.


def test_a_gold_that_a_cleaner_took_out_is_named(bench: Bench, write: Write) -> None:
    banner = "We use cookies to count the 14 seals of the bay. By continuing you agree. Accept all"
    write("docs/page.txt", f"The seals of Marrow Bay\n\n{banner}\n\nThey sleep on the rocks in the morning.\n")
    QUESTIONS["seals"] = {"question": "How many seals are counted?", "answers": ["14"],
                          "gold": [{"source": "page.txt", "quote": "count the 14 seals of the bay"}]}  # fmt: skip
    both = {"llm": scripted(), **QUICK}
    bench.compare({**both, "cleaners": "boilerplate"}, {**both, "cleaners": "none"}, ask=["seals"])
    found = bench.why("seals")
    assert found.lost == "cleaning"
    assert found.because == "page.txt has it, but cleaning (boilerplate) took it out as 'cookie banner'."
    assert [one.setting for one in found.tries] == ["cleaners=none"]
    assert bench.why("seals", row=2).lost == "model"
    (bench.folder / "page.txt").unlink()  # what the rows say is enough
    assert bench.why("seals").lost == "cleaning"


@needs_tesseract
@pytest.mark.slow
@pytest.mark.usefixtures("light")
def test_a_page_that_another_reader_reads_is_named(bench: Bench) -> None:
    QUESTIONS["tamsin"] = {**QUESTIONS["keeper"], "gold": [{"source": "light.pdf", "quote": "keeper was Jory Tamsin"}]}
    steps = {"llm": scripted(), **QUICK}
    bench.compare({**steps, "reader": "auto(ocr=False)"}, {**steps, "reader": "auto"}, ask=["tamsin"])
    found = bench.why("tamsin")
    assert found.lost == "reading"
    assert "page 2" in found.because
    assert [one.setting for one in found.tries] == ["reader=auto"]
    assert bench.why("tamsin", row=2).lost == "model"


def test_a_refiner_that_drops_it_is_named(bench: Bench) -> None:
    steps = {"llm": scripted(), **QUICK, "prompt": "cited(passages=5)"}
    bench.compare({**steps, "refiners": "per-source(n=1)"}, {**steps, "refiners": "none"}, ask=[*WALLS])
    found = list(bench.whys([*WALLS]).values())
    dropped = [one for one in found if one.lost == "refiners"]
    assert len(dropped) == 4  # the first of its document stays
    assert {one.because for one in dropped} >= {"per-source(n=1) took it out, which was number 2; the prompt takes 5."}
    assert {one.setting for one in dropped[0].tries} == {"refiners=none"}
    assert dropped[0].right_in == ()


def test_the_side_that_failed_is_told_and_what_would_have_found_it(bench: Bench) -> None:
    QUESTIONS["ferried"] = {**QUESTIONS["ferry"], "question": "wall wall wall harbour feet long boats noon ferry cross"}
    bench.compare({"llm": scripted(), **QUICK, "retriever": "dense"}, ask=["ferried"])
    found = bench.why("ferried")
    assert found.lost == "rank"
    assert "retriever=bm25" in {one.setting for one in found.tries}
    assert dict(found.steps)["search"].startswith("dense: number ")


def test_what_is_right_is_said_and_how_it_came(bench: Bench) -> None:
    bench.compare({"llm": scripted(right=True), **QUICK}, {"llm": scripted(says="Nine days."), **QUICK}, ask=["salt"])
    found = bench.why("salt")
    assert (found.lost, found.because) == ("", "Nothing is lost: the row has it right.")
    assert found.right_in == (2,)
    bench.compare({"llm": scripted(says="Nine days."), **QUICK, "splitter": "chars(size=30)"}, ask=["salt"])
    assert "the model guessed well" in bench.why("salt").because


def test_what_another_passage_says_too_was_shown(bench: Bench, write: Write) -> None:
    write("docs/salt.md", "Salt dries slowly. Blue salt is long in the sun: nine days, says the keeper of the bay.")
    bench.compare({"llm": scripted(), **QUICK, "prompt": "cited(passages=1)"}, ask=["salt"])
    found = bench.why("salt")
    assert found.lost == "model"
    assert "as [1], which says it too though it is not the gold" in found.because


def test_a_gold_that_is_shown_as_its_copy_in_another_document_was_found(bench: Bench, write: Write) -> None:
    salt = GUIDE["island.md"].split("\n\n")[2]
    write("docs/a-copy.md", f"# Orvane\n\n{salt}\n\n{'Gulls came in spring. ' * 6}\n")
    write("docs/island.md", f"# Orvane\n\n{salt}\n\n{'Snow fell in winter. ' * 6}\n")
    bench.compare({"llm": scripted(), **QUICK}, ask=["salt"], answers=False)
    with Results(results_path()) as results:
        scorer = Scorer(results, results.run("run"))
        [trial], [asked] = scorer.run.trials, scorer.questions
        shown = scorer.found(trial, key_of(asked))["passages"][0]
        assert shown[0] != shown[4][0][0] == scorer.golds(asked)[0][0].document_id
        assert scorer.scores(trial, "recall@1") == {"salt": 1.0}
    found = bench.why("salt")
    assert found.because == "Nothing is lost: the row has it right."
    assert "duplicates: number 2 -> number 1" in dict(found.steps)["refiners"]


def test_a_refusal_where_there_is_no_answer_is_right(bench: Bench) -> None:
    bench.compare({"llm": scripted(says="Not in these documents."), **QUICK}, ask=["mayor"])
    assert bench.why("mayor").lost == ""


def test_without_gold_it_looks_for_the_answers_words(bench: Bench) -> None:
    QUESTIONS["free"] = {key: value for key, value in QUESTIONS["salt"].items() if key != "gold"}
    bench.compare({"llm": scripted(), **QUICK}, ask=["free"])
    found = bench.why("free")
    assert found.lost == "model"
    assert "no gold: it is looked for by the answer's words" in dict(found.steps)["documents"]


def test_an_index_that_is_gone_leaves_what_was_kept(bench: Bench) -> None:
    bench.compare({"llm": scripted(), **QUICK}, ask=["salt"])
    shutil.rmtree(index_folder("i1"))
    found = bench.why("salt")
    assert found.lost == "model"
    assert found.because.startswith("The row's index is gone")


def test_a_row_that_only_searches_is_told_too(bench: Bench) -> None:
    bench.compare(QUICK, ask=[*WALLS, "salt"], answers=False)
    lost = bench.all()
    assert lost.asked == len(WALLS) + 1
    assert {step: len(names) for step, names in lost.by_step.items()} == {"rank": len(WALLS) - 3}
    tries = dict(lost.tries)
    assert tries["prompt=cited(passages=20)"] > tries["prompt=cited(passages=5)"] == 2


def test_all_at_once_are_told_as_each_alone_and_each_is_embedded_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [*WALLS, "salt", "stop"]
    bench.compare({**QUICK, "retriever": "hybrid"}, ask=asked, answers=False)
    alone = {name: one for name, one in bench.whys(asked).items() if one.lost}
    helping = [
        dict.fromkeys(name for tried in one.tries if tried.sure for name in (tried.setting, *tried.also))
        for one in alone.values()
    ]
    embedded: list[str] = []
    embed = Hashed.embed

    def noted(self: Hashed, texts: Sequence[str], kind: Kind) -> Vectors:
        embedded.extend(texts)
        return embed(self, texts, kind)

    monkeypatch.setattr(Hashed, "embed", noted)
    lost = bench.all()
    assert {name: step for step, names in lost.by_step.items() for name in names} == {
        name: one.lost for name, one in alone.items()
    }
    assert list(lost.tries) == Counter(name for names in helping for name in names).most_common()
    assert len(embedded) == len(alone)


# The command.


def test_the_command_counts_what_a_row_lost_and_shows_one(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.compare({"llm": scripted(), **QUICK, "prompt": "cited(passages=1)"}, ask=["salt", "ferry", "mayor", "stop"])
    assert run(["why", "run", "1"]) == 0
    said = capsys.readouterr().out
    assert "Of 4 questions 4 lost: 2 model, 1 search, 1 unanswerable." in said
    assert "openbook why run 1 salt" in said
    for words in (["1", "salt"], ["run:1", "For how long"], [":1", "for", "how", "long", "is"], ["run", "1", "salt"]):
        assert run(["why", *words]) == 0
        said = capsys.readouterr().out
        assert "Lost by model. The answer was in the prompt as [1]" in said
        assert "documents island.md holds it: " in said
    assert run(["why", "run:1", "salt", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lost"] == "model"
    assert run(["why", "run:1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lost"]["search"] == ["stop"]


def test_a_row_that_lost_nothing_or_was_asked_nothing_has_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    asked = questions(1)
    kept([[answered(asked[0])], [None]], asked)
    assert run(["why", "run", "1"]) == 0
    assert "Of 1 question 0 lost." in capsys.readouterr().out
    assert run(["why", "run", "2"]) == 0
    assert "Of 0 questions 0 lost; 1 not asked or not judged." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none", "1"], "No comparison is called 'none'. Runs: run."),
        (["run", "9"], "The comparison run has no row 9, but row 1 alone."),
        (["run"], "Which row of run? Write its number: openbook why run 1"),
        (["²"], "No comparison is called '²'."),
        (["1", "sal"], "has no question 'sal'. Did you mean 'salt'?"),
        (["1", "nothing", "like", "it"], "has no question 'nothing like it'. Write its id, or how it begins."),
        (["1", "How"], "21 questions begin with 'How', such as wall0, wall1, wall2. Write an id, or more of one."),
    ],
)
def test_what_it_cannot_find_is_said_in_one_line(
    bench: Bench, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    bench.compare(QUICK, ask=["salt", *WALLS], answers=False)
    assert run(["why", *words]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


# With a model.


@pytest.mark.models
@pytest.mark.slow
def test_a_wrong_format_is_told_from_a_small_model(bench: Bench, weights: Path) -> None:
    """The same model spoken to as its file says, and as three others are."""
    names = ["salt", "ferry", "mayor"]
    own = f"llamacpp(model={str(weights)!r}, context=1024)"
    others = [f"{own[:-1]}, template={name!r})" for name in ("vicuna-1.1", "alpaca", "gemma")]
    bench.compare(*({**QUICK, "llm": llm} for llm in (own, *others)), ask=names)
    rows = [bench.whys(names, row) for row in range(1, 5)]
    # Spoken to rightly, it may be wrong, but then by itself.
    assert {one.lost for one in rows[0].values()} <= {"", "model", "unanswerable", "question"}
    right = [name for name in names if not rows[0][name].lost]
    wrong = [row[name] for row in rows[1:] for name in right if row[name].lost]
    assert wrong
    assert {one.lost for one in wrong} == {"format"}
    assert any("row 1, the same but for the format" in one.because for one in wrong)
    assert all(any("its own is: chat template of the file: chatml" in tip.known for tip in one.tries) for one in wrong)


@pytest.mark.models
@pytest.mark.slow
def test_room_for_fewer_passages_than_the_prompt_takes_is_told(bench: Bench, weights: Path) -> None:
    llm = f"llamacpp(model={str(weights)!r}, context=512)"
    bench.compare({**QUICK, "llm": llm, "prompt": "cited(passages=20)"}, ask=[*WALLS])
    lost = [one.lost for one in bench.whys([*WALLS]).values()]
    assert lost.count("budget") > 5
    assert set(lost) <= {"", "budget", "model", "rank"}
