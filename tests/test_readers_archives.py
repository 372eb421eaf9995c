"""Archives: what lies in them is read as in a folder, and nothing in them can do harm."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from contracts import ReaderContract, Write, read
from openbook import registry
from openbook.errors import ReadError
from openbook.readers import known, limits
from openbook.readers.archives import Archive
from openbook.readers.auto import Auto
from openbook.recipe import Spec
from openbook.types import Reader, Unread

Files = Mapping[str, bytes]


def zipped(files: Files, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: Files, mode: Literal["w", "w:gz", "w:bz2", "w:xz"] = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


PACKERS: Mapping[str, Callable[[Files], bytes]] = {
    "a.zip": zipped,
    "a.tar": tarred,
    "a.tar.gz": lambda files: tarred(files, "w:gz"),
    "a.tgz": lambda files: tarred(files, "w:gz"),
    "a.tar.bz2": lambda files: tarred(files, "w:bz2"),
    "a.tar.xz": lambda files: tarred(files, "w:xz"),
}
SINGLE: Mapping[str, Callable[[bytes], bytes]] = {
    "a.txt.gz": gzip.compress,
    "a.txt.bz2": bz2.compress,
    "a.txt.xz": lzma.compress,
}
FILES = {
    "sea/fish.txt": b"One fish.",
    "whale.md": b"# Whales\n\nAre big.",
    "rows.jsonl": b'{"_id": "7", "text": "Cod."}',
}


def outcome(path: Path) -> tuple[dict[str, str], dict[str, str], str]:
    """Texts and reasons by what stands after the archive's name, and the error that ended it."""
    texts, reasons, ended = {}, {}, ""
    try:
        for part in Auto()(path):
            name = part.source.removeprefix(str(path))
            if isinstance(part, Unread):
                assert "\n" not in part.reason
                assert "openbook-" not in part.reason, "the name of a temporary folder"
                reasons[name] = part.reason.removeprefix(part.source)
            else:
                texts[name] = part.text
    except ReadError as error:
        ended = str(error).removeprefix(str(path))
    assert "\n" not in ended
    return texts, reasons, ended


