"""Files -> documents, each read in a process of its own kind: `worker`, with a cap on memory and a limit of time.

    jobs --> worker 1 --frames--> thread --+
     +-----> worker 2 --frames--> thread --+--> one queue --> what happened, file by file

A file that breaks, fills or stops its reader costs that file only; the worker is replaced and the rest goes on.
"""

from __future__ import annotations

import json
import math
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from openbook.machine import cores
from openbook.readers.files import shown
from openbook.types import Document, Unread
from openbook.worker import MEMORY_EXIT

MOST_WORKERS = 4  # readers of text are limited by the disk and by what comes after them
QUEUED = 8  # events that wait for the parent; more would only fill its memory
WAKE_SECONDS = 0.2

# How a process ends whose memory is denied: by PDFium and by C++, and by a system that has none left. Not on Windows.
OUT_OF_MEMORY = {int(getattr(signal, name, 0)) for name in ("SIGTRAP", "SIGABRT", "SIGKILL")} - {0}


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one file may cost."""

    seconds: float = 120.0  # without a document or another sign of life
    memory_mb: int = 2048


@dataclass(frozen=True, slots=True)
class Job:
    """One file to read."""

    path: str
    sha256: str = ""  # when its bytes still have this hash it need not be read


@dataclass(frozen=True, slots=True)
class Edits:
    """What one cleaner changed in the document that comes next: (reason, before, after) each."""

    edits: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class End:
    """A file is done. `same`: its hash was the known one; with an error, what came before it was read."""

    error: str = ""
    sha256: str = ""  # of a file without an error
    same: bool = False
    again: bool = False  # it could not be opened, which may be otherwise the next time
    seconds: float = field(default=0.0, compare=False)  # of processor time, where there was no error


Event = Document | Unread | Edits | End


class Reading:
    """Workers that read with one reader and one row of cleaners. Close it, or use it with `with`."""

    def __init__(self, reader: str, cleaners: str, limits: Limits | None = None, *, explain: bool = False) -> None:
        self._limits = limits or Limits()
        self._setup = {
            "reader": reader,
            "cleaners": cleaners,
            "memory_bytes": self._limits.memory_mb << 20,
            "explain": explain,
        }
        self._queue: queue.Queue[tuple[_Worker, Event]] = queue.Queue(QUEUED)
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers. Closing twice is allowed."""
        for worker in self._workers:
            worker.kill()
        self._workers = []

    def read(self, jobs: Iterable[Job], *, seconds: float = math.inf) -> Iterator[tuple[Job, Event]]:
        """What happens to each file, ending with its End; files that are read at once come mixed.

        After so many `seconds` what is still being read is given up, without an End.
        """
        until = time.monotonic() + seconds
        waiting = iter(jobs)
        most = min(MOST_WORKERS, cores())
        busy: dict[_Worker, Job] = {}
        while True:
            while len(busy) < most and (job := next(waiting, None)):
                busy[self._started(job, busy)] = job
            if not busy:
                return
            for worker, event in self._events(busy, until):
                left = time.monotonic()
                yield busy[worker], event
                now = time.monotonic()
                for one in busy:  # while nobody listened no worker is to blame for its silence
                    one.heard = min(now, one.heard + now - left)
                if isinstance(event, End):
                    del busy[worker]
                    break
            else:
                self._give_up(busy)
                return

    def _give_up(self, busy: Iterable[_Worker]) -> None:
        for worker in busy:
            worker.kill()
            self._workers.remove(worker)
        with suppress(queue.Empty):  # what they said before is nobody's now
            while True:
                self._queue.get_nowait()

    def _started(self, job: Job, busy: Mapping[_Worker, Job]) -> _Worker:
        """A worker that has begun the job: one that is free, or a new one."""
        for worker in [one for one in self._workers if one not in busy]:
            if worker.start(job):
                return worker
            worker.kill()
            self._workers.remove(worker)
        worker = _Worker(self._setup, self._queue, job)
        self._workers.append(worker)
        return worker

    def _events(self, busy: Mapping[_Worker, Job], until: float) -> Iterator[tuple[_Worker, Event]]:
        while time.monotonic() < until:
            with suppress(queue.Empty):
                yield self._queue.get(timeout=WAKE_SECONDS)
            now = time.monotonic()
            for worker, job in busy.items():
                if now - worker.heard > self._limits.seconds:
                    worker.stop(
                        f"{shown(Path(job.path))} was stopped: {self._limits.seconds:g} s passed without a word. "
                        "Leave it out, or allow more with: --time-limit SECONDS"
                    )


