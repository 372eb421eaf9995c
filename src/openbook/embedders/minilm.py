"""all-MiniLM-L6-v2 in int8, bundled: 384 numbers for an English text.

weights/ is made by tools/make_minilm.py; docs/decisions/0001-embedding-runtime.md says why it is what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tokenizers import Tokenizer

from openbook.embedders.encoder import Encoder
from openbook.types import Kind

if TYPE_CHECKING:
    from openbook.types import Vectors

WEIGHTS = Path(__file__).with_name("weights")
SHA256 = {
    "minilm.bin": "72e4cf576c755a85981f2a5374e5abfe3a4779565c7cad98eca08555c0e3dc31",
    "minilm.xml": "1f4746f8f32b42acb6092da7bc9b2879c9101f88fccb1e739bc9e73bfb157178",
    "tokenizer.json": "9114256b104cca80e04367526f03f46aa3c443c2ed174904142a73bbf13b9fbb",
}

DIM = 384
WINDOW = 512  # tokens, the two that mark begin and end among them


@dataclass
class MiniLM:
    """Reads English. A question and a document are embedded alike."""

    threads: int = 0  # 0: one for each core this process may use

    VERSION: ClassVar[int] = 1

    def __post_init__(self) -> None:
        self._encoder = Encoder(
            network=lambda: WEIGHTS / "minilm.xml",
            tokenizer=lambda: Tokenizer.from_file(str(WEIGHTS / "tokenizer.json")),
            dim=DIM,
            window=WINDOW,
            padding=0,
            threads=self.threads,
        )

    @property
    def dim(self) -> int:
        return DIM

    @property
    def fingerprint(self) -> str:
        return f"minilm-{SHA256['minilm.bin'][:8]}{SHA256['minilm.xml'][:8]}"

    @property
    def window(self) -> int:
        return WINDOW - 2

    @property
    def languages(self) -> frozenset[str]:
        return frozenset({"en"})

    @property
    def remote(self) -> str:
        return ""

    def tokens(self, text: str) -> list[tuple[int, int]]:
        return self._encoder.tokens(text)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        return self._encoder.embed(texts)
