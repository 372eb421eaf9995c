"""Holds one child process with a llama.cpp server: starts it, says why it failed, ends it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import weakref
from collections import deque
from pathlib import Path
from typing import IO, Any

from openbook.errors import ModelError

CHILD = Path(__file__).with_name("child.py")
LOG_LINES = 200
END_SECONDS = 3.0  # until a child that was asked to end is killed

# What llama.cpp writes when it cannot load, and what to do then. The last line of its log says none of this.
FAILURES = (
    (r"No such file", "is not there. Check the path, or: openbook models pull"),
    (r"invalid magic", "is not a GGUF file. Name a .gguf file"),
    (r"failed to read|not within the file bounds|corrupted", "is cut off or damaged. Download it again"),
    (r"unknown model architecture: '([^']*)'", "is of a kind ({}) unknown here. Try: pip install -U xllamacpp"),
    (r"bad_alloc|(fail|unable|annot).* allocat|out of memory", "needs more memory. Choose a smaller model or context"),
    (r"No module named '([^']*)'", "needs {}. Install it with: pip install -U openbook"),
)  # fmt: skip


class Server:
    """A llama.cpp server in a child process. It ends with `close`, with this object or with this process."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        """Start the process; returns at once, while it loads."""
        self.path = path
        self.api_key = secrets.token_urlsafe(32)  # over stdin: command lines and environments can be read by others
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._url = self._failed = ""
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            # -P: the folder of this file is not where the child finds libraries.
            [sys.executable, "-P", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(os.environ),
            # Out of the terminal's group: Ctrl-C stops the answer, not the model.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        reader = threading.Thread(target=_drain, args=(self._process.stderr, self._log), daemon=True)
        reader.start()
        self._finalizer = weakref.finalize(self, _end, self._process, reader)
        line = json.dumps({"path": str(path), "api_key": self.api_key, **settings}) + "\n"
        with contextlib.suppress(OSError):  # it died already; `url` says why
            assert self._process.stdin is not None
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        return self._process.poll() is None

    def url(self) -> str:
        """Where it listens; waits until the model is loaded.

        Raises:
            ModelError: It could not be loaded; says why.
        """
        with self._lock:
            if not self._url and not self._failed:
                assert self._process.stdout is not None
                line = self._process.stdout.readline()
                if line:
                    self._url = json.loads(line)["url"]
                else:
                    self._failed = self._failure()
            if self._failed:
                raise ModelError(self._failed)
            return self._url

    def ended(self) -> str:
        """How the child ended, such as 'SIGKILL'; '' while it runs. Waits a moment for one that is just ending."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(timeout=2)
            if code < 0:
                with contextlib.suppress(ValueError):
                    return signal.Signals(-code).name
            return f"exit status {code}"
        return ""

    def peak_bytes(self) -> int:
        """The most memory that the child has had, its mapped file included; 0 where the system does not tell."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        except OSError:  # no Linux, or it ended
            return 0
        peak = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        return int(peak[1]) * 1024 if peak else 0

    def close(self) -> None:
        """End the child and wait for it. Closing twice is allowed."""
        self._finalizer()

    def _failure(self) -> str:
        how = self.ended()
        self.close()  # waits until its whole log is there
        what = f"The model {self.path.name}"
        log = "\n".join(self._log)
        for pattern, advice in FAILURES:
            if found := re.search(pattern, log):
                return f"{what} {advice.format(*found.groups())} ({self.path})."
        if how == "SIGKILL":
            return f"{what} was killed while it loaded, most likely for memory. Choose a smaller model or context."
        last = next((_message(line) for line in reversed(self._log) if line.strip()), "it said nothing")
        return f"{what} could not be loaded ({how}): {last[:200]}. Check the file: {self.path}"


def _environment(own: os._Environ[str]) -> dict[str, str]:
    # OpenMP reads it when the library loads, so it cannot be set in the child itself.
    return {"OMP_WAIT_POLICY": "passive", **own}


def _drain(log: IO[bytes], lines: deque[str]) -> None:
    """Keep reading, or the child would stop when the pipe is full."""
    for line in log:
        lines.append(line.decode("utf-8", "replace").rstrip())


def _message(line: str) -> str:
    """A line of the log without time and level: '0.00.003.462 I srv    load_model: ...'."""
    return re.sub(r"^[\d.]+ [A-Z] +", "", line).strip()


def _end(process: subprocess.Popen[bytes], reader: threading.Thread) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    reader.join(END_SECONDS)
    for pipe in filter(None, (process.stdout, process.stderr)):
        pipe.close()
