"""Questions are made of a book's own documents: proven by a reader, kept with their gold, never lost, never doubled."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import pytest

from contracts import LIGHT, Write
from openbook import Book
from openbook.app.cli import run
from openbook.bench.checking import check_questions
from openbook.bench.generation import proving
from openbook.bench.generation.drafting import NOTHING, asked, written
from openbook.bench.generation.golding import golds_of, short_name
from openbook.bench.generation.making import Made, Maker
from openbook.bench.generation.picking import pick
from openbook.bench.generation.spans import Span, fit, spans
from openbook.bench.gold import documents_of, resolve
from openbook.bench.questions import Question, read_questions, write_questions
from openbook.errors import BookError, ModelError
from openbook.llms.quote import Quote
from openbook.recipe import Spec
from openbook.types import Document, Message, Stream, Usage

NAMES = ["Ahab", "Boaz", "Caleb", "Dinah", "Esau", "Felix", "Gaius", "Hagar", "Isaac", "Jonah", "Korah", "Lydia"]
FISH = re.compile(r"The fish that (\w+) caught near the harbour weighed (\d+) pounds\.")
WEIGHTS = {name: str(100 + sum(map(ord, name))) for name in NAMES}


def story(name: str) -> str:
    return (
        f"# The catch of {name}\n\nThe fish that {name} caught near the harbour weighed {WEIGHTS[name]} pounds. "
        f"It was sold on the market of the town before the evening came, and all the people of {name} were glad."
    )


@dataclass(frozen=True)
class Writer(Quote):
    """Asks for the weight of the fish in a text, and knows it only from there. Each answer may be another's."""

    slots: int = 1
    write: str = "Question: How heavy was the fish of {name}?"
    read: Callable[[str, str], str] | None = None  # (text, question) -> what it reads
    known: str = "I guess 3."
    missed: str = "Question: What did {name} of Joppa pay for the boat?"
    fails_after: int = 1_000_000
    asked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        return "writer"

    @property
    def parallel(self) -> int:
        return self.slots

    def stream(self, messages: Sequence[Message], max_tokens: int, grammar: str = "") -> Stream:
        with self.lock:
            self.asked.append(messages[-1].content)
            if len(self.asked) > self.fails_after:
                raise ModelError("The model is gone.")
        yield self.says(messages[-1].content)
        yield Usage(stopped="end")

    def says(self, asked: str) -> str:
        text = asked.partition("\n\nTask: ")[0]
        fish = FISH.search(" ".join(text.split()))
        if "\nSentence: " in asked:
            assert fish is not None
            return self.write.format(name=fish[1], weight=fish[2])
        if "\nAsk: " in asked:
            assert fish is not None
            return self.missed.format(name=fish[1])
        if "\nQuestion: " in asked:
            question = asked.partition("\nQuestion: ")[2]
            if self.read:
                return self.read(text, question)
            return fish[2] if fish and fish[1] in question and "heavy" in question else NOTHING
        return self.known


