"""Keys come from the environment or a file of mode 600, and are shown nowhere."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from openbook.errors import ModelError, SpecError
from openbook.keys import hidden, key, keys_file
from openbook.recipe import Recipe, Spec

KEY = "sk-proj-0123456789abcdef"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)


def write(text: str, mode: int = 0o600) -> Path:
    path = keys_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_no_key_is_an_empty_one() -> None:
    assert key("MY_KEY") == ""
    write('OTHER = "x"')
    assert key("MY_KEY") == ""


def test_the_environment_comes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write(f'MY_KEY = "{KEY}"\n')
    assert key("MY_KEY") == KEY
    monkeypatch.setenv("MY_KEY", " from-the-environment\n")
    assert key("MY_KEY") == "from-the-environment"
    monkeypatch.setenv("MY_KEY", "")
    assert key("MY_KEY") == KEY


@pytest.mark.skipif(os.name != "posix", reason="modes")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o666])
def test_a_file_that_others_may_read_is_refused_with_what_to_run(mode: int) -> None:
    path = write(f'MY_KEY = "{KEY}"', mode)
    with pytest.raises(ModelError) as caught:
        key("MY_KEY")
    run = f"chmod 600 {shlex.quote(str(path))}"
    assert str(caught.value) == f"Others may read the keys in {path} (mode {mode:o}). Run: {run}"


@pytest.mark.parametrize("text", [f"MY_KEY = {KEY}", f"MY_KEY={KEY}\n[", "\xff", f'MY_KEY = ["{KEY}"]', "MY_KEY = 3"])
def test_a_file_that_is_not_right_is_one_line_without_the_key(text: str) -> None:
    write(text)
    with pytest.raises(ModelError, match=r"^[^\n]+$") as caught:
        key("MY_KEY")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("wrong", ["sk-\x00", "sk-é", "sk\nx"])
def test_characters_that_no_key_has_are_refused(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setattr("os.environ", {**os.environ, "MY_KEY": wrong})
    with pytest.raises(ModelError, match=r"^The key in \$MY_KEY has characters that no key has\. Set it again\.$"):
        key("MY_KEY")


def test_a_key_is_taken_out_of_a_text_whole_or_begun() -> None:
    for quoted in (KEY, f"{KEY[:7]}****{KEY[-4:]}", f"{KEY[:8]}…", f"'{KEY}'"):
        assert KEY[:6] not in hidden(f"Incorrect API key provided: {quoted}.", KEY)
    assert hidden("Nothing to hide", "") == "Nothing to hide"


@pytest.mark.parametrize(
    "spec",
    [
        f"openai(key='{KEY}')",
        f"openai(api_key='{KEY}')",
        f"openai(model='x', token='{KEY}')",
        f"openai(key={KEY})",
        f"openai(key=\"{KEY}',)",
        f"openai(APIKEY='{KEY}'",
        f"google(password='{KEY}')",
    ],
)
def test_a_recipe_with_a_key_is_refused_with_the_way_out(spec: str) -> None:
    for read in (Spec.parse, lambda text: Recipe().with_step("llm", text), lambda t: Recipe.from_dict({"llm": t})):
        with pytest.raises(SpecError, match=r"^A key is never written into a recipe\. Set it with: export ") as caught:
            read(spec)
        assert KEY not in str(caught.value)


def test_the_name_of_a_variable_is_no_key() -> None:
    assert Spec.parse("openai(key_env='MY_KEY')").options == {"key_env": "MY_KEY"}
