"""Promises of the stores."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lance import write_dataset

from contracts import DIM, OpenStore, StoreContract, chunk, unit
from openbook.errors import BookError
from openbook.stores import lance
from openbook.stores.flat import Flat
from openbook.stores.lance import Lance
from openbook.types import Chunk, Store

MakeStore = Callable[[Path, int], Store]

STORES = pytest.mark.parametrize("make", [Flat, Lance])


class TestFlat(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        with ExitStack() as opened:

            def open_store() -> Store:
                return opened.enter_context(closing(Flat(tmp_path, DIM)))

            yield open_store


class TestLance(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        with ExitStack() as opened:

            def open_store() -> Store:
                return opened.enter_context(closing(Lance(tmp_path, DIM)))

            yield open_store


class TestLanceWithIndexes(TestLance):
    """The same promises where every `optimize` builds, merges and compacts whatever there is."""

    @pytest.fixture(autouse=True)
    def eager(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lance, "SCANNED_ROWS", 0)
        monkeypatch.setattr(lance, "FRAGMENTS", 1)
        monkeypatch.setattr(lance, "EXACT_ROWS", 20)
        monkeypatch.setattr(lance, "PARTITION_ROWS", 8)


@STORES
def test_another_dim_is_refused_with_the_way_out(make: MakeStore, tmp_path: Path) -> None:
    with closing(make(tmp_path, 8)) as store:
        store.add([chunk(0)], unit(1))
    with closing(make(tmp_path, 9)) as other, pytest.raises(BookError, match=r"8 numbers.* 9\..*openbook rebuild"):
        len(other)


@STORES
def test_a_folder_with_any_name_will_do(make: MakeStore, tmp_path: Path) -> None:
    folder = tmp_path / "Ünï cödé #1 %20 'quote' [x]"
    with closing(make(folder, DIM)) as store:
        store.add([chunk(0)], unit(1))
    with closing(make(folder, DIM)) as again:
        assert list(again.chunks()) == [chunk(0)]
    assert list(tmp_path.iterdir()) == [folder]


@STORES
def test_nothing_is_said_on_the_terminal(make: MakeStore, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with closing(make(tmp_path / "new", DIM)) as store:
        store.add([chunk(i) for i in range(300)], unit(300))
        store.optimize()
        store.nearest(unit(1)[0], 3)
        store.match("wine", 3)
        store.remove(["d"])
        store.optimize()
    assert capfd.readouterr() == ("", "")


@STORES
def test_a_folder_that_may_not_be_written_is_one_line(make: MakeStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with closing(make(tmp_path / "file", DIM)) as store, pytest.raises(BookError) as caught:
        store.add([chunk(0)], unit(1))
    assert len(str(caught.value).splitlines()) == 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("abcd"), st.integers(1, 9)),
        st.tuples(st.just("remove"), st.sampled_from("abcd"), st.just(0)),
        st.tuples(st.sampled_from(["optimize", "reopen"]), st.just(""), st.just(0)),
    ),
    max_size=12,
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS)
def test_lance_and_flat_agree_after_any_adds_and_removes(
    steps: list[tuple[str, str, int]], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lance, "SCANNED_ROWS", 0)
    monkeypatch.setattr(lance, "FRAGMENTS", 2)
    folder = tmp_path_factory.mktemp("agree")
    one, two = Lance(folder, DIM), Flat(folder / "flat", DIM)
    for number, (verb, document_id, count) in enumerate(steps):
        if verb == "add":
            chunks = [chunk(10 * number + i, document_id=document_id) for i in range(count)]
            one.add(chunks, unit(count, seed=number))
            two.add(chunks, unit(count, seed=number))
        elif verb == "remove":
            assert one.remove([document_id]) == two.remove([document_id])
        elif verb == "optimize":
            one.optimize()
            two.optimize()
        else:
            one.close()
            two.close()
    assert len(one) == len(two)
    assert by_place(one.chunks()) == by_place(two.chunks())
    ours, theirs = one.nearest(unit(1, seed=99)[0], 7), two.nearest(unit(1, seed=99)[0], 7)
    assert [p.chunk for p in ours] == [p.chunk for p in theirs]
    assert [p.score for p in ours] == pytest.approx([p.score for p in theirs], abs=1e-5)
    question = "wine fish number12 number31"
    assert by_place(p.chunk for p in one.match(question, 99)) == by_place(p.chunk for p in two.match(question, 99))
    two.close()


def by_place(chunks: Iterator[Chunk] | list[Chunk]) -> list[Chunk]:
    return sorted(chunks, key=lambda one: (one.document_id, one.start))


def test_words_added_after_the_index_was_built_are_found_with_the_same_forms(tmp_path: Path) -> None:
    store = Lance(tmp_path, DIM)
    store.add([chunk(i, "the king of the river") for i in range(300)], unit(300))
    store.optimize()
    store.add([chunk(900, "They were swallowing whales")], unit(1))
    before = store.match("swallowed whale", 3)
    assert [p.chunk.start for p in before] == [90_000]
    assert lance._unindexed_rows(store._latest()) == 1
    store.add([chunk(1000 + i, "the king of the river") for i in range(300)], unit(300))
    store.optimize()
    after = store.match("swallowed whale", 3)
    assert [p.chunk for p in after] == [p.chunk for p in before]
    assert lance._unindexed_rows(store._latest()) == 0


def test_chinese_words_are_words(tmp_path: Path) -> None:
    store = Lance(tmp_path, DIM)
    store.add([chunk(0, "华沙的萨克森花园在哪里"), chunk(1, "诺曼人是谁")], unit(2))
    assert [p.chunk.start for p in store.match("萨克森花园", 2)] == [0]


def test_german_word_forms_are_known_when_asked_for(tmp_path: Path) -> None:
    store = Lance(tmp_path, DIM, language="German")
    store.add([chunk(0, "die Häuser des Königs"), chunk(1, "der Fisch")], unit(2))
    assert [p.chunk.start for p in store.match("Haus", 2)] == [0]


def test_the_index_of_a_large_store_finds_nearly_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lance, "EXACT_ROWS", 2000)
    monkeypatch.setattr(lance, "PARTITION_ROWS", 128)
    topics, questions = unit(200, dim=64), unit(200, dim=64)[:20]
    vectors = np.repeat(topics, 20, axis=0) + 0.5 * unit(4000, seed=1, dim=64)
    vectors = np.random.default_rng(2).permutation(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    store = Lance(tmp_path, 64)
    store.add([chunk(i) for i in range(2500)], vectors[:2500])
    store.optimize()
    store.add([chunk(i) for i in range(2500, 4000)], vectors[2500:])
    for _ in range(2):  # the new ones scanned, then in the index
        found = [{p.chunk.start // 100 for p in store.nearest(question, 10)} for question in questions]
        best = np.argsort(-(questions @ vectors.T), axis=1)[:, :10]
        assert np.mean([len(one & set(two.tolist())) / 10 for one, two in zip(found, best, strict=True)]) > 0.9
        store.optimize()
    assert lance._partitions(store._latest()) > 0
    assert lance._unindexed_rows(store._latest()) == 0


def test_a_filter_of_any_size_finds_nearly_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lance, "EXACT_ROWS", 2000)
    monkeypatch.setattr(lance, "PARTITION_ROWS", 128)
    monkeypatch.setattr(lance, "FEW_ROWS", 300)
    topics = unit(200, dim=64)
    vectors = np.repeat(topics, 30, axis=0) + 0.5 * unit(6000, seed=1, dim=64)
    vectors = np.random.default_rng(2).permutation(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    store = Lance(tmp_path, 64)
    for start in range(0, 6000, 1500):  # several fragments
        store.add(
            [chunk(i, document_id=f"d{i // 4}") for i in range(start, start + 1500)], vectors[start : start + 1500]
        )
    store.remove([f"d{number}" for number in range(0, 1500, 100)])
    store.optimize()
    store.add([chunk(i, document_id=f"d{i // 4}") for i in range(6000, 6100)], unit(100, seed=5, dim=64))
    live = [number for number in range(1500) if number % 100]
    for count in (1, 10, 100, 400, 1400):
        within = {f"d{number}" for number in np.random.default_rng(count).permutation(live)[:count].tolist()}
        rows = np.array([row for row in range(6000) if f"d{row // 4}" in within])
        shares = []
        for question in topics[:20]:
            best = rows[np.argsort(-(vectors[rows] @ question), kind="stable")[:10]].tolist()
            found = [passage.chunk for passage in store.nearest(question, 10, within=within)]
            assert {one.document_id for one in found} <= within
            assert len(found) == min(10, len(rows))
            shares.append(len({one.start // 100 for one in found} & set(best)) / len(best))
        assert np.mean(shares) > (0.999 if len(rows) <= 300 else 0.95)
        assert {passage.chunk.document_id for passage in store.match("number4 wine fish", 50, within=within)} <= within


def test_an_optimize_after_a_little_was_added_writes_a_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lance, "EXACT_ROWS", 2000)
    monkeypatch.setattr(lance, "PARTITION_ROWS", 1024)
    monkeypatch.setattr(lance, "SMALL_ROWS", 2000)
    store = Lance(tmp_path, 64)
    store.add([chunk(i) for i in range(12_000)], unit(12_000, dim=64))
    store.optimize()
    indexes = tmp_path / "_indices"
    whole = size_bytes(indexes)
    written, most = 0, 0
    for number in range(20):
        before = {path for path in indexes.rglob("*") if path.is_file()}
        store.add([chunk(20_000 + 300 * number + i) for i in range(300)], unit(300, seed=number + 1, dim=64))
        store.optimize()
        written += sum(path.stat().st_size for path in indexes.rglob("*") if path.is_file() and path not in before)
        most = max(most, *(len(index.segments) for index in store._latest().describe_indices()))
        assert store.match(f"number{20_000 + 300 * number + 7}", 1)[0].chunk.start // 100 == 20_000 + 300 * number + 7
    assert written < 6 * whole  # 20 times, when each writes all
    assert most <= 6


def size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_store_made_before_phrases_and_languages_goes_on_working(tmp_path: Path) -> None:
    dataset = write_dataset(lance._schema(DIM).empty_table(), tmp_path)
    dataset.create_scalar_index("indexed", "INVERTED", base_tokenizer="icu/split", language="English")
    store = Lance(tmp_path, DIM)
    store.add([chunk(0, "the net revenue"), chunk(1, "revenue and net"), chunk(2, "fishes")], unit(3))
    assert {p.chunk.start for p in store.match('"net revenue"', 5)} == {0, 100}  # not yet in that order
    assert [p.chunk.start for p in store.match("fish", 5)] == [200]
    store.optimize("en")
    assert [p.chunk.start for p in store.match('"net revenue"', 5)] == [0]
    assert [p.chunk.start for p in store.match("fish", 5)] == [200]


def test_a_language_named_in_the_recipe_stays(tmp_path: Path) -> None:
    store = Lance(tmp_path, DIM, language="German")
    store.add([chunk(0, "die Häuser des Königs")], unit(1))
    store.optimize("en")
    assert [p.chunk.start for p in store.match("Haus", 2)] == [0]


def test_optimize_leaves_few_files_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lance, "KEEP_VERSIONS", timedelta(0))
    store = Lance(tmp_path, DIM)
    for number in range(40):
        store.add([chunk(number)], unit(1, seed=number))
    store.optimize()
    assert len(list((tmp_path / "data").iterdir())) == 1
    assert len(list((tmp_path / "_versions").glob("*.manifest"))) == 1
    assert len(store) == 40


@pytest.mark.parametrize("part", ["data", "_versions"])
@pytest.mark.parametrize("harm", ["truncated", "deleted"])
def test_a_damaged_store_says_what_to_do(part: str, harm: str, tmp_path: Path) -> None:
    store = Lance(tmp_path, DIM)
    store.add([chunk(i) for i in range(50)], unit(50))
    store.close()
    for path in [one for one in (tmp_path / part).iterdir() if one.suffix in {".lance", ".manifest"}]:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        if harm == "deleted":
            path.unlink()
    with pytest.raises(BookError, match="openbook rebuild") as caught:
        Lance(tmp_path, DIM).nearest(unit(1)[0], 3)
    assert len(str(caught.value).splitlines()) == 1
    assert "/home/runner" not in str(caught.value)


@pytest.mark.parametrize("left", ["_transactions/0-a.txn", "_versions/.tmp_1.manifest_x", "table without index"])
def test_a_store_whose_making_was_stopped_is_made_again(left: str, tmp_path: Path) -> None:
    if left == "table without index":
        write_dataset(lance._schema(DIM).empty_table(), tmp_path)
    else:
        (tmp_path / left).parent.mkdir()
        (tmp_path / left).write_bytes(b"")
    store = Lance(tmp_path, DIM)
    store.add([chunk(0, "they swallowed it")], unit(1))
    assert [p.chunk.start for p in store.match("swallowing", 3)] == [0]


def test_a_damaged_flat_store_says_what_to_do(tmp_path: Path) -> None:
    Flat(tmp_path, DIM).path.write_bytes(b"not a database " * 500)
    with closing(Flat(tmp_path, DIM)) as store, pytest.raises(BookError, match="openbook rebuild"):
        len(store)


def test_a_flat_store_that_stays_locked_is_one_line(tmp_path: Path) -> None:
    with closing(Flat(tmp_path, DIM)) as writer, closing(Flat(tmp_path, DIM, timeout=0.1)) as other:
        assert len(writer) == len(other) == 0
        with writer._transaction("IMMEDIATE"):
            with pytest.raises(BookError, match="another process"):
                other.add([chunk(0)], unit(1))
            assert len(other) == 0  # reading goes on
        other.add([chunk(0)], unit(1))
        assert len(writer) == 1


SMALL_FILES = """
import resource, sys
from pathlib import Path
from contracts import DIM, chunk, unit
from openbook.errors import BookError
from openbook.stores.{module} import {name}

