"""With every socket but loopback closed, all that is local works, and what is not here says what it would fetch."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# Loaded by every Python process before anything else, those that openbook starts included.
SITECUSTOMIZE = """
    import os
    import socket

    def refuse(where):
        with open(os.environ["TRIED"], "a", encoding="utf-8") as log:
            print(where, file=log)
        raise OSError(f"no network: {where}")

    class Socket(socket.socket):
        def connect(self, address):
            self._check(address)
            return super().connect(address)

        def connect_ex(self, address):
            self._check(address)
            return super().connect_ex(address)

        def sendto(self, *arguments):
            self._check(arguments[-1])
            return super().sendto(*arguments)

        def _check(self, address):
            if self.family != getattr(socket, "AF_UNIX", None) and address[0] not in ("127.0.0.1", "::1", "localhost"):
                refuse(address)

    resolve = socket.getaddrinfo

    def getaddrinfo(host, *arguments, **options):
        if host not in ("127.0.0.1", "::1", "localhost", None):
            refuse(host)
        return resolve(host, *arguments, **options)

    socket.socket = Socket
    socket.getaddrinfo = getaddrinfo
"""

TEXT = "And Jonah rose up and fled unto Tarshish.\n\nAmos was a herdsman of Tekoa.\n\nThe mountains melted like wax.\n"


class Line:
    """The command line in processes that reach nothing but this machine."""

    def __init__(self, folder: Path, home: Path) -> None:
        (folder / "sitecustomize.py").write_text(textwrap.dedent(SITECUSTOMIZE), encoding="utf-8")
        self.tried_file, self.folder = folder / "tried", folder
        source = Path(__file__).parents[1] / "src"
        self.env = {
            **os.environ,
            "OPENBOOK_HOME": str(home),
            "PYTHONPATH": f"{folder}{os.pathsep}{source}",
            "TRIED": str(self.tried_file),
            "PIP_INDEX_URL": "http://index.invalid/simple",  # pip is a process of its own, and refused like ours
            "PIP_RETRIES": "0",
            "HF_HUB_OFFLINE": "0",  # CI sets it: here it is tried, and refused
        }

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of one command."""
        done = subprocess.run(
            [sys.executable, "-m", "openbook", *arguments],
            capture_output=True,
            text=True,
            env=self.env,
            cwd=self.folder,
            check=False,
            timeout=300,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    def tried(self) -> str:
        """Where somebody wanted to go since the last time."""
        if not self.tried_file.exists():
            return ""
        text = self.tried_file.read_text(encoding="utf-8")
        self.tried_file.unlink()
        return text


@pytest.fixture
def line(tmp_path: Path, openbook_home: Path) -> Line:
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    return Line(tmp_path, openbook_home)


@pytest.mark.slow
class TestZeroNetwork:
    def test_the_fence_stands(self, line: Line) -> None:
        code = "import socket\ntry: socket.create_connection(('192.0.2.1', 80), 1)\nexcept OSError as e: print(e)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=line.env, check=True)
        assert done.stdout.startswith("no network")
        assert "192.0.2.1" in line.tried()

    def test_adding_searching_and_quoting_reach_for_nothing(self, line: Line) -> None:
        for arguments in (
            ("add", "-b", "t", "a.txt"),
            ("search", "-b", "t", "who fled"),
            ("explain", "-b", "t", "who fled"),
            ("ask", "-b", "t", "--llm", "quote", "Who fled?"),
            ("status", "-b", "t", "-v"),
            ("check", "-b", "t"),
            ("models",),
            ("components",),
            ("list",),
        ):
            code, out, err = line.run(*arguments)
            assert (code, line.tried()) == (0, ""), (arguments, out, err)

    def test_a_model_that_is_not_here_says_how_it_is_got_and_nothing_is_fetched(self, line: Line) -> None:
        line.run("add", "-b", "t", "a.txt")
        code, _, err = line.run("ask", "-b", "t", "--llm", "smollm2-135m", "Who fled?")
        assert code == 1
        assert "openbook models pull smollm2-135m" in err
        assert line.tried() == ""

    def test_a_pull_says_what_it_wanted_to_fetch(self, line: Line) -> None:
        code, _, err = line.run("models", "pull", "smollm2-135m")
        assert code == 1
        assert "smollm2-135m" in err
        assert err.strip().splitlines()[-1].startswith("openbook: ")
        assert line.tried()

    @pytest.mark.models
    def test_a_local_model_answers(self, line: Line, weights: Path, openbook_home: Path) -> None:
        (openbook_home / "models").mkdir(parents=True, exist_ok=True)
        (openbook_home / "models" / weights.name).symlink_to(weights)
        line.run("add", "-b", "t", "a.txt")
        for arguments in (
            ("ask", "-b", "t", "--llm", "smollm2-135m", "--max-tokens", "8", "Who fled?"),
            ("models", "show", "smollm2-135m"),
        ):
            code, out, err = line.run(*arguments)
            assert (code, line.tried()) == (0, ""), (arguments, out, err)
            assert out.strip()
