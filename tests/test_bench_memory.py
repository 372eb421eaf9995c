"""The memory a step held at the most counts what was held only for a moment, and its children."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from openbook.machine import graphics_held

PROGRAM = """
import subprocess, sys, time
from openbook.bench.memory import Watch
with Watch() as watch:
    start = watch.peak.total
    held = bytearray(60_000_000)
    del held  # between two looks at the most
    before = watch.peak.total
    child = "import sys; held = bytearray(90_000_000); print(flush=True); sys.stdin.readline()"
    with subprocess.Popen([sys.executable, "-c", child], stdin=-1, stdout=-1) as process:
        process.stdout.readline()
        end = time.monotonic() + 60
        while watch._peak.total < start + 90e6 and time.monotonic() < end:  # it looks by itself
            time.sleep(0.01)
        process.stdin.close()
    print(start, before, watch.peak.total)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="without /proc only this process is seen")
def test_the_peak_holds_moments_and_children() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True)
    start, before, after = map(int, done.stdout.split())
    assert before - start == pytest.approx(60e6, rel=0.2)  # the system may take pages back meanwhile
    assert start + 90e6 < after < before + 120e6  # with the child, which is small without what it holds


SMI = """#!/bin/sh
case "$1" in
  --query-compute-apps*) echo "{listed}, 300"; echo "1, 40"; echo "9999999, [N/A]";;
  --query-gpu*) if [ -e "{folder}/seen" ]; then echo 900; echo 70; else touch "{folder}/seen"; echo 500; echo 70; fi;;
esac
"""


def watched_cards(folder: Path, listed: str) -> int:
    """Graphics memory of a process that watches for a while, with a program in place of nvidia-smi."""
    program = folder / "nvidia-smi"
    program.write_text(SMI.format(listed=listed, folder=folder), encoding="utf-8")
    program.chmod(0o755)
    watching = (
        "import time, openbook.machine, openbook.bench.memory as memory\n"
        "memory.GRAPHICS_SECONDS, openbook.machine.ASK_SECONDS = 0.01, 300\n"
        "with memory.Watch() as watch:\n    while not watch.peak.vram: time.sleep(0.01)\nprint(watch.peak.vram)"
    )
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-c", watching]
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=environment, timeout=600)
    return int(done.stdout)


@pytest.mark.skipif(os.name == "nt", reason="the program is a shell script")
def test_graphics_memory_is_that_of_the_processes_below(tmp_path: Path) -> None:
    assert watched_cards(tmp_path, "$PPID") == 300 << 20


@pytest.mark.skipif(os.name == "nt", reason="the program is a shell script")
def test_in_a_container_it_is_what_was_taken_since(tmp_path: Path) -> None:
    assert watched_cards(tmp_path, "77") == 400 << 20


def test_without_a_graphics_card_none_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert graphics_held([1]) == (0, 0)
