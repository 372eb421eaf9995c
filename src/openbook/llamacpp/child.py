"""Runs llama.cpp's server as a process of its own that ends with the process that started it.

stdin:  one line of JSON, the settings; then nothing, but it stays open as long as the parent lives
stdout: one line of JSON, where the server listens and which GPUs it has
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

GPUS = frozenset({1, 2})  # ggml's numbers for GPUs with and without memory of their own; 0 is the CPU

ALL_CHOSEN = (1 << 12) - 1  # every bit of llama.cpp's common_params_sampling_config

LOG_SECONDS = 1.0  # llama.cpp writes its log from a thread of its own; 1 in 25 failures ended before it had said why


def main() -> None:
    """Serve until stdin ends."""
    parent = os.getppid()
    # Ctrl-C belongs to the parent, which closes stdin when it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is log
    settings = json.loads(sys.stdin.buffer.readline())
    os.umask(0o077)  # what it keeps on disk are the words of documents
    _end_with_parent()
    server, gpus = _serve(settings)
    answers.write(json.dumps({"url": server.listening_address, "gpus": gpus}) + "\n")
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


def _serve(settings: dict[str, Any]) -> tuple[Any, list[str]]:
    """The server, which listens, and the names of the GPUs that llama.cpp was built for and found."""
    xllamacpp: Any = importlib.import_module("xllamacpp")  # it has no types
    gpus = [str(device["description"]) for device in xllamacpp.get_device_info() if int(device["type"]) in GPUS]
    try:
        return xllamacpp.Server(_params(xllamacpp, settings, fit=bool(gpus))), gpus
    except RuntimeError as error:
        time.sleep(LOG_SECONDS)
        sys.exit(str(error))


def _params(xllamacpp: Any, settings: dict[str, Any], *, fit: bool) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # the system picks a free one while binding, so that no other process can take it in between
    params.api_keys = [settings["api_key"]]
    params.ui = params.endpoint_props = params.endpoint_metrics = False
    params.endpoint_slots = True  # only who has the key may look: what was asked for can be read back
    params.n_parallel = settings.get("parallel", 1)
    params.n_ctx = settings["context"] * params.n_parallel  # it is divided among the slots
    params.kv_unified = False  # each slot has its own part, whatever the others hold
    params.ctx_shift = False  # never drop the beginning of a prompt silently
    params.cache_ram_mib = settings.get("cache_mb", 0)  # earlier prompts; the library's default keeps up to 8 GB
    params.slot_save_path = settings.get("slots", "")
    params.n_gpu_layers = settings["gpu_layers"]
    if pooling := settings.get("pooling"):  # 'MEAN', 'CLS', 'LAST': it makes vectors, not words
        params.embedding = True
        params.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{pooling}")
        params.n_batch = params.n_ubatch = settings["context"]  # what looks in both directions is read in one go
    # Fits layers into the memory of a GPU; on the CPU there is nothing to fit, and it costs 0.4 s of 2.3 s loading.
    params.fit_params = fit
    if settings["threads"]:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    if (kind := settings.get("cache_type", "f16")) != "f16":
        params.cache_type_k = params.cache_type_v = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{kind.upper()}")
        # Without it values cannot be kept in fewer bits: llama.cpp refuses to load.
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    params.lora_adapters = [_adapter(xllamacpp, *adapter) for adapter in settings.get("lora", ())]
    if draft := settings.get("draft"):
        params.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
        params.speculative.draft.mparams.path = draft
    for name, value in settings.get("sampling", {}).items():
        setattr(params.sampling, name, value)
    # Files may name settings of their own; those above were chosen by the user.
    params.sampling.user_sampling_config = ALL_CHOSEN
    return params


def _adapter(xllamacpp: Any, path: str, scale: float) -> Any:
    adapter = xllamacpp.CommonAdapterLoraInfo()
    adapter.path, adapter.scale = path, scale
    return adapter


if __name__ == "__main__":
    main()