class TestArchive(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return Archive()

    @pytest.fixture(params=PACKERS)
    def sample(self, request: pytest.FixtureRequest, write: Write) -> Path:
        return write(request.param, PACKERS[request.param](FILES))

    def test_files_are_read_by_their_kind_under_their_names(self, sample: Path) -> None:
        assert outcome(sample) == (
            {"#sea/fish.txt": "One fish.", "#whale.md": "# Whales\n\nAre big.", "#rows.jsonl#7": "Cod."},
            {},
            "",
        )

    def test_what_a_folder_would_pass_over_is_passed_over(self, write: Write) -> None:
        files = dict.fromkeys(("a.png", ".git/a.txt", "__MACOSX/a.txt", ".DS_Store", "LICENSE", "b/", "c.exe"), b"x")
        for name in ("a.zip", "a.tar.gz"):
            assert outcome(write(name, PACKERS[name](files | {"./b/a.txt": b"fish"}))) == (
                {"#./b/a.txt": "fish"},
                {},
                "",
            )

    @pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
    def test_one_file_is_unpacked(self, write: Write, suffix: str, pack: Callable[[bytes], bytes]) -> None:
        assert outcome(write(f"a.md.{suffix}", pack(b"# Fish"))) == ({"#a.md": "# Fish"}, {}, "")
        assert outcome(write(f"notes.{suffix}", pack(b"Fish"))) == ({"#notes": "Fish"}, {}, "")
        texts, reasons, ended = outcome(write(f"a.iso.{suffix}", pack(b"\0\1\2")))
        assert (texts, reasons) == ({}, {})
        assert "no reader for files with the suffix '.iso'" in ended

    def test_archives_in_archives_are_read_three_deep(self, write: Write) -> None:
        inner = gzip.compress(b"deep fish")
        third = write("a.zip", zipped({"b.tar.gz": tarred({"c/d.txt.gz": inner}, "w:gz"), "e.txt": b"fish"}))
        assert outcome(third) == ({"#b.tar.gz#c/d.txt.gz#d.txt": "deep fish", "#e.txt": "fish"}, {}, "")
        level = {f"{n}.txt.gz": inner for n in range(9)}
        for _ in range(3):
            level = {f"{n}.zip": zipped(level) for n in range(9)}
        texts, reasons, ended = outcome(write("bomb.zip", zipped(level)))
        assert (texts, ended) == ({}, "")
        assert len(reasons) == 1
        assert "lies in 3 files, one in the other, and deeper ones are not opened" in next(iter(reasons.values()))

    def test_an_archive_that_holds_itself_ends(self, write: Write) -> None:
        # As the known zip that unpacks to itself: here by giving each level what is the outermost but for one file.
        content = zipped({"a.txt": b"fish"})
        for _ in range(8):
            content = zipped({"a.txt": b"fish", "r.zip": content})
        texts, reasons, _ = outcome(write("r.zip", content))
        assert (len(texts), len(reasons)) == (3, 1)

    def test_a_file_without_a_name_is_none(self, write: Write) -> None:
        content = zipped({"a.txt": b"one", "b.txt": b"two"}).replace(b"a.txt", b"\0.txt")
        assert outcome(write("a.zip", content)) == ({"#b.txt": "two"}, {}, "")

    def test_two_files_of_one_name_are_two(self, write: Write) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("a.txt", "one")
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr("a.txt", "two")
        assert outcome(write("a.zip", buffer.getvalue()))[0] == {"#a.txt": "one", "#a.txt~2": "two"}

    def test_names_in_any_encoding_are_shown(self, write: Write) -> None:
        content = zipped({"größe.txt": b"fish"})
        unflagged = content.replace(b"\0\x08\0\0", b"\0\0\0\0")  # the bit that says UTF-8
        assert set(outcome(write("a.zip", content))[0]) == {"#größe.txt"}
        assert len(outcome(write("b.zip", unflagged))[0]) == 1
        odd = tarred({os.fsdecode(b"gr\xf6\xdfe\n.txt"): b"fish"})
        assert len(outcome(write("a.tar", odd))[0]) == 1

    def test_the_pdf_reader_that_was_chosen_reads_in_it_too(self, write: Write) -> None:
        whales = (Path(__file__).parent / "data" / "whales.pdf").read_bytes()
        path = write("a.zip", zipped({"b.tar": tarred({"whales.pdf": whales})}))
        reader = registry.make("reader", Spec.parse("auto(pdf='pypdf')"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("openbook.readers.pypdfium2.Pypdfium2.__call__", None)
            (document,) = read(reader, path)
        assert document.title == "A Small Book of Whales"

    def test_one_file_that_cannot_be_read_costs_that_file(self, write: Write) -> None:
        path = write("a.zip", zipped({"a.txt": b"", "b.pdf": b"%PDF-1.4", "c.txt": b"fish"}))
        texts, reasons, ended = outcome(path)
        assert (texts, ended) == ({"#c.txt": "fish"}, "")
        assert set(reasons) == {"#a.txt", "#b.pdf"}
        assert reasons["#a.txt"].startswith(" is empty.")


class TestHostileArchives:
    @pytest.mark.parametrize(
        "name", ["../a.txt", "/etc/a.txt", "a/../../b.txt", "C:\\a.txt", "..\\a.txt", "\\\\x\\a.txt"]
    )
    def test_names_that_lead_out_are_refused(self, write: Write, tmp_path: Path, name: str) -> None:
        before = set(tmp_path.parent.rglob("*"))
        for archive in ("a.zip", "a.tar"):
            path = write(archive, PACKERS[archive]({name: b"evil", "b.txt": b"fish"}))
            texts, reasons, ended = outcome(path)
            assert (texts, ended) == ({"#b.txt": "fish"}, "")
            assert [reason for reason in reasons.values() if "its path leads out of the archive" in reason]
            before.add(path)
        assert set(tmp_path.parent.rglob("*")) == before

    @pytest.mark.parametrize(
        ("kind", "target", "refused"),
        [
            (tarfile.SYMTYPE, "/etc/passwd", True),
            (tarfile.SYMTYPE, "../../b.txt", True),
            (tarfile.SYMTYPE, "../b.txt", False),
            (tarfile.LNKTYPE, "../b.txt", True),
            (tarfile.LNKTYPE, "b.txt", False),
            (tarfile.CHRTYPE, "", True),
            (tarfile.FIFOTYPE, "", True),
        ],
    )
    def test_links_out_and_devices_are_refused(self, write: Write, kind: bytes, target: str, refused: bool) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            info = tarfile.TarInfo("a/link.txt")
            info.type, info.linkname = kind, target
            archive.addfile(info)
        texts, reasons, ended = outcome(write("a.tar", buffer.getvalue()))
        assert (texts, bool(reasons), ended) == ({}, refused, "")

    def test_links_in_a_zip_are_no_text(self, write: Write) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, target in (("a.txt", "/etc/passwd"), ("b/c.txt", "../d.txt")):
                info = zipfile.ZipInfo(name)
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
                archive.writestr(info, target)
        texts, reasons, _ = outcome(write("a.zip", buffer.getvalue()))
        assert (texts, set(reasons)) == ({}, {"#a.txt"})

    def test_an_encrypted_file_says_so(self, write: Write) -> None:
        content = bytearray(zipped({"a.txt": b"fish", "b.txt": b"cod"}, zipfile.ZIP_STORED))
        content[6] |= 1
        content[content.index(b"PK\1\2") + 8] |= 1
        texts, reasons, _ = outcome(write("a.zip", bytes(content)))
        assert texts == {"#b.txt": "cod"}
        assert reasons == {"#a.txt": " is encrypted. Unpack it with its password and add the folder."}

    @pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz"])
    def test_a_bomb_is_stopped_by_what_it_inflates_to(self, write: Write, name: str) -> None:
        # In a packed tar, a file that is passed over must be inflated all the same.
        inner = "b.txt" if name == "a.zip" else "b.png"
        texts, _, ended = outcome(write(name, PACKERS[name]({inner: b"\0" * (30 << 20)})))
        assert texts == {}
        assert "grows more than 200 times when unpacked, as only a zip bomb does" in ended

    def test_a_single_file_can_be_a_bomb(self, write: Write) -> None:
        texts, _, ended = outcome(write("a.txt.gz", gzip.compress(b"\0" * (30 << 20))))
        assert texts == {}
        assert "zip bomb" in ended

    def test_a_bomb_in_an_archive_ends_the_archive(self, write: Write) -> None:
        bomb = zipped({"b.txt": b"\0" * (12 << 20)})
        path = write("a.zip", zipped({f"{n}.zip": bomb for n in range(50)} | {"a.txt": b"fish"}))
        began = time.process_time()
        texts, reasons, ended = outcome(path)
        assert (texts, "zip bomb" in ended) == ({}, True)
        assert len(reasons) < 10
        assert time.process_time() - began < 30

    def test_sizes_that_lie_change_nothing(self, write: Write) -> None:
        content = bytearray(zipped({"b.txt": b"\0" * (30 << 20)}))
        at = content.index(b"PK\1\2")
        content[at + 24 : at + 28] = (100).to_bytes(4, "little")
        content[22:26] = (100).to_bytes(4, "little")
        texts, reasons, ended = outcome(write("a.zip", bytes(content)))
        assert not any("\0" in text for text in texts.values())
        assert reasons or ended

    def test_overlapping_files_are_counted_each_time(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        """Many names in the directory for one body, which is how a zip of 10 MB becomes 281 TB."""
        monkeypatch.setattr(limits, "RATIO_FROM", 1 << 20)
        body = zipped({"a.txt": b"fish " * 40_000})
        at, end = body.index(b"PK\1\2"), body.rindex(b"PK\5\6")
        entry, count = body[at:end], 2000
        tail = bytearray(body[end:])
        tail[8:12] = count.to_bytes(2, "little") * 2
        tail[12:16] = (len(entry) * count).to_bytes(4, "little")
        texts, _, ended = outcome(write("a.zip", body[:at] + entry * count + bytes(tail)))
        assert len(texts) < count
        assert not ended or "zip bomb" in ended

    def test_more_than_the_limits_is_refused_in_one_line(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write("a.zip", zipped({f"{n}.txt": b"fish %d" % n for n in range(20)}))
        monkeypatch.setattr(limits, "MOST_MEMBERS", 10)
        texts, reasons, ended = outcome(path)
        assert (len(texts), reasons) == (10, {})
        assert ended == " holds more than 10 files. The rest was not read: unpack it yourself and add the folder."
        monkeypatch.setattr(limits, "MOST_MEMBERS", 100)
        monkeypatch.setattr(limits, "MOST_BYTES", 50)
        monkeypatch.setattr(limits, "MOST_TIMES", 0)
        assert "holds more than 0 GB when unpacked" in outcome(path)[2]

    def test_a_full_disk_is_said(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write("a.zip", zipped({"a.txt": b"fish"}))
        original = Path.open

        class Full(io.BytesIO):
            def write(self, _: object) -> int:
                raise OSError(28, "No space left on device")

        def refuse(self: Path, mode: str = "r", *options: Any) -> Any:
            return Full() if mode == "wb" else original(self, mode, *options)

        monkeypatch.setattr(Path, "open", refuse)
        _, reasons, _ = outcome(path)
        assert "could not be unpacked: No space left on device. Free some space in" in reasons["#a.txt"]


@pytest.mark.parametrize("name", PACKERS)
def test_a_cut_archive_gives_what_is_whole_and_says_so(write: Write, name: str) -> None:
    random.seed(7)
    files = {f"{n}.txt": bytes(random.choices(b"abcdefgh \n", k=2000)) for n in range(20)}
    content = PACKERS[name](files)
    for cut in (1, 2, 3, 5, 8):
        texts, reasons, ended = outcome(write(name, content[: len(content) * cut // 11]))
        assert len(texts) < 20
        assert ended or reasons
    assert set(outcome(write(name, content))[0]) == {f"#{name}" for name in files}


@pytest.mark.parametrize("name", [*PACKERS, *SINGLE])
def test_damaged_archives_never_crash(write: Write, name: str) -> None:
    random.seed(name)
    files = FILES | {"b.zip": zipped({"c.txt": b"fish " * 99}), "d.txt": bytes(random.choices(b"abcdefg \n", k=3000))}
    content = SINGLE[name](files["d.txt"]) if name in SINGLE else PACKERS[name](files)
    began = time.process_time()
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(random.randint(1, 8)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        outcome(write(name, bytes(damaged[: random.choice([len(damaged), random.randrange(len(damaged))])])))
    assert time.process_time() - began < 300


def test_known_kinds() -> None:
    assert known("a.tar.gz")
    assert known("a.TGZ")
    assert not known("a.iso.gz")
    assert not known("gz")
    assert not known("a.docx.png")
    assert not known("old/~$letter.docx")  # who has letter.docx open, as Office notes it


def test_a_zip_that_is_none_says_so(write: Write) -> None:
    for name in ("a.zip", "a.tar", "a.tar.gz", "a.txt.gz", "a.txt.xz", "a.txt.bz2"):
        texts, reasons, ended = outcome(write(name, b"no archive at all" * 100))
        assert (texts, reasons) == ({}, {})
        assert "is damaged (" in ended, name
