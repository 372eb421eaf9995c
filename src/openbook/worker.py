"""The process that reads files for `reading`: whatever a hostile file does, it does here.

    stdin, one JSON line a job  -->  reader --> cleaners --> language  -->  stdout, one frame an event

It may not use more memory than it is told, opens no network connection, and ends when its parent does. Nothing is
pickled: what comes out of this process is plain text and numbers, whatever was done to it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import stat
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from openbook import registry, text
from openbook.errors import ReadError
from openbook.languages import language
from openbook.readers.files import ALIVE, shown
from openbook.recipe import Spec, parse_many
from openbook.types import Cleaner, Document, Edit, Field, Marks, Reader, Unread

MEMORY_EXIT = 77  # the exit code that says: more memory than allowed
WATCH_SECONDS = 0.3
SHOWN_EDITS = 1000  # of one document: enough for a person


def main() -> None:
    """Read jobs until stdin ends."""
    events = os.fdopen(os.dup(1), "wb")
    # What a library prints must not end up between the frames.
    quiet = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(quiet, stream)
    setup = json.loads(sys.stdin.buffer.readline())
    limit_memory(setup["memory_bytes"])
    threading.Thread(target=_watch, args=(setup["memory_bytes"], os.getppid(), setup["folder"]), daemon=True).start()
    socket.socket.connect = _no_network  # type: ignore[method-assign, assignment]  # ty: ignore[invalid-assignment]
    reader: Reader = registry.make("reader", Spec.parse(setup["reader"]))
    cleaners: list[Cleaner] = [registry.make("cleaners", spec) for spec in parse_many(setup["cleaners"])]
    ALIVE.set(lambda: send(events, {"event": "alive"}))
    for line in sys.stdin.buffer:
        job = json.loads(line)
        path, began = Path(job["path"]), sum(os.times()[:4])
        try:
            for event, said in work(reader, cleaners, path, job["sha256"], explain=setup["explain"]):
                if event["event"] == "end":
                    event["seconds"] = sum(os.times()[:4]) - began  # of programs it started too
                send(events, event, said)
        except ReadError as error:
            send(events, {"event": "end", "error": str(error)})
        except MemoryError:
            os._exit(MEMORY_EXIT)
        except Exception as error:  # noqa: BLE001 - a parser of a stranger's file may raise anything; it costs this file
            at = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            message = f"{shown(path)} cannot be read ({reason}, {Path(at.filename).name}:{at.lineno}). Save it anew."
            send(events, {"event": "end", "error": message})
    _leave(setup["folder"])


def work(
    reader: Reader, cleaners: Sequence[Cleaner], path: Path, known: str, *, explain: bool
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The events of one file; just its end when its hash is the known one."""
    try:
        before = path.stat()
        if ordinary := stat.S_ISREG(before.st_mode):  # to open a pipe would wait; the reader refuses it
            with path.open("rb") as file:
                file.read(1)
    except OSError as error:
        reason = f"{shown(path)} cannot be read: {error.strerror or error}. Check the path and its permissions."
        yield {"event": "end", "error": reason, "again": True}, b""
        return
    if known and ordinary and sha256(path) == known:
        yield {"event": "end", "sha256": known, "same": True}, b""
        return
    for part in reader(path):
        if isinstance(part, Unread):
            yield {"event": "unread", "source": part.source, "reason": part.reason}, b""
            continue
        document = part
        for clean in cleaners:
            edits = clean(document)
            if explain and edits:
                yield {"event": "edits", "edits": [_edit(document, edit) for edit in edits[:SHOWN_EDITS]]}, b""
            document = text.apply(document, edits)
        if document.text.isspace() or not document.text:
            yield {"event": "unread", "source": part.source, "reason": f"{part.source} has no text in it."}, b""
            continue
        if not document.language:
            document = replace(document, language=language(document.text))
        yield _header(document), document.text.encode("utf-8", "replace")
    yield {"event": "end", "sha256": _sha256_of(path, before)}, b""


def _edit(document: Document, edit: Edit) -> tuple[str, str, str]:
    return edit.reason, document.text[edit.start : edit.end], edit.text


def _header(document: Document) -> dict[str, Any]:
    """All of a document but its text, well-formed: only that a database takes, and a row of JSON may hold anything."""

    def labels(marks: Marks) -> Marks:
        return tuple((offset, text.well_formed(label)) for offset, label in marks)

    def value(said: Field) -> Field:
        return text.well_formed(said) if isinstance(said, str) else said

    return {
        "event": "document",
        "source": text.well_formed(document.source),
        "title": text.well_formed(document.title),
        "marks": labels(document.marks),
        "headings": labels(document.headings),
        "parts": labels(document.parts),
        "fields": {text.well_formed(name): value(said) for name, said in document.fields.items()},
        "language": document.language,
    }


def send(events: BinaryIO, event: dict[str, Any], said: bytes = b"") -> None:
    """One frame: a line of JSON that says how many bytes of text follow, then these."""
    events.write(json.dumps({**event, "bytes": len(said)}).encode() + b"\n" + said)
    events.flush()


def sha256(path: Path) -> str:
    """The hash of a file's bytes, or '' when it cannot be read any more."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _sha256_of(path: Path, before: os.stat_result) -> str:
    """The hash of what was read, or '' when the file changed while it was: what was read of it may be older."""
    found = sha256(path)
    try:
        after = path.stat()
    except OSError:
        return ""
    return found if (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns) else ""


def limit_memory(size_bytes: int) -> None:
    """Let allocations beyond this fail, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    # RLIMIT_DATA is what is written to; RLIMIT_AS would count the PDFs and libraries that are only mapped.
    resource.setrlimit(resource.RLIMIT_DATA, (size_bytes, size_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _watch(memory_bytes: int, parent: int, folder: str) -> None:
    """End this process when its parent is gone, or where nothing else limits its memory (macOS)."""
    while True:
        time.sleep(WATCH_SECONDS)
        if os.getppid() != parent:
            _leave(folder)
        if sys.platform == "darwin" and _peak_bytes() > memory_bytes:
            os._exit(MEMORY_EXIT)


def _leave(folder: str) -> NoReturn:
    """End this process and the programs it has started, and take its temporary folder along: the parent is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)  # a group of its own, see `reading`
    os._exit(0)


def _peak_bytes() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def _no_network(self: socket.socket, address: object) -> NoReturn:
    raise OSError("A reader may not use the network.")


if __name__ == "__main__":
    main()
