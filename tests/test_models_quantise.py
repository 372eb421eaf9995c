"""Quantising: names, what is said, and that nothing half made gets the name of a whole file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from openbook.errors import ModelError
from openbook.models import find
from openbook.models.gguf import read_header
from openbook.models.quantising import Quantised, derived_name, quantise, wanted_types
from openbook.types import Progress
from processes import PATIENCE, running, until
from test_models import array, gguf, scalar

WIDE = 256  # a row of k-quants


def network(path: Path, *, wide: int = WIDE, layers: int = 1, seed: int = 1, merges: bool = False) -> Path:
    """A llama of random numbers in F32 whose words are the bytes, and 'th' with `merges`: llama.cpp can run it."""
    # GPT-2's alphabet: a printable character for each byte.
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    words = [*(chr(byte if byte in plain else next(others)) for byte in range(256)), "<|end|>"]
    words += ["th"] * merges
    keys = [
        scalar("general.architecture", 8, "llama"),
        scalar("general.file_type", 4, 0),
        scalar("llama.context_length", 4, 1024),
        scalar("llama.embedding_length", 4, wide),
        scalar("llama.block_count", 4, layers),
        scalar("llama.feed_forward_length", 4, wide),
        scalar("llama.attention.head_count", 4, 4),
        scalar("llama.attention.layer_norm_rms_epsilon", 6, 1e-5),
        scalar("tokenizer.ggml.model", 8, "gpt2"),
        scalar("tokenizer.ggml.pre", 8, "gpt-2"),
        array("tokenizer.ggml.tokens", 8, words),
        array("tokenizer.ggml.token_type", 5, [1] * 256 + [3] + [1] * merges),
        array("tokenizer.ggml.merges", 8, ["t h"] * merges),
        scalar("tokenizer.ggml.eos_token_id", 4, 256),
    ]
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (wide, len(words)), "output_norm.weight": (wide,)}
    for number in range(layers):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
            shapes[f"blk.{number}.{name}.weight"] = (wide, wide)
        shapes |= {f"blk.{number}.{name}_norm.weight": (wide,) for name in ("attn", "ffn")}
    tensors, weights, random = [], bytearray(), np.random.default_rng(seed)
    for name, shape in shapes.items():
        tensors.append((name, shape, 0, len(weights)))
        # Norms of about 1, and logits that differ by a few: it likes some words better, as a real one does.
        values = random.standard_normal(shape, np.float32) * (0.25 if name == "token_embd.weight" else wide**-0.5)
        weights += (values + (len(shape) == 1)).astype(np.float32).tobytes()
    path.write_bytes(gguf(keys, tensors) + bytes(weights))
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return network(tmp_path / "net-f32.gguf")


def said(work: Callable[[Callable[[str], None]], object]) -> str:
    lines: list[str] = []
    work(lines.append)
    return "\n".join(lines)


def test_types_are_those_llama_cpp_makes_of_any_model() -> None:
    assert wanted_types("Q3_K_M, q2-k,q2_k") == ["q3_k_m", "q2_k"]
    with pytest.raises(ModelError, match=r"No type is called 'q3_k_x'. Did you mean 'q3_k_s'\?"):
        wanted_types("q2_k,q3_k_x")
    with pytest.raises(ModelError, match="iq2_xs needs an importance matrix"):
        wanted_types("iq2_xs")
    with pytest.raises(ModelError, match="No type to quantise to"):
        wanted_types(" , ")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("qwen2.5-coder-1.5b", "qwen2.5-coder-1.5b-q2_k"),
        ("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-1.5b-instruct-q2_k"),
        ("Llama-3.Q8_0.GGUF", "Llama-3-q2_k"),
        ("gemma-fp16.gguf", "gemma-q2_k"),
        ("a/b/phi-2.gguf", "phi-2-q2_k"),
    ],
)
def test_the_type_in_a_name_is_replaced(source: str, name: str) -> None:
    assert derived_name(source, "q2_k") == name


def test_without_a_tool_it_says_what_to_install(source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelError, match=r"pip install 'openbook\[quantize\]'"):
        list(quantise(str(source), ["q4_0"]))


# llama-quantize as llama.cpp b7240 behaves, to a file that is small enough to read here.
PROGRAM = """#!{python}
import shutil, sys
*options, source, out, kind, threads = sys.argv[1:]
assert options[0] == "--allow-requantize" and kind == "Q4_0" and int(threads) > 0
print("warning: blk.0.a.weight - ncols 896 not divisible by 256 (required for type q3_K) -> falling back to q4_0")
print("[   1/   1] blk.0.a.weight - [ 896, 128, 1, 1], type = f32, converting to q4_0 .. size = 1.00 MiB -> 0.50 MiB")
print("llama_model_quantize_impl: model size  =     1.00 MiB (32.00 BPW)")
print("llama_model_quantize_impl: quant size  =     0.50 MiB (16.00 BPW)")
{last}
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def write(last: str) -> None:
        path = tmp_path / "bin" / "llama-quantize"
        path.parent.mkdir(exist_ok=True)
        path.write_text(PROGRAM.format(python=sys.executable, last=last), encoding="utf-8")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent))
        monkeypatch.setattr("openbook.models.quantising.importlib.util.find_spec", lambda name: None)

    return write


