from __future__ import annotations

import pytest

from openbook import registry
from openbook.errors import SpecError
from openbook.recipe import Recipe, Spec


@pytest.mark.parametrize("kind", sorted(registry.KINDS))
def test_every_entry_can_be_loaded_and_says_its_version(kind: str) -> None:
    for name, entry in registry.entries(kind).items():
        cls = registry.load(kind, name)
        assert cls.VERSION >= 1, name
        assert entry.purpose
        registry.check(kind, Spec(name))


def test_the_default_recipe_names_components_and_options_that_exist() -> None:
    recipe = Recipe()
    for kind in registry.KINDS:
        for spec in recipe.specs(kind):
            registry.check(kind, spec)


def test_a_wrong_name_is_answered_with_the_nearest_and_what_is_known() -> None:
    with pytest.raises(SpecError, match=r"No splitter is called 'char'\. Did you mean 'chars'\? Known: .*chars"):
        registry.check("splitter", Spec("char"))


def test_a_wrong_option_is_answered_with_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"chars has no option 'sise'\. Did you mean 'size'\?"):
        registry.check("splitter", Spec("chars", {"sise": 3}))


@pytest.mark.parametrize("value", ["500", 5.5, True])
def test_an_option_of_the_wrong_type_is_refused_with_an_example(value: str | float | bool) -> None:
    with pytest.raises(SpecError, match="size must be a whole number, such as 500"):
        registry.check("splitter", Spec("chars", {"size": value}))


def test_the_fingerprint_resolves_defaults() -> None:
    assert registry.fingerprint("splitter", Spec("chars")) == registry.fingerprint(
        "splitter", Spec("chars", {"size": 500})
    )
    assert registry.fingerprint("splitter", Spec("chars")) != registry.fingerprint(
        "splitter", Spec("chars", {"size": 501})
    )
