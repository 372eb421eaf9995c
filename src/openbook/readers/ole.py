"""Compound files (xls, doc, ppt, msg): whether their chains of sectors end, before a library walks along them."""

from __future__ import annotations

import struct
import sys
from array import array
from pathlib import Path
from typing import BinaryIO

from openbook.readers.files import opened
from openbook.readers.packages import damaged

HEADER = struct.Struct("<30xHH10xL12xLLL")  # sizes of sectors, count of tables, small tables and their count, more
TABLES = 76  # where the header's list of tables begins
LAST = 0xFFFF_FFFA  # from here on an entry is no sector: end of chain, free, ...
SHIFTS = (9, 12)  # sectors have 512 or 4096 bytes


def check_chains(path: Path) -> None:
    """Calamine 0.37 walks a chain that goes round in a circle until all memory is taken: such a file is refused.

    Raises:
        ReadError: A chain has a circle, or the header makes no sense.
    """
    with opened(path) as file:
        header = file.read(512)
        if len(header) < 512:
            raise damaged(path, "its header is cut")
        shift, small, count, small_first, small_count, more = HEADER.unpack_from(header)
        if shift not in SHIFTS or small >= shift:
            raise damaged(path, f"its sectors have 2^{shift} bytes")
        most = path.stat().st_size >> shift
        tables = [one for one in _numbers(header[TABLES:]) if one < LAST]
        seen: set[int] = set()
        while more < LAST and more not in seen and len(seen) <= most:
            seen.add(more)
            *listed, more = _numbers(_sector(file, more, shift)) or [LAST]
            tables += [one for one in listed if one < LAST]
        if count > most or small_count > most:
            raise damaged(path, f"it claims {max(count, small_count):,} tables of sectors")
        table = _joined(file, tables[:count], shift)
        chain: list[int] = []
        if _has_circle(table):
            raise damaged(path, "a chain of its sectors goes round in a circle")
        while small_first < len(table):
            chain.append(small_first)
            small_first = table[small_first]
        if _has_circle(_joined(file, chain, shift)):
            raise damaged(path, "a chain of its small sectors goes round in a circle")


def _has_circle(following: array[int]) -> bool:
    """Whether going from an entry to the one it names ever comes back."""
    walks = array("L", [0]) * len(following)  # the walk that first came by
    for walk in range(1, len(following) + 1):
        place = walk - 1
        while place < len(following) and not walks[place]:
            walks[place] = walk
            place = following[place]
        if place < len(following) and walks[place] == walk:
            return True
    return False


def _joined(file: BinaryIO, sectors: list[int], shift: int) -> array[int]:
    table = array("I")
    for sector in sectors:
        table += _numbers(_sector(file, sector, shift))
    return table


def _sector(file: BinaryIO, number: int, shift: int) -> bytes:
    file.seek((number + 1) << shift)
    return file.read(1 << shift)


def _numbers(content: bytes) -> array[int]:
    numbers = array("I", content[: len(content) // 4 * 4])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
