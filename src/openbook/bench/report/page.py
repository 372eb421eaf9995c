"""A comparison as one page: table, what can be told apart, pictures of quality against cost, every question.

Everything is in the one file, styles, pictures (SVG) and the script that sorts tables: it opens without a network, and
a policy in its head lets no other script run, whatever the documents say.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from openbook.bench.board import Board, Line, board, measured, numbered, point
from openbook.bench.constraints import Constraint
from openbook.bench.labels import factors, file_name, label, without_folders
from openbook.bench.quantities import QUANTITIES, written, written_p
from openbook.bench.report.parts import cell, escaped, heading, points, table
from openbook.bench.report.pictures import interval, picture, scale_of
from openbook.bench.report.questions import questions
from openbook.bench.results import Results, RunRow
from openbook.bench.scoring import Scorer
from openbook.recipe import Recipe
from openbook.text import count

STYLE, SCRIPT = (Path(__file__).with_name(f"report.{kind}") for kind in ("css", "js"))
BEST, FRONT = "\u25cf", "\u25b2"  # a filled circle, a triangle
PICTURED = ("answer", "first_token", "search", "ram", "cost", "disk", "index")


def page(
    results: Results,
    run: str = "",
    headline: str = "",
    against: int = 1,
    fit: Sequence[Constraint] = (),
    *,
    texts: bool = True,
) -> str:
    """The page of a run, of the last one when none is named; a few dozen kilobytes, and one for each answer.

    Without `texts` it has no word of questions, answers, golds or documents but the names of files.

    Raises:
        BookError: There is no such run, row or measure.
    """
    row = results.run(run)
    scorer = Scorer(results, row)
    found = board(scorer, headline, against, fit)
    labels = _labels(found)
    sections = {
        "Recipes": _recipes(found, labels, against),
        "What can be told apart": _told(found, labels, against),
        "Quality against cost": _pictures(found),
        "Questions": questions(scorer, found, texts=texts),
        "What was run": _run(row, found, labels, texts=texts),
    }
    body = [f"<h1>{escaped(found.run)}</h1>", *_summary(row, found, against)]
    links = (f'<a href="#s{at}">{name}</a>' for at, name in enumerate(sections))
    body.append(f"<nav>{' '.join(links)}</nav>")
    for at, (name, section) in enumerate(sections.items()):
        body += [f'<section id="s{at}"><h2>{name}</h2>', section, "</section>"]
    script = SCRIPT.read_text("utf-8")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'"
    title, style, content = escaped(found.run), STYLE.read_text("utf-8"), "\n".join(body)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: a comparison of recipes</title><style>{style}</style></head>\n"
        f"<body><main>\n{content}\n</main><script>{script}</script></body></html>\n"
    )


def _labels(found: Board) -> dict[int, str]:
    """Row's number -> what tells it from the others."""
    heads, values = factors([line.trial.recipe for line in found.lines])
    return {
        line.trial.number: without_folders(label(heads, [_short(value) for value in row]))
        for line, row in zip(found.lines, values, strict=True)
    }


def _short(value: str) -> str:
    """A value of an option; of a path its last part."""
    return file_name(value) if "(" not in value and ("/" in value or "\\" in value) else value


def _summary(row: RunRow, found: Board, against: int) -> Iterator[str]:
    yield f'<p class="verdict">{escaped(found.verdict)}</p>'
    if found.unfinished:
        yield f"<p>{escaped(found.unfinished)}</p>"
    if found.failures:
        yield f"<p>{count(len(found.failures), 'answer')} failed and counted as wrong.</p>"
    recipes = count(len(found.lines), "recipe")
    yield (
        f"<p>{found.questions:,} of {count(found.asked, 'question')} judged by {escaped(found.headline)}, "
        f"{recipes}, {escaped(row.made[:10])}. Row {against} is the baseline.</p>"
    )
    if found.judge:
        said, words = escaped(found.judge["said"]), escaped(found.judge["prompt"])
        yield f"<p>{said}</p><details><summary>What the judge is asked</summary><pre>{words}</pre></details>"


