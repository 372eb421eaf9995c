"""Promises of a large store that is searched while another process adds to it, removes and optimizes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from contracts import chunk, unit
from openbook.stores.lance import EXACT_ROWS, Lance
from processes import running

DIM = 64
BATCH = 600
BATCHES = 10

WRITER = """
import sys
from pathlib import Path
from contracts import chunk, unit
from openbook.stores.lance import Lance

store = Lance(Path(sys.argv[1]), {dim})
for number in range({batches}):
    chunks = [chunk(10_000 * (number + 10) + i, document_id=f"new{{number}}") for i in range({batch})]
    store.add(chunks, unit({batch}, seed=1000 + number, dim={dim}))
    print("added", number, flush=True)
    if number % 2:
        store.optimize("de" if number % 4 == 1 else "en")
        print("optimized", number, flush=True)
    if number % 3 == 2:
        store.remove([f"old{{number}}"])
        print("removed", number, flush=True)
"""


@pytest.mark.slow
def test_a_search_meets_no_error_and_misses_nothing_while_another_process_changes_the_store(tmp_path: Path) -> None:
    count = EXACT_ROWS + 4000
    store = Lance(tmp_path, DIM)
    old = [chunk(number, document_id=f"old{number % 50}") for number in range(count)]
    vectors = unit(count, dim=DIM)
    store.add(old, vectors)
    store.optimize("en")
    added: set[int] = set()
    removed: set[int] = set()
    seconds = []
    random = np.random.default_rng(0)
    for said in said_by(WRITER.format(dim=DIM, batches=BATCHES, batch=BATCH), tmp_path):
        for verb, number in said:
            {"added": added, "removed": removed, "optimized": set()}[verb].add(number)
        began = time.perf_counter()
        one = int(random.integers(count))
        found = store.nearest(vectors[one], 1)[0]
        if one % 50 not in {2, 5, 8}:
            assert found.chunk == old[one]
            assert store.match(f"number{one}", 3)[0].chunk == old[one]
        seconds.append(time.perf_counter() - began)
        for number in random.permutation(sorted(added))[:2].tolist():
            place = int(random.integers(BATCH))
            wanted = chunk(10_000 * (number + 10) + place, document_id=f"new{number}")
            vector = unit(BATCH, seed=1000 + number, dim=DIM)[place]
            assert store.nearest(vector, 1)[0].chunk == wanted
            assert store.match(f"number{wanted.start // 100}", 1)[0].chunk == wanted
            assert [p.chunk for p in store.nearest(vector, 1, within={wanted.document_id})] == [wanted]
        for number in removed:
            assert store.nearest(vectors[number], 5, within=[f"old{number}"]) == []
    assert added == set(range(BATCHES))
    assert len(store) == sum(store.counts().values()) == count + BATCHES * BATCH - 3 * (count // 50)
    assert len(seconds) > 10
    assert np.median(seconds) < 30  # far from it, and far from waiting until the writer has ended


def said_by(script: str, folder: Path) -> Iterator[list[tuple[str, int]]]:
    """What the process running a script has said since it was last looked at, until it has ended."""
    here = Path(__file__).parent
    paths = f"import sys; sys.path[:0] = [{str(here)!r}, {str(here.parent / 'src')!r}]\n"
    log = folder.with_name("said.txt")
    read = 0
    with log.open("w", encoding="utf-8") as file, running("-c", paths + script, folder, stdout=file) as process:
        ended = False
        while not ended:
            ended = process.poll() is not None
            lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
            whole = [line.split() for line in lines if line.endswith("\n")]
            yield [(verb, int(number)) for verb, number in whole[read:]]
            read = len(whole)
        assert process.returncode == 0
