"""Old binary files (doc, ppt) by LibreOffice, where it is installed: it saves them anew, and that is read."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from openbook.errors import ReadError
from openbook.readers import LIBREOFFICE
from openbook.readers.files import opened, read_bytes, shown
from openbook.readers.packages import OLE
from openbook.registry import load
from openbook.types import Document, Reader, Unread

# suffix -> kind, what it is saved as, and the reader for that
KINDS = {
    ".doc": ("Word", "docx"),
    ".dot": ("Word", "docx"),
    ".ppt": ("PowerPoint", "pptx"),
    ".pps": ("PowerPoint", "pptx"),
    ".pot": ("PowerPoint", "pptx"),
}
ZIP = b"PK\3\4"
OPENED = (OLE, b"{\\rtf")  # Word itself saves rich text under the suffix .doc

# Nothing of a document runs, and nothing it links to is fetched.
SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Common/Security/Scripting">
<prop oor:name="DisableMacrosExecution" oor:op="fuse"><value>true</value></prop>
<prop oor:name="MacroSecurityLevel" oor:op="fuse"><value>3</value></prop>
<prop oor:name="BlockUntrustedRefererLinks" oor:op="fuse"><value>true</value></prop>
<prop oor:name="DisableActiveContent" oor:op="fuse"><value>true</value></prop>
</item>
<item oor:path="/org.openoffice.Office.Writer/Content/Update">
<prop oor:name="Link" oor:op="fuse"><value>2</value></prop>
</item>
</oor:items>
"""


@dataclass(frozen=True, slots=True)
class LibreOffice:
    """Each file by a LibreOffice of its own, with an empty profile in a temporary folder."""

    VERSION: ClassVar[int] = 1

    seconds: int = 60  # after which a file is given up

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        kind, suffix = KINDS.get(path.suffix.lower(), ("Office", "docx"))
        head = read_bytes(path, len(OLE))
        if head.startswith(ZIP):  # a newer file under an old name
            yield from load("reader", suffix)()(path)
            return
        if not head.startswith(OPENED):
            raise ReadError(
                f"{shown(path)} is not an old {kind} file, only named like one. Give it the suffix of what it is."
            )
        program = next(filter(None, map(shutil.which, LIBREOFFICE)), None)
        if program is None:
            raise ReadError(
                f"{shown(path)} is an old {kind} file. "
                f"Install LibreOffice (or save it as .{suffix}), then add it again."
            )
        with TemporaryDirectory(prefix="openbook-", ignore_cleanup_errors=True) as folder:
            saved = self._saved(path, kind, suffix, program, Path(folder))
            reader: Reader = load("reader", suffix)()
            try:
                for part in reader(saved):
                    yield replace(part, source=part.source.replace(str(saved), str(path), 1))
            except ReadError as error:
                raise ReadError(str(error).replace(shown(saved), shown(path))) from error

    def _saved(self, path: Path, kind: str, suffix: str, program: str, folder: Path) -> Path:
        profile = folder / "profile"
        (profile / "user").mkdir(parents=True)
        (profile / "user" / "registrymodifications.xcu").write_text(SETTINGS, encoding="utf-8")
        # A copy under a plain name: a name that begins with '-' is an option, and a lock file stays out of the folder.
        copy = folder / f"file{path.suffix.lower()}"
        with opened(path) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target)
        command = [
            program, "--headless", "--norestore", "--nolockcheck", "--nodefault", "--nologo",
            f"-env:UserInstallation={profile.as_uri()}", "--convert-to", suffix, "--outdir", str(folder / "saved"),
            str(copy),
        ]  # fmt: skip
        environment = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder)}
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment, cwd=folder, start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(self.seconds)
        except subprocess.TimeoutExpired as error:
            raise ReadError(
                f"{shown(path)} is an old {kind} file that LibreOffice did not open in {self.seconds} seconds. "
                f"Save it as .{suffix}, and add that."
            ) from error
        finally:
            if process.returncode is None:
                _end(process)
        saved = folder / "saved" / f"file.{suffix}"
        if not saved.is_file():
            raise ReadError(
                f"{shown(path)} is an old {kind} file that LibreOffice cannot open: damaged, or with a password. "
                f"Save it as .{suffix} without one, and add that."
            )
        return saved


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and what it started: `soffice` is a script, the program is its child."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
