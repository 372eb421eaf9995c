"""What this machine has: cores, memory, how fast memory is read, graphics memory."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

PROBE_BYTES = 256 << 20  # read in all threads together: many times what the caches of a processor hold
PROBES = 5
ASK_SECONDS = 5.0  # for another program to say what it knows
CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
USED = (Path("/sys/fs/cgroup/memory.current"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"))

# Asked of a process of its own: the library is 100 MB, and may start a driver.
DEVICES = (
    "import json, xllamacpp; print(json.dumps([[d['memory_total'], d['memory_free']]"
    " for d in xllamacpp.get_device_info() if int(d['type']) in (1, 2)]))"
)


@dataclass(frozen=True, slots=True)
class Machine:
    """Memory in bytes. 0 is not known, or none."""

    cores: int
    ram_bytes: int
    ram_free_bytes: int  # what programs could still get, the cache of files given back
    swap_bytes: int = 0
    vram_bytes: int = 0  # of all graphics cards that llama.cpp can use
    vram_free_bytes: int = 0
    bandwidth: float = 0.0  # bytes of memory read in a second by all cores together


def peak_bytes(pid: int) -> int:
    """The most memory a running process has had, its mapped files included; 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:  # no Linux, or it ended
        return 0
    peak = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return 1024 * int(peak[1]) if peak else 0


def activity(pid: int) -> int:
    """A number that grows while a process reads, writes or fills memory; 0 where the system does not tell."""
    status = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()  # from the third field of proc_pid_stat(5) on
    moved = re.findall(r"^[rw]char: (\d+)$", _read(Path(f"/proc/{pid}/io")), re.MULTILINE)
    return sum(map(int, [*status[7:11:2], *moved]))  # faults of a file that is mapped: it is read that way


def cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def this_machine(*, probe: bool = True) -> Machine:
    """The machine this runs on; `probe` measures the bandwidth (0.3 s, once in a process)."""
    total, free, swap = memory()
    vram, vram_free = graphics()
    return Machine(cores(), total, free, swap, vram, vram_free, bandwidth() if probe else 0.0)


def memory() -> tuple[int, int, int]:
    """Bytes of memory in all, free, and of swap; a container's limit counts as all there is."""
    if sys.platform == "win32":
        return _windows_memory()
    if sys.platform == "darwin":
        total = _number(_said("sysctl", "-n", "hw.memsize"))
        return total, _mac_free(_said("vm_stat")) or total, 0
    return _linux_memory()


def _linux_memory() -> tuple[int, int, int]:
    try:
        lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
    except OSError:
        return 0, 0, 0
    found = {name: _number(rest) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
    total, swap = found.get("MemTotal", 0), found.get("SwapTotal", 0)
    free = found.get("MemAvailable", found.get("MemFree", 0))
    for limit, used in zip(CGROUPS, USED, strict=True):
        allowed = _number(_read(limit))  # 'max', or a number beyond any machine, where there is no limit
        if 0 < allowed < total:
            total, swap = allowed, 0
            free = min(free, max(0, allowed - _number(_read(used))))
    return total, free, swap


def _mac_free(said: str) -> int:
    """Of `vm_stat`: pages that are free or could be at once."""
    lines = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    page = _number(said.partition("page size of ")[2]) or 4096
    return page * sum(_number(lines.get(f"Pages {kind}", "")) for kind in ("free", "inactive", "speculative"))


def _windows_memory() -> tuple[int, int, int]:
    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "page_total", "page_free", "a", "b", "c")),
        )

    status: ctypes.Structure = Status(length=ctypes.sizeof(Status))
    windll = getattr(ctypes, "windll", None)  # there on Windows only
    if windll is None or not windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return 0, 0, 0
    total = int(getattr(status, "total", 0))
    return total, int(getattr(status, "free", 0)), max(0, int(getattr(status, "page_total", 0)) - total)


@cache
def graphics() -> tuple[int, int]:
    """Bytes of graphics memory in all and free, of the cards that the llama.cpp here was built for."""
    if sys.platform == "linux" and not any(map(os.path.exists, ("/dev/nvidiactl", "/dev/kfd", "/dev/dri"))):
        return 0, 0
    said = _said(sys.executable, "-c", DEVICES)
    try:
        import json

        cards = [(int(total), int(free)) for total, free in json.loads(said)]
    except (ValueError, TypeError):
        return 0, 0
    return sum(total for total, _ in cards), sum(free for _, free in cards)


def graphics_held(pids: Collection[int]) -> tuple[int, int]:
    """Bytes of graphics memory that these processes hold, and that all do; 0 without nvidia-smi.

    In a container the system tells no process by its own number: then the first is 0, the second is right.
    """
    if not shutil.which("nvidia-smi"):
        return 0, 0
    of_each = _said("nvidia-smi", "--query-compute-apps=pid,used_gpu_memory", "--format=csv,noheader,nounits")
    rows = [line.partition(",") for line in of_each.splitlines()]
    ours = sum(_number(held) for pid, _, held in rows if _number(pid) in pids)
    of_cards = _said("nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits")
    return ours << 20, sum(map(_number, of_cards.splitlines())) << 20


@cache
def bandwidth() -> float:
    """Bytes of memory that all cores together read in a second: the median of a few looks at 256 MB."""
    import numpy as np

    count = cores()
    parts = [np.ones(PROBE_BYTES // 8 // count, np.int64) for _ in range(count)]
    size = sum(part.nbytes for part in parts)
    rates = []
    with ThreadPoolExecutor(count) as pool:
        for _ in range(PROBES):
            began = time.perf_counter()
            list(pool.map(np.bitwise_or.reduce, parts))
            rates.append(size / (time.perf_counter() - began))
    return median(rates)


def _said(*command: str) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=ASK_SECONDS, check=True, stdin=subprocess.DEVNULL
        ).stdout
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:
        return ""


def _number(text: str) -> int:
    """The whole number a text begins with, or 0."""
    digits = text.strip().split(maxsplit=1)[0] if text.strip() else ""
    digits = digits.rstrip(".")
    return int(digits) if digits.isascii() and digits.isdigit() else 0
