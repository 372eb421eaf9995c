"""What is still to come is guessed without jumping about, and in the end it is what came."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from openbook.remaining import Remaining


def run(remaining: Remaining, sizes: Mapping[str, int], chunks: Mapping[str, int], pieces: int = 1) -> list[int]:
    """The guess after each file, of which so many documents come."""
    guesses = []
    for path, size in sizes.items():
        for number in range(pieces):
            remaining.came(
                path, size // pieces, chunks[path] * (number + 1) // pieces - chunks[path] * number // pieces
            )
        remaining.ended(path)
        guesses.append(remaining.total)
    return guesses


def mixed() -> tuple[dict[str, int], dict[str, int]]:
    """Small files with many chunks a byte first, then large ones with few: the guess by bytes alone is far off."""
    chance = random.Random(5)
    sizes = {f"{number}.c": chance.randrange(1000, 30_000) for number in range(300)}
    sizes |= {f"{number}.html": chance.randrange(1000, 90_000) for number in range(300)}
    chunks = {path: size // (400 if path.endswith("c") else 1600) for path, size in sizes.items()}
    return sizes, chunks


def test_the_guess_ends_at_what_came() -> None:
    sizes, chunks = mixed()
    for estimated in (False, True):
        expected = {path: size / 500 if estimated else size for path, size in sizes.items()}
        remaining = Remaining(expected, estimated=estimated)
        assert run(remaining, sizes, chunks)[-1] == remaining.chunks == sum(chunks.values())


def test_with_an_estimate_for_each_suffix_the_guess_does_not_jump_though_one_kind_comes_after_the_other() -> None:
    sizes, chunks = mixed()
    density = {"c": 1 / 440, "html": 1 / 1450}  # both a tenth off
    remaining = Remaining({path: size * density[path.split(".")[1]] for path, size in sizes.items()}, estimated=True)
    guesses = run(remaining, sizes, chunks)
    real = sum(chunks.values())
    assert all(abs(guess - real) < 0.2 * real for guess in guesses)


@pytest.mark.parametrize("estimated", [False, True])
def test_within_one_large_file_the_guess_does_not_jump(estimated: bool) -> None:
    remaining = Remaining({"box.mbox": 1000.0 if estimated else 500_000}, estimated=estimated)
    guesses = []
    for _ in range(1000):
        remaining.came("box.mbox", 450, 1)
        guesses.append(remaining.total)
    assert all(900 < guess < 1200 for guess in guesses[100:])


def test_seconds_left_are_those_that_the_latest_chunks_took() -> None:
    now = [0.0]
    remaining = Remaining({"a": 1000.0}, estimated=True, seconds_per_chunk=0.5, clock=lambda: now[0])
    assert remaining.seconds_left(0) == 500
    remaining.came("a", 0, 1000)
    remaining.ended("a")
    for done in range(1, 501):
        now[0] += 1.0
        remaining.seconds_left(done)
    assert remaining.seconds_left(500) == pytest.approx(500, rel=0.1)
    assert remaining.seconds_left(1000) == 0


def test_nothing_is_said_before_anything_is_known() -> None:
    remaining = Remaining({"a": 1000.0})
    assert (remaining.total, remaining.seconds_left(0)) == (0, None)
