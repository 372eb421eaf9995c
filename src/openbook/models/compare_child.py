"""Reads a text with one model and says how well it foresaw each token, and how unlike another model it did.

stdin:  one line of JSON: path, text, tokens, window, threads, start, base, ids, bytes
stdout: one line of JSON for the text, then one for each window
stderr: llama.cpp's log

As llama.cpp's own llama-perplexity does it: windows side by side, each begun with BOS where the model wants one, the
second half of each scored. `base` is a file of log probabilities, float16, one row for each scored token: written when
`ids` is '', else compared with, if the tokens are the same. Run by its path, so that it imports nothing of openbook.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BYTE_LEVEL = 2  # llama.cpp's number for vocabularies with GPT-2's alphabet: a character for each byte
BYTE = re.compile(r"<0x[0-9A-F]{2}>")  # one byte, in the others


def main() -> None:
    """Read windows from `start` on."""
    # Python would wait with these until llama.cpp is done. Without a reader of the lines the parent is gone: SIGPIPE.
    for name in ("SIGINT", "SIGPIPE"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is log
    settings = json.loads(sys.stdin.readline())
    llama: Any = importlib.import_module("cyllama.llama.llama_cpp")  # it has no types
    window = settings["window"]

    class Model(llama.LlamaModel):  # type: ignore[misc]
        # cyllama 0.2.18 asks the model for it in get_logits_ith, but only the vocabulary has it.
        n_vocab = property(lambda self: self.get_vocab().n_vocab)

    try:
        model = Model(settings["path"], llama.LlamaModelParams())
        params = llama.LlamaContextParams()
        params.n_ctx = params.n_batch = params.n_ubatch = window
        params.n_threads = params.n_threads_batch = settings["threads"]
        context = llama.LlamaContext(model, params)
    except (ValueError, RuntimeError, MemoryError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    vocabulary = model.get_vocab()
    tokens = vocabulary.tokenize(Path(settings["text"]).read_bytes().decode(), True, False)
    ids = hashlib.sha256(repr((model.n_vocab, tokens[: settings["tokens"]])).encode()).hexdigest()
    same = settings["ids"] in {"", ids}
    lengths = [length(vocabulary, token) for token in tokens]
    # Of another vocabulary: as much of the text, in however many tokens.
    count = settings["tokens"] if same else int(np.searchsorted(np.cumsum(lengths), settings["bytes"])) + 1
    windows = min(count, len(tokens)) // window
    tell(answers, {"windows": windows, "tokens": len(tokens), "vocabulary": model.n_vocab, "ids": ids, "same": same,
          "bytes": sum(lengths[: windows * window])})  # fmt: skip
    half = window // 2
    batch = llama.LlamaBatch(n_tokens=window, embd=0, n_seq_max=1)
    for number in range(settings["start"], windows):
        start = number * window
        read(context, batch, vocabulary, tokens[start : start + window])
        wanted = tokens[start + half + 1 : start + window]
        rows = np.array([log_softmax(context.get_logits_ith(half + at)) for at in range(len(wanted))])
        line: dict[str, Any] = {
            "nll": [-float(row[token]) for row, token in zip(rows, wanted, strict=True)],
            "bytes": sum(lengths[start + half + 1 : start + window]),
        }
        if settings["base"] and not settings["ids"]:
            with Path(settings["base"]).open("r+b") as file:
                file.seek(number * rows.size * 2)
                file.write(rows.astype(np.float16).tobytes())
        elif settings["base"] and same:
            line |= differences(rows, Path(settings["base"]), number)
        tell(answers, line)


def length(vocabulary: Any, token: int) -> int:
    """Bytes of the text that a token is; it may be a part of a character, so that it cannot be decoded alone."""
    text = vocabulary.get_text(token)
    if vocabulary.vocab_type == BYTE_LEVEL:
        return len(text)
    return 1 if BYTE.fullmatch(text) else len(text.replace("▁", " ").encode())


def read(context: Any, batch: Any, vocabulary: Any, tokens: list[int]) -> None:
    """Let the model read one window."""
    context.kv_cache_clear()
    batch.clear()
    first = [vocabulary.token_bos()] if vocabulary.get_add_bos() else tokens[:1]
    for at, token in enumerate([*first, *tokens[1:]]):
        batch.add(token, at, [0], at >= len(tokens) // 2)
    if code := context.decode(batch):
        sys.exit(f"llama_decode failed with code {code}")


def log_softmax(logits: list[float]) -> NDArray[np.float32]:
    """Log probabilities of all tokens."""
    row = np.array(logits, np.float32)
    row -= row.max()
    row -= np.log(np.exp(row).sum(dtype=np.float64)).astype(np.float32)
    return row


def differences(rows: NDArray[np.float32], path: Path, number: int) -> dict[str, list[float] | list[int]]:
    """For each row the Kullback-Leibler divergence from the base's row to it, and whether both prefer one token."""
    base = np.fromfile(path, np.float16, rows.size, offset=number * rows.size * 2).reshape(rows.shape)
    kl, same = [], []
    for mine, half in zip(rows, base, strict=True):
        theirs = half.astype(np.float32)
        theirs -= np.log(np.exp(theirs).sum(dtype=np.float64)).astype(np.float32)  # what rounding to float16 took
        kl.append(float(np.dot(np.exp(theirs).astype(np.float64), (theirs - mine).astype(np.float64))))
        same.append(int(theirs.argmax() == mine.argmax()))
    return {"kl": kl, "same": same}


def tell(answers: TextIO, line: dict[str, Any]) -> None:
    """One line to the parent."""
    answers.write(json.dumps(line) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