@pytest.fixture
def folder(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book of a story for each name; made once, as reading files takes processes."""
    once = tmp_path_factory.getbasetemp() / "stories"
    if not (once / "done").exists():
        files = [once / f"{name.lower()}.md" for name in NAMES]
        once.mkdir(exist_ok=True)
        for file, name in zip(files, NAMES, strict=True):
            file.write_text(story(name), encoding="utf-8")
        with Book.open(once / "book", LIGHT, create=True) as book:
            book.add(files)
        (once / "done").touch()
    return Path(shutil.copytree(once / "book", tmp_path / "book"))


@pytest.fixture
def book(folder: Path) -> Iterator[Book]:
    with Book.open(folder) as opened:
        yield opened


def made(book: Book, out: Path, writer: Writer | None = None, *, n: int = 5, share: float = 0.0, seed: int = 1) -> Made:
    book._opened.models[Spec.parse("quote")] = writer or Writer()
    return Maker(book, out, n, share, seed).run()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "q.jsonl"


# What is made.


def test_each_question_has_an_answer_and_a_gold_that_is_found(book: Book, out: Path) -> None:
    found = made(book, out)
    questions = read_questions(out)
    assert [one.text for one in questions] == [one.text for one in found.questions]
    assert len(questions) == 5
    assert not resolve(questions, documents_of(book.documents)).missing
    for one in questions:
        assert one.answers[0] in one.gold[0].quote
        assert len(one.gold) == 1
        assert "/" not in one.gold[0].source
    wrong = [one.said for one in check_questions(questions, book) if one.question]
    assert not [one for one in wrong if not one.startswith("asks what")]  # they are all of one form here


def test_what_was_heard_is_kept_beside_the_question(book: Book, out: Path) -> None:
    made(book, out)
    [said] = {tuple(one.made) for one in read_questions(out)}
    assert said == ("by", "heading", "reader", "memory", "overlap")
    assert json.loads(out.read_text("utf-8").splitlines()[0])["made"]["by"] == "writer"


def test_a_file_with_what_a_model_said_is_read_as_it_was_written(tmp_path: Path) -> None:
    asked = [Question("a", "Who fled to Tarshish?", ("Jonah",), made={"by": "m", "overlap": 0.5})]
    write_questions(asked, tmp_path / "q.jsonl")
    assert read_questions(tmp_path / "q.jsonl") == asked


def test_one_in_five_is_not_answered_by_the_documents(book: Book, out: Path) -> None:
    found = made(book, out, n=10, share=0.2)
    silent = [one for one in found.questions if not one.answerable]
    assert (len(found.questions), len(silent), found.unanswerable) == (10, 2, 2)
    assert all(not one.gold and one.text.endswith("of Joppa pay for the boat?") for one in silent)


def test_a_share_of_all_or_of_none_is_kept_to(book: Book, tmp_path: Path) -> None:
    assert made(book, tmp_path / "a.jsonl", share=1.0).unanswerable == 5
    assert made(book, tmp_path / "b.jsonl", share=0.0).unanswerable == 0


def test_many_slots_give_what_one_gives(book: Book, tmp_path: Path) -> None:
    one = made(book, tmp_path / "a.jsonl", n=8)
    many = made(book, tmp_path / "b.jsonl", Writer(slots=3), n=8)
    assert {one.text for one in many.questions} == {one.text for one in one.questions}
    assert len(many.questions) == 8


def test_the_seed_decides_what_is_asked_about(book: Book, tmp_path: Path) -> None:
    first, again, other = (
        {one.text for one in made(book, tmp_path / name, seed=seed).questions}
        for name, seed in (("a.jsonl", 1), ("b.jsonl", 1), ("c.jsonl", 2))
    )
    assert first == again != other


# What is not kept.


@pytest.mark.parametrize(
    ("writer", "reason"),
    [
        (Writer(write="I cannot."), proving.FORM),
        (Writer(write="Question: Tell how heavy the fish of {name} was."), proving.FORM),
        (Writer(write="Question: How heavy was the nightly backup of {name}?"), proving.ECHO),
        (Writer(write="Question: How heavy was X of {name}?"), proving.ALONE),
        (Writer(write="Question: Was the fish of {name} heavy?"), proving.CLOSED),
        (Writer(write="Question: How heavy was this fish near Joppa?"), proving.ALONE),
        (Writer(write="Question: What of {name} weighed {weight} pounds?"), proving.ITSELF),
        (Writer(write="Question: Wie schwer war denn nun der Fisch des {name} von Joppe?"), proving.LANGUAGE),
        (Writer(read=lambda *_: NOTHING), proving.READER),
        (Writer(read=lambda *_: "3 stones"), proving.READER),
        (Writer(known="About 3 pounds."), ""),
    ],
)
def test_what_is_wrong_with_a_question_is_named(book: Book, out: Path, writer: Writer, reason: str) -> None:
    found = made(book, out, writer, n=2)
    assert (set(found.rejected) == {reason}) if reason else len(found.questions) == 2
    assert bool(found.short) is bool(reason)


def test_what_the_model_knows_without_the_text_is_not_kept(book: Book, out: Path) -> None:
    found = made(book, out, Writer(known=" or ".join([WEIGHTS[name] for name in NAMES[:3]])), n=12)
    assert found.rejected == {proving.MEMORY: 3}
    assert not {WEIGHTS[name] for name in NAMES[:3]} & {one.answers[0] for one in found.questions}


def test_a_question_is_not_asked_twice(book: Book, out: Path) -> None:
    found = made(book, out, Writer(write="Question: How heavy was the big fish of the good man {name} of Joppa?"), n=12)
    assert len(found.questions) == 1
    assert found.rejected == {proving.DOUBLED: 11}


def test_what_stands_in_many_documents_is_no_gold(tmp_path: Path, write: Write, out: Path) -> None:
    licence = "The fish that Jonah caught near the harbour weighed 50 pounds. So it is said here, and all may say so."
    with Book.open(tmp_path / "book", LIGHT, create=True) as book:
        book.add(
            [
                write(f"{one}.md", f"# The catch of Jonah\n\n{licence} Amen to it.\n\n# Page {one}\n\nNo.")
                for one in range(9)
            ]
        )
        assert made(book, out, n=2).rejected == {proving.COMMON: 1}


def test_each_copy_of_the_sentence_is_gold(tmp_path: Path, write: Write, out: Path) -> None:
    with Book.open(tmp_path / "book", LIGHT, create=True) as book:
        book.add([write(f"{number}/a.md", f"{story('Ahab')}\n\n# Page {number}\n\nNothing.") for number in range(3)])
        [question] = made(book, out, n=1).questions
        assert {one.source for one in question.gold} == {"0/a.md", "1/a.md", "2/a.md"}
        assert len(resolve([question], documents_of(book.documents)).stretches[question.id]) == 3


def test_a_question_that_the_documents_answer_is_not_called_unanswerable(book: Book, out: Path) -> None:
    writer = Writer(missed="Question: How heavy was the fish of {name}?")
    assert made(book, out, writer, share=1.0).rejected == {proving.ANSWERED: 12}
    # Nor when another document does: of what a search finds.
    other = Writer(
        missed="Question: How heavy was the fish of Jonah?", read=lambda text, _: "9" if "Jonah" in text else NOTHING
    )
    assert made(book, out.with_name("b.jsonl"), other, share=1.0).rejected == {proving.ANSWERED: 12}


def test_a_model_that_cannot_do_it_is_given_up(tmp_path: Path, write: Write, out: Path) -> None:
    text = "\n\n".join(
        f"# Day {number}\n\n{story('Ahab').partition('pounds. ')[2]} {1000 + number} of them were men of the town."
        for number in range(90)
    )
    with Book.open(tmp_path / "book", LIGHT, create=True) as book:
        book.add([write("days.md", text)])

        @dataclass(frozen=True)
        class Silent(Writer):
            def says(self, asked: str) -> str:
                return "No."

        found = made(book, out, Silent())
    assert found.tried == 60
    assert "a larger model" in found.short


def test_what_has_a_form_is_asked_for(tmp_path: Path, write: Write, out: Path) -> None:
    text = (
        "# server.keep\n\nHow long the server of the harbour keeps a connection that is idle. Connections are closed "
        "because each of them takes memory. The limit is 30 seconds; the option --forever lifts it for them."
    )
    with Book.open(tmp_path / "book", LIGHT, create=True) as book:
        book.add([write("a.md", text)])
        [span] = spans(book.documents, 1)
        document = book.documents.get(span.document_id)
        assert document is not None
        words = re.findall("server.keep|30 seconds|--forever|each of them takes memory", text)
        seen = {
            found.answer for seed in range(40) if (found := pick(document, replace(span, text=span.text + " " * seed)))
        }
        assert seen == set(words)
        assert pick(document, span) == pick(document, span)


def test_the_default_of_a_setting_is_gold_with_the_setting(tmp_path: Path, write: Write, out: Path) -> None:
    setting = (
        "<h4>server.keep</h4><p>How long the server of the harbour keeps each of the connections that are idle.</p>"
    )
    table = "<table><tr><th>Type:</th><td>int</td></tr><tr><th>Default:</th><td>{}</td></tr>{}</table>"
    more = "<tr><th>Importance:</th><td>low</td></tr>"
    pages = {"a.html": table.format(42, ""), "b.html": table.format(42, more), "c.html": table.format(7, more)}
    with Book.open(tmp_path / "book", LIGHT, create=True) as book:
        book.add([write(name, f"<html><body>{setting}{page}</body></html>") for name, page in pages.items()])
        for span in spans(book.documents, 1):
            document = book.documents.get(span.document_id)
            assert document is not None
            longer = [replace(span, text=span.text + " " * number) for number in range(20)]
            found = [one for text in longer if (one := pick(document, text)) and one.answer == "42"]
            if found:
                golds = golds_of(span, found[0], book.documents, book.store)
                assert {one.source for one in golds} == {"a.html", "b.html"}
                assert "idle" in golds[0].quote
                break
        else:
            raise AssertionError("the default is not picked")


def test_the_number_of_a_list_is_not_asked_for(tmp_path: Path, write: Write) -> None:
    text = "Once all of the ships have left the harbour it is over.\n5. If one of them is left then wait 7 days for it."
    with Book.open(tmp_path / "book", LIGHT, create=True) as book:
        book.add([write("a.txt", f"{text} So it was said to each of the captains.")])
        [span] = spans(book.documents, 1)
        document = book.documents.get(span.document_id)
        assert document is not None
        found = pick(document, span)
        assert found is not None
        assert found.answer == "7 days"


def test_a_question_begins_as_its_answer_asks(tmp_path: Path, write: Write) -> None:
    texts = {
        "en": "The harbour was closed to all ships for so long because the storm had broken its gate.",
        "de": "Der Hafen blieb für alle Schiffe lange geschlossen, weil der Sturm das Tor zerbrochen hatte.",
    }
    found = {}
    with Book.open(tmp_path / "book", LIGHT, create=True) as book:
        book.add(
            [
                write(f"{name}.txt", f"{text} {text[:1]}lso war es damals in der Stadt am Meer.")
                for name, text in texts.items()
            ]
        )
        for span in spans(book.documents, 1):
            document = book.documents.get(span.document_id)
            assert document is not None
            found[document.language] = pick(document, span)
    assert {name: one and (one.answer, one.begins) for name, one in found.items()} == {
        "en": ("the storm had broken its gate", ("Why",)),
        "de": ("der Sturm das Tor zerbrochen hatte", ("Warum", "Wozu")),
    }
    assert '("Warum " | "Wozu ")' in asked(("Warum", "Wozu"))


# What was stopped.


@pytest.mark.parametrize("calls", [1, 2, 3, 4, 7, 11])
def test_what_was_stopped_goes_on_where_it_was(folder: Path, out: Path, calls: int) -> None:
    with Book.open(folder) as book:
        whole = made(book, out.with_name("whole.jsonl"), n=8, share=0.25)
        with pytest.raises(ModelError):
            made(book, out, Writer(fails_after=calls), n=8, share=0.25)
    with Book.open(folder) as book:
        tried = len(out.with_name("q.tried.jsonl").read_text("utf-8").splitlines()) - 1
        found = made(book, out, writer := Writer(), n=8, share=0.25)
    assert found.questions == whole.questions
    assert sum("\nSentence: " in one or "\nAsk: " in one for one in writer.asked) == found.tried - tried


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_line_that_was_cut_off_by_a_kill_is_made_again(book: Book, out: Path, cut: int) -> None:
    whole = made(book, out)
    journal = out.with_name("q.tried.jsonl")
    for path in (out, journal):
        path.write_bytes(path.read_bytes()[:-cut])
    assert made(book, out).questions == whole.questions
    assert len(read_questions(out)) == 5


def test_killed_between_the_two_files_no_question_is_doubled(book: Book, out: Path) -> None:
    whole = made(book, out)
    journal = out.with_name("q.tried.jsonl")
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    assert made(book, out).questions == whole.questions


def test_what_a_person_deleted_or_edited_stays_so(book: Book, out: Path) -> None:
    first, second, *rest = read_questions(made(book, out).path)
    edited = Question(second.id, "How heavy was that fish of Joppa?", second.answers, second.gold)
    write_questions([edited, *rest], out)
    found = made(book, out, n=6)
    assert len(found.questions) == 6
    assert edited in found.questions
    assert first.text not in {one.text for one in found.questions}


def test_more_can_be_wanted_later(book: Book, out: Path) -> None:
    few = made(book, out, n=3)
    more = made(book, out, n=7)
    assert more.questions[:3] == few.questions
    assert len(more.questions) == 7


def test_a_file_that_was_moved_away_is_written_again_without_the_model(book: Book, out: Path) -> None:
    whole = made(book, out)
    out.unlink()
    assert made(book, out, writer := Writer()).questions == whole.questions
    assert not writer.asked


def test_a_file_that_could_not_be_written_again_is_not_half_there(
    book: Book, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    whole = made(book, out)
    out.unlink()
    with monkeypatch.context() as patched:
        patched.setattr("openbook.writing.os.fsync", full)
        with pytest.raises(BookError, match="^The disk is full"):
            made(book, out)
    assert made(book, out).questions == whole.questions


def test_a_full_disk_is_one_line_and_costs_nothing(book: Book, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from openbook.bench.generation.journal import Journal

    keep = Journal._write
    monkeypatch.setattr(Journal, "_write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(BookError, match="^The disk is full: what was made before is kept"):
        made(book, out)
    monkeypatch.setattr(Journal, "_write", keep)
    assert len(made(book, out).questions) == 5


DYING = """
import os, signal, sys
from pathlib import Path
from openbook import Book
from openbook.bench.generation.journal import Journal
from test_bench_making import Writer, made

folder, out, what, after = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
count = 0

def counted(work):
    def run(*given):
        global count
        count += 1
        if count > after:
            os.kill(os.getpid(), signal.SIGKILL)
        return work(*given)
    return run

if what == "call":
    Writer.says = counted(Writer.says)
else:
    Journal._write = counted(Journal._write)
with Book.open(folder) as book:
    made(book, out, n=4, share=0.25)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("what", "after"), [("call", 4), ("write", 1), ("write", 4)])
