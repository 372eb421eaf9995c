"""How fast the bundled embedder is on the whole Bible, how soon it answers, and what 8 bits cost in quality.

    python benchmarks/embedding.py [--original FOLDER] [--data ../shared/data] [--share 1.0]

Prints Markdown. `--original` is a folder with model.safetensors of all-MiniLM-L6-v2, to compare 8 bits with. Where
sentence-transformers is installed, it is measured on that folder too. `--data` is the folder of evaluation sets.
`--share 0.1` embeds every tenth chunk and scales up. `--pin` prints what tests/test_embedders.py expects. CPU seconds
count all threads and are divided by the cores: on a busy machine they say more than wall time does.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measure import machine, measured, table
from tokenizers import Tokenizer

from openbook.bench.ranking import reciprocal_rank
from openbook.bench.statistics import p_value
from openbook.demo import kjv
from openbook.embedders import minilm
from openbook.embedders.minilm import MiniLM
from openbook.inference import Network, openvino
from openbook.machine import cores
from openbook.models.bert import Graph, read_safetensors
from openbook.splitters.chars import Chars
from openbook.types import Document, Vectors

SIZE = 500  # characters of a chunk
SETS = {"xquad-en": 0, "squad1": SIZE, "scifact-small": 0}  # 0: passages are embedded whole

PEAK_RUNS = 8
PEAK_CHUNKS = 512  # as many as a book hands over at a time

COLD = """
from openbook.embedders.minilm import MiniLM
MiniLM().embed(["Who was in the belly of the fish?"], "query")
"""

Embed = Callable[[Sequence[str]], Vectors]


@dataclass
class Original(MiniLM):
    """The same way with the original's 32-bit weights."""

    folder: str = ""
    precision: str = "f32"

    def use(self) -> Embed:
        """Put the original's graph in the place of the bundled one."""
        self._encoder._network = original(Path(self.folder), self.precision)
        return lambda texts: self.embed(texts, "document")


def original(folder: Path, precision: str) -> Network:
    """The network of the original's weights, ready to run."""
    sys.path.append(str(Path(__file__).parents[1] / "tools"))
    from make_minilm import SHAPE

    model = Graph(SHAPE, read_safetensors(folder / "model.safetensors")).model()
    # Only the vectors, not the activations that are there for the calibration.
    alone = openvino.Model([model.get_results()[0]], model.get_parameters(), "original")
    return Network(alone, cores(), {"INFERENCE_PRECISION_HINT": precision, "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"})


def bible(share: float) -> list[str]:
    """Chunks of the King James Bible, evenly spread."""
    with tempfile.TemporaryDirectory() as folder:
        text = kjv(Path(folder)).read_text(encoding="utf-8")
    chunks = [chunk.text for chunk in Chars(size=SIZE)(Document(text, "kjv.txt"), "kjv")]
    return chunks[:: max(1, round(1 / share))]


def speed(name: str, embed: Embed, texts: Sequence[str], tokens: int, scale: float, times: int) -> list[object]:
    """A row: the best of some runs, scaled to the whole Bible."""
    embed(texts[:64])
    best = cpu = float("inf")
    for _ in range(times):
        wall, spent = time.perf_counter(), time.process_time()
        embed(texts)
        best, cpu = min(best, time.perf_counter() - wall), min(cpu, time.process_time() - spent)
    rates = f"{len(texts) / best:.0f}", f"{tokens / best:,.0f}"
    return [name, *rates, f"{best * scale:.1f}", f"{cpu * scale / cores():.1f}"]


def operations(texts: Sequence[str]) -> float:
    """What the model multiplies and adds for these texts: two for each weight and token, and the attention."""
    tokenizer = Tokenizer.from_file(str(minilm.WEIGHTS / "tokenizer.json"))
    lengths = [len(encoding) for encoding in tokenizer.encode_batch_fast(texts)]
    width, layers = minilm.DIM, 6
    weights = layers * (4 * width**2 + 2 * width * 4 * width)
    return float(sum(2 * weights * length + layers * 4 * width * length**2 for length in lengths))


