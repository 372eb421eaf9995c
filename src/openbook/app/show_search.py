"""What `openbook explain` prints."""

from __future__ import annotations

import click

from openbook.app import show
from openbook.explaining import Explanation, Rank, Row

SHORT = 60  # characters of a passage


def explanation(found: Explanation) -> None:
    """A table of ranks, one row for each passage, one column for each list; then what became of the wanted one."""
    if found.language:
        click.echo(f"The question is in another language ({found.language}) than the documents.\n")
    columns = list(dict.fromkeys(["dense", "bm25", *(step.name for step in found.steps)]))
    rows = [["shown", *columns, "passage"]]
    wanted = found.wanted.row if found.wanted else None
    listed = [*found.rows]
    if wanted and not wanted.shown and all(wanted.passage.chunk != row.passage.chunk for row in listed):
        listed.append(wanted)
    rows += [[_number(row), *(_cell(row.ranks.get(name)) for name in columns), _passage(row)] for row in listed]
    show.table(rows)
    steps = (f"{step.name} {len(step.passages)} in {step.seconds * 1000:.0f} ms" for step in found.steps)
    click.secho(f"\npassages: {', '.join(steps)}", dim=True)
    if found.wanted:
        click.echo()
        if wanted:
            click.secho(show.where(wanted.passage), bold=True)
        click.echo(found.wanted.verdict)


def _number(row: Row) -> str:
    return f"[{row.shown}]" if row.shown else "-"


def _cell(rank: Rank | None) -> str:
    return f"{rank.rank} ({rank.score:.3f})" if rank else "-"


def _passage(row: Row) -> str:
    chunk = row.passage.chunk
    text = " ".join(chunk.text.split())
    place = chunk.place or show.path(row.passage.source).rpartition("/")[2]
    return f"{place}: {text[:SHORT]}{'...' if len(text) > SHORT else ''}"


def explanation_json(found: Explanation) -> dict[str, object]:
    """As `explanation`."""
    return {
        "question": found.question,
        "foreign_language": found.language,
        "steps": [
            {"name": step.name, "passages": len(step.passages), "seconds": round(step.seconds, 4)}
            for step in found.steps
        ],
        "passages": [_row_json(row) for row in found.rows],
        "wanted": None
        if found.wanted is None
        else {
            "text": found.wanted.text,
            "verdict": found.wanted.verdict,
            "passage": _row_json(found.wanted.row) if found.wanted.row else None,
        },
    }


def _row_json(row: Row) -> dict[str, object]:
    ranks = {name: {"rank": rank.rank, "score": round(rank.score, 6)} for name, rank in row.ranks.items()}
    said = show.passage_json(row.shown, row.passage)
    del said["score"], said["via"]
    return {**said, "ranks": ranks}
