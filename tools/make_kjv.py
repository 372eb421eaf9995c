"""Make src/openbook/demo/kjv.txt.gz from Debian's packages bible-kjv and bible-kjv-text: the same bytes each time.

apt-get install bible-kjv bible-kjv-text && python tools/make_kjv.py [--check]
"""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path

TARGET = Path(__file__).parents[1] / "src" / "openbook" / "demo" / "kjv.txt.gz"
VERSES = 31_102
LINE = re.compile(r"(?P<book>\d?[A-Za-z]+?)(?P<chapter>\d+):(?P<verse>\d+) (?P<text>.*)")

# The program's short names, in the order of the Bible, and how people write them.
BOOKS: dict[str, str] = dict(
    re.findall(
        r"(\w+)=(\w+)",
        """
Ge=Genesis Exo=Exodus Lev=Leviticus Num=Numbers Deu=Deuteronomy Josh=Joshua Jdgs=Judges Ruth=Ruth 1Sm=1_Samuel
2Sm=2_Samuel 1Ki=1_Kings 2Ki=2_Kings 1Chr=1_Chronicles 2Chr=2_Chronicles Ezra=Ezra Neh=Nehemiah Est=Esther
Job=Job Psa=Psalms Prv=Proverbs Eccl=Ecclesiastes SSol=Song_of_Solomon Isa=Isaiah Jer=Jeremiah Lam=Lamentations
Eze=Ezekiel Dan=Daniel Hos=Hosea Joel=Joel Amos=Amos Obad=Obadiah Jonah=Jonah Mic=Micah Nahum=Nahum Hab=Habakkuk
Zep=Zephaniah Hag=Haggai Zec=Zechariah Mal=Malachi Mat=Matthew Mark=Mark Luke=Luke John=John Acts=Acts
Rom=Romans 1Cor=1_Corinthians 2Cor=2_Corinthians Gal=Galatians Eph=Ephesians Phi=Philippians Col=Colossians
1Th=1_Thessalonians 2Th=2_Thessalonians 1Tim=1_Timothy 2Tim=2_Timothy Titus=Titus Phmn=Philemon Heb=Hebrews
Jas=James 1Pet=1_Peter 2Pet=2_Peter 1Jn=1_John 2Jn=2_John 3Jn=3_John Jude=Jude Rev=Revelation
""",
    )
)


def kjv(lines: list[str]) -> str:
    """Lines such as 'Ge1:1 In the beginning' as a text with a heading for each book and each chapter."""
    book = chapter = title = ""
    parts: list[str] = []
    for line in lines:
        found = LINE.fullmatch(line)
        if not found:
            raise SystemExit(f"This line of `bible` is no verse: {line!r}")
        if found["book"] != book:
            book, chapter = found["book"], ""
            title = BOOKS[book].replace("_", " ")
            parts += ["\n\n" if parts else "", title.upper(), "\n"]
        if found["chapter"] != chapter:
            chapter = found["chapter"]
            parts.append(f"\n{title} {chapter}\n")
        parts.append(f"{chapter}:{found['verse']} {found['text'].rstrip()}\n")
    return "".join(parts)


def main() -> None:
    """Write the file, or with --check compare it."""
    run = subprocess.run(["bible", "-f", "gen1:1-rev22:21"], check=True, capture_output=True)
    lines = run.stdout.decode("ascii").splitlines()
    if len(lines) != VERSES:
        raise SystemExit(f"`bible` gave {len(lines)} verses, not {VERSES}: another version of the package?")
    made = gzip.compress(kjv(lines).encode("ascii"), 9, mtime=0)
    if "--check" in sys.argv:
        # The text is compared: another version of zlib may pack the same text otherwise.
        if gzip.decompress(made) != gzip.decompress(TARGET.read_bytes()):
            raise SystemExit(f"{TARGET} holds another text than `bible` gives.")
        return
    TARGET.write_bytes(made)
    print(f"{TARGET}: {len(made)} bytes")


if __name__ == "__main__":
    main()
