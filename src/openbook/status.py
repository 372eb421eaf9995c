"""What a book holds: what `openbook status` shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from openbook.documents import Contents, Documents, File
from openbook.finding import size_bytes
from openbook.manifest import Manifest
from openbook.types import Store


@dataclass(frozen=True, slots=True)
class Status:
    """What a book holds."""

    folder: Path
    manifest: Manifest
    files: tuple[File, ...]
    contents: dict[str, Contents]  # by path
    chunks_by_file: dict[str, int]
    fields: tuple[str, ...]  # what a condition may ask for
    documents: int
    characters: int
    chunks: int
    size_bytes: int
    unfinished: bool  # an `add` was stopped; running it again goes on


def status(folder: Path, manifest: Manifest, documents: Documents, store: Store) -> Status:
    """What the book in this folder holds."""
    contents, chunks = documents.contents(), store.counts()
    return Status(
        folder,
        manifest,
        tuple(documents.files()),
        contents,
        {path: sum(chunks.get(one, 0) for one in found.document_ids) for path, found in contents.items()},
        tuple(documents.fields()),
        len(documents),
        documents.characters(),
        sum(chunks.values()),
        size_bytes(folder),
        bool(documents.pending()) or (folder / "partial").exists(),
    )
