"""`openbook models`: parse, call one library function, print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openbook.app.models_compare import compare
from openbook.app.models_quantize import quantize
from openbook.app.models_show import models_fit, models_show
from openbook.app.models_try import models_try
from openbook.app.options import Sorted, json_option
from openbook.errors import ModelError

if TYPE_CHECKING:
    from openbook.models.catalogue import Model
    from openbook.models.references import Agree
    from openbook.models.repositories import Repository


@click.group(invoke_without_command=True, cls=Sorted)
@json_option
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """List the models: what is here, what can be had, size, licence, whether they fit this machine."""
    if ctx.invoked_subcommand is None:
        from openbook.app import show_fit
        from openbook.machine import this_machine

        show_fit.models(this_machine(probe=False), as_json=as_json)


@models.command("pull")
@click.argument("name", metavar="NAME|hf:OWNER/REPO[:FILE]")
@click.option("--search", is_flag=True, help="Only list what the repository holds, and what fits this machine.")
@click.option("--name", "called", metavar="NAME", default="", help="What to call a model from Hugging Face here.")
@click.option(
    "--from", "source", type=click.Path(path_type=Path), default=None, help="A folder that holds the file already."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask, whatever the licence.")
@json_option
def models_pull(name: str, search: bool, called: str, source: Path | None, yes: bool, as_json: bool) -> None:
    """Download a model, resumed if it was stopped, and verify its SHA-256.

    NAME is one of the catalogue. Any other GGUF on Hugging Face is hf:OWNER/REPO:FILE, where a quantisation such as
    Q4_K_M may stand for FILE. It gets a name in your own catalogue, pinned to what it is now.
    """
    from openbook.app import show
    from openbook.models.references import is_reference
    from openbook.models.transfer import size_of

    if (search or called) and not is_reference(name):
        raise click.UsageError("--search and --name are for a model on Hugging Face: hf:OWNER/REPO:FILE")
    if search:
        from openbook.app import show_models
        from openbook.models.references import look

        show_models.repository(look(name, show.note), as_json=as_json)
        return
    if is_reference(name):
        from openbook.models.references import adopt

        row = adopt(name, _agree(yes=yes), show.note, called)
        name, path = row.name, _pull(row, source)
    else:
        path = _pull(name, source)
    if as_json:
        # A converted model is a folder.
        size_bytes = sum(map(size_of, path.iterdir())) if path.is_dir() else size_of(path)
        show.as_json({"name": name, "path": str(path), "size_bytes": size_bytes})
    else:
        click.echo(f"{name} is in {path}")


def _agree(*, yes: bool) -> Agree:
    def agree(repository: Repository, model: Model) -> None:
        """Show the licence; ask where it is not known to let anybody use the model."""
        from openbook.app import show
        from openbook.models.catalogue import UNKNOWN_LICENCE

        unknown = repository.licence == UNKNOWN_LICENCE
        said = "says no licence" if unknown else f"licence {repository.licence}"
        show.note(f"{repository.name}: {said}, {repository.licence_note}")
        if yes or repository.is_open:
            return
        why = "Nobody says what you may do with it." if unknown else "It may limit what you do with it; read it first."
        try:
            agreed = click.confirm(f"{why} Download {model.name} now?", default=False, err=True)
        except click.Abort:
            if sys.stdin.isatty():  # Ctrl-C
                raise
            agreed = False
        if not agreed:
            raise ModelError(f"{model.name} was not pulled. With --yes the licence is not asked about.")

    return agree


def _pull(wanted: str | Model, source: Path | None) -> Path:
    from openbook.app import show
    from openbook.models.catalogue import catalogue, readable
    from openbook.models.pull import pull

    row = catalogue().get(wanted) if isinstance(wanted, str) else wanted
    if row is not None and row.size_bytes:  # else there is nothing to pull
        click.echo(f"{row.name}: {readable(row.size_bytes)}, licence {row.licence}", err=True)
    with show.Bar() as report:
        return pull(wanted, report=report, folder=source, say=show.note)


@models.command("remove")
@click.argument("name")
@json_option
def models_remove(name: str, as_json: bool) -> None:
    """Delete the file of a pulled model; of one from hf:... also its row in your catalogue."""
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
models.add_command(models_try)
models.add_command(models_show)
models.add_command(models_fit)
