"""Embedders of other libraries: found on this machine's disk or not at all. Those not installed here are skipped."""

from __future__ import annotations

import importlib.util
import os
import string
from pathlib import Path

import numpy as np
import pytest

from contracts import EmbedderContract
from openbook import registry
from openbook.errors import ModelError, SpecError
from openbook.models.folders import find_folder, folder_identity, hub_cache
from openbook.recipe import Spec
from openbook.types import Embedder


@pytest.mark.parametrize(
    ("name", "library"), [("sentence-transformers", "sentence_transformers"), ("model2vec", "model2vec")]
)
def test_a_library_that_is_missing_is_named_with_its_extra(
    name: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SpecError) as caught:
        registry.make("embedder", Spec(name))
    assert str(caught.value) == (f"embedder {name!r} needs {library}. Install it with: pip install 'openbook[{name}]'")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of Hugging Face."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def kept(hub: Path, name: str, commit: str) -> Path:
    folder = hub / f"models--{name.replace('/', '--')}"
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit, encoding="ascii")
    return folder / "snapshots" / commit


def test_a_model_is_a_folder_or_what_was_downloaded_last(hub: Path, tmp_path: Path) -> None:
    kept(hub, "sentence-transformers/all-MiniLM-L6-v2", "aaa")
    last = kept(hub, "sentence-transformers/all-MiniLM-L6-v2", "bbb")
    other = kept(hub, "intfloat/e5-small", "ccc")
    assert find_folder("all-MiniLM-L6-v2", "sentence-transformers") == last
    assert find_folder("intfloat/e5-small", "sentence-transformers") == other
    assert find_folder(str(tmp_path), "sentence-transformers") == tmp_path


def test_what_is_not_here_is_not_downloaded_but_named(hub: Path) -> None:
    with pytest.raises(ModelError, match=r"^e5 is neither a folder nor in the cache .* && hf download intfloat/e5$"):
        find_folder("e5", "intfloat")
    with pytest.raises(ModelError, match="hf download a/b$"):
        find_folder("a/b", "intfloat")
    with pytest.raises(ModelError, match=r"^There is no folder '/no/such/model'"):
        find_folder("/no/such/model", "intfloat")


def test_the_cache_is_where_its_library_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    if os.name == "posix":
        assert hub_cache() == tmp_path / ".cache" / "huggingface" / "hub"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert hub_cache() == tmp_path / "x" / "huggingface" / "hub"
    monkeypatch.setenv("HF_HOME", str(tmp_path / "h"))
    assert hub_cache() == tmp_path / "h" / "hub"


def test_a_model_is_its_weights_tokenizer_and_settings(tmp_path: Path) -> None:
    for name in ("model.safetensors", "config.json", "1_Pooling/config.json", "onnx/model.bin", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    first = folder_identity(tmp_path)
    for name in ("README.md", "onnx/model.bin", "pytorch_model.bin"):
        (tmp_path / name).write_text("other", encoding="utf-8")
        assert folder_identity(tmp_path) == first
    for name in ("model.safetensors", "1_Pooling/config.json", "vocab.txt"):
        (tmp_path / name).write_text("other", encoding="utf-8")
        assert folder_identity(tmp_path) != first


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static model of single letters, with vectors by chance."""
    model2vec = pytest.importorskip("model2vec")
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    letters = [*string.ascii_lowercase, *string.digits, *(f"##{letter}" for letter in string.ascii_lowercase), "."]
    vocabulary = {piece: index for index, piece in enumerate(["[UNK]", *letters])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    vectors = np.random.default_rng(1).normal(size=(len(vocabulary), 32)).astype(np.float32)
    folder = tmp_path_factory.mktemp("static")
    model2vec.StaticModel(vectors, tokenizer).save_pretrained(folder)
    return folder


class TestModel2Vec(EmbedderContract):
    meaning = False

    @pytest.fixture
    def embedder(self, static: Path) -> Embedder:
        from openbook.embedders.model2vec import Model2Vec

        return Model2Vec(model=str(static))

    def test_a_folder_that_is_no_model_is_one_line(self, embedder: Embedder, tmp_path: Path) -> None:
        from openbook.embedders.model2vec import Model2Vec

        with pytest.raises(ModelError, match=r"^[^\n]+ could not be loaded by model2vec: [^\n]+$"):
            assert Model2Vec(model=str(tmp_path)).dim

    def test_tokens_are_the_models_own(self, embedder: Embedder) -> None:
        assert list(embedder.tokens("Ox 5")) == [(0, 1), (1, 2), (3, 4)]

    def test_another_process_would_get_the_same_vectors(self, embedder: Embedder, static: Path) -> None:
        from openbook.embedders.model2vec import Model2Vec

        again = Model2Vec(model=str(static))
        assert again.fingerprint == embedder.fingerprint
        assert np.array_equal(again.embed(["wine"], "query"), embedder.embed(["wine"], "document"))


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 as its makers gave it: $OPENBOOK_TEST_MINILM."""
    pytest.importorskip("sentence_transformers")
    path = Path(os.environ.get("OPENBOOK_TEST_MINILM", "missing"))
    if not path.is_dir():
        pytest.skip("set OPENBOOK_TEST_MINILM to a folder with all-MiniLM-L6-v2")
    return path


@pytest.fixture(scope="module")
def loaded(minilm: Path) -> Embedder:
    from openbook.embedders.sentence_transformers import SentenceTransformers

    return SentenceTransformers(model=str(minilm))


@pytest.mark.models
class TestSentenceTransformers(EmbedderContract):
    @pytest.fixture
    def embedder(self, loaded: Embedder) -> Embedder:
        return loaded

    def test_vectors_are_those_of_the_bundled_model_before_it_was_rounded(self, embedder: Embedder) -> None:
        from openbook.embedders.minilm import MiniLM

        texts = ["Now the LORD had prepared a great fish to swallow up Jonah.", "Interest rates rose."]
        assert (embedder.embed(texts, "document") * MiniLM().embed(texts, "document")).sum(axis=1).min() > 0.99

    def test_its_window_and_tokens_are_the_models_own(self, embedder: Embedder) -> None:
        assert embedder.window == 254  # of this model's settings; what is longer is the mean of its windows
        assert list(embedder.tokens("Ox swallowed")) == [(0, 2), (3, 12)]

    def test_prefixes_are_put_before_texts(self, embedder: Embedder, minilm: Path) -> None:
        from openbook.embedders.sentence_transformers import SentenceTransformers

        prefixed = SentenceTransformers(model=str(minilm), query_prefix="who built ")
        assert prefixed.embed(["the ark"], "query") == pytest.approx(
            embedder.embed(["who built the ark"], "query"), abs=1e-3
        )
        assert prefixed.window < embedder.window
        assert prefixed.fingerprint != embedder.fingerprint

    def test_what_cannot_be_loaded_is_one_line(self, embedder: Embedder, minilm: Path, tmp_path: Path) -> None:
        from openbook.embedders.sentence_transformers import SentenceTransformers

        (tmp_path / "config.json").write_text("{}", encoding="utf-8")
        for model, device in ((str(tmp_path), ""), (str(minilm), "nonsense")):
            with pytest.raises(ModelError, match=r"^\S+ could not be loaded by sentence-transformers: [^\n]+$"):
                assert SentenceTransformers(model=model, device=device).dim
