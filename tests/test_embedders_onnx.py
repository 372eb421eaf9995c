"""Embedders of any kind in a folder: pooling, prefixes, window and network as the folder says, or as the user does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from contracts import EmbedderContract
from openbook.embedders.onnx import Onnx
from openbook.errors import ModelError, SpecError
from openbook.inference import op, openvino
from openbook.types import Embedder, Vectors

# Takes 32 words, gives 8 numbers for each: those of the word and those of the token type, nothing where the mask is 0.
TINY = Path(__file__).with_name("data") / "tiny.onnx"
WORDS = [
    "<pad>",
    "<s>",
    "</s>",
    "<unk>",
    "query",
    "passage",
    ":",
    "wine",
    "bank",
    "fish",
    "Sharks",
    "swim",
    "ocean",
    *"abcdefghijklmnopqrs",
]

Make = Callable[..., Path]


def tokenizer(path: Path) -> None:
    """One that cuts off and pads, as a downloaded one may."""
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    words.enable_truncation(5)
    words.enable_padding(length=5)
    words.save(str(path))


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a folder as sentence-transformers lays it out; a keyword is a JSON file, None leaves it out."""

    def make(name: str = "tiny", **changed: Any) -> Path:
        folder = tmp_path / name
        (folder / "onnx").mkdir(parents=True)
        (folder / "1_Pooling").mkdir()
        shutil.copy(TINY, folder / "onnx" / "model.onnx")
        tokenizer(folder / "tokenizer.json")
        files: dict[str, Any] = {
            "config": {"model_type": "bert", "max_position_embeddings": 64},
            "modules": [
                {"path": "", "type": "sentence_transformers.models.Transformer"},
                {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
                {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
            ],
            "1_Pooling/config": {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False},
            "config_sentence_transformers": {"prompts": {"query": "query: ", "passage": "passage: "}},
        } | changed
        for file, content in files.items():
            if content is not None:
                (folder / f"{file}.json").write_text(json.dumps(content), "utf-8")
        return folder

    return make


def expected(text: str, pooling: str) -> Vectors:
    """What the network's own numbers give, by numpy."""
    model = openvino.Core().read_model(TINY)
    constants = [one.data for one in model.get_ops() if one.get_type_name() == "Constant"]
    words, types = (next(one for one in constants if one.shape == (count, 8)) for count in (32, 2))
    tokens = words[[WORDS.index(word) for word in ["<s>", *text.split(), "</s>"]]] + types[0]
    vector = {"mean": tokens.mean(axis=0), "cls": tokens[0], "last": tokens[-1]}[pooling]
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


class TestOnnx(EmbedderContract):
    meaning = False

    @pytest.fixture
    def embedder(self, make: Make) -> Embedder:
        return Onnx(str(make()))


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("way", ["option", "old", "new"])
def test_tokens_are_pooled_as_the_user_or_the_folder_says(make: Make, pooling: Any, way: str) -> None:
    name = pooling if pooling != "last" else "lasttoken"
    old = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
    said = {"old": {old[pooling]: True}, "new": {"pooling_mode": name}, "option": {"pooling_mode_max_tokens": True}}
    folder = make(**{"1_Pooling/config": said[way]})
    embedder = Onnx(str(folder), pooling=pooling if way == "option" else "auto", query="", document="")
    texts = ["wine", "fish a b c d e f", "bank a"]
    for text, vector in zip(texts, embedder.embed(texts, "document"), strict=True):
        assert vector == pytest.approx(expected(text, pooling), abs=1e-5)


def test_each_kind_has_the_prefix_of_the_folder_or_of_the_user(make: Make) -> None:
    folder = str(make())
    assert Onnx(folder).embed(["wine"], "query")[0] == pytest.approx(expected("query : wine", "mean"), abs=1e-5)
    assert Onnx(folder).embed(["wine"], "document")[0] == pytest.approx(expected("passage : wine", "mean"), abs=1e-5)
    mine = Onnx(folder, query="fish: ", document="")
    assert mine.embed(["wine"], "query")[0] == pytest.approx(expected("fish : wine", "mean"), abs=1e-5)
    assert mine.embed(["wine"], "document")[0] == pytest.approx(expected("wine", "mean"), abs=1e-5)


def test_the_window_is_what_the_folder_says_less_marks_and_prefix(make: Make) -> None:
    assert Onnx(str(make())).window == 64 - 2 - 2
    assert Onnx(str(make("short", sentence_bert_config={"max_seq_length": 32}))).window == 32 - 2 - 2
    assert Onnx(str(make("limit", tokenizer_config={"model_max_length": 16}))).window == 16 - 2 - 2
    roberta = {"model_type": "xlm-roberta", "max_position_embeddings": 66, "pad_token_id": 1}
    assert Onnx(str(make("roberta", config=roberta)), query="", document="").window == 64 - 2
    endless = {"model_max_length": None}
    assert Onnx(str(make("endless", tokenizer_config=endless))).window == 64 - 2 - 2
    assert Onnx(str(make("mine")), max_tokens=20).window == 20 - 2 - 2


def test_every_window_of_a_long_text_begins_with_the_prefix(make: Make) -> None:
    embedder = Onnx(str(make()), max_tokens=8)  # four words beside the marks and the prefix
    whole = embedder.embed(["a b c d e f g h"], "document")[0]
    parts = [expected(f"passage : {part}", "mean") for part in ("a b c d", "e f g h")]
    assert whole == pytest.approx(sum(parts) / np.linalg.norm(sum(parts)), abs=1e-5)


def test_a_network_of_openvino_that_pools_by_itself_needs_no_word_on_pooling(make: Make) -> None:
    folder = make(modules=None, **{"1_Pooling/config": None})
    ids = op.parameter(openvino.PartialShape([-1, -1]), openvino.Type.i64, name="input_ids")
    words = np.eye(32, 8, dtype=np.float32)
    words[0] = 0  # padding, which a network ignores
    summed = op.reduce_sum(
        op.gather(op.constant(words), ids, op.constant(np.int32(0))), op.constant(np.int32(1)), False
    )
    (folder / "openvino").mkdir()
    openvino.serialize(openvino.Model([op.result(summed)], [ids], "t"), folder / "openvino" / "openvino_model.xml")
    vector = Onnx(str(folder), document="").embed(["wine"], "document")[0]
    assert vector.argsort()[-3:].tolist() == [1, 2, 7]  # <s>, </s>, wine


def test_the_fingerprint_is_that_of_what_changes_vectors(make: Make) -> None:
    folder = make()
    first = Onnx(str(folder)).fingerprint
    assert Onnx(str(folder), threads=1).fingerprint == first
    assert Onnx(str(shutil.copytree(folder, folder.with_name("copy")))).fingerprint == first
    others = [Onnx(str(folder), pooling="cls"), Onnx(str(folder), query=""), Onnx(str(folder), max_tokens=9)]
    assert len({first, *(other.fingerprint for other in others)}) == 4
    network = folder / "onnx" / "model.onnx"
    content = network.read_bytes()
    network.write_bytes(content[:300] + bytes([content[300] ^ 1]) + content[301:])
    assert Onnx(str(folder)).fingerprint != first


@pytest.mark.parametrize("name", ["model.onnx_data", "model.onnx.data", "model.onnx_data_1"])
def test_weights_beside_the_network_count_for_the_fingerprint(make: Make, name: str) -> None:
    folder = make()
    prints = {Onnx(str(folder)).fingerprint}
    for weights in (b"one", b"other"):
        (folder / "onnx" / name).write_bytes(weights)
        prints.add(Onnx(str(folder)).fingerprint)
    assert len(prints) == 3


def test_a_name_is_looked_for_where_hugging_face_keeps_its_downloads(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = tmp_path / "hub" / "models--someone--tiny"
    (copies / "refs").mkdir(parents=True)
    (copies / "refs" / "main").write_text("abc123", "utf-8")
    (copies / "snapshots" / "old").mkdir(parents=True)
    make().rename(copies / "snapshots" / "abc123")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert Onnx("someone/tiny").dim == 8
    with pytest.raises(ModelError, match="hf download someone/other"):
        _ = Onnx("someone/other").dim


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(SpecError) as caught:
        Onnx(str(folder), **options).embed(["wine"], "query")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_work_is_refused_in_one_line(make: Make) -> None:
    with pytest.raises(SpecError, match="onnx needs a model"):
        _ = Onnx().dim
    with pytest.raises(ModelError, match="There is no folder"):
        _ = Onnx("/no/such/folder").dim
    assert "Say it: pooling=" in refusal(make("a", modules=None, **{"1_Pooling/config": None}))
    assert "a step 'Dense'" in refusal(make("b", modules=[{"path": "2_Dense", "type": "sentence_transformers.Dense"}]))
    assert "Say it: max_tokens=512" in refusal(make("c", config=None))
    assert "Name the network's file" in refusal(make("d"), file="onnx/other.onnx")
    (folder := make("e")).joinpath("tokenizer.json").unlink()
    assert "holds no tokenizer.json" in refusal(folder)
    (folder := make("f")).joinpath("config.json").write_text("{", "utf-8")
    assert "Download the model again" in refusal(folder)
    (folder := make("g")).joinpath("onnx", "model.onnx").write_bytes(b"no network")
    assert "it is no whole network" in refusal(folder)
    assert "a window of 4 tokens has no room" in refusal(make("h"), max_tokens=4)
    (folder := make("i")).joinpath("tokenizer.json").write_text("{", "utf-8")
    with pytest.raises(ModelError, match=r"^The embedder's tokenizer cannot be loaded \([^\n]+\)\. Download it again"):
        Onnx(str(folder)).embed(["wine"], "query")
    with pytest.raises(SpecError, match="threads must be 0"):
        Onnx("x", threads=-1)