COPY = 'if "--dry-run" not in options: shutil.copy(source, out)'


@pytest.mark.skipif(os.name == "nt", reason="the program is a script")
def test_llama_quantize_is_used_where_it_is_on_the_path(
    source: Path, program: Callable[[str], None], openbook_home: Path
) -> None:
    program(COPY)
    lines: list[str] = []
    (made,) = quantise(str(source), ["q4_0"], say=lines.append)
    assert (made.name, made.tensors, made.bits, made.tool) == ("net-q4_0", 1, 16.0, "llama-quantize")
    assert made.fallbacks == {"q3_K as q4_0": 1}
    assert lines == [
        "1 of 1 tensors have rows that do not fit their type: 1 of q3_K as q4_0. "
        "So the file is larger, and other, than its name says."
    ]
    assert find("net-q4_0") == openbook_home / "models" / "net-q4_0.gguf"


@pytest.mark.skipif(os.name == "nt", reason="the program is a script")
def test_a_failure_leaves_no_file_and_says_why(source: Path, program: Callable[[str], None], tmp_path: Path) -> None:
    out = tmp_path / "out"
    program('open(out, "w").write("half"); sys.exit("llama_model_quantize: failed to quantize: bad tensor")')
    with pytest.raises(ModelError, match=r"Could not make q4_0 of net-f32.gguf: bad tensor"):
        list(quantise(str(source), ["q4_0"], folder=out))
    program('open(out, "w").write("half")')
    with pytest.raises(ModelError, match="not a GGUF file"):
        list(quantise(str(source), ["q4_0"], folder=out))
    assert list(out.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="the program is a script")
