"""A GGUF file that makes vectors, run on this machine by llama.cpp in a child process.

texts --cut--> windows --HTTP on 127.0.0.1--> child: llama.cpp's server --mean of a text's windows--> a row a text
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from openbook import models
from openbook.embedders.windows import embed_whole, in_halves
from openbook.errors import ModelError, SpecError
from openbook.llamacpp.client import Client
from openbook.models.gguf import Header, read_header
from openbook.models.identity import identity
from openbook.recipe import digest
from openbook.registry import at_least
from openbook.text import well_formed
from openbook.types import Kind

if TYPE_CHECKING:
    from openbook.types import Vectors

BATCH = 8  # texts in a request: more is not faster, and a large model must answer before its silence looks like an end
ENDS = 2  # tokens that most models put around a text
BLANK = "."  # what is sent for a text without a character: the server refuses an empty one
SLACK = 4  # characters between where a piece should begin and where it is looked for,
LOST = 24  # and more for each piece before it that was not found: an unknown word is one piece


@dataclass
class LlamaCpp:
    """Vectors of a model made for them, or of any LLM, though those are poor. Ends after `keep_minutes` of rest.

    Many models want prefixes before documents and questions: see their page.
    """

    VERSION: ClassVar[int] = 1

    model: str = ""  # a path to a GGUF file, or the name of one in the models folder
    document_prefix: str = ""
    query_prefix: str = ""
    pooling: Literal["auto", "mean", "cls", "last"] = "auto"  # auto: as the file says, and 'mean' where it does not
    context: int = 512  # tokens of a text, prefix included; at most what the model was trained for
    threads: int = 0  # 0: one for each core
    gpu_layers: int = -1  # -1: as many as fit, where llama.cpp was built for a GPU
    keep_minutes: float = 5.0

    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)
    _header: Header | None = field(default=None, init=False, repr=False, compare=False)
    _client: Client | None = field(default=None, init=False, repr=False, compare=False)
    _dim: int = field(default=0, init=False, repr=False, compare=False)  # 0: not known yet

    def __post_init__(self) -> None:
        if not self.model:
            raise SpecError("llamacpp() needs a file that makes vectors. Write: llamacpp(model='my-embedder.gguf')")
        at_least("llamacpp", self, context=64, threads=0, gpu_layers=-1, keep_minutes=0)
        if _room(self.context, self.document_prefix, self.query_prefix) < self.context // 2:
            raise SpecError(f"llamacpp(context={self.context}): the prefixes take more than half of it. Write more.")

    @property
    def dim(self) -> int:
        if not self._dim:
            self._dim = self._ask(["How many numbers?"]).shape[1]
        return self._dim

    @property
    def fingerprint(self) -> str:
        prefixes = self.document_prefix, self.query_prefix
        return f"llamacpp-{self.VERSION}-{digest(identity(self.header.path), self._pooling(), *prefixes, self.window)}"

    @property
    def window(self) -> int:
        trained = self.header.context_length
        context = min(self.context, trained) if trained else self.context
        return _room(context, self.document_prefix, self.query_prefix)

    @property
    def languages(self) -> frozenset[str]:
        said = self.header.metadata.get("general.languages")
        return frozenset(map(str, said)) if isinstance(said, tuple) else frozenset()

    @property
    def remote(self) -> str:
        return ""

    @property
    def header(self) -> Header:
        """What the file says of itself. Raises: ModelError, when it is missing or no model."""
        with self._lock:
            if self._header is None:
                self._header = read_header(models.find(self.model))
            return self._header

    @property
    def client(self) -> Client:
        """What speaks with the model's server, which need not run yet."""
        header, pooling = self.header, self._pooling()
        with self._lock:
            if self._client is None:
                trained = header.context_length or self.context
                settings = {
                    "context": min(self.context, trained),
                    "pooling": pooling.upper(),
                    "threads": self.threads,
                    "gpu_layers": self.gpu_layers,
                }
                self._client = Client(Path(self.model).name, header.path, settings, self.keep_minutes)
            return self._client

    def tokens(self, text: str) -> list[tuple[int, int]]:
        if not text:
            return []
        with self.client.running():
            return list(aligned(text, (token["piece"] for token in self.client.tokenize(text, pieces=True))))

    def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        if not texts:
            return np.empty((0, self.dim), np.float32)
        prefix = self.query_prefix if kind == "query" else self.document_prefix

        def embed(parts: list[str]) -> Vectors:
            sent = [prefix + well_formed(part) for part in parts]
            batches = (sent[start : start + BATCH] for start in range(0, len(sent), BATCH))
            return np.concatenate([in_halves(batch, self._ask) for batch in batches])

        with self.client.running():
            return embed_whole(texts, self.window, self.tokens, embed)

    def close(self) -> None:
        """End the server; a later call starts it again."""
        if self._client is not None:
            self._client.close()

    def _pooling(self) -> str:
        if self.pooling != "auto":
            return self.pooling
        said = self.header.pooling
        if said == "rank":
            raise ModelError(f"{self.header.path.name} is a reranker: it makes no vectors. Name an embedder's file.")
        return said if said in {"mean", "cls", "last"} else "mean"

    def _ask(self, texts: list[str]) -> Vectors:
        """One request."""
        with self.client.running():
            # A NUL would end the text for a part of llama.cpp.
            sent = [text.replace("\0", " ") if text.strip("\0 \t\r\n") else BLANK for text in texts]
            answer = self.client.post("/v1/embeddings", {"input": sent}).json()
        rows = sorted(answer["data"], key=lambda row: int(row["index"]))
        vectors = np.array([row["embedding"] for row in rows], np.float32)
        if vectors.ndim != 2 or not np.isfinite(vectors).all():
            raise ModelError(f"{self.header.path.name} makes no vectors of finite numbers. Name an embedder's file.")
        return vectors


def _room(context: int, *prefixes: str) -> int:
    """Tokens left for a text. A prefix's are counted before anything is loaded: one for each byte at most."""
    return context - ENDS - max(len(prefix.encode("utf-8", "replace")) for prefix in prefixes)


def aligned(text: str, pieces: Iterable[str | list[int]]) -> Iterator[tuple[int, int]]:
    """Where each piece of a text, as its tokenizer wrote it, stands in the text.

    Tokenizers put spaces before words, leave others out, lower letters and drop accents: all of it is looked past.
    Pieces of one character are lists of bytes: the last of them is the character, those before it are empty.

    >>> list(aligned("The  Café.", [" the", " cafe", " ."]))
    [(0, 3), (5, 9), (9, 10)]
    """
    plain, at, missed, pending = "".join(map(_plain, text)), 0, 0, b""
    for piece in pieces:
        written, pending = _written(piece, pending)
        word = written.strip()
        begin = _past_space(plain, at) if word else at
        wanted = word or written
        start = plain.find(wanted, begin, begin + len(wanted) + SLACK + missed * LOST) if wanted else -1
        if start < 0:
            missed += not pending
            yield at, at
        else:
            at, missed = start + len(wanted), 0
            yield start, at


def _written(piece: str | list[int], pending: bytes) -> tuple[str, bytes]:
    """A piece in plain characters, and the bytes that are not yet one."""
    if isinstance(piece, str):
        return "".join(map(_plain, piece)), b""
    try:
        return "".join(map(_plain, (pending + bytes(piece)).decode())), b""
    except UnicodeDecodeError:
        return "", pending + bytes(piece)


def _plain(character: str) -> str:
    """One character for one: small, without accents."""
    return unicodedata.normalize("NFD", character.lower())[:1] or character


def _past_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
