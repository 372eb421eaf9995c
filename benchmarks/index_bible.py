r"""The whole Bible into a book, beside a LangChain pipeline in the same run, both as whole processes.

    python benchmarks/index_bible.py --peer-python /path/to/venv/bin/python --weights /path/to/all-MiniLM-L6-v2 \
        --data ../shared/data

`--peer-python` has `benchmarks/requirements-peers.txt` installed; `--weights` is the sentence-transformers folder of
all-MiniLM-L6-v2 the peer loads. Without them only openbook is measured. With `--data` (the folder of evaluation sets)
recall on bible-kjv is compared too: a passage is relevant when it overlaps a verse that states the answer.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from measure import Run, machine, measured, table

import openbook
from openbook import Book
from openbook.demo import kjv

KS = (1, 5, 10)

PEER = """
import json, sys, time
text_path, weights, folder, questions = sys.argv[1:5]
from langchain_text_splitters import RecursiveCharacterTextSplitter
from langchain_huggingface import HuggingFaceEmbeddings
from langchain_chroma import Chroma
text = open(text_path, encoding="utf-8").read()
splitter = RecursiveCharacterTextSplitter(chunk_size=500, chunk_overlap=0, add_start_index=True)
documents = splitter.create_documents([text])
embeddings = HuggingFaceEmbeddings(model_name=weights, encode_kwargs={"batch_size": 32}, **BACKEND)
store = Chroma(embedding_function=embeddings, persist_directory=folder)
for start in range(0, len(documents), 5000):
    store.add_documents(documents[start:start + 5000])
found, seconds = {}, []
for question in json.load(open(questions, encoding="utf-8")):
    began = time.perf_counter()
    hits = store.similarity_search(question, k=10)
    seconds.append(time.perf_counter() - began)
    starts = [hit.metadata["start_index"] for hit in hits]
    found[question] = [[start, start + len(hit.page_content)] for start, hit in zip(starts, hits)]
print(json.dumps({"chunks": len(documents), "found": found, "seconds": seconds}))
"""


def spans(text: str) -> dict[str, tuple[int, int]]:
    """Verse, without its spaces -> its characters in the text, from the marks of our reader."""
    from openbook import registry
    from openbook.recipe import Spec

    read = registry.make("reader", Spec("auto"))
    (document,) = read(Path(text))
    starts = [offset for offset, _ in document.marks] + [len(document.text)]
    return {label.replace(" ", ""): (starts[i], starts[i + 1]) for i, (_, label) in enumerate(document.marks)}


def recall(found: dict[str, list[list[int]]], gold: list[dict[str, object]], verses: dict[str, tuple[int, int]]) -> str:
    """Share of the questions with a passage that overlaps a gold verse among the first k, for each k; and MRR@10."""
    ranks = []
    for question in gold:
        wanted = [verses[verse.replace(" ", "")] for verse in question["verses"]]  # type: ignore[attr-defined]
        hits = found[str(question["question"])]
        ranks.append(
            next((rank for rank, (a, b) in enumerate(hits, 1) if any(a < e and s < b for s, e in wanted)), None)
        )
    shares = " / ".join(f"{sum(1 for r in ranks if r and r <= k) / len(ranks):.2f}" for k in KS)
    return f"{shares} / {statistics.mean(1 / r if r and r <= 10 else 0 for r in ranks):.2f}"


def ours(text: Path, home: Path) -> Run:
    """`openbook add` as a user runs it."""
    return measured(
        [sys.executable, "-m", "openbook", "add", "-b", "bible", str(text), "--json"], env={"OPENBOOK_HOME": str(home)}
    )


def peer(args: argparse.Namespace, text: Path, folder: Path, questions: Path) -> Run:
    """The same with LangChain's parts."""
    backend = "dict()" if args.backend == "torch" else f'dict(model_kwargs={{"backend": {args.backend!r}}})'
    script = PEER.replace("**BACKEND", f"**{backend}")
    return measured(
        [args.peer_python, "-c", script, str(text), args.weights, str(folder), str(questions)],
        env={"ANONYMIZED_TELEMETRY": "False", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"},
    )


def main() -> None:
    """Run and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of openbook; the peer runs --peer-runs times")
    parser.add_argument("--peer-runs", type=int, default=1)
    parser.add_argument("--peer-python", default="")
    parser.add_argument("--weights", default="")
    parser.add_argument(
        "--backend", default="torch", help="torch, onnx or openvino: of the peer's sentence-transformers"
    )
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("OPENBOOK_DATA", "../shared/data")))
    args = parser.parse_args()
    gold_file = args.data / "bible-kjv" / "gold.jsonl"
    gold = [json.loads(line) for line in gold_file.read_text("utf-8").splitlines()] if gold_file.exists() else []
    questions = [str(question["question"]) for question in gold] or ["Who was swallowed by a great fish?"]

    print(f"Machine: {machine()}; openbook {openbook.__version__}\n")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        text = kjv(folder)
        asked = folder / "questions.json"
        asked.write_text(json.dumps(questions), encoding="utf-8")
        runs = [ours(text, folder / f"home{number}") for number in range(args.runs)]
        with Book.open(folder / "home0" / "books" / "bible") as book:
            book.search("warm up")
            timings, found = [], {}
            for question in questions:
                passages, timing = book.retrieve(question, 10)
                timings.append(timing.retrieve)
                found[question] = [[p.chunk.start, p.chunk.end] for p in passages]
            size = book.status().size_bytes
        verses = spans(str(text)) if gold else {}
        rows: list[list[object]] = [
            ["", "wall s", "CPU s", "peak MB", "chunks", "ms a query, p50", "recall@1/5/10, MRR@10"],
            row(
                "openbook add",
                runs,
                json.loads(runs[0].output)["chunks"],
                timings,
                recall(found, gold, verses) if gold else "",
            ),
        ]
        print(table(rows), flush=True)
        if args.peer_python:
            theirs = [peer(args, text, folder / f"chroma{n}", asked) for n in range(args.peer_runs)]
            out = json.loads(theirs[0].output.splitlines()[-1])
            shown = recall(out["found"], gold, verses) if gold else ""
            rows.append(row(f"LangChain, {args.backend}, Chroma", theirs, out["chunks"], out["seconds"], shown))
            ratio = statistics.median(r.seconds for r in theirs) / statistics.median(r.seconds for r in runs)
            rows.append(
                ["ratio", f"{ratio:.1f}x", "", "", "", "", f"{len(gold)} questions: too few to tell recalls apart"]
            )
        print(table(rows))
        print(f"\nBook on disk: {size / 1e6:.1f} MB for {text.stat().st_size / 1e6:.1f} MB of text.")


def row(name: str, runs: list[Run], chunks: int, seconds: list[float], shown: str) -> list[object]:
    """One line of the table: medians over the runs."""
    wall = [run.seconds for run in runs]
    spread = f" ({min(wall):.1f}-{max(wall):.1f})" if len(wall) > 1 else ""
    return [
        name,
        f"{statistics.median(wall):.1f}{spread}",
        f"{statistics.median(run.cpu_seconds for run in runs):.0f}",
        f"{max(run.peak_mb for run in runs):.0f}",
        f"{chunks:,}",
        f"{statistics.median(seconds) * 1000:.1f}",
        shown,
    ]


if __name__ == "__main__":
    main()
