"""`openbook models show` and `fit`: parse, call one library function, print."""

from __future__ import annotations

import re
from typing import Any

import click

from openbook.app.options import json_option

UNITS = {"": 10**9, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "MIB": 1 << 20, "GIB": 1 << 30}


class Size(click.ParamType[int]):
    """Bytes, written as one says them."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        found = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([A-Za-z]*)\s*", str(value))
        if not found or (unit := UNITS.get(found[2].upper().removesuffix("/S"))) is None:
            self.fail(f"{value!r} is no amount of memory; write it like 64GB or 500MB.")
        return round(float(found[1]) * unit)


@click.command("show")
@click.argument("name", metavar="FILE|NAME")
@click.option("-v", "--verbose", is_flag=True, help="Show the whole template.")
@json_option
def models_show(name: str, as_json: bool, verbose: bool) -> None:
    """Say what a GGUF file is: network, true size, quantisation, template, licence, sha256.

    Read from its header; nothing is loaded.
    """
    from openbook.app import show, show_fit
    from openbook.models.facts import facts, known_as, sha256

    found = facts(name)
    if not as_json:
        show_fit.facts(found, verbose=verbose)
    with show.Bar() as report:
        digest = sha256(found.path, report)
    if as_json:
        show.as_json(show_fit.facts_json(found, digest, known_as(digest)))
    else:
        show_fit.digest(digest, known_as(digest))


@click.command("fit")
@click.argument("name", metavar="FILE|NAME")
@click.option("--context", type=click.IntRange(1, 1 << 24), metavar="N", help="Tokens of context.  [default: 4096]")
@click.option("--cache-type", default="f16", show_default=True, help="What keys and values are kept in: f16, q8_0 ...")
@click.option("--parallel", type=click.IntRange(1, 256), default=1, help="Conversations at once, each of --context.")
@click.option("--ram", type=Size(), metavar="SIZE", help="Another machine, with so much memory: 64GB")
@click.option("--vram", type=Size(), metavar="SIZE", help="... and so much on its graphics card: 24GB")
@json_option
def models_fit(
    name: str, context: int | None, cache_type: str, parallel: int, ram: int | None, vram: int | None, as_json: bool
) -> None:
    """Say what a model takes and whether it fits: weights, cache, buffers; layers on the GPU; tokens a second.

    For this machine, or for one named by --ram and --vram. For a model that is not here yet it is an estimate.
    """
    from openbook.app import show, show_fit
    from openbook.machine import this_machine
    from openbook.models.fit import named_machine
    from openbook.models.verdict import judge

    if ram == 0:
        raise click.BadParameter("a machine has some memory, such as 64GB.", param_hint="'--ram'")
    named = ram is not None or vram is not None
    machine = this_machine(probe=not named)
    if named:
        machine = named_machine(machine, ram or 0, vram or 0)
    found = judge(name, machine, context=context, cache_type=cache_type, parallel=parallel)
    if as_json:
        show.as_json(show_fit.fit_json(found))
    else:
        show_fit.fit(found)