def test_killed_again_and_again_it_comes_to_the_same(folder: Path, out: Path, what: str, after: int) -> None:
    with Book.open(folder) as book:
        whole = made(book, out.with_name("whole.jsonl"), n=4, share=0.25)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", DYING, str(folder), str(out), what]
    codes: list[int] = []
    while 0 not in codes:
        # One more each time, as an answer that was heard but not written is asked for again.
        run = subprocess.run([*command, str(after + len(codes))], env=environment, check=False, capture_output=True)
        codes.append(run.returncode)
        assert codes[-1] in {0, -signal.SIGKILL}, run.stderr
    assert len(codes) > 1
    assert tuple(read_questions(out)) == whole.questions


# What is refused.


def test_a_file_of_another_origin_is_left_alone(book: Book, out: Path) -> None:
    out.write_text('{"question": "Who fled?"}\n', "utf-8")
    with pytest.raises(BookError, match="was not made by this command"):
        made(book, out)
    assert out.read_text("utf-8") == '{"question": "Who fled?"}\n'
    made(book, other := out.with_name("b.jsonl"))
    with pytest.raises(BookError, match=r"was begun otherwise \(by writer, seed 1\)"):
        made(book, other, seed=2)


def test_a_folder_that_is_not_there_is_said(book: Book, tmp_path: Path) -> None:
    with pytest.raises(BookError, match=r"^Cannot write .*: No such file or directory\. Name another file: -o FILE"):
        made(book, tmp_path / "none" / "q.jsonl")


