"""Promises of reading in workers: a file that breaks, fills or stops its reader costs that file only."""

from __future__ import annotations

import gzip
import os
import shutil
import sys
import time
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from openbook.errors import ReadError
from openbook.finding import find
from openbook.reading import Edits, End, Event, Job, Limits, Reading, _Worker
from openbook.types import Document, Unread
from processes import ended, line_of, running, until

ENTRY = """
[openbook.reader]
odd = odd:ENTRY
"""

ODD = """
import ctypes, os, signal, socket, sys, time
from openbook.errors import ReadError
from openbook.registry import Entry
from openbook.types import Document, Unread
from dataclasses import dataclass
from typing import ClassVar

ENTRY = Entry("odd:Odd", "does what the file says")

@dataclass
class Odd:
    VERSION: ClassVar[int] = 1
    def __call__(self, path):
        what, _, rest = path.read_text().partition(" ")
        yield Document("before it", f"{path}#1")
        if what == "slowly":
            number = 10
            while not os.path.exists(rest):
                time.sleep(0.1)
                yield Document("now and then", f"{path}#{number}")
                number += 1
        elif what == "sleep":
            time.sleep(600)
        elif what == "memory":
            held = [bytearray(1 << 24) for _ in range(1000)]
        elif what == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif what == "bug":
            {}["no such key"]
        elif what == "print":
            print("{}" * 100, flush=True)
            os.write(1, b"rubbish")
        elif what == "connect":
            socket.create_connection(("127.0.0.1", int(rest)))
        elif what == "child":
            import pathlib, subprocess
            pathlib.Path(rest + ".part").write_text(str(subprocess.Popen(["sleep", "600"]).pid))
            pathlib.Path(rest + ".part").rename(rest)
            time.sleep(600)
        elif what == "torn":
            for number in range(3, 20):  # the pipe is one of them
                try:
                    os.write(number, b'{"event": "docu')
                except OSError:
                    pass
            os.kill(os.getpid(), signal.SIGSEGV)
        elif what == "write":
            with path.open("a") as file:
                file.write(" more")
        elif what == "leave":
            import pathlib, subprocess, tempfile
            pathlib.Path(tempfile.mkdtemp(), "inflated").write_text("x")
            child = subprocess.Popen(["sleep", "600"]).pid
            pathlib.Path(rest + ".part").write_text(f"{child} {tempfile.gettempdir()}")
            pathlib.Path(rest + ".part").rename(rest)
            time.sleep(600)
        elif what == "unread":
            yield Unread(f"{path}#2", "it is torn")
        elif what == "end":
            raise ReadError(f"{path} ends here.")
        yield Document("after it", f"{path}#3")
"""


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where a package lies that adds a reader which misbehaves as told."""
    package = tmp_path / "package"
    (package / "odd-1.dist-info").mkdir(parents=True)
    (package / "odd.py").write_text(ODD, encoding="utf-8")
    (package / "odd-1.dist-info" / "entry_points.txt").write_text(ENTRY, encoding="utf-8")
    (package / "odd-1.dist-info" / "METADATA").write_text("Name: odd\nVersion: 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(package)
    return tmp_path


def told(folder: Path, *whats: str, limits: Limits | None = None) -> dict[str, list[Event]]:
    """What comes of files that tell the odd reader what to do, in one run, by what."""
    for number, what in enumerate(whats):
        (folder / f"{number}.txt").write_text(what, encoding="utf-8")
    found: dict[str, list[Event]] = {what: [] for what in whats}
    with Reading("odd", "", limits) as reading:
        for job, event in reading.read(Job(str(folder / f"{number}.txt")) for number in range(len(whats))):
            found[whats[int(Path(job.path).stem)]].append(event)
    return found


PATIENT = Limits(seconds=300)


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Document)]


def end(events: list[Event]) -> End:
    assert [event for event in events if isinstance(event, End)] == [events[-1]]
    assert isinstance(events[-1], End)
    return events[-1]


def test_what_was_read_before_a_file_broke_its_reader_is_kept_and_the_others_are_read(odd: Path) -> None:
    found = told(odd, "fine", "crash", "bug", "end", "unread", "print", "fine again")
    for what, events in found.items():
        assert texts(events)[0] == "before it"
        assert bool(end(events).error) == (what in {"crash", "bug", "end"})
        assert (texts(events)[-1] == "after it") == (what not in {"crash", "bug", "end"})
    assert "breaks its reader (SIGSEGV)" in end(found["crash"]).error
    assert "KeyError" in end(found["bug"]).error
    assert end(found["end"]).error.endswith("ends here.")
    assert [event.reason for event in found["unread"] if isinstance(event, Unread)] == ["it is torn"]
    assert all("\n" not in end(events).error for events in found.values())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a watcher looks at the memory now and then")
def test_a_file_that_needs_too_much_memory_is_stopped(odd: Path) -> None:
    found = told(odd, "memory", "fine", limits=Limits(memory_mb=300))
    assert "needs more than 300 MB" in end(found["memory"]).error
    assert texts(found["fine"]) == ["before it", "after it"]


def test_a_file_that_takes_too_long_is_stopped_with_all_it_started(odd: Path) -> None:
    child = odd / "child"
    with Reading("odd", "", PATIENT) as reading:
        for what, there in (("sleep", odd), (f"child {child}", child)):
            (odd / "0.txt").write_text(what, encoding="utf-8")
            events = reading.read([Job(str(odd / "0.txt"))])
            next(events)  # the file is being read: what it takes to start a worker is no part of this
            until(there.exists)
            reading._limits = Limits(seconds=1)
            assert "1 s passed" in end([event for _, event in events]).error
            reading._limits = PATIENT
        (odd / "0.txt").write_text("fine", encoding="utf-8")
        assert texts([event for _, event in reading.read([Job(str(odd / "0.txt"))])]) == ["before it", "after it"]
    assert ended(int(child.read_text(encoding="utf-8")))


def test_a_reader_that_dies_in_the_middle_of_a_word_costs_that_file_only(odd: Path) -> None:
    found = told(odd, "torn", "fine", limits=PATIENT)
    assert "breaks its reader" in end(found["torn"]).error
    assert texts(found["fine"]) == ["before it", "after it"]


def test_a_worker_that_is_dead_before_its_first_job_ends_that_job(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    say = _Worker._say

    def late(self: _Worker, said: Mapping[str, Any]) -> None:
        self._process.wait()
        say(self, said)

    monkeypatch.setattr(_Worker, "_say", late)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    assert "breaks its reader" in end(told(odd, "fine")["fine"]).error


def test_a_file_that_changes_while_it_is_read_has_no_hash_yet(odd: Path) -> None:
    found = told(odd, "write", "fine")
    assert end(found["write"]) == End(sha256="")
    assert end(found["fine"]).sha256


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with Reading("auto", "", PATIENT) as reading:
        events = [event for _, event in reading.read([Job(str(tmp_path / "pipe.txt"))])]
    assert "is a pipe" in end(events).error


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="POSIX")
def test_a_killed_parent_leaves_no_folder_and_no_program(odd: Path) -> None:
    (odd / "0.txt").write_text(f"leave {odd / 'where'}", encoding="utf-8")
    code = f"""
