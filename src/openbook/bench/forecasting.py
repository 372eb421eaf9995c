"""What a comparison will come to: seconds, bytes on the disk, tokens of services. Nothing is sent or kept.

By what earlier comparisons on this machine measured of the same components where there is something; else by a short
probe: some documents are split and embedded, a search is made and the smallest model asked; a model that was never
asked is reckoned from one that was, by how much slower its size makes it (`openbook models fit`).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, cached_property
from itertools import islice
from statistics import fmean, median
from typing import Any

from openbook import costing, registry
from openbook.bench.preparing import Prepared
from openbook.bench.results import Results, TrialRow
from openbook.book import Book
from openbook.documents import Documents
from openbook.errors import ModelError, TooLongError
from openbook.estimating import INDEX_SECONDS, STORE_SECONDS, TEXT_BYTES, VECTOR_BYTES
from openbook.fitting import fitting
from openbook.llms.remote import about
from openbook.machine import this_machine
from openbook.models.facts import describe, gguf_file
from openbook.models.fit import fit
from openbook.models.gguf import Header, read_header
from openbook.prices import price
from openbook.recipe import Recipe, Spec
from openbook.types import LLM, Chunk, Embedder, Passage, Prompt

SAMPLED_CHARACTERS = 1_000_000  # of the documents, split to see how many chunks they give
WARM, TIMED = 32, 128  # chunks embedded in a probe
PROBED = 2  # questions searched and answered in a probe, after the first
READ_RATE = 1e9  # bytes of weights a second, when a model is loaded
_PLURALS = {"index": "indexes", "search": "searches", "answer": "answers"}
RESULT_BYTES = {"search": 1_000, "answer": 8_000}  # kept of a question
SERVICE_SECONDS = 3.0  # of an answer, where nobody has measured it


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is still to do comes to."""

    index_seconds: float
    search_seconds: float
    answer_seconds: float
    disk_bytes: int
    free_bytes: int  # on the disk
    basis: tuple[str, ...]  # where the seconds are from, a phrase for each stage
    services: tuple[costing.Forecast, ...] = ()

    @property
    def seconds(self) -> float:
        """Of all stages together, one after the other."""
        return self.index_seconds + self.search_seconds + self.answer_seconds


@dataclass(frozen=True, slots=True)
class _Sample:
    """What a splitter made of some documents."""

    chunks: int  # of all documents, about
    characters: int  # of all documents
    some: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class _Answering:
    """Seconds of an answer: until its first word, and from there on."""

    first: float
    rest: float

    @property
    def seconds(self) -> float:
        return self.first + self.rest


