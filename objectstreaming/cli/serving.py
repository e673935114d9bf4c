"""`objectstreaming serve`: the reference app on uvicorn, by default only for this machine."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

import uvicorn

from wav_streaming.endpoints import bearer
from wav_streaming.recognizers import OpenAIRecognizer, Recognizer
from wav_streaming.synthesizers import OpenAISynthesizer, Synthesizer

from ..app import Settings, create_app
from ..app.application import find_parts
from ..app.clients import Clients
from ..app.limits import AppLimits
from ..app.wyoming import WyomingServer
from ..frames import MiB
from ..observe import observers
from ..server.stopping import Lifespan
from ..store import FileStore, Keep, Store
from .connections import Connections
from .errors import CommandError
from .loopback import listen

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from ..app.answers import Answerer

__all__ = ["configured", "serve"]

_BACKLOG: Final = 100
"""asyncio accepts so many connections before it looks at any of them: no more than there are descriptors for."""


def serve(
    *,
    host: str,
    port: int,
    documents: Sequence[Path],
    chat: str | None,
    speech: str | None,
    transcription: str | None,
    model: str,
    voice: str,
    sample_rate: int | None,
    speech_model: str | None,
    transcription_model: str | None,
    key: str | None,
    origins: Sequence[str],
    hosts: Sequence[str] | None,
    streams: int,
    streams_per_client: int,
    proxies: Sequence[str],
    store: str,
    metrics: int | None,
    wyoming: int | None,
    say: Callable[[str], object],
) -> None:
    """Serve until interrupted. Raises `CommandError`."""
    limits = AppLimits(streams=streams, streams_per_client=streams_per_client)
    if (speech_model and speech is None) or (transcription_model and transcription is None):
        raise CommandError(
            "--speech-model needs --speech URL, and --transcription-model needs --transcription URL", status=2
        )
    answerer: Answerer | None = None
    synthesizer: Synthesizer | None = None
    recognizer: Recognizer | None = None
    try:
        settings = Settings(
            documents=tuple(documents),
            origins=tuple(origins),
            hosts=_names(host, hosts),
            proxies=tuple(proxies),
            voice=voice,
            sample_rate=sample_rate,
            store=_store(store, limits),
            limits=limits,
        )
        if chat is not None:
            from ..app.chat import ChatAnswerer

            answerer = ChatAnswerer(chat, model, headers=bearer(key))
        if speech is not None:
            synthesizer = OpenAISynthesizer(speech, model=speech_model or "tts-1", api_key=key)
        if transcription is not None:
            recognizer = OpenAIRecognizer(transcription, model=transcription_model or "whisper-1", api_key=key)
    except ValueError as error:
        raise CommandError(str(error), status=2) from None
    wyoming_listener = None if wyoming is None else listen(host, wyoming)
    lifespan: Lifespan | None = None
    try:
        if wyoming_listener is not None:
            answerer, synthesizer, recognizer = find_parts(settings, answerer, synthesizer, recognizer)
            lifespan = _serving(WyomingServer(answerer, synthesizer, recognizer, settings.limits), wyoming_listener)
        app = create_app(settings, answerer=answerer, synthesizer=synthesizer, recognizer=recognizer, lifespan=lifespan)
    except (FileNotFoundError, ValueError) as error:
        raise CommandError(str(error), status=2) from None
    listener = listen(host, port)
    address = listener.getsockname()[0]
    say(f"objectstreaming serves http://{_address(listener)}, Ctrl-C ends it")
    if wyoming_listener is not None:
        say(f"it is a voice service for Home Assistant at tcp://{_address(wyoming_listener)}")
    if not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        say("it can be reached from the network, and does not ask who its clients are")
    config = configured(app, Connections(is_proxy=Clients(proxies).is_proxy))
    with listener, _metrics(metrics, say), suppress(KeyboardInterrupt):  # which uvicorn raises once it has ended
        uvicorn.Server(config).run([listener])


@contextmanager
def _metrics(port: int | None, say: Callable[[str], object]) -> Iterator[None]:
    """Serve metrics of this process on a port of loopback of their own: the network that asks must not see them."""
    if port is None:
        yield
        return
    from prometheus_client import start_http_server

    from ..prometheus import PrometheusObserver

    try:
        server, thread = start_http_server(port, addr="127.0.0.1")
    except OSError as error:
        raise CommandError(f"cannot listen on 127.0.0.1 port {port}: {error.strerror}") from None
    observer = PrometheusObserver()
    observers.append(observer)
    say(f"metrics are at http://127.0.0.1:{server.server_port}/metrics")
    try:
        yield
    finally:
        observers.remove(observer)
        server.shutdown()
        server.server_close()
        thread.join()


def _serving(service: WyomingServer, listener: socket.socket) -> Lifespan:
    """The lifespan of an app beside which the service runs."""

    @asynccontextmanager
    async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
        async with service.serving(listener):
            yield

    return lifespan


def _address(listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _store(where: str, limits: AppLimits) -> Store | Literal["memory"] | None:
    """`memory`, `none`, the URL of a Redis server, or a folder. Raises `CommandError`."""
    if where == "memory":
        return "memory"
    if where == "none":
        return None
    keep = Keep(unread=limits.unread_seconds)
    try:
        if where.startswith(("redis://", "rediss://", "unix://")):
            from ..store import RedisStore

            return RedisStore(where, keep=keep)
        if "://" in where:
            raise ValueError("a store is memory, none, a folder, or a URL of redis, rediss or unix")
        return FileStore(where, keep=keep)
    except (ImportError, OSError, ValueError) as error:
        raise CommandError(f"--store {where}: {error}", status=2) from None


def configured(app: ASGIApp, connections: Connections) -> uvicorn.Config:
    """How uvicorn serves `app` on `connections`."""
    # Duplex streams have pings of their own. A client that is slow to play does not answer those of the WebSocket.
    config = uvicorn.Config(
        connections.app(app),
        log_level="warning",
        timeout_graceful_shutdown=5,
        server_header=False,
        ws_ping_interval=None,
        ws_max_size=MiB,
        ws_per_message_deflate=False,  # PCM becomes a third smaller, and takes four times the processor time
        backlog=_BACKLOG,
        proxy_headers=False,  # the app believes only the proxies that it was told to
    )
    config.load()
    config.http_protocol_class = cast("type[asyncio.Protocol]", connections.protocol(config.http_protocol_class))
    # uvicorn says so of every WebSocket that is refused with a status and a body.
    logging.getLogger("uvicorn.error").addFilter(lambda record: "without completing handshake" not in record.msg)
    return config


def _names(host: str, hosts: Sequence[str] | None) -> tuple[str, ...]:
    """The host names that the server accepts. By default its own on loopback, and any elsewhere."""
    if hosts is not None:
        return () if "*" in hosts else tuple(hosts)
    local = ("localhost", "127.0.0.1", "[::1]")
    return (*local, host) if host.startswith("127.") else local if host in ("localhost", "::1") else ()
