"""Any GGUF of the hub, against servers that speak as Hugging Face and the hosts it points to do."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import re
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openbook.app.cli import run
from openbook.errors import ModelError
from openbook.models import find, hub, own_catalogue
from openbook.models.catalogue import HuggingFace, Model, Part, Wheels, catalogue
from openbook.models.gguf import read_header
from openbook.models.listing import rows
from openbook.models.pull import pull, remove
from openbook.models.references import adopt, look, parse
from openbook.models.repositories import Repository, quantisation_of, read_repository
from openbook.models.transfer import SourceError
from test_models import KEYS, Quiet, gguf, scalar

TOKEN = "hf_secret"
COMMIT, LATER = "a" * 40, "b" * 40
WEIGHTS = random.Random(2).randbytes(1_500_000)


def model_file(keys: list[bytes] | None = None, *, seed: int = 0) -> bytes:
    """A GGUF with 1.5 MB of weights, another for each seed."""
    tensor = ("a", (len(WEIGHTS) // 4,), 0, 0)
    name = scalar("general.version", 4, seed)
    return gguf([*(KEYS if keys is None else keys), name], [tensor]) + WEIGHTS


SMALL, LARGE = model_file(seed=1), model_file(seed=2)


def split_model() -> dict[str, bytes]:
    """Three files: the first has the metadata, as llama-gguf-split makes them."""
    files = {}
    for number in range(3):
        own = [scalar("split.no", 2, number), scalar("split.count", 2, 3), scalar("split.tensors.count", 5, 3)]
        keys = [*KEYS, *own] if number == 0 else own
        content = gguf(keys, [(f"t{number}", (100_000,), 0, 0)]) + WEIGHTS[number:][:400_000]
        files[f"Q8_0/Big-Q8_0-{number + 1:05}-of-00003.gguf"] = content
    return files


@dataclass
class Repo:
    """What the hub has under one name."""

    files: dict[str, bytes]
    card: dict[str, Any] = field(default_factory=lambda: {"license": "apache-2.0"})
    commit: str = COMMIT
    gated: str = ""  # 'no token': refused without; 'no access': refused with one too
    private: bool = False
    more: dict[str, Any] = field(default_factory=dict)  # of what the API says
    claims: dict[str, str] = field(default_factory=dict)  # a sha256 that is said instead of the file's own


@dataclass
class Faults:
    """What goes wrong, and what was asked."""

    busy: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # answers of the hub before it works
    breaks_after: list[int] = field(default_factory=list)  # bytes before the file's host hangs up, each request
    cdn_status: int = 200
    page: bytes = b""  # instead of what the API says
    asked: list[str] = field(default_factory=list)  # of the hub: path and query
    ranges: list[str] = field(default_factory=list)  # of the file's host
    tokens: list[str] = field(default_factory=list)  # what the hub was sent
    leaked: list[str] = field(default_factory=list)  # what the file's host was sent


@dataclass
class World:
    repos: dict[str, Repo]
    renamed: dict[str, str] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    cdn: str = ""


class HubHandler(BaseHTTPRequestHandler):
    world: World
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"error": message}).encode()
        self.answer(status, {"X-Error-Code": code, "X-Error-Message": message}, body)

    def do_GET(self) -> None:
        faults, url = self.world.faults, urlsplit(self.path)
        faults.asked.append(self.path)
        sent = self.headers.get("Authorization", "")
        faults.tokens += [sent] if sent else []
        if faults.busy:
            self.answer(*faults.busy.pop(0))
            return
        if sent and sent != f"Bearer {TOKEN}":
            self.answer(401, {"X-Error-Message": "Invalid credentials in Authorization header"})
            return
        parts = url.path.strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if api else parts[:2])
        for old, new in self.world.renamed.items():
            if name == old:
                self.answer(307, {"Location": self.path.replace(old, new)})
                return
        repo = self.world.repos.get(name)
        if repo is None or (repo.private and not sent):
            # Without a login the hub does not say whether a repository is missing or private.
            status, message = (404, "Repository not found") if sent else (401, "Invalid username or password.")
            self.refuse(status, "RepoNotFound", message)
        elif api:
            self.describe(name, repo, parts[5] if parts[4:5] == ["revision"] else "main", url.query)
        else:
            self.resolve(name, repo, parts[3], unquote("/".join(parts[4:])), sent)

    def describe(self, name: str, repo: Repo, revision: str, query: str) -> None:
        if revision not in {"main", repo.commit}:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        assert parse_qs(query) == {"blobs": ["true"]}
        siblings: list[dict[str, Any]] = [{"rfilename": "README.md", "size": 12, "blobId": "c" * 40}]
        for file, content in repo.files.items():
            sha256 = repo.claims.get(file) or hashlib.sha256(content).hexdigest()
            lfs = {"sha256": sha256, "size": len(content), "pointerSize": 134}
            siblings.append({"rfilename": file, "size": len(content), "blobId": "d" * 40, "lfs": lfs})
        said: dict[str, Any] = {
            "id": name,
            "modelId": name,
            "sha": repo.commit,
            "gated": "manual" if repo.gated else False,
            "siblings": siblings,
        }
        said = {**said, "cardData": repo.card, "tags": ["gguf"], "pipeline_tag": "text-generation", **repo.more}
        body = self.world.faults.page or json.dumps(said).encode()
        self.answer(200, {"Content-Type": "application/json"}, body)

    def resolve(self, name: str, repo: Repo, revision: str, file: str, sent: str) -> None:
        if repo.gated == "no access" or (repo.gated and not sent):
            message = f"Access to model {name} is restricted. You must have access to it and be authenticated."
            self.refuse(403 if sent else 401, "GatedRepo", message)
        elif revision not in {"main", repo.commit}:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif file not in repo.files:
            self.refuse(404, "EntryNotFound", "Entry not found")
        else:
            sha256 = repo.claims.get(file) or hashlib.sha256(repo.files[file]).hexdigest()
            linked = {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(repo.files[file]))}
            where = f"{self.world.cdn}/{name}/{sha256}?file={quote(file)}&Signature=x"
            self.answer(302, {"X-Repo-Commit": repo.commit, "ETag": f'"{sha256}"', "Location": where, **linked})


class CdnHandler(BaseHTTPRequestHandler):
    """Where the hub points to: it knows nothing of tokens, and must be sent none."""

    world: World
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        faults, url = self.world.faults, urlsplit(self.path)
        faults.leaked += [self.headers["Authorization"]] if "Authorization" in self.headers else []
        name = "/".join(url.path.strip("/").split("/")[:2])
        content = self.world.repos[name].files[parse_qs(url.query)["file"][0]]
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        wanted = self.headers.get("Range", "")
        faults.ranges.append(wanted)
        if faults.cdn_status != 200:
            self.send_response(faults.cdn_status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
        if span and self.headers.get("If-Range", etag) == etag:
            start, end = int(span[1]), min(int(span[2] or len(content)), len(content) - 1)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(content)}")
            content = content[start : end + 1]
        else:
            self.send_response(200)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if faults.breaks_after and len(content) > 4:
            content, self.close_connection = content[: faults.breaks_after.pop(0)], True
        self.wfile.write(content)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    state = World({"us/Tiny-GGUF": Repo({"Tiny-Q4_K_M.gguf": SMALL, "Tiny-Q8_0.gguf": LARGE})})
    servers = [Quiet(("127.0.0.1", 0), type("H", (kind,), {"world": state})) for kind in (HubHandler, CdnHandler)]
    threads = [threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01}) for one in servers]
    for thread in threads:
        thread.start()
    at, state.cdn = (f"http://127.0.0.1:{one.server_address[1]}" for one in servers)
    for variable in ("OPENBOOK_MODELS_FROM", "HF_HUB_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setattr(hub, "REACH_SECONDS", 60.0)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", at)
    yield state
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join()


def quiet(line: str) -> None:
    pass


def yes(repository: Repository, model: object) -> None:
    pass


def get(text: str, **options: Any) -> Path:
    return pull(adopt(text, yes, options.pop("say", quiet), **options))


def refused(text: str) -> str:
    """What is said, where nothing may be left behind."""
    with pytest.raises(ModelError) as caught:
        get(text)
    assert not [model for model in catalogue().values() if model.pulled_from]
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what a user types ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("hf:us/tiny", "hf:us/tiny"),
        ("hf:us/tiny:Q4_K_M", "hf:us/tiny:Q4_K_M"),
        ("hf:us/tiny@v1:a b/x.gguf", "hf:us/tiny@v1:a b/x.gguf"),
        ("https://huggingface.co/us/tiny", "hf:us/tiny"),
        ("https://huggingface.co/us/tiny/tree/main", "hf:us/tiny"),
        ("https://hf.co/us/tiny/blob/main/q8/a%20b.gguf?show_file_info=x", "hf:us/tiny@main:q8/a b.gguf"),
        ("https://huggingface.co/us/tiny/resolve/main/x.gguf?download=true", "hf:us/tiny@main:x.gguf"),
    ],
)
def test_a_reference_or_an_address_from_a_browser_is_read(text: str, meant: str) -> None:
    assert str(parse(text)) == meant


@pytest.mark.parametrize("text", ["hf:", "hf:tiny", "hf:us/../x", "hf:us/tiny/x", "hf:us/ti ny:x", "hf:us/tiny:"])
def test_what_is_no_reference_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ModelError, match=r"Write hf:OWNER/REPO:FILE, or a quantisation such as Q4_K_M instead of FILE"):
        parse(text)


@pytest.mark.parametrize(
    ("file", "quantisation"),
    [
        ("Qwen2.5-7B-Instruct-Q4_K_M.gguf", "Q4_K_M"),
        ("qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf", "Q4_K_M"),
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1"),
        ("Qwen3-30B-A3B-UD-IQ2_XXS.gguf", "UD-IQ2_XXS"),
        ("model-q4_0_4_8.gguf", "Q4_0_4_8"),
        ("Q6_K_L/model-Q6_K_L-00001-of-00003.gguf", "Q6_K_L"),
        ("llama-2-7b.Q2_K.gguf", "Q2_K"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("ggml-model-f16.gguf", "F16"),
        ("BF16/x.gguf", "BF16"),
        ("gemma-3-270m-it-qat-Q4_0.gguf", "Q4_0"),
        ("llama-3-8b.gguf", ""),
    ],
)
def test_the_quantisation_is_read_from_the_name(file: str, quantisation: str) -> None:
    assert quantisation_of(file) == quantisation


# --- a pull -----------------------------------------------------------------------------------------------------------


def test_a_model_is_pulled_by_its_quantisation_and_then_known_by_one_word(world: World) -> None:
    lines: list[str] = []
    path = get("hf:us/Tiny-GGUF:q4_k_m", say=lines.append)
    assert path.read_bytes() == SMALL
    assert find("tiny-q4_k_m") == path
    row = catalogue()["tiny-q4_k_m"]
    assert row.pulled_from == f"hf:us/Tiny-GGUF@{COMMIT}:Tiny-Q4_K_M.gguf"
    assert (row.licence, row.sha256) == ("Apache-2.0", hashlib.sha256(SMALL).hexdigest())
    assert (row.parameters, row.context) == (len(WEIGHTS) // 4, 2048)  # as the file says it


def test_it_is_repeated_exactly_though_the_repository_went_on(world: World) -> None:
    path = get("hf:us/Tiny-GGUF:Q4_K_M")
    path.unlink()
    repo = world.repos["us/Tiny-GGUF"]
    world.faults.asked.clear()
    assert pull("tiny-q4_k_m").read_bytes() == SMALL
    assert world.faults.asked == [f"/us/Tiny-GGUF/resolve/{COMMIT}/Tiny-Q4_K_M.gguf"]
    repo.files["Tiny-Q4_K_M.gguf"], repo.commit = LARGE, LATER
    assert pull("tiny-q4_k_m").read_bytes() == SMALL
    assert get("hf:us/Tiny-GGUF:Q4_K_M").name == "us-tiny-q4_k_m.gguf"
    assert pull("tiny-q4_k_m").read_bytes() == SMALL


def test_the_same_file_keeps_its_name(world: World) -> None:
    lines: list[str] = []
    first = get("hf:us/Tiny-GGUF:Q4_K_M")
    world.repos["them/copy"] = Repo({"other-name.gguf": SMALL})
    assert get("hf:them/copy", say=lines.append) == first
    assert lines[0] == "hf:them/copy is tiny-q4_k_m"
    first.unlink()
    del world.repos["us/Tiny-GGUF"]
    assert get("hf:them/copy") == first


def test_pulls_of_one_reference_at_once_are_one_model(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    look_inside = hub.Hub.first_bytes

    def meanwhile(self: hub.Hub, source: HuggingFace, count: int) -> tuple[bytes, str]:
        monkeypatch.setattr(hub.Hub, "first_bytes", look_inside)
        get("hf:us/Tiny-GGUF:Q4_K_M")
        return look_inside(self, source, count)

    monkeypatch.setattr(hub.Hub, "first_bytes", meanwhile)
    assert get("hf:us/Tiny-GGUF:Q4_K_M").name == "tiny-q4_k_m.gguf"
    assert [model.name for model in catalogue().values() if model.pulled_from] == ["tiny-q4_k_m"]


def test_a_name_may_be_chosen(world: World) -> None:
    assert get("hf:us/Tiny-GGUF:Q4_K_M", name="mine") == find("mine")
    with pytest.raises(ModelError, match="The name minilm is taken"):
        adopt("hf:us/Tiny-GGUF:Q8_0", yes, quiet, "minilm")
    with pytest.raises(ModelError, match=r"'\.\./x' is not allowed as a name"):
        adopt("hf:us/Tiny-GGUF:Q8_0", yes, quiet, "../x")


def test_a_file_of_the_same_name_by_somebody_else_gets_another_name(world: World) -> None:
    world.repos["them/Tiny"] = Repo({"Tiny-Q4_K_M.gguf": LARGE})
    get("hf:us/Tiny-GGUF:Q4_K_M")
    assert get("hf:them/Tiny").name == "them-tiny-q4_k_m.gguf"


def test_a_file_that_lies_in_the_models_folder_is_taken_as_it_is(world: World, openbook_home: Path) -> None:
    there = openbook_home / "models" / "Tiny-Q4_K_M.gguf"
    there.parent.mkdir()
    there.write_bytes(SMALL)
    assert find("Tiny-Q4_K_M") == there
    assert get("hf:us/Tiny-GGUF:Q4_K_M") == there
    assert world.faults.ranges == ["bytes=0-3"]
    assert find("tiny-q4_k_m") == there


def test_a_file_in_the_cache_of_hugging_face_is_linked(world: World, tmp_path: Path) -> None:
    blob = tmp_path / "hf" / "hub" / "models--us--Tiny-GGUF" / "blobs" / hashlib.sha256(SMALL).hexdigest()
    blob.parent.mkdir(parents=True)
    blob.write_bytes(SMALL)
    path = get("hf:us/Tiny-GGUF:Q4_K_M")
    assert path.samefile(blob)
    assert world.faults.ranges == ["bytes=0-3"]


def test_a_wrong_file_in_the_cache_of_hugging_face_is_left_there(world: World, tmp_path: Path) -> None:
    blob = tmp_path / "hf" / "hub" / "models--us--Tiny-GGUF" / "blobs" / hashlib.sha256(SMALL).hexdigest()
    blob.parent.mkdir(parents=True)
    blob.write_bytes(bytes(len(SMALL)))
    assert get("hf:us/Tiny-GGUF:Q4_K_M").read_bytes() == SMALL
    assert blob.read_bytes() == bytes(len(SMALL))


def test_a_renamed_repository_is_followed_and_said(world: World) -> None:
    world.renamed["old/Name"] = "us/Tiny-GGUF"
    lines: list[str] = []
    get("hf:old/Name:Q8_0", say=lines.append)
    assert lines == ["old/Name is called us/Tiny-GGUF now"]
    assert catalogue()["tiny-q8_0"].pulled_from.startswith("hf:us/Tiny-GGUF@")


def test_a_name_with_spaces_and_other_letters_is_pulled(world: World) -> None:
    world.repos["us/odd"] = Repo({"sub folder/Größe (v1)+Q4_0.gguf": SMALL})
    assert get("hf:us/odd").name == "gr-e-v1-q4_0.gguf"


def test_a_file_whose_name_says_little_is_called_as_its_repository(world: World) -> None:
    for file, name in (
        ("ggml-model-i2_s.gguf", "bitnet-2b-i2_s.gguf"),
        ("Q8_0/model.gguf", "bitnet-2b-q8_0.gguf"),
        ("Q4_0/tiny.gguf", "tiny-q4_0.gguf"),
        ("model-f16-00001-of-00001.gguf", "bitnet-2b-f16-00001-of-00001.gguf"),
    ):
        world.repos["us/BitNet-2B-GGUF"] = Repo({file: model_file(seed=len(file))})
        assert get("hf:us/BitNet-2B-GGUF").name == name


def test_a_revision_may_be_named(world: World) -> None:
    assert get(f"hf:us/Tiny-GGUF@{COMMIT}:Q8_0").read_bytes() == LARGE
    with pytest.raises(ModelError, match="us/Tiny-GGUF has no such revision"):
        adopt("hf:us/Tiny-GGUF@v9:Q8_0", yes, quiet)


def test_a_broken_connection_is_taken_up_where_it_broke(world: World) -> None:
    world.faults.breaks_after = [500_000, 400_000]
    assert get("hf:us/Tiny-GGUF:Q4_K_M").read_bytes() == SMALL
    assert world.faults.ranges == ["bytes=0-3", "", "bytes=500000-", "bytes=900000-"]


def test_a_stopped_pull_goes_on_by_reference_and_by_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "BREAKS", 1)
    for broken, text in ((600_000, "hf:us/Tiny-GGUF:Q4_K_M"), (300_000, "hf:us/Tiny-GGUF:Q4_K_M")):
        world.faults.breaks_after = [broken]
        with pytest.raises(ModelError, match="the connection broke 1 times"):
            get(text)
    with pytest.raises(ModelError, match=r"tiny-q4_k_m is only half here, 900,000 bytes of 2 MB"):
        find("tiny-q4_k_m")
    assert pull("tiny-q4_k_m").read_bytes() == SMALL
    assert world.faults.ranges[-2:] == ["bytes=600000-", "bytes=900000-"]


# --- split models -----------------------------------------------------------------------------------------------------


def test_all_files_of_a_split_model_are_pulled_and_are_one_model(world: World) -> None:
    files = split_model()
    world.repos["us/Big-GGUF"] = Repo(files)
    path = get("hf:us/Big-GGUF:Q8_0")
    assert path.name == "big-q8_0-00001-of-00003.gguf"
    folder = path.parent
    assert [one.read_bytes() for one in sorted(folder.glob("*.gguf"))] == list(files.values())
    assert find("big-q8_0") == path
    header = read_header(path)
    assert (header.parameters, header.size_bytes) == (300_000, sum(map(len, files.values())))
    (row,) = [row for row in rows() if row.name.startswith("big")]
    assert (row.here, row.size_bytes) == (True, header.size_bytes)
    assert not [row for row in rows() if row.name.endswith(".gguf")]
    remove("big-q8_0")
    assert list(folder.glob("*.gguf")) == []
    assert "big-q8_0" not in catalogue()


def test_a_stopped_pull_of_a_split_model_does_not_begin_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "BREAKS", 1)
    world.repos["us/Big-GGUF"] = Repo(split_model())
    world.faults.breaks_after = [10_000_000, 200_000]
    with pytest.raises(ModelError):
        get("hf:us/Big-GGUF:Q8_0")
    with pytest.raises(ModelError, match="only half here"):
        find("big-q8_0")
    world.faults.ranges.clear()
    pull("big-q8_0")
    assert world.faults.ranges == ["bytes=200000-", ""]


def test_a_split_model_without_all_its_parts_is_refused(world: World) -> None:
    files = split_model()
    del files["Q8_0/Big-Q8_0-00002-of-00003.gguf"]
    world.repos["us/Big-GGUF"] = Repo(files)
    assert "us/Big-GGUF holds only some parts of Q8_0/Big-Q8_0-00001-of-00003.gguf." in refused("hf:us/Big-GGUF")


def test_another_part_than_the_first_is_no_model(tmp_path: Path) -> None:
    for name, content in split_model().items():
        (tmp_path / Path(name).name).write_bytes(content)
    with pytest.raises(ModelError, match="is part 2 of 3 of a split model. Name its first: Big-Q8_0-00001-of-00003"):
        read_header(tmp_path / "Big-Q8_0-00002-of-00003.gguf")
    (tmp_path / "Big-Q8_0-00002-of-00003.gguf").unlink()
    with pytest.raises(ModelError, match="and Big-Q8_0-00002-of-00003.gguf is not beside it"):
        read_header(tmp_path / "Big-Q8_0-00001-of-00003.gguf")


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_what_a_repository_does_not_hold_is_said(world: World) -> None:
    assert refused("hf:us/Tiny-GGUF:Q4_K_S") == (
        "us/Tiny-GGUF holds no Q4_K_S. Did you mean 'Q4_K_M'? It holds Q4_K_M, Q8_0."
        " All of them: openbook models pull hf:us/Tiny-GGUF --search"
    )
    assert refused("hf:us/Tiny-GGUF") == (
        "us/Tiny-GGUF holds 2 models: Q4_K_M, Q8_0. Name one, such as hf:us/Tiny-GGUF:Q4_K_M"
    )
    world.repos["us/Two"] = Repo({"a-Q4_K_M.gguf": SMALL, "b-Q4_K_M.gguf": LARGE, "mmproj-F16.gguf": SMALL})
    assert refused("hf:us/Two:Q4_K_M") == (
        "us/Two holds 2 models of Q4_K_M: a-Q4_K_M.gguf, b-Q4_K_M.gguf. Name one, such as hf:us/Two:a-Q4_K_M.gguf"
    )
    assert "is not a language model but an addition to one" in refused("hf:us/Two:mmproj-F16.gguf")
    world.repos["us/None"] = Repo({})
    assert refused("hf:us/None:Q4_K_M") == (
        "us/None holds no GGUF file. Look for a repository whose name ends in GGUF."
    )


def test_a_repository_that_is_missing_or_private_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused("hf:us/Typo:Q4_K_M") == (
        "Cannot get hf:us/Typo:Q4_K_M from Hugging Face: it has no us/Typo, or keeps it private: then set HF_TOKEN."
    )
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert refused("hf:us/Typo:Q4_K_M") == (
        "Cannot get hf:us/Typo:Q4_K_M from Hugging Face: it has no us/Typo, or keeps it private."
    )


def test_a_public_file_is_pulled_without_a_token(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    get("hf:us/Tiny-GGUF:Q4_K_M")
    assert world.faults.tokens == []


def test_a_private_file_is_pulled_with_the_token_which_goes_to_the_hub_only(world: World, tmp_path: Path) -> None:
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text(f"{TOKEN}\n", "utf-8")  # where `hf auth login` leaves it
    world.repos["us/Tiny-GGUF"].private = True
    assert get("hf:us/Tiny-GGUF:Q4_K_M").read_bytes() == SMALL
    assert set(world.faults.tokens) == {f"Bearer {TOKEN}"}
    assert world.faults.leaked == []
    assert TOKEN not in own_catalogue.path().read_text("utf-8")


def test_a_gated_repository_says_where_to_agree(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    page = f"{hub.connect(quiet).endpoint}/us/Tiny-GGUF"
    world.repos["us/Tiny-GGUF"].gated = "no access"
    assert refused("hf:us/Tiny-GGUF:Q8_0") == (
        "Cannot get hf:us/Tiny-GGUF:Q8_0 from Hugging Face: us/Tiny-GGUF is gated:"
        f" agree to its terms at {page}, then set HF_TOKEN to your token."
    )
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert refused("hf:us/Tiny-GGUF:Q8_0") == (
        "Cannot get hf:us/Tiny-GGUF:Q8_0 from Hugging Face: us/Tiny-GGUF is gated,"
        f" and your token has no access yet: agree to its terms at {page}."
    )
    world.repos["us/Tiny-GGUF"].gated = "no token"
    assert get("hf:us/Tiny-GGUF:Q8_0").read_bytes() == LARGE


def test_a_token_that_is_not_accepted_is_said_and_not_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    world.repos["us/Tiny-GGUF"].gated = "no token"
    said = refused("hf:us/Tiny-GGUF:Q8_0")
    assert "it does not accept your token (HF_TOKEN, or " in said
    assert "hf_expired" not in said


def test_a_busy_hub_is_asked_again_when_it_says(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    world.faults.busy = [(429, {"Retry-After": "7"}), (429, {"RateLimit": '"api";r=0;t=55'}), (503, {})]
    lines: list[str] = []
    get("hf:us/Tiny-GGUF:Q4_K_M", say=lines.append)
    assert slept == [7, 55, 4]
    assert lines[0] == "Hugging Face is busy (status 429): asking again in 7 s"


def test_a_hub_that_stays_busy_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    world.faults.busy = [(429, {"Retry-After": "290"})]
    assert "it is busy (status 429). Try again in 290 s" in refused("hf:us/Tiny-GGUF:Q4_K_M")
    world.faults.busy = [(502, {})] * 4
    assert "it is busy (status 502)." in refused("hf:us/Tiny-GGUF:Q4_K_M")


@pytest.mark.parametrize("page", [b"<html>", b"[]", b'{"siblings": 3}', b'{"siblings": [], "sha": "main"}', b"\xff"])
def test_an_answer_that_cannot_be_understood_is_said(world: World, page: bytes) -> None:
    world.faults.page = page
    assert refused("hf:us/Tiny-GGUF:Q4_K_M").startswith("Cannot get hf:us/Tiny-GGUF:Q4_K_M from Hugging Face: it ")


def test_a_hub_that_cannot_be_reached_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert refused("hf:us/Tiny-GGUF:Q8_0") == (
        "Cannot get hf:us/Tiny-GGUF:Q8_0 from Hugging Face: 127.0.0.1 cannot be reached, connection refused."
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in refused("hf:us/Tiny-GGUF:Q8_0")
    assert world.faults.asked == []


@pytest.mark.parametrize("text", ["hf:us/Tiny-GGUF:Q4_K_M", "hf:us/tiny-gguf:tiny-q4_k_m.gguf", "hf:us/Tiny-GGUF"])
def test_without_the_hub_a_reference_means_what_it_meant_before(
    world: World, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    path = get("hf:us/Tiny-GGUF:Q4_K_M")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert get(text) == path


def test_wrong_bytes_are_not_let_through(world: World) -> None:
    name = "Tiny-Q4_K_M.gguf"
    world.repos["us/Tiny-GGUF"].claims[name] = hashlib.sha256(b"else").hexdigest()
    with pytest.raises(ModelError, match=r"Hugging Face: what it gave is not tiny-q4_k_m: sha256 [0-9a-f]{12}\.\.\."):
        get("hf:us/Tiny-GGUF:Q4_K_M")
    assert not list((own_catalogue.path().parent).glob("*.gguf"))


def test_a_file_that_was_published_damaged_is_not_kept(world: World) -> None:
    world.repos["us/Cut"] = Repo({"cut-Q8_0.gguf": SMALL[:-1000]})
    said = refused("hf:us/Cut")
    assert said.startswith(
        f"hf:us/Cut@{COMMIT}:cut-Q8_0.gguf is as it was published, and cannot be used: cut-q8_0.gguf"
    )
    assert said.endswith(" bytes are here. It was removed; choose another.")
    assert not list(own_catalogue.path().parent.glob("*.gguf"))


def test_what_is_no_gguf_is_refused_before_it_is_downloaded(world: World) -> None:
    world.repos["us/Fake"] = Repo({"fake-Q4_0.gguf": b"PK" + bytes(1_000_000)})
    assert refused("hf:us/Fake") == ("fake-Q4_0.gguf in us/Fake is no GGUF file: it begins with b'PK\\x00\\x00'.")
    assert world.faults.ranges == ["bytes=0-3"]


def test_the_files_host_refusing_is_said(world: World) -> None:
    world.faults.cdn_status = 403
    assert "127.0.0.1, where it points to, answers 403" in refused("hf:us/Tiny-GGUF:Q4_K_M")
    assert world.faults.tokens == []


def test_a_full_disk_is_refused_before_the_first_byte(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1_000_000))
    with pytest.raises(ModelError, match=r"Not enough room in .*: 2 MB wanted, 1 MB free"):
        get("hf:us/Tiny-GGUF:Q4_K_M")
    assert world.faults.ranges == ["bytes=0-3"]


# --- licences ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "licence", "is_open"),
    [
        ({"cardData": {"license": "mit"}}, "MIT", True),
        ({"cardData": {"license": "other", "license_name": "qwen-research"}}, "qwen-research", False),
        ({"cardData": {"license": "gemma"}}, "gemma", False),
        ({"cardData": {"license": ["apache-2.0", "mit"]}}, "apache-2.0 or mit", False),
        ({"cardData": {}, "tags": ["gguf", "license:apache-2.0"]}, "Apache-2.0", True),
        ({"cardData": None, "tags": None}, "unknown", False),
        ({"cardData": {"license": "\x1b[31mmit\n"}}, "[31mmit", False),
        ({"cardData": {"license": 3}}, "unknown", False),
    ],
)
def test_a_licence_is_read_from_the_card(world: World, said: dict[str, Any], licence: str, is_open: bool) -> None:
    world.repos["us/Tiny-GGUF"].more = said
    found = look("hf:us/Tiny-GGUF", quiet)
    assert (found.licence, found.is_open) == (licence, is_open)


def test_a_licence_that_is_not_open_is_asked_about(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    link = "https://ai.google.dev/gemma/terms"
    world.repos["us/Tiny-GGUF"].card = {"license": "gemma", "license_link": link}
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run(["models", "pull", "hf:us/Tiny-GGUF:Q4_K_M"]) == 1
    assert capfd.readouterr().err.startswith(
        f"us/Tiny-GGUF: licence gemma, {link}\n"
        "It may limit what you do with it; read it first. Download tiny-q4_k_m now? [y/N]: "
    )
    assert "tiny-q4_k_m" not in catalogue()
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run(["models", "pull", "hf:us/Tiny-GGUF:Q4_K_M"]) == 1
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.endswith("openbook: tiny-q4_k_m was not pulled. With --yes the licence is not asked about.")
    assert run(["models", "pull", "hf:us/Tiny-GGUF:Q4_K_M", "--yes"]) == 0
    assert catalogue()["tiny-q4_k_m"].licence_note == link


def test_an_open_licence_is_shown_and_not_asked_about(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "pull", "hf:us/Tiny-GGUF:Q4_K_M"]) == 0
    out, err = capfd.readouterr()
    assert out == f"tiny-q4_k_m is in {find('tiny-q4_k_m')}\n"
    assert f"us/Tiny-GGUF: licence Apache-2.0, {hub.connect(quiet).endpoint}/us/Tiny-GGUF\n" in err


# --- search -----------------------------------------------------------------------------------------------------------


def test_search_lists_what_fits(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = {"rfilename": "Tiny-F16.gguf", "size": 9 * 10**9, "lfs": {"sha256": "0" * 64, "size": 9 * 10**9}}
    files = world.repos["us/Tiny-GGUF"].files | {"mmproj-F16.gguf": SMALL} | split_model()
    siblings = [{"rfilename": name, "lfs": {"sha256": "1" * 64, "size": len(of)}} for name, of in files.items()]
    world.repos["us/Tiny-GGUF"].more = {"siblings": [huge, *siblings, {"rfilename": "x.gguf\x1b", "size": 3}, 7]}
    monkeypatch.setattr("openbook.app.show_models.memory", lambda: (8 * 10**9, 8 * 10**9, 0))
    assert run(["models", "pull", "hf:us/Tiny-GGUF", "--search"]) == 0
    out = capfd.readouterr().out
    get_one = "Get one with: openbook models pull hf:us/Tiny-GGUF"
    assert [re.split(r"  +", line) for line in out.splitlines()] == [
        [f"us/Tiny-GGUF: licence Apache-2.0, {hub.connect(quiet).endpoint}/us/Tiny-GGUF"],
        ["fits", "quantisation", "size", "memory", "file"],
        ["yes", "Q8_0", "1 MB", "110 MB", "Q8_0/Big-Q8_0-00001-of-00003.gguf", "(3 files)"],
        ["yes", "Q4_K_M", "2 MB", "111 MB", "Tiny-Q4_K_M.gguf"],
        ["yes", "Q8_0", "2 MB", "111 MB", "Tiny-Q8_0.gguf"],
        ["no", "F16", "9.0 GB", "10.0 GB", "Tiny-F16.gguf"],
        ["", "F16", "2 MB", "mmproj-F16.gguf"],
        [""],
        [f"{get_one}:QUANTISATION (or the file). This machine has 8.0 GB of memory."],
    ]
    assert run(["models", "pull", "hf:us/Tiny-GGUF", "--search", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert [one["fits"] for one in said["files"]] == [True, True, True, False, True]
    assert run(["models", "pull", "minilm", "--search"]) == 2


# --- the catalogue ----------------------------------------------------------------------------------------------------

HANDWRITTEN = """# my own