from openbook.reading import Job, Reading
with Reading("odd", "") as reading:
    list(reading.read([Job({str(odd / "0.txt")!r})]))
"""
    with running("-c", code) as parent:
        until((odd / "where").exists)
        child, _, left = (odd / "where").read_text(encoding="utf-8").partition(" ")
        assert Path(left).exists()
        parent.kill()
        assert ended(int(child))
    until(lambda: not Path(left).exists())


@pytest.mark.slow
def test_a_file_that_takes_too_long_is_stopped_while_another_one_is_read(
    odd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openbook.reading.cores", lambda: 2)
    (odd / "sleep.txt").write_text("sleep", encoding="utf-8")
    (odd / "slowly.txt").write_text(f"slowly {odd / 'enough'}", encoding="utf-8")  # as long as the other one is read
    ends, begun = [], set[str]()
    with Reading("odd", "", PATIENT) as reading:
        for job, event in reading.read([Job(str(odd / "sleep.txt")), Job(str(odd / "slowly.txt"))]):
            begun.add(job.path)
            if len(begun) == 2:
                reading._limits = Limits(seconds=10)  # it says something every tenth of a second
            if isinstance(event, End):
                ends.append((Path(job.path).stem, bool(event.error)))
                (odd / "enough").touch()
                reading._limits = PATIENT
                begun.clear()
    assert ends == [("sleep", True), ("slowly", False)]


@pytest.mark.slow
def test_a_slow_parent_is_not_taken_for_a_slow_worker(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openbook.reading.cores", lambda: 1)
    for number in range(30):
        (odd / f"{number}.txt").write_text("fine", encoding="utf-8")
    with Reading("odd", "", PATIENT) as reading:
        events = reading.read(Job(str(odd / f"{number}.txt")) for number in range(30))
        next(events)
        reading._limits = Limits(seconds=3)  # only for the pause: how fast a worker reads is no part of this
        time.sleep(4.5)
        said = [next(events)]
        reading._limits = PATIENT
        assert not [event for _, event in (*said, *events) if isinstance(event, End) and event.error]


def test_a_reader_cannot_reach_the_network(odd: Path) -> None:
    found = told(odd, "connect 80")
    assert "may not use the network" in end(found["connect 80"]).error


def test_a_known_hash_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one fish", encoding="utf-8")
    with Reading("auto", "") as reading:
        first = [event for _, event in reading.read([Job(str(tmp_path / "a.txt"))])]
        again = [event for _, event in reading.read([Job(str(tmp_path / "a.txt"), end(first).sha256)])]
        other = [event for _, event in reading.read([Job(str(tmp_path / "a.txt"), "0" * 64)])]
    assert texts(first) == texts(other) == ["one fish"]
    assert again == [End("", end(first).sha256, same=True)]


def test_a_file_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    with Reading("auto", "") as reading:
        (event,) = [event for _, event in reading.read([Job(str(tmp_path / "none.txt"))])]
    assert isinstance(event, End)
    assert (event.again, "No such file" in event.error) == (True, True)


def test_cleaning_is_explained_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a cafe\u0301 of words, long enough to be read", encoding="utf-8")
    with Reading("auto", "repair", explain=True) as reading:
        events = [event for _, event in reading.read([Job(str(tmp_path / "a.txt"))])]
    edits = [event for event in events if isinstance(event, Edits)]
    assert edits
    assert "caf\u00e9" in texts(events)[0]


def test_closing_in_the_middle_leaves_no_process_and_no_folder(odd: Path, tmp_path: Path) -> None:
    (odd / "0.txt").write_text("sleep", encoding="utf-8")
    with Reading("odd", "") as reading:
        events: Iterator[tuple[Job, Event]] = reading.read([Job(str(odd / "0.txt"))])
        next(events)
        (worker,) = reading._workers
        assert Path(worker._folder).exists()
    assert worker._process.poll() is not None
    assert not Path(worker._folder).exists()


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="POSIX")
def test_a_worker_ends_when_its_parent_is_killed(odd: Path) -> None:
    (odd / "0.txt").write_text("sleep", encoding="utf-8")
    script = (
        "import sys; from openbook.reading import *\n"
        "reading = Reading('odd', '')\n"
        f"events = reading.read([Job({str(odd / '0.txt')!r})]); next(events)\n"
        "print(reading._workers[0]._process.pid, flush=True); import time; time.sleep(600)"
    )
    with running("-c", script) as parent:
        worker = int(line_of(parent))
        parent.kill()
        assert ended(worker)


class TestFind:
    def known(self, path: Path) -> bool:
        return path.suffix in {".txt", ".md"}

    def found(self, path: Path) -> list[str]:
        return [file.path for file in find([path], self.known).files]

    def test_folders_patterns_and_files_each_once_without_hidden_ones(self, tmp_path: Path) -> None:
        for name in ("b/c.txt", "a.txt", "b/.hidden/d.txt", ".e.txt", "f.xyz", "b/g.md"):
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text("x", encoding="utf-8")
        found = find([tmp_path, tmp_path / "a.txt", tmp_path / "**" / "*.md", tmp_path / "f.xyz"], self.known)
        assert [file.path for file in found.files] == [str(tmp_path / name) for name in ("a.txt", "b/c.txt", "b/g.md")]
        assert found.skipped == [str(tmp_path / "f.xyz")]
        assert found.folders == [str(tmp_path)]
        assert find([tmp_path / "f.xyz"], self.known).files[0].size_bytes == 1

    def test_what_programs_made_is_no_document(self, tmp_path: Path) -> None:
        for name in ("node_modules/a/b.txt", "__pycache__/c.txt", "d.txt"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("x", encoding="utf-8")
        found = find([tmp_path], self.known)
        assert ([file.path for file in found.files], found.skipped) == ([str(tmp_path / "d.txt")], [])

    def test_what_does_not_exist_is_said(self, tmp_path: Path) -> None:
        for name in ("none", "*.none"):
            with pytest.raises(ReadError, match=r"none"):
                find([tmp_path / name], self.known)

    def test_a_link_that_leads_in_a_circle_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("x", encoding="utf-8")
        (tmp_path / "loop").symlink_to(tmp_path)
        assert len(find([tmp_path], self.known).files) == 1

    def test_a_link_to_itself_and_a_file_that_vanishes_cost_only_themselves(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("a.txt", "b.txt"):
            (tmp_path / name).write_text("x", encoding="utf-8")
        (tmp_path / "loop.txt").symlink_to("loop.txt")
        listing = os.scandir

        @contextmanager
        def vanishes(folder: str) -> Generator[list[os.DirEntry[str]]]:
            with listing(folder) as entries:
                listed = list(entries)
            (tmp_path / "b.txt").unlink()
            yield listed

        monkeypatch.setattr(os, "scandir", vanishes)
        assert self.found(tmp_path) == [str(tmp_path / "a.txt")]

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do anything")
    def test_a_folder_that_only_says_its_names_costs_only_itself(self, tmp_path: Path) -> None:
        (tmp_path / "shut").mkdir()
        (tmp_path / "shut" / "a.txt").write_text("x", encoding="utf-8")
        (tmp_path / "shut").chmod(0o400)
        try:
            found = find([tmp_path], lambda path: True)
        finally:
            (tmp_path / "shut").chmod(0o700)
        assert [(Path(file.path).name, file.size_bytes) for file in found.files] == [("a.txt", -1)]
        assert not found.gone([str(tmp_path / "shut" / "a.txt")])

    def test_a_path_is_the_same_however_it_is_typed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "below").mkdir()
        (tmp_path / "~$a.txt").write_text("x", encoding="utf-8")  # Word's, beside a file that is open
        monkeypatch.chdir(tmp_path / "below")
        expected = [str(tmp_path / "~$a.txt")]
        assert self.found(Path("..")) == expected
        assert self.found(tmp_path / "below" / ".." / "*.txt") == expected
        monkeypatch.chdir(tmp_path)
        assert self.found(Path("~$a.txt")) == expected

    def test_gone_are_known_files_of_a_folder_that_are_not_there(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("x", encoding="utf-8")
        known = [str(tmp_path / "a.txt"), str(tmp_path / "gone.txt"), str(tmp_path.parent / "other.txt")]
        assert find([tmp_path], self.known).gone(known) == [str(tmp_path / "gone.txt")]
        assert find([tmp_path / "a.txt"], self.known).gone(known) == []

    def test_an_empty_folder_says_nothing_as_a_disk_may_not_be_mounted(self, tmp_path: Path) -> None:
        found = find([tmp_path], self.known)
        assert found.gone([str(tmp_path / "gone.txt")]) == []
        assert found.unlisted == [(str(tmp_path), "")]


class TestBombs:
    """Each is stopped within its limit with a line, in little memory."""

    def read(self, path: Path, seconds: float = 10) -> End:
        with Reading("auto", "", Limits(seconds, memory_mb=1024)) as reading:
            events = [event for _, event in reading.read([Job(str(path))])]
        last = end(events)
        assert "\n" not in last.error
        return last

    def test_four_gigabytes_of_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "sparse.txt"
        with path.open("wb") as file:
            file.truncate(4 << 30)
        assert "looks binary" in self.read(path, 300).error

    @pytest.mark.slow
    def test_a_pdf_of_seven_kilobytes_that_is_a_gigabyte(self, tmp_path: Path) -> None:
        packer = zlib.compressobj(9)
        stream = b"".join(packer.compress(b"(A) Tj " * 150_000) for _ in range(1000)) + packer.flush()
        path = tmp_path / "flate.pdf"
        path.write_bytes(_pdf(stream))
        assert path.stat().st_size < 8 << 20
        assert self.read(path).error

    def test_a_pdf_that_claims_ten_million_pages(self, tmp_path: Path) -> None:
        path = tmp_path / "pages.pdf"
        path.write_bytes(_pdf(zlib.compress(b"BT ET")).replace(b"/Count 1", b"/Count 10000000"))
        assert self.read(path).error

    @pytest.mark.slow
    def test_html_a_million_deep(self, tmp_path: Path) -> None:
        path = tmp_path / "deep.html"
        path.write_text("<div>" * 1_000_000 + "words at the bottom", encoding="utf-8")
        self.read(path)

    def test_a_gzip_that_is_text_times_a_thousand(self, tmp_path: Path) -> None:
        path = tmp_path / "zeros.txt.gz"
        path.write_bytes(gzip.compress(b"\0" * (64 << 20)))
        assert self.read(path).error


def _pdf(stream: bytes) -> bytes:
    """A PDF of one page with this deflated stream; readers find the objects without a table."""
    return (
        b"%%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R>>endobj\n"
        b"4 0 obj<</Filter/FlateDecode/Length %d>>stream\n%s\nendstream endobj\ntrailer<</Root 1 0 R>>\n"
        % (len(stream), stream)
    )


def test_what_takes_longer_than_a_reading_lasts_is_given_up_and_the_next_reading_is_whole(odd: Path) -> None:
    for name, what in {"a": "slowly", "b": "sleep", "c": "fine"}.items():
        (odd / f"{name}.txt").write_text(what, encoding="utf-8")
    jobs = [Job(str(odd / f"{name}.txt")) for name in "abc"]
    with Reading("odd", "") as reading:
        first = [*reading.read(jobs[:2], seconds=1.0)]
        assert not any(isinstance(event, End) for _, event in first)
        again = [*reading.read(jobs[2:])]
    assert [event.source[-1] for _, event in again if isinstance(event, Document)] == ["1", "3"]
    assert isinstance(again[-1][1], End)
    assert again[-1][1].seconds >= 0