def _recipes(found: Board, labels: Mapping[int, str], against: int) -> str:
    lines = [line for line in found.lines if line.state != "waiting"]
    if not lines:
        return "<p>Nothing was asked yet.</p>"
    measures, quantities, equal = _without_equal(lines, found.headline, *measured(found, lines))
    heads = [
        heading("row"),
        heading("recipe"),
        *(heading(name, more=True) for name in measures),
        heading("difference", more=True),
        heading("p"),
        *(
            heading(QUANTITIES[name].label, more=QUANTITIES[name].more, title=QUANTITIES[name].told)
            for name in quantities
        ),
    ]
    rows = []
    for line in lines:
        cells = [
            f'<th scope="row" data-v="{line.trial.number}">{line.trial.number}{_marks(line)}</th>',
            f'<td class="recipe">{escaped(labels[line.trial.number])}{_state(line, against)}</td>',
            *(cell(line.means.get(name), points) for name in measures),
            cell(line.difference, lambda value: f"{100 * value:+.1f}"),
            cell(line.p, written_p),
            *(_quantity(line, name) for name in quantities),
        ]
        rows.append(f"<tr{' class=best' if line.best else ''}>{''.join(cells)}</tr>")
    caption = "Every recipe; measures are points of 100. A click on a heading sorts."
    said = [
        f"{BEST} and bold: cannot be told from the best.",
        f"{FRONT} on Pareto's front: no other row is better in {escaped(found.headline)}, speed and memory at once.",
        "~ measured while the machine was busy." if any(line.noisy for line in lines) else "",
        "p: paired randomisation test against the baseline, with Holm's correction.",
        f"Equal in all rows: {escaped(', '.join(equal))}." if equal else "",
    ]
    return f"{table(caption, heads, rows)}<p>{' '.join(filter(None, said))}</p>"


def _without_equal(
    lines: Sequence[Line], headline: str, measures: Sequence[str], quantities: Sequence[str]
) -> tuple[list[str], list[str], list[str]]:
    """Measures and quantities in which rows differ, and what the others are in all of them."""
    several = len(lines) > 1
    equal: list[str] = []
    kept: tuple[list[str], list[str]] = ([], [])
    for name in measures:
        shares = {line.means.get(name) for line in lines}
        if several and len(shares) == 1 and name != headline:
            equal.append(f"{name} {points(shares.pop() or 0.0)}")
        else:
            kept[0].append(name)
    for name in quantities:
        values = {line.quantities.get(name) for line in lines}
        if several and len(values) == 1:
            equal.append(f"{QUANTITIES[name].label} {written(name, values.pop() or 0.0)}")
        else:
            kept[1].append(name)
    return *kept, equal


def _marks(line: Line) -> str:
    marks = f"{BEST if line.best else ''}{FRONT if line.front else ''}"
    return f"&nbsp;{marks}" if marks else ""


def _state(line: Line, against: int) -> str:
    said = ["baseline"] if line.trial.number == against else []
    said += [f"{line.state}, {count(line.asked, 'question')}"] if line.state in {"running", "dropped"} else []
    said += [f"does not fit: {why}" for why in line.misfits]
    return f" <small>({escaped('; '.join(said))})</small>" if said else ""


def _quantity(line: Line, name: str) -> str:
    sign = "~" if name in line.spoiled else ""
    if name == "cost":
        return cell(line.quantities.get(name), lambda value: f"{1000 * value:.2f}")
    return cell(line.quantities.get(name), lambda value: f"{sign}{written(name, value)}")


def _told(found: Board, labels: Mapping[int, str], against: int) -> str:
    """Intervals of the headline, drawn on one scale, in two groups."""
    tested = [line for line in found.lines if line.tested]
    if not tested or not found.questions:
        return "<p>Nothing was judged in every row yet.</p>"
    scale = scale_of([value for line in tested for value in (line.low, line.high)])
    base = next((line.means.get(found.headline) for line in tested if line.trial.number == against), None)
    rows = []
    for kind, best in (("Cannot be told from the best", True), ("Worse than the best, by more than luck", False)):
        group = [line for line in tested if line.best == best]
        if not group:
            continue
        rows.append(f'</tbody><tbody><tr><th scope="rowgroup" colspan="3">{kind}</th></tr>')
        for line in group:
            mean = line.means[found.headline]
            drawn = interval(scale, line.low, mean, line.high, base, filled=best)
            rows.append(
                f'<tr><th scope="row">{line.trial.number}</th><td class="recipe"><div><span>'
                f"{escaped(labels[line.trial.number])}</span>{drawn}</div></td><td>{points(mean)}<br>"
                f"<small>{100 * line.low:.0f}-{100 * line.high:.0f}</small></td></tr>"
            )
    heads = [f'<th scope="col">{name}</th>' for name in ("row", "recipe and 95 % interval", "mean")]
    dashed = " The dashed line is the baseline." if base is not None else ""
    over = count(found.questions, "question")
    caption = f"{escaped(found.headline)} over {over}, from {scale[0]:.0f} to {scale[1]:.0f}."
    said = (
        "<p>Of twenty such intervals nineteen hold the mean of all questions of this kind. Intervals "
        "that overlap do not say that rows are alike: the groups are by a test of all rows at once, paired by "
        "question.</p>"
    )
    return table(caption + dashed, heads, rows, "told") + said


