"""A book changes its embedder while it is searched: the old one serves until the new one is whole."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from openbook import Book, Recipe
from openbook.embedders.hashed import Hashed
from openbook.errors import BookError, ModelError
from processes import PATIENCE, line_of, running, until

MISSING = "e5-small is not here."
RECIPE = Recipe().with_step("embedder", "hashed(dim=96)").with_step("llm", "quote")

REBUILD = """
import sys
from openbook import Book
from openbook.embedders.hashed import Hashed
folder, *embedders = sys.argv[1:]
embed = Hashed.embed
def slow(self, texts, kind):
    print("embedding", flush=True)
    sys.stdin.readline()  # go on
    return embed(self, texts, kind)
Hashed.embed = slow
with Book.open(folder) as book:
    for embedder in embedders:
        book.rebuild(book.recipe.with_step("embedder", embedder))
        print("switched", flush=True)
"""


@pytest.fixture(params=["flat", "lance"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Book]:
    documents = tmp_path / "documents"
    documents.mkdir()
    for number in range(60):
        text = " ".join(f"Verse {number} {line}: the king number{number} built a house of cedar." for line in range(20))
        (documents / f"{number}.txt").write_text(text, encoding="utf-8")
    recipe = RECIPE.with_step("store", request.param).with_step("splitter", "chars(size=200)")
    with Book.open(tmp_path / "book", recipe, create=True) as book:
        book.add([documents])
        yield book


def stores(book: Book) -> list[str]:
    return sorted(path.name for path in book.folder.glob("store-*"))


class Searching:
    """Searches a book from a thread, in one opening and in new ones, until it is left; all must find the same."""

    def __init__(self, folder: Path, *, anew: bool) -> None:
        self.folder, self.anew = folder, anew
        self.searches = 0
        self.wrong: list[str] = []
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._search)

    def once_more(self) -> None:
        """Wait for a search that begins from now on."""
        enough = self.searches + 2
        until(lambda: self.searches >= enough)

    def __enter__(self) -> Searching:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._left.set()
        self._thread.join()

    def _search(self) -> None:
        book = Book.open(self.folder)
        while not self._left.is_set():
            if self.anew:
                book.close()
                book = Book.open(self.folder)
            number = self.searches % 60
            try:
                found = book.search(f"king number{number}", k=3)
            except Exception as error:  # noqa: BLE001 - shown by the test
                self.wrong.append(f"{type(error).__name__}: {error}")
            else:
                if not found or Path(found[0].source).name != f"{number}.txt":
                    self.wrong.append(f"{number}: {found}")
            self.searches += 1
        book.close()


@pytest.mark.slow
@pytest.mark.parametrize("anew", [False, True])
def test_a_book_is_searched_all_the_time_while_its_embedder_changes(book: Book, anew: bool) -> None:
    before = stores(book)
    with Searching(book.folder, anew=anew) as searching:
        embedders = [f"hashed(dim={dim})" for dim in (64, 96, 32, 200)]
        said = []
        with running("-c", REBUILD, book.folder, *embedders, stdin=subprocess.PIPE) as child:
            assert child.stdin is not None
            while line := line_of(child):
                said.append(line)
                searching.once_more()
                if line == "embedding":
                    child.stdin.write("\n")
                    child.stdin.flush()
            assert child.wait(PATIENCE) == 0
    assert said.count("switched") == 4
    assert said.count("embedding") >= 4
    assert searching.wrong == []
    assert len(book.search("king number7", k=3)) == 3  # this opening follows too
    assert book.add([]).added == 0  # a search that opened a store just as it went may have left its folder
    assert len(stores(book)) == 1
    assert stores(book) != before
    assert book.embedder.dim == 200


@pytest.mark.slow
def test_a_rebuild_that_is_killed_leaves_the_old_embedder_serving_and_its_leftovers_go(book: Book) -> None:
    before, found = stores(book), book.search("king number7", k=3)
    with running("-c", REBUILD, book.folder, "hashed(dim=64)", stdin=subprocess.PIPE) as child:
        assert line_of(child) == "embedding"
        assert len(stores(book)) >= 1
        with Book.open(book.folder) as other:
            assert other.search("king number7", k=3) == found
            assert other.embedder.dim == 96
        child.kill()
    (book.folder / "store-99999999").mkdir(exist_ok=True)  # as a store has that had written something
    assert book.search("king number7", k=3) == found
    assert book.add([]).added == 0
    assert stores(book) == before
    assert book.rebuild(book.recipe.with_step("embedder", "hashed(dim=64)")) == len(book.store)
    assert len(stores(book)) == 1
    assert book.embedder.dim == 64


def test_while_one_embedder_is_exchanged_another_change_waits_or_says_so(book: Book) -> None:
    with Book.open(book.folder) as other:
        book.rebuild(book.recipe.with_step("embedder", "hashed(dim=64)"))
        with pytest.raises(BookError, match="was rebuilt meanwhile"):
            other.remove(["7.txt"])
        assert other.search("king number8", k=1)
        assert len(other.remove(["7.txt"])) == 1


def test_a_store_of_the_same_name_that_is_another_one_is_followed(book: Book, tmp_path: Path) -> None:
    before = stores(book)
    with Book.open(book.folder) as other:
        assert other.search("king number8", k=1)
        book.rebuild(book.recipe.with_step("embedder", "hashed(dim=64)"))
        book.rebuild(book.recipe.with_step("embedder", "hashed(dim=96)"))
        assert stores(book) == before
        late = tmp_path / "late.txt"
        late.write_text("Jonah was in the belly of the fish.", encoding="utf-8")
        assert other.add([late]).added == 1
        assert other.search("Jonah", k=1)[0].source == book.search("Jonah", k=1)[0].source == str(late)


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedder's model is not on this machine."""

    def missing(_: Hashed) -> str:
        raise ModelError(MISSING)

    monkeypatch.setattr(Hashed, "fingerprint", property(missing))


def test_without_the_model_no_book_is_begun(tmp_path: Path, gone: None) -> None:
    with pytest.raises(ModelError, match=MISSING):
        Book.open(tmp_path / "new", RECIPE, create=True)
    assert not (tmp_path / "new").exists()


def test_a_book_is_searched_by_words_where_its_model_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "The great fish swallowed the prophet, and he was in its belly for three days and three nights. "
    (tmp_path / "a.txt").write_text(text * 5, encoding="utf-8")
    recipe = RECIPE.with_step("store", "flat")
    with Book.open(tmp_path / "book", recipe, create=True) as book:
        book.add([tmp_path / "a.txt"])
    monkeypatch.setattr(Hashed, "fingerprint", "other")
    questions = "Who was swallowed by the fish?", "Wer wurde von einem großen Fisch verschluckt, der Prophet fish?"
    with Book.open(tmp_path / "book", recipe.with_step("retriever", "bm25")) as words:
        assert all(words.search(question) for question in questions)
    with Book.open(tmp_path / "book") as book:
        for question in questions:
            with pytest.raises(BookError, match="made by another version"):
                book.search(question)
