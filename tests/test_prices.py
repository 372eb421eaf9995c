"""Prices are data with a date and a page; a user's own come first."""

from __future__ import annotations

import tomllib
from datetime import date

import pytest

from openbook.costing import of_answer
from openbook.errors import ModelError
from openbook.prices import BUILTIN, own_prices, price
from openbook.types import Usage

TODAY = date(2026, 11, 23)
ANTHROPIC, GOOGLE, OPENAI = "api.anthropic.com", "generativelanguage.googleapis.com", "api.openai.com"


def own(text: str) -> None:
    own_prices().write_text(text, encoding="utf-8")


ROW = """[[price]]
host = "models.example"
model = "big-*"
input = 3
output = 9.5
read = 2026-01-02
source = "offer"
"""


def test_the_default_model_of_each_service_has_a_price() -> None:
    for host, model in (
        (ANTHROPIC, "claude-haiku-5-5"),
        (GOOGLE, "gemini-3.5-flash-lite"),
        (OPENAI, "gpt-4.1-mini"),
        (OPENAI, "text-embedding-3-small"),
    ):
        found = price(host, model, 1000, TODAY)
        assert found is not None
        assert found.source.startswith("https://")


def test_the_same_model_elsewhere_has_none() -> None:
    assert price("openrouter.ai", "gpt-4.1-mini", 10, TODAY) is None
    assert price(OPENAI, "gpt-4.1", 10, TODAY) is None
    assert of_answer("", "claude-haiku-5-5", Usage(9, 9), TODAY) is None


def test_what_was_cached_costs_less_and_is_part_of_the_prompt() -> None:
    found = price(OPENAI, "gpt-4.1-mini-2025-04-14", 10, TODAY)
    assert found is not None
    assert found.of(Usage(1_000_000, 0)) == pytest.approx(0.40)
    assert found.of(Usage(1_000_000, 0, cached_tokens=1_000_000)) == pytest.approx(0.10)
    assert found.of(Usage(1_000_000, 1_000_000, cached_tokens=500_000)) == pytest.approx(0.20 + 0.05 + 1.60)


def test_a_long_prompt_is_paid_at_its_own_price_as_a_whole() -> None:
    assert of_answer(ANTHROPIC, "claude-haiku-5-5", Usage(100_000, 1000), TODAY) == pytest.approx(0.0105)
    assert of_answer(ANTHROPIC, "claude-haiku-5-5", Usage(100_001, 1000), TODAY) == pytest.approx(0.0525, abs=1e-4)


def test_a_price_ends_with_its_last_day() -> None:
    prices = [price(GOOGLE, "gemini-3.8-flash", 10, day) for day in (date(2026, 12, 31), date(2027, 1, 1))]
    assert [one and one.input for one in prices] == [0.75, 1.50]


def test_a_users_own_price_comes_first() -> None:
    own(ROW + ROW.replace("models.example", OPENAI).replace("big-*", "gpt-*"))
    found = price("models.example", "big-7", 10, TODAY)
    assert found is not None
    assert (found.output, found.source) == (9.5, "offer")
    own_one, builtin = price(OPENAI, "gpt-4.1-mini", 10, TODAY), price(GOOGLE, "gemini-3.5-flash-lite", 10, TODAY)
    assert own_one is not None
    assert own_one.input == 3
    assert builtin is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[price]", "Cannot read"),
        ("prices = 3", "more or other things than prices"),
        ("price = [3]", "price 1 is not a table"),
        (ROW.replace("input", "inpt"), "no key is called 'inpt'. Did you mean"),
        (ROW.replace("input = 3\n", ""), "input is missing"),
        (ROW.replace("9.5", "'9.5'"), "output = '9.5' cannot be. Write a number from 0 on."),
        (ROW.replace("9.5", "-1"), "output = -1 cannot be"),
        (ROW.replace("2026-01-02", "'today'"), "read = 'today' cannot be. Write a day, such as"),
    ],
)
def test_a_table_that_is_not_right_is_one_line(text: str, said: str) -> None:
    own(text)
    with pytest.raises(ModelError, match=r"^[^\n]+$") as caught:
        price("models.example", "big-7", 10, TODAY)
    assert said in str(caught.value)


def test_a_table_of_comments_alone_has_no_prices() -> None:
    own("# later\n")
    assert price("models.example", "big-1", 1000, TODAY) is None


def test_every_built_in_price_says_where_and_when_it_was_read() -> None:
    for row in tomllib.loads(BUILTIN.read_text("utf-8"))["price"]:
        assert row["source"].startswith("https://")
        assert row["read"] >= date(2026, 11, 23)
        assert row.get("cached", 0) <= row["input"] <= row.get("output", row["input"])
