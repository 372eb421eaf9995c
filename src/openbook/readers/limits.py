"""How much may come out of one file, whatever lies in what: a bomb is stopped by what it did, not by what it claims."""

from __future__ import annotations

from dataclasses import dataclass

from openbook.errors import ReadError

MOST_BYTES = 2 << 30  # inflated: some ten seconds of work, and what a temporary folder has room for ...
MOST_TIMES = 5  # ... or so many times the archive itself: a mailbox of many GB comes as a zip of many GB
MOST_RATIO = 200  # text inflates 10x, logs up to 100x; a bomb of one layer 1000x
RATIO_FROM = 10 << 20  # bytes inflated below which a ratio says nothing
MOST_MEMBERS = 100_000  # a backup has fewer files we read; an archive of a million empty ones costs hours
DEEPEST = 3  # files in files that are opened: a zip with a mailbox with a zip


class ExhaustedError(ReadError):
    """The file opened first gave more than it may: nothing more of it is read."""


class TooDeepError(ReadError):
    """A file lies in more files than are opened."""


@dataclass(slots=True)
class Budget:
    """What came out of the archive opened first, the archives in it included."""

    name: str
    size_bytes: int  # of that archive as it lies on the disk
    inflated: int = 0
    members: int = 0
    told: bool = False  # that something lies too deep: said once, a zip may hold a million zips

    def inflate(self, count: int) -> None:
        """Take note of bytes that were inflated. Raises: ExhaustedError."""
        self.inflated += count
        if self.inflated > RATIO_FROM and self.inflated > MOST_RATIO * self.size_bytes:
            raise self._exhausted(f"grows more than {MOST_RATIO} times when unpacked, as only a zip bomb does")
        if self.inflated > (most := max(MOST_BYTES, MOST_TIMES * self.size_bytes)):
            raise self._exhausted(f"holds more than {most / (1 << 30):.0f} GB when unpacked")

    def member(self) -> None:
        """Take note of one file in it. Raises: ExhaustedError."""
        self.members += 1
        if self.members > MOST_MEMBERS:
            raise self._exhausted(f"holds more than {MOST_MEMBERS:,} files")

    def _exhausted(self, reason: str) -> ExhaustedError:
        return ExhaustedError(f"{self.name} {reason}. The rest was not read: unpack it yourself and add the folder.")


@dataclass(frozen=True, slots=True)
class Inside:
    """Where a file lies: in how many others, and what they may still give."""

    depth: int = 0
    budget: Budget | None = None  # None: in no archive

    def deeper(self, name: str) -> Inside:
        """Inside the file of that name. Raises: TooDeepError."""
        if self.depth >= DEEPEST:
            raise TooDeepError(
                f"{name} lies in {self.depth} files, one in the other, and deeper ones are not opened. Unpack it first."
            )
        return Inside(self.depth + 1, self.budget)
