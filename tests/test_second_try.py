"""CI tries again what failed: what passes alone is told and forgiven, what does not fails it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from contracts import Write

TOOL = Path(__file__).parents[1] / "tools" / "second_try.py"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not TOOL.is_file(), reason="not a checkout")]

FLAKY = """
import pathlib
def test_fine(): pass
def test_flaky():
    mark = pathlib.Path(__file__).with_name("tried")
    tried = mark.exists()
    mark.touch()
    assert tried, "the first time"
"""
BROKEN = FLAKY + "def test_broken(): assert 0, 'each time'\n"


def tried(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and output of the tests in a folder."""
    command = [sys.executable, str(TOOL), "-q", "--rootdir", str(folder), "-c", "pytest.ini", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.fixture
def folder(write: Write) -> Path:
    return write("pytest.ini", "[pytest]\n").parent


def test_what_passes_alone_is_told_and_forgiven(folder: Path, write: Write) -> None:
    write("test_a.py", FLAKY)
    status, said = tried(folder, "-n", "2")
    assert status == 0
    assert said.count("UNSTEADY: ") == 1
    assert "the first time" in said.partition("UNSTEADY: test_a.test_flaky failed, then passed alone.")[2]


def test_what_fails_twice_fails(folder: Path, write: Write) -> None:
    write("test_a.py", BROKEN)
    status, said = tried(folder)
    assert status == 1
    assert "UNSTEADY: test_a.test_flaky" in said
    assert "BROKEN: test_a.test_broken" in said


@pytest.mark.parametrize(
    ("content", "arguments", "status"),
    [("import nothing_of_that_name", ("-n", "2"), 1), ("", (), 5)],
)
def test_without_tests_that_ran_there_is_no_second_try(
    folder: Path, write: Write, content: str, arguments: tuple[str, ...], status: int
) -> None:
    write("test_a.py", content)
    found, said = tried(folder, *arguments)
    assert found == status
    assert "TRIED AGAIN" not in said


def test_many_failures_at_once_are_no_accident(folder: Path, write: Write) -> None:
    write("test_a.py", "import pytest\n@pytest.mark.parametrize('n', range(30))\ndef test_no(n): assert 0\n")
    status, said = tried(folder)
    assert status == 1
    assert "TRIED AGAIN" not in said
