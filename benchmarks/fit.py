"""What models take, as `openbook models fit` predicts it, beside what their server really takes; and how fast they are.

    python benchmarks/fit.py FILE.gguf ... [--contexts 512,4096] [--cache-types f16,q8_0] [--prompt 2048] [--answers 5]

Prints Markdown. Memory is the most that the child ever held (VmHWM, Linux) after it read a prompt of `--prompt` tokens,
or of its whole context where that is smaller. Speed is the fastest of `--answers` answers of 48 tokens: other programs
can only slow it down. Bandwidth is measured before each file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import urllib3
from measure import machine, table

from openbook.llamacpp.server import Server
from openbook.machine import bandwidth, this_machine
from openbook.models.fit import fit
from openbook.models.gguf import read_header

WORDS = "The quick brown fox jumps over the lazy dog near the river bank and sleeps until the morning comes. "
ANSWER = 48  # tokens
MEMORY = ["model", "context", "cache", "prompt", "predicted MB", "measured MB", "off"]
SPEED = ["model", "read for a token MB", "memory GB/s", "predicted tok/s", "measured tok/s", "off"]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--contexts", default="512,4096")
    parser.add_argument("--cache-types", default="f16,q8_0")
    parser.add_argument("--prompt", type=int, default=2048)
    parser.add_argument("--answers", type=int, default=5)
    chosen = parser.parse_args()
    contexts = [int(context) for context in chosen.contexts.split(",")]
    print(f"{machine()}\n")
    print(table([MEMORY, *memory(chosen.files, contexts, chosen.cache_types.split(","), chosen.prompt)]), flush=True)
    if chosen.answers:
        print()
        print(table([SPEED, *speeds(chosen.files, chosen.answers)]))


def memory(files: Sequence[Path], contexts: Sequence[int], kinds: Sequence[str], prompt: int) -> Iterator[list[str]]:
    """One row for each file, context and type of cache."""
    here = this_machine(probe=False)
    for file in files:
        header = read_header(file)
        for context in contexts:
            if context > header.context_length:
                continue
            for kind in kinds:
                predicted = fit(header, here, context=context, cache_type=kind).peak
                length = min(prompt, context - 16)
                measured = peak(file, {"context": context, "cache_type": kind}, length)
                off = f"{predicted / measured - 1:+.1%}"
                row = [
                    file.stem,
                    f"{context}",
                    kind,
                    f"{length}",
                    f"{predicted / 1e6:.0f}",
                    f"{measured / 1e6:.0f}",
                    off,
                ]
                print(*row, file=sys.stderr)
                yield row


def speeds(files: Sequence[Path], answers: int) -> Iterator[list[str]]:
    """One row for each file."""
    for file in files:
        header = read_header(file)
        bandwidth.cache_clear()
        predicted = fit(header, this_machine(), context=512)
        with_server = Server(file, {"threads": 0, "gpu_layers": -1, "context": 512})
        try:
            body = {"prompt": WORDS, "n_predict": ANSWER, "ignore_eos": True, "temperature": 0}
            measured = max(
                ask(with_server, "/completion", body)["timings"]["predicted_per_second"] for _ in range(answers)
            )
        finally:
            with_server.close()
        speed = predicted.tokens_per_second
        row = [
            file.stem,
            f"{predicted.read / 1e6:.0f}",
            f"{bandwidth() / 1e9:.1f}",
            f"{speed:.1f}",
            f"{measured:.1f}",
            f"{speed / measured - 1:+.0%}",
        ]
        print(*row, file=sys.stderr)
        yield row


def peak(file: Path, settings: dict[str, Any], length: int) -> int:
    """Bytes that the child held at most after it read a prompt of so many tokens."""
    server = Server(file, {"threads": 0, "gpu_layers": -1, **settings})
    try:
        tokens = ask(server, "/tokenize", {"content": WORDS * (length // 10 + 1)})["tokens"][:length]
        ask(server, "/completion", {"prompt": tokens, "n_predict": 4, "ignore_eos": True})
        said = Path(f"/proc/{server.pid}/status").read_text("utf-8")
        return next(int(line.split()[1]) * 1024 for line in said.splitlines() if line.startswith("VmHWM"))
    finally:
        server.close()


def ask(server: Server, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What the server says."""
    answer = urllib3.request(
        "POST",
        server.url() + path,
        body=json.dumps(body),
        headers={"Authorization": f"Bearer {server.api_key}"},
        timeout=3600,
    )
    said: dict[str, Any] = answer.json()
    if answer.status != 200:
        raise SystemExit(f"{path}: {said}")
    return said


if __name__ == "__main__":
    main()