@pytest.mark.parametrize(
    "line", [b"[1]", b"null", b'{"by": 1}', b"\xff", b"[" * 100_000, b'{"by": "writer"}\n{"tried": 1}']
)
def test_a_damaged_journal_is_one_line(book: Book, out: Path, line: bytes) -> None:
    out.with_name(f"{out.stem}.tried.jsonl").write_bytes(line + b"\n")
    with pytest.raises(BookError, match=r"^[^\n]+ (is damaged|was begun otherwise|is not as it was written)[^\n]+$"):
        made(book, out)


def test_a_journal_that_lost_a_key_is_one_line(book: Book, out: Path) -> None:
    made(book, out, n=1)
    journal = out.with_name(f"{out.stem}.tried.jsonl")
    journal.write_text(f"{journal.read_text('utf-8').splitlines()[0]}\n{{}}\n", "utf-8")
    with pytest.raises(BookError, match="is not as it was written"):
        made(book, out)


def test_a_file_without_a_name_is_refused(book: Book, out: Path) -> None:
    with pytest.raises(BookError, match="is no name of a file"):
        made(book, Path(out.anchor))


def test_any_seed_draws_all_stretches(book: Book, tmp_path: Path) -> None:
    for seed in (10**18, 10**400):
        assert len(made(book, tmp_path / f"{seed % 7}.jsonl", n=200, seed=seed).questions) == len(NAMES)


