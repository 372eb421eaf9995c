"""The memory a step held at the most counts what was held only for a moment, and its children."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
    assert before - start == pytest.approx(60e6, rel=0.1)
    assert start + 90e6 < after < before + 120e6  # with the child, which is small without what it holds
