"""What the commands print about documents: what came of an add, what a file says, the state of a book."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openbook.app.show import as_json as show_json
from openbook.app.show import count, duration, error, note, path, recipe, round_number, table
from openbook.manifest import name_of
from openbook.models.catalogue import readable
from openbook.readers.files import shown
from openbook.readers.names import name_fields
from openbook.reading import Edits, Event
from openbook.text import well_formed
from openbook.types import Document, Field, Unread

if TYPE_CHECKING:
    from openbook.book import Book
    from openbook.checking import Check
    from openbook.estimating import Estimate
    from openbook.indexing import Added, Failure
    from openbook.recipe import Recipe
    from openbook.status import Status

MORE_PROBES = '--set "store=lance(probes=100)"'
MULTILINGUAL = "e5-small"
SAME_REASON = 3  # files are named, before they are only counted


def added(summary: Added, book: Book, *, verbose: bool = False, as_json: bool = False) -> None:
    """What came of an add; failures grouped by reason, on stderr."""
    if as_json:
        show_json(added_json(summary, book))
        return
    parts = [
        f"{number:,} {name}"
        for name in ("added", "updated", "unchanged", "moved", "removed")
        if (number := getattr(summary, name)) or name == "added"
    ]
    if summary.partial:
        parts.append(f"{count(len(summary.partial), 'file')} partial")
    if summary.failed:
        parts.append(f"{count(len(summary.failed), 'file')} failed")
    if summary.skipped:
        parts.append(f"{count(len(summary.skipped), 'file')} of unknown kind skipped")
    rate = f" ({summary.chunks / summary.seconds:,.0f} chunks/s)" if summary.chunks and summary.seconds > 1 else ""
    click.echo(f"Documents: {', '.join(parts)}. {count(summary.chunks, 'chunk')} in {summary.seconds:.1f} s{rate}.")
    _grouped([*summary.partial, *summary.failed], book, verbose=verbose)
    if foreign := book.unsuited() if summary.chunks else {}:
        shares = ", ".join(f"{share:.0%} {code}" for code, share in foreign.items())
        name, known = book.recipe.embedder.name, ", ".join(sorted(book.embedder.languages))
        note(
            f"The text is {shares}, but the embedder {name} was made for {known}. Find more with: openbook models "
            f"pull {MULTILINGUAL} && openbook rebuild -b {name_of(book.folder)} --set embedder={MULTILINGUAL}"
        )
    if verbose:
        for name in summary.skipped:
            click.echo(well_formed(f"skipped {name}"))
        recipe(book.recipe)


def estimate_json(found: Estimate) -> dict[str, object]:
    """As `estimate`."""
    return {
        "files": found.files,
        "size_bytes": found.size_bytes,
        "chunks": found.chunks,
        "seconds": round(found.seconds, 1),
        "disk_bytes": found.disk_bytes,
    }


def estimate(found: Estimate, used: Recipe, *, as_json: bool) -> None:
    """What an add would come to."""
    if as_json:
        show_json(estimate_json(found))
        return
    if not found.files:
        click.echo("No file to read: all are as they were. Nothing was changed.")
        return
    if not found.chunks:
        click.echo(
            f"{count(found.files, 'file')} to read, {readable(found.size_bytes)}. What it comes to is not known: "
            "none of those tried could be read in a few seconds. Nothing was changed."
        )
        return
    click.echo(
        f"{count(found.files, 'file')} to read, {readable(found.size_bytes)}: about {round_number(found.chunks)} "
        f"chunks, about {duration(found.seconds)} with {used.embedder} on this machine as it is now, "
        f"about {readable(found.disk_bytes)} on disk. Nothing was changed."
    )


def _grouped(failures: Sequence[Failure], book: Book, *, verbose: bool) -> None:
    """Reasons on stderr; those that differ only in the file they name once, with their number."""
    groups: dict[str, list[str]] = {}
    for failure in failures:
        part = failure.reason.removeprefix(shown(Path(failure.path)))  # such as '#page 2 is a picture'
        kind = part.partition(" ")[2] if part != failure.reason else failure.reason
        groups.setdefault(kind, []).append(failure.reason)
    for group in groups.values():
        for reason in group if verbose else group[:SAME_REASON]:
            error(reason)
        if not verbose and len(group) > SAME_REASON:
            more = f"... and {len(group) - SAME_REASON:,} more files for the same reason"
            error(f"{more}: openbook status -v -b {name_of(book.folder)}")


def added_json(summary: Added, book: Book) -> dict[str, object]:
    """As `added`."""
    return {
        "book": str(book.folder),
        "added": summary.added,
        "updated": summary.updated,
        "unchanged": summary.unchanged,
        "moved": summary.moved,
        "removed": summary.removed,
        "chunks": summary.chunks,
        "chunks_reused": summary.chunks_reused,
        "skipped": summary.skipped,
        "partial": [{"path": failure.path, "reason": failure.reason} for failure in summary.partial],
        "failed": [{"path": failure.path, "reason": failure.reason} for failure in summary.failed],
        "unsuited_languages": {code: round(share, 3) for code, share in book.unsuited().items()},
        "seconds": {"embed": round(summary.seconds_embedding, 3), "total": round(summary.seconds, 3)},
    }


def status_json(found: Status) -> dict[str, object]:
    """As `status`."""
    return {
        "book": found.folder.name,
        "folder": str(found.folder),
        "documents": found.documents,
        "characters": found.characters,
        "chunks": found.chunks,
        "size_bytes": found.size_bytes,
        "unfinished": found.unfinished,
        "fields": list(found.fields),
        "recipe": found.manifest.recipe.to_dict(),
        "embedder": {"fingerprint": found.manifest.fingerprint, "dim": found.manifest.dim},
        "files": [
            {
                "path": file.path,
                "state": file.state,
                "reason": file.reason,
                **_contents_json(found, file.path),
                "read_at": file.read_at,
            }
            for file in found.files
        ],
    }


def _contents_json(found: Status, file: str) -> dict[str, object]:
    contents = found.contents.get(file)
    return {
        "documents": contents.documents if contents else 0,
        "pages": contents.pages if contents else 0,
        "chunks": found.chunks_by_file.get(file, 0),
        "language": contents.language if contents else "",
    }


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and value else str(value or "-")


def status(found: Status, *, verbose: bool = False) -> None:
    """One book; failed files first, at most 20 others unless verbose."""
    click.secho(str(found.folder), bold=True)
    click.echo(
        f"{count(found.documents, 'document')} in {count(len(found.files), 'file')}, "
        f"{found.characters:,} characters, {count(found.chunks, 'chunk')} of {found.manifest.dim} numbers, "
        f"{readable(found.size_bytes)} on disk"
    )
    if found.unfinished:
        click.echo("An add has not come to its end. If none is running, run it again: it goes on where it stopped.")
    recipe(found.manifest.recipe)
    if verbose:
        click.echo(f"Fields for --where: {', '.join(found.fields)}")
    if not found.files:
        return
    click.echo()
    ordered = sorted(found.files, key=lambda file: (file.state == "ok", file.path))
    most = len(ordered) if verbose else 20
    rows = [["state", "documents", "pages", "chunks", "language", "read", "file"]]
    for file in ordered[:most]:
        contents = [_cell(value) for value in _contents_json(found, file.path).values()]
        # A reason names its file.
        rows.append([file.state, *contents, file.read_at, file.reason or path(file.path)])
    table(rows)
    if len(ordered) > most:
        click.echo(f"... and {len(ordered) - most:,} more: openbook status -v -b {name_of(found.folder)}")


def check(found: Check, book: str) -> None:
    """What is wrong with a book, and what was done; `book` is what is typed after -b."""
    click.echo(
        f"{count(found.documents, 'document')}, {count(found.chunks, 'chunk')}; recall@10 of the index "
        f"{found.recall:.3f}, over {count(found.sampled, 'chunk')}."
    )
    for number, what in (
        (len(found.orphans), "document is gone but has chunks"),
        (len(found.damaged), "document is not what its hash says"),
        (len(found.wrong - found.damaged), "document has other chunks than splitting it gives"),
    ):
        if number:
            error(f"{number:,} {what if number == 1 else _plural(what)}")
    for source in found.sources[:20]:
        error(f"  {source}")
    if found.too_little:
        error(f"The index finds too little: set more probes, such as: openbook rebuild -b {book} {MORE_PROBES}")
    if found.lost:
        error(f"These were damaged and their files are gone: {', '.join(found.lost)}")
    if found.sound:
        click.echo("Sound.")
    elif found.right:
        click.echo("Repaired.")


def _plural(what: str) -> str:
    return (
        what.replace("document is", "documents are")
        .replace("document has", "documents have")
        .replace(" its ", " their ")
    )


def check_json(found: Check) -> dict[str, object]:
    """As `check`."""
    return {
        "sound": found.sound,
        "documents": found.documents,
        "chunks": found.chunks,
        "orphans": sorted(found.orphans),
        "wrong": sorted(found.wrong),
        "damaged": sorted(found.damaged),
        "sources": list(found.sources),
        "recall": round(found.recall, 4),
        "sampled": found.sampled,
        "repaired": found.repaired,
        "lost": list(found.lost),
    }


def read(name: str, events: Iterable[Event]) -> bool:
    """What openbook sees in a file: text, places, headings, what cleaning took out; whether any of it failed."""
    edits: list[tuple[str, str, str]] = []
    failed = False
    for event in events:
        if isinstance(event, Edits):
            edits += event.edits
        elif isinstance(event, Unread):
            error(str(event))
            failed = True
        elif isinstance(event, Document):
            _document(event, _fields(name, event))
            _edits(edits)
            edits = []
        elif event.error:
            error(event.error)
            failed = True
    return failed


def _fields(name: str, document: Document) -> dict[str, Field]:
    """What a search can ask for: what the names of the file and of one in it say, and what is written in it."""
    return name_fields(name) | name_fields(document.source) | dict(document.fields)


def _document(document: Document, fields: Mapping[str, Field]) -> None:
    click.secho(document.source, bold=True)
    known = {"title": document.title, "language": document.language, **fields}
    for name, value in known.items():
        if value:
            click.secho(f"{name}: {value}", dim=True)
    click.echo()
    signs = [(offset, f"--- {label} ---") for offset, label in document.marks]
    signs += [(offset, f"### {label}") for offset, label in document.headings]
    signs += [(offset, f"[{label}]") for offset, label in document.parts if label != "text"]
    done = 0
    for offset, sign in sorted(signs):
        click.echo(document.text[done:offset], nl=False)
        begins = offset == 0 or document.text[offset - 1] == "\n"
        click.secho(("" if begins else "\n") + sign, dim=True)
        done = offset
    click.echo(document.text[done:])
    click.echo()


def _edits(edits: Sequence[tuple[str, str, str]]) -> None:
    by_reason: dict[str, list[tuple[str, str]]] = {}
    for reason, before, after in edits:
        by_reason.setdefault(reason, []).append((before, after))
    if by_reason:
        click.secho("Cleaned:", bold=True)
    for reason, changes in by_reason.items():
        some = ", ".join(f"{before!r:.60} -> {after!r:.60}" for before, after in dict.fromkeys(changes[:3]))
        click.echo(f"  {len(changes):,} x {reason}: {some}{' ...' if len(changes) > 3 else ''}")


def read_json(name: str, events: Iterable[Event]) -> dict[str, object]:
    """As `read`."""
    documents: list[dict[str, object]] = []
    unread, edits, reason = [], [], ""
    for event in events:
        if isinstance(event, Edits):
            edits += [{"reason": reason, "before": before, "after": after} for reason, before, after in event.edits]
        elif isinstance(event, Unread):
            unread.append({"source": event.source, "reason": event.reason})
        elif isinstance(event, Document):
            documents.append(
                {
                    "source": event.source,
                    "title": event.title,
                    "language": event.language,
                    "fields": _fields(name, event),
                    "text": event.text,
                    "marks": event.marks,
                    "headings": event.headings,
                    "parts": event.parts,
                    "cleaned": edits,
                }
            )
            edits = []
        else:
            reason = event.error
    return {"path": name, "documents": documents, "unread": unread, "error": reason}


def books(folder: Path, *, as_json: bool) -> None:
    """The books in a folder."""
    from openbook.book import Book
    from openbook.errors import OpenbookError

    rows = [["book", "documents", "chunks", "size", "recipe"]]
    found: list[dict[str, object]] = []
    for manifest in sorted(folder.glob("*/book.toml")):
        name = manifest.parent.name
        try:
            with Book.open(manifest.parent) as book:
                status = book.status()
        except OpenbookError as broken:
            error(f"{name}: {broken}")
            continue
        steps = book.recipe.to_dict()
        made = f"{steps['splitter']} {steps['embedder']} {steps['store']} {steps['retriever']}"
        rows.append([name, f"{status.documents:,}", f"{status.chunks:,}", readable(status.size_bytes), made])
        found.append(status_json(status) | {"book": name})
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    elif len(rows) == 1:
        click.echo(f"No books in {folder} yet. Make one with: openbook add -b NAME FILE...")
    else:
        table(rows)
