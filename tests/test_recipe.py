from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import RANDOM
from openbook.errors import SpecError
from openbook.recipe import STEPS, Recipe, Spec

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
VALUES = st.text(max_size=20) | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
SPECS = st.builds(
    Spec,
    NAMES,
    st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(str.isidentifier), VALUES, max_size=4),
)


@RANDOM
@given(spec=SPECS)
def test_a_spec_reads_back_what_it_wrote(spec: Spec) -> None:
    from keyword import iskeyword

    if not any(iskeyword(name) for name in spec.options):
        assert Spec.parse(str(spec)) == spec


NOT_SPECS = """Chars|chars(|chars(500)|chars(size)|chars(size=)|chars(size=f())|chars(size=[1])|chars)(|a b|chars(**x)
chars(size=1, size=2)|chars(size=1)(2)"""


@pytest.mark.parametrize("text", ["", "(" * 300, *NOT_SPECS.replace("\n", "|").split("|")])
def test_what_is_not_a_spec_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        Spec.parse(text)
    assert "\n" not in str(caught.value)
    assert "chars(size=500)" in str(caught.value)


@RANDOM
@given(choices=st.dictionaries(st.sampled_from(sorted(set(STEPS) - {"cleaners", "refiners"})), SPECS, max_size=4))
def test_a_recipe_survives_toml(choices: dict[str, Spec]) -> None:
    from dataclasses import replace
    from keyword import iskeyword

    if any(iskeyword(name) for spec in choices.values() for name in spec.options):
        return
    recipe = replace(Recipe(), **choices)  # type: ignore[arg-type]
    assert Recipe.from_toml(recipe.to_toml()) == recipe


def test_an_unknown_step_is_named_with_the_nearest() -> None:
    with pytest.raises(SpecError, match="Did you mean 'splitter'"):
        Recipe().with_step("spliter", "chars")
