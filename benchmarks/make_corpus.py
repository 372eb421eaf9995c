"""Write many gigabytes of real text, made of Debian's packages: documentation and source code, file by file.

    python benchmarks/make_corpus.py FOLDER --gigabytes 1.6

Needs apt-get and dpkg-deb. Downloads the packages (about 150 MB for 1.6 GB of text) and keeps nothing but the text.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

PACKAGES = (
    "debian-policy,debian-reference-en,python3-doc,python3.11-doc,libboost1.74-doc,openjdk-17-doc,linux-source-6.1"
)
TEXTS = frozenset({".txt", ".html", ".rst", ".c", ".h", ".md", ".py", ".S", ".sh", ".xml"})


def texts(packages: list[str], folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each text in the packages."""
    for package in packages:
        subprocess.run(["apt-get", "download", "--quiet", package], cwd=folder, check=True, stdout=sys.stderr)
        archive = next(folder.glob(f"{package}_*.deb"))
        unpacked = folder / package
        subprocess.run(["dpkg-deb", "-x", archive, unpacked], check=True)
        archive.unlink()
        for path in sorted(unpacked.rglob("*")):
            name = f"{package}/{path.relative_to(unpacked)}"
            if path.is_symlink() or not path.is_file():
                continue
            if ".tar" in path.name:
                with tarfile.open(path) as source:
                    for member in source:
                        if member.isfile() and Path(member.name).suffix in TEXTS:
                            file = source.extractfile(member)
                            assert file
                            yield f"{package}/{member.name}", file.read()
            elif path.suffix == ".gz" and path.with_suffix("").suffix in TEXTS:
                yield name.removesuffix(".gz"), gzip.decompress(path.read_bytes())
            elif path.suffix in TEXTS:
                yield name, path.read_bytes()


def main() -> None:
    """Write texts until there are enough."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=1.6)
    parser.add_argument("--packages", default=PACKAGES)
    options = parser.parse_args()
    written = files = 0
    with tempfile.TemporaryDirectory() as temporary:
        for name, content in texts(options.packages.split(","), Path(temporary)):
            path = options.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            written, files = written + len(content), files + 1
            if written >= options.gigabytes * 1e9:
                break
    print(f"{files:,} files, {written / 1e9:.2f} GB in {options.folder}")


if __name__ == "__main__":
    main()
