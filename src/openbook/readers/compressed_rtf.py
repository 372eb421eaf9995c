"""Outlook's compressed Rich Text ([MS-OXRTFCP]): a mail's words when Outlook kept them in no other form."""

from __future__ import annotations

import struct

# What the dictionary of 4096 bytes holds before the first byte.
BEGIN = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor "
    rb"MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0" + b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
WINDOW = 4096
PLAIN, COMPRESSED = b"MELA", b"LZFu"


def decompressed(content: bytes) -> bytes:
    """The Rich Text; of damaged bytes as much as there is. A reference of 2 bytes gives 17 at most: no bomb.

    Raises:
        ValueError: It is none.
    """
    if len(content) < 16 or content[8:12] not in {PLAIN, COMPRESSED}:
        raise ValueError("no compressed Rich Text")
    (size,) = struct.unpack_from("<I", content, 4)
    if content[8:12] == PLAIN:
        return content[16 : 16 + size]
    out = bytearray(BEGIN)
    at = 16
    while at < len(content):
        flags, at = content[at], at + 1
        for bit in range(8):
            if not flags >> bit & 1:
                out += content[at : at + 1]
                at += 1
            elif at + 2 > len(content):
                return bytes(out[len(BEGIN) :])
            else:
                (reference,) = struct.unpack_from(">H", content, at)
                at += 2
                # Counted from the beginning of a window that is written round and round; its own end ends the text.
                back = (len(out) - (reference >> 4)) % WINDOW
                if back == 0:
                    return bytes(out[len(BEGIN) :])
                for _ in range((reference & 15) + 2):
                    out.append(out[-back] if back <= len(out) else 0x20)
    return bytes(out[len(BEGIN) :])
