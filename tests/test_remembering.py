"""Answers kept in a file: asked for once, and never in the way."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import pytest

from openbook import remembering
from openbook.remembering import NAME, Remembered, forget


def upper(words: list[str], asked: list[str]) -> Callable[[list[int]], Generator[str]]:
    def answer(numbers: list[int]) -> Generator[str]:
        for number in numbers:
            asked.append(words[number])
            yield words[number].upper()

    return answer


def ask(folder: Path, words: list[str], model: str = "m") -> tuple[list[tuple[str, bool]], list[str]]:
    """The answers, whether they were remembered, and what the model was asked."""
    asked: list[str] = []
    return list(Remembered(folder, model).in_order(words, upper(words, asked))), asked


def test_what_was_asked_once_is_not_asked_again(tmp_path: Path) -> None:
    assert ask(tmp_path, ["a", "b"]) == ([("A", False), ("B", False)], ["a", "b"])
    assert ask(tmp_path, ["c", "b", "a", "d"])[0] == [("C", False), ("B", True), ("A", True), ("D", False)]
    assert ask(tmp_path, ["c", "d"])[1] == []


def test_another_model_is_asked(tmp_path: Path) -> None:
    ask(tmp_path, ["a"])
    assert ask(tmp_path, ["a"], "other")[1] == ["a"]


def test_what_was_answered_before_a_stop_is_kept(tmp_path: Path) -> None:
    asked: list[str] = []
    with closing(Remembered(tmp_path, "m").in_order(["a", "b", "c"], upper(["a", "b", "c"], asked))) as answers:
        next(answers)
        next(answers)
    assert ask(tmp_path, ["a", "b", "c"])[1] == ["c"]


def test_an_answer_may_hold_any_character(tmp_path: Path) -> None:
    words = ["鱼 \ud800 \x00 é"]
    assert ask(tmp_path, words)[0] == [(words[0].upper(), False)]
    assert ask(tmp_path, words)[1] == []


def test_forgetting_deletes_the_file(tmp_path: Path) -> None:
    ask(tmp_path, ["a"])
    forget(tmp_path)
    forget(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_costs_only_what_it_held(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"SQLite format 3\0" + b"x" * 4000)
    assert ask(tmp_path, ["a"])[0] == [("A", False)]
    ask(tmp_path, ["a"])
    assert ask(tmp_path, ["a"])[0] == [("A", True)]


def test_a_folder_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    assert ask(tmp_path / "missing", ["a", "a"])[0] == [("A", False), ("A", False)]


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_full_disk_costs_no_answer(tmp_path: Path) -> None:
    (tmp_path / NAME).symlink_to("/dev/full")
    assert ask(tmp_path, ["a"])[0] == [("A", False)]


def test_the_file_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "MOST_BYTES", 200_000)
    for number in range(40):
        ask(tmp_path, [f"{number} " + "x" * 20_000])
    assert (tmp_path / NAME).stat().st_size <= 250_000
    with closing(sqlite3.connect(tmp_path / NAME)) as database:
        assert 4 <= database.execute("SELECT count(*) FROM answers").fetchone()[0] <= 11
    assert ask(tmp_path, ["39 " + "x" * 20_000])[1] == []
