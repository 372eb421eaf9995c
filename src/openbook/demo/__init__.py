"""A text to try openbook with: the King James Bible, 31,102 verses, 4.3 MB."""

from __future__ import annotations

import gzip
import os
from importlib.resources import files
from pathlib import Path


def kjv(folder: Path) -> Path:
    """The path of kjv.txt in a folder, written there unless the same text is there already."""
    path = folder / "kjv.txt"
    text = gzip.decompress((files(__name__) / "kjv.txt.gz").read_bytes())
    if path.is_file() and path.stat().st_size == len(text) and path.read_bytes() == text:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    # Under another name first, so that whoever looks meanwhile sees no half of it.
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        partial.write_bytes(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
