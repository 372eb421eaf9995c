"""JSON: a list of objects is read as rows, anything else as lines of 'name: value'."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from openbook.errors import ReadError
from openbook.readers.files import empty, opened, read_text, shown
from openbook.readers.rows import TEXTS, documents, row_fields
from openbook.readers.strings import one_line, safe
from openbook.types import Document, Unread

LARGEST_BYTES = 64 << 20  # parsed, a file takes ten times its size


@dataclass(frozen=True, slots=True)
class Json:
    """Each object of a list is a document, as a row of JSONL is; one object is one document."""

    VERSION: ClassVar[int] = 1

    def __call__(self, path: Path) -> Iterator[Document | Unread]:
        value = read_json(path)
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            yield from documents(((number, one) for number, one in enumerate(value, 1)), path)
            return
        if not isinstance(value, dict):
            value = {"": value}
        if any(isinstance(words := value.get(name), str) and words.strip() for name in TEXTS):
            yield from (replace(one, source=str(path)) for one in documents([(1, value)], path))
            return
        text = "\n".join(_lines(value))
        if not text.strip():
            raise empty(path)
        title = value.get("title")
        said = one_line(title) if isinstance(title, str) else ""
        yield Document(text, str(path), said, fields=row_fields(value))


def read_json(path: Path) -> Any:
    """What a file of JSON holds.

    Raises:
        ReadError: As `read_text`, or it is too large or no JSON.
    """
    with opened(path):
        size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise ReadError(
            f"{shown(path)} holds {size >> 20:,} MB of JSON, more than the {LARGEST_BYTES >> 20} read at once. "
            "Make it JSONL, for example with: jq -c '.[]' a.json > a.jsonl"
        )
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        reason = f"{error.msg} in line {error.lineno}, character {error.colno}"
        raise ReadError(
            f"{shown(path)} is not JSON ({reason}). Correct that, or end its name in .jsonl or .txt."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{shown(path)} is not JSON that can be read ({error}). Correct that.") from error


def _lines(value: object) -> Iterator[str]:
    """A line for each value: 'address.city: Hull', 'rooms: first, second', 'rooms[2].size: 12'.

    Walks with a stack of its own: objects nest deeper than Python may call itself.
    """
    stack: list[tuple[str, object]] = [("", value)]
    while stack:
        name, value = stack.pop()
        if isinstance(value, dict):
            stack += [(f"{name}.{key}" if name else str(key), one) for key, one in reversed(value.items())]
        elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
            stack += [(f"{name}[{number}]", one) for number, one in reversed(list(enumerate(value, 1)))]
        elif value not in (None, "", []):
            words = ", ".join(map(_words, value)) if isinstance(value, list) else _words(value)
            yield f"{safe(name)}: {words}" if name else words


def _words(value: object) -> str:
    return safe(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