def _pictures(found: Board) -> str:
    lines = [line for line in found.fitting if line.tested]
    best = {line.trial.number for line in lines if line.best}
    drawn = []
    for name in PICTURED:
        placed = {
            line.trial.number: (value, 100 * line.means[found.headline])
            for line in lines
            if (value := line.quantities.get(name)) is not None
        }
        if len({value for value, _ in placed.values()}) > 1:
            title = f"{found.headline} and {QUANTITIES[name].told}"
            drawn.append(picture(title, placed, partial(written, name), best))
    if not drawn:
        return "<p>Nothing to draw: no two rows differ in what was measured.</p>"
    said = (
        "<p>Up is better, left is cheaper. Filled and joined: no other row is better in both. Bold numbers cannot be "
        "told from the best.</p>"
    )
    return f'{said}<div class="pictures">{"".join(drawn)}</div>{_front(found, lines)}'


def _front(found: Board, lines: Sequence[Line]) -> str:
    """The rows that no other beats in three things at once, with the three."""
    front = [line for line in lines if line.front]
    unknown = [line for line in lines if line.front is None]
    if not front:
        return ""
    rows = []
    for line in front:
        quality, seconds, ram = point(line, found.headline)
        cells = [
            cell(quality, points),
            cell(None if seconds is None else -seconds, lambda value: written("answer", value)),
            cell(None if ram is None else -ram, lambda value: written("ram", value)),
        ]
        rows.append(f'<tr><th scope="row">{line.trial.number}</th>{"".join(cells)}</tr>')
    of = "an answer" if any(line.trial.answer_key for line in front) else "a search"  # as board.point takes it
    heads = [heading("row"), heading(found.headline, more=True), heading(f"seconds of {of}"), heading("memory")]
    said = f"<p>{numbered(unknown)}: not judged here, as speed or memory is not known yet.</p>" if unknown else ""
    caption = f"{FRONT} Rows that no other beats in quality, speed and memory at once; luck is not counted here."
    return table(caption, heads, rows) + said


def _run(row: RunRow, found: Board, labels: Mapping[int, str], *, texts: bool) -> str:
    left_out = {"made_with", "sweep", "dropped", *(() if row.settings.get("minutes") else ("minutes",))}
    parts = [_facts("Settings", {key: value for key, value in row.settings.items() if key not in left_out})]
    if made_with := row.settings.get("made_with"):
        parts.append(_facts("Made with", _of_any_machine(made_with)))
    if sweep := row.settings.get("sweep"):
        parts.append(f"<h3>Sweep</h3><pre>{escaped(without_folders(str(sweep)))}</pre>")
    parts.append("<h3>Recipes</h3>")
    for line in sorted(found.lines, key=lambda line: line.trial.number):
        whole = Recipe.from_dict(line.trial.recipe).to_toml()
        recipe = without_folders(whole)
        use = f"openbook use {found.run}:{line.trial.number} -b BOOK"
        if recipe != whole:
            use += "\n# The folders of files are left out below; that command knows them."
        parts.append(
            f"<details><summary>Row {line.trial.number}: {escaped(labels[line.trial.number])}</summary>"
            f"<pre># {escaped(use)}\n[recipe]\n{escaped(recipe)}</pre></details>"
        )
    return "".join(parts)


def _of_any_machine(made_with: Mapping[str, Any]) -> dict[str, Any]:
    """What made a run, of the system its name and kind: runs of old kept the release, which may name the machine."""
    machine = dict(made_with.get("machine", {}))
    if words := str(machine.get("system", "")).split():
        machine["system"] = " ".join(dict.fromkeys([words[0], words[-1]]))
    return {**made_with, "machine": machine}


def _facts(title: str, facts: Mapping[str, Any]) -> str:
    rows = [
        f'<tr><th scope="row">{escaped(_said(str(key)))}</th><td class="text">{escaped(_said(value))}</td></tr>'
        for key, value in facts.items()
        if value not in ([], {}, "")
    ]
    return f'<table class="facts"><caption>{escaped(title)}</caption><tbody>{"".join(rows)}</tbody></table>'


def _said(value: object) -> str:
    """A setting in words: lists and tables as lines."""
    if isinstance(value, Mapping):
        return "\n".join(f"{_said(str(key))} {_said(one)}" for key, one in value.items())
    if isinstance(value, list):
        return "\n".join(map(_said, value))
    return without_folders(value) if isinstance(value, str) else json.dumps(value)
