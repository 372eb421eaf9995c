"""Speaks with Hugging Face by plain HTTP: answers as JSON, and files, gone on with where an earlier try ended.

A token goes out only when the hub refuses without one, and to the hub's own address only: never where it points to.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import urllib3

from openbook.home import absolute
from openbook.models.catalogue import HuggingFace, Model
from openbook.models.transfer import PIECE, Meter, SourceError, check_room, size_of

ENDPOINT = "https://huggingface.co"
# Long enough for a slow line, short enough that a machine without internet goes on to the next source at once.
REACH_SECONDS = 2.5
READ_SECONDS = 30.0  # without a single byte
BREAKS = 20  # broken connections, each after some progress; one without ends the try
REDIRECTS = 5
PORTS = {"http": 80, "https": 443}
BUSY = frozenset({429, 502, 503, 504})
WAITS = 3  # times that a hub that is busy is asked again
LONGEST_WAIT = 60  # seconds; the hub counts requests in windows of 300
JSON_BYTES = 64 << 20  # a repository of 10,000 files says about 4 MB

Say = Callable[[str], None]
"""Is told in one line what happens."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose body is not read yet."""

    response: urllib3.BaseHTTPResponse
    sha256: str  # of the file, as the hub says it before it points to where the file lies; '' where it does not
    host: str  # that sent it
    from_hub: bool  # or from where it points to
    with_token: bool


@dataclass(slots=True)
class Hub:
    """The hub that HF_ENDPOINT names, reachable a moment ago."""

    endpoint: str
    pool: urllib3.PoolManager
    say: Say
    refused: bool = False  # it wants to know who asks

    def get(self, path: str, headers: Mapping[str, str]) -> Reply:
        """What the hub answers, after where it points to, as often as it asks to wait; any other status is an answer.

        Raises:
            SourceError: It is too busy, or points nowhere.
            HTTPError: The connection broke.
        """
        for turn in range(WAITS + 1):
            reply = self._follow(path, headers)
            if reply.response.status in {401, 403} and reply.from_hub and not reply.with_token and token():
                reply.response.close()
                self.refused = True
                reply = self._follow(path, headers)
            status = reply.response.status
            if status not in BUSY:
                return reply
            reply.response.close()
            seconds = _wait_seconds(reply.response.headers, 2**turn)
            if turn == WAITS or seconds > LONGEST_WAIT:
                raise SourceError(f"it is busy (status {status}). Try again in {max(1, seconds)} s")
            self.say(f"Hugging Face is busy (status {status}): asking again in {seconds} s")
            time.sleep(seconds)
        raise AssertionError

    def json(self, path: str, repository: str) -> Any:
        """The answer as JSON.

        Raises:
            SourceError: It refuses, says no JSON, or the connection broke.
        """
        try:
            reply = self.get(path, {})
            try:
                if reply.response.status != 200:
                    raise SourceError(refusal(reply, repository, self.endpoint))
                return json.loads(reply.response.read(JSON_BYTES, decode_content=True))
            finally:
                reply.response.close()
        except urllib3.exceptions.HTTPError as error:
            raise SourceError(_reason(error)) from error
        except ValueError as error:
            raise SourceError("it answers something that is not JSON; does HF_ENDPOINT name a hub?") from error

    def first_bytes(self, source: HuggingFace, count: int) -> tuple[bytes, str]:
        """The beginning of a file, and its sha256 as the hub says it now ('' where it does not).

        Raises:
            SourceError: It refuses, or the connection broke.
        """
        try:
            reply = self.get(file_path(source), {"Range": f"bytes=0-{count - 1}"})
            try:
                if reply.response.status not in {200, 206}:
                    raise SourceError(refusal(reply, source.repository, self.endpoint))
                return reply.response.read(count, decode_content=False), reply.sha256
            finally:
                reply.response.close()
        except urllib3.exceptions.HTTPError as error:
            raise SourceError(_reason(error)) from error

    def _follow(self, path: str, headers: Mapping[str, str]) -> Reply:
        url, sha256 = f"{self.endpoint}{path}", ""
        for _ in range(REDIRECTS + 1):
            from_hub = _origin(url) == _origin(self.endpoint)
            sent = {"User-Agent": "openbook", "Accept-Encoding": "identity", **headers}
            with_token = self.refused and from_hub
            if with_token:
                sent["Authorization"] = f"Bearer {token()}"
            response = self.pool.request("GET", url, headers=sent, preload_content=False, redirect=False)
            linked = response.headers.get("X-Linked-Etag", "").strip('"')
            if from_hub and re.fullmatch(r"[0-9a-f]{64}", linked):
                sha256 = linked
            location = response.headers.get("Location")
            if response.status not in {301, 302, 303, 307, 308} or not location:
                return Reply(response, sha256, urlsplit(url).hostname or "", from_hub, with_token)
            response.close()
            url = urljoin(url, location)
        raise SourceError(f"it points elsewhere more than {REDIRECTS} times")


