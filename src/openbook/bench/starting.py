"""A first sweep for a book: its documents, its recipe as the baseline, and what is worth varying first.

The search comes before the models: it costs seconds, and no model answers from a passage that was not found.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from openbook import registry
from openbook.book import Book
from openbook.errors import BookError, ModelError
from openbook.finding import MADE
from openbook.manifest import name_of
from openbook.models.catalogue import catalogue
from openbook.models.listing import find, is_here, rows
from openbook.readers import known
from openbook.recipe import Recipe, Spec

RETRIEVERS = ("hybrid", "bm25", "dense")
MULTILINGUAL = "e5-small"
LARGE = 700  # characters of a chunk from which on half of it is the other size to try: docs/chunk-size.md
MOST_MODELS = 4  # in a first sweep: each answers every question


@dataclass(frozen=True, slots=True)
class Start:
    """What a first sweep is written from."""

    book: Book
    questions: Path
    out: Path  # the sweep; paths are written from its folder

    def search(self) -> str:
        """A sweep of ways to cut and find, without a model."""
        recipe, lines = self.book.recipe, [*self._head()]
        lines += [
            "[vary]  # each list with each other one; the first of each list is the baseline",
            _list("splitter", [recipe.splitter, *_other_size(recipe.splitter)]),
            _list("retriever", [recipe.retriever, *map(Spec, RETRIEVERS)]),
        ]
        if recipe.embedder.name != MULTILINGUAL:
            here = is_here(catalogue()[MULTILINGUAL])
            other = _list("embedder", [recipe.embedder, Spec(MULTILINGUAL)])
            why = "for other languages than English" + ("" if here else f": openbook models pull {MULTILINGUAL}")
            lines.append(f"# {other}  # {why}")
        lines += [
            '# refiners = ["duplicates", "duplicates + diverse"]  # openbook components refiner',
            "",
            "[run]",
            'headline = "nDCG@10"  # the measure that decides: 1 when what answers is found first',
            "answers = false  # only the search is judged. Then the models: openbook compare init --models",
        ]
        return "\n".join(lines) + "\n"

    def models(self) -> str:
        """A sweep of the models that are here, with the book's own search.

        Raises:
            BookError: There are not two.
        """
        found = _models(self.book.recipe.llm)
        if len(found) < 2:
            many = "is one model" if found else "is no model"
            raise BookError(f"There {many} on this machine, too few to compare. What can be had: openbook models")
        lines = [
            *self._head(),
            "[vary]  # each list with each other one; the first of each list is the baseline",
            _list("llm", found[:MOST_MODELS]),
            '# prompt = ["cited", "cited(passages=5)"]  # more passages: more to read before the first word',
            "",
            "[run]",
            'headline = "clean"  # right, and not also saying that there is no answer',
            "answers = true",
        ]
        return "\n".join(lines) + "\n"

    def _head(self) -> Iterator[str]:
        yield f"# Written by: openbook compare init -b {name_of(self.book.folder)}. Change what you like, then:"
        yield f"#   openbook compare {self.out.name} --dry-run"
        yield from _documents([self._path(one) for one in covering(self.book)])
        yield f"questions = {json.dumps(self._path(str(self.questions)), ensure_ascii=False)}"
        default = Recipe().to_dict()
        own = {step: spec for step, spec in self.book.recipe.to_dict().items() if spec != default[step]}
        yield ""
        if own:
            yield "[recipe]  # what all rows have in common: where the book's own differs from openbook's defaults"
        yield from (f"{step} = {json.dumps(spec, ensure_ascii=False)}" for step, spec in own.items())
        yield from [""] * bool(own)

    def _path(self, path: str) -> str:
        """Relative where it lies below the sweep's folder or beside it, so that both can be moved together."""
        relative = os.path.relpath(path, self.out.parent)
        return path if relative.count("..") > 1 else relative


def covering(book: Book) -> list[str]:
    """Paths that mean the book's files: a folder where all readable files below it are in the book, else the files.

    Raises:
        BookError: None of them is there any more.
    """
    files = {file.path for file in book.documents.files() if Path(file.path).exists()}
    if not files:
        raise BookError(
            f"No file of {name_of(book.folder)} is where it was. Add them anew, or write the sweep yourself."
        )
    found: list[str] = []
    for path in sorted(files):
        if found and Path(path).is_relative_to(found[-1]):
            continue
        whole = path
        for folder in map(str, Path(path).parents):
            if not _is_whole(folder, files):
                break
            whole = folder
        found.append(whole)
    return found


def _is_whole(folder: str, files: set[str]) -> bool:
    """Whether every readable file below a folder is one of these; ends at the first that is not."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in MADE]
        for name in names:
            path = os.path.join(parent, name)  # noqa: PTH118 - as the book writes its paths
            if path not in files and not name.startswith(".") and known(Path(path)):
                return False
    return True


def _other_size(own: Spec) -> list[Spec]:
    """A splitter with chunks of twice the size, or half where they are large already; none where it has no size."""
    offered = registry.options(registry.load("splitter", own.name)).get("size")
    if offered is None:
        return []
    size = int(own.options.get("size", offered.default))
    return [Spec(own.name, {**own.options, "size": size // 2 if size > LARGE else 2 * size})]


def _models(own: Spec) -> list[Spec]:
    """The recipe's own where it can be asked, then those on this machine, the largest first."""
    here = sorted((row for row in rows() if row.kind == "llm" and row.here), key=lambda row: -row.size_bytes)
    found = [Spec("llamacpp", {"model": row.name}) for row in here]
    if own.name == "llamacpp":
        try:
            find(str(own.options.get("model", "")))
        except ModelError:
            return found
    return list(dict.fromkeys([own, *found]))


def _documents(paths: Sequence[str]) -> Iterator[str]:
    quoted = [json.dumps(path, ensure_ascii=False) for path in paths]
    if len(paths) == 1:
        yield f"documents = [{quoted[0]}]"
        return
    yield "documents = ["
    yield from (f"  {path}," for path in quoted)
    yield "]"


def _list(step: str, specs: Sequence[Spec]) -> str:
    return f"{step} = {json.dumps(list(dict.fromkeys(map(str, specs))), ensure_ascii=False)}"
