"""What `openbook models`, `models show` and `models fit` print."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import asdict

import click

from openbook.app import show
from openbook.home import models_folder
from openbook.machine import Machine
from openbook.models.catalogue import Model, readable
from openbook.models.facts import Facts
from openbook.models.fit import Fit
from openbook.models.listing import rows as listed
from openbook.models.verdict import Verdict, judge_row
from openbook.text import well_formed

LONGEST = 100  # characters of a line that a file gives


def models(machine: Machine, *, as_json: bool) -> None:
    """What is here and what can be had, and whether it fits."""
    found = [(row, judge_row(row, machine)) for row in listed()]
    if as_json:
        said = [
            {
                **asdict(row),
                "fits": verdict.fits if verdict else row.here or None,
                "needed_bytes": verdict.fit.needed if verdict else 0,
                "largest_context": verdict.largest if verdict else 0,
                "estimated": verdict.fit.estimated if verdict else False,
            }
            for row, verdict in found
        ]
        click.echo(well_formed(json.dumps(said, ensure_ascii=False, default=str)))
        return
    table = [["here", "model", "kind", "parameters", "quantisation", "size", "fits here", "licence", "for"]]
    for row, verdict in found:
        table.append(
            [
                "yes" if row.here else "-",
                plain(row.name),
                row.kind,
                billions(row.parameters),
                row.quantisation,
                "bundled" if row.here and not row.path else readable(row.size_bytes),
                verdict.short if verdict else "yes" if row.here else "-",
                plain(row.licence),
                plain(row.purpose),
            ]
        )
    show.table(table)
    click.echo(
        "\nGet one with: openbook models pull NAME, any other with: openbook models pull hf:OWNER/REPO --search"
        f"\nA .gguf file in {models_folder()} is a model by its name, any other by its path."
    )


def facts(found: Facts, *, verbose: bool) -> None:
    """What a file says of itself, a fact a line."""
    shape = found.network
    window = {layer.window for layer in shape.layers if layer.window}
    state = sum(layer.state_bytes > 0 for layer in shape.layers)
    network = [
        found.architecture or "unknown",
        f"{len(shape.layers)} layers",
        f"{shape.width} wide",
        f"{shape.experts} experts, {shape.experts_used} for a token" if shape.experts else "",
        f"windows of {max(window):,} tokens in {sum(layer.window > 0 for layer in shape.layers)} layers"
        if window
        else "",
        f"{state} layers with a fixed state" if state else "",
    ]
    _line("name", plain(found.name) or "(none)")
    _line("file", f"{show.path(str(found.path))}, {readable(found.size_bytes)}")
    _line("network", ", ".join(filter(None, network)))
    called = f"; the file calls itself {plain(found.called)}" if found.called else ""
    active = found.active_parameters
    _line(
        "parameters",
        f"{found.parameters:,}{f', {active:,} for a token' if active < found.parameters else ''}{called}",
    )
    _line("quantisation", f"{found.quantisation or 'unknown'}, {found.bits:.1f} bits for each parameter")
    for kind, share in found.types.items():
        _line("", f"{kind:<8} {show.count(share.tensors, 'tensor'):>12}  {readable(share.size_bytes):>10}")
    _line(
        "context",
        f"{found.context:,} tokens{f', {found.stretched}' if found.stretched else ''}" if found.context else "not said",
    )
    _line("tokens", f"{shape.vocabulary:,} ({plain(found.tokenizer) or 'no tokenizer'})")
    for use, token in found.special.items():
        _line("", f"{use:<8} {token!r}")
    if found.adds_bos:
        _line("", "the tokenizer puts the first of them before every text")
    _template(found, verbose=verbose)
    _line("licence", plain(found.licence) or "not said in the file")
    for key, said in found.origin.items():
        _line(plain(key), plain(said))


def _template(found: Facts, *, verbose: bool) -> None:
    if not found.template:
        _line("template", "none: the file was not taught to chat, or does not say how")
        return
    lines = found.template.splitlines()
    more = f", {', '.join(map(plain, found.template_names))}" if found.template_names else ""
    _line("template", f"in the file (tokenizer.chat_template{more}), {len(found.template):,} characters")
    if verbose:
        for line in lines:
            _line("", plain(line, longest=0))
    else:
        first = plain(next((line for line in lines if line.strip()), ""))
        _line("", first if len(lines) == 1 or first.endswith("...") else f"{first}  ...")


def digest(sha256: str, known: Model | None) -> None:
    """The sha256, and what the catalogue says of it."""
    _line("sha256", sha256)
    if known is None:
        _line("", "not a file that the catalogue knows")
    else:
        _line("catalogue", f"{known.name}, {known.licence}{f': {known.licence_note}' if known.licence_note else ''}")


def facts_json(found: Facts, sha256: str, known: Model | None) -> dict[str, object]:
    """As `facts` and `digest`."""
    said = asdict(found)
    layers = said["network"].pop("layers")
    return {
        **said,
        "path": str(found.path),
        "bits": round(found.bits, 3),
        "layers": len(layers),
        "sha256": sha256,
        "catalogue": known.name if known else "",
    }


def fit(found: Verdict) -> None:
    """What a model takes, part by part, then the verdict."""
    sized, machine = found.fit, found.machine
    about = "  (an estimate from its size: it is not here)" if sized.estimated else ""
    click.secho(f"{found.name} with {_context(sized)}{about}", bold=True)
    _line("weights", readable(sized.weights))
    _line("cache", f"{readable(sized.cache)} ({sized.cache_type})")
    _line("buffers", readable(sized.buffers))
    _line("program", readable(sized.runtime))
    _line("memory", f"{readable(sized.needed)}{_copies(sized)}")
    if sized.layers and machine.vram_bytes:
        beside = f" (the experts of {sized.ram_experts} of them in RAM)" if sized.ram_experts else ""
        used = f"{readable(sized.vram)} of {readable(machine.vram_bytes)}"
        _line("GPU", f"{sized.gpu_layers} of {sized.layers} layers{beside}, {used}")
    if speed := sized.tokens_per_second:
        rate = f"{speed:.0f}" if speed >= 10 else f"{speed:.1f}"
        _line(
            "speed", f"about {rate} tokens of an answer a second; memory gives {machine.bandwidth / 1e9:.0f} GB/s now"
        )
    if found.largest and found.largest != sized.context:
        trained = ", as far as it was trained" if found.largest == found.trained else ""
        _line("context", f"up to {found.largest:,} tokens fit{trained}")
    if 0 < found.trained < sized.context:
        show.note(f"{found.name} was trained for {found.trained:,} tokens, not {sized.context:,}.")
    click.secho(found.reason, bold=True)


def _context(sized: Fit) -> str:
    slots = f", {sized.parallel} at once" if sized.parallel > 1 else ""
    return f"{sized.context:,} tokens of context{slots}"


def _copies(sized: Fit) -> str:
    if not sized.repacked:
        return ""
    return f"; {readable(sized.peak)} at most while there is room: {readable(sized.repacked)} of weights are copied"


def fit_json(found: Verdict) -> dict[str, object]:
    """As `fit`."""
    return {
        "name": found.name,
        "fits": found.fits,
        "verdict": found.word,
        "reason": found.reason,
        "needed_bytes": found.fit.needed,
        "peak_bytes": found.fit.peak,
        "largest_context": found.largest,
        "trained_context": found.trained,
        **asdict(found.fit),
        "machine": asdict(found.machine),
    }


def billions(parameters: int) -> str:
    """A number of parameters for people.

    >>> billions(1_777_088_000), billions(134_515_008), billions(0)
    ('1.8B', '135M', '')
    """
    if parameters >= 1e9:
        return f"{parameters / 1e9:.1f}B"
    return f"{parameters / 1e6:.0f}M" if parameters else ""


def plain(text: str, longest: int = LONGEST) -> str:
    """A text from a stranger's file in one line, without what would steer a terminal."""
    shown = "".join(" " if unicodedata.category(letter)[0] == "C" else letter for letter in text).rstrip()
    return shown if not longest or len(shown) <= longest else f"{shown[: longest - 3]}..."


def _line(name: str, said: str) -> None:
    click.echo(f"{click.style(f'{name:<12}', bold=True)}  {said}".rstrip())