[[model]]  # the first
name = "mine"
kind = "llm"
file = "mine.gguf"
size_bytes = 3
sha256 = "ZEROS"
licence = "MIT"
purpose = "a # b"
# this belongs to the next
[[model]]
name = "next"
kind = "llm"
file = "next.gguf"
size_bytes = 3
sha256 = "ONES"
licence = "MIT"
purpose = "x"
""".replace("ZEROS", "0" * 64).replace("ONES", "1" * 64)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_other_rows_of_the_catalogue_stay_as_they_were(world: World, openbook_home: Path, newline: str) -> None:
    before = HANDWRITTEN.replace("\n", newline).encode()
    (openbook_home / "models").mkdir()
    own_catalogue.path().write_bytes(before)
    get("hf:us/Tiny-GGUF:Q4_K_M")
    get("hf:us/Tiny-GGUF:Q8_0")
    assert own_catalogue.path().read_bytes().startswith(before)
    assert {"mine", "next", "tiny-q4_k_m", "tiny-q8_0"} <= set(catalogue())
    remove("tiny-q4_k_m")
    remove("tiny-q8_0")
    assert own_catalogue.path().read_bytes().rstrip() == before.rstrip()
    with pytest.raises(ModelError, match="nothing to remove"):
        remove("mine")
    own_catalogue.take_out("mine")
    assert (
        own_catalogue.path()
        .read_bytes()
        .startswith(f"# my own{newline}{newline}# this belongs to the next{newline}".encode())
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f")), st.booleans(), st.integers(0, 2**62)
)
def test_a_row_is_read_as_it_was_written(openbook_home: Path, words: str, split: bool, number: int) -> None:
    parts = (Part(1, "0" * 64), Part(number + 1, "1" * 64)) if split else ()
    row = Model(
        name="x",
        kind="llm",
        file="x-00001-of-00002.gguf",
        size_bytes=number + 2,
        sha256="0" * 64,
        licence="MIT",
        purpose=words,
        licence_note=words,
        pulled_from="hf:us/x",
        sources=(HuggingFace("us/x", 'ü #[[model]] "x".gguf'), Wheels("x", "1.0", "x/x.bin")) if not split else (),
        parts=parts,
    )
    before = own_catalogue.path().read_text("utf-8") if own_catalogue.path().is_file() else ""
    own_catalogue.put(row)
    assert catalogue()["x"] == row
    own_catalogue.take_out("x")
    assert own_catalogue.path().read_text("utf-8").rstrip() == (before or own_catalogue.HEAD).rstrip()


class Said(hub.Hub):
    """A hub that says what a test makes up."""

    page: ClassVar[Any] = None

    def json(self, path: str, repository: str) -> Any:
        return self.page


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["a.gguf", "a-00001-of-99999.gguf", "mit", "\x1b[2J"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["rfilename", "lfs", "size", "sha256", "license", "total"]), inner, max_size=4
        )
    ),
)


@settings(max_examples=150)
@given(
    st.fixed_dictionaries(
        {"sha": st.just(COMMIT) | JSON, "siblings": st.lists(JSON)},
        optional={
            "id": JSON,
            "cardData": JSON,
            "tags": JSON,
            "gguf": JSON,
            "gated": JSON,
            "pipeline_tag": JSON,
        },
    )
)
def test_whatever_a_hub_says_is_understood_or_refused(page: dict[str, Any]) -> None:
    said = Said("http://hub", urllib3.PoolManager(), quiet)
    Said.page = page
    try:
        found = read_repository(said, "us/tiny")
    except SourceError:
        return
    assert all(offer.file.isprintable() and offer.size_bytes >= 0 for offer in found.offers)
    assert found.licence.isprintable()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_catalogue_that_cannot_be_written_is_said(world: World, openbook_home: Path) -> None:
    (openbook_home / "models").mkdir(mode=0o500)
    with pytest.raises(ModelError, match=r"Cannot write .*catalogue\.toml: Permission denied\. Or set"):
        get("hf:us/Tiny-GGUF:Q4_K_M")


def test_a_models_folder_that_is_a_file_is_said(world: World, openbook_home: Path) -> None:
    (openbook_home / "models").write_text("", "utf-8")
    with pytest.raises(ModelError, match=r"Cannot write .*catalogue\.toml: File exists\. Or set OPENBOOK_HOME\."):
        get("hf:us/Tiny-GGUF:Q4_K_M")


def test_many_pulls_at_once_lose_no_row(world: World) -> None:
    for number in range(8):
        world.repos[f"us/m{number}"] = Repo({f"m{number}.gguf": model_file(seed=10 + number)})
    threads = [threading.Thread(target=get, args=(f"hf:us/m{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {f"m{number}" for number in range(8)} <= set(catalogue())


def test_a_row_that_cannot_be_told_from_the_next_is_left_alone(world: World, openbook_home: Path) -> None:
    row = HANDWRITTEN.partition("[[model]]")[2].partition("# this")[0].replace('"a # b"', '"""\n[[model]]\n"""')
    (openbook_home / "models").mkdir()
    own_catalogue.path().write_text(f"[[model]]{row}", "utf-8")
    with pytest.raises(ModelError, match=r"has a row that cannot be told from the next"):
        get("hf:us/Tiny-GGUF:Q4_K_M")


def test_a_reference_is_not_a_name_for_asking(world: World) -> None:
    with pytest.raises(ModelError, match="openbook models pull hf:us/tiny:Q4_0"):
        find("hf:us/tiny:Q4_0")


def test_remove_of_a_model_that_was_never_whole_takes_its_row(world: World) -> None:
    path = get("hf:us/Tiny-GGUF:Q4_K_M")
    path.unlink()
    remove("tiny-q4_k_m")
    assert "tiny-q4_k_m" not in catalogue()


def test_a_repository_or_file_that_is_no_name_is_answered_with_what_to_write(world: World, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="One on Hugging Face is written hf:us/Tiny-GGUF:FILE"):
        pull("us/Tiny-GGUF")
    (tmp_path / "x.gguf").write_bytes(SMALL)
    with pytest.raises(ModelError, match=r"x.gguf is here: use it by its path, or put it into .* and call it 'x'\."):
        pull(str(tmp_path / "x.gguf"))


def test_the_table_says_where_the_models_are(openbook_home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["models"]) == 0
    assert f"A .gguf file in {openbook_home / 'models'} is a model by its name" in capfd.readouterr().out