store = {name}(Path(sys.argv[1]), DIM)
store.add([chunk(0, "wine")], unit(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, -1))
try:
    store.add([chunk(i, "bread " * 200, "e") for i in range(3000)], unit(3000))
except BookError as error:
    assert len(str(error).splitlines()) == 1, error
else:
    raise SystemExit("the write should have failed")
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
assert len(store) == 1
assert [p.chunk.text for p in store.match("wine bread", 3)] == ["wine"]
store.add([chunk(1, "fish")], unit(1))
assert len(store) == 2
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no RLIMIT_FSIZE")
@STORES
def test_a_write_that_fails_changes_nothing(make: type[Flat | Lance], tmp_path: Path) -> None:
    script = SMALL_FILES.format(module=make.__name__.lower(), name=make.__name__)
    run_python(script, tmp_path).wait_for_success()


KILLED = """
import sys
from pathlib import Path
from contracts import DIM, chunk, unit
from openbook.stores.{module} import {name}

store = {name}(Path(sys.argv[1]), DIM)
first = int(sys.argv[2])
for number in range(first, first + 10_000):
    store.add([chunk(i, document_id=f"d{{number}}") for i in range(7)], unit(7, seed=number))
    print("added", number, flush=True)
    if number % 3 == 0:
        store.remove([f"d{{number}}"])
        print("removed", number, flush=True)
    if number % 5 == 0:
        store.optimize()
"""


