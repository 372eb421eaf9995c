"""`openbook models try`: parse, call one library function, print."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from openbook.app.options import json_option

if TYPE_CHECKING:
    from openbook.trying import Score, Trial


@click.command("try")
@click.argument("model", metavar="FILE|NAME")
@click.option("--template", metavar="NAME|FILE", default="", help="Speak to it so: a known format, or a Jinja file.")
@click.option("--formats", is_flag=True, help="Also measure what a wrong format costs: takes four times as long.")
@click.option("-v", "--verbose", is_flag=True, help="Show the questions and its answers too.")
@json_option
def models_try(model: str, template: str, formats: bool, verbose: bool, as_json: bool) -> None:
    """Load a model, check its chat format, ask it ten questions about a page, say what it is good for."""
    from openbook.app import show
    from openbook.llms.llamacpp import LlamaCpp
    from openbook.trying import CONTEXT, try_model

    llm = LlamaCpp(model=model, template=template, context=CONTEXT)
    trained = llm.header.context_length
    if 0 < trained < CONTEXT:
        llm = dataclasses.replace(llm, context=trained)
    try:
        with show.Bar() as report:
            trial = try_model(llm, formats=formats, report=report)
    finally:
        llm.close()
    if as_json:
        show.as_json(trial_json(trial))
    else:
        show_trial(trial, verbose=verbose)


def show_trial(trial: Trial, *, verbose: bool) -> None:
    """What trying a model showed, for people."""
    from openbook.app import show
    from openbook.models.catalogue import readable
    from openbook.trying import ANSWERABLE, QUESTIONS, UNANSWERABLE

    score = trial.score
    if trial.guessed:
        show.note(f"{trial.name}: the format is a guess ({trial.format}). Name it with: --template NAME")
    click.secho(trial.name, bold=True)
    click.echo(f"format   {trial.format}")
    for finding in trial.findings:
        click.echo(f"         {finding}")
    click.echo(
        f"score    {score.clean} of {ANSWERABLE} right, {score.refused} of {UNANSWERABLE} refused that are not there, "
        f"{score.ended} of {len(QUESTIONS)} ended by itself"
    )
    click.echo(
        f"speed    reads {trial.prompt_speed:.0f} tokens a second, writes {trial.answer_speed:.0f}; "
        f"loaded in {trial.load_seconds:.1f} s"
    )
    click.echo(f"memory   {readable(trial.peak_bytes) + ' at most' if trial.peak_bytes else 'not told by this system'}")
    click.echo(f"verdict  {trial.verdict}")
    if trial.formats:
        click.echo()
        head = ("format", f"right of {ANSWERABLE}", "clean", f"refused of {UNANSWERABLE}", "ended by itself")
        show.table([head, *(_row(one) for one in (score, *trial.formats))])
    if verbose:
        for one in (score, *trial.formats):
            click.echo()
            click.secho(one.format, bold=True)
            for said in one.said:
                mark = "+" if said.clean else "-"
                click.echo(f"{mark} {said.question} {' '.join(said.answer.split())}")


def _row(score: Score) -> tuple[str, ...]:
    return (score.format, *map(str, (score.right, score.clean, score.refused, score.ended)))


def trial_json(trial: Trial) -> dict[str, Any]:
    """What trying a model showed, for programs."""
    said = dataclasses.asdict(trial)
    for score, counted in zip((trial.score, *trial.formats), (said["score"], *said["formats"]), strict=True):
        counted |= {"right": score.right, "clean": score.clean, "refused": score.refused, "ended": score.ended}
    return said
