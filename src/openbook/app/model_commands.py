"""`openbook models`: parse, call one library function, print."""

from __future__ import annotations

from pathlib import Path

import click

from openbook.app.models_compare import compare
from openbook.app.models_quantize import quantize
from openbook.app.options import Sorted, json_option
from openbook.errors import ModelError


@click.group(invoke_without_command=True, cls=Sorted)
@json_option
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """List the models: what is here, what can be had, size, licence."""
    if ctx.invoked_subcommand is None:
        from openbook.app import show

        show.models(as_json=as_json)


@models.command("pull")
@click.argument("name")
@click.option(
    "--from", "source", type=click.Path(path_type=Path), default=None, help="A folder that holds the file already."
)
@json_option
def models_pull(name: str, source: Path | None, as_json: bool) -> None:
    """Download a model, resumed if it was stopped, and verify its SHA-256."""
    from openbook.app import show
    from openbook.models.transfer import size_of

    path = _pull(name, source)
    if as_json:
        # A converted model is a folder.
        size_bytes = sum(map(size_of, path.iterdir())) if path.is_dir() else size_of(path)
        show.as_json({"name": name, "path": str(path), "size_bytes": size_bytes})
    else:
        click.echo(f"{name} is in {path}")


def _pull(name: str, source: Path | None) -> Path:
    from openbook.app import show
    from openbook.models.catalogue import model, readable
    from openbook.models.pull import pull

    wanted = model(name)
    if wanted.size_bytes:  # else there is nothing to pull
        click.echo(f"{wanted.name}: {readable(wanted.size_bytes)}, licence {wanted.licence}", err=True)
    with show.Bar() as report:
        return pull(name, report=report, folder=source, say=show.note)


@models.command("remove")
@click.argument("name")
@json_option
def models_remove(name: str, as_json: bool) -> None:
    """Delete the file of a pulled model."""
    from openbook.app import show
    from openbook.models.pull import remove as remove_model

    removed = remove_model(name)
    if as_json:
        show.as_json({"removed": str(removed)})
    else:
        click.echo(f"Removed {removed}")


def pull_if_missing(name: str, *, yes: bool) -> None:
    """Get a model of the catalogue that is not here, after asking."""
    from openbook.models import find

    try:
        find(name)
    except ModelError as error:
        from openbook.app import show
        from openbook.models.catalogue import catalogue

        if name not in catalogue():
            raise
        if not yes and not click.confirm(f"{error}\nDownload it now?", default=True, err=True):
            raise
        show.command(f"openbook models pull {name}")
        _pull(name, None)


models.add_command(quantize)
models.add_command(compare)
