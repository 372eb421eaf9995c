"""Comparing models: what is measured, what is said, and that nothing is measured twice."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from openbook.app.cli import cli, run
from openbook.errors import ModelError
from openbook.models.compare_child import differences, log_softmax
from openbook.models.comparing import Compared, compare
from openbook.models.picture import Column, bars
from openbook.models.quantising import quantise
from openbook.types import Progress
from test_models_quantise import network


@pytest.fixture
def cyllama() -> None:
    pytest.importorskip("cyllama")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "mine.txt"
    path.write_text("In the beginning God created the heaven and the earth. " * 60, encoding="utf-8")
    return path


def speedless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openbook.models.comparing._speed", lambda name, header, text: (1.0, 2.0, 3))


def test_log_probabilities_are_exact_for_any_logits() -> None:
    row = log_softmax([1000.0, 1000.0, -1000.0])
    assert row.tolist() == pytest.approx([-np.log(2), -np.log(2), -2000 - np.log(2)])


def test_the_divergence_is_kullback_and_leiblers_whatever_float16_rounds(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    base, mine = (np.array([log_softmax(list(row)) for row in random.standard_normal((4, 5000)) * 4]) for _ in range(2))
    path = tmp_path / "base.f16"
    path.write_bytes(np.concatenate([np.zeros_like(base), base]).astype(np.float16).tobytes())
    found = differences(mine, path, 1)
    exact = (np.exp(base) * (base - mine)).sum(axis=1)
    assert found["kl"] == pytest.approx(exact.tolist(), rel=1e-3)
    assert found["same"] == [int(a.argmax() == b.argmax()) for a, b in zip(base, mine, strict=True)]
    assert max(differences(base, path, 1)["kl"]) < 1e-5


def test_without_cyllama_it_says_what_to_install(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openbook.models.comparing.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'openbook\[quantize\]'"):
        compare(["a"], text)


@pytest.mark.usefixtures("cyllama")
def test_the_largest_is_measured_by_the_text_and_the_others_against_it_too(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speedless(monkeypatch)
    source = network(tmp_path / "net-f32.gguf")
    made = [one.name for one in quantise(str(source), ["q8_0", "q2_k"])]
    steps: list[Progress] = []
    largest, eight, two = compare([*made, str(source)], text, tokens=1024 + 100, report=steps.append)
    assert [largest.name, eight.name, two.name] == ["net-f32", "net-q8_0", "net-q2_k"]
    assert largest.scored == eight.scored == 2 * 255
    # Every word is a byte here, so that both say the same.
    assert largest.bits_per_byte == pytest.approx(np.log2(largest.perplexity.mean))
    assert (largest.kl, largest.change, largest.same_choice, largest.kl_p99) == (None, None, None, None)
    assert eight.kl is not None
    assert two.kl is not None
    assert 0 < eight.kl.mean < two.kl.mean / 20
    assert two.kl_p99 is not None
    assert two.kl.mean < two.kl_p99
    assert eight.change is not None
    assert eight.perplexity.mean == pytest.approx(largest.perplexity.mean * np.exp(eight.change.mean))
    assert eight.same_choice is not None
    assert two.same_choice is not None
    assert 0.8 < eight.same_choice.mean <= 1
    assert two.same_choice.mean < eight.same_choice.mean
    assert (steps[-1].done, steps[-1].total) == (6, 6)


@pytest.mark.slow
@pytest.mark.usefixtures("cyllama")
def test_what_was_read_is_not_read_again_and_a_stopped_comparison_goes_on(
    tmp_path: Path, text: Path, openbook_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speedless(monkeypatch)
    names = [str(network(tmp_path / "a.gguf")), str(network(tmp_path / "b.gguf", layers=2, seed=2))]
    first = compare(names, text, tokens=1536)
    (folder,) = (openbook_home / "cache" / "compare").iterdir()
    assert not (folder / "base.f16").exists()  # it is large
    kept = {path: path.read_text("utf-8") for path in folder.glob("*.jsonl")}
    assert len(kept) == 2

    monkeypatch.setattr("openbook.models.comparing._child", lambda header, settings: pytest.fail("read again"))
    assert compare(names, text, tokens=1536) == first
    monkeypatch.undo()
    speedless(monkeypatch)
    monkeypatch.setenv("OPENBOOK_HOME", str(openbook_home))
    for path, content in kept.items():
        lines = content.splitlines(keepends=True)
        path.write_text("".join(lines[:2]) + lines[2][:40], encoding="utf-8")  # killed while writing
    again = compare(names, text, tokens=1536)
    assert [one.kl for one in again] == [one.kl for one in first]
    assert {path: path.read_text("utf-8") for path in folder.glob("*.jsonl")} == kept


@pytest.mark.usefixtures("cyllama")
def test_models_of_other_words_are_compared_by_the_byte(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speedless(monkeypatch)
    large = network(tmp_path / "large.gguf", layers=2)
    other = network(tmp_path / "other.gguf", merges=True)
    lines: list[str] = []
    first, second = compare([str(large), str(other)], text, tokens=1536, say=lines.append)
    assert (second.kl, second.change, second.same_choice) == (None, None, None)
    assert lines[0] == "Not all models have the same vocabulary: compare bits/byte there, not perplexity."
    # Each of its tokens is more than a byte, so that it needs fewer for the same text.
    assert second.scored < first.scored
    assert second.bits_per_byte < np.log2(second.perplexity.mean)


@pytest.mark.usefixtures("cyllama")
def test_what_cannot_be_compared_is_said_in_one_line(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speedless(monkeypatch)
    model = str(network(tmp_path / "net.gguf"))
    short = tmp_path / "short.txt"
    short.write_text("Too short.", encoding="utf-8")
    latin = tmp_path / "latin.txt"
    latin.write_bytes("Grüße".encode("latin-1") * 500)
    for path, tokens, message in (
        (short, 512, "The text has 10 tokens, less than one window of 512. Name a longer text."),
        (text, 100, "100 tokens are less than one window of 512. Write --tokens 512 or more."),
        (tmp_path / "none.txt", 512, f"Cannot read {tmp_path / 'none.txt'}: No such file or directory."),
        (Path(model), 512, "is not plain text. Get the text of any file with: openbook read"),
        (latin, 512, "is not UTF-8: invalid start byte at byte 2. Get the text"),
    ):
        with pytest.raises(ModelError, match=re.escape(message)):
            compare([model], path, tokens=tokens)
    lines: list[str] = []
    compare([model], text, tokens=4096, say=lines.append)
    assert lines[0] == "The text has only 3,300 tokens: 6 windows of 512 are read."


@pytest.mark.slow
@pytest.mark.usefixtures("cyllama")
def test_the_command_prints_a_table_json_and_a_picture(tmp_path: Path, text: Path) -> None:
    names = [str(network(tmp_path / "a.gguf")), str(network(tmp_path / "b.gguf", layers=2, seed=2))]
    arguments = ["models", "compare", *names, "--text", str(text), "--tokens", "512"]
    result = CliRunner().invoke(cli, [*arguments, "--picture", str(tmp_path / "table.svg")], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].split()[:3] == ["model", "size", "bits/weight"]
    picture = ElementTree.fromstring((tmp_path / "table.svg").read_text("utf-8"))
    assert picture.tag.endswith("svg")
    found = json.loads(CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert [one["name"] for one in found] == ["b", "a"]
    assert set(found[0]) == set(Compared.__slots__)
    assert all(one["tokens_per_second"] > 0 for one in found)


def test_a_picture_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(tmp_path / "nowhere" / "a.svg")
    assert run(["models", "compare", "absent", "--text", "absent.txt", "--picture", picture]) == 1
    assert capsys.readouterr().err == f"openbook: Cannot write {picture}: there is no such folder. Name another file.\n"


def test_bars_are_as_long_as_their_values_and_names_are_text() -> None:
    svg = bars(["<a>", "b"], [Column("KL", ["-", "0.5"], [None, 0.5]), Column("size", ["1", "2"], [1, 2])])
    root = ElementTree.fromstring(svg)
    widths = [float(one.attrib["width"]) for one in root.iter() if one.attrib.get("fill") == "#0072b2"]
    assert widths == [150, 75, 150]
    assert "&lt;a&gt;" in svg


@pytest.mark.models
@pytest.mark.usefixtures("cyllama")
def test_a_real_model_loses_to_two_bits_what_it_is_known_to_lose(
    weights: Path, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speedless(monkeypatch)
    (two,) = quantise(str(weights), ["q2_k"])
    assert two.fallbacks == {"q2_K as q4_0": 120, "q3_K as q4_0": 60}  # rows of 576 numbers
    text = tmp_path / "text.txt"
    corpus = (data / "squad1" / "corpus.jsonl").read_text("utf-8").splitlines()[:40]
    text.write_text("\n\n".join(json.loads(line)["text"] for line in corpus), encoding="utf-8")
    own, small = compare([str(weights), two.name], text, tokens=512)
    assert 5 < own.perplexity.mean < 60
    assert small.kl is not None
    assert small.same_choice is not None
    assert 0.1 < small.kl.mean < 1.0  # 0.34 on another text
    assert 0.6 < small.same_choice.mean < 0.95