@dataclass
class Peak:
    """8-bit matrix products alone, compiled as the model is: operations a second are what the machine can do."""

    size: int = 1024
    rows: int = 2048
    products: int = 8

    def __post_init__(self) -> None:
        openvino, op = (importlib.import_module(name) for name in ("openvino", "openvino.opset14"))
        rows = op.parameter(openvino.PartialShape([-1, self.size]), openvino.Type.f32)
        random, y = np.random.default_rng(1), rows
        for _ in range(self.products):
            numbers = op.constant(random.integers(-127, 128, (self.size, self.size), np.int8))
            weights = op.multiply(op.convert(numbers, "f32"), op.constant(np.full((self.size, 1), 1e-3, np.float32)))
            low, high = op.constant(np.float32(0)), op.constant(np.float32(2.55))
            y = op.matmul(op.fake_quantize(y, low, high, low, high, 256), weights, False, True)
        model = openvino.Model([op.result(y)], [rows], "peak")
        settings = {"NUM_STREAMS": cores(), "INFERENCE_NUM_THREADS": cores(), "ENABLE_CPU_PINNING": False}
        compiled = openvino.Core().compile_model(model, "CPU", {**settings, "INFERENCE_PRECISION_HINT": "f32"})
        self._requests = [compiled.create_infer_request() for _ in range(cores())]
        self._input = random.random((self.rows, self.size), np.float32)

    def run(self, times: int) -> float:
        """Multiply so often with each thread; the operations."""
        with ThreadPoolExecutor(cores()) as pool:
            for _ in pool.map(
                lambda request: [request.infer([self._input]) for number in range(times)], self._requests
            ):
                pass
        return 2.0 * self.rows * self.size**2 * self.products * times * cores()


def peak_share(embed: Embed, texts: Sequence[str], times: int) -> str:
    """How much of the 8-bit peak the embedder reaches: both by turns, in processor seconds, medians."""
    peak = Peak()
    peak.run(1)
    embed(texts[:64])
    work = operations(texts)
    rates: dict[str, list[float]] = {"peak": [], "model": []}
    for _ in range(times):
        spent = time.process_time()
        done = peak.run(PEAK_RUNS)
        rates["peak"].append(done / (time.process_time() - spent) * cores())
        spent = time.process_time()
        embed(texts)
        rates["model"].append(work / (time.process_time() - spent) * cores())
    most, reached = median(rates["peak"]), median(rates["model"])
    shares = [one / most for most, one in zip(rates["peak"], rates["model"], strict=True)]
    return (
        f"8-bit peak of all cores: {most / 1e12:.2f} Top/s; the embedder, tokenising included: {reached / 1e12:.2f} "
        f"Top/s, {median(shares):.0%} of it ({min(shares):.0%} to {max(shares):.0%})."
    )


def torch_embed(folder: str) -> Embed | None:
    """sentence-transformers on the same cores, if it is there."""
    try:
        package = importlib.import_module("sentence_transformers")
    except ImportError:
        return None
    model = package.SentenceTransformer(folder, device="cpu")
    return lambda texts: np.asarray(model.encode(list(texts), batch_size=32, normalize_embeddings=True), np.float32)