class _Worker:
    """One process and the thread that listens to it."""

    def __init__(self, setup: Mapping[str, Any], events: queue.Queue[tuple[_Worker, Event]], job: Job) -> None:
        """It begins with a job: were it dead before its first, that job would have no End."""
        self.heard = time.monotonic()
        self._memory_bytes = setup["memory_bytes"]
        self._events = events
        self._reason = ""  # why it was stopped
        self._job: Job | None = job
        self._dead = self._closed = False
        self._lock = threading.Lock()  # over `_job` and `_dead`: a job is either refused or ends with an End
        self._folder = tempfile.mkdtemp(prefix="openbook-")
        # The worker finds the modules that this process finds, in whatever way they got there.
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": self._folder,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "openbook.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            # Ctrl-C is this process's to handle, and with the worker end the programs it has started.
            start_new_session=True,
        )
        self._say({**setup, "folder": self._folder})
        self._say({"path": job.path, "sha256": job.sha256})
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def start(self, job: Job) -> bool:
        """Begin a job; False: this worker is dead, or dies, as it was stopped when it had just ended its job."""
        with self._lock:
            if self._dead or self._reason:
                return False
            self._job = job
        self.heard = time.monotonic()
        self._say({"path": job.path, "sha256": job.sha256})
        return True

    def stop(self, reason: str) -> None:
        """Kill it; its file ends with this reason."""
        self._reason = self._reason or reason
        self._kill_group()

    def kill(self) -> None:
        """Kill it and clean up after it; nobody listens any more."""
        self._closed = True
        self._kill_group()
        self._thread.join()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def _say(self, said: Mapping[str, Any]) -> None:
        assert self._process.stdin
        with suppress(BrokenPipeError):  # it is dead: the listener says so
            self._process.stdin.write(json.dumps(said).encode() + b"\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout
        frames = self._process.stdout
        while (line := frames.readline()).endswith(b"\n"):  # else it died in the middle of it
            said = json.loads(line)
            text = frames.read(said["bytes"])
            self.heard = time.monotonic()
            if len(text) < said["bytes"]:
                break
            if isinstance(event := _event(said, text), End):
                with self._lock:
                    self._job = None
            if event:
                self._tell(event)
        with self._lock:
            self._dead, job = True, self._job
        if job and not self._closed:
            self._tell(End(self._reason or self._why(job)))

    def _tell(self, event: Event) -> None:
        while not self._closed:
            with suppress(queue.Full):
                self._events.put((self, event), timeout=WAKE_SECONDS)
                return

    def _why(self, job: Job) -> str:
        """What ended the worker in the middle of a file."""
        code = self._process.wait()
        name = shown(Path(job.path))
        if code == MEMORY_EXIT or -code in OUT_OF_MEMORY:
            return (
                f"{name} needs more than {self._memory_bytes >> 20:,} MB of memory to be read. "
                "Leave it out, or allow more with: --memory-limit MB"
            )
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"{name} breaks its reader ({how}). Leave it out, or save it anew."


def _event(said: Mapping[str, Any], text: bytes) -> Event | None:
    match said["event"]:
        case "document":
            marks, headings, parts = (
                tuple((offset, label) for offset, label in said[kind]) for kind in ("marks", "headings", "parts")
            )
            return Document(
                text.decode(),
                said["source"],
                said["title"],
                marks,
                headings,
                parts,
                said["fields"],
                said["language"],
            )
        case "unread":
            return Unread(said["source"], said["reason"])
        case "edits":
            return Edits(tuple((reason, before, after) for reason, before, after in said["edits"]))
        case "end":
            return End(**{name: said[name] for name in ("error", "sha256", "same", "again", "seconds") if name in said})
    return None