def test_an_empty_book_and_a_model_without_words_are_refused(tmp_path: Path, out: Path) -> None:
    with Book.open(tmp_path / "book", LIGHT, create=True) as book:
        with pytest.raises(ModelError, match="^quote has no words of its own"):
            Maker(book, out, 5)
        with pytest.raises(BookError, match="^This book is empty"):
            made(book, out)
    assert not out.exists()


def test_too_few_documents_give_what_they_can(book: Book, out: Path) -> None:
    found = made(book, out, n=200)
    assert len(found.questions) == len(NAMES)
    assert found.short == "all 12 stretches that can be asked about were tried"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-b", "nowhere"], "There is no book 'nowhere'"),
        (["--llm", "quote"], "quote has no words of its own"),
        (["--llm", "llamacpp(model='none.gguf')"], "none.gguf"),
        (["-n", "0"], "0"),
        (["--unanswerable", "2"], "2"),
        (["--unanswerable", "nan"], "nan"),
    ],
)
def test_a_mistake_is_one_line(
    folder: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = arguments if "-b" in arguments else ["-b", str(folder), *arguments]
    assert run(["questions", "make", *arguments]) != 0
    shown = capsys.readouterr().err.strip()
    assert said in shown
    assert len(shown.splitlines()) == 1


# Where questions are asked about.


def test_spans_are_spread_over_documents_by_their_length(tmp_path: Path, write: Write) -> None:
    with Book.open(tmp_path / "book", LIGHT, create=True) as book:
        said = [f"The good king {number} of Judah sat on the throne for years. " for number in range(1200)]
        book.add([write(f"{size}.txt", "".join(said[:size])) for size in (40, 400, 1200)])
        sizes = book.documents.sizes()
        found = Counter(one.document_id for one in islice(spans(book.documents, 7), 40))
        every = list(spans(book.documents, 7))
    for name, size in sizes.items():
        assert abs(found[name] - 40 * size / sum(sizes.values())) <= 2
    assert len({(one.document_id, one.start) for one in every}) == len(every)


def test_a_span_is_a_stretch_of_its_document(book: Book) -> None:
    for span in spans(book.documents, 3):
        document = book.documents.get(span.document_id)
        assert document is not None
        assert document.text[span.start : span.end] == span.text
        assert span.start <= span.sentence[0] < span.sentence[1] <= span.end
        assert span.about.startswith("The catch of ")


@pytest.mark.parametrize(
    "text",
    [
        "Introduction\nQuick start\nThe consumer\nThe producer\nSecurity\nMonitoring\nUpgrading\nGlossary\nIndex\n" * 2,
        "short text.",
    ],
)
def test_tables_of_contents_and_scraps_are_not_asked_about(text: str) -> None:
    document = Document(text, "a.txt")
    assert not fit(document, Span("a", 0, len(text), text, "", (0, len(text))))


def test_code_is_not_asked_about() -> None:
    text = "for king in kings: print('The king sat on the throne of Judah for many years.')\n" * 4
    span = Span("a", 0, len(text), text, "", (0, len(text)))
    assert fit(Document(text, "a.txt"), span)
    assert not fit(Document(text, "a.txt", parts=((0, "code"),)), span)


# Words.


@pytest.mark.parametrize(
    "question",
    [
        "What does this passage say about Jonah?",
        "Who is mentioned in the text?",
        "Why did he flee from Nineveh?",
        "What is the following configuration of Kafka?",
        "What do we recommend for Kafka?",
        "What is the name of the program?",
        "Was sagt dieser Abschnitt über Jona?",
        "Wohin floh er vor Ninive?",
        "What is Kafka?",
    ],
)  # fmt: skip
def test_a_question_that_points_outside_of_it_does_not_stand_alone(question: str) -> None:
    assert not proving.stands_alone(question)


@pytest.mark.parametrize(
    "question",
    [
        "Where did Jonah flee to when he left Joppa?",
        "What does a Kafka broker do when its log directory fails?",
        "Which value of acks waits for all replicas?",
        "Wohin floh Jona, als er Joppe verließ?",
    ],
)
def test_a_question_that_names_what_it_is_about_stands_alone(question: str) -> None:
    assert proving.stands_alone(question, "Producer > acks")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('**Question:** Who fled?\n**Answer:** "Jonah"', "Who fled?"),
        ("Frage:  Wer   floh?", "Wer floh?"),
        ("Who fled? Jonah.", ""),
    ],
)
def test_what_a_model_writes_without_a_grammar_is_read_too(said: str, found: str) -> None:
    assert written(said) == found


