"""Gets one file from Hugging Face by plain HTTP, going on where an earlier try ended."""

from __future__ import annotations

import os
import re
import socket
import threading
import urllib.request
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import urllib3

from openbook.models.catalogue import HuggingFace, Model
from openbook.models.transfer import PIECE, Meter, SourceError, check_room, size_of

ENDPOINT = "https://huggingface.co"
# Long enough for a slow line, short enough that a machine without internet goes on to the next source at once.
REACH_SECONDS = 2.5
READ_SECONDS = 30.0  # without a single byte
BREAKS = 20  # broken connections, each after some progress; one without ends the try
REDIRECTS = 5


def fetch(model: Model, source: HuggingFace, part: Path, meter: Meter) -> None:
    """Fill `part` until it has as many bytes as the model. What it holds already is not asked for again.

    Raises:
        SourceError: The hub cannot be reached, has no such file, or has another one.
        ModelError: There is no room.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise SourceError("HF_HUB_OFFLINE is set")
    endpoint = os.environ.get("HF_ENDPOINT") or ENDPOINT
    url = f"{endpoint.rstrip('/')}/{source.repository}/resolve/{source.revision}/{quote(source.file)}"
    pool = _pool(url)
    check_room(part.parent, model.size_bytes - size_of(part))
    for _ in range(BREAKS):
        before = size_of(part)
        try:
            _stream(pool, url, model, part, meter)
        except urllib3.exceptions.HTTPError as error:
            if size_of(part) <= before:
                raise SourceError(_reason(error)) from error
        if size_of(part) == model.size_bytes:
            return
    raise SourceError(f"the connection broke {BREAKS} times")


def _pool(url: str) -> urllib3.PoolManager:
    """Connections to the host of a URL, through the proxy that the environment names for it."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SourceError(f"HF_ENDPOINT gives {url}, which is not an http address")
    timeout = urllib3.Timeout(connect=REACH_SECONDS, read=READ_SECONDS)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.hostname):
        _reach(parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme])
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


def _stream(pool: urllib3.PoolManager, url: str, model: Model, part: Path, meter: Meter) -> None:
    """One request for what is missing, written as it comes."""
    have = size_of(part)
    if have > model.size_bytes:
        part.unlink()
        have = 0
    if have == model.size_bytes:
        return
    mark = part.with_suffix(".etag")  # of the file that `part` is the beginning of
    response = _open(pool, url, model, _range(have, mark))
    try:
        have = _begin(response, model, part, mark, have)
        with part.open("ab") as file:
            for piece in response.stream(PIECE, decode_content=False):
                have += len(piece)
                if have > model.size_bytes:
                    raise SourceError("it sends more bytes than the file has")
                file.write(piece)
                meter(have)
    finally:
        response.close()


def _range(have: int, mark: Path) -> dict[str, str]:
    if not have:
        return {}
    # With If-Range a server whose file has changed sends the new one whole, instead of the end of another file.
    etag = mark.read_text("utf-8") if mark.is_file() else ""
    return {"Range": f"bytes={have}-"} | ({"If-Range": etag} if etag.startswith('"') else {})


def _open(pool: urllib3.PoolManager, url: str, model: Model, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    """Ask, follow where the answer points, and give the response that has the file."""
    headers = {"User-Agent": "openbook", "Accept-Encoding": "identity", **headers}
    for _ in range(REDIRECTS + 1):
        response = pool.request("GET", url, headers=headers, preload_content=False, redirect=False)
        # The hub says the sha256 of a large file before it sends the first byte.
        linked = response.headers.get("X-Linked-Etag", "").strip('"')
        if re.fullmatch(r"[0-9a-f]{64}", linked) and linked != model.sha256:
            response.close()
            raise SourceError(f"it has another file there, with sha256 {linked[:12]}...")
        location = response.headers.get("Location")
        if response.status not in {301, 302, 303, 307, 308} or not location:
            return response
        response.close()
        url = urljoin(url, location)
        if urlsplit(url).scheme not in {"http", "https"}:
            raise SourceError(f"it points to {url}")
    raise SourceError(f"it points elsewhere more than {REDIRECTS} times")


def _begin(response: urllib3.BaseHTTPResponse, model: Model, part: Path, mark: Path, have: int) -> int:
    """Make `part` what the response goes on with; its size then."""
    if response.status == 206 and have:
        if response.headers.get("Content-Range") == f"bytes {have}-{model.size_bytes - 1}/{model.size_bytes}":
            return have
        part.unlink()
        raise SourceError("it has a file of another size")
    if response.status != 200:
        known = {401: "it wants a login", 403: "it wants a login", 404: "it has no such file"}
        raise SourceError(known.get(response.status, f"it answers {response.status}"))
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
        return f"its certificate is not trusted ({' '.join(str(error).split())[:120]})"
    return f"the connection broke ({type(error).__name__})"
