"""Any service that speaks OpenAI's /v1/embeddings: OpenAI, or Ollama, vLLM, LM Studio, llama.cpp on this machine.

texts --cut--> windows --batches, some at once--> POST /embeddings --order by index--> vectors --mean--> a row a text
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from openbook.address import Address
from openbook.embedders.windows import embed_whole, in_halves
from openbook.errors import ModelError, SpecError, one_line
from openbook.recipe import digest
from openbook.registry import at_least
from openbook.service import Service
from openbook.text import well_formed
from openbook.types import Kind

if TYPE_CHECKING:
    from openbook.types import Vectors

# The service has no tokenizer to ask. Three letters of ASCII are at most a token in most languages of Latin letters
# (English: 4 to 5 letters a token), and any other character is one.
TOKEN = re.compile(r"[A-Za-z]{1,3}|\S")
WIDE = 0x800  # from here on, a character is three bytes or more, of which tokenizers may make two tokens
BLANK = "."  # what is sent for a text without a character: OpenAI refuses an empty one
ENDS = 2  # tokens that a model puts around a text


@dataclass
class OpenAI:
    """Texts go to `url`, and nowhere else. The key is looked up at each request, and shown nowhere.

    A server on this machine needs no key. Many models want prefixes before documents and questions: see their page.
    """

    VERSION: ClassVar[int] = 1

    url: str = "https://api.openai.com/v1"
    model: str = "text-embedding-3-small"
    key_env: str = "OPENAI_API_KEY"
    dimensions: int = 0  # 0: as many as the model gives; fewer are asked for, which some models can give
    document_prefix: str = ""
    query_prefix: str = ""
    context: int = 512  # tokens of a text, prefix included: small, as some services cut off what is longer, silently
    batch: int = 32  # texts in a request
    requests: int = 4  # at once
    timeout: float = 120.0  # seconds without a byte

    _address: Address = field(init=False, repr=False, compare=False)
    _service: Service = field(init=False, repr=False, compare=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)
    _dim: int = field(default=0, init=False, repr=False, compare=False)  # 0: not known yet

    def __post_init__(self) -> None:
        self._address = Address("openai", self.url, self.model, self.key_env, self.timeout)
        self._service = Service(self._address)
        at_least("openai", self, dimensions=0, context=64, batch=1, requests=1)
        if self.window < self.context // 2:
            raise SpecError(f"openai(context={self.context}): the prefixes take more than half of it. Write more.")

    @property
    def dim(self) -> int:
        with self._lock:
            if not self._dim:
                self._dim = self._ask(["How many numbers?"]).shape[1]
            return self._dim

    @property
    def fingerprint(self) -> str:
        made_of = (self._address.host, self.model, self.dim, self.document_prefix, self.query_prefix, self.window)
        return f"openai-{self.VERSION}-{digest(*made_of)}"

    @property
    def window(self) -> int:
        return self.context - ENDS - max(len(self.tokens(one)) for one in (self.document_prefix, self.query_prefix))

    @property
    def languages(self) -> frozenset[str]:
        return frozenset()

    @property
    def remote(self) -> str:
        return self._address.remote

    def tokens(self, text: str) -> list[tuple[int, int]]:
        return list(_tokens(text))

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        if not texts:
            return np.empty((0, self.dim), np.float32)
        prefix = self.query_prefix if kind == "query" else self.document_prefix

        def embed(parts: list[str]) -> Vectors:
            return self._embed([prefix + well_formed(part) for part in parts])

        return embed_whole(texts, self.window, self.tokens, embed)

    def _embed(self, texts: list[str]) -> Vectors:
        # Texts of like length go together: most services pad a batch to its longest.
        order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
        batches = [order[start : start + self.batch] for start in range(0, len(order), self.batch)]
        vectors = np.empty((len(texts), self.dim), np.float32)

        def work(batch: list[int]) -> None:
            vectors[batch] = in_halves([texts[index] for index in batch], self._checked)

        with ThreadPoolExecutor(min(self.requests, len(batches))) as pool:
            for _ in pool.map(work, batches):  # the first error leaves out what has not begun
                pass
        return vectors

    def _checked(self, texts: list[str]) -> Vectors:
        vectors = self._ask(texts)
        if vectors.shape[1] != self.dim:
            raise ModelError(
                f"{self.url} gave vectors of {vectors.shape[1]} numbers for {self.model!r}, before that of {self.dim}. "
                "If the model was changed, make the book's vectors again: openbook rebuild"
            )
        return vectors

    def _ask(self, texts: list[str]) -> Vectors:
        """One request."""
        import urllib3

        body: dict[str, Any] = {"model": self.model, "input": [text if text.strip() else BLANK for text in texts]}
        if self.dimensions:
            body["dimensions"] = self.dimensions
        response = self._service.post("/embeddings", body)
        try:
            vectors = _vectors(response.json(), len(texts))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ModelError(f"{self.url} broke off while answering: {one_line(error)}. Run it again.") from error
        except (ValueError, LookupError, TypeError) as error:
            raise ModelError(
                f"{self.url} did not answer with embeddings ({one_line(error)}). "
                "Check that it ends where its /embeddings begins, mostly in /v1, and that the model makes embeddings."
            ) from error
        finally:
            response.close()
        if self.dimensions not in {0, vectors.shape[1]}:
            raise ModelError(
                f"{self.url} gives vectors of {vectors.shape[1]} numbers, not {self.dimensions}: {self.model!r} has "
                f"no shorter ones there. Write: openai(dimensions={vectors.shape[1]})"
            )
        return vectors


def _vectors(answer: Any, count: int) -> Vectors:
    """The vectors of an answer in the order of the texts. Raises: ValueError, LookupError or TypeError."""
    rows: dict[int, Any] = {int(one["index"]): one["embedding"] for one in answer["data"]}
    if sorted(rows) != list(range(count)) or len(answer["data"]) != count:
        raise ValueError(f"{len(answer['data'])} vectors for {count} texts")
    vectors = np.array([rows[index] for index in range(count)], np.float32)
    if vectors.ndim != 2 or not vectors.shape[1] or not np.isfinite(vectors).all():
        raise ValueError("not finite numbers, as many for each text")
    return vectors


def _tokens(text: str) -> Iterator[tuple[int, int]]:
    for found in TOKEN.finditer(text):
        yield found.span()
        if ord(found[0][0]) >= WIDE:
            yield found.span()
