"""Runs llama.cpp's server as a process of its own that ends with the process that started it.

stdin:  one line of JSON, the settings; then nothing, but it stays open as long as the parent lives
stdout: one line of JSON, where the server listens
stderr: llama.cpp's log

Run by its path, so that it imports nothing of openbook.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any

PARENT_SECONDS = 1.0  # between two looks whether the parent is still there

LOG_SECONDS = 0.3  # llama.cpp writes its log from a thread of its own; 1 in 25 failures ended before it had said why


def main() -> None:
    """Serve until stdin ends."""
    parent = os.getppid()
    # Ctrl-C belongs to the parent, which closes stdin when it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is log
    settings = json.loads(sys.stdin.buffer.readline())
    _end_with_parent()
    server = _serve(settings)
    answers.write(json.dumps({"url": server.listening_address}) + "\n")
    answers.close()
    # A process that the parent forked may hold stdin open after the parent was killed.
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(0)


def _end_with_parent() -> None:
    """End at once when stdin closes, even while llama.cpp loads a model and no Python thread can run."""
    threading.Thread(target=_wait_for_end, daemon=True).start()
    if not hasattr(signal, "SIGIO"):
        return
    import fcntl

    # Closing a pipe sends SIGIO to the owner of an O_ASYNC reader; without a handler that ends the process.
    # Loading holds the GIL: 2 s for 1 GB from the cache, minutes for a large model from a slow disk.
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


def _wait_for_end() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _serve(settings: dict[str, Any]) -> Any:
    xllamacpp: Any = importlib.import_module("xllamacpp")  # it has no types

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # the system picks a free one while binding, so that no other process can take it in between
    params.api_keys = [settings["api_key"]]
    params.ui = params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
    params.n_parallel = settings.get("parallel", 1)
    params.n_ctx = settings["context"] * params.n_parallel  # it is divided among the slots
    params.ctx_shift = False  # never drop the beginning of a prompt silently
    params.cache_ram_mib = 0  # the slot keeps its last prompt anyway; the default keeps up to 8 GB of older ones
    params.n_gpu_layers = settings["gpu_layers"]
    if pooling := settings.get("pooling"):  # 'MEAN', 'CLS', 'LAST': it makes vectors, not words
        params.embedding = True
        params.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{pooling}")
        params.n_batch = params.n_ubatch = settings["context"]  # what looks in both directions is read in one go
    # Fits layers into the memory of a GPU; on the CPU there is nothing to fit, and it costs 0.4 s of 2.3 s loading.
    params.fit_params = any(int(device["type"]) != 0 for device in xllamacpp.get_device_info())
    if settings["threads"]:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        time.sleep(LOG_SECONDS)
        sys.exit(str(error))


if __name__ == "__main__":
    main()
