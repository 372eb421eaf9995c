"""The house is in order: docs in sync, everything mentioned, nothing of this workplace in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from openbook import registry
from openbook.app.cli import cli

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="not a checkout")


def test_docs_are_in_sync_with_the_code() -> None:
    result = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "make_docs.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_every_component_and_command_is_in_the_docs() -> None:
    reference = (ROOT / "docs" / "components.md").read_text(encoding="utf-8")
    for kind in registry.KINDS:
        for name in registry.entries(kind):
            assert f"| `{name}" in reference
    commands = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for name in cli.commands:
        assert f"## openbook {name}" in commands


def test_every_command_but_the_demo_speaks_json() -> None:
    todo: list[tuple[str, click.Command]] = [("openbook", cli)]
    silent = set()
    for name, command in todo:  # grows meanwhile
        below = command.commands if isinstance(command, click.Group) else {}
        todo += [(f"{name} {one}", other) for one, other in below.items()]
        if not below and not any("--json" in one.opts for one in command.params):
            silent.add(name)
    assert silent == {"openbook demo"}


def test_every_link_in_the_docs_leads_somewhere() -> None:
    import re

    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for target, place in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?", page.read_text(encoding="utf-8")):
            if target.startswith(("http://", "https://", "mailto:")):
                continue
            other = page.parent / target if target else page
            assert other.exists(), f"{page.name} links to {target}"
            if place:
                heads = re.findall(r"^#+ (.+)", other.read_text(encoding="utf-8"), re.MULTILINE)
                names = [re.sub(r"[^\w\s-]", "", head).strip().lower().replace(" ", "-") for head in heads]
                assert place in names, f"{page.name} links to {target}#{place}"


def test_a_module_is_not_longer_than_one_reading() -> None:
    long = {
        path.name: lines for path in ROOT.glob("src/**/*.py") if (lines := path.read_text("utf-8").count("\n")) > 500
    }
    assert not long


def test_the_example_in_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import re

    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "2025.txt").write_text("Net revenue by region: Europe 7, Asia 9.", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    example = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    # Without weights: the passages themselves are the answer.
    script = example.replace("Recipe()", 'Recipe().with_step("llm", "quote")')
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Net revenue by region" in result.stdout


def test_every_command_in_the_docs_exists_with_its_options() -> None:
    import re
    import shlex

    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        text = page.read_text(encoding="utf-8")
        for line in re.findall(r"^(?:\$ |    )openbook ([a-z].*)", text, re.MULTILINE):
            command: click.Command = cli
            words = shlex.split(line, comments=True)
            while isinstance(command, click.Group) and words:
                if words[0] in command.commands:
                    command = command.commands[words.pop(0)]
                elif command.name == "compare":  # openbook compare sweep.toml
                    command = command.commands["run"]
                else:
                    break
            assert command is not cli, f"{page.name}: openbook {line}"
            known = {name for one in command.params for name in one.opts} | {"--help"}
            named = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
            assert named <= known, f"{page.name}: openbook {line}"
        for script in re.findall(r"benchmarks/\w+\.\w+", text):
            assert (ROOT / script).exists(), f"{page.name}: {script}"
