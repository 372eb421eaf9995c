"""What is written for the user is whole under its own name, or what was there before."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from openbook.app.cli import run
from openbook.writing import write


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("openbook.writing.os.fsync", full)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("the old page", "utf-8")
    with pytest.raises(OSError, match="No space left") as raised:
        write(path, "the new page")
    assert raised.value.filename == str(path)
    assert path.read_text("utf-8") == "the old page"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("full_disk")
def test_a_file_of_questions_that_was_not_written_can_be_written_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table, out = tmp_path / "q.csv", tmp_path / "q.jsonl"
    table.write_text("question,answer\nWho fled to Tarshish?,Jonah\n", "utf-8")
    command = ["questions", "import", str(table), "-o", str(out)]
    assert run(command) == 1
    assert f"Cannot write {out}: No space left on device." in capsys.readouterr().err
    monkeypatch.undo()  # there is room again
    assert run(command) == 0
    assert len(out.read_text("utf-8").splitlines()) == 1


def test_a_file_keeps_its_mode_and_a_link_stays_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "page.html", tmp_path / "link"
    path.write_text("the old page", "utf-8")
    path.chmod(0o640)
    link.symlink_to(path)
    write(link, "the new page")
    assert link.is_symlink()
    assert path.read_text("utf-8") == "the new page"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_that_cannot_be_replaced_is_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mounted(*_: object) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(Path, "replace", mounted)
    path = tmp_path / "page.html"
    path.write_text("the old page, which is longer", "utf-8")
    write(path, "the new page")
    assert path.read_text("utf-8") == "the new page"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError, match="busy"):
        write(tmp_path / "another.html", "the new page")


def test_a_pipe_is_written_into_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write(pipe, "the page")
        assert os.read(reader, 100) == b"the page"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_a_name_may_be_as_long_as_any(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 127)
    write(path, "ä")
    assert path.read_text("utf-8") == "ä"


def test_links_that_lead_to_each_other_are_an_error_of_the_system(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.symlink_to(other)
    other.symlink_to(one)
    with pytest.raises(OSError, match="symbolic links") as raised:
        write(one, "the page")
    assert raised.value.filename == str(one)
    assert one.is_symlink()
    assert sorted(tmp_path.iterdir()) == [one, other]
