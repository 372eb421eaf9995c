"""Subtitles (srt, vtt) as paragraphs, each cue's time as a mark: '00:12:30'."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from openbook.errors import ReadError
from openbook.readers.files import read_text, shown
from openbook.readers.strings import one_line
from openbook.types import Document

TIME = r"[ \t]*(?:(\d{1,3}):)?(\d{1,2}):(\d{2})(?:[.,]\d{1,3})?[ \t]*"
TIMES = re.compile(f"{TIME}-->{TIME}")
VOICE = re.compile(r"<v(?:\.[\w.-]*)?[ \t]+([^<>]{1,60})>")
TAG = re.compile(r"<[^<>\n]{0,200}>|\{\\[^{}\n]{0,80}\}")
SPEAKER = re.compile(r"(?:[-–—][ \t]?\S|>>|[^\W\d_][\w .'-]{0,40}:[ \t]|\[[^\]\n]{1,40}\])")
PAUSE_SECONDS = 4  # of silence, after which a paragraph begins
LONGEST_PARAGRAPH = 600  # characters, after which it ends with a sentence
ENDS = (".", "!", "?", "…", '."', ".”", "。", "！", "？")


@dataclass(frozen=True, slots=True)
class Cue:
    """Words on the screen and when."""

    begins: int  # seconds
    ends: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subtitles:
    """A paragraph ends where somebody else speaks, after a pause, or with a sentence when it is long."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document]:
        pieces: list[str] = []
        marks: list[tuple[int, str]] = []
        length, paragraph, ended, last = 0, 0, 0, ""
        for cue in _cues(read_text(path)):
            for line in cue.lines:
                if line == last:  # live captions say a line again while the next one comes
                    continue
                begins_new = bool(pieces) and (
                    cue.begins - ended >= PAUSE_SECONDS
                    or SPEAKER.match(line) is not None
                    or (length - paragraph > LONGEST_PARAGRAPH and last.endswith(ENDS))
                )
                between = ("\n\n" if begins_new else " ") if pieces else ""
                at = length + len(between)
                if begins_new:
                    paragraph = at
                label = _clock(cue.begins)
                if not marks or marks[-1][1] != label:
                    marks.append((at, label))
                pieces += (between, line)
                length = at + len(line)
                ended, last = cue.ends, line
        if not pieces:
            raise ReadError(f"{shown(path)} has no subtitles in it. Check how it was saved.")
        yield Document("".join(pieces), str(path), marks=tuple(marks))


def _cues(text: str) -> Iterator[Cue]:
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        found = TIMES.match(lines[number])
        number += 1
        if not found:
            continue
        said = []
        while number < len(lines) and lines[number].strip() and "-->" not in lines[number]:
            if words := _plain(lines[number]):
                said.append(words)
            number += 1
        yield Cue(_seconds(*found.groups()[:3]), _seconds(*found.groups()[3:]), tuple(said))


def _plain(line: str) -> str:
    """A line without tags, who speaks before what is said."""
    return one_line(html.unescape(TAG.sub("", VOICE.sub(r"\1: ", line))))


def _seconds(hours: str | None, minutes: str, seconds: str) -> int:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
