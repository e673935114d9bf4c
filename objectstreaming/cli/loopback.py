"""An app on a free loopback port, on a thread of this process: for the demo and for tests."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Final

import uvicorn

from .errors import CommandError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["LoopbackServer", "listen"]

_START_SECONDS: Final = 15.0
_STOP_SECONDS: Final = 15.0


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Port 0 takes a free one. Raises `CommandError` if there can be none."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise CommandError(f"{host} is not an address to listen on: {error.strerror or error}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise CommandError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    return listener


class LoopbackServer:
    """Serves `app` at `url` while the `with` block runs.

    The socket listens before the server runs, so that no client is ever refused.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._socket = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2, lifespan="on")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="server", daemon=True)

    def __enter__(self) -> LoopbackServer:
        self._thread.start()
        waited = threading.Event()
        left = _START_SECONDS
        while not self._server.started and self._thread.is_alive() and left > 0:
            waited.wait(0.01)
            left -= 0.01
        if not self._server.started:
            self.__exit__(None, None, None)
            raise CommandError("the server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)
        self._socket.close()
