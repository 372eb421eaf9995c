"""What a comparison comes to is said before it runs, and what made it is kept with it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contracts import Write
from openbook.app.cli import run
from openbook.bench.pacing import Pace, block, pace
from openbook.bench.results import Results
from openbook.bench.running import Runner, results_path
from openbook.bench.sweep import read_sweep

SWEEP = """
documents = ["docs"]
questions = "questions.jsonl"
[recipe]
embedder = "hashed"
store = "flat"
llm = "quote"
[vary]
splitter = ["chars(size=60)", "chars(size=200)"]
"""


@pytest.fixture
def sweep(write: Write) -> Path:
    write("docs/jonah.txt", "And Jonah was in the fish three days. " * 40)
    questions = [
        {"question": f"How long was Jonah in the fish, {number}?", "answers": ["three"]} for number in range(6)
    ]
    write("questions.jsonl", "".join(json.dumps(one) + "\n" for one in questions))
    return write("sweep.toml", SWEEP)


def forecast(sweep: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(["compare", str(sweep), "--dry-run", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.slow
def test_time_and_disk_are_told_and_by_what_is_known(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = forecast(sweep, capsys)
    assert (found["trials"], found["indexes"], found["searches"], found["answers"]) == (2, 2, 12, 12)
    assert found["basis"] == ["indexes by a probe", "searches by a probe", "answers by a probe"]
    assert found["seconds"] == pytest.approx(sum(found[f"{kind}_seconds"] for kind in ("index", "search", "answer")))
    assert run(["compare", str(sweep), "--dry-run"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1].startswith("About ")
    assert said[2].startswith("About ")
    assert said[2].endswith(" free.")
    indexes = results_path().parent / "indexes"
    assert not indexes.exists()
    Runner(read_sweep(sweep), "run").run()
    size = sum(path.stat().st_size for path in results_path().parent.rglob("*") if path.is_file())
    assert size / 4 <= found["disk_bytes"] <= size * 4
    sweep.write_text(SWEEP.replace('"quote"', '"quote(passages=1)"'), encoding="utf-8")
    again = forecast(sweep, capsys)
    assert (again["index_seconds"], again["search_seconds"]) == (0, 0)
    sweep.write_text(SWEEP + '[run]\nk = 5\nmode = "race"\nminutes = 1', encoding="utf-8")
    assert forecast(sweep, capsys)["basis"] == ["searches as measured here before"]
    assert run(["compare", str(sweep), "--dry-run"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2] == "One run takes a minute at most; the same command goes on."
    assert said[-1].startswith("A race: ")


@pytest.mark.slow
def test_tokens_and_cost_of_a_service_are_told_without_asking_it(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SWEEP.replace('"quote"', "\"openai(model='gpt-4.1-mini')\"") + "[run]\nmax_tokens = 50"
    sweep.write_text(text, encoding="utf-8")
    (service,) = forecast(sweep, capsys)["services"]
    assert service["remote"] == "api.openai.com"
    assert service["answer_tokens"] == 2 * 6 * 50
    assert service["prompt_tokens"] > 2 * 6 * 60
    assert 0 < service["dollars"] < 0.01
    assert run(["compare", str(sweep), "--dry-run"]) == 0
    assert "tokens to gpt-4.1-mini at api.openai.com and at most 600 back: at most $0.00" in capsys.readouterr().out


def test_a_full_disk_is_said_before_anything_starts(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    assert run(["compare", str(sweep)]) == 1
    error = capsys.readouterr().err
    assert "has 1 MB free, and this needs about 20 MB" in error
    assert len(error.splitlines()) == 1
    assert not (results_path().parent / "indexes").exists()


@pytest.mark.slow
def test_what_made_a_run_is_kept_with_it(sweep: Path, write: Write) -> None:
    write("docs/broken.pdf", b"%PDF-1.4 nothing")
    notes: list[str] = []
    Runner(read_sweep(sweep), "run", note=notes.append).run()
    with Results(results_path()) as results:
        settings = results.run("run").settings
    assert settings["sweep"] == SWEEP
    assert [Path(one).name for one in settings["unread"]] == ["broken.pdf"]
    assert notes[0] == "1 of 2 files could not be read: broken.pdf. See why with: openbook read FILE"
    made = settings["made_with"]
    assert set(made) == {"openbook", "python", "machine", "libraries", "models", "embedders", "seed"}
    assert made["libraries"]["numpy"]
    assert made["machine"]["cores"] > 0
    assert made["models"] == {}


def test_a_comparison_of_searches_needs_no_model(sweep: Path, write: Write) -> None:
    write("questions.jsonl", json.dumps({"question": "Who was in the fish?", "gold": [{"source": "jonah.txt"}]}))
    text = SWEEP.replace('"quote"', "\"llamacpp(model='qwen2.5-coder-1.5b')\"")
    sweep.write_text(text + "[run]\nanswers = false\nk = 5", encoding="utf-8")
    assert run(["compare", str(sweep)]) == 0


@pytest.mark.models
def test_models_are_named_with_their_digests(sweep: Path, weights: Path) -> None:
    sweep.write_text(SWEEP.replace('"quote"', f"\"llamacpp(model='{weights}')\""), encoding="utf-8")
    runner = Runner(read_sweep(sweep), "run")
    with Results(results_path()) as results:
        for _ in range(2):  # the second time as it was kept
            made = runner._begun(results).settings["made_with"]
            assert made["models"] == {str(weights): hashlib.sha256(weights.read_bytes()).hexdigest()}


def test_the_pace_of_a_stage_is_told_without_what_it_loaded() -> None:
    assert pace(0.0, [], 5.0) is None
    assert pace(0.0, [2.0], 5.0) == Pace(2.0, 3.0)
    assert pace(0.0, [1.0, 6.0, 8.0], 10.0) == Pace(4.0, 2.0)  # the first took 5 s, 2 of them for itself


def test_blocks_are_large_enough_that_starting_costs_little_and_fit_into_the_time() -> None:
    assert block([Pace()], 100.0, 50) == 2  # nothing is known yet
    assert block([Pace(2.0, 1.0)] * 3, 1000.0, 500) == 18
    assert block([Pace(2.0, 1.0)] * 3, 30.0, 500) == 8
    assert block([Pace(2.0, 1.0)] * 3, 90.0, 500) == 28  # the last: a small one after it would be all start
    assert block([Pace(2.0, 1.0)] * 3, 3.0, 500) == 1
    assert block([Pace(2.0, 1.0)] * 3, 1000.0, 5) == 5