@pytest.mark.slow
@STORES
def test_killed_at_any_moment_nothing_acknowledged_is_lost(make: type[Flat | Lance], tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    kept: set[int] = set()
    for round_number in range(8):
        script = KILLED.format(module=make.__name__.lower(), name=make.__name__)
        child = run_python(script, tmp_path / "store", str(1000 * round_number))
        assert child.process.stdout is not None
        child.process.stdout.readline()  # it has begun
        time.sleep(float(random.uniform(0, 0.4)))
        child.process.kill()
        said, _ = child.process.communicate()
        added = {1000 * round_number} | {int(line.split()[1]) for line in said.splitlines() if line.startswith("added")}
        removed = {int(line.split()[1]) for line in said.splitlines() if line.startswith("removed")}
        with closing(make(tmp_path / "store", DIM)) as store:
            counts: dict[int, int] = {}
            for one in store.chunks():
                number = int(one.document_id[1:])
                counts[number] = counts.get(number, 0) + 1
            assert set(counts.values()) <= {7}
            # The last step may have been done and not yet said.
            last = max(added)
            assert set(counts) - {last, last + 1} == (kept | added) - removed - {last}
            assert last in counts or last % 3 == 0
            assert len(store) == 7 * len(counts)
            assert len(store.match("wine", 10_000)) == len(counts)
            kept = set(counts)


class run_python:  # noqa: N801
    """A new process, not a fork: Lance's threads do not survive one."""

    def __init__(self, script: str, *arguments: object) -> None:
        here = Path(__file__).parent
        paths = f"import sys; sys.path[:0] = [{str(here)!r}, {str(here.parent / 'src')!r}]\n"
        command = [sys.executable, "-c", paths + script, *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def wait_for_success(self) -> None:
        said, _ = self.process.communicate(timeout=600)
        assert self.process.returncode == 0, said
