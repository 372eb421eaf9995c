"""Embedders: unit vectors in order, nothing cut off, nothing told to anyone."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import EmbedderContract
from openbook import inference
from openbook.embedders import encoder, minilm
from openbook.embedders.hashed import Hashed
from openbook.embedders.minilm import MiniLM
from openbook.errors import SpecError
from openbook.types import Embedder, Vectors

FISH = "Now the LORD had prepared a great fish to swallow up Jonah."
RATES = "The central bank raised interest rates by a quarter of a percent."
QUESTION = "Who was in the belly of the fish?"

# First six numbers of the vectors, by the original's 32-bit weights and arithmetic: `python benchmarks/embedding.py
# --pin FOLDER_OF_THE_ORIGINAL`, openvino 2026.4.1, which agrees with a plain numpy forward pass to 1e-5.
ORIGINAL = {
    FISH: [0.0015, 0.1358, 0.0305, 0.0396, -0.0505, -0.0175],
    RATES: [0.075, -0.0137, -0.0724, 0.0119, 0.0376, -0.0852],
    QUESTION: [-0.0298, 0.1477, -0.0927, 0.0257, -0.0407, -0.0135],
}
ORIGINAL_COSINES = {(FISH, QUESTION): 0.5581, (FISH, RATES): 0.0629}


@pytest.fixture(scope="module")
def loaded() -> MiniLM:
    """Loaded once: it takes a second."""
    embedder = MiniLM()
    embedder.embed(["warm"], "document")
    return embedder


class TestMiniLM(EmbedderContract):
    @pytest.fixture
    def embedder(self, loaded: MiniLM) -> Embedder:
        return loaded


class TestHashed(EmbedderContract):
    meaning = False

    @pytest.fixture
    def embedder(self) -> Embedder:
        return Hashed()


def test_the_weights_are_those_the_code_was_written_for() -> None:
    for name, expected in minilm.SHA256.items():
        assert hashlib.sha256((minilm.WEIGHTS / name).read_bytes()).hexdigest() == expected


def test_int8_vectors_are_near_those_of_the_original(loaded: MiniLM) -> None:
    texts = list(ORIGINAL)
    vectors = loaded.embed(texts, "document")
    # One number of a vector is about 0.05; rounding moves it by 0.003, and by 0.01 on processors without VNNI.
    assert vectors[:, :6] == pytest.approx(np.array(list(ORIGINAL.values())), abs=0.02)
    for (a, b), cosine in ORIGINAL_COSINES.items():
        assert vectors[texts.index(a)] @ vectors[texts.index(b)] == pytest.approx(cosine, abs=0.03)


def test_a_vector_hardly_depends_on_its_batch(loaded: MiniLM) -> None:
    texts = [f"{FISH} {RATES} " * (1 + index % 7) + f"number {index}" for index in range(60)]
    together = loaded.embed(texts, "document")
    alone = np.concatenate([loaded.embed([text], "document") for text in texts])
    # 0.99997 over 200 chunks of the Bible; only where a number falls on the edge between two of the 256 steps.
    assert (together * alone).sum(axis=1).min() > 0.999


def test_the_same_call_gives_the_same_bits(loaded: MiniLM) -> None:
    texts = [FISH * (1 + index % 9) for index in range(100)]
    assert np.array_equal(loaded.embed(texts, "document"), loaded.embed(texts, "document"))


def test_a_text_of_300_tokens_is_not_cut_off(loaded: MiniLM) -> None:
    filler = "the king built a house of cedar " * 43  # 301 tokens, beyond the 256 of the model's usual settings
    vectors = loaded.embed([filler + "wine", filler + "interest rates of the central bank"], "document")
    assert vectors[0] @ vectors[1] < 0.999


def test_a_text_longer_than_the_window_is_the_mean_of_its_windows(loaded: MiniLM) -> None:
    first, second = "wine " * 510, "bank " * 510
    whole, *parts = loaded.embed([first + second, first, second], "document")
    mean: Vectors = parts[0] + parts[1]
    assert whole @ (mean / np.linalg.norm(mean)) == pytest.approx(1, abs=1e-3)


def test_windows_are_as_even_as_can_be() -> None:
    parts = encoder.even_parts(list(range(1100)), 510)
    assert [len(part) for part in parts] == [367, 367, 366]
    assert sum(parts, []) == list(range(1100))


def test_a_batch_holds_no_more_tokens_than_it_may_and_every_text_once() -> None:
    lengths = np.random.default_rng(1).integers(2, 513, 500).tolist()
    batches = list(inference.batches(lengths))
    assert sorted(sum(batches, [])) == list(range(500))
    assert all(len(batch) * max(lengths[index] for index in batch) <= inference.BATCH_TOKENS for batch in batches)


def test_batches_have_few_shapes() -> None:
    chance = np.random.default_rng(1)
    shapes = set()
    for _ in range(50):
        rows = [[1] * length for length in chance.integers(2, 200, chance.integers(1, 99)).tolist()]
        for batch in inference.batches([len(row) for row in rows]):
            shapes.add(inference.padded([rows[index] for index in batch], 0, 512).shape)
    assert len(shapes) < 150  # some 400 if each were as it comes
    assert inference.padded([[5, 6], [7]], 0, 19).tolist() == [[5, 6] + [0] * 14, [7] + [0] * 15]
    assert inference.padded([[5] * 18], 0, 19).shape == (1, 19)


def test_many_threads_may_share_one_embedder(loaded: MiniLM) -> None:
    texts = [f"{FISH} {index}" for index in range(40)]
    expected = loaded.embed(texts, "document")
    found: dict[int, Vectors] = {}

    def work(index: int) -> None:
        found[index] = loaded.embed(texts, "document")

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(found[index], expected) for index in range(6))


def test_one_thread_gives_what_all_give(loaded: MiniLM) -> None:
    texts = [f"{FISH} {index}" for index in range(80)]
    assert MiniLM(threads=1).embed(texts, "document") == pytest.approx(loaded.embed(texts, "document"), abs=1e-3)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(SpecError, match="threads must be 0"):
        MiniLM(threads=-1)
    with pytest.raises(SpecError, match="dim must be 1"):
        Hashed(dim=0)


FORKED = """
import os
from openbook.embedders.minilm import MiniLM
embedder = MiniLM()
embedder.embed(["wine"], "query")
if os.fork() == 0:
    try:
        embedder.embed(["wine"], "query")
    except RuntimeError as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_told_to_be_spawned_instead_of_waiting_for_ever() -> None:
    # A process of its own: other libraries that this one has loaded do not like to be forked either.
    result = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=600, check=True)
    assert "spawn" in result.stdout


