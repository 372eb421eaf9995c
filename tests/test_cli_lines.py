"""Lines that a user acts on: what they name is right as typed."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from contracts import WEIGHTLESS
from openbook.app.cli import run
from openbook.home import books_folder
from openbook.recipe import Recipe


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number}.md").write_text(f"Ship number {number} carried wood to Joppa.", encoding="utf-8")
    return folder


def add(folder: Path, book: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["add", "-b", book, str(folder), *WEIGHTLESS]) == 0
    capsys.readouterr()


def test_the_help_shows_the_first_steps_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    assert "\\b" not in out
    assert '  openbook search -b reports "net revenue"   find passages\n' in out


@pytest.mark.parametrize("path", ["nothing.md", "notes/*.pdf"])
def test_a_mistyped_path_makes_no_book_and_changes_none(
    notes: Path, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["add", "-b", "new", path]) == 1
    assert not (books_folder() / "new").exists()
    add(notes, "sea", capsys)
    assert run(["add", "-b", "sea", path, "--set", "retriever=bm25"]) == 1
    assert 'retriever = "hybrid"' in (books_folder() / "sea" / "book.toml").read_text(encoding="utf-8")


def test_commands_that_are_named_name_the_book_as_it_must_be_typed(
    notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(notes, "the sea", capsys)
    assert run(["status", "-b", "the sea"]) == 0
    command = capsys.readouterr().out.rpartition("more: openbook ")[2]
    assert run(shlex.split(command)) == 0
    capsys.readouterr()
    assert run(["search", "-b", "the sea", "wood", "--set", "embedder=hashed(dim=64)"]) == 1
    command = capsys.readouterr().err.rpartition("openbook ")[2]
    assert run(shlex.split(command)) == 0
    assert run(["search", "-b", "the sea", "wood", "--where", "name = 'x'"]) == 1
    assert capsys.readouterr().err.strip().endswith("openbook status -v -b 'the sea'")


def test_a_dry_run_with_nothing_to_read_says_so(notes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(notes, "sea", capsys)
    assert run(["add", "-b", "sea", str(notes), "--dry-run"]) == 0
    assert capsys.readouterr().out == "No file to read: all are as they were. Nothing was changed.\n"


def test_a_search_that_finds_nothing_says_so(notes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(notes, "sea", capsys)
    assert run(["search", "-b", "sea", "zyzzyva", "--set", "retriever=bm25"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("No passage was found")


def test_quoted_words_that_no_passage_holds_are_named(notes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(notes, "sea", capsys)
    for command in (["search"], ["ask"]):
        assert run([*command, "-b", "sea", 'the "wood to Tyre" and „carried  Wood“']) == 0
        assert capsys.readouterr().err == 'None of these passages holds "wood to Tyre" word for word.\n'


def test_no_refiner_is_chosen_as_status_shows_it(notes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(notes, "sea", capsys)
    assert run(["search", "-b", "sea", "wood", "-k", "1", "-v", "--set", "refiners=none"]) == 0
    assert "refiners = none" in capsys.readouterr().out
    assert len(Recipe().with_step("refiners", "duplicates+per-source(n=1)").refiners) == 2


def test_nothing_is_said_of_a_model_that_needs_no_pull(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "pull", "minilm"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_wanted_passage_stands_in_the_table_once(notes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (notes / "long.md").write_text("Ham built. " * 30 + "Joppa lies there. " + "Shem saw. " * 30, encoding="utf-8")
    add(notes, "sea", capsys)
    question = ["explain", "-b", "sea", "-k", "2", "Joppa lies there", "--set", "refiners=neighbours"]
    assert run([*question, "--passage", "joppa lies"]) == 0
    out = capsys.readouterr().out
    assert "Shown as [1]." in out
    assert sum(line.startswith("[1]") for line in out.splitlines()) == 1


def test_text_that_the_embedder_does_not_know_is_named_with_one_command_to_paste(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "Am Anfang schuf Gott Himmel und Erde. Und die Erde war wüst und leer, und es war finster auf der Tiefe."
    (tmp_path / "anfang.txt").write_text(text, encoding="utf-8")
    arguments = ["add", "-b", "das Buch", str(tmp_path / "anfang.txt"), "--set", "store=flat", "--set", "llm=quote"]
    assert run(arguments) == 0
    err = capsys.readouterr().err
    assert err.startswith("The text is 100% de, but the embedder minilm was made for en.")
    assert "openbook models pull e5-small && openbook rebuild -b 'das Buch' --set embedder=e5-small\n" in err
