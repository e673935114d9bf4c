"""The hops that `objectstreaming doctor` is to judge, and what it is to find; proxies as docs/proxies.md has them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import servers
from hops import FAULTS, Fault, hop
from servers import Proxy, Server

from objectstreaming.cli.diagnosing import Diagnosis

PAGE: Final = Path(__file__).parents[2] / "docs" / "proxies.md"

SERVER: Final = servers.KINDS[0]
"""uvicorn with h11: to nginx, which speaks HTTP/1.0 by default, it sends bodies without chunks, and these are held."""

IDLE: Final = 1.7
"""Seconds of silence, longer than the hops with a short patience have."""


@dataclass(frozen=True)
class Hop:
    """A hop, and the checks that do not pass there."""

    made: Proxy | Fault
    found: Mapping[str, str]
    idle: bool = False
    """Whether it gives up within `IDLE`."""

    @property
    def name(self) -> str:
        return self.made.name

    @contextmanager
    def before(self, server: Server) -> Iterator[str]:
        """The URL of the hop in front of a server."""
        if isinstance(self.made, Fault):
            with hop(self.made, server.url) as url:
                yield url
        else:
            with servers.proxied(self.made, server) as proxied:
                yield proxied.url


def found_in(diagnosis: Diagnosis) -> dict[str, str]:
    """The checks that have not passed."""
    return {each.check: each.verdict for each in diagnosis.findings if each.verdict not in ("ok", "unknown")}


_FOUND: Final[Mapping[str, Mapping[str, str]]] = {
    "none": {},
    "HTTP/1.0": {"http": "warning", "cut": "warning"},
    "gzip": {"compression": "warning", "buffering": "bad"},
    "collects": {"buffering": "bad"},
    "holds 0.2 s": {"buffering": "bad"},
    "silent cut": {"cut": "warning"},
    "reads on": {"leaving": "warning"},
    "idle 1 s": {},
    "rewrites Accept": {"version": "bad"},
    "drops headers": {"headers": "bad"},
}
FAULTY: Final = tuple(Hop(fault, _FOUND[fault.name], idle=fault.idle is not None) for fault in FAULTS)

_NGINX, _NGINX_1_1, _CADDY = servers.PROXIES[0], servers.NGINX, servers.PROXIES[3]
_HAPROXY, _HAPROXY_ADVISED = servers.PROXIES[5:7]
_OLD: Final = {"http": "warning", "cut": "warning"}


def _with(proxy: Proxy, what: str, *options: str) -> Proxy:
    return replace(proxy, name=f"{proxy.program}, {what}", options="\n  ".join([proxy.options, *options]))


NGINX: Final = (
    Hop(_NGINX, _OLD),
    Hop(
        _with(_NGINX, "`proxy_ignore_headers X-Accel-Buffering`", "proxy_ignore_headers X-Accel-Buffering;"),
        {**_OLD, "buffering": "bad"},
    ),
    Hop(_with(_NGINX_1_1, "`gzip` for all types", "gzip on; gzip_types *; gzip_proxied any;"), {}),
    Hop(_with(_NGINX_1_1, "`proxy_read_timeout 1s`", "proxy_read_timeout 1s;"), {}, idle=True),
)
OTHERS: Final = (
    Hop(replace(_HAPROXY, name="haproxy, defaults"), {"buffering": "bad", "leaving": "warning"}),
    Hop(_with(_HAPROXY, "`http-no-delay`", "option http-no-delay"), {"leaving": "warning"}),
    Hop(_with(_HAPROXY_ADVISED, "both options, `compression algo gzip`", "compression algo gzip"), {}),
    Hop(_with(_HAPROXY_ADVISED, "both options, `timeout server 1s`", "timeout server 1s"), {}, idle=True),
    Hop(replace(_CADDY, name="caddy, defaults"), {"cut": "warning"}),
    Hop(
        replace(_CADDY, name="caddy, `encode gzip`", config=_CADDY.config.replace("  rev", "  encode gzip\n  rev")),
        {"cut": "warning"},
    ),
    Hop(
        replace(
            _CADDY,
            name="caddy, `flush_interval -1`",
            config=_CADDY.config.replace("{upstream}", "{upstream} {{\n    flush_interval -1\n  }}"),
        ),
        {"cut": "warning", "leaving": "warning"},
    ),
)

_AROUND: Final = {
    "nginx": """
daemon off; worker_processes 1; error_log FOLDER/error.log; pid FOLDER/pid;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path FOLDER/b; proxy_temp_path FOLDER/p; fastcgi_temp_path FOLDER/f;
  uwsgi_temp_path FOLDER/u; scgi_temp_path FOLDER/s;
  LINES
}
""",
    "haproxy": "LINES",
    "caddy": "{\n  admin off\n  auto_https off\n  storage file_system FOLDER\n}\nLINES",
}


def advised(program: str) -> Hop:
    """The proxy as docs/proxies.md says: its very lines, with other addresses."""
    lines = re.search(rf"^```{program}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert lines, f"{PAGE} has no lines for {program}"
    config = _AROUND[program].replace("LINES", lines[1]).replace("{", "{{").replace("}", "}}")
    for name, field in (("FOLDER", "{folder}"), ("127.0.0.1:9000", "127.0.0.1:{port}"), ("127.0.0.1:8000", "{host}")):
        config = config.replace(name, field)
    like = {"nginx": _NGINX, "haproxy": _HAPROXY, "caddy": _CADDY}[program]
    proxy = replace(like, name=f"{program}, the lines above", config=config)
    return Hop(proxy, {"cut": "warning"} if program == "caddy" else {})


ADVISED: Final = ("nginx", "haproxy", "caddy")
