"""Runs pytest with the arguments it is given; tests that failed run once more, alone, and may pass then.

For CI, whose machine others share: a stall there is no fault of a change. What failed first is said and shown all the
same, under UNSTEADY, because a test that needs its second try wants mending. Nobody waits at a CI: by hand, run pytest.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

# So many at once are a broken change, and trying them all again could outlast CI.
MOST = 20

Reports = dict[str, list[ElementTree.Element]]


def main(arguments: list[str]) -> int:
    """The exit status: pytest's own, or 0 where all that failed passed when tried again."""
    with tempfile.TemporaryDirectory() as folder:
        # A cache of its own: --last-failed shall mean this run, not what failed an hour ago.
        command = [sys.executable, "-m", "pytest", *arguments, "-o", f"cache_dir={folder}/cache"]
        status, reports = run(command, Path(folder, "first.xml"))
        failed = {name: found for name, found in reports.items() if problems(found)}
        if status != pytest.ExitCode.TESTS_FAILED or not 0 < len(failed) <= MOST or any(map(unread, failed.values())):
            return status
        print(f"\nTRIED AGAIN, ALONE: {', '.join(failed)}", flush=True)
        status, again = run([*command, "--last-failed", "-n", "0"], Path(folder, "second.xml"))
    for name, found in failed.items():
        if name in again and not [child for report in again[name] for child in report]:
            print(
                f"\nUNSTEADY: {name} failed, then passed alone. It failed with:\n{''.join(problems(found))}", flush=True
            )
        else:
            print(f"\nBROKEN: {name} did not pass alone either.", flush=True)
            status = status or pytest.ExitCode.TESTS_FAILED
    return status


def run(command: list[str], report: Path) -> tuple[int, Reports]:
    """The exit status, and what was reported of each test by its name; nothing if pytest did not come to its end."""
    status = subprocess.run([*command, f"--junit-xml={report}"], check=False).returncode
    reports: Reports = {}
    for case in ElementTree.parse(report).iter("testcase") if report.is_file() else ():
        reports.setdefault(f"{case.get('classname')}.{case.get('name')}", []).append(case)
    return status, reports


def unread(reports: list[ElementTree.Element]) -> bool:
    """Whether this is a file whose tests could not be collected; side by side, pytest then fails as for a test."""
    return any(child.get("message") == "collection failure" for report in reports for child in report)


def problems(reports: list[ElementTree.Element]) -> list[str]:
    """What a test failed with, or what failed before or after it."""
    return [child.text or "" for report in reports for child in report if child.tag in {"failure", "error"}]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
