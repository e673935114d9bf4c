"""How each server and proxy is started, on a free loopback port."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import httpx
from deadlines import DEADLINE

FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True)
class Server:
    """A running server: its URL, whether HTTP/2 is spoken to it, and its process."""

    url: str
    http2: bool
    process: subprocess.Popen[bytes]


@dataclass(frozen=True)
class Kind:
    """A way to serve the application. `command` makes the arguments of `python -m` from a port."""

    name: str
    command: Callable[[int], list[str]]
    http2: bool = False
    websockets: bool = True


def _uvicorn(http: str) -> Callable[[int], list[str]]:
    return lambda port: ["uvicorn", "application:app", "--port", str(port), "--http", http, "--log-level", "critical"]


def _gunicorn(port: int) -> list[str]:
    return ["gunicorn", "application:app", "-b", f"127.0.0.1:{port}", "-k", "uvicorn_worker.UvicornWorker"]


def _hypercorn(*options: str) -> Callable[[int], list[str]]:
    return lambda port: ["hypercorn", "application:app", "-b", f"127.0.0.1:{port}", *options]


def _granian(http: str) -> Callable[[int], list[str]]:
    return lambda port: [
        *("granian", "application:app", "--interface", "asgi", "--port", str(port), "--http", http),
        *(() if http == "1" else ("--no-ws",)),
    ]


UVICORN: Final = Kind("uvicorn, httptools", _uvicorn("httptools"))
HYPERCORN: Final = Kind("hypercorn --workers 0", _hypercorn("--workers", "0"))
GRANIAN: Final = Kind("granian", _granian("1"))
KINDS: Final = (
    Kind("uvicorn, h11", _uvicorn("h11")),
    UVICORN,
    Kind("gunicorn, uvicorn worker", _gunicorn),
    HYPERCORN,
    replace(HYPERCORN, name=f"{HYPERCORN.name}, HTTP/2", http2=True),
    Kind("hypercorn", _hypercorn()),
    GRANIAN,
    Kind("granian, HTTP/2", _granian("2"), http2=True, websockets=False),
)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def ready(url: str, http2: bool) -> bool:
    try:
        with httpx.Client(http1=not http2, http2=http2, trust_env=False) as client:
            return client.get(f"{url}/running", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@contextlib.contextmanager
def started(command: list[str], port: int, http2: bool, **environment: str) -> Iterator[Server]:
    process = subprocess.Popen(
        command,
        cwd=FOLDER,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    server = Server(f"http://127.0.0.1:{port}", http2, process)
    try:
        latest = time.monotonic() + DEADLINE
        while not ready(server.url, http2):
            assert process.poll() is None, f"{command} has ended with {process.returncode}"
            assert time.monotonic() < latest, f"{command} does not answer"
            time.sleep(0.05)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(6)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()


@contextlib.contextmanager
def serving(kind: Kind, layers: str = "") -> Iterator[Server]:
    """The application behind `layers` of middleware, on that server."""
    port = free_port()
    with started([sys.executable, "-m", *kind.command(port)], port, kind.http2, LAYERS=layers) as server:
        yield server


# ------------------------------------------------------------------------------------------------------- proxies

_NGINX: Final = """
daemon off; worker_processes 1; error_log {folder}/error.log; pid {folder}/pid;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}{http2}; location / {{ proxy_pass {upstream}; {options} }} }}
}}
"""

_CADDY: Final = """
{{
  admin off
  auto_https off
  storage file_system {folder}
  servers {{
    protocols h1 h2c
  }}
}}
http://127.0.0.1:{port} {{
  reverse_proxy {upstream}
}}
"""

_HAPROXY: Final = """
global
  maxconn 200
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  {options}
frontend f
  bind 127.0.0.1:{port}{http2}
  default_backend b
backend b
  server s {host}
"""


@dataclass(frozen=True)
class Proxy:
    """A proxy in front of a server."""

    name: str
    program: str
    config: str
    arguments: tuple[str, ...]
    http2: bool = False
    http2_word: str = ""
    options: str = ""


_NGINX_RUN: Final = ("-c", "{file}", "-p", "{folder}")
_NGINX_1_1: Final = "proxy_http_version 1.1; proxy_set_header Connection '';"
NGINX: Final = Proxy("nginx, proxy_http_version 1.1", "nginx", _NGINX, _NGINX_RUN, options=_NGINX_1_1)
_CADDY_RUN: Final = ("run", "--adapter", "caddyfile", "--config", "{file}")
_HAPROXY_ADVICE: Final = "option http-no-delay\n  option abortonclose"
PROXIES: Final = (
    Proxy("nginx, defaults", "nginx", _NGINX, _NGINX_RUN),
    NGINX,
    Proxy("nginx, HTTP/2", "nginx", _NGINX, _NGINX_RUN, True, " http2", _NGINX_1_1),
    Proxy("caddy", "caddy", _CADDY, _CADDY_RUN),
    Proxy("caddy, HTTP/2", "caddy", _CADDY, _CADDY_RUN, True),
    Proxy("haproxy", "haproxy", _HAPROXY, ("-f", "{file}")),
    Proxy("haproxy, http-no-delay, abortonclose", "haproxy", _HAPROXY, ("-f", "{file}"), options=_HAPROXY_ADVICE),
    Proxy("haproxy, HTTP/2", "haproxy", _HAPROXY, ("-f", "{file}"), True, " proto h2", _HAPROXY_ADVICE),
)


@contextlib.contextmanager
def proxied(proxy: Proxy, upstream: Server) -> Iterator[Server]:
    """The server behind that proxy."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config"
        file.write_text(
            proxy.config.format(
                folder=folder,
                port=port,
                http2=proxy.http2_word,
                upstream=upstream.url,
                host=upstream.url.removeprefix("http://"),
                options=proxy.options,
            )
        )
        arguments = [part.format(file=file, folder=folder) for part in proxy.arguments]
        with started([proxy.program, *arguments], port, proxy.http2, HOME=folder) as server:
            yield replace(server, process=upstream.process)
