"""Where the answer of a made question stands, so that `gold.resolve` finds it however the text is cut.

answer, span --the sentence that says it--> quote --widened until it stands once in its document--> Gold, and its copies
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePath

from openbook.bench.generation.picking import Pick
from openbook.bench.generation.spans import Span
from openbook.bench.gold import pattern
from openbook.bench.questions import Gold
from openbook.documents import Documents
from openbook.refiners.stretches import sentences
from openbook.types import Document, Store

SHORTEST = 40  # characters of a quote: 'Default: 14' says nothing alone
MOST_PLACES = 6  # documents that say the same word for word; in more of them it is a form, a licence, a heading
LOOKED_AT = 30  # passages with most of a quote's words, among which copies are looked for


def golds_of(span: Span, pick: Pick, documents: Documents, store: Store) -> tuple[Gold, ...]:
    """The sentence that an answer was picked from, first in the span's own document, then wherever it is copied.

    Empty when it stands more than once in the document, or in too many documents: then it tells no place.
    """
    document = documents.get(span.document_id)
    if document is None:
        return ()
    quote = _quote(document, span, pick)
    if not quote:
        return ()
    copies = dict.fromkeys([span.document_id, *(one.chunk.document_id for one in store.match(quote, LOOKED_AT))])
    holding = [name for name in copies if (other := documents.get(name)) and pattern(quote).search(other.text)]
    if len(holding) > MOST_PLACES:
        return ()
    sources = documents.sources()
    origins = documents.origins(holding)
    return tuple(Gold(short_name(origins[name].sources[0], sources), quote) for name in holding)


def _quote(document: Document, span: Span, pick: Pick) -> str:
    """Widened by the sentence before and the one after it in the span; '' when even the span stands there twice."""
    found = sentences(document, span.start, span.end)
    inside = [number for number, (start, end) in enumerate(found) if pick.start < end and start < pick.end]
    first, last, start, end = inside[0], inside[-1], pick.start, pick.end
    while True:
        quote = " ".join(document.text[start:end].split())
        if len(quote) >= SHORTEST and len(pattern(quote).findall(document.text)) == 1:
            return quote
        if first > 0:
            first -= 1
            start = found[first][0]
        elif last < len(found) - 1:
            last += 1
            end = found[last][1]
        else:
            return ""


def short_name(source: str, sources: Collection[str]) -> str:
    """The shortest end of a source, from a '/' on, that no other source ends with.

    >>> short_name("/docs/a/index.html", ["/docs/a/index.html", "/docs/b/index.html"])
    'a/index.html'
    """
    path, hash_, row = source.partition("#")
    parts = PurePath(path.replace("\\", "/")).parts
    plain = [one.replace("\\", "/") for one in sources]
    for count in range(1, len(parts)):
        name = "/".join(parts[-count:]) + hash_ + row
        if sum(one == name or one.endswith(f"/{name}") for one in plain) == 1:
            return name
    return source
