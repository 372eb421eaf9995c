"""Every test has a home of its own, so that none sees this machine's books or models."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from contracts import Write
    from speaking import Speaker

# Two OpenMP threads that spin on two busy cores can stall for minutes.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A shell that runs this in the background hands down that Ctrl-C is ignored, to every program that a test would stop
# with it; one that is caught is not handed down.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Random input is the same in each run, and how long it takes says nothing on a busy machine.
settings.register_profile("promises", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("promises")

DATA = Path(os.environ.get("OPENBOOK_DATA", Path(__file__).parents[2] / "shared" / "data"))

OVERDUE = 900  # seconds: none takes a tenth of it, so this one waits for what never comes


def _overdue(*_: object) -> None:
    pytest.fail(f"still not done after {OVERDUE} s")


@contextmanager
def _in_time() -> Generator[None]:
    """What hangs fails: the others are run, and CI tries it again, which else would stand there until it is ended."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGALRM, _overdue)
    signal.alarm(OVERDUE)
    try:
        yield
    finally:
        signal.alarm(0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    with _in_time():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    with _in_time():
        return (yield)


@pytest.fixture(autouse=True)
def openbook_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("OPENBOOK_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy this machine is just now: what a file comes to is estimated from all of the sample."""
    monkeypatch.setattr("openbook.estimating.PATIENCE", 300.0)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Speaker]:
    """A service that counts as another machine; its key would be MY_KEY, which is not set."""
    from speaking import speaking, words

    monkeypatch.setattr("openbook.address.LOOPBACK", frozenset())
    monkeypatch.setattr("openbook.retrying.sleep", lambda seconds: None)
    monkeypatch.delenv("MY_KEY", raising=False)
    with speaking("/v1") as talk:
        talk.script = [words("Jonah [1].")]
        yield talk


@pytest.fixture
def book_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """Given a text, a book of it by its name; the text lies in whale.txt, in the current folder."""
    from contracts import WEIGHTLESS
    from openbook.app.cli import run

    def book_of(text: str) -> str:
        monkeypatch.chdir(tmp_path)
        Path("whale.txt").write_text(text, encoding="utf-8")
        assert run(["add", "-b", "sea", "whale.txt", *WEIGHTLESS]) == 0
        capsys.readouterr()
        return "sea"

    return book_of


@pytest.fixture(scope="session")
def weights() -> Path:
    """A small model: $OPENBOOK_TEST_GGUF, or SmolLM2 in the models of the home $OPENBOOK_TEST_HOME."""
    named = os.environ.get("OPENBOOK_TEST_GGUF", "")
    home = os.environ.get("OPENBOOK_TEST_HOME", "")
    path = Path(named) if named else Path(home, "models", "smollm2-135m-instruct-q4_1.gguf")
    if not (named or home) or not path.is_file():
        pytest.skip("set OPENBOOK_TEST_GGUF, or OPENBOOK_TEST_HOME to a home with smollm2-135m")
    return path


@pytest.fixture
def loads_for_ever(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """Every model that llama.cpp is given loads for ever, until it is undone."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "xllamacpp.py").write_text("import time\nwhile True: time.sleep(9)", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        yield patch


@pytest.fixture
def data() -> Path:
    """The evaluation sets; tests that need them are skipped where they are absent."""
    if not DATA.is_dir():
        pytest.skip(f"no evaluation data in {DATA}")
    return DATA
