"""`openbook models quantize`: parse, call one library function, print."""

from __future__ import annotations

from pathlib import Path

import click

from openbook.app.options import json_option


@click.command("quantize")
@click.argument("name")
@click.option("--to", required=True, metavar="TYPE,TYPE", help="What to make, such as: q4_k_m,q3_k_m,q2_k")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="The folder to write to.")
@json_option
def quantize(name: str, to: str, out: Path | None, as_json: bool) -> None:
    """Make smaller files of a model: the same network in fewer bits.

    NAME is a model that is here, or a path to a .gguf file. The result is a model by one word: NAME-TYPE.
    """
    from dataclasses import asdict

    from openbook.app import show
    from openbook.models.catalogue import readable
    from openbook.models.quantising import quantise, wanted_types

    found = []
    with show.Bar() as bar:
        for one in quantise(name, wanted_types(to), folder=out, report=bar, say=show.note):
            found.append(one)
            if not as_json:
                bits = f", {one.bits:.1f} bits a weight" if one.bits else ""
                how = "was here" if one.kept else f"from {one.source_quantisation} in {show.duration(one.seconds)}"
                click.echo(f"{one.name}: {readable(one.size_bytes)}{bits}, {how}; {show.path(str(one.path))}")
    if as_json:
        show.as_json([{**asdict(one), "path": str(one.path)} for one in found])