OLD = """
import json, sys
from openbook import inference
from openbook.embedders import minilm
inference.has_vnni = lambda: False
for threads in (1, 2, 1):
    vectors = minilm.MiniLM(threads=threads).embed(json.loads(sys.argv[1]), "document")
print(json.dumps(vectors.tolist()))
"""


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="other processors have no such limit")
@pytest.mark.slow
def test_a_processor_without_vnni_gives_nearly_the_same_vectors(loaded: MiniLM) -> None:
    texts = [FISH, RATES, QUESTION, FISH * 20]
    environment = {**os.environ, "DNNL_MAX_CPU_ISA": "AVX2", "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", OLD, json.dumps(texts)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    vectors = np.array(json.loads(result.stdout))
    assert (vectors * loaded.embed(texts, "document")).sum(axis=1).min() > 0.98


SHAPES = """
import numpy
from openbook.embedders.minilm import WEIGHTS
from openbook.inference import Network
random, network = numpy.random.default_rng(0), Network(WEIGHTS / "minilm.xml", 1)
for number in range(110):
    rows, length = random.integers(1, 9), random.integers(3, 200)
    network(random.integers(1000, 20000, (rows, length)).astype(numpy.int32))
    if number in (9, 109):
        print(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read as Linux tells it")
@pytest.mark.slow
def test_memory_does_not_grow_with_the_shapes_that_batches_have_had() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", SHAPES], env=environment, capture_output=True, text=True, check=True, timeout=6000
    )
    before, after = map(int, result.stdout.split())
    assert after - before < 100_000  # kB; it is 40,000; with oneDNN's own cache 200,000


WATCHED = """
import json, socket, sys, threading
asked = []
def refuse(*arguments, **options):
    asked.append(str(arguments[:1]))
    raise OSError
socket.getaddrinfo = refuse
socket.socket.connect = refuse
from openbook.embedders.minilm import MiniLM
MiniLM().embed(["wine"], "query")
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join(2)
modules = [name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module]
print(json.dumps([asked, modules]))
"""


def test_nothing_is_sent_and_nothing_written_at_home(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "CI"}  # openvino is silent in CI
    environment |= {"HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", WATCHED], env=environment, capture_output=True, text=True, check=True, timeout=600
    )
    asked, modules = json.loads(result.stdout)
    assert asked == []
    assert modules == []
    assert list(tmp_path.rglob("*")) == []


def test_hashed_is_the_same_on_every_machine() -> None:
    vector = Hashed(dim=8).embed([FISH], "document")[0]
    assert vector == pytest.approx(np.array([-0.2649, 0.5298, 0.5298, 0, 0.5298, -0.1325, 0.2649, 0]), abs=1e-4)


@given(texts=st.lists(st.text("ab_9 ß中\ud800Ü-", max_size=40), max_size=8), dim=st.integers(1, 40))
@settings(max_examples=60)
def test_hashed_is_the_sum_of_words_and_their_pieces(texts: list[str], dim: int) -> None:
    vectors = Hashed(dim).embed(texts, "document")
    for text, vector in zip(texts, vectors, strict=True):
        expected = np.zeros(dim)
        for word in re.findall(r"\w+", text.lower()):
            marked = f"<{word}>"
            for piece in [word, word, *(marked[at : at + 3] for at in range(len(word)))]:  # the word counts twice
                code = zlib.crc32(piece.encode("utf-8", "replace"))
                expected[code % dim] += 1 if code >> 31 else -1
        if not expected.any():
            expected[0] = 1
        assert vector == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)


def test_hashed_finds_the_same_words_and_other_forms_of_them() -> None:
    fish, question, rates = Hashed().embed([FISH, "Which fishes swallowed Jonah?", RATES], "document")
    assert fish @ question > rates @ question + 0.1
