"""Processes that tests start, and conditions that they wait for: for as long as a busy machine may take.

with running("-c", PROGRAM) as process:  # killed when the block ends, whatever happened in it
    process.stdout.readline()
    until(lambda: part.exists())
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3

ENDLESS = 'root ::= "on and " root'
"""A grammar: an answer that obeys it ends with its tokens only, so there is time to do something to its model."""

PATIENCE = 180.0  # seconds: nothing that a test waits for takes long, but two busy cores may


def until(there: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for what `there` asks for, and fail if it does not come."""
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
        if Path("/proc/self/stat").exists():
            return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
    return True


def ended(pid: int, seconds: float = PATIENCE) -> bool:
    """Whether a process ends within that time."""
    end = time.monotonic() + seconds
    while runs(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@contextmanager
def running(*arguments: object, **options: Any) -> Generator[subprocess.Popen[str]]:
    """Another Python that finds the modules of this one; its stdout is a pipe unless the options say otherwise."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    settings: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True, "env": environment, **options}
    with subprocess.Popen([sys.executable, *map(str, arguments)], **settings) as process:
        try:
            yield process
        finally:
            process.kill()


def left(url: str, key: str) -> list[int]:
    """Tokens in each slot of a llama.cpp server, of prompt and answer, once none of them answers any more."""

    def slots() -> list[dict[str, Any]]:
        response = urllib3.request("GET", f"{url}/slots", headers={"Authorization": f"Bearer {key}"})
        found: list[dict[str, Any]] = response.json()
        return found

    until(lambda: not any(slot["is_processing"] for slot in slots()))
    return [slot.get("n_prompt_tokens", 0) for slot in slots()]


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that it prints, without its end; '' when it has ended."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")
