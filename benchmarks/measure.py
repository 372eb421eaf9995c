"""What the benchmarks share: the machine in words, a child process measured from outside, a Markdown table."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Run:
    """One finished child process."""

    seconds: float
    cpu_seconds: float
    peak_mb: float  # largest resident set of the process or one of its children
    output: str


def measured(command: Sequence[str], *, env: dict[str, str] | None = None, cwd: Path | None = None) -> Run:
    """Run a command as a whole process and account for it as the system does; needs wait4 (Linux, macOS).

    Raises:
        RuntimeError: It did not end with 0.
    """
    started = time.perf_counter()
    with Path(os.devnull).open("w", encoding="utf-8") as null:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=null, env={**os.environ, **(env or {})}, cwd=cwd, text=True
        )
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    unit = 1 / 1024 if sys.platform != "darwin" else 1 / 1024**2
    return Run(
        time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit * 1.048576, output
    )


def median_ms(work: Callable[[str], object], questions: Sequence[str]) -> float:
    """Milliseconds that some work on one question takes."""
    seconds = []
    for question in questions:
        began = time.perf_counter()
        work(question)
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


def machine() -> str:
    """Processor, cores, memory, system, Python, date and load: what a number is worth nothing without."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    memory = ""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return (
        f"{model}, {os.cpu_count()} cores{memory}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {date.today().isoformat()}{load}"  # noqa: DTZ011 - the day where it ran
    )


def table(rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; the first row is the heading.

    >>> print(table([["a", "b"], [1, 2.5]]))
    | a | b |
    |---|---|
    | 1 | 2.5 |
    """
    lines = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join([lines[0], f"|{'---|' * len(rows[0])}", *lines[1:]])
