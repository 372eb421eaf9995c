"""XML from anywhere: no entity is expanded, nothing outside of it is looked at, depth and size have limits."""

from __future__ import annotations

from typing import Any, TypeAlias

from lxml import etree  # type: ignore[import-untyped]  # ty: ignore[missing-module-member]

from openbook.readers.strings import reason

Element: TypeAlias = Any  # of lxml, which has no types


def parsed(content: bytes) -> Element:
    """The root, without comments and processing instructions. Raises: ValueError, when it is not well-formed."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        return etree.fromstring(content, parser)
    except (etree.LxmlError, ValueError) as error:
        raise ValueError(reason(error)) from error