@dataclass(frozen=True, slots=True)
class Set:
    """Passages, each of one document, and questions with the documents that answer them."""

    passages: list[str]
    owners: list[str]
    questions: list[str]
    relevant: list[dict[str, int]]


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file."""
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def read_set(folder: Path, size: int) -> Set:
    """A set in BEIR's layout, its documents split into chunks of `size` characters unless that is 0."""
    relevant: dict[str, dict[str, int]] = {}
    with (folder / "qrels.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if int(row["score"]) > 0:
                relevant.setdefault(row["query-id"], {})[row["corpus-id"]] = 1
    passages, owners = [], []
    for one in lines(folder / "corpus.jsonl"):
        texts = [c.text for c in Chars(size=size)(Document(one["text"], "a"), "a")] if size else [one["text"]]
        passages += texts
        owners += [one["_id"]] * len(texts)
    asked = [one for one in lines(folder / "queries.jsonl") if one["_id"] in relevant]
    return Set(passages, owners, [one["text"] for one in asked], [relevant[one["_id"]] for one in asked])


def ranks(one: Set, passages: Vectors, questions: Vectors) -> list[float]:
    """Reciprocal rank within ten of each question; a document counts by its best passage."""
    found = []
    for scores, relevant in zip(questions @ passages.T, one.relevant, strict=True):
        order = np.argsort(-scores, kind="stable")[:500]
        ranking = list(dict.fromkeys(one.owners[index] for index in order))
        found.append(reciprocal_rank(ranking, relevant, 10))
    return found


def quality(name: str, one: Set, ours: Embed, original: Embed) -> list[object]:
    """A row: MRR@10 of both, the paired difference, and how near the vectors are to each other."""
    vectors = [(embed(one.passages), embed(one.questions)) for embed in (original, ours)]
    first, second = (ranks(one, *both) for both in vectors)
    difference = np.array(second) - np.array(first)
    cosines = (vectors[0][0] * vectors[1][0]).sum(axis=1)
    return [
        f"{name}: {len(one.passages)} passages, {len(one.questions)} questions",
        f"{np.mean(first):.4f}",
        f"{np.mean(second):.4f}",
        f"{difference.mean():+.4f} ± {difference.std() / len(difference) ** 0.5:.4f}",
        f"{p_value(first, second):.2f}",
        f"{cosines.mean():.4f} / {np.quantile(cosines, 0.001):.4f}",
    ]


def pin(original: Embed) -> None:
    """Print the numbers tests/test_embedders.py expects."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from test_embedders import FISH, QUESTION, RATES

    vectors = original([FISH, RATES, QUESTION])
    for name, vector in zip(("FISH", "RATES", "QUESTION"), vectors, strict=True):
        print(name, [round(float(value), 4) for value in vector[:6]])
    print("cosines", round(float(vectors[0] @ vectors[2]), 4), round(float(vectors[0] @ vectors[1]), 4))


def cold() -> str:
    """Seconds and memory of a process that embeds one question, the median of five."""
    runs = sorted((measured([sys.executable, "-c", COLD]) for _ in range(5)), key=lambda run: run.seconds)
    return f"{runs[2].seconds:.2f} s wall ({runs[2].cpu_seconds:.2f} s CPU), {runs[2].peak_mb:.0f} MB"


def peak() -> str:
    """Memory of a process that embeds the whole Bible at once."""
    command = [sys.executable, __file__, "--only-embed"]
    return f"{measured(command).peak_mb:.0f} MB"


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original", default="")
    parser.add_argument("--data", type=Path, default=os.environ.get("OPENBOOK_DATA"))
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--pin", action="store_true")
    parser.add_argument("--only-embed", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    ours = MiniLM()
    if arguments.only_embed:
        ours.embed(bible(1.0), "document")
        return
    if arguments.pin:
        pin(Original(folder=arguments.original).use())
        return
    print(f"{machine()}, openvino {version('openvino')}\n")
    print(f"One question in a new process: {cold()}. Peak while embedding the whole Bible: {peak()}.\n")
    speeds(arguments, ours)
    if arguments.original and arguments.data:
        rows = [["set", "MRR@10 of 32 bits", "of 8 bits", "difference", "p", "cosine, mean / lowest in 1000"]]
        original = Original(folder=arguments.original).use()
        for name, size in SETS.items():
            one = read_set(arguments.data / name, size)
            rows.append(quality(name, one, lambda texts: ours.embed(texts, "document"), original))  # type: ignore[arg-type]
        print(table(rows))


def speeds(arguments: argparse.Namespace, ours: MiniLM) -> None:
    """Print the table of speeds."""
    texts = bible(arguments.share)
    scale = max(1, round(1 / arguments.share))
    tokenizer = Tokenizer.from_file(str(minilm.WEIGHTS / "tokenizer.json"))
    tokens = sum(len(encoding) for encoding in tokenizer.encode_batch_fast(texts))
    ways: dict[str, Embed | None] = {"openbook minilm, int8": lambda texts: ours.embed(texts, "document")}
    if arguments.original:
        ways["the same in bf16"] = Original(folder=arguments.original, precision="bf16").use()
        ways["the same in fp32"] = Original(folder=arguments.original).use()
        ways["sentence-transformers, torch fp32"] = torch_embed(arguments.original)
    rows: list[list[object]] = [["", "chunks/s", "tokens/s", "whole Bible, s", "CPU s of each core"]]
    for name, embed in ways.items():
        if embed:
            rows.append(speed(name, embed, texts, tokens, scale, arguments.times))
    print(f"{len(texts) * scale} chunks of {SIZE} characters, {tokens * scale:,} tokens; best of {arguments.times}.\n")
    print(table(rows) + "\n")
    print(peak_share(lambda texts: ours.embed(texts, "document"), texts[:PEAK_CHUNKS], arguments.times) + "\n")


if __name__ == "__main__":
    main()
