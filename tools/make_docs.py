"""Writes docs/commands.md and docs/components.md from the code; with --check only compares."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from openbook import registry
from openbook.app.cli import cli
from openbook.recipe import Recipe, Spec

DOCS = Path(__file__).parents[1] / "docs"
GENERATED = "<!-- Written by tools/make_docs.py: change the code, then run `make fix`. -->\n"


def commands() -> str:
    """Every help page, in the order `openbook --help` lists them."""
    parts = ["# Commands\n", GENERATED]
    for path, command in walk("openbook", cli):
        context = click.Context(command, info_name=path, max_content_width=100, terminal_width=100)
        parts.append(f"\n## {path}\n\n```text\n{command.get_help(context)}\n```\n")
    return "".join(parts)


def walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command and those below it, with what is typed."""
    yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from walk(f"{path} {name}", child)


def components() -> str:
    """A table for each step."""
    parts = [
        "# Components\n",
        GENERATED,
        "\nWhat each step of a recipe can be, with its options and their defaults.\n",
        'Choose with `--set STEP=SPEC`, such as `--set "splitter=chars(size=1000)"`.\n',
    ]
    default = Recipe()
    for step in registry.KINDS:
        names = {spec.name for spec in default.specs(step)}
        parts.append(f"\n## {step}\n\n")
        if not registry.entries(step):
            parts.append("None yet: the step is left out.\n")
            continue
        parts.append("| component | what it is |\n|---|---|\n")
        for name, entry in registry.entries(step).items():
            spec = Spec(name, registry.check(step, Spec(name)))
            mark = " **default**" if name in names else ""
            extra = f" (needs `pip install 'openbook[{entry.extra}]'`)" if entry.extra else ""
            parts.append(f"| `{spec}` | {entry.purpose}{extra}{mark} |\n")
    return "".join(parts)


def main() -> int:
    """Write or compare; 1 when something differs."""
    stale = []
    for name, text in (("commands.md", commands()), ("components.md", components())):
        path = DOCS / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        print(f"docs are not in sync with the code: {', '.join(stale)}. Run: make fix")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