class Forecaster:
    """Looks at what is known, and probes what is not, each once."""

    def __init__(self, results: Results, ready: Prepared) -> None:
        self._results, self._ready = results, ready
        self._measured: dict[str, set[str]] = {"index": set(), "search": set(), "answer": set()}  # 'measured', ...
        self._samples: dict[str, _Sample] = {}
        self._embedding: dict[str, tuple[float, float]] = {}
        self._searching: dict[str, float] = {}
        self._answers: dict[str, _Answering] = {}
        self._probes: dict[str, _Answering] = {}

    def index_seconds(self, trials: Sequence[TrialRow]) -> dict[str, float]:
        """Of each index, by its key."""
        return {one.index_key: self._index_seconds(one) for one in trials}

    def disk_bytes(self, trials: Sequence[TrialRow]) -> int:
        """Of the indexes of these rows: vectors, words, and a copy of the documents."""
        return round(sum(self._index_bytes(one) for one in {one.index_key: one for one in trials}.values()))

    def forecast(
        self,
        indexes: Sequence[TrialRow],
        left: Mapping[str, Mapping[str, tuple[TrialRow, int]]],
        *,
        k: int,
        max_tokens: int,
    ) -> Forecast:
        """`left`: 'search' or 'answer' -> key of a stage -> a row that has it, and how many questions are left."""
        return Forecast(
            sum(self.index_seconds(indexes).values()),
            sum(
                self._start(row, "search") + count * self._search_seconds(row, k)
                for row, count in left["search"].values()
            ),
            sum(
                self._start(row, "answer") + count * self._answer(row, max_tokens).seconds
                for row, count in left["answer"].values()
            ),
            self.disk_bytes(indexes)
            + sum(count * RESULT_BYTES[kind] for kind, rows in left.items() for _, count in rows.values()),
            shutil.disk_usage(self._results.path.parent).free,
            tuple(f"{_PLURALS[kind]} {' and '.join(sorted(how))}" for kind, how in self._measured.items() if how),
            tuple(self._services(indexes, list(left["answer"].values()), max_tokens)),
        )

    def _kin(self, row: TrialRow, *steps: str) -> list[TrialRow]:
        """Rows of earlier comparisons with the same components in these steps."""
        return [one for one in self._earlier if all(one.recipe.get(step) == row.recipe.get(step) for step in steps)]

    @cached_property
    def _earlier(self) -> list[TrialRow]:
        return self._results.trials()

    # Indexes.

    def _index_seconds(self, row: TrialRow) -> float:
        recipe = Recipe.from_dict(row.recipe)
        measured = [self._results.measured(one.index_key) for one in self._kin(row, "splitter", "embedder", "store")]
        rates = [one["seconds"] / one["chunks"] for one in measured if one.get("chunks")]
        chunks = self._sample(recipe).chunks
        if rates:
            self._measured["index"].add("as measured here before")
            return float(_importing() + chunks * median(rates))
        self._measured["index"].add("by a probe")
        loading, each = self._embed(recipe)
        return _importing() + loading + chunks * (each + STORE_SECONDS + INDEX_SECONDS)

    def _index_bytes(self, row: TrialRow) -> float:
        recipe = Recipe.from_dict(row.recipe)
        sample = self._sample(recipe)
        copied = (self._ready.documents(recipe) / "documents.db").stat().st_size
        measured = [self._results.measured(one.index_key) for one in self._kin(row, "splitter", "embedder", "store")]
        rates = [one["size_bytes"] / one["chunks"] for one in measured if one.get("chunks") and one.get("size_bytes")]
        if rates:
            return float(copied + sample.chunks * median(rates))
        embedder: Embedder = registry.make("embedder", recipe.embedder)
        dim = costing.ANSWERS_NOT if embedder.remote else embedder.dim
        return float(copied + sample.chunks * dim * 4 * VECTOR_BYTES + sample.characters * TEXT_BYTES)

    def _sample(self, recipe: Recipe) -> _Sample:
        folder, embedder = self._ready.documents(recipe), registry.make("embedder", recipe.embedder)
        name = f"{folder} {recipe.splitter} {recipe.embedder}"  # which cuts what is longer than its window
        if name not in self._samples:
            splitter = fitting(registry.make("splitter", recipe.splitter, spans=embedder.tokens), embedder)
            documents = Documents(folder / "documents.db")
            try:
                all_, read, chunks = documents.characters(), 0, list[Chunk]()
                for id_ in sorted(documents.ids()):  # digests of what they say: in no order
                    if read >= SAMPLED_CHARACTERS:
                        break
                    if (document := documents.get(id_)) is not None:
                        chunks += splitter(document, id_)
                        read += len(document.text)
            finally:
                documents.close()
            some = tuple(chunks[:: max(1, len(chunks) // (WARM + TIMED))])
            self._samples[name] = _Sample(round(len(chunks) * all_ / max(1, read)), all_, some)
        return self._samples[name]

    def _embed(self, recipe: Recipe) -> tuple[float, float]:
        """Seconds to load an embedder, and of a chunk; a service is not asked."""
        name = f"{recipe.embedder} {recipe.splitter}"
        if name not in self._embedding:
            embedder: Embedder = registry.make("embedder", recipe.embedder)
            texts = [chunk.indexed for chunk in self._sample(recipe).some]
            if embedder.remote or not texts:
                return 0.0, 0.005
            began = time.perf_counter()
            embedder.embed(texts[:WARM], "document")
            loaded = time.perf_counter()
            timed = texts[WARM:] or texts
            embedder.embed(timed, "document")
            self._embedding[name] = loaded - began, (time.perf_counter() - loaded) / len(timed)
        return self._embedding[name]

    # Searches.

    def _start(self, row: TrialRow, kind: str) -> float:
        """Seconds until a stage's first question is asked."""
        llm = Spec.parse(row.recipe["llm"])
        loaded = _size(llm) / READ_RATE if kind == "answer" and llm.name == "llamacpp" else 0.0
        return _importing() + loaded

    def _search_seconds(self, row: TrialRow, k: int) -> float:
        name = " ".join(row.recipe.get(step, "") for step in ("embedder", "retriever", "refiners"))
        if name not in self._searching:
            keys = {one.search_key for one in self._kin(row, "embedder", "store", "retriever", "refiners")}
            values = _warm(self._results, islice(sorted(keys), 4))
            if values:
                self._measured["search"].add("as measured here before")
                self._searching[name] = fmean(value["seconds"] for value in values)
            else:
                self._measured["search"].add("by a probe")
                self._searching[name] = self._searched(Recipe.from_dict(row.recipe), k)
        return self._searching[name]

    def _searched(self, recipe: Recipe, k: int) -> float:
        """A search by words in the documents as they were read, with the steps after it; and a question's vector."""
        recipe, _ = costing.unsent(recipe)
        with Book.open(folder := self._ready.documents(recipe)) as book:
            read = book.recipe
        probed = replace(read, retriever=Spec("bm25"), refiners=recipe.refiners)
        questions = [one.text for one in self._ready.questions[: PROBED + 1]]
        with Book.open(folder, probed) as book:
            seconds = _timed(questions, lambda text: book.retrieve(text, k))
        if recipe.retriever.name != "bm25":
            embedder: Embedder = registry.make("embedder", recipe.embedder)
            seconds += _timed(questions, lambda text: embedder.embed([text], "query"))
        return seconds

    # Answers.

    def _answer(self, row: TrialRow, max_tokens: int) -> _Answering:
        name = " ".join(row.recipe.get(step, "") for step in ("llm", "prompt", "splitter", "refiners"))
        if name not in self._answers:
            self._answers[name] = self._known_answer(row) or self._reckoned_answer(row, max_tokens)
        return self._answers[name]

    def _known_answer(self, row: TrialRow) -> _Answering | None:
        for steps in (("llm", "prompt", "splitter", "refiners"), ("llm", "prompt"), ("llm",)):
            keys = {one.answer_key for one in self._kin(row, *steps) if one.answer_key}
            if values := [one for one in _warm(self._results, islice(sorted(keys), 4)) if "text" in one]:
                self._measured["answer"].add("as measured here before")
                first = fmean(one["first_token_seconds"] for one in values)
                return _Answering(first, max(0.0, fmean(one["seconds"] for one in values) - first))
        return None

    def _reckoned_answer(self, row: TrialRow, max_tokens: int) -> _Answering:
        llm = Spec.parse(row.recipe["llm"])
        if registry.make("llm", llm).remote:
            self._measured["answer"].add(f"of a service taken as {SERVICE_SECONDS:g} s")
            return _Answering(SERVICE_SECONDS, 0.0)
        if llm.name != "llamacpp":
            self._measured["answer"].add("by a probe")
            return self._asked(row, llm, max_tokens)
        known = self._model_known(row)
        if known is None:
            smallest = min(self._models(), key=_size)
            self._measured["answer"].add(f"by a probe of {smallest.options['model']}")
            known = smallest, self._asked(row, smallest, max_tokens)
        other, seconds = known
        if other != llm:
            self._measured["answer"].add(f"reckoned by size from {other.options['model']}")
        first = _parameters(llm) / _parameters(other)
        return _Answering(seconds.first * first, seconds.rest * _rate(other) / _rate(llm))

    def _model_known(self, row: TrialRow) -> tuple[Spec, _Answering] | None:
        """A model of this machine that is here and was measured, and how long it took."""
        for one in self._kin(row, "prompt"):
            llm = Spec.parse(one.recipe["llm"])
            if llm.name == "llamacpp" and _is_here(llm) and (known := self._known_answer(one)):
                return llm, known
        return None

    def _models(self) -> list[Spec]:
        found = [Spec.parse(one.recipe["llm"]) for one in self._ready.trials]
        return [llm for llm in found if llm.name == "llamacpp"]

    def _asked(self, row: TrialRow, llm: Spec, max_tokens: int) -> _Answering:
        """A few questions to a model, with passages as long as they will be."""
        name = f"{llm} {row.recipe['prompt']} {row.recipe['splitter']}"
        if name not in self._probes:
            recipe = Recipe.from_dict(row.recipe)
            prompt: Prompt = registry.make("prompt", recipe.prompt)
            some, found = self._sample(recipe).some, []
            with closing(registry.make("llm", llm)) as model:
                for number, one in enumerate(self._ready.questions[: PROBED + 1]):
                    chunks = some[number * prompt.passages :][: prompt.passages] or some[: prompt.passages]
                    found.append(
                        _answered(model, prompt, one.text, [Passage(chunk, 1.0, "") for chunk in chunks], max_tokens)
                    )
            warm = found[1:] or found
            self._probes[name] = _Answering(fmean(one.first for one in warm), fmean(one.rest for one in warm))
        return self._probes[name]

    # Services.

    def _services(
        self, indexes: Sequence[TrialRow], answers: Sequence[tuple[TrialRow, int]], max_tokens: int
    ) -> list[costing.Forecast]:
        found: dict[tuple[str, str], costing.Forecast] = {}
        today = date.today()  # noqa: DTZ011 - prices are by the day
        for row in indexes:
            recipe = Recipe.from_dict(row.recipe)
            embedder: Embedder = registry.make("embedder", recipe.embedder)
            if embedder.remote:
                sample = self._sample(recipe)
                tokens = round(sample.chunks * fmean(about(chunk.indexed) for chunk in sample.some))
                model = str(recipe.embedder.options.get("model", recipe.embedder.name))
                _add(
                    found, costing.Forecast(model, embedder.remote, tokens, 0, price(embedder.remote, model, 0, today))
                )
        for row, count in answers:
            recipe = Recipe.from_dict(row.recipe)
            llm = registry.make("llm", recipe.llm)
            if llm.remote and count:
                prompt: Prompt = registry.make("prompt", recipe.prompt)
                passages = [Passage(chunk, 1.0, "") for chunk in self._sample(recipe).some[: prompt.passages]]
                one = costing.of_question(self._ready.questions[0].text, passages, prompt, llm, max_tokens, today)
                _add(found, replace(one, prompt_tokens=one.prompt_tokens * count, answer_tokens=max_tokens * count))
        return [*found.values()]


def _answered(model: LLM, prompt: Prompt, question: str, passages: Sequence[Passage], max_tokens: int) -> _Answering:
    began, first = time.perf_counter(), 0.0
    try:
        for part in model.stream(prompt.messages(question, passages), max_tokens):
            if isinstance(part, str):
                first = first or time.perf_counter() - began
    except TooLongError:
        if not passages:
            raise
        return _answered(model, prompt, question, passages[:-1], max_tokens)
    seconds = time.perf_counter() - began
    return _Answering(first or seconds, seconds - (first or seconds))


def _add(found: dict[tuple[str, str], costing.Forecast], one: costing.Forecast) -> None:
    """Put it together with what goes to the same model."""
    same = found.get((one.model, one.remote))
    if same:
        tokens = same.prompt_tokens + one.prompt_tokens, same.answer_tokens + one.answer_tokens
        one = replace(one, prompt_tokens=tokens[0], answer_tokens=tokens[1])
    found[one.model, one.remote] = one


def _warm(results: Results, keys: Iterable[str]) -> list[dict[str, Any]]:
    """What stages kept of questions for which nothing had to be loaded."""
    values = [value for key in keys for value in results.of(key).values() if "error" not in value]
    return [value for value in values if not value.get("cold", True)] or values


def _timed(questions: Sequence[str], work: Callable[[str], object]) -> float:
    """Mean seconds of all but the first, which loads what is needed."""
    found = []
    for text in questions:
        began = time.perf_counter()
        work(text)
        found.append(time.perf_counter() - began)
    return fmean(found[1:] or found)


@cache
def _importing() -> float:
    """Seconds that a stage's process takes to start."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-P", "-c", "import openbook.bench.stages"], check=False, capture_output=True)
    return time.perf_counter() - began


@cache
def _header(llm: Spec) -> Header:
    return read_header(gguf_file(str(registry.check("llm", llm)["model"])))


def _is_here(llm: Spec) -> bool:
    try:
        _header(llm)
    except ModelError:
        return False
    return True


def _size(llm: Spec) -> int:
    return _header(llm).path.stat().st_size


def _parameters(llm: Spec) -> int:
    return max(1, describe(_header(llm)).active_parameters)


def _rate(llm: Spec) -> float:
    """Tokens a second, as `openbook models fit` reckons them; by the size alone where it cannot."""
    found = fit(_header(llm), this_machine(), context=4096).tokens_per_second
    return found or 1e9 / _size(llm)
