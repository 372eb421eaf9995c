"""What a user types and sees: exact lines, exit codes, one line for every error."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from contracts import WEIGHTLESS
from openbook.app.cli import run
from openbook.home import books_folder
from openbook.watching import changes
from processes import PATIENCE, line_of, running


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "whale.txt"
    path.write_text("Now the LORD had prepared a great fish to swallow up Jonah.", encoding="utf-8")
    return path


@pytest.fixture
def book(text: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["add", "-b", "sea", str(text), *WEIGHTLESS]) == 0
    capsys.readouterr()
    return "sea"


def failing(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 1) -> str:
    """The one line a failing command says."""
    assert run(list(arguments)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    return err.strip()


def test_add_says_what_came_of_it(text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["add", "-b", "sea", str(text), *WEIGHTLESS]) == 0
    assert capsys.readouterr().out.startswith("Documents: 1 added. 1 chunk in ")
    assert run(["add", "-b", "sea", str(text)]) == 0
    assert capsys.readouterr().out.startswith("Documents: 0 added, 1 unchanged. 0 chunks in ")


def test_search_json_is_what_was_promised(book: str, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "-b", book, "great fish", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["question", "passages", "seconds"]
    assert found["question"] == "great fish"
    (passage,) = found["passages"]
    assert list(passage) == [
        "n", "text", "source", "sources", "title", "fields", "place", "start", "end", "score", "via",
    ]  # fmt: skip
    assert text.read_text(encoding="utf-8")[passage["start"] : passage["end"]] == passage["text"]
    assert (passage["n"], passage["source"], passage["via"]) == (1, str(text), "hybrid")
    assert set(found["seconds"]) == {"embed", "search", "total"}


def test_ask_json_is_what_was_promised(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ask", "-b", book, "Who was swallowed?", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"question", "answer", "cited", "passages", "model", "prompt", "tokens", "seconds"} <= set(found)
    assert found["cited"] == [1]
    assert "great fish" in found["prompt"]
    assert {"prompt", "answer"} <= set(found["tokens"])
    assert {"retrieve", "first_token", "total"} <= set(found["seconds"])


def test_ask_shows_sources_then_the_answer_then_what_it_cites(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ask", "-b", book, "Who", "was", "swallowed?", "-v", "--show-prompt"]) == 0
    out = capsys.readouterr().out
    order = [out.index(part) for part in ("Sources", "[1] whale.txt, characters 0-59", "Cited", "Prompt", "retriever")]
    assert order == sorted(order)


def test_questions_come_from_stdin_one_a_line(
    book: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Who was swallowed?\n\nWhat was prepared?\n"))
    assert run(["ask", "-b", book, "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["question"] for line in lines] == ["Who was swallowed?", "What was prepared?"]


def test_piped_questions_end_with_1_if_one_failed(
    book: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Who was swallowed?\nWhat was prepared?\n"))
    assert run(["ask", "-b", book, "--where", "year >"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("openbook: ")) == ("", 2)


def test_a_piped_question_that_failed_has_its_line_of_json(
    book: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Who was swallowed?\nWhat was prepared?\n"))
    assert run(["ask", "-b", book, "--where", "year >", "--json"]) == 1
    out, err = capsys.readouterr()
    said = [json.loads(line) for line in out.splitlines()]
    assert [one["question"] for one in said] == ["Who was swallowed?", "What was prepared?"]
    assert [f"openbook: {one['error']}" for one in said] == err.splitlines()


def test_list_and_status_show_the_book(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list"]) == 0
    assert "sea" in capsys.readouterr().out
    assert run(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["book"] == "sea"
    assert run(["status", "-b", book]) == 0
    out = capsys.readouterr().out
    assert "1 document in 1 file" in out
    assert "splitter = structure(size=500)" in out
    assert run(["status", "-b", book, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["state"] == "ok"


def test_remove_takes_a_document_out(book: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["remove", "-b", book, "whale.txt"]) == 0
    assert capsys.readouterr().out == "Removed 1 document.\n"
    assert "is empty" in failing(capsys, "search", "-b", book, "fish")


def test_a_book_can_be_any_folder(text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["add", "-b", "./here", str(text), *WEIGHTLESS]) == 0
    assert (text.parent / "here" / "book.toml").is_file()
    assert run(["search", "-b", "./here", "fish"]) == 0


def test_set_on_add_is_kept_for_the_steps_that_do_not_touch_vectors(book: str, text: Path) -> None:
    assert run(["add", "-b", book, str(text), "--set", "retriever=bm25"]) == 0
    from openbook import Book
    from openbook.home import books_folder

    with Book.open(books_folder() / book) as opened:
        assert str(opened.recipe.retriever) == "bm25"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["search", "-b", "se", "fish"], 1, "There is no book 'se'. Did you mean 'sea'?"),
        (["ask", "-b", "nothing", "fish"], 1, "openbook add -b nothing FILE..."),
        (["add", "-b", "sea", "missing.txt"], 1, "missing.txt does not exist"),
        (["add", "-b", "sea", "*.doc"], 1, "Nothing matches"),
        (["add", "-b", "sea", "whale.txt", "--set", "splitter"], 1, "has no '='"),
        (["add", "-b", "sea", "whale.txt", "--set", "spliter=chars"], 1, "Did you mean 'splitter'?"),
        (["add", "-b", "new", "whale.txt", "--set", "splitter=char"], 1, "Did you mean 'chars'?"),
        (["add", "-b", "new", "whale.txt", "--set", "splitter=chars(sise=3)"], 1, "Did you mean 'size'?"),
        (["add", "-b", "new", "whale.txt", "--set", "splitter=chars(size='x')"], 1, "size must be a whole number"),
        (["add", "-b", "new", "whale.txt", "--set", "splitter=chars(size=0)"], 1, "size must be"),
        (["add", "-b", "sea", "whale.txt", "--set", "splitter=chars(size=100)"], 1, "openbook rebuild -b sea --set"),
        (["search", "-b", "sea", "  "], 1, "question is empty"),
        (["search", "-b", "sea", "fish", "-k", "0"], 1, "Ask for 1 or more"),
        (["search", "-b", "sea", "fish", "-k", "x"], 2, "'x' is not a valid integer"),
        (["search", "-b", "sea", "fish", "--bok", "x"], 2, "--bok"),
        (["serch", "fish"], 2, "There is no command 'serch'. Did you mean 'search'?"),
        (["search", "-b", "", "fish"], 2, "name of a book is empty"),
        (["add", "-b", "sea"], 2, "FILE|FOLDER"),
        (["remove", "-b", "sea", "nothing.txt"], 1, "No document of this book is called 'nothing.txt'"),
        (["models", "pull", "gpt-9"], 1, "gpt-9"),
        (["ask", "-b", "sea", "--llm", "qwen2.5-coder-1.5b", "fish"], 1, "openbook models pull qwen2.5-coder-1.5b"),
        (["ask", "-b", "sea", "--llm", "nothing.gguf", "fish"], 1, "nothing.gguf"),
        (["components", "splittr"], 1, "Did you mean 'splitter'?"),
        (["rebuild", "-b", "sea", "--set", "embedder=nothing"], 1, "No embedder is called 'nothing'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_mistake_is_one_line_with_the_next_step(
    book: str, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    line = failing_or_after_sources(capsys, arguments, code)
    assert said in line


def failing_or_after_sources(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int) -> str:
    """`ask` shows its sources before the model fails; the error is still one line."""
    assert run(arguments) == code
    out, err = capsys.readouterr()
    assert out == "" or arguments[0] == "ask"
    assert err.count("\n") == 1, err
    return err.strip()


def test_a_file_that_fails_is_named_and_the_exit_code_says_so(
    book: str, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = text.parent / "empty.txt"
    empty.touch()
    binary = text.parent / "binary.bin"
    binary.write_bytes(bytes(256) * 9)
    other = text.parent / "other.txt"
    other.write_text("Noah built an ark.", encoding="utf-8")
    assert run(["add", "-b", book, str(empty), str(binary), str(other)]) == 1
    out, err = capsys.readouterr()
    assert "1 added" in out
    assert "2 files failed" in out
    assert len(err.strip().splitlines()) == 2
    assert run(["search", "-b", book, "ark"]) == 0


def test_json_of_add_names_failures(book: str, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (text.parent / "empty.txt").touch()
    assert run(["add", "-b", book, "empty.txt", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["failed"][0]["path"].endswith("empty.txt")


def test_components_lists_every_entry(capsys: pytest.CaptureFixture[str]) -> None:
    from openbook import registry

    assert run(["components"]) == 0
    out = capsys.readouterr().out
    for kind in registry.KINDS:
        for name, entry in registry.entries(kind).items():
            assert name in out
            assert entry.purpose in out


def test_a_chat_format_that_is_none_is_refused_before_anything_is_read_or_found(
    book: str, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["ask", "-b", book, "Who?"], ["add", "-b", "new", str(text)]):
        said = failing(capsys, *command, "--set", "llm=llamacpp(template='chatmll')")
        assert "No chat format is called 'chatmll'. Did you mean 'chatml'?" in said
    assert "new" not in [one.name for one in books_folder().iterdir()]


def test_help_needs_no_heavy_import() -> None:
    script = (
        "import sys; from openbook.app.cli import run; run(['--help']); "
        "print([m for m in ('numpy', 'lance', 'openvino', 'tqdm', 'jinja2', 'urllib3') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


def test_a_closed_pipe_is_no_error(book: str) -> None:
    with running("-m", "openbook", "components", stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a full disk")
def test_a_full_disk_is_said_in_one_line() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "openbook", "components"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "openbook: The disk is full: the output is not whole. Free some space.\n"


def test_the_default_recipe_finds_by_meaning(text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (text.parent / "money.txt").write_text("Interest rates rose by a quarter of a point.", encoding="utf-8")
    assert run(["add", "-b", "mixed", "whale.txt", "money.txt"]) == 0
    capsys.readouterr()
    assert run(["search", "-b", "mixed", "a man eaten by a sea animal", "--json", "-k", "1"]) == 0
    assert "Jonah" in json.loads(capsys.readouterr().out)["passages"][0]["text"]


@pytest.mark.models
def test_the_demo_ends_with_a_cited_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import os

    home = os.environ.get("OPENBOOK_TEST_HOME", "")
    model = Path(home) / "models" / "smollm2-135m-instruct-q4_1.gguf"
    if not home or not model.exists():
        pytest.skip("set OPENBOOK_TEST_HOME to a home with smollm2-135m")
    assert run(["demo", "--yes", "--llm", str(model)]) == 0
    out = capsys.readouterr().out
    assert "Documents: 1 added." in out
    assert "Jonah 1:" in out.split("Sources")[1]
    assert "prompt tokens" in out


def test_read_shows_text_places_and_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "guide.md").write_text("# Fish\n\nOne fish.\n\n## Red\n\nRed fish.\n", encoding="utf-8")
    (tmp_path / "bad.txt").write_bytes(b"\0\1\2" * 100)
    assert run(["read", str(tmp_path / "guide.md")]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[:2] == [str(tmp_path / "guide.md"), "title: Fish"]
    assert "### Red\n## Red" in out
    assert run(["read", str(tmp_path / "bad.txt"), str(tmp_path / "guide.md"), "--json"]) == 1
    bad, good = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (bad["documents"], "looks binary" in bad["error"]) == ([], True)
    (document,) = good["documents"]
    assert document["text"][document["headings"][1][0] :].startswith("## Red")


def test_read_shows_what_a_name_says_and_names_what_is_missing_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "old.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../NIKE.txt", "Shoes.")
        archive.writestr("NIKE_2023_10K.txt", "Shoes.")
    assert run(["read", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[1:4] == ["company: NIKE", "year: 2023", "form: 10-K"]
    assert err.count("NIKE.txt") == 1
    assert run(["read", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["documents"][0]["fields"]["year"] == 2023


def test_add_names_what_failed_grouped_and_ends_with_one(
    tmp_path: Path, openbook_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.txt").write_text("One fish.", encoding="utf-8")
    for number in range(5):
        (tmp_path / f"bad{number}.txt").write_bytes(b"\0\1\2" * 100)
    add = ["add", "-b", "b", str(tmp_path / "*.txt"), "--set", "embedder=hashed"]
    assert run(add) == 1
    out, err = capsys.readouterr()
    assert out.startswith("Documents: 1 added, 5 files failed.")
    assert (err.count("looks binary"), "and 2 more files for the same reason" in err) == (3, True)
    assert run(["status", "-b", "b", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert [file["state"] for file in files] == ["failed"] * 5 + ["ok"]
    assert files[-1] | {"path": "", "read_at": ""} == {
        "path": "", "state": "ok", "reason": "", "documents": 1, "pages": 0, "chunks": 1, "language": "", "read_at": "",
    }  # fmt: skip


def test_check_ends_with_one_until_it_is_repaired(
    tmp_path: Path, openbook_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from openbook import Book
    from openbook.home import books_folder

    (tmp_path / "a.txt").write_text("One fish.", encoding="utf-8")
    assert run(["add", "-b", "b", str(tmp_path / "a.txt"), "--set", "embedder=hashed", "--set", "store=flat"]) == 0
    with Book.open(books_folder() / "b") as book:
        book.store.remove(book.documents.ids())
    assert run(["check", "-b", "b"]) == 1
    assert str(tmp_path / "a.txt") in capsys.readouterr().err
    assert run(["check", "-b", "b", "--repair"]) == 0
    assert capsys.readouterr().out.endswith("Repaired.\n")
    assert run(["check", "-b", "b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sound"] is True


def test_watch_says_what_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = ["-b", str(tmp_path / "book"), "--set", "embedder=hashed"]
    assert run(["add", *book, str(tmp_path / "none"), "--watch"]) == 1
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.slow
def test_watch_begins_before_the_first_add_and_takes_patterns(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One fish.", encoding="utf-8")
    bursts = changes([tmp_path / "*.txt"], tmp_path / "book")
    next(bursts)
    (tmp_path / "b.txt").write_text("Two fishes.", encoding="utf-8")  # as while the first add runs
    next(bursts)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="stops it with a signal")
def test_watch_keeps_up_with_a_folder_and_ends_at_ctrl_c(tmp_path: Path, openbook_home: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.txt").write_text("One fish.", encoding="utf-8")
    command = ["-m", "openbook", "add", "-b", "b", folder, "--watch", "--set", "embedder=hashed"]
    with running(*command, stderr=subprocess.PIPE) as process:
        assert "1 added" in line_of(process)
        assert process.stderr
        assert "Watching" in process.stderr.readline()
        (tmp_path / "c.txt").write_text("Two fishes.", encoding="utf-8")
        (folder / "a.txt").rename(folder / "b.txt")
        (tmp_path / "c.txt").rename(folder / "c.txt")  # whole at once: nothing is left to be seen when both were said
        said = line_of(process)
        while not ("1 added" in said and "1 moved" in said):  # in one line, unless this test was held up in between
            assert (line := line_of(process))
            said += line
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize(("where", "code"), [("openbook.app.show_documents.added", 0), ("openbook.book.Book.add", 130)])
def test_ctrl_c_cuts_a_watch_short_only_while_it_adds(
    where: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "a.txt").write_text("One fish.", encoding="utf-8")
    monkeypatch.setattr(where, stop)
    assert run(["add", "-b", "b", str(tmp_path / "a.txt"), "--watch", "--set", "embedder=hashed"]) == code


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the name of a file is always text")
def test_names_that_are_no_text_are_shown_with_question_marks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    for name in ("x\udcff.png", "y\udcff.txt"):
        (folder / name).write_text("one fish", encoding="utf-8")
    add = ["add", "-b", str(tmp_path / "book"), str(folder)]
    for command in (
        [*add, "--json", "--set", "embedder=hashed"],
        [*add, "-v"],
        ["read", "--json", *map(str, folder.glob("y*"))],
    ):
        assert run(command) == 1
        assert "?" in capsys.readouterr().out


def test_a_dry_run_of_what_cannot_be_read_says_that_it_is_not_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.docx").write_bytes(b"PK no zip" * 9)
    assert run(["add", "-b", "new", str(tmp_path / "broken.docx"), "--set", "embedder=hashed", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "is not known" in said
    assert "0 chunks" not in said


def test_a_dry_run_refuses_what_an_add_refuses(text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (text, text.parent):
        for more in ([], ["--dry-run"]):
            assert run(["add", "-b", str(folder), str(text), "--set", "embedder=hashed", *more]) == 1
        first, second = capsys.readouterr().err.splitlines()
        assert first == second


def test_a_dry_run_says_what_an_add_comes_to_and_changes_nothing(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ships.txt").write_text("Ships carried wood and oil to the harbour of Joppa. " * 400, "utf-8")
    arguments = ["add", "-b", "new", str(tmp_path / "ships.txt"), "--set", "embedder=hashed", "--dry-run"]
    assert run(arguments) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 file to read, ")
    assert "Nothing was changed." in said
    assert run(["status", "-b", "new"]) == 1
    assert "There is no book" in capsys.readouterr().err
    assert run([*arguments, "--json"]) == 0
    estimated = json.loads(capsys.readouterr().out)["chunks"]
    assert run(arguments[:-1]) == 0
    capsys.readouterr()
    assert run(["status", "-b", "new", "--json"]) == 0
    assert estimated == pytest.approx(json.loads(capsys.readouterr().out)["chunks"], rel=0.2)
