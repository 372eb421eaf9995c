"""`openbook why`: parse, call one library function, print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from openbook.app.options import json_option

if TYPE_CHECKING:
    from openbook.bench.diagnosis.tracing import Lost, Why
    from openbook.bench.questions import Question
    from openbook.bench.results import Results, RunRow, TrialRow

SHOWN = 12  # ids of a step, and rows that have it right
SHORT = 100  # characters of an expected answer
LIKE_IT = 3  # questions that a text may mean, to be listed


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[RUN] ROW [QUESTION]")
@json_option
def why(words: tuple[str, ...], as_json: bool) -> None:
    """Say which step lost a question in a comparison's row: reading, splitting, search, rank, budget, model, ...

    Without QUESTION, all that the row got wrong are counted by step. QUESTION is an id or the beginning of its text. A
    row is written `sweep 3` or `sweep:3`; without RUN it is one of the last comparison: `3`, `:3`. The row's index is
    searched again; no model is asked.
    """
    from openbook.app import show
    from openbook.app.leaving import Leaving, embedder_host
    from openbook.bench.diagnosis.tracing import Tracer
    from openbook.bench.questions import key_of
    from openbook.bench.results import Results, results_path
    from openbook.bench.scoring import Scorer
    from openbook.recipe import Recipe

    with Results(results_path()) as results:
        run, trial, asked = chosen(results, words)
        scorer = Scorer(results, run)
        question = named(scorer.questions, asked) if asked else None
        with Tracer(scorer, trial) as tracer:
            if tracer.book is not None:
                Leaving().say("The questions" if question is None else "The question",
                              embedder_host(Recipe.from_dict(trial.recipe)))  # fmt: skip
            if question is not None:
                found = tracer.why(question)
                said = scorer.answer(trial, key_of(question))  # nothing of a row that only searches
                if as_json:
                    show.as_json(_head_json(run, trial) | _json(found, said))
                else:
                    _show(run, trial, found, said)
                return
            with show.Bar() as report:
                lost = tracer.all(report)
    if as_json:
        show.as_json(_head_json(run, trial) | _lost_json(lost))
    else:
        _show_lost(run, trial, lost)


def chosen(results: Results, words: tuple[str, ...]) -> tuple[RunRow, TrialRow, str]:
    """The run, the row and the words of a question that a command line means.

    Raises:
        BookError: There is no such run or row, or none is named.
    """
    from openbook.errors import BookError

    first, *rest = words
    name, sign, number = first.rpartition(":")
    if sign and number.isdecimal():
        row, asked = first, rest
    elif rest and rest[0].isdecimal() and (first in results.runs() or not first.isdecimal()):
        row, asked = f"{first}:{rest[0]}", rest[1:]
    elif first.isdecimal():
        row, asked = f":{first}", rest
    else:
        results.run(first)  # says where there is none of that name
        raise BookError(f"Which row of {first}? Write its number: openbook why {first} 1")
    name = row.rpartition(":")[0]
    return results.run(name), results.trial(row), " ".join(asked).strip()


def named(questions: list[Question], asked: str) -> Question:
    """The question of that id, or whose text begins so.

    Raises:
        BookError: There is none, or there are several.
    """
    from openbook.errors import BookError
    from openbook.recipe import did_you_mean

    begin = " ".join(asked.split()).casefold()
    if same := [one for one in questions if one.id == asked]:
        return same[0]
    like = [one for one in questions if " ".join(one.text.split()).casefold().startswith(begin)]
    if len(like) == 1:
        return like[0]
    if like:
        some = ", ".join(one.id for one in like[:LIKE_IT])
        raise BookError(f"{len(like)} questions begin with {asked!r}, such as {some}. Write an id, or more of one.")
    hint = did_you_mean(asked, [one.id for one in questions] + [one.text for one in questions])
    raise BookError(f"The comparison has no question {asked!r}.{hint} Write its id, or how it begins.")


def _show(run: RunRow, trial: TrialRow, found: Why, said: dict[str, Any]) -> None:
    from openbook.text import beginning

    question = found.question
    click.echo(f"{run.name}, row {trial.number}: {trial.label}")
    click.secho(f"{question.id}: {question.text}", bold=True)
    if question.answers:
        click.echo(f"expected  {' | '.join(beginning(one, SHORT) for one in question.answers)}")
    elif not question.answerable:
        click.echo("expected  that the documents do not say")
    if said.get("text"):
        click.echo(f"said      {beginning(said['text'], 2 * SHORT)}")
    click.echo()
    for step, what in found.steps:
        click.echo(f"  {step:<10}{what}")
    if found.steps:
        click.echo()
    click.secho(f"Lost by {found.lost}. {found.because}" if found.lost else found.because, bold=True)
    for one in found.tries:
        click.echo(f"Try: {one.setting} ({one.known})")
    if found.right_in:
        labels = {one.number: one.label for one in run.trials}
        more = f", {len(found.right_in) - 1} more" if len(found.right_in) > 1 else ""
        click.echo(f"Right in row {found.right_in[0]}: {labels[found.right_in[0]]}{more}")


def _show_lost(run: RunRow, trial: TrialRow, lost: Lost) -> None:
    from openbook.app import show

    total = sum(map(len, lost.by_step.values()))
    parts = ", ".join(f"{len(found)} {step}" for step, found in lost.by_step.items())
    click.echo(f"{run.name}, row {trial.number}: {trial.label}")
    unknown = f"; {lost.unknown:,} not asked or not judged" if lost.unknown else ""
    asked = show.count(lost.asked, "question")
    click.secho(f"Of {asked} {total:,} lost{f': {parts}' if parts else ''}{unknown}.\n", bold=True)
    if lost.by_step:
        show.table([[step, str(len(found)), _ids(found)] for step, found in lost.by_step.items()])
    if lost.tries:
        click.echo("\nWhat may win some of them, and lose others: compare it, as a line of [vary].")
        for setting, count in lost.tries[:SHOWN]:
            click.echo(f"  {count:>3}  {setting}")
    if total:
        first = next(iter(lost.by_step.values()))[0]
        click.echo(f"\nOne of them step by step: openbook why {run.name} {trial.number} {first}")


def _ids(found: Sequence[str]) -> str:
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more


def _head_json(run: RunRow, trial: TrialRow) -> dict[str, Any]:
    return {"run": run.name, "row": trial.number, "varied": trial.varied}


def _json(found: Why, said: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": found.question.id,
        "question": found.question.text,
        "expected": list(found.question.answers),
        "answerable": found.question.answerable,
        "said": said.get("text"),
        "lost": found.lost,
        "because": found.because,
        "steps": [{"step": step, "said": what} for step, what in found.steps],
        "try": [{"setting": one.setting, "known": one.known, "sure": one.sure} for one in found.tries],
        "right_in": list(found.right_in),
    }


def _lost_json(lost: Lost) -> dict[str, Any]:
    return {
        "judged": lost.asked,
        "not_judged": lost.unknown,
        "lost": {step: list(found) for step, found in lost.by_step.items()},
        "try": [{"setting": setting, "questions": count} for setting, count in lost.tries],
    }