def connect(say: Say) -> Hub:
    """The hub, through the proxy that the environment names for it.

    Raises:
        SourceError: It cannot be reached, or is not to be asked.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise SourceError("HF_HUB_OFFLINE is set")
    endpoint = (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
    return Hub(endpoint, _pool(endpoint), say)


def file_path(source: HuggingFace) -> str:
    """Where the hub has a file, below its address."""
    return f"/{source.repository}/resolve/{quote(source.revision, safe='')}/{quote(source.file)}"


def token() -> str:
    """The user's own, as Hugging Face's tools keep it; '' when there is none."""
    named = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
    if not named:
        try:
            named = token_file().read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return ""
    named = "".join(named.split())
    return named if named.isascii() else ""  # which no header can hold


def token_file() -> Path:
    """Where `hf auth login` leaves a token."""
    if named := os.environ.get("HF_TOKEN_PATH"):
        return absolute(named)
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return absolute(home) / "token"


def refusal(reply: Reply, repository: str, endpoint: str) -> str:
    """Why the hub gives nothing, and what helps, by the code it says."""
    status, code = reply.response.status, reply.response.headers.get("X-Error-Code", "")
    page = f"{endpoint}/{repository}"
    if not reply.from_hub:
        return f"{reply.host}, where it points to, answers {status}"
    if code == "GatedRepo" and not reply.with_token:
        return f"{repository} is gated: agree to its terms at {page}, then set HF_TOKEN to your token"
    if code == "GatedRepo":
        return f"{repository} is gated, and your token has no access yet: agree to its terms at {page}"
    if status == 401 and reply.with_token and code != "RepoNotFound":
        return f"it does not accept your token (HF_TOKEN, or {token_file()}): make one at {endpoint}/settings/tokens"
    if code == "RepoNotFound" or (code and status == 401):
        return f"it has no {repository}, or keeps it private{'' if reply.with_token else ': then set HF_TOKEN'}"
    if code == "RevisionNotFound":
        return f"{repository} has no such revision"
    return {401: "it wants a login", 403: "it wants a login", 404: "it has no such file"}.get(
        status, f"it answers {status}"
    )


def _wait_seconds(headers: Mapping[str, str], otherwise: int) -> int:
    """How long the hub asks to be left alone."""
    if (after := headers.get("Retry-After", "").strip()).isascii() and after.isdigit():
        return int(after[:6])
    window = re.search(r";\s*t=(\d{1,6})\b", headers.get("RateLimit", ""))  # '"api";r=0;t=55'
    return int(window[1]) if window else otherwise


def _origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address: a token for one is not for another.

    Raises:
        SourceError: It is no http address.
    """
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise SourceError(f"it points to {url[:200]!r}") from None


def fetch(model: Model, source: HuggingFace, part: Path, meter: Meter, say: Say = lambda line: None) -> None:
    """Fill `part` until it has as many bytes as the model. What it holds already is not asked for again.

    Raises:
        SourceError: The hub cannot be reached, has no such file, or has another one.
        ModelError: There is no room.
    """
    hub = connect(say)
    check_room(part.parent, model.size_bytes - size_of(part))
    for _ in range(BREAKS):
        before, reason = size_of(part), "the connection broke"
        try:
            _stream(hub, source, model, part, meter)
        except urllib3.exceptions.HTTPError as error:
            reason = _reason(error)
        if size_of(part) == model.size_bytes:
            return
        if size_of(part) <= before:
            raise SourceError(reason)
    raise SourceError(f"the connection broke {BREAKS} times")


