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
import time
import weakref
from collections import deque
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from openbook.errors import ModelError
from openbook.machine import activity, peak_bytes

CHILD = Path(__file__).with_name("child.py")
LOG_LINES = 200
END_SECONDS = 3.0  # until a child that was asked to end is killed

# How long a child may load without any activity, which is read now and then: one that computes on what it has read
# shows none, nor does any where the system does not tell. A disk of 20 MB a second is a slow one.
QUIET_SECONDS, BYTES_A_SECOND = 120.0, 20e6
LOOK_SECONDS = 1.0

# What llama.cpp writes when it cannot load, and what to do then. The last line of its log says none of this.
# Memory first: without it a file cannot be read either.
FAILURES = (
    (r"bad_alloc|(fail|unable|annot).* allocat|out of memory|Resource temporarily unavailable",
     "needs more memory. Choose a smaller model or context"),
    (r"failed to (?:load|apply) lora adapter '([^']*)'", "cannot take the adapter {}. Name one that was made for it"),
    (r"failed to load draft model, '([^']*)'", "cannot be helped by the draft model {}. Name another, or none"),
    (r"No such file", "is not there. Check the path, or: openbook models pull"),
    (r"invalid magic", "is not a GGUF file. Name a .gguf file"),
    (r"failed to read|not within the file bounds|corrupted", "is cut off or damaged. Download it again"),
    (r"unknown model architecture: '([^']*)'", "is of a kind ({}) unknown here. Try: pip install -U xllamacpp"),
    (r"error loading model: (?:error loading model \w+: )?([^\n]{1,200})",
     "is damaged, or of a form unknown here ({}). Get another file of it, or try: pip install -U xllamacpp"),
    (r"No module named '([^']*)'", "needs {}. Install it with: pip install -U openbook"),
    (r"((?:Import|Attribute|OS)Error: [^\n]*)", "cannot run, as llama.cpp is not whole here: {}. Try: pip install -U "
     "--force-reinstall xllamacpp"),
)  # fmt: skip


class Server:
    """A llama.cpp server in a child process. It ends with `close`, with this object or with this process."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        """Start the process; returns at once, while it loads."""
        self.path = path
        self._stamp = stamp(path)
        self.api_key = secrets.token_urlsafe(32)  # over stdin: command lines and environments can be read by others
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._url = self._failed = ""
        self.gpus: list[str] = []  # names of those that it can use; known once `url` returned
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
        self._answers: SimpleQueue[bytes] = SimpleQueue()
        readers = [
            threading.Thread(target=_drain, args=(self._process.stderr, self._log), daemon=True),
            threading.Thread(target=_hear, args=(self._process.stdout, self._answers), daemon=True),
        ]
        for reader in readers:
            reader.start()
        self._finalizer = weakref.finalize(self, _end, self._process, readers)
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

    @property
    def outdated(self) -> bool:
        """Whether its file holds something else now. One that is gone is still in memory."""
        return stamp(self.path) not in {self._stamp, None}

    @property
    def damaged(self) -> bool:
        """Whether its file was written over in place: what is in memory changed with it."""
        now = stamp(self.path)
        return now is not None and self._stamp is not None and now != self._stamp and now[0] == self._stamp[0]

    def log(self) -> str:
        """The last lines of llama.cpp's log."""
        return "\n".join(self._log)

    def url(self) -> str:
        """Where it listens; waits until the model is loaded.

        Raises:
            ModelError: It could not be loaded; says why.
        """
        with self._lock:
            if not self._url and not self._failed:
                line = self._answer()
                if line is None:
                    self._process.kill()  # asked to end, it would not hear that either
                    self.close()
                    self._failed = (
                        f"The model {self.path.name} gave no sign of life for {self._patience():.0f} s while it "
                        f"loaded, so its process was ended. Ask again, or copy it to a faster disk ({self.path})."
                    )
                elif line:
                    said = json.loads(line)
                    self._url, self.gpus = said["url"], said["gpus"]
                else:
                    self._failed = self._failure()
            if self._failed:
                raise ModelError(self._failed)
            return self._url

    def ended(self, seconds: float = 5.0) -> str:
        """How the child ended, such as 'SIGKILL'; '' while it runs. Waits that long for one that is just ending."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(timeout=seconds)
            if code < 0:
                with contextlib.suppress(ValueError):
                    return signal.Signals(-code).name
            return f"exit status {code}"
        return ""

    def peak_bytes(self) -> int:
        """The most memory that the child has had, its mapped file included; 0 where the system does not tell."""
        return peak_bytes(self.pid)

    def close(self) -> None:
        """End the child and wait for it. Closing twice is allowed."""
        self._finalizer()

    def _patience(self) -> float:
        """Seconds without activity that are too many."""
        return QUIET_SECONDS + (self._stamp[1] / BYTES_A_SECOND if self._stamp else 0)

    def _answer(self) -> bytes | None:
        """The line that it says when it is loaded, b'' when it ended before; None: it hangs."""
        last, since = -1, time.monotonic()
        while True:
            with contextlib.suppress(Empty):
                return self._answers.get(timeout=LOOK_SECONDS)
            now = activity(self.pid)
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > self._patience():
                return None

    def _failure(self) -> str:
        how = self.ended()
        self.close()  # waits until its whole log is there
        what = f"The model {self.path.name}"
        log = self.log()
        for pattern, advice in FAILURES:
            if found := re.search(pattern, log):
                return f"{what} {advice.format(*found.groups())} ({self.path})."
        if how == "SIGILL":
            return (
                f"{what} could not be loaded: this build of llama.cpp needs a newer processor. Build it here with: "
                "pip install --force-reinstall --no-binary xllamacpp xllamacpp"
            )
        if how == "SIGKILL":
            return f"{what} was killed while it loaded, most likely for memory. Choose a smaller model or context."
        last = next((_message(line) for line in reversed(self._log) if line.strip()), "it said nothing")
        return f"{what} could not be loaded ({how}): {last[:200].rstrip('.')}. Check the file: {self.path}"


def _environment(own: os._Environ[str]) -> dict[str, str]:
    # OpenMP reads it when the library loads, so it cannot be set in the child itself.
    return {"OMP_WAIT_POLICY": "passive", **own}


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What differs when a file holds something else, the file system's number of it first; None when it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _drain(log: IO[bytes], lines: deque[str]) -> None:
    """Keep reading, or the child would stop when the pipe is full."""
    for line in log:
        lines.append(line.decode("utf-8", "replace").rstrip())


def _hear(answers: IO[bytes], heard: SimpleQueue[bytes]) -> None:
    """The one line that it says, b'' when it ends before."""
    heard.put(answers.readline())


def _message(line: str) -> str:
    """A line of the log without time and level: '0.00.003.462 I srv    load_model: ...'."""
    return re.sub(r"^[\d.]+ [A-Z] +", "", line).strip()


def _end(process: subprocess.Popen[bytes], readers: list[threading.Thread]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for reader in readers:
        reader.join(END_SECONDS)
    for pipe in filter(None, (process.stdout, process.stderr)):
        pipe.close()
