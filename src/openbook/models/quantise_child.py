"""Quantises one GGUF file by cyllama, in a process of its own: llama.cpp writes how far it is to stderr.

Run by its path, so that it imports nothing of openbook: quantise_child.py SOURCE OUT FILE_TYPE THREADS DRY
"""

from __future__ import annotations

import importlib
import signal
import sys
from typing import Any


def main() -> None:
    """Write OUT; with DRY = 1 only say how large it would be."""
    # Python would wait with these until llama.cpp is done. Without a reader of the log the parent is gone: SIGPIPE.
    for name in ("SIGINT", "SIGPIPE"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    source, out, file_type, threads, dry = sys.argv[1:]
    llama: Any = importlib.import_module("cyllama.llama.llama_cpp")  # it has no types
    params = llama.LlamaModelQuantizeParams()
    params.ftype = int(file_type)
    params.nthread = int(threads)
    params.dry_run = dry == "1"
    params.allow_requantize = True  # what that means is said before
    try:
        llama.model_quantize(source, out, params)
    except RuntimeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
