"""`openbook models compare`: parse, call one library function, print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from openbook.app.options import json_option

if TYPE_CHECKING:
    from openbook.models.comparing import Compared, Estimate

COLUMNS = (
    "model, size, bits/weight, tokens/s, reading, memory, perplexity, against the largest, KL, KL p99, same choice, "
    "bits/byte"
)


@click.command("compare")
@click.argument("names", nargs=-1, required=True)
@click.option(
    "--text", "text", type=click.Path(path_type=Path), required=True, help="A file of plain text, such as your own."
)
@click.option("--tokens", type=int, default=4096, show_default=True, help="How much of it to read.")
@click.option("--picture", type=click.Path(path_type=Path), default=None, help="Write the table as an SVG too.")
@json_option
def compare(names: tuple[str, ...], text: Path, tokens: int, picture: Path | None, as_json: bool) -> None:
    """Set models side by side on your own text: size, speed, memory, and what was lost against the largest."""
    from dataclasses import asdict

    from openbook.app import show
    from openbook.errors import ModelError
    from openbook.models.comparing import compare as compare_models

    if picture is not None and not picture.absolute().parent.is_dir():  # before minutes of work
        raise ModelError(f"Cannot write {picture}: there is no such folder. Name another file.")
    with show.Bar() as bar:
        found = compare_models(names, text, tokens=tokens, report=bar, say=show.note)
    if as_json:
        show.as_json([{**asdict(one), "path": str(one.path)} for one in found])
    else:
        show.table([COLUMNS.split(", "), *map(_row, found)])
    if picture is not None:
        write(picture, found)
        show.note(f"The picture is in {show.path(str(picture))}")


def _row(one: Compared) -> list[str]:
    from openbook.models.catalogue import readable

    return [
        one.name,
        readable(one.size_bytes),
        f"{one.bits:.1f}",
        f"{one.tokens_per_second:.1f}",
        f"{one.prompt_tokens_per_second:.0f}",
        readable(one.peak_bytes) if one.peak_bytes else "-",
        _both(one.perplexity, ".2f"),
        _both(one.change, "+.1f", 100, " %"),
        _both(one.kl, ".4f"),
        "-" if one.kl_p99 is None else f"{one.kl_p99:.2f}",
        _both(one.same_choice, ".1f", 100, " %"),
        f"{one.bits_per_byte:.3f}",
    ]


def _both(value: Estimate | None, form: str, scale: float = 1, unit: str = "") -> str:
    """A mean and its standard error."""
    if value is None:
        return "-"
    return f"{scale * value.mean:{form}} ± {scale * value.error:{form.removeprefix('+')}}{unit}"


def write(path: Path, found: list[Compared]) -> None:
    """The table as bars.

    Raises:
        ModelError: The file cannot be written.
    """
    from openbook.errors import ModelError
    from openbook.models.catalogue import readable
    from openbook.models.picture import Column, bars
    from openbook.writing import write as write_file

    columns = [
        Column("size", [readable(one.size_bytes) for one in found], [one.size_bytes for one in found]),
        Column(
            "memory",
            [readable(one.peak_bytes) if one.peak_bytes else "-" for one in found],
            [one.peak_bytes or None for one in found],
        ),
        Column("tokens/s", [f"{one.tokens_per_second:.1f}" for one in found], [one.tokens_per_second for one in found]),
        Column("bits/byte", [f"{one.bits_per_byte:.3f}" for one in found], [one.bits_per_byte for one in found]),
        Column(
            "KL to the largest",
            [_both(one.kl, ".4f") for one in found],
            [one.kl.mean if one.kl else None for one in found],
        ),
    ]
    try:
        write_file(path, bars([one.name for one in found], columns))
    except OSError as error:
        raise ModelError(f"Cannot write {path}: {error.strerror or error}. Name another file.") from error