def test_a_source_is_named_by_what_tells_it_apart() -> None:
    sources = ["/home/a/docs/x.html", "/home/a/docs/y.html", "/home/a/old/y.html", "/home/a/c.jsonl#1"]
    assert [short_name(one, sources) for one in sources] == ["x.html", "docs/y.html", "old/y.html", "c.jsonl#1"]


def test_ctrl_c_says_how_to_go_on(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(_: Maker) -> Made:
        raise KeyboardInterrupt

    monkeypatch.setattr(Maker, "__post_init__", lambda _: None)
    monkeypatch.setattr(Maker, "run", stopped)
    assert run(["questions", "make", "-b", str(folder), "-o", str(out)]) == 130
    assert capsys.readouterr().err.strip() == "Stopped. The same command goes on where it stopped."


def test_what_was_made_is_said_with_what_comes_next(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(out.parent)
    monkeypatch.setattr(Book, "llm", property(lambda _: Writer()))
    assert run(["questions", "make", "-b", str(folder), "-n", "4", "--unanswerable", "0.5", "-o", "q.jsonl"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("q.jsonl: 4 questions, 2 of them without an answer. Tried: 4 stretches.\n")
    assert f"$ openbook questions check q.jsonl -b {folder}" in shown.out
    assert not shown.err
    assert run(["questions", "make", "-b", str(folder), "-n", "40", "-o", "q.jsonl"]) == 0
    shown = capsys.readouterr()
    assert "Not kept: " in shown.out or "12 stretches" in shown.out
    assert shown.err == "Fewer than 40: all 12 stretches that can be asked about were tried.\n"


@pytest.mark.models
def test_a_real_model_runs_from_end_to_end(
    folder: Path, weights: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = f"llamacpp(model='{weights}', threads=2)"
    assert run(["questions", "make", "-b", str(folder), "-n", "2", "-o", str(out), "--llm", spec, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["tried"] == said["questions"] + sum(said["rejected"].values()) > 0
    assert (said["questions"] == 2) or said["short"]
