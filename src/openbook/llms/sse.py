"""Server-sent events: how a model's server sends an answer piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse


def events(response: BaseHTTPResponse) -> Iterator[dict[str, Any]]:
    """The JSON object of each event as soon as it is there, up to '[DONE]' or the end of the response.

    Raises:
        ValueError: An event is not a JSON object.
    """
    for line in _lines(response):
        field, _, value = line.partition(b":")
        if field == b"error":  # some versions of llama.cpp
            value = b'{"error": %s}' % value
        elif field != b"data":  # a comment that keeps the connection open, an empty line, a name
            continue
        if value.strip() == b"[DONE]":
            return
        event = json.loads(value)
        if not isinstance(event, dict):
            raise ValueError(f"not an object: {value[:60]!r}")
        yield event


def _lines(response: BaseHTTPResponse) -> Iterator[bytes]:
    """Whole lines, so that no character is ever cut in two. `read1` returns what has come; `stream` waits for more."""
    pending = b""
    while piece := response.read1(1 << 16):
        *lines, pending = (pending + piece).split(b"\n")
        yield from lines
    yield pending
