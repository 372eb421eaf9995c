r"""Searches by LangChain, LlamaIndex and txtai on chunks that retrieval.py wrote; imports nothing of openbook.

    PEER/bin/python benchmarks/peers.py --runs runs --weights FOLDER_OF_ALL_MINILM_L6_V2

For every `NAME.chunks.json` in the folder each peer's ranking goes to `NAME.PEER.json`: chunk ids, best first, for each
question. Each peer searches by its own defaults: Chroma's HNSW index and distance, LlamaIndex's in-memory store,
txtai's Faiss index with its content in SQLite. Only the number of results is set.

All three use all-MiniLM-L6-v2 as sentence-transformers runs it by default (fp32, 256 tokens, mean, length 1). Its
vectors are made once, by LangChain's HuggingFaceEmbeddings, kept by text in `vectors.sqlite`, and given to all; what
each peer's own embedder makes of CHECKED texts, short and long, is compared with them.
"""

# mypy: disable-error-code="import-not-found, misc"
# The peers are never installed beside openbook.

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ |= {"ANONYMIZED_TELEMETRY": "False", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
os.environ["DO_NOT_TRACK"] = "1"

import numpy as np
from langchain_chroma import Chroma
from langchain_core.embeddings import Embeddings
from langchain_huggingface import HuggingFaceEmbeddings
from llama_index.core import VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.schema import TextNode
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from measure import median_ms
from txtai import Embeddings as TxtAI

DEPTH = 100  # chunks asked for, as retrieval.py does
CHECKED = 32  # texts that each peer's own embedder is tried on
TIMED = 30  # questions embedded one at a time
ADDED = 5000  # chunks at once: Chroma takes no more than 5461

Search = Callable[[str], list[str]]
"""A question -> ids of chunks, best first."""

Embed = Callable[[Sequence[str]], list[list[float]]]


class Vectors:
    """Vectors by text, in memory and on disk."""

    def __init__(self, path: Path, embed: Embed) -> None:
        self._embed = embed
        self._rows = sqlite3.connect(path)
        self._rows.execute("CREATE TABLE IF NOT EXISTS vector (id TEXT PRIMARY KEY, numbers BLOB)")
        self._known: dict[str, list[float]] = {}

    def prepare(self, texts: Sequence[str]) -> None:
        """Have these at hand; embeds what is new."""
        self._known = {text: numbers for text in dict.fromkeys(texts) if (numbers := self._read(text))}
        new = sorted((text for text in dict.fromkeys(texts) if text not in self._known), key=len)
        for start in range(0, len(new), 512):
            some = new[start : start + 512]
            made = self._embed(some)
            self._known |= dict(zip(some, made, strict=True))
            with self._rows:
                rows = [
                    (_name(text), numbers.tobytes())
                    for text, numbers in zip(some, np.asarray(made, np.float32), strict=True)
                ]
                self._rows.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?)", rows)

    def _read(self, text: str) -> list[float]:
        row = self._rows.execute("SELECT numbers FROM vector WHERE id = ?", (_name(text),)).fetchone()
        return np.frombuffer(row[0], np.float32).tolist() if row else []

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        return [self._known[text] for text in texts]


