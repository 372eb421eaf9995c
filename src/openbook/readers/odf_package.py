"""What Open Documents (odt, odp, ods) share: the package and its properties."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

from openbook.errors import ReadError
from openbook.readers.ooxml import described
from openbook.readers.packages import encrypted, member, package, xml
from openbook.types import Field


@contextmanager
def open_document(path: Path) -> Generator[ZipFile, None, None]:
    """The open package.

    Raises:
        ReadError: As `package`; it says of itself that it is encrypted.
    """
    with package(path) as archive:
        if b"encryption-data" in member(archive, "META-INF/manifest.xml", path):
            raise encrypted(path)
        yield archive


def properties(archive: ZipFile, path: Path) -> tuple[str, dict[str, Field]]:
    """Title and fields, as far as a person gave them."""
    try:
        content = member(archive, "meta.xml", path)
        return described(xml(content, path, "meta.xml")) if content else ("", {})
    except ReadError:
        return "", {}
