"""The llamacpp embedder: what it refuses without weights, and with a small LLM's weights what it promises."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts import EmbedderContract
from openbook.embedders.llamacpp import LlamaCpp, aligned
from openbook.embedders.openai import OpenAI
from openbook.errors import ModelError, SpecError
from openbook.models.identity import identity
from openbook.types import Embedder

STRING, UINT32 = 8, 4


def gguf(path: Path, **more: str | int) -> Path:
    """A GGUF file without any weights."""
    pairs: dict[str, str | int] = {"general.architecture": "nonsense", **more}
    body = struct.pack("<4sIQQ", b"GGUF", 3, 0, len(pairs))
    for key, value in pairs.items():
        body += struct.pack("<Q", len(key)) + key.encode()
        if isinstance(value, int):
            body += struct.pack("<II", UINT32, value)
        else:
            body += struct.pack("<IQ", STRING, len(value)) + value.encode()
    path.write_bytes(body + b"\0" * (-len(body) % 32))
    return path


@pytest.mark.parametrize(
    "options",
    [{}, {"context": 10}, {"threads": -1}, {"gpu_layers": -2}, {"keep_minutes": -1.0}, {"query_prefix": "q" * 300}],
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    options = {"model": "a.gguf", **options} if options else {}
    with pytest.raises(SpecError, match=r"^llamacpp\("):
        LlamaCpp(**options)


def test_a_file_that_is_missing_or_no_embedder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^No model file [^\n]+gone\.gguf"):
        assert LlamaCpp(model=str(tmp_path / "gone.gguf")).dim
    reranker = gguf(tmp_path / "rank.gguf", **{"nonsense.pooling_type": 4})
    with pytest.raises(ModelError, match=r"^rank.gguf is a reranker: it makes no vectors"):
        assert LlamaCpp(model=str(reranker)).fingerprint
    with pytest.raises(ModelError, match=r"^The model a.gguf is of a kind \(nonsense\) unknown here"):
        assert LlamaCpp(model=str(gguf(tmp_path / "a.gguf"))).dim


def test_the_window_is_the_smaller_of_the_models_and_the_options_less_the_prefix(tmp_path: Path) -> None:
    path = str(gguf(tmp_path / "a.gguf", **{"nonsense.context_length": 256}))
    assert LlamaCpp(model=path).window == 254
    assert LlamaCpp(model=path, context=128).window == 126
    assert LlamaCpp(model=path, query_prefix="query: ").window == 247


def test_what_changes_vectors_changes_the_fingerprint_and_the_name_does_not(tmp_path: Path) -> None:
    path = gguf(tmp_path / "a.gguf", **{"nonsense.pooling_type": 1})
    same = gguf(tmp_path / "b.gguf", **{"nonsense.pooling_type": 1})
    other = gguf(tmp_path / "c.gguf", **{"nonsense.pooling_type": 2})
    first = LlamaCpp(model=str(path)).fingerprint
    assert first == LlamaCpp(model=str(same), pooling="mean", threads=3).fingerprint
    assert first != LlamaCpp(model=str(other)).fingerprint
    assert first != LlamaCpp(model=str(path), pooling="last").fingerprint
    assert first != LlamaCpp(model=str(path), query_prefix="q: ").fingerprint


def test_a_file_is_another_when_any_large_tensor_is(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, 8 << 20, np.uint8)
    path = tmp_path / "a.gguf"
    path.write_bytes(noise.tobytes())
    first = identity(path)
    for start in range(0, len(noise), 1 << 20):
        changed = noise.copy()
        changed[start : start + (1 << 16)] ^= 1
        path.write_bytes(changed.tobytes())
        assert identity(path) != first
    path.write_bytes(b"")
    assert len(identity(path)) == 16


@pytest.mark.parametrize(
    ("text", "pieces", "words"),
    [
        ("And the\n\nrain", ["And", " the", "\n\n", "rain"], ["And", "the", "\n\n", "rain"]),
        ("GRÜSSE, Zoë!", [" grusse", " ,", " zo", "e", " !"], ["GRÜSSE", ",", "Zo", "ë", "!"]),
        ("a 鱼 b", ["a", [32, 233], [177], [188], " b"], ["a", "", "", "鱼", "b"]),
        ("wine xqzzqxxx is wine", [" wine", "[UNK]", " is", " wine"], ["wine", "", "is", "wine"]),
        ("a", [], []),
    ],
)
def test_pieces_are_found_in_the_text(text: str, pieces: list[Any], words: list[str]) -> None:
    assert [text[start:end] for start, end in aligned(text, pieces)] == words


@pytest.fixture(scope="session")
def warm(weights: Path) -> Iterator[LlamaCpp]:
    embedder = LlamaCpp(model=str(weights))
    yield embedder
    embedder.close()


@pytest.mark.models
class TestLlamaCpp(EmbedderContract):
    meaning = False  # an LLM's vectors: it was never taught that like texts lie near each other

    @pytest.fixture
    def embedder(self, warm: LlamaCpp) -> Embedder:
        return warm

    def test_tokens_cover_the_text_in_order(self, warm: LlamaCpp) -> None:
        text = "And the rain was upon the earth forty days; Grüße 你好 ☃!\n\nNoah  was 600 years old."
        spans = warm.tokens(text)
        assert spans == sorted(spans)
        covered = "".join(text[start:end] for start, end in spans)
        assert "".join(covered.split()) == "".join(text.split())

    def test_a_prefix_counts(self, weights: Path, warm: LlamaCpp) -> None:
        prefixed = LlamaCpp(model=str(weights), query_prefix="who built ")
        assert prefixed.embed(["the ark"], "query") == pytest.approx(
            warm.embed(["who built the ark"], "query"), abs=1e-3
        )
        assert prefixed.embed(["the ark"], "document") == pytest.approx(warm.embed(["the ark"], "query"), abs=1e-3)
        prefixed.close()

    def test_texts_as_long_as_the_window_are_taken_whole(self, weights: Path) -> None:
        embedder = LlamaCpp(model=str(weights), context=64)
        vectors = embedder.embed(["wine " * 62, "wine " * 63, "Grüße 你好 ☃ " * 40], "document")
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-4)
        embedder.close()

    @pytest.mark.skipif(os.name != "posix", reason="signals")
    def test_a_dead_server_is_started_again(self, weights: Path) -> None:
        embedder = LlamaCpp(model=str(weights))
        first = embedder.embed(["wine"], "document")
        assert embedder.client.server is not None
        os.kill(embedder.client.server.pid, signal.SIGKILL)
        assert embedder.embed(["wine"], "document") == pytest.approx(first, abs=1e-4)
        embedder.close()

    def test_the_openai_embedder_speaks_with_the_same_server(
        self, warm: LlamaCpp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        texts = ["wine", "", "a great fish " * 30, "the king built a house of cedar " * 80]
        vectors = warm.embed(texts, "document")
        assert warm.client.server is not None
        monkeypatch.setenv("SERVER_KEY", warm.client.server.api_key)
        remote = OpenAI(url=f"{warm.client.server.url()}/v1", model="any", key_env="SERVER_KEY", batch=2)
        assert remote.dim == warm.dim == 576
        found = remote.embed(texts, "document")
        assert found[:3] == pytest.approx(vectors[:3], abs=1e-2)
        assert (found[3] * vectors[3]).sum() > 0.99  # windows of other sizes
        careless = OpenAI(url=remote.url, model="any", key_env="SERVER_KEY", context=100_000)
        assert (careless.embed(texts, "document")[3] * vectors[3]).sum() > 0.99  # refused, and sent in halves
        for one in (remote, careless):
            one._service.close()
