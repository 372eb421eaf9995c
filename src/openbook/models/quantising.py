"""Makes smaller files of a model: the same network, its numbers in fewer bits.

source.gguf --llama.cpp, in a child process--> .NAME.gguf.part --header read again--> NAME.gguf, .NAME.gguf.json

The last step is a rename: under its own name a file is whole. The record beside it says what it was made from.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from openbook.errors import ModelError
from openbook.home import absolute, models_folder
from openbook.machine import cores
from openbook.models.catalogue import catalogue, readable
from openbook.models.facts import gguf_file
from openbook.models.gguf import FILE_TYPES, Header, read_header
from openbook.models.identity import identity
from openbook.models.listing import record_of
from openbook.models.transfer import check_room
from openbook.recipe import did_you_mean
from openbook.types import Progress, Report

CHILD = Path(__file__).with_name("quantise_child.py")
INSTALL = "pip install 'openbook[quantize]'"
LOG_LINES = 50  # the last ones, to say why it failed

# llama.cpp makes these with an importance matrix only, measured on text, or well with one only.
WITH_MATRIX = frozenset({"IQ2_XXS", "IQ2_XS", "Q2_K_S", "IQ3_XXS", "IQ1_S", "IQ1_M", "IQ2_S", "IQ2_M"})
SPECIAL = frozenset({"MXFP4_MOE", "TQ1_0", "TQ2_0"})  # for networks that were trained for them
TYPES = {
    name.lower(): number
    for number, name in sorted(FILE_TYPES.items(), key=lambda one: one[1])
    if name not in WITH_MATRIX | SPECIAL
}
"""What a model can be quantised to -> llama.cpp's number for it."""

WHOLE = frozenset({"F32", "F16", "BF16"})  # types of a model that has not been quantised

# The end of a file's name that says how it is quantised: '-q4_k_m', '.Q8_0', '-fp16'.
SUFFIX = re.compile(r"[-_.](?:i?q\d\w*|b?f16|fp16|fp?32|tq\d_\d|mxfp4\w*)$", re.IGNORECASE)

