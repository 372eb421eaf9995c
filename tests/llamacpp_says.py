"""Asks llama.cpp what it would allocate for a GGUF file, on a graphics card that is not there. Run as a process.

    python llamacpp_says.py FILE CONTEXT VRAM_BYTES

Prints JSON: {"layers": n_gpu_layers, "experts": layers whose experts stay in RAM, "card": [weights, cache, buffers],
"ram": [...]}, in MiB. VRAM_BYTES 0 is no card.

llama.cpp's common/fit.cpp loads the model without memory and reads what each device would have to give. The wheel is
built without a GPU, so one is made here: a copy of the CPU's device that calls itself a GPU, has so much memory, keeps
tensors that are not the host's, and takes every operation. All of it through names that the wheel happens to export,
and layouts found in memory: where they differ, this ends with an error, and the tests that need it are skipped.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import re
import sys
from ctypes import CFUNCTYPE, POINTER, addressof, byref, c_bool, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from pathlib import Path
from typing import Any

FIT = (
    "_Z17common_fit_paramsPKcP18llama_model_paramsP20llama_context_paramsPfP32llama_model_tensor_buft_overridePmj"
    "PK22common_fit_extra_model14ggml_log_level"
)
PRINT = "_Z16common_fit_printPKcP18llama_model_paramsP20llama_context_params"
REPACK = "_Z35ggml_backend_cpu_repack_buffer_typev"

GPU = 1  # ggml_backend_dev_type
MARGIN = 1 << 30
CALLBACKS = 15  # of a device
SWA_FULL = 140  # its byte in llama_context_params: the server's default is no, the library's yes

kept: list[object] = []  # what C holds pointers to


class Params(ctypes.Structure):
    """Room for llama_model_params or llama_context_params, whatever their fields."""

    _fields_ = (("words", c_uint32 * 256),)


class Device(ctypes.Structure):
    """A ggml_backend_device."""

    _fields_ = (("calls", c_void_p * CALLBACKS), ("registry", c_void_p), ("context", c_void_p))


class Properties(ctypes.Structure):
    """The beginning of ggml_backend_dev_props."""

    _fields_ = (
        ("name", c_void_p),
        ("description", c_void_p),
        ("free", c_size_t),
        ("total", c_size_t),
        ("type", c_int),
        ("device_id_and_abilities", ctypes.c_byte * 20),
    )


def callback(kind: Any, function: Any) -> int | None:
    made = kind(function)
    kept.append(made)
    return ctypes.cast(made, c_void_p).value


def register_card(library: Any, vram: int) -> None:
    """Make llama.cpp believe in a card with so many bytes."""
    library.ggml_backend_dev_by_type.restype = c_void_p
    cpu = library.ggml_backend_dev_by_type(0)
    original = Device.from_address(cpu)
    card = Device.from_buffer_copy(original)
    name = ctypes.create_string_buffer(b"CARD0")
    buffers = buffer_type(library, original, cpu, card, name)

    def memory(device: int, free: Any, total: Any) -> None:
        free[0] = total[0] = vram

    def properties(device: int, found: int) -> None:
        said = Properties.from_address(found)
        ctypes.memset(found, 0, ctypes.sizeof(Properties))
        said.name = said.description = addressof(name)
        said.free = said.total = vram
        said.type = GPU

    start = CFUNCTYPE(c_void_p, c_void_p, c_void_p)(original.calls[5])
    guid = ctypes.create_string_buffer(b"no card has this")

    def backend(device: int, params: int) -> int:
        made: int = start(cpu, None)
        words = (c_void_p * 40).from_address(made)
        words[next(index for index in range(40) if words[index] == cpu)] = addressof(card)
        words[0] = addressof(guid)
        return made

    def worth_copying(device: int, operation: int) -> bool:  # as CUDA: batches of 32 and more
        sizes = (ctypes.c_int64 * 4).from_address(operation + 16)
        said = library.ggml_op_name(c_int.from_address(operation + 80))
        if said == b"GET_ROWS":
            return False
        rows = sizes[1] if said == b"MUL_MAT" else sizes[2] if said == b"MUL_MAT_ID" else sizes[1] * sizes[2] * sizes[3]
        return bool(rows >= 32)

    library.ggml_op_name.restype = c_char_p
    pointer, truth = CFUNCTYPE(c_void_p, c_void_p), CFUNCTYPE(c_bool, c_void_p, c_void_p)
    card.calls[0] = card.calls[1] = callback(pointer, lambda device: addressof(name))
    card.calls[2] = callback(CFUNCTYPE(None, c_void_p, POINTER(c_size_t), POINTER(c_size_t)), memory)
    card.calls[3] = callback(CFUNCTYPE(c_int, c_void_p), lambda device: GPU)
    card.calls[4] = callback(CFUNCTYPE(None, c_void_p, c_void_p), properties)
    card.calls[5] = callback(CFUNCTYPE(c_void_p, c_void_p, c_void_p), backend)
    card.calls[6] = callback(pointer, lambda device: addressof(buffers))
    plain = pointer(original.calls[6])(cpu)
    card.calls[7] = callback(
        pointer, lambda device: plain
    )  # as CUDA, which has memory of the host's: weights there are not repacked
    card.calls[8] = None
    card.calls[9] = callback(truth, lambda device, operation: True)
    card.calls[10] = callback(truth, lambda device, kind: kind == addressof(buffers))
    card.calls[11] = callback(truth, worth_copying)
    card.calls[12] = card.calls[13] = card.calls[14] = None
    registry = (c_void_p * 6).from_buffer_copy((c_void_p * 6).from_address(original.registry))
    registry[4] = callback(CFUNCTYPE(c_void_p, c_void_p, c_char_p), lambda registry, name: None)
    card.registry = addressof(registry)
    kept.extend((card, name, guid, registry, buffers, start))
    library.ggml_backend_device_register(c_void_p(addressof(card)))


def buffer_type(library: Any, original: Device, cpu: int, card: Device, name: Any) -> Any:
    """A copy of the CPU's type of buffer that belongs to the card, and not to the host."""
    repack = getattr(library, REPACK)
    repack.restype = c_void_p
    words = (c_void_p * 12).from_address(repack())
    device = next(index for index in range(12) if words[index] == cpu)  # after the calls, the last of them is_host
    plain = CFUNCTYPE(c_void_p, c_void_p)(original.calls[6])(cpu)
    made = (c_void_p * 12).from_buffer_copy((c_void_p * 12).from_address(plain))
    made[0] = callback(CFUNCTYPE(c_void_p, c_void_p), lambda kind: addressof(name))
    made[device - 1] = callback(CFUNCTYPE(c_bool, c_void_p), lambda kind: False)
    made[device] = addressof(card)
    return made


