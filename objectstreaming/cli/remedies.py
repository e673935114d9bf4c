"""What `objectstreaming doctor` advises: for each check and each proxy, the lines to paste (docs/proxies.md).

A proxy is known by the headers that it adds. HAProxy and an ALB add none, so where no header tells, the lines of every
proxy that can have the fault are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["PROXIES", "REMEDIES", "proxy_of", "remedies_for"]

PROXIES: Final = ("nginx", "HAProxy", "Caddy", "ALB", "CloudFront", "Cloudflare")

REMEDIES: Final[Mapping[str, Mapping[str, str]]] = {
    "version": {
        "nginx": "proxy_set_header Accept $http_accept;",
        "HAProxy": "remove the http-request lines that set or delete Accept",
        "Caddy": "remove the header_up line for Accept",
        "CloudFront": "forward the header Accept: origin request policy AllViewer",
    },
    "http": {
        "nginx": 'proxy_http_version 1.1;\nproxy_set_header Connection "";',
    },
    "buffering": {
        "nginx": "proxy_buffering off;\n# and no proxy_ignore_headers X-Accel-Buffering",
        "HAProxy": "option http-no-delay",
    },
    "compression": {
        "nginx": "gzip off;",
        "HAProxy": "compression type text/html text/css application/javascript",
        "Caddy": "encode {\n    gzip\n    match header Content-Type text/*\n}",
        "Cloudflare": "pass Cache-Control: no-transform, as FrameResponse sends it",
    },
    "end": {},
    "cut": {
        "the server": "FrameResponse(..., plain=False)",
        "the reader": "Accept: application/vnd.objectstreaming;v=1",
    },
    "leaving": {
        "HAProxy": "option abortonclose",
        "nginx": "proxy_ignore_client_abort off;",
        "Caddy": "remove flush_interval -1",
        "the server": "FrameResponse(..., heartbeat=15)",
    },
    "headers": {
        "nginx": "proxy_pass_request_headers on;\n# and no proxy_hide_header for the headers named here",
        "CloudFront": "origin request policy AllViewer",
    },
    "idle": {
        "the server": "FrameResponse(..., heartbeat=15)",
        "nginx": "proxy_read_timeout 60s;",
        "HAProxy": "timeout server 60s",
        "Caddy": "transport http {\n    read_timeout 60s\n}",
        "ALB": "idle_timeout.timeout_seconds = 120",
        "CloudFront": "origin response timeout: 60 seconds",
    },
}
"""Check, proxy, lines. "the server" and "the reader" are no proxies: what helps there whatever the proxy is."""


def proxy_of(headers: Mapping[str, str]) -> str:
    """The proxy that has answered, by its headers; "" where they do not tell.

    >>> proxy_of({"server": "nginx/1.22.1"}), proxy_of({"via": "1.1 Caddy"}), proxy_of({"server": "uvicorn"})
    ('nginx', 'Caddy', '')
    """
    names = {name.lower() for name in headers}
    said = " ".join(value.lower() for name, value in headers.items() if name.lower() in ("server", "via"))
    if "cf-ray" in names:
        return "Cloudflare"
    if "x-amz-cf-id" in names or "cloudfront" in said:
        return "CloudFront"
    if "awselb" in said:
        return "ALB"
    return next((proxy for proxy in PROXIES if proxy.lower() in said), "")


def remedies_for(check: str, proxy: str = "") -> dict[str, str]:
    """The lines for a fault: those of `proxy` and of the two ends; of every proxy where it is unknown or has none.

    >>> remedies_for("buffering", "HAProxy")
    {'HAProxy': 'option http-no-delay'}
    >>> sorted(remedies_for("leaving"))
    ['Caddy', 'HAProxy', 'nginx', 'the server']
    """
    lines = REMEDIES[check]
    if proxy not in lines:
        return dict(lines)
    return {name: text for name, text in lines.items() if name == proxy or name not in PROXIES}
