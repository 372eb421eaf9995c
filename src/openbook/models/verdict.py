"""Does a model fit a machine, in a word and a reason: for one that is here, and as an estimate for one that is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from openbook.errors import ModelError
from openbook.machine import Machine
from openbook.models.catalogue import catalogue, readable
from openbook.models.facts import gguf_file
from openbook.models.fit import Fit, estimate, fit, largest
from openbook.models.gguf import read_header
from openbook.models.listing import Row, is_here

CONTEXT = 4096  # tokens, where none are named: what `ask` uses
SMALLEST_BITS = 4.9  # for each parameter, of Q4_K_M: what is worth taking at least


@dataclass(frozen=True, slots=True)
class Verdict:
    """A model on a machine."""

    name: str
    machine: Machine
    fit: Fit
    trained: int  # tokens it was trained for; 0: not known
    largest: int  # tokens of context that still fit, at most `trained`; 0: none
    parameters: int

    @property
    def word(self) -> Literal["yes", "tight", "no", "unknown"]:
        """'tight': the machine has the memory, but other programs hold some of it now; 'unknown': it does not tell."""
        if self.machine.ram_bytes < self.fit.needed:
            return "no" if self.machine.ram_bytes else "unknown"
        return "yes" if self.fit.needed <= self.machine.ram_free_bytes else "tight"

    @property
    def fits(self) -> bool | None:
        """None where that is not known."""
        return None if self.word == "unknown" else self.word != "no"

    @property
    def reason(self) -> str:
        """The verdict in a sentence or two."""
        needed, ram = readable(self.fit.needed), readable(self.machine.ram_bytes)
        free = f"{readable(self.machine.ram_free_bytes)} of {ram} are free"
        if self.word == "yes":
            return f"Fits: it takes {needed} of memory, {free}."
        if self.word == "unknown":
            return f"It takes {needed} of memory; how much there is, this system does not tell."
        if self.word == "tight":
            return f"Fits when other programs end: it takes {needed} of memory, {free}."
        return f"Does not fit: it takes {needed} of memory, there are {ram}. {self._advice()}"

    def _advice(self) -> str:
        if self.largest:
            return f"It fits with a context of {self.largest:,} tokens."
        if (small := round(self.parameters * SMALLEST_BITS / 8)) < 0.8 * self.fit.weights:
            return f"Choose a smaller quantisation: at 4 bits (Q4_K_M) the weights take about {readable(small)}."
        return "Choose a smaller model."

    @property
    def short(self) -> str:
        """For a column of a table: 'yes', 'up to 8,192 tokens', 'no, needs 40 GB'."""
        if self.word == "unknown":
            return f"needs {readable(self.fit.needed)}"
        if self.word == "no" and not self.largest:
            return f"no, needs {readable(self.fit.needed)}"
        return f"up to {self.largest:,} tokens" if self.largest < self.trained else "yes"


def judge(
    name: str, machine: Machine, *, context: int | None = None, cache_type: str = "f16", parallel: int = 1
) -> Verdict:
    """Whether a model fits: a name in the catalogue, which need not be here, or a GGUF file.

    Raises:
        ModelError: There is no such model, or its file is damaged.
        SpecError: There is no such type for the cache.
    """
    known = catalogue().get(name)
    if known and known.bundled:
        raise ModelError(f"{name} is part of openbook and fits wherever openbook does.")
    if known and known.kind == "embedder":  # its tokens are read, not written
        machine = replace(machine, bandwidth=0.0)
    if known and not is_here(known):
        return _estimate(
            name, known.size_bytes, known.parameters, known.context, machine, context, cache_type, parallel
        )
    return _measure(name, gguf_file(name), machine, context, cache_type, parallel)


def judge_row(row: Row, machine: Machine) -> Verdict | None:
    """Whether a row of the list fits; None for what has no weights of its own, or is damaged."""
    if not row.size_bytes or not (row.here or row.parameters):
        return None
    if row.path is not None and row.path.suffix == ".gguf":
        try:
            return _measure(row.name, row.path, machine, None, "f16", 1)
        except ModelError:
            return None
    return _estimate(row.name, row.size_bytes, row.parameters, row.context, machine, None, "f16", 1)


def _measure(name: str, path: Path, machine: Machine, context: int | None, cache_type: str, parallel: int) -> Verdict:
    header = read_header(path)

    def sized(tokens: int) -> Fit:
        return fit(header, machine, context=tokens, cache_type=cache_type, parallel=parallel)

    return _verdict(name, machine, sized, context, header.context_length, header.parameters)


def _estimate(
    name: str,
    size_bytes: int,
    parameters: int,
    trained: int,
    machine: Machine,
    context: int | None,
    cache_type: str,
    parallel: int,
) -> Verdict:
    def sized(tokens: int) -> Fit:
        return estimate(size_bytes, parameters, machine, context=tokens, cache_type=cache_type, parallel=parallel)

    return _verdict(name, machine, sized, context, trained, parameters)


def _verdict(
    name: str, machine: Machine, sized: Callable[[int], Fit], context: int | None, trained: int, parameters: int
) -> Verdict:
    asked = context or min(CONTEXT, trained or CONTEXT)
    return Verdict(name, machine, sized(asked), trained, largest(sized, machine, trained), parameters)