def main() -> None:
    """Ask, and print what is said."""
    xllamacpp: Any = importlib.import_module("xllamacpp")  # it has no types
    path, context, vram = sys.argv[1].encode(), int(sys.argv[2]), int(sys.argv[3])
    library = ctypes.CDLL(str(Path(xllamacpp.__file__).with_name("xllamacpp.abi3.so")))
    library.llama_model_default_params.restype = library.llama_context_default_params.restype = Params
    log = CFUNCTYPE(None, c_int, c_char_p, c_void_p)(lambda level, text, user: None)
    library.llama_log_set(log, None)
    library.llama_backend_init()
    if vram:
        register_card(library, vram)
    model, words = library.llama_model_default_params(), library.llama_context_default_params()
    if words.words[:4] != [512, 2048, 512, 1] or model.words[4] != 2**32 - 1:
        raise SystemExit("its parameters lie elsewhere")
    words.words[0], words.words[1], words.words[2] = context, min(2048, context), min(512, context)
    words.words[5] = 1  # n_outputs_max, as the server sets it
    ctypes.memset(addressof(words) + SWA_FULL, 0, 1)
    overrides = (c_void_p * 2 * 4096)()
    if vram:
        margins, splits = (c_size_t * 128)(*[MARGIN] * 128), (ctypes.c_float * 128)()
        call = getattr(library, FIT)
        call(path, byref(model), byref(words), splits, overrides, margins, c_uint32(4096), None, c_int(1))
    experts = next(index for index in range(4096) if not overrides[index][0])
    said = printed(lambda: getattr(library, PRINT)(path, byref(model), byref(words)))
    found = {name: list(map(int, numbers.split())) for name, numbers in re.findall(r"(\w+) (\d+ \d+ \d+)", said)}
    layers = ctypes.c_int32(model.words[4]).value
    answer = {"layers": layers, "experts": experts, "card": found.get("CARD0"), "ram": found["Host"]}
    sys.stdout.write(json.dumps(answer) + "\n")


def printed(work: Any) -> str:
    """What C writes to stdout meanwhile."""
    inside, outside = os.pipe()
    before = os.dup(1)
    os.dup2(outside, 1)
    work()
    ctypes.CDLL(None).fflush(None)
    os.dup2(before, 1)
    os.close(outside)
    with os.fdopen(inside) as pipe:
        return pipe.read()


if __name__ == "__main__":
    main()
