"""multilingual-e5-small in int8, pulled: 384 numbers for a text in any of a hundred languages.

docs/decisions/0010-multilingual-embedder.md says how good it is and what it costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tokenizers import Tokenizer

from openbook.embedders.encoder import Encoder
from openbook.models import find
from openbook.models.conversion import source_sha256
from openbook.types import Kind

if TYPE_CHECKING:
    from openbook.types import Vectors

NAME = "e5-small"
DIM, WINDOW, PADDING = 384, 512, 1
PREFIXES: Mapping[Kind, str] = {"query": "query: ", "document": "passage: "}
FRAME = 5  # tokens: <s>, three of the prefix, </s>

# As the model's card on Hugging Face lists them.
LANGUAGES = (
    "af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he hi hr hu hy id is it"
    " ja jv ka kk km kn ko ku ky la lo lt lv mg mk ml mn mr ms my ne nl no om or pa pl ps pt ro ru sa sd si sk sl so sq"
    " sr su sv sw ta te th tl tr ug uk ur uz vi xh yi zh"
)


@dataclass
class E5Small:
    """Reads many languages, and finds in one what is asked in another. Get it with: openbook models pull e5-small."""

    threads: int = 0  # 0: one for each core this process may use

    VERSION: ClassVar[int] = 1

    def __post_init__(self) -> None:
        self._encoder = Encoder(
            network=lambda: find(NAME) / "network.xml",
            tokenizer=lambda: Tokenizer.from_file(str(find(NAME) / "tokenizer.json")),
            dim=DIM,
            window=WINDOW,
            padding=PADDING,
            threads=self.threads,
            again=f"Get it again: openbook models remove {NAME}, then openbook models pull {NAME}",
        )

    @property
    def dim(self) -> int:
        return DIM

    @property
    def fingerprint(self) -> str:
        folder = find(NAME)
        return f"{folder.name}-{source_sha256(folder)[:16]}"

    @property
    def window(self) -> int:
        return WINDOW - FRAME

    @property
    def languages(self) -> frozenset[str]:
        return frozenset(LANGUAGES.split())

    @property
    def remote(self) -> str:
        return ""

    def tokens(self, text: str) -> list[tuple[int, int]]:
        return self._encoder.tokens(text)

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        return self._encoder.embed(texts, PREFIXES[kind])