def test_what_was_made_from_the_same_file_is_kept_and_another_is_refused(
    source: Path, program: Callable[[str], None], tmp_path: Path
) -> None:
    program(COPY)
    out = tmp_path / "out"
    (first,) = quantise(str(source), ["q4_0"], folder=out)
    program("sys.exit('not called')")
    lines: list[str] = []
    (again,) = quantise(str(source), ["q4_0"], folder=out, say=lines.append)
    assert lines == ["net-q4_0.gguf was made from this file before: kept."]
    assert (first.kept, again.kept) == (False, True)
    assert (again.fallbacks, again.path) == (first.fallbacks, first.path)
    source.write_bytes(source.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(ModelError, match=r"is there, made from another file \(net-f32.gguf\). Remove it"):
        list(quantise(str(source), ["q4_0"], folder=out))
    (out / ".net-q4_0.gguf.json").unlink()
    with pytest.raises(ModelError, match="not made by this command"):
        list(quantise(str(source), ["q4_0"], folder=out))


def test_a_model_of_that_type_is_its_own_result(source: Path, program: Callable[[str], None]) -> None:
    program("sys.exit('not called')")
    (same,) = quantise(str(source), ["f32"])
    assert (same.name, same.path, same.kept) == ("net-f32", source, True)


def test_the_file_of_a_catalogue_model_is_not_written_over(tmp_path: Path, program: Callable[[str], None]) -> None:
    program("sys.exit('not called')")
    source = network(tmp_path / "qwen2.5-coder-1.5b-instruct-f16.gguf")
    with pytest.raises(ModelError, match=r"is the name of the file of qwen2.5-coder-1.5b. Name another folder: --out"):
        list(quantise(str(source), ["q4_k_m"]))


# With cyllama itself.


@pytest.fixture
def cyllama() -> None:
    pytest.importorskip("cyllama")


@pytest.mark.usefixtures("cyllama")
def test_cyllama_makes_a_file_of_the_type_and_tells_how_far_it_is(source: Path) -> None:
    steps: list[Progress] = []
    (made,) = quantise(str(source), ["q2_k"], report=steps.append)
    header = read_header(made.path)
    assert header.quantisation == made.quantisation == "Q2_K"
    assert header.parameters == read_header(source).parameters
    assert made.size_bytes == made.path.stat().st_size < source.stat().st_size / 6
    assert made.fallbacks == {}
    assert (steps[-1].done, steps[-1].total, steps[-1].unit) == (made.tensors, made.tensors, "tensors")
    assert json.loads(made.path.with_name(f".{made.path.name}.json").read_text("utf-8"))["source"] == "net-f32.gguf"


@pytest.mark.usefixtures("cyllama")
def test_a_quantised_source_and_tensors_that_do_not_fit_are_said(tmp_path: Path) -> None:
    source = network(tmp_path / "net.gguf", wide=64)
    (small,) = quantise(str(source), ["q4_0"])
    lines: list[str] = []
    (made,) = quantise(small.name, ["q3_k_m"], say=lines.append)
    assert lines[0].startswith("net-q4_0.gguf is itself Q4_0: what is made of it has the damage of both.")
    assert "tensors have rows that do not fit their type" in lines[-1]
    assert sum(made.fallbacks.values()) > 0
    assert made.source_quantisation == "Q4_0"


@pytest.mark.usefixtures("cyllama")
def test_too_little_room_is_said_before_the_first_byte(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1000})())
    with pytest.raises(ModelError, match=r"Not enough room in .*: \d+,\d+ bytes wanted, 1,000 bytes free"):
        list(quantise(str(source), ["q4_0"]))


def begun(part: Path, process: subprocess.Popen[str]) -> bool:
    """Whether there are bytes in a file, or nobody writes it any more."""
    try:
        return part.stat().st_size > 0 or process.poll() is not None
    except OSError:
        return process.poll() is not None


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.usefixtures("cyllama")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_the_middle_nothing_is_left_running_or_half(tmp_path: Path, number: signal.Signals) -> None:
    source, out = network(tmp_path / "big.gguf", wide=512, layers=24), tmp_path / "out"
    command = ["-m", "openbook", "models", "quantize", source, "--to", "q2_k", "--out", out]
    part = out / ".big-q2_k.gguf.part"
    for _ in range(5):  # it takes a second: on a busy machine it may have ended before this test saw that it had begun
        with running(*command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
            until(partial(begun, part, process))
            process.send_signal(number)
            process.wait(PATIENCE)
        if not (out / "big-q2_k.gguf").exists():
            break
        shutil.rmtree(out)
    assert not (out / "big-q2_k.gguf").exists()
    assert number == signal.SIGKILL or not part.exists()
    (made,) = quantise(str(source), ["q2_k"], folder=out)
    assert isinstance(made, Quantised)
    assert sorted(path.name for path in out.iterdir()) == [".big-q2_k.gguf.json", "big-q2_k.gguf"]
