"""What a model takes of a machine: statements everybody knows, and what llama.cpp itself says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import networks
from openbook.app.cli import run as command_line
from openbook.errors import ModelError, SpecError
from openbook.llamacpp.server import Server
from openbook.llms.llamacpp import LlamaCpp
from openbook.machine import Machine, bandwidth, memory
from openbook.models.facts import describe
from openbook.models.fit import fit, refuse_too_large
from openbook.models.gguf import read_header
from openbook.models.network import network
from openbook.models.verdict import judge

GB = 10**9


def machine(ram: float, vram: float = 0) -> Machine:
    return Machine(8, int(ram * GB), int(ram * GB), 0, int(vram * GB), int(vram * GB), 50e9)


def test_a_65b_at_4_and_5_bits_fits_64_gb_and_at_16_bits_does_not(tmp_path: Path) -> None:
    needed = {
        kind: fit(networks.LLAMA_65B.header(tmp_path, kind), machine(64), context=2048).needed / GB
        for kind in ("Q4_0", "Q5_0", "F16")
    }
    assert 38 < needed["Q4_0"] < 46
    assert 46 < needed["Q5_0"] < 54
    assert 130 < needed["F16"] < 140


def test_the_30b_of_llama_has_32_and_a_half_billion_parameters(tmp_path: Path) -> None:
    assert networks.LLAMA_30B.header(tmp_path).parameters == pytest.approx(32.5e9, rel=0.002)
    assert networks.LLAMA_65B.header(tmp_path).parameters == pytest.approx(65.2e9, rel=0.002)


def test_of_a_60_gb_model_a_third_of_the_layers_goes_on_24_gb_of_vram_and_a_seventh_on_12(tmp_path: Path) -> None:
    header = networks.LLAMA_65B.header(tmp_path, "Q6_K")  # 53.6 GB
    layers = {vram: fit(header, machine(64, vram), context=2048) for vram in (12, 24)}
    assert 13 <= layers[12].gpu_layers <= 16
    assert 29 <= layers[24].gpu_layers <= 34
    for vram, sized in layers.items():
        assert sized.vram < vram * GB
        assert sized.weights + sized.vram == pytest.approx(header.size_bytes, rel=0.06)


def test_what_is_on_the_card_is_not_in_ram(tmp_path: Path) -> None:
    header = networks.LLAMA_3_8B.header(tmp_path, "Q4_K")
    whole = fit(header, machine(16, 24), context=8192)
    assert whole.gpu_layers == whole.layers == 33
    assert whole.weights == next(one.size_bytes for one in header.tensors if one.name == "token_embd.weight")
    assert whole.cache == 0
    none = fit(header, machine(16), context=8192)
    assert none.gpu_layers == none.vram == 0
    assert fit(header, machine(16, 24), context=8192, gpu_layers=10).gpu_layers == 10


def test_keys_of_few_heads_make_a_small_cache(tmp_path: Path) -> None:
    # 2 (keys and values) x layers x key heads x 128 x 2 bytes, for each token: 512 KiB and 128 KiB.
    old = fit(networks.LLAMA_7B.header(tmp_path), machine(16), context=2048)
    new = fit(networks.LLAMA_3_8B.header(tmp_path), machine(16), context=2048)
    assert (old.cache, new.cache) == (2048 * (512 << 10), 2048 * (128 << 10))


@pytest.mark.parametrize(("kind", "bits"), [("f16", 16), ("q8_0", 8.5), ("q4_0", 4.5), ("f32", 32)])
def test_the_cache_is_as_large_as_its_type_says(tmp_path: Path, kind: str, bits: float) -> None:
    sized = fit(networks.LLAMA_3_8B.header(tmp_path), machine(16), context=4096, cache_type=kind)
    assert sized.cache == 4096 * 32 * 2 * 1024 * bits / 8


def test_a_window_bounds_the_cache_of_its_layers(tmp_path: Path) -> None:
    header = networks.GEMMA_3_4B.header(tmp_path)
    shape = network(header)
    assert [layer.window for layer in shape.layers[:7]] == [1024] * 5 + [0] + [1024]
    short, long = (fit(header, machine(16), context=context).cache for context in (1024, 65536))
    whole = sum(layer.window == 0 for layer in shape.layers)
    token = 2 * 2 * 4 * 256
    assert short == 34 * 1024 * token
    assert long == token * (whole * 65536 + (34 - whole) * (1024 + 512))


def test_conversations_at_once_have_a_cache_each(tmp_path: Path) -> None:
    header = networks.LLAMA_3_8B.header(tmp_path)
    one, four = (fit(header, machine(16), context=2048, parallel=count) for count in (1, 4))
    assert four.cache == 4 * one.cache
    assert four.weights == one.weights


def test_of_a_mixture_of_experts_only_those_at_work_are_read(tmp_path: Path) -> None:
    sparse = fit(networks.QWEN3_30B_A3B.header(tmp_path, "Q4_0"), machine(64), context=2048)
    dense = fit(networks.LLAMA_30B.header(tmp_path, "Q4_0"), machine(64), context=2048)
    assert sparse.weights == pytest.approx(dense.weights, rel=0.1)
    assert sparse.tokens_per_second > 5 * dense.tokens_per_second


def test_twice_the_bandwidth_is_nearly_twice_the_speed(tmp_path: Path) -> None:
    header = networks.LLAMA_65B.header(tmp_path)
    slow, fast = (fit(header, replace(machine(64), bandwidth=rate), context=512) for rate in (20e9, 40e9))
    assert 1.8 < fast.tokens_per_second / slow.tokens_per_second <= 2
    assert slow.tokens_per_second == pytest.approx(0.54, rel=0.05)  # 37 GB of weights at 20 GB/s


def test_an_unknown_cache_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"No cache type is called 'q8'. Did you mean 'q8_0'\?"):
        fit(networks.LLAMA_7B.header(tmp_path), machine(8), context=512, cache_type="q8")


def test_of_a_machine_that_does_not_tell_its_memory_there_is_no_verdict() -> None:
    verdict = judge("qwen2.5-coder-1.5b", replace(machine(24), ram_bytes=0, ram_free_bytes=0))
    assert (verdict.word, verdict.fits) == ("unknown", None)
    assert re.fullmatch(r"It takes 1\.\d GB of memory; how much there is, this system does not tell\.", verdict.reason)
    assert verdict.short.startswith("needs 1.")


def test_an_embedder_writes_no_answers() -> None:
    fast = replace(machine(24), bandwidth=20e9)
    assert judge("e5-small", fast).fit.tokens_per_second == 0
    assert judge("qwen2.5-coder-1.5b", fast).fit.tokens_per_second > 0


def test_a_verdict_says_what_would_fit(tmp_path: Path) -> None:
    path = networks.LLAMA_3_8B.write(tmp_path / "big.gguf", "F16")
    assert (judge(str(path), machine(24)).word, judge(str(path), machine(24)).short) == ("yes", "yes")
    assert judge(str(path), replace(machine(24), ram_free_bytes=GB)).word == "tight"
    verdict = judge(str(path), machine(16.8), context=8192)
    assert verdict.word == "no"
    assert verdict.largest % 256 == 0
    assert judge(str(path), machine(16.8), context=verdict.largest).word != "no"
    assert judge(str(path), machine(16.8), context=verdict.largest + 256).word == "no"
    assert verdict.reason.endswith(f"It fits with a context of {verdict.largest:,} tokens.")
    assert judge(str(path), machine(8)).reason.endswith("at 4 bits (Q4_K_M) the weights take about 4.9 GB.")
    assert judge(str(path), machine(8)).short == "no, needs 16.8 GB"


def test_a_model_that_is_not_here_is_estimated() -> None:
    verdict = judge("qwen2.5-coder-1.5b", machine(4))
    assert verdict.fit.estimated
    assert 1.2e9 < verdict.fit.needed < 1.8e9
    with pytest.raises(ModelError, match="part of openbook"):
        judge("minilm", machine(4))
    with pytest.raises(ModelError, match="No model is called 'nosuch'"):
        judge("nosuch", machine(4))


def test_what_cannot_be_loaded_is_refused_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = networks.LLAMA_65B.write(tmp_path / "llama-65b.gguf", "F16")
    monkeypatch.setattr("openbook.models.fit.memory", lambda: (16 * GB, 8 * GB, 0))
    with pytest.raises(ModelError) as caught:
        LlamaCpp(model=str(path), context=2048).prepare()
    assert str(caught.value) == (
        "llama-65b.gguf takes about 136.2 GB with 2048 tokens of context; this machine has 16.0 GB, 8.0 GB of it free."
        f" Choose a smaller quantisation, context or model; see: openbook models fit {path}"
    )


def test_what_may_just_be_loaded_is_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = networks.LLAMA_3_8B.header(tmp_path, "Q4_0")  # 4.5 GB
    monkeypatch.setattr("openbook.models.fit.memory", lambda: (4 * GB, GB, 2 * GB))
    refuse_too_large(header, {"context": 512, "gpu_layers": -1})
    monkeypatch.setattr("openbook.models.fit.memory", lambda: (0, 0, 0))  # a system that does not say
    refuse_too_large(header, {"context": 512, "gpu_layers": -1})


def test_this_machine_is_measured_soon() -> None:
    total, free, _ = memory()
    assert 0 < free <= total
    began = time.process_time()
    assert 1e7 < bandwidth() < 2e12  # 10 GB a second and more, but other work may hold the cores
    bandwidth()
    assert time.process_time() - began < 20  # 0.3 s on a quiet machine


# --- As llama.cpp says it --------------------------------------------------------------------------------------------

MIB = 1 << 20


def asked(path: Path, context: int, vram: float) -> dict[str, Any]:
    """What llama.cpp itself would allocate, with a graphics card that is not there."""
    script = Path(__file__).with_name("llamacpp_says.py")
    command = [sys.executable, str(script), str(path), str(context), str(round(vram * GB))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"this llama.cpp cannot be asked: {done.stderr.strip().splitlines()[-1:]}")
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "context"),
    [
        ("LLAMA_7B", "Q4_0", 2048),
        ("LLAMA_3_8B", "Q4_K", 32768),
        ("LLAMA_65B", "Q5_0", 2048),
        ("GEMMA_3_4B", "Q4_0", 32768),
        ("MIXTRAL_8X7B", "Q4_K", 4096),
        ("QWEN3_30B_A3B", "Q4_K", 4096),
        ("QWEN3_06B", "Q8_0", 4096),
    ],
)
def test_cache_and_buffers_in_ram_are_llama_cpps(tmp_path: Path, name: str, kind: str, context: int) -> None:
    network: networks.Published = getattr(networks, name)
    path = network.write(tmp_path / "model.gguf", kind, tokens=network.vocabulary)
    _, cache, buffers = asked(path, context, 0)["ram"]
    sized = fit(read_header(path), machine(1000), context=context)
    assert sized.cache / MIB == pytest.approx(cache, abs=1)
    assert sized.buffers / MIB == pytest.approx(buffers, rel=0.06, abs=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "context", "vram"),
    [
        ("LLAMA_65B", "Q6_K", 2048, 12),
        ("LLAMA_65B", "Q6_K", 2048, 24),
        ("LLAMA_7B", "Q4_0", 2048, 3),
        ("LLAMA_7B", "Q4_0", 2048, 8),
        ("LLAMA_3_8B", "Q4_K", 8192, 4),
        ("GEMMA_3_4B", "Q4_0", 32768, 3),
        ("QWEN3_06B", "Q4_0", 4096, 1.5),
        ("QWEN3_30B_A3B", "Q4_K", 4096, 8),
        ("QWEN3_30B_A3B", "Q4_K", 4096, 24),
    ],
)
def test_as_many_layers_go_on_a_card_as_llama_cpp_puts_there(
    tmp_path: Path, name: str, kind: str, context: int, vram: float
) -> None:
    network: networks.Published = getattr(networks, name)
    path = network.write(tmp_path / "model.gguf", kind, tokens=network.vocabulary)
    said = asked(path, context, vram)
    sized = fit(read_header(path), machine(1000, vram), context=context)
    assert sized.gpu_layers == pytest.approx(said["layers"] if said["layers"] >= 0 else sized.layers, abs=1)
    assert sized.ram_experts == pytest.approx(said["experts"], abs=1)
    assert sized.vram / MIB == pytest.approx(sum(said["card"]), rel=0.08)  # one layer of Gemma is 7 %
    weights, cache, buffers = said["ram"]
    if sized.gpu_layers == said["layers"] and sized.ram_experts == said["experts"]:
        assert sized.cache / MIB == pytest.approx(cache, abs=1)
        assert sized.weights / MIB == pytest.approx(weights, rel=0.02, abs=1)
    assert sized.buffers / MIB == pytest.approx(buffers, rel=0.06, abs=2)


@pytest.mark.slow
@pytest.mark.models
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("context", [512, 4096])
def test_a_child_takes_what_was_predicted(weights: Path, context: int) -> None:
    server = Server(weights, {"context": context, "threads": 0, "gpu_layers": -1})
    try:
        server.url()
        lines = Path(f"/proc/{server.pid}/status").read_text("utf-8").splitlines()
        peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    finally:
        server.close()
    header = read_header(weights)
    sized = fit(header, machine(16), context=context)
    assert sized.peak - sized.buffers < 1.1 * peak  # buffers are taken when the first prompt is read
    assert sized.peak > 0.9 * peak


# --- Damage -----------------------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 11_000), st.integers(0, 255)), max_size=8), st.integers(0, 12_000))
def test_a_damaged_header_costs_one_line_whoever_reads_it(edits: list[tuple[int, int]], end: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.gguf")
        networks.TINY.write(path, "Q4_K")
        content = bytearray(path.read_bytes())
        for at, byte in edits:
            content[at % len(content)] = byte
        path.write_bytes(content if end > 11_000 else content[:end])
        began = time.process_time()
        try:
            header = read_header(path)
            describe(header)
            verdict = judge(str(path), machine(16, 4), context=4096)
            assert verdict.reason
        except ModelError as error:
            refused = str(error)
        else:
            refused = ""
        assert "\n" not in refused
        assert time.process_time() - began < 20


# --- The commands -----------------------------------------------------------------------------------------------------


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, str, str]:
        code = command_line(list(words))
        return code, *capsys.readouterr()

    return run


def test_the_list_says_what_fits(openbook_home: Path, run: Run) -> None:
    (openbook_home / "models").mkdir()
    networks.LLAMA_65B.write(openbook_home / "models" / "llama-65b.gguf", "F16")
    (openbook_home / "models" / "broken.gguf").write_bytes(b"GG")
    code, out, _ = run("models", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["llama-65b.gguf"]["needed_bytes"] > 130 * GB
    assert rows["broken.gguf"]["fits"] is None
    assert rows["qwen2.5-coder-1.5b"]["estimated"]
    line = next(line for line in run("models")[1].splitlines() if "llama-65b" in line)
    assert "65.3B" in line
    assert "F16" in line


def test_show_says_what_a_file_is(tmp_path: Path, run: Run) -> None:
    path = networks.TINY.write(tmp_path / "small.gguf", "Q8_0")
    code, out, _ = run("models", "show", str(path))
    assert code == 0
    assert out.splitlines()[2:8] == [
        "network       llama, 2 layers, 256 wide",
        "parameters    1,334,528",
        "quantisation  Q8_0, 8.5 bits for each parameter",
        "              Q8_0       16 tensors        1 MB",
        "              F32         5 tensors  5,120 bytes",
        "context       2,048 tokens",
    ]
    assert "not a file that the catalogue knows" in out
    said = json.loads(run("models", "show", str(path), "--json")[1])
    assert said["types"]["Q8_0"]["tensors"] == 16
    assert len(said["sha256"]) == 64


def test_fit_says_it_for_a_named_machine(tmp_path: Path, run: Run) -> None:
    path = str(networks.LLAMA_65B.write(tmp_path / "llama-65b.gguf", "Q4_0"))
    said = json.loads(run("models", "fit", path, "--ram", "64GB", "--vram", "24GB", "--context", "2048", "--json")[1])
    assert said["fits"]
    assert 40 < said["gpu_layers"] < 60
    assert said["layers"] == 81
    sparse = str(networks.QWEN3_30B_A3B.write(tmp_path / "sparse.gguf", "Q4_K"))
    out = run("models", "fit", sparse, "--ram", "32GB", "--vram", "12GB")[1]
    assert "GPU           49 of 49 layers (the experts of " in out
    assert run("models", "fit", path, "--ram", "32GB")[1].splitlines()[-1].startswith("Does not fit: it takes ")
    code, _, err = run("models", "fit", path, "--ram", "a lot")
    assert code == 2
    assert "'a lot' is no amount of memory; write it like 64GB" in err
    code, _, err = run("models", "fit", path, "--ram", "0GB")  # and not this machine instead
    assert code == 2
    assert "a machine has some memory" in err
    assert json.loads(run("models", "fit", path, "--vram", "0", "--json")[1])["gpu_layers"] == 0


def test_the_list_says_no_more_context_than_a_model_was_trained_for(run: Run) -> None:
    said = {one["name"]: one for one in json.loads(run("models", "--json")[1])}
    assert said["minilm"]["fits"]  # it is part of openbook
    for name in ("e5-small", "smollm2-135m", "qwen2.5-coder-0.5b"):
        assert 0 < said[name]["largest_context"] <= said[name]["context"]


@pytest.mark.parametrize("command", ["show", "fit"])
def test_what_is_no_model_costs_one_line(tmp_path: Path, run: Run, command: str) -> None:
    (tmp_path / "empty.gguf").touch()
    (tmp_path / "text.gguf").write_text("Call me Ishmael.")
    (tmp_path / "folder.gguf").mkdir()
    whole = networks.LLAMA_7B.write(tmp_path / "whole.gguf")
    with whole.open("rb") as file:
        (tmp_path / "cut.gguf").write_bytes(file.read(5000))
    for name in ("empty.gguf", "text.gguf", "folder.gguf", "cut.gguf", "missing.gguf", "cut.gguf/x.gguf"):
        code, out, err = run("models", command, str(tmp_path / name))
        assert code == 1, name
        assert out == ""
        assert err.startswith("openbook: ")
        assert err.count("\n") == 1


def test_a_strangers_words_do_not_steer_the_terminal(tmp_path: Path, run: Run) -> None:
    path = networks.TINY.write(tmp_path / "odd.gguf")
    path.write_bytes(path.read_bytes().replace(b"llama", b"ll\x1b[m"))
    code, out, _ = run("models", "show", str(path))
    assert code == 0
    assert "\x1b" not in out


def test_a_header_may_claim_any_network(tmp_path: Path) -> None:
    most = 2**32 - 1
    odd = replace(networks.TINY, context=most, keys={"attention.head_count_kv": most, "attention.sliding_window": most})
    header = read_header(odd.write(tmp_path / "odd.gguf"))
    assert fit(header, machine(8), context=1 << 20).needed > 8 * GB
    for key in ("block_count", "embedding_length", "attention.head_count", "ssm.inner_size", "expert_count"):
        for number in (0, most):
            header = read_header(replace(networks.TINY, keys={key: number}).write(tmp_path / "odd.gguf"))
            assert fit(header, machine(8, 4), context=4096).needed > 0