def _pool(url: str) -> urllib3.PoolManager:
    """Connections to the host of a URL."""
    try:
        scheme, host, port = _origin(url)
    except SourceError:
        scheme, host, port = "", "", 0
    if not host:
        raise SourceError(f"HF_ENDPOINT is {url}, which is not an http address")
    timeout = urllib3.Timeout(connect=REACH_SECONDS, read=READ_SECONDS)
    proxy = urllib.request.getproxies().get(scheme)
    if not proxy or urllib.request.proxy_bypass(host):
        _reach(host, port)
        return urllib3.PoolManager(timeout=timeout, retries=False)
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    at = urlsplit(proxy)
    _reach(at.hostname or "", at.port or {"https": 443}.get(at.scheme, 80))
    return urllib3.ProxyManager(proxy, timeout=timeout, retries=False)


def _reach(host: str, port: int) -> None:
    """Find out soon that a host cannot be reached.

    A connection waits for the name and then for each of the host's addresses in turn: a minute on a machine whose
    packets go nowhere. So one thread tries, and after REACH_SECONDS nobody waits for it any more.
    """
    failures: list[OSError] = []
    answered = threading.Event()

    def knock() -> None:
        try:
            socket.create_connection((host, port), timeout=REACH_SECONDS).close()
        except OSError as error:
            failures.append(error)
        answered.set()

    threading.Thread(target=knock, daemon=True).start()
    if not answered.wait(REACH_SECONDS):
        raise SourceError(f"{host} does not answer")
    if failures:
        error = failures[0]
        why = "its name is not known" if isinstance(error, socket.gaierror) else (error.strerror or str(error)).lower()
        raise SourceError(f"{host} cannot be reached, {why}")


def _stream(hub: Hub, source: HuggingFace, model: Model, part: Path, meter: Meter) -> None:
    """One request for what is missing, written as it comes."""
    have = size_of(part)
    if have > model.size_bytes:
        part.unlink()
        have = 0
    if have == model.size_bytes:
        return
    mark = part.with_suffix(".etag")  # of the file that `part` is the beginning of
    reply = hub.get(file_path(source), _range(have, mark))
    try:
        # The hub says the sha256 of a large file before it sends the first byte.
        if reply.sha256 and reply.sha256 != model.sha256:
            raise SourceError(f"it has another file there, with sha256 {reply.sha256[:12]}...")
        if reply.response.status not in {200, 206}:
            raise SourceError(refusal(reply, source.repository, hub.endpoint))
        have = _begin(reply.response, model, part, mark, have)
        with part.open("ab") as file:
            while piece := reply.response.read1(PIECE, decode_content=False):
                have += len(piece)
                if have > model.size_bytes:
                    raise SourceError("it sends more bytes than the file has")
                file.write(piece)
                file.flush()  # so that what a kill leaves is all that came
                meter(have)
    finally:
        reply.response.close()


def _range(have: int, mark: Path) -> dict[str, str]:
    if not have:
        return {}
    # With If-Range a server whose file has changed sends the new one whole, instead of the end of another file.
    etag = mark.read_text("utf-8") if mark.is_file() else ""
    return {"Range": f"bytes={have}-"} | ({"If-Range": etag} if etag.startswith('"') else {})


def _begin(response: urllib3.BaseHTTPResponse, model: Model, part: Path, mark: Path, have: int) -> int:
    """Make `part` what the response goes on with; its size then."""
    if response.status == 206 and have:
        if response.headers.get("Content-Range") == f"bytes {have}-{model.size_bytes - 1}/{model.size_bytes}":
            return have
        part.unlink()
        raise SourceError("it has a file of another size")
    if response.status != 200:
        raise SourceError(f"it answers {response.status}")
    length = response.headers.get("Content-Length")
    if length is not None and length != str(model.size_bytes):
        raise SourceError(f"it has a file of another size, {length} bytes")
    part.write_bytes(b"")
    mark.write_text(response.headers.get("ETag", ""), "utf-8")
    return 0


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return f"no answer within {READ_SECONDS:.0f} s"
    if isinstance(error, urllib3.exceptions.SSLError):
        trouble = "its certificate is not trusted" if "CERTIFICATE" in str(error) else "no secure connection"
        return f"{trouble} ({' '.join(str(error).split())[:120]})"
    return "the connection broke"
