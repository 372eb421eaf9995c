"""Names that differ, for the documents of one file: a citation must lead to one of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from openbook.readers.strings import one_line


@dataclass(slots=True)
class Names:
    """Makes names unique, in one line, with little memory: a mailbox has a million."""

    seen: set[int] = field(default_factory=set)  # hashes: two that are equal by chance only get a number more
    again: dict[str, int] = field(default_factory=dict)

    def unique(self, name: str) -> str:
        """That name, or the name with '~2', '~3' where it was given before."""
        name = one_line(name)
        another = name
        while hash(another) in self.seen:
            self.again[name] = self.again.get(name, 1) + 1
            another = f"{name}~{self.again[name]}"
        self.seen.add(hash(another))
        return another
