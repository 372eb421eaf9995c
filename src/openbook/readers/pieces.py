"""A document put together of blocks, an empty line between two, with headings and parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from openbook.readers.files import empty, safe
from openbook.readers.headings import Heading, heading_marks
from openbook.types import Document, Field, Marks

CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
Part: TypeAlias = Literal["text", "table", "code", "quote", "signature"]


@dataclass(slots=True)
class Pieces:
    """Blocks in the order they are added."""

    pieces: list[str] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)
    parts: list[tuple[int, str]] = field(default_factory=list)
    length: int = 0

    def add(self, words: str, part: Part = "text", *, level: int = 0) -> int:
        """Add a block, a heading of that level if not 0; where it begins. One without characters is left out."""
        words = CONTROL.sub("", safe(words))
        words = words.strip("\n").rstrip() if part == "code" else words.strip()
        if not words.strip():
            return self.length
        at = self._put(words)
        self._part(at, part)
        if level:
            self.headings.append((at, level, " ".join(words.split())))
        return at

    def extend(self, text: str, parts: Marks = (), headings: Iterable[Heading] = ()) -> int:
        """Add a text that has marks of its own; where it begins."""
        if not text.strip():
            return self.length
        at = self._put(text)
        if not parts or parts[0][0] > 0:
            self._part(at, "text")
        self.parts += [(at + offset, kind) for offset, kind in parts]
        self.headings += [(at + offset, level, words) for offset, level, words in headings]
        return at

    def document(
        self, path: Path, title: str = "", fields: Mapping[str, Field] | None = None, marks: Marks = ()
    ) -> Document:
        """All of it as the one document of a file.

        Raises:
            ReadError: There is no character in it.
        """
        text = "".join(self.pieces)
        if not text:
            raise empty(path)
        headings = heading_marks(sorted(self.headings, key=lambda heading: heading[0]))
        return Document(text, str(path), " ".join(title.split()), marks, headings, tuple(self.parts), fields or {})

    def _put(self, words: str) -> int:
        if self.pieces:
            self.pieces.append("\n\n")
            self.length += 2
        at = self.length
        self.pieces.append(words)
        self.length += len(words)
        return at

    def _part(self, at: int, part: Part) -> None:
        if part == "table" or part != (self.parts[-1][1] if self.parts else "text"):
            self.parts.append((at, part))
