"""What made a comparison, kept with it so that a row can be made again: versions, machine, weights, seed."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import openbook
from openbook import registry
from openbook.bench.preparing import ANSWERED
from openbook.bench.results import Results, TrialRow
from openbook.machine import cores, memory
from openbook.models.facts import gguf_file, sha256
from openbook.models.identity import identity
from openbook.recipe import STEPS, Recipe
from openbook.types import Embedder, Report

# Whose version may change what is read, found or answered, or how fast.
LIBRARIES = (
    "lxml", "model2vec", "numpy", "openvino", "pylance", "pypdf", "pypdfium2", "selectolax", "sentence-transformers",
    "tokenizers", "xllamacpp",
)  # fmt: skip


def made_with(results: Results, trials: Sequence[TrialRow], seed: int, report: Report | None) -> dict[str, Any]:
    """As a run's settings keep it; of each model's file the SHA-256, of each embedder what names its vectors."""
    recipes = [Recipe.from_dict(one.recipe) for one in trials]
    embedders: dict[str, Embedder] = {str(one.embedder): registry.make("embedder", one.embedder) for one in recipes}
    return {
        "openbook": openbook.__version__,
        "python": platform.python_version(),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",  # a release may name the machine, or whose it is
            "processor": _processor(),
            "cores": cores(),
            "ram_bytes": memory()[0],
        },
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
        "models": {name: _digest(results, name, report) for name in sorted({*_models(trials)})},
        "embedders": {name: one.fingerprint for name, one in sorted(embedders.items())},
        "seed": seed,
    }


def _models(trials: Sequence[TrialRow]) -> Iterator[str]:
    """Names of the models of this machine that a row asks; that of its recipe only when something asks it."""
    for trial in trials:
        recipe = Recipe.from_dict(trial.recipe)
        steps = [(step, spec) for step in STEPS for spec in recipe.specs(step) if step not in ANSWERED]
        asked = trial.answer_key or any("llm" in registry.needs(step, spec.name) for step, spec in steps)
        specs = [
            recipe.llm if asked else None,
            *(registry.chosen_llm(spec) for step in STEPS for spec in recipe.specs(step)),
        ]
        yield from (str(registry.check("llm", one)["model"]) for one in specs if one and one.name == "llamacpp")


def _digest(results: Results, name: str, report: Report | None) -> str:
    """The SHA-256 of a model's file: 4 s for each gigabyte, so it is kept by what tells files apart in 0.03 s."""
    path = gguf_file(name)
    key = f"file {identity(path)}"
    known = results.measured(key)
    if "sha256" not in known:
        known = {"sha256": sha256(path, report)}
        results.note(key, known)
    return str(known["sha256"])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
