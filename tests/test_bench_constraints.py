"""What a row has to keep is read from a line, with units, and a mistake in it is one line."""

from __future__ import annotations

import pytest

from openbook.bench.constraints import constraints
from openbook.errors import BookError


@pytest.mark.parametrize(
    ("text", "name", "limit"),
    [
        ("ram<8GB", "ram", 8e9),
        ("memory < 8GiB", "ram", 8 * 2**30),
        ("disk<=500 kb", "disk", 5e5),
        ("first_token<1.5s", "first_token", 1.5),
        ("search<50ms", "search", 0.05),
        ("index<2min", "index", 120.0),
        ("tokens_per_second>10", "tokens_per_second", 10.0),
        ("cost<$0.01", "cost", 0.01),
        ("cost<1e-3", "cost", 0.001),
        ("recall@5>80%", "recall@5", 0.8),
        ("tok/s>10", "tokens_per_second", 10.0),
        ("first<5s", "first_token", 5.0),
        ("its memory<8GB", "index_ram", 8e9),
        ("RAM < 8GB", "ram", 8e9),
        ("clean>=.5", "clean", 0.5),
    ],
)
def test_quantities_have_units(text: str, name: str, limit: float) -> None:
    (found,) = constraints(text)
    assert found.name == name
    assert found.limit == pytest.approx(limit)


def test_a_line_of_several_is_several() -> None:
    found = constraints("ram<8GB, first_token<5s, disk<1GB, tokens_per_second>10, cost<0.01, recall@5>0.8")
    assert len(found) == 6
    assert constraints("") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ram", "'ram' is no condition"),
        ("ram=8GB", "'ram=8GB' is no condition. Write a name, < or >"),
        ("ram<8", "'ram<8': ram is in bytes. Write it like 8GB"),
        ("ram<8s", "ram is in bytes"),
        ("ram<8GB and disk<1GB", "'ram<8GB and disk<1GB' is no condition."),
        ("first_token<5", "first_token is in seconds. Write it like 5s"),
        ("ram<$8", "ram is in bytes"),
        ("tokens_per_second>10GB", "tokens_per_second is a plain number"),
        ("clean>57", "clean is a share of the questions, from 0 to 1. Write 0.8 or 80%."),
        ("frist_token<5s", "Nothing that is measured is called 'frist_token'. Did you mean 'first_token'?"),
        ("recall@0>0.5", "Nothing that is measured is called 'recall@0'"),
        ("ram<8GB; disk<1GB", "is no condition"),
    ],
)
def test_a_mistake_is_said_in_one_line(text: str, said: str) -> None:
    with pytest.raises(BookError) as error:
        constraints(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_not_known_is_not_kept() -> None:
    (found,) = constraints("ram<8GB")
    assert found.broken(None) == "ram is not known"
    assert found.broken(9e9) == "ram is 9.0 GB"
    assert not found.broken(7e9)
    assert found.broken(8e9)
    assert not constraints("ram<=8GB")[0].broken(8e9)
