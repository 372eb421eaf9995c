"""Speaks with a llama.cpp server in a child process: started late, kept warm, started again when it died.

caller --post--> HTTP on 127.0.0.1 --> child: llama.cpp's server
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbook.errors import ModelError, TooLongError
from openbook.llamacpp.kept import KeptPrompt
from openbook.llamacpp.server import Server
from openbook.text import well_formed

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, HTTPConnectionPool

log = logging.getLogger("openbook")

SILENT_SECONDS = 600.0  # without a byte, for what is answered in one piece
STREAM_SILENT_SECONDS = 120.0  # a prompt's progress comes every 512 tokens, and a sign of life every 30 s
KEPT_SECONDS = 10.0  # for writing or reading what was kept: 3 ms for 10 MB
END_SECONDS = 3.0  # that a process may take to end after its connections did, on a busy machine
CONNECTIONS = 4  # kept open
TOO_LONG = "too large to process"


class Client:
    """One model's server. Many threads may use it; it ends after `keep_minutes` in which no `running` was entered."""

    def __init__(
        self,
        name: str,
        path: Path,
        settings: Mapping[str, Any],
        keep_minutes: float,
        kept: KeptPrompt | None = None,
    ) -> None:
        """`name` is what errors call the model; `settings` are those of the child's first line.

        `kept` is where the prompt of the slot `answered` is kept when the server ends.
        """
        self.name, self._path, self._settings, self._keep_minutes = name, path, dict(settings), keep_minutes
        self.server: Server | None = None
        self._pool: HTTPConnectionPool | None = None
        self._timer: threading.Timer | None = None
        self._lock = threading.RLock()
        self._busy = 0
        self._kept = kept
        self.answered: int | None = None  # the slot that answered last

    def prepare(self) -> None:
        """Begin loading, if it is not loaded; returns at once."""
        with self._lock:
            self._start()
            self._keep()

    @contextmanager
    def running(self) -> Generator[None]:
        """While it is entered, the server runs and is not ended for idleness."""
        with self._lock:
            self._start()
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1
                if self.server is not None:
                    self._keep()

    def post(self, path: str, body: Mapping[str, Any]) -> BaseHTTPResponse:
        """The response, which is 200; waits until the server has loaded. A body with `stream` is not read yet.

        Raises:
            ModelError: The model could not be loaded, its process ended, or it refused: TooLongError where it was given
                more tokens than it takes.
        """
        import urllib3

        try:
            response = self._request(path, body)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # A connection that the server let go the moment it was used again (2 in 500, under load), or a server that
            # died since the last question, but so late that it still looked alive: once more.
            if not self._ended(END_SECONDS) and not isinstance(error, urllib3.exceptions.ProtocolError):
                raise self.broken(error) from error
            try:
                response = self._request(path, body)
            except (urllib3.exceptions.HTTPError, OSError) as again:
                raise self.broken(again) from again
        if response.status != 200:
            why = _error(response)
            raise (TooLongError if TOO_LONG in why else ModelError)(f"{self.name} refused: {why}")
        return response

    def get(self, path: str) -> Any:
        """What the server says of itself: '/props' its settings, '/slots' those of each slot's last answer."""
        import urllib3

        try:
            return self._connect().request("GET", path).json()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise self.broken(error) from error

    def tokenize(self, text: str, *, special: bool = False, pieces: bool = False) -> list[Any]:
        """The tokens of a text: numbers, or with `pieces` {'id', 'piece'}; `special` adds what begins and ends one."""
        body = {"content": well_formed(text), "add_special": special, "parse_special": True, "with_pieces": pieces}
        tokens: list[Any] = self.post("/tokenize", body).json()["tokens"]
        return tokens

    def broken(self, error: Exception) -> ModelError:
        """What to raise when the connection broke."""
        import urllib3

        if isinstance(error, urllib3.exceptions.ReadTimeoutError):
            self._end()  # it would hang at the next question too
            return ModelError(f"{self.name} gave no sign of life, so its process was ended. Ask again.")
        how = self._ended() if self.server is not None else "it was closed"
        if not how:
            return ModelError(f"{self.name} stopped answering: {error}. Ask again.")
        if how == "SIGBUS":
            return ModelError(
                f"The process of {self.name} ended while answering: its file was cut or written over meanwhile "
                f"({self._path}). Ask again; if that fails too, get the file again."
            )
        why = ", most likely for memory" if how == "SIGKILL" else ""
        return ModelError(
            f"The process of {self.name} ended while answering ({how}{why}). "
            "Ask again, or choose a smaller model or context."
        )

    def log(self) -> str:
        """The last lines that llama.cpp logged."""
        return self.server.log() if self.server is not None else ""

    def check(self) -> None:
        """Raises: ModelError, when the model's file was written over while it was in use."""
        if self.server is not None and self.server.damaged:
            self._end()
            raise ModelError(f"The file of {self.name} was written over while it answered ({self._path}). Ask again.")

    def close(self) -> None:
        """End the server. Closing twice is allowed; a later call starts it again."""
        with self._lock:
            if self._kept is not None and self.answered is not None and not self._busy:
                self._kept.save(self._done, self.answered)
            self._end()

    def _end(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._pool is not None:
                self._pool.close()
            if self.server is not None:
                self.server.close()
            self.server = self._pool = self._timer = self.answered = None

    def _done(self, path: str, body: Mapping[str, Any]) -> bool:
        """Whether the running server did what was asked, soon."""
        import urllib3

        if self._pool is None or self.server is None or not self.server.alive:
            return False
        timeout = urllib3.Timeout(connect=1, read=KEPT_SECONDS)
        with suppress(urllib3.exceptions.HTTPError, OSError):
            return self._pool.request("POST", path, json=body, timeout=timeout).status == 200
        return False

    def _request(self, path: str, body: Mapping[str, Any]) -> BaseHTTPResponse:
        import urllib3

        streamed = bool(body.get("stream"))
        silence = STREAM_SILENT_SECONDS if streamed else SILENT_SECONDS
        timeout = urllib3.Timeout(connect=10, read=silence)
        return self._connect().request("POST", path, json=body, preload_content=not streamed, timeout=timeout)

    def _ended(self, seconds: float = 5.0) -> str:
        return self.server.ended(seconds) if self.server is not None else ""

    def _connect(self) -> HTTPConnectionPool:
        """Connections to the server; waits until it has loaded."""
        import urllib3

        with self._lock:
            server = self._start()
        url = server.url()  # without the lock: `prepare` and `close` need not wait
        with self._lock:
            if server is not self.server:  # closed meanwhile: a pool kept now would be of another server's address
                return self._connect()
            if self._pool is None:
                self._note(server)
                self._pool = urllib3.HTTPConnectionPool(
                    "127.0.0.1",
                    int(url.rsplit(":", 1)[1]),
                    retries=False,
                    maxsize=CONNECTIONS,
                    headers={"Authorization": f"Bearer {server.api_key}"},
                )
                if self._kept is not None:
                    self._kept.restore(self._done)
            return self._pool

    def _note(self, server: Server) -> None:
        layers = self._settings["gpu_layers"]
        if layers > 0 and not server.gpus:
            log.warning(
                "gpu_layers=%d: this build of llama.cpp knows no GPU, so %s runs on the CPU. See docs/models.md for "
                "one that does.",
                layers,
                self.name,
            )

    def _start(self) -> Server:
        """The running server, started when there is none or when it died since the last question."""
        if self.server is not None and self.server.alive and not (self.server.outdated and not self._busy):
            return self.server
        self._end()
        self.server = Server(self._path, self._settings)
        return self.server

    def _keep(self) -> None:
        """End the server after a while, counted from now."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(self._keep_minutes * 60, self.close_idle)
        self._timer.daemon = True
        self._timer.start()

    def close_idle(self) -> None:
        """End the server, unless it is answering."""
        with self._lock:
            if not self._busy:
                self.close()


def _error(response: BaseHTTPResponse) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return f"status {response.status}"