STEP = re.compile(r"\[ *(\d+)/ *(\d+)\] \S+ +- ")
SIZES = re.compile(r"(model|quant) size += +([\d.]+) MiB(?: \(([\d.]+) BPW\))?")
FALLBACK = re.compile(r"required for type +(\w+)\) -> falling back to +(\w+)")
REASON = re.compile(r"failed to quantize: *(.*)|error(?: loading model)?: *(.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Quantised:
    """One file that was made, or was there."""

    name: str  # a model by one word
    path: Path
    quantisation: str  # 'Q3_K_M'
    size_bytes: int
    bits: float  # of a weight, on average; 0.0 where the tool did not say
    source: str  # the name of the file it was made from
    source_quantisation: str
    tensors: int
    fallbacks: dict[str, int]  # 'q3_K as q4_0' -> tensors whose rows do not fit the type
    tool: str
    seconds: float
    kept: bool = False  # it was there already


@dataclass(slots=True)
class _Log:
    """What llama.cpp says while it quantises."""

    report: Report | None = None
    lines: list[str] = field(default_factory=list)
    sizes: dict[str, float] = field(default_factory=dict)  # 'model', 'quant' -> bytes of all tensors
    bits: float = 0.0
    tensors: int = 0
    fallbacks: Counter[str] = field(default_factory=Counter)

    def read(self, line: str) -> None:
        self.lines = [*self.lines, line.rstrip()][-LOG_LINES:]
        if found := STEP.match(line):
            self.tensors = int(found[2])
            if self.report:
                self.report(Progress("quantize", int(found[1]), self.tensors, "tensors"))
        elif found := FALLBACK.search(line):
            self.fallbacks[f"{found[1]} as {found[2]}"] += 1
        elif found := SIZES.search(line):
            self.sizes[found[1]] = float(found[2]) * 2**20
            self.bits = float(found[3] or 0)

    def reason(self) -> str:
        """Why it failed, in its own words."""
        for line in reversed(self.lines):
            if found := REASON.search(line):
                return (found[1] or found[2] or "").strip() or line.strip()
        return next((line.strip() for line in reversed(self.lines) if line.strip()), "it said nothing")


def wanted_types(to: str) -> list[str]:
    """The types in 'q4_k_m,q3_k_m', each once, in lower case.

    >>> wanted_types("Q3_K_M, q2_k,q2_k")
    ['q3_k_m', 'q2_k']

    Raises:
        ModelError: One is not known, or there is none.
    """
    found = list(dict.fromkeys(word.strip().lower().replace("-", "_") for word in to.split(",") if word.strip()))
    for name in found:
        if name.upper() in WITH_MATRIX:
            raise ModelError(
                f"{name} needs an importance matrix, which openbook does not measure. Use q2_k, iq3_s or larger; "
                "or get a file that its makers quantised."
            )
        if name not in TYPES:
            raise ModelError(f"No type is called {name!r}.{did_you_mean(name, list(TYPES))} Known: {', '.join(TYPES)}.")
    if not found:
        raise ModelError(f"No type to quantise to. Known: {', '.join(TYPES)}.")
    return found


def derived_name(source: str, kind: str) -> str:
    """What the file of another type is called.

    >>> derived_name("qwen2.5-coder-1.5b", "q2_k"), derived_name("Llama-3-8B.Q8_0.gguf", "q4_k_m")
    ('qwen2.5-coder-1.5b-q2_k', 'Llama-3-8B-q4_k_m')
    """
    stem = Path(source).name
    stem = stem[: -len(".gguf")] if stem.lower().endswith(".gguf") else stem
    return f"{SUFFIX.sub('', stem)}-{kind}"


def quantise(
    source: str,
    types: Sequence[str],
    *,
    folder: Path | None = None,
    report: Report | None = None,
    say: Callable[[str], None] | None = None,
) -> Iterator[Quantised]:
    """Make a file of each type, one after the other; one that was made from the same source before is kept.

    Stopped at any moment, no half file has the name of a whole one.

    Args:
        source: A model as `models.find` takes it.
        types: As `wanted_types` gives them.
        folder: Where the files go; None: the models folder.
        report: Is told how many tensors are done.
        say: Is told in one line what a user should know of the result.

    Raises:
        ModelError: No such model, no tool, no room, or llama.cpp cannot; says which.
    """
    say = say or (lambda line: None)
    tool = _tool()
    header = read_header(gguf_file(source))
    folder = absolute(folder) if folder else models_folder()
    if header.quantisation not in WHOLE and any(kind.upper() != header.quantisation for kind in types):
        say(
            f"{header.path.name} is itself {header.quantisation}: what is made of it has the damage of both. "
            "Better from an F16 file of this model, where there is one."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kind in types:
            yield _one(source, header, kind, folder, tool, report, say)
    except OSError as error:
        raise ModelError(
            f"Cannot write {error.filename or folder}: {error.strerror or error}. Or use --out."
        ) from error


def _one(
    source: str, header: Header, kind: str, folder: Path, tool: str, report: Report | None, say: Callable[[str], None]
) -> Quantised:
    if kind.upper() == header.quantisation:
        say(f"{header.path.name} is {header.quantisation} already: nothing to do for {kind}.")
        name = source if source in catalogue() else header.path.stem
        kept = header.quantisation
        return Quantised(name, header.path, kept, header.size_bytes, 0.0, header.path.name, kept, 0, {}, "", 0.0, True)
    name = derived_name(source, kind)
    path = folder / f"{name}.gguf"
    owner = next((model.name for model in catalogue().values() if model.file == path.name), "")
    if owner and folder == models_folder():
        raise ModelError(f"{path.name} is the name of the file of {owner}. Name another folder: --out")
    lock = FileLock(folder / f".{path.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ModelError(f"Another openbook is making {path}. Wait for it.") from None
    try:
        return _existing(path, header, say) or _make(name, path, header, kind, tool, report, say)
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)  # while it is held: nobody else's
        lock.release()


def _existing(path: Path, header: Header, say: Callable[[str], None]) -> Quantised | None:
    """The file if it is there and was made from this source.

    Raises:
        ModelError: It is there and was made from another, or nobody knows from what.
    """
    if not path.exists():
        return None
    try:
        record: dict[str, Any] = json.loads(record_of(path).read_text("utf-8"))
        same = record.pop("source_identity") == identity(header.path) and record["size_bytes"] == path.stat().st_size
        known: dict[str, Any] = {**record, "path": path, "kept": True}
        found = Quantised(**known)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise ModelError(f"{path} is there, and not made by this command. Remove it, or use --out.") from None
    if not same:
        raise ModelError(f"{path} is there, made from another file ({found.source}). Remove it, or use --out.")
    say(f"{path.name} was made from this file before: kept.")
    return found


def _make(
    name: str,
    path: Path,
    header: Header,
    kind: str,
    tool: str,
    report: Report | None,
    say: Callable[[str], None],
) -> Quantised:
    began = time.monotonic()
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # of one that was killed; before the room is looked at
    try:
        dry = _run(tool, header.path, part, kind, dry=True)
        size_bytes = int(header.size_bytes - dry.sizes["model"] + dry.sizes["quant"])
    except (ModelError, KeyError):  # an old llama-quantize has no dry run; what is wrong with the file is said below
        size_bytes = header.size_bytes
    check_room(path.parent, size_bytes)
    if size_bytes >= header.size_bytes and header.quantisation not in WHOLE:
        say(f"{kind} of a {header.quantisation} is larger ({readable(size_bytes)}), and no better than it.")
    try:
        log = _run(tool, header.path, part, kind, report=report)
        made = read_header(part)  # whole: a file cut off is refused
        if log.fallbacks:
            shown = ", ".join(f"{count} of {one}" for one, count in log.fallbacks.most_common())
            say(
                f"{log.fallbacks.total()} of {log.tensors} tensors have rows that do not fit their type: {shown}. "
                "So the file is larger, and other, than its name says."
            )
        found = Quantised(
            name,
            path,
            made.quantisation,
            made.size_bytes,
            log.bits,
            header.path.name,
            header.quantisation,
            log.tensors,
            dict(log.fallbacks),
            _version(tool),
            round(time.monotonic() - began, 1),
        )
        record = {**asdict(found), "path": path.name, "source_identity": identity(header.path)}
        record_of(path).write_text(json.dumps(record, indent=1), encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return found


def _tool() -> str:
    """'cyllama', or the path of llama-quantize.

    Raises:
        ModelError: There is neither.
    """
    if importlib.util.find_spec("cyllama") is not None:
        return "cyllama"
    if found := shutil.which("llama-quantize"):
        return found
    raise ModelError(f"Quantising needs cyllama, or llama.cpp's llama-quantize on PATH. Install it with: {INSTALL}")


def _version(tool: str) -> str:
    return f"cyllama {importlib.metadata.version('cyllama')}" if tool == "cyllama" else "llama-quantize"


def _command(tool: str, source: Path, out: Path, kind: str, *, dry: bool) -> list[str]:
    if tool == "cyllama":
        # -P: the folder of the child is not where it finds libraries.
        return [sys.executable, "-P", str(CHILD), str(source), str(out), str(TYPES[kind]), str(cores()), str(int(dry))]
    option = ["--dry-run"] if dry else []
    return [tool, "--allow-requantize", *option, str(source), str(out), kind.upper(), str(cores())]


def _run(tool: str, source: Path, out: Path, kind: str, *, dry: bool = False, report: Report | None = None) -> _Log:
    """Run it to its end.

    Raises:
        ModelError: It failed, or was killed; says why.
    """
    log = _Log(report)
    process = subprocess.Popen(
        _command(tool, source, out, kind, dry=dry),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"GGML_NO_BACKTRACE": "1", **os.environ},  # an assertion of llama.cpp's would run a debugger
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            log.read(line)
        code = process.wait()
    finally:  # Ctrl-C
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    if code:
        why = log.reason()
        if code < 0 or "No space" in why or "iostream" in why:
            why = f"it was killed (signal {-code}), most likely for memory" if code < 0 else f"the disk is full ({why})"
        raise ModelError(f"Could not make {kind} of {source.name}: {why[:200]}. Check the file: openbook models")
    return log
