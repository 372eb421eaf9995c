"""cross-encoder: real loading code over tiny networks whose scores can be worked out by hand."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing

from openbook import registry
from openbook.errors import ModelError, SpecError
from openbook.inference import op, openvino
from openbook.models.folders import find_folder
from openbook.recipe import Spec
from openbook.refiners.cross_encoder import CrossEncoder
from openbook.refiners.pairs import longest
from openbook.types import Chunk, Passage

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "who", "fled", "jonah", "fish", "wine", "king"]
IN_QUESTION = np.array([9, 0, 0, 0, 0.25, 0.5, 0, 0, 0, 0], np.float32)
IN_PASSAGE = np.array([9, 0, 0, 0, 0, 1, 2, 0.5, -1, -2], np.float32)  # padding that is not masked would be seen


def tiny(folder: Path, *, labels: int = 1, positions: int = 16, types: bool = True, name: str = "model") -> Path:
    """Score of a pair: the sum of what its words weigh, those of the question and of the passage apart."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.enable_truncation(4)  # as many of these files say, made for something else
    tokenizer.enable_padding(length=64)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"max_position_embeddings": positions, "model_type": "bert", "pad_token_id": 0}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    names = ["input_ids", "attention_mask", "token_type_ids"][: 3 if types else 2]
    ids, mask, *kind = [op.parameter([-1, -1], np.int64, name=one) for one in names]
    for node, one in zip([ids, mask, *kind], names, strict=True):
        node.output(0).set_names({one})
    axis = op.constant(np.int64(0))
    weight = op.gather(op.constant(IN_PASSAGE), ids, axis)
    if kind:
        second = op.convert(kind[0], np.float32)
        asked = op.multiply(
            op.gather(op.constant(IN_QUESTION), ids, axis), op.subtract(op.constant(np.float32(1)), second)
        )
        weight = op.add(op.multiply(weight, second), asked)
    summed = op.reduce_sum(op.multiply(weight, op.convert(mask, np.float32)), op.constant(np.int64(1)), keep_dims=True)
    logits = (
        summed
        if labels == 1
        else op.concat([op.multiply(summed, op.constant(np.float32(-n))) for n in range(labels)][::-1], 1)
    )
    openvino.save_model(openvino.Model([logits], [ids, mask, *kind]), folder / f"{name}.xml", compress_to_fp16=False)
    return folder


def passage(text: str, score: float = 1.0) -> Passage:
    return Passage(Chunk(text, 0, len(text), text), score, "hybrid", ("a.txt",))


def texts(found: Sequence[Passage]) -> list[str]:
    return [one.chunk.text for one in found]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny(tmp_path / "tiny", name="openvino_model")


PASSAGES = [passage("king wine"), passage("jonah fled"), passage("fish"), passage("wine"), passage("jonah king fish")]


def test_passages_come_in_the_order_of_the_networks_score(folder: Path) -> None:
    found = CrossEncoder(model=str(folder))("who fled", PASSAGES, 3)
    assert texts(found) == ["jonah fled", "fish", "jonah king fish", "wine", "king wine"]
    assert [one.score for one in found] == pytest.approx([sigmoid(0.75 + sum_) for sum_ in (3, 0.5, 0.5, -1, -3)])
    assert {one.via for one in found} == {"rerank"}
    assert found[0].sources == ("a.txt",)


def test_those_beyond_top_stay_behind_as_they_were(folder: Path) -> None:
    found = CrossEncoder(model=str(folder), top=2)("who fled", PASSAGES, 3)
    assert texts(found) == ["jonah fled", "king wine", "fish", "wine", "jonah king fish"]
    assert [one.via for one in found] == ["rerank"] * 2 + ["hybrid"] * 3
    assert found[2:] == PASSAGES[2:]


def test_no_passages_load_nothing() -> None:
    assert CrossEncoder(model="org/gone")("who", [], 3) == []


def test_a_long_passage_is_cut_and_the_question_is_not(folder: Path) -> None:
    long = passage(" ".join(["wine"] * 11 + ["jonah"] * 50))  # 16 = [CLS] who fled [SEP] + 11 + [SEP]
    (found,) = CrossEncoder(model=str(folder))("who fled", [long], 3)
    assert found.score == pytest.approx(sigmoid(0.75 - 11))


def test_a_question_longer_than_the_window_leaves_room_for_the_passage(folder: Path) -> None:
    (found,) = CrossEncoder(model=str(folder))("fled " * 99, [passage("jonah " * 99)], 3)
    assert found.score == pytest.approx(sigmoid(6 * 0.5 + 7 * 2))


def test_what_looks_like_a_mark_is_text(folder: Path) -> None:
    (found,) = CrossEncoder(model=str(folder))("who [SEP] jonah", [passage("fled")], 3)
    assert found.score == pytest.approx(sigmoid(0.25 + 1))


def test_a_batch_of_many_lengths_scores_each_as_alone(folder: Path) -> None:
    encoder = CrossEncoder(model=str(folder), top=300)
    many = [passage(" ".join(WORDS[4 + (i * j) % 6] for j in range(i % 11))) for i in range(300)]
    together = {id(one.chunk): one.score for one in encoder("who fled", many, 9)}
    for one in many[::37]:
        assert together[id(one.chunk)] == pytest.approx(encoder("who fled", [one], 9)[0].score, abs=1e-6)


@pytest.mark.parametrize("text", ["", " ", "\x00", "\ud800", "☃"])
def test_any_text_can_be_scored(folder: Path, text: str) -> None:
    assert 0 <= CrossEncoder(model=str(folder))(text, [passage(text)], 1)[0].score <= 1


