"""Tables and texts of the page, safe to write into HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence

from openbook.text import well_formed

UNSEEN = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]"
)  # they end texts, or turn them round


def escaped(value: object) -> str:
    """A text as HTML shows it, whatever it holds."""
    return html.escape(UNSEEN.sub("\ufffd", well_formed(str(value).replace("\r\n", "\n"))))


def heading(name: str, *, more: bool = False, title: str = "") -> str:
    """A heading that sorts; `more` of it is better, so that these come first."""
    said = f' title="{escaped(title)}"' if title else ""
    kind = ' data-more="1"' if more else ""
    return f'<th scope="col" aria-sort="none"{kind}{said}><button type="button">{escaped(name)}</button></th>'


def cell(value: float | None, write: Callable[[float], str]) -> str:
    """A number that can be sorted by."""
    return "<td>-</td>" if value is None else f'<td data-v="{value:.6g}">{escaped(write(value))}</td>'


def points(share: float) -> str:
    """A share as points of 100."""
    return f"{100 * share:.1f}"


def table(caption: str, heads: Sequence[str], rows: Sequence[str], kind: str = "") -> str:
    """A table that scrolls by itself where it is too wide. Everything given is HTML."""
    named = f' class="{kind}"' if kind else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table{named}><caption>{caption}'
        f"</caption><thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )
