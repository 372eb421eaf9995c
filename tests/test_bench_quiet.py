"""A speed that was measured while other work kept the cores busy is not shown as if it had not been."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contracts import Write
from openbook.bench.quiet import Others, is_noisy, timed
from openbook.machine import cores

QUIET, BUSY = {"cold": False, "others": 0.02}, {"cold": False, "others": 0.6}


def test_others_are_told_from_one_s_own_work_and_loads_of_old_rows_are_judged() -> None:
    assert not is_noisy(QUIET)
    assert is_noisy(BUSY)
    assert not is_noisy({"others": 0.0, "load": 99.0})  # the load counts our own work
    assert is_noisy({"load": 1.4 * cores()})
    assert not is_noisy({"load": 1.0 * cores()})
    assert is_noisy({"others": None, "load": 1.4 * cores()})  # of a system that does not tell


def test_a_median_is_of_the_quiet_ones_where_there_are_some() -> None:
    found = timed([BUSY, QUIET, QUIET, QUIET, {**QUIET, "cold": True}, {"error": "no"}], {})
    assert (found.values, found.noisy) == ([QUIET] * 3, False)
    found = timed([BUSY, BUSY, QUIET, BUSY], {})
    assert (len(found.values), found.noisy) == (4, True)
    assert not timed([BUSY] * 4, {"remote": "api.example"}).noisy  # elsewhere nobody was disturbed
    assert not timed([], {}).noisy


def test_what_was_timed_again_counts_once_it_is_quiet() -> None:
    assert timed([BUSY] * 9, {"speeds": [QUIET] * 3}) == timed([], {"speeds": [QUIET] * 3})
    assert timed([BUSY] * 9, {"speeds": [BUSY] * 7}).noisy


def stat(write: Write, user: int, name: str = "stat") -> Path:
    cpus = os.sched_getaffinity(0)
    each = [f"cpu{cpu} {user // len(cpus)} 0 0 900 0 0 0 0 0 0" for cpu in sorted(cpus)]
    return write(name, "\n".join(["cpu 1 2 3 4", *each, "intr 5"]))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_share_of_others_is_what_is_left_of_the_cores(write: Write) -> None:
    path = stat(write, 0)
    others = Others(path)
    path.write_text(stat(write, 10_000_000, "later").read_text("utf-8"), encoding="utf-8")
    assert others.share() == 1.0
    path.write_text(stat(write, 0, "later").read_text("utf-8"), encoding="utf-8")
    assert others.share() == 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_work_of_a_child_is_our_own(write: Write) -> None:
    from openbook.bench import quiet

    before = quiet._own()
    burn = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    assert quiet._own() - before >= 0.2 * os.sysconf("SC_CLK_TCK") * 0.9


def test_a_system_that_does_not_tell_is_no_error(tmp_path: Path, write: Write) -> None:
    assert Others(tmp_path / "none").share() is None
    assert Others(write("zeros", "cpu 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\n")).share() is None