def test_two_labels_are_no_and_yes(tmp_path: Path) -> None:
    folder = tiny(tmp_path, labels=2)  # -sum and 0: yes is 0 higher than no by the sum
    (found,) = CrossEncoder(model=str(folder), file="model.xml")("who fled", [passage("jonah")], 1)
    assert found.score == pytest.approx(sigmoid(2.75))


def test_a_network_without_token_types_is_run(tmp_path: Path) -> None:
    folder = tiny(tmp_path, types=False, name="openvino_model")
    (found,) = CrossEncoder(model=str(folder))("fled", [passage("jonah")], 1)
    assert found.score == pytest.approx(sigmoid(3))


def test_a_name_is_found_in_the_cache_of_hugging_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    model = tmp_path / "models--org--tiny.v2"
    tiny(model / "snapshots" / "abc" / "openvino", name="openvino_model")
    (model / "snapshots" / "other").mkdir()
    for name in ("config.json", "tokenizer.json"):
        (model / "snapshots" / "abc" / "openvino" / name).rename(model / "snapshots" / "abc" / name)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("abc", encoding="utf-8")
    assert find_folder("org/tiny.v2") == model / "snapshots" / "abc"
    assert texts(CrossEncoder(model="org/tiny.v2")("who", PASSAGES[:2], 1))[0] == "jonah fled"


def test_a_model_that_is_not_there_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for model, said in (
        ("BAAI/bge-reranker-v2-m3", r"is neither a folder nor in .*hf download BAAI/bge-reranker-v2-m3$"),
        ("./gone", r"^There is no folder '\./gone'\. Name one that holds a model"),
        ("../gone", r"^There is no folder '\.\./gone'\. "),
        ("gone", r"^There is no folder 'gone'\. "),
    ):
        with pytest.raises(ModelError, match=said):
            CrossEncoder(model=model)("who", PASSAGES, 1)


def test_a_broken_or_wrong_folder_is_one_line(tmp_path: Path) -> None:
    broken = tiny(tmp_path / "broken", name="openvino_model")
    (broken / "openvino_model.xml").write_text("<net", encoding="utf-8")
    wordless = tiny(tmp_path / "wordless", name="openvino_model")
    (wordless / "tokenizer.json").unlink()
    garbled = tiny(tmp_path / "garbled", name="openvino_model")
    (garbled / "config.json").write_text("{", encoding="utf-8")
    three = tiny(tmp_path / "three", labels=3, name="openvino_model")
    shapeless = tiny(tmp_path / "shapeless")
    ids = op.parameter(openvino.PartialShape.dynamic(), np.int64, name="input_ids")
    ids.output(0).set_names({"input_ids"})
    openvino.save_model(openvino.Model([op.convert(ids, np.float32)], [ids]), shapeless / "openvino_model.xml")
    for folder, file, said in (
        (broken, "", r"is broken: "),
        (wordless, "", r"has no tokenizer\.json\. Download the whole model\.$"),
        (garbled, "", r"config\.json is broken: "),
        (shapeless, "", r"it is no cross-encoder\.$"),
        (three, "", r"instead of one score: it is no cross-encoder\.$"),
        (three, "onnx/model_O4.onnx", r"has no file onnx/model_O4\.onnx\. Networks there: openvino_model\.xml\.$"),
    ):
        with pytest.raises(ModelError, match=said) as caught:
            CrossEncoder(model=str(folder), file=file)("who", PASSAGES, 1)
        assert "\n" not in str(caught.value)


def test_weights_of_torch_alone_need_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(SpecError, match=r"Install it with: pip install 'openbook\[sentence-transformers\]'$"):
        CrossEncoder(model=str(tmp_path))("who", PASSAGES, 1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_weights_of_torch_are_run_by_sentence_transformers(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="pip install 'openbook[sentence-transformers]'")
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    folder = tiny(tmp_path)
    (folder / "model.xml").unlink()
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=16, num_labels=1, **sizes)
    network = transformers.BertForSequenceClassification(config).eval()
    network.save_pretrained(folder)
    words = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        pad_token="[PAD]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    words.save_pretrained(folder)
    (found,) = CrossEncoder(model=str(folder))("who fled", [passage("jonah fled")], 1)
    with torch.no_grad():
        ids, kinds = torch.tensor([[2, 4, 5, 3, 6, 5, 3]]), torch.tensor([[0, 0, 0, 0, 1, 1, 1]])
        expected = torch.sigmoid(network(input_ids=ids, token_type_ids=kinds).logits)[0, 0]
    assert found.score == pytest.approx(float(expected), abs=1e-5)


def test_the_window_is_what_the_models_files_say(tmp_path: Path) -> None:
    assert longest(tmp_path) == 512
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 514, "model_type": "xlm-roberta"}', "utf-8")
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 1e30}', "utf-8")
    assert longest(tmp_path) == 512
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 256}', "utf-8")
    assert longest(tmp_path) == 256
    (tmp_path / "config.json").write_text('{"max_position_embeddings": null}', "utf-8")
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": null}', "utf-8")
    assert longest(tmp_path) == 512


@pytest.mark.parametrize(("option", "value"), [("top", 0), ("window", 15)])
def test_wrong_options_are_refused(option: str, value: int) -> None:
    with pytest.raises(SpecError, match=rf"^cross-encoder\({option}={value}\)"):
        registry.make("refiners", Spec("cross-encoder", {option: value}))
