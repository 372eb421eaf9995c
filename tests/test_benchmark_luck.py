"""What docs/statistics.md says of luck is what the simulation prints."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))

import luck  # noqa: E402
from measure import table  # noqa: E402

PAGE = ROOT / "docs" / "statistics.md"


def test_the_tables_of_the_page_are_those_of_the_kept_example() -> None:
    page, found = PAGE.read_text("utf-8"), luck.example()
    for lines in (luck.compared(found), luck.wanted(found), luck.more(), luck.unseen()):
        for line in table(lines).strip().splitlines():
            assert line in page  # python benchmarks/luck.py prints what belongs there


def test_the_pictures_are_drawings() -> None:
    found = luck.example()
    for drawn in (luck.of_rows(), luck.of_coins(found, 2)):
        assert ET.fromstring(drawn).tag.endswith("svg")
        assert len(drawn) < 10_000
    assert (ROOT / "docs" / "luck-coins.svg").read_text("utf-8") == luck.of_coins(found, 2)


def test_simulated_recipes_are_equally_good() -> None:
    found = luck.means(luck.simulated(np.random.default_rng(1), 20_000, 3))
    assert found == pytest.approx([100 * luck.EQUAL] * 3, abs=1)


@pytest.mark.slow
def test_each_simulated_number_of_the_page_is_printed() -> None:
    said = {line[0]: line[1] for line in luck.simulations()}
    page = " ".join(PAGE.read_text("utf-8").split())
    assert f"heads {said['heads of the luckiest of 24 coins, 50 tosses each']} times" in page
    leads = [said[f"best of 24 above the middle one, {asked} questions"].split()[0] for asked in (50, 100, 200, 400)]
    assert "they are {} by 50 questions, {} by 100, {} by 200, {} by 400".format(*leads) in page
    alone, corrected = said["tables with a p below .05 among 23 tests, not corrected"], said["the same by Holm"]
    assert f"without the correction {alone} of the tables" in page
    assert f"with it {corrected}" in page
    once = said["two recipes called different, looked at once after 200 questions"]
    ever = said["the same, looked at after every ten and stopped there"]
    assert f"{once} are called different; looked at after every ten, {ever}" in page
    picked = said["best of 24 above the middle one, on the 50 questions it was picked by"]
    fresh = said["the same row on 50 others"].split()[0]
    assert f"was {picked} above the middle one" in page
    assert f"and {fresh} on 50 others" in page
    ways = [said[name] for name in ("two recipes called different, 100 questions", "20 questions, each asked 5 ways")]
    assert "{} are called different; of 20 facts asked five ways each, {}".format(*ways) in page
    assert f"of 5 facts asked twenty ways, {said['5 questions, each asked 20 ways']}" in page
    two, many = (
        said["two recipes, a race of 100 questions leaves the baseline alone"],
        said["24 recipes, a race of 100 questions leaves the baseline and at most one"],
    )
    assert f"between two equal recipes {two} leave the baseline alone" in page
    assert f"of those between 24 {many} leave the baseline and at most one more" in page