def _name(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def langchain(ids: list[str], texts: list[str], vectors: Vectors, folder: Path) -> Search:
    """Chroma through LangChain, on disk."""

    class Given(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return vectors(texts)

        def embed_query(self, text: str) -> list[float]:
            return vectors([text])[0]

    store = Chroma(embedding_function=Given(), persist_directory=str(folder))
    for start in range(0, len(ids), ADDED):
        store.add_texts(texts[start : start + ADDED], ids=ids[start : start + ADDED])
    return lambda question: [str(found.id) for found in store.similarity_search(question, k=DEPTH)]


def llamaindex(ids: list[str], texts: list[str], vectors: Vectors, folder: Path) -> Search:
    """VectorStoreIndex with the store it makes by itself, in memory."""

    class Given(BaseEmbedding):
        def _get_query_embedding(self, query: str) -> list[float]:
            return vectors([query])[0]

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

        def _get_text_embedding(self, text: str) -> list[float]:
            return vectors([text])[0]

    nodes = [TextNode(id_=name, text=text) for name, text in zip(ids, texts, strict=True)]
    retriever = VectorStoreIndex(nodes, embed_model=Given()).as_retriever(similarity_top_k=DEPTH)
    return lambda question: [found.node.node_id for found in retriever.retrieve(question)]


def txtai(ids: list[str], texts: list[str], vectors: Vectors, folder: Path) -> Search:
    """Embeddings(content=True): Faiss, the texts in SQLite."""
    given: Any = lambda texts: np.asarray(vectors(texts), np.float32)  # noqa: E731
    index = TxtAI(method="external", transform=given, content=True)
    index.index(zip(ids, texts, strict=True))
    return lambda question: [found["id"] for found in index.search(question, DEPTH)]


PEERS: dict[str, tuple[Callable[[list[str], list[str], Vectors, Path], Search], tuple[str, ...]]] = {
    "langchain": (langchain, ("langchain-core", "langchain-chroma", "langchain-huggingface", "chromadb")),
    "llamaindex": (llamaindex, ("llama-index-core", "llama-index-embeddings-huggingface")),
    "txtai": (txtai, ("txtai", "faiss-cpu")),
}


def embedders(weights: str) -> dict[str, tuple[Embed, Callable[[str], Any]]]:
    """Each peer's own embedder of the same weights: of texts, and of a question."""
    ours = HuggingFaceEmbeddings(model_name=weights)
    theirs = HuggingFaceEmbedding(model_name=weights)
    index = TxtAI(path=weights, content=True)
    return {
        "langchain": (lambda texts: ours.embed_documents(list(texts)), ours.embed_query),
        "llamaindex": (lambda texts: theirs.get_text_embedding_batch(list(texts)), theirs.get_query_embedding),
        "txtai": (lambda texts: index.batchtransform(list(texts)), index.transform),
    }


def check(made: dict[str, tuple[Embed, Callable[[str], Any]]], vectors: Vectors, texts: Sequence[str]) -> Iterator[str]:
    """How near the kept vectors are to what each peer's own embedder makes: the least cosine."""
    kept = np.asarray(vectors(texts), np.float32)
    for peer, (embed, _) in made.items():
        cosines = (np.asarray(embed(texts), np.float32) * kept).sum(axis=1)
        yield f"{peer}: least cosine {cosines.min():.6f} of {len(texts)} texts"


def run(peer: str, task: dict[str, Any], vectors: Vectors) -> dict[str, Any]:
    """A peer's rankings of one set's chunks."""
    make, packages = PEERS[peer]
    ids, texts = (list(column) for column in zip(*task["chunks"], strict=True))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        search = make(ids, texts, vectors, Path(folder))
        search(task["questions"][0])
        ranking, milliseconds = [], []
        for question in task["questions"]:
            began = time.perf_counter()
            ranking.append(search(question))
            milliseconds.append(1000 * (time.perf_counter() - began))
    return {
        "peer": peer,
        "versions": {name: version(name) for name in packages},
        "search_ms": statistics.median(milliseconds),
        "ranking": ranking,
    }


def main() -> None:
    """Write what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="folder with chunks, vectors and rankings")
    parser.add_argument("--weights", required=True, help="sentence-transformers' folder of all-MiniLM-L6-v2")
    parser.add_argument("--embed-only", action="store_true", help="vectors now, rankings another time")
    options = parser.parse_args()
    made = embedders(options.weights)
    vectors = Vectors(options.runs / "vectors.sqlite", made["langchain"][0])
    checked = False
    for path in sorted(options.runs.glob("*.chunks.json"), key=lambda path: path.stat().st_size):
        outputs = {peer: path.with_name(path.name.replace(".chunks.", f".{peer}.")) for peer in PEERS}
        missing = [peer for peer, output in outputs.items() if not output.exists()]
        if not missing:
            continue
        task = json.loads(path.read_text("utf-8"))
        texts = [text for _, text in task["chunks"]]
        vectors.prepare([*texts, *task["questions"]])
        if not checked:
            print(*check(made, vectors, sorted(texts, key=len)[:: -(-len(texts) // CHECKED)]), sep="\n", flush=True)
            checked = True
        for peer in [] if options.embed_only else missing:
            done = run(peer, task, vectors) | {"embed_ms": median_ms(made[peer][1], task["questions"][:TIMED])}
            outputs[peer].write_text(json.dumps(done), "utf-8")
        print(path.name, flush=True)


if __name__ == "__main__":
    main()
